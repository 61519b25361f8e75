//! The bodies that receivers are sent.

use bss_model::Outcome;
use bss_model::clock::rfc3339;
use serde_json::json;

use crate::view::EventBody;

/// The body of an event, as JSON.
pub(super) fn body(outcome: &Outcome) -> String {
    json!(EventBody::from(outcome)).to_string()
}

/// The body of an event that a receiver is tried with.
pub(super) fn test_body(now_ms: i64) -> String {
    json!({ "type": "webhook.test", "timestamp": rfc3339(now_ms), "data": {} }).to_string()
}
