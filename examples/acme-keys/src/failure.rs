//! Why a request did not bring what it was sent for, sorted by what may have been done. Nothing else decides that.

use crate::bindings::bss::service_manager::failures::{ChangeFailure, Delay, Problem, ReadFailure};
use crate::bindings::bss::service_manager::license_order::EarlierAttempts;
use crate::exchange::{Answer, NoAnswer};

/// How much of Acme's own message is shown.
const MESSAGE_LENGTH_MAX: usize = 200;

/// The end of a request that went wrong.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) problem: Problem,
    pub(crate) retry_after_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Definitely not done; a retry can't help.
    Refused,
    /// Definitely not done, because of who asks.
    Misconfigured,
    /// Definitely not done; a retry can help.
    Unavailable,
    /// Perhaps done: the request left, and no answer of Acme's came back.
    Unanswered,
    /// Perhaps done: the answer can't be read.
    Malformed,
}

/// A problem that came up outside of an exchange.
pub(crate) fn problem(code: &str, message: &str, advice: &str) -> Problem {
    Problem {
        code: code.to_owned(),
        message: message.to_owned(),
        advice: advice.to_owned(),
        correlation_id: String::new(),
    }
}

impl Failure {
    pub(crate) fn new(kind: Kind, problem: Problem) -> Self {
        Self {
            kind,
            problem,
            retry_after_ms: None,
        }
    }

    /// Judges an answer other than the expected one.
    pub(crate) fn of(answer: &Answer) -> Self {
        let (status, error) = (answer.status, answer.error());
        let kind = match status {
            429 => Kind::Unavailable,
            // A server on the way may answer so after it has passed the request on; Acme itself has done nothing.
            503 if error.is_some() => Kind::Unavailable,
            401 | 403 => Kind::Misconfigured,
            // A conflict may be one with an earlier attempt; the others come from servers on the way, or half-way through.
            408 | 409 | 425 | 499 | 500..=599 => Kind::Unanswered,
            400..=499 => Kind::Refused,
            _ => Kind::Malformed,
        };
        let (code, message) = match error {
            Some(error) => (error.code, error.message),
            None => (format!("http-{status}"), "no reason is given".to_owned()),
        };
        let message: String = message.chars().take(MESSAGE_LENGTH_MAX).collect();
        let advice = match status {
            401 | 403 => "Check the API key and the account number.",
            404 => "Check Service URL.",
            _ => "",
        };
        let message = format!(
            "Acme answered with HTTP {status}: {}.",
            message.trim_end_matches('.')
        );
        let mut failure = Self::new(kind, problem(&code, &message, advice));
        failure.problem.correlation_id = answer.correlation_id();
        failure.retry_after_ms = answer.retry_after_ms();
        failure
    }

    /// An answer with the expected status that can't be read.
    pub(crate) fn malformed(answer: &Answer, why: &str) -> Self {
        let message = format!("Acme's answer can't be read: {why}.");
        let mut failure = Self::new(Kind::Malformed, problem("answer-unreadable", &message, ""));
        failure.problem.correlation_id = answer.correlation_id();
        failure
    }

    /// What stopped a call before it asked for its change. It says nothing of an earlier attempt, which may have made it.
    pub(crate) fn before_the_change(mut self, earlier_attempts: EarlierAttempts) -> ChangeFailure {
        self.kind = match (earlier_attempts, self.kind) {
            (EarlierAttempts::Unknown, _) => Kind::Unanswered,
            (_, Kind::Unanswered | Kind::Malformed) => Kind::Unavailable,
            (_, kind) => kind,
        };
        self.into()
    }
}

impl From<NoAnswer> for Failure {
    fn from(no_answer: NoAnswer) -> Self {
        let (kind, code, message) = match no_answer {
            NoAnswer::NotSent(why) => (
                Kind::Unavailable,
                "not-sent",
                format!("Acme was not reached: {why}."),
            ),
            NoAnswer::MaybeSent(why) => (
                Kind::Unanswered,
                "no-answer",
                format!("Acme did not answer: {why}."),
            ),
        };
        Self::new(
            kind,
            problem(code, &message, "Check Service URL and the network."),
        )
    }
}

/// Of a request that only reads.
impl From<Failure> for ReadFailure {
    fn from(failure: Failure) -> Self {
        let Failure {
            kind,
            problem,
            retry_after_ms,
        } = failure;
        match kind {
            Kind::Refused => Self::Refused(problem),
            Kind::Misconfigured => Self::Misconfigured(problem),
            Kind::Unavailable | Kind::Unanswered => Self::Unavailable(Delay {
                problem,
                retry_after_ms,
            }),
            Kind::Malformed => Self::Malformed(problem),
        }
    }
}

/// Of the very request that buys or returns.
impl From<Failure> for ChangeFailure {
    fn from(failure: Failure) -> Self {
        let Failure {
            kind,
            problem,
            retry_after_ms,
        } = failure;
        match kind {
            Kind::Refused => Self::Refused(problem),
            Kind::Misconfigured => Self::Misconfigured(problem),
            Kind::Unavailable => Self::Unavailable(Delay {
                problem,
                retry_after_ms,
            }),
            Kind::Unanswered | Kind::Malformed => Self::Unknown(problem),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: &str = r#"{"error": "busy", "message": "Try later"}"#;

    fn purchase_answered(status: u16, body: &str) -> ChangeFailure {
        Failure::of(&Answer {
            status,
            headers: vec![("retry-after".to_owned(), "7".to_owned())],
            body: body.as_bytes().to_vec(),
        })
        .into()
    }

    #[test]
    fn an_answer_is_a_refusal_only_where_nothing_was_done_and_no_retry_helps() {
        for status in [400, 404, 410, 422] {
            assert!(
                matches!(purchase_answered(status, ""), ChangeFailure::Refused(_)),
                "{status}"
            );
        }
        for status in [401, 403] {
            let failure = purchase_answered(status, "");
            assert!(matches!(failure, ChangeFailure::Misconfigured(_)), "{status}");
        }
        for (status, body) in [(429, ""), (429, BUSY), (503, BUSY)] {
            let ChangeFailure::Unavailable(delay) = purchase_answered(status, body) else {
                panic!("{status}")
            };
            assert_eq!(delay.retry_after_ms, Some(7_000));
        }
        for status in [200, 302, 408, 409, 425, 499, 500, 502, 503, 504] {
            let failure = purchase_answered(status, "<html>");
            assert!(matches!(failure, ChangeFailure::Unknown(_)), "{status}");
        }
    }
}
