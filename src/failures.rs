//! The failures of a call, sorted by whether a retry is safe; the same cases as `wit/failures.wit`.

use thiserror::Error;

/// A problem, in words for a program and for an operator.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Problem {
    /// The problem's stable name: lower case, words joined by `-`.
    pub code: String,
    /// The problem in one sentence, which never holds a secret.
    pub message: String,
    /// The advice in one sentence; empty when nothing is known to help.
    pub advice: String,
    /// Microsoft's name for the exchange, or the one that we gave it; empty when there was no exchange.
    pub correlation_id: String,
}

impl Problem {
    /// A problem that came up before anything was sent.
    pub fn new(code: impl Into<String>, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            advice: advice.into(),
            correlation_id: String::new(),
        }
    }

    /// Adds the exchange in which the problem came up.
    #[must_use]
    pub fn in_exchange(mut self, correlation_id: &str) -> Self {
        correlation_id.clone_into(&mut self.correlation_id);
        self
    }
}

/// A problem that time may solve.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{problem}")]
pub struct Delay {
    /// The problem.
    pub problem: Problem,
    /// How many milliseconds the server asked to wait; `None` when it did not say.
    pub retry_after_ms: Option<u64>,
}

impl From<Problem> for Delay {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            retry_after_ms: None,
        }
    }
}

/// Why a read failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadFailure {
    /// A retry with the same input can't help.
    #[error("{0}")]
    Refused(Problem),
    /// A retry can help.
    #[error("{0}")]
    Unavailable(Delay),
    /// Nothing else can be read either, until the settings are corrected.
    #[error("{0}")]
    Misconfigured(Problem),
    /// The answer can't be read.
    #[error("{0}")]
    Malformed(Problem),
}

impl ReadFailure {
    /// The problem, whichever the case.
    pub fn problem(&self) -> &Problem {
        match self {
            Self::Refused(problem) | Self::Misconfigured(problem) | Self::Malformed(problem) => problem,
            Self::Unavailable(delay) => &delay.problem,
        }
    }

    /// Turns the failure into one of a change that was not asked for yet: the change is definitely not done.
    pub fn before_the_change(self) -> ChangeFailure {
        match self {
            Self::Refused(problem) => ChangeFailure::Refused(problem),
            Self::Unavailable(delay) => ChangeFailure::Unavailable(delay),
            Self::Misconfigured(problem) => ChangeFailure::Misconfigured(problem),
            Self::Malformed(problem) => ChangeFailure::Unavailable(problem.into()),
        }
    }

    /// Turns the failure into one of a change that was not asked for yet, because the instance can't ask for any: a refusal
    /// holds until its settings are corrected.
    pub fn of_the_settings(self) -> ChangeFailure {
        match self {
            Self::Refused(problem) => ChangeFailure::Misconfigured(problem),
            other => other.before_the_change(),
        }
    }

    /// Turns the failure into one of a change that may have been made: its outcome is unknown.
    pub fn after_the_change(self) -> ChangeFailure {
        match self {
            Self::Refused(problem) | Self::Misconfigured(problem) | Self::Malformed(problem) => {
                ChangeFailure::Unknown(problem)
            }
            Self::Unavailable(delay) => ChangeFailure::Unknown(delay.problem),
        }
    }
}

/// Why a purchase or a return was not made, or may not have been made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChangeFailure {
    /// Definitely not done; a retry with the same input can't help.
    #[error("{0}")]
    Refused(Problem),
    /// Definitely not done; a retry with the same client transaction id can help.
    #[error("{0}")]
    Unavailable(Delay),
    /// Definitely not done, and no other change will be until the settings are corrected.
    #[error("{0}")]
    Misconfigured(Problem),
    /// Perhaps done: look it up, never repeat it blindly.
    #[error("{0}")]
    Unknown(Problem),
}
