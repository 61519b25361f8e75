//! Request ids: the client's own, or one that is made here.

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// The header field, of requests and of answers.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The header field that platforms send. It counts where `X-Request-Id` is missing.
const TRACK_ID: HeaderName = HeaderName::from_static("x-cloudplatform-trackid");

/// The longest id of a client's that is taken.
const LENGTH_MAX: usize = 128;

/// The id of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(String);

impl RequestId {
    /// The client's id if it is well formed: up to 128 letters, digits, `-`, `_`, `.` and `:`. Otherwise a new one: what stands in
    /// logs is nothing that a client can forge lines with.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(REQUEST_ID).or_else(|| headers.get(TRACK_ID));
        let given = given.and_then(|value| value.to_str().ok());
        match given.filter(|id| is_well_formed(id)) {
            Some(id) => Self(id.to_owned()),
            None => Self(Uuid::new_v4().to_string()),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as the value of a header field.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

fn is_well_formed(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (1..=LENGTH_MAX).contains(&id.len()) && id.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(id: &str) -> RequestId {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_bytes(id.as_bytes()).unwrap());
        RequestId::of(&headers)
    }

    #[test]
    fn a_well_formed_id_of_a_client_is_taken_and_any_other_is_replaced() {
        for id in [
            "a",
            "basket-7",
            "0af7651916cd43dd8448eb211c80319c:1",
            &"x".repeat(LENGTH_MAX),
        ] {
            assert_eq!(of(id).as_str(), id);
        }
        for id in ["", "a b", "a\"b", "ä", "a\u{7f}", &"x".repeat(LENGTH_MAX + 1)] {
            let made = HeaderValue::from_bytes(id.as_bytes()).map(|value| {
                let mut headers = HeaderMap::new();
                headers.insert(REQUEST_ID, value);
                RequestId::of(&headers)
            });
            assert!(
                made.is_err() || Uuid::try_parse(made.unwrap().as_str()).is_ok(),
                "{id}"
            );
        }
        let mut platform = HeaderMap::new();
        platform.insert(TRACK_ID, HeaderValue::from_static("track-7"));
        assert_eq!(RequestId::of(&platform).as_str(), "track-7");
        assert_ne!(RequestId::of(&HeaderMap::new()), RequestId::of(&HeaderMap::new()));
    }
}
