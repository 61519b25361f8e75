//! Answers: pages, and the way to the next one.

use axum::response::{Html, IntoResponse as _, Response};
use http::header::{HeaderName, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};

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
