//! What can go wrong, sorted by whether it may be tried again; the same cases as `wit/failures.wit`.

use thiserror::Error;

/// What was wrong, in words for a program and for an operator.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Problem {
    /// Stable, lower case, words joined by `-`.
    pub code: String,
    /// One sentence. Never holds a secret.
    pub message: String,
    /// What to do, one sentence. Empty: nothing is known to help.
    pub advice: String,
    /// Microsoft's name for the exchange, or the one that we gave it. Empty: there was no exchange.
    pub correlation_id: String,
}

impl Problem {
    /// A problem that came up before anything was sent.
    pub fn new(
        code: impl Into<String>,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            advice: advice.into(),
            correlation_id: String::new(),
        }
    }

    /// The same problem, with the exchange in which it came up.
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
    /// What was wrong.
    pub problem: Problem,
    /// For how many milliseconds the server asked to be left alone. None: it did not say.
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

/// Why something that only reads brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadFailure {
    /// A retry with the same input can't help.
    #[error("{0}")]
    Refused(Problem),
    /// A retry can help.
    #[error("{0}")]
    Unavailable(Delay),
    /// The answer can't be read.
    #[error("{0}")]
    Malformed(Problem),
}

impl ReadFailure {
    /// What was wrong, however it is sorted.
    pub fn problem(&self) -> &Problem {
        match self {
            Self::Refused(problem) | Self::Malformed(problem) => problem,
            Self::Unavailable(delay) => &delay.problem,
        }
    }

    /// What this means for a change that has not been asked for yet: it is definitely not done.
    pub fn before_the_change(self) -> ChangeFailure {
        match self {
            Self::Refused(problem) => ChangeFailure::Refused(problem),
            Self::Unavailable(delay) => ChangeFailure::Unavailable(delay),
            Self::Malformed(problem) => ChangeFailure::Unavailable(problem.into()),
        }
    }

    /// What this means for a change that may have been made: nobody knows.
    pub fn after_the_change(self) -> ChangeFailure {
        match self {
            Self::Refused(problem) | Self::Malformed(problem) => ChangeFailure::Unknown(problem),
            Self::Unavailable(delay) => ChangeFailure::Unknown(delay.problem),
        }
    }
}

/// Why something that buys or returns did not, or may not have, happened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChangeFailure {
    /// Definitely not done; a retry with the same input can't help.
    #[error("{0}")]
    Refused(Problem),
    /// Definitely not done; a retry with the same client transaction id can help.
    #[error("{0}")]
    Unavailable(Delay),
    /// May have been done: to be looked up, never to be repeated blindly.
    #[error("{0}")]
    Unknown(Problem),
}
