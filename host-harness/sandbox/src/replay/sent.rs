//! A request of a replayed call as the plugin has sent it, in parts.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use serde_json::Value;

use crate::exchange_recording::{RecordedRequest, is_token_request};

/// A request, in memory alone: nothing of it was removed.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    /// The number of the recorded exchange that it was taken for.
    pub(super) exchange: Option<u32>,
    /// The method and the address, as they are recorded.
    pub(super) name: String,
    /// Whether it may change something at the vendor. A request for an access token changes nothing.
    pub(super) changes: bool,
    /// Each value by its place, such as `header idempotency-key` or `body /order/id`.
    pub(super) parts: BTreeMap<String, String>,
}

impl Sent {
    pub(super) fn new(
        exchange: Option<u32>,
        request: &http::Request<Bytes>,
        recorded: &RecordedRequest,
    ) -> Self {
        let mut parts = BTreeMap::new();
        let mut add = |place: String, value: &str| {
            let part: &mut String = parts.entry(place).or_default();
            // Of fields that are repeated, all values count.
            part.push_str(value);
            part.push('\n');
        };
        // The length follows from the body.
        let headers = request
            .headers()
            .iter()
            .filter(|(name, _)| *name != CONTENT_LENGTH);
        for (name, value) in headers {
            add(
                format!("header {name}"),
                &String::from_utf8_lossy(value.as_bytes()),
            );
        }
        add("url".to_owned(), request.uri().path());
        let query = request.uri().query().unwrap_or_default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            add(format!("query {name}"), &value);
        }
        match serde_json::from_slice(request.body()) {
            Ok(body) => leaves("body ", &body, &mut add),
            Err(_) => add("body".to_owned(), &String::from_utf8_lossy(request.body())),
        }
        Self {
            exchange,
            name: format!("{} {}", recorded.method, recorded.url),
            changes: !request.method().is_safe() && !is_token_request(recorded),
            parts,
        }
    }
}

/// Each value of a JSON document that has no others in it, by its place.
pub(super) fn leaves(place: &str, value: &Value, add: &mut impl FnMut(String, &str)) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                leaves(&format!("{place}/{name}"), value, add);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                leaves(&format!("{place}/{at}"), value, add);
            }
        }
        Value::String(text) => add(place.to_owned(), text),
        other => add(place.to_owned(), &other.to_string()),
    }
}
