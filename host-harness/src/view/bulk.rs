//! What was done to many things at once, as views show it: a line for each, and a sum.

use serde::Serialize;
use uuid::Uuid;

/// One of many things, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BulkItem {
    /// The asset or e-mail.
    pub id: Uuid,
    /// What became of it: `done`, `refused`, `unsettled` (the outcome is not known yet), `would` (nothing was done, because only
    /// that was asked).
    pub result: &'static str,
    /// The code of the error. `None`: there is none.
    pub code: Option<String>,
    /// The error, as one sentence.
    pub message: Option<String>,
}

/// The sum of what became of many things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BulkSum {
    /// All that were chosen.
    pub chosen: u64,
    /// Those that are done.
    pub done: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Those whose outcome is not known yet.
    pub unsettled: u64,
}

#[cfg(test)]
mod tests {
    use super::super::examples::{assert_json, id};
    use super::*;

    #[test]
    fn one_of_many_that_was_refused_and_their_sum() {
        let item = BulkItem {
            id: id(1),
            result: "refused",
            code: Some("no-asset".to_owned()),
            message: Some("It is not there.".to_owned()),
        };
        assert_json(
            &item,
            r#"{
  "id": "00000000-0000-0000-0000-000000000001",
  "result": "refused",
  "code": "no-asset",
  "message": "It is not there."
}"#,
        );
        let sum = BulkSum {
            chosen: 3,
            done: 2,
            refused: 1,
            unsettled: 0,
        };
        assert_json(
            &sum,
            r#"{
  "chosen": 3,
  "done": 2,
  "refused": 1,
  "unsettled": 0
}"#,
        );
    }
}
