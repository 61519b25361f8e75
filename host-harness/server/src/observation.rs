//! What every request goes through: an id, the limit of its head, a line in the log, a count.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State as Shared};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::Method;
use http::request::Parts;
use tracing::Instrument as _;

use crate::problem::{Causes, Problem};
use crate::request_error::RequestError;
use crate::request_id::{REQUEST_ID, RequestId};
use crate::state::State;

/// What HTTP/2 counts for each field of a head beside its name and value (RFC 9113, section 6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// The route of a request that has none.
const NO_ROUTE: &str = "none";

/// Observes a request from its head to the head of its answer.
pub(crate) async fn observe(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let _counted = state.measures.begin();
    let id = RequestId::of(request.headers());
    let (mut parts, body) = request.into_parts();
    let route = parts
        .extensions
        .get::<MatchedPath>()
        .map_or(NO_ROUTE, MatchedPath::as_str)
        .to_owned();
    let method = name_of(&parts.method);
    let max = state.limits.head_bytes;
    let span = tracing::info_span!("request", request_id = id.as_str(), method, route);
    let mut response = match head_bytes(&parts) > max {
        true => Problem::from(RequestError::HeadTooLarge { max }).into_response(),
        false => {
            parts.extensions.insert(id.clone());
            next.run(Request::from_parts(parts, body))
                .instrument(span.clone())
                .await
        }
    };
    if let Some(value) = id.header() {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    state.measures.answered(method, &route, status, took);
    if let Some(Causes { code, causes }) = response.extensions().get() {
        tracing::warn!(
            request_id = id.as_str(),
            code,
            causes,
            "a request could not be carried out"
        );
    }
    let ms = took.as_millis();
    span.in_scope(|| tracing::info!(request_id = id.as_str(), method, route, status, ms = %ms, "answered"));
    response
}

/// The size of a head.
fn head_bytes(parts: &Parts) -> usize {
    let target = parts
        .uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let fields = parts.headers.iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD);
    target + fields.sum::<usize>()
}

/// A method as it is counted: a client can make up others.
fn name_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
