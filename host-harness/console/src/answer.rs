//! Answers: pages, and the way to the next one.

use std::convert::Infallible;

use axum::body::Body;
use axum::response::{Html, IntoResponse as _, Response};
use futures_util::stream;
use http::header::{CONTENT_TYPE, HeaderName, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::mpsc;

use crate::failure::Failure;

/// What a page's function returns.
pub(crate) type Answer = Result<Response, Failure>;

/// What every answer says to a browser: nothing of another origin is loaded, run or shown, nobody frames a page, and no page is kept,
/// since it has names of customers (OWASP, HTTP Security Response Headers Cheat Sheet).
const HEADERS: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// Says the headers that every answer has, but for those that it has already.
pub(crate) fn secure(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers
            .entry(HeaderName::from_static(name))
            .or_insert(HeaderValue::from_static(value));
    }
}

/// A page.
pub(crate) fn page(status: StatusCode, html: String) -> Response {
    (status, Html(html)).into_response()
}

/// Sends a browser to another page, which it asks for with `GET` (RFC 9110, section 15.4.4): a form is not sent again when that page is
/// loaded again.
pub(crate) fn see(path: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    // Paths are made of escaped parts.
    let value = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/console/"));
    response.headers_mut().insert(LOCATION, value);
    response
}

/// Sends a browser to another page as [`see`] does, which says what was done: `what` is the name of a text of `done`.
pub(crate) fn done(path: &str, what: &str) -> Response {
    let (path, part) = path.split_once('#').unwrap_or((path, ""));
    let query = if path.contains('?') { '&' } else { '?' };
    let part_mark = if part.is_empty() { "" } else { "#" };
    see(&format!("{path}{query}done={what}{part_mark}{part}"))
}

/// Pieces of a streamed answer that wait for a browser that reads slowly.
const PIECES: usize = 16;

/// Where the pieces of a streamed answer are put.
#[derive(Clone, Debug)]
pub(crate) struct Pieces(mpsc::Sender<String>);

impl Pieces {
    /// Sends a piece, once there is room for it. False: the browser has left.
    pub(crate) async fn send(&self, piece: String) -> bool {
        self.0.send(piece).await.is_ok()
    }

    /// Done as soon as the browser has left.
    pub(crate) async fn left(&self) {
        self.0.closed().await;
    }
}

/// An answer whose pieces are sent as they are made. It ends once nobody can send any more.
pub(crate) fn streamed(content_type: &'static str) -> (Response, Pieces) {
    let (sender, receiver) = mpsc::channel(PIECES);
    let pieces = stream::unfold(receiver, async |mut receiver: mpsc::Receiver<String>| {
        let piece = receiver.recv().await?;
        Some((Ok::<_, Infallible>(piece), receiver))
    });
    let mut response = Body::from_stream(pieces).into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    (response, Pieces(sender))
}
