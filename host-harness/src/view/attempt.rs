//! Attempts at purchases and returns as views show them.

use serde::Serialize;
use uuid::Uuid;

use super::{Problem, word};

/// An attempt at a purchase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PurchaseAttempt {
    /// The attempt's number, from 1 in each asset.
    pub number: u32,
    /// The id by which the vendor was to know the purchase.
    pub client_transaction_id: Uuid,
    /// When the attempt was begun, in milliseconds.
    pub begun_at_ms: i64,
    /// When the attempt ended, in milliseconds. `None`: it has not, or the host stopped meanwhile.
    pub finished_at_ms: Option<i64>,
    /// The outcome: `licensed`, `refused` (definitely not done), `unavailable` (not done; a retry can help),
    /// `unknown` (may have been done), `second-license`, `looked-up` (only looked up, and not found yet),
    /// `not-bought` (looked up to be withdrawn, and definitely not done).
    pub result: Option<String>,
    /// The problem that the attempt ended with.
    pub problem: Option<Problem>,
}

/// An attempt at a return.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReturnAttempt {
    /// The attempt's number, from 1 in each cancellation.
    pub number: u32,
    /// When the attempt was begun, in milliseconds.
    pub begun_at_ms: i64,
    /// When the attempt ended, in milliseconds. `None`: it has not, or the host stopped meanwhile.
    pub finished_at_ms: Option<i64>,
    /// The outcome: `returned`, `refused`, `unavailable` (not done; a retry can help), `unknown` (may have been
    /// done).
    pub result: Option<String>,
    /// The problem that the attempt ended with.
    pub problem: Option<Problem>,
}

impl From<&bss_model::Attempt> for PurchaseAttempt {
    fn from(attempt: &bss_model::Attempt) -> Self {
        Self {
            number: attempt.number,
            client_transaction_id: attempt.client_transaction_id,
            begun_at_ms: attempt.begun_at_ms,
            finished_at_ms: attempt.finished_at_ms,
            result: attempt.result.map(|result| word(result.word())),
            problem: attempt.problem.as_ref().map(Problem::from),
        }
    }
}

impl From<&bss_model::ReturnAttempt> for ReturnAttempt {
    fn from(attempt: &bss_model::ReturnAttempt) -> Self {
        Self {
            number: attempt.number,
            begun_at_ms: attempt.begun_at_ms,
            finished_at_ms: attempt.finished_at_ms,
            result: attempt.result.map(|result| word(result.word())),
            problem: attempt.problem.as_ref().map(Problem::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use bss_model::{AttemptResult, ReturnResult};

    use super::super::examples::{assert_json, id, problem};
    use super::*;

    #[test]
    fn an_attempt_at_a_purchase() {
        let attempt = bss_model::Attempt {
            number: 2,
            client_transaction_id: id(3),
            begun_at_ms: 1_000,
            finished_at_ms: Some(1_040),
            result: Some(AttemptResult::SecondLicense),
            problem: None,
        };
        assert_json(
            &PurchaseAttempt::from(&attempt),
            r#"
{
  "number": 2,
  "clientTransactionId": "00000000-0000-0000-0000-000000000003",
  "begunAtMs": 1000,
  "finishedAtMs": 1040,
  "result": "second-license",
  "problem": null
}"#,
        );
    }

    #[test]
    fn an_attempt_at_a_return() {
        let attempt = bss_model::ReturnAttempt {
            number: 1,
            begun_at_ms: 1_000,
            finished_at_ms: Some(1_040),
            result: Some(ReturnResult::Refused),
            problem: Some(problem()),
        };
        assert_json(
            &ReturnAttempt::from(&attempt),
            r#"
{
  "number": 1,
  "begunAtMs": 1000,
  "finishedAtMs": 1040,
  "result": "refused",
  "problem": {
    "code": "offer-unknown",
    "message": "The offer is not known.",
    "advice": "Fetch the catalog again.",
    "correlationId": "c-1"
  }
}"#,
        );
    }
}
