//! The failures of a call, sorted by whether a retry is safe; the cases are those of `wit/failures.wit`.

pub use crate::bindings::bss::service_manager::failures::{ChangeFailure, Delay, Problem, ReadFailure};

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

impl From<Problem> for Delay {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            retry_after_ms: None,
        }
    }
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
