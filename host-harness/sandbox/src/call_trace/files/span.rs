//! A span of a call as it is kept: one line of a trace.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A span of a call as it stands in a file: a line when it begins, and one with the same `call` and `span` when it
/// ends.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    /// The call's id.
    pub(super) call: String,
    /// The span's number, unique within the call.
    pub(super) span: u64,
    #[serde(flatten)]
    pub(super) what: What,
    /// The span's fields; in the line of its end, those that were added since its beginning.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(super) fields: Map<String, Value>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum What {
    Begin {
        name: String,
        /// The span that this one is a part of; the call itself has none.
        #[serde(rename = "in", default, skip_serializing_if = "Option::is_none")]
        parent: Option<u64>,
        /// Microseconds since 1970.
        begun_us: u64,
    },
    End {
        took_us: u64,
    },
}

/// A span of a call, as it begins.
#[derive(Clone)]
pub(super) struct Span {
    pub(super) call: String,
    pub(super) number: u64,
    /// `None` for the call itself.
    pub(super) parent: Option<u64>,
    pub(super) name: &'static str,
    pub(super) begun_us: u64,
    pub(super) fields: Map<String, Value>,
}
