//! Problems: descriptions of what went wrong, with a code.

use serde::Deserialize;
use serde::Serialize;

use crate::diagnosis::{Diagnose, Diagnosis};

/// A problem, described for programs and for operators. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A stable name in lower case, with words joined by `-`.
    pub code: String,
    /// The problem as one sentence.
    pub message: String,
    /// The advice as one sentence. Empty: nothing is known to help.
    pub advice: String,
    /// The vendor's name for the exchange. Empty: there is none.
    pub correlation_id: String,
}

impl Problem {
    /// Makes a problem found by the host itself, which has no correlation id.
    pub fn new(code: impl Into<String>, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            advice: advice.into(),
            correlation_id: String::new(),
        }
    }

    /// Makes a problem of an error, with its code and its advice, in those words.
    pub fn of(error: &impl Diagnose, message: impl Into<String>) -> Self {
        let Diagnosis { code, advice, .. } = error.diagnosis();
        let advice = advice.map_or_else(String::new, |advice| advice.sentence().into_owned());
        Self::new(code, message, advice)
    }
}
