//! Bodies of requests: read whole, within a size and a time, as JSON.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::Value;
use tokio::time::timeout;

use crate::limits::Limits;
use crate::problem::Problem;
use crate::request_error::RequestError;
use crate::state::State;

/// The body of a request as JSON. `None`: it has none. `null` is a body, and no right one.
pub(crate) struct Json(pub(crate) Option<Value>);

impl FromRequest<State> for Json {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &State) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        Ok(Self(json(&parts.headers, body, &state.limits).await?))
    }
}

/// Reads a body as JSON. `None`: there is none.
async fn json(headers: &HeaderMap, body: Body, limits: &Limits) -> Result<Option<Value>, RequestError> {
    let bytes = bytes(body, limits).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if !is_json(headers) {
        return Err(RequestError::NotJson);
    }
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(RequestError::Json)
}

/// Reads a body as it is.
pub(crate) async fn bytes(body: Body, limits: &Limits) -> Result<Bytes, RequestError> {
    let max = limits.body_bytes;
    let read = timeout(limits.body, Limited::new(body, max).collect()).await;
    let read = read.map_err(|_| RequestError::BodyTooSlow { within: limits.body })?;
    match read {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(RequestError::BodyTooLarge { max }),
        Err(_) => Err(RequestError::BodyBroken),
    }
}

/// Whether the body is said to be JSON: `application/json`, or a kind of it such as `application/problem+json`.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let kind = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn json_is_told_by_its_media_type() {
        let of = |kind: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            is_json(&headers)
        };
        for kind in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/merge-patch+json",
        ] {
            assert!(of(kind), "{kind}");
        }
        for kind in [
            "",
            "text/plain",
            "text/json",
            "application/jsonp",
            "application/x-www-form-urlencoded",
        ] {
            assert!(!of(kind), "{kind}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
