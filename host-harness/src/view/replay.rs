//! Calls that were played back, as views show them.

use bss_sandbox::replay;
use serde::Serialize;
use uuid::Uuid;

/// A call that was played back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayedCall {
    /// The recorded call's id.
    pub id: Uuid,
    /// The function.
    pub function: String,
    /// The outcome of the call now.
    pub outcome: String,
    /// The last lines that the plugin wrote now, where it brought no answer.
    pub last_words: Vec<String>,
    /// The number of recorded exchanges.
    pub exchanges: usize,
    /// Whether the plugin did as recorded.
    pub as_recorded: bool,
    /// The differences from the recording.
    pub differences: Vec<Difference>,
}

/// A difference from the recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The number of the exchange, from 1. `None`: the difference is in the call as a whole.
    pub exchange: Option<u32>,
    /// The subject of the difference.
    pub what: String,
    /// The recorded value. Empty: nothing.
    pub recorded: String,
    /// The value now. Empty: nothing.
    pub now: String,
}

impl From<&replay::ReplayedCall> for ReplayedCall {
    fn from(call: &replay::ReplayedCall) -> Self {
        Self {
            id: call.call,
            function: call.function.clone(),
            outcome: call.outcome.clone(),
            last_words: call.last_words.clone(),
            exchanges: call.exchanges,
            as_recorded: call.differences.is_empty(),
            differences: call.differences.iter().map(Difference::from).collect(),
        }
    }
}

impl From<&replay::Difference> for Difference {
    fn from(difference: &replay::Difference) -> Self {
        Self {
            exchange: difference.exchange,
            what: difference.what.clone(),
            recorded: difference.recorded.clone(),
            now: difference.now.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::{assert_json, id};
    use super::*;

    #[test]
    fn a_call_that_did_not_do_as_recorded() {
        let call = replay::ReplayedCall {
            call: id(1),
            function: "create-license".to_owned(),
            outcome: "broke off".to_owned(),
            last_words: vec!["panicked at src/lib.rs:1:2:".to_owned()],
            exchanges: 2,
            differences: vec![replay::Difference {
                exchange: Some(2),
                what: "url".to_owned(),
                recorded: "/a".to_owned(),
                now: "/b".to_owned(),
            }],
        };
        assert_json(
            &ReplayedCall::from(&call),
            r#"
{
  "id": "00000000-0000-0000-0000-000000000001",
  "function": "create-license",
  "outcome": "broke off",
  "lastWords": [
    "panicked at src/lib.rs:1:2:"
  ],
  "exchanges": 2,
  "asRecorded": false,
  "differences": [
    {
      "exchange": 2,
      "what": "url",
      "recorded": "/a",
      "now": "/b"
    }
  ]
}"#,
        );
    }
}
