//! What went wrong, in words and in a code.

use serde::Deserialize;
use serde::Serialize;

/// What was wrong, in words for a program and for an operator. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable, lower case, words joined by `-`.
    pub code: String,
    /// What was wrong, as one sentence.
    pub message: String,
    /// What to do about it, as one sentence. Empty: nothing is known to help.
    pub advice: String,
    /// The vendor's name for the exchange. Empty: none.
    pub correlation_id: String,
}

impl Problem {
    /// A problem that the host itself has found: it has no correlation id.
    pub fn new(code: impl Into<String>, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            advice: advice.into(),
            correlation_id: String::new(),
        }
    }
}
