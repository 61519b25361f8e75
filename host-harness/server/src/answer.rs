//! Answers in JSON.

use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

/// An answer with that status. What this host knows changes at any time and is for its client alone: nothing may keep it.
pub(crate) fn with_status(status: StatusCode, value: &impl Serialize) -> Response {
    // Views have texts as the keys of their maps, so they can be written.
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An answer of a request that was carried out.
pub(crate) fn ok(value: &impl Serialize) -> Response {
    with_status(StatusCode::OK, value)
}

/// An answer that this version of the program gives everybody, of that media type.
pub(crate) fn of_program(kind: &'static str, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    // Caches ask each time: another version of this program may have another document or page.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
