//! Problems as views show them.

use bss_model::ReturnReason;
use bss_sandbox::bindings::failures;
use serde::Serialize;

use super::word;
use crate::call_failure::read_problem;

/// A problem: its code, message and advice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Stable, lower case, words joined by `-`.
    pub code: String,
    /// The problem, as one sentence.
    pub message: String,
    /// The advice, as one sentence. Empty: nothing is known to help.
    pub advice: String,
    /// The vendor's name for the exchange. Empty: none.
    pub correlation_id: String,
}

/// Why an asset has no license, or why its license is not returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// The last attempt's result, as in its view.
    pub result: String,
    /// The problem.
    #[serde(flatten)]
    pub problem: Problem,
}

impl From<&bss_model::Problem> for Problem {
    fn from(problem: &bss_model::Problem) -> Self {
        Self {
            code: problem.code.clone(),
            message: problem.message.clone(),
            advice: problem.advice.clone(),
            correlation_id: problem.correlation_id.clone(),
        }
    }
}

impl From<&failures::Problem> for Problem {
    fn from(problem: &failures::Problem) -> Self {
        Self {
            code: problem.code.clone(),
            message: problem.message.clone(),
            advice: problem.advice.clone(),
            correlation_id: problem.correlation_id.clone(),
        }
    }
}

impl From<&failures::ReadFailure> for Problem {
    fn from(failure: &failures::ReadFailure) -> Self {
        read_problem(failure).into()
    }
}

impl From<&bss_model::Reason> for Reason {
    fn from(reason: &bss_model::Reason) -> Self {
        Self {
            result: word(reason.result.word()),
            problem: (&reason.problem).into(),
        }
    }
}

impl From<&ReturnReason> for Reason {
    fn from(reason: &ReturnReason) -> Self {
        Self {
            result: word(reason.result.word()),
            problem: (&reason.problem).into(),
        }
    }
}
