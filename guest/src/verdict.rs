//! Judges why a request did not bring what it was sent for: whether it was carried out.

use crate::failures::{ChangeFailure, Delay, Problem, ReadFailure};
use crate::foreign_answer::is_of_another_sign_in;
use crate::http::{HttpResponse, SendFailure};

/// The end of a request that did not bring what it was sent for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Definitely not done, and not to be tried again.
    Refused(Problem),
    /// Definitely not done, because of who asks: nothing else will be done either.
    Misconfigured(Problem),
    /// Definitely not done; a retry can help.
    Unavailable(Delay),
    /// Perhaps done. For a read, `is_outage` says whether a retry can help.
    Unclear {
        /// What was wrong, and the pause that the server asked for.
        delay: Delay,
        /// Whether a retry of a read can help.
        is_outage: bool,
    },
}

impl Verdict {
    /// An answer with the status of a success that can't be read, or does not show what it should.
    pub fn unreadable(problem: Problem) -> Self {
        Self::Unclear {
            delay: problem.into(),
            is_outage: false,
        }
    }

    /// A request that got no answer.
    pub fn of_no_answer(failure: &SendFailure, problem: Problem) -> Self {
        match failure {
            failure if failure.is_client_certificate_refused() => Self::Misconfigured(problem),
            failure if failure.is_refusal() => Self::Refused(problem),
            failure if failure.is_definitely_not_sent() => Self::Unavailable(problem.into()),
            failure => Self::Unclear {
                delay: problem.into(),
                is_outage: !matches!(failure, SendFailure::ResponseTooLarge),
            },
        }
    }

    /// An answer other than the expected one, judged by its status. `is_the_vendors` says whether it is beyond doubt the vendor's own,
    /// by the form of its error: a proxy, filter or gateway answers with the same statuses, and refuses no order.
    pub fn of_answer(response: &HttpResponse, is_the_vendors: bool, delay: Delay) -> Self {
        let unclear = |delay, is_outage| Self::Unclear { delay, is_outage };
        match response.status {
            // Asks to slow down before anything is done (RFC 6585 section 4).
            429 => Self::Unavailable(delay),
            // A server on the way may answer so after it has passed the request on.
            503 if is_the_vendors => Self::Unavailable(delay),
            // Time-outs and failures of a server on the way, which may have passed the request on.
            408 | 425 | 499 | 500..=599 => unclear(delay, true),
            // A conflict may be one with our own first attempt.
            409 => unclear(delay, false),
            401 | 403 if is_the_vendors => Self::Misconfigured(delay.problem),
            400..=499 if is_the_vendors => Self::Refused(delay.problem),
            // A proxy or gateway that asks who is there says nothing of the credentials.
            401 if is_of_another_sign_in(response) => Self::Unavailable(delay),
            401 => Self::Misconfigured(delay.problem),
            // What a proxy, filter or gateway decides before it passes a request on.
            400 | 404 | 405 | 407 | 411 | 413..=415 | 417 | 421 | 426 | 428 | 431 | 494..=497 => {
                Self::Unavailable(delay)
            }
            // A filter may also have withheld the answer of a request that it passed on. A redirection is not followed, and leads to a
            // sign-in more often than to the vendor.
            301..=303 | 307 | 308 | 400..=499 => unclear(delay, true),
            _ => unclear(delay, false),
        }
    }

    /// The problem, whichever the case.
    pub fn into_problem(self) -> Problem {
        match self {
            Self::Refused(problem) | Self::Misconfigured(problem) => problem,
            Self::Unavailable(delay) | Self::Unclear { delay, .. } => delay.problem,
        }
    }
}

/// Of a request that only reads.
impl From<Verdict> for ReadFailure {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Refused(problem) => Self::Refused(problem),
            Verdict::Misconfigured(problem) => Self::Misconfigured(problem),
            Verdict::Unavailable(delay)
            | Verdict::Unclear {
                delay,
                is_outage: true,
            } => Self::Unavailable(delay),
            Verdict::Unclear {
                delay,
                is_outage: false,
            } => Self::Malformed(delay.problem),
        }
    }
}

/// Of the very request that buys or returns.
impl From<Verdict> for ChangeFailure {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Refused(problem) => Self::Refused(problem),
            Verdict::Misconfigured(problem) => Self::Misconfigured(problem),
            Verdict::Unavailable(delay) => Self::Unavailable(delay),
            Verdict::Unclear { delay, .. } => Self::Unknown(delay.problem),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    fn bought(status: u16, is_the_vendors: bool) -> ChangeFailure {
        let response = HttpResponse {
            status,
            headers: Vec::new(),
            body: Zeroizing::default(),
        };
        let delay = Problem::new("code", "Message.", "").into();
        Verdict::of_answer(&response, is_the_vendors, delay).into()
    }

    #[test]
    fn only_the_vendor_s_own_words_refuse_an_order() {
        for status in [400, 402, 404, 410, 422] {
            assert!(
                matches!(bought(status, true), ChangeFailure::Refused(_)),
                "{status}"
            );
            assert!(
                !matches!(bought(status, false), ChangeFailure::Refused(_)),
                "{status}"
            );
        }
        for status in [401, 403] {
            let failure = bought(status, true);
            assert!(matches!(failure, ChangeFailure::Misconfigured(_)), "{status}");
        }
    }

    #[test]
    fn what_may_have_been_passed_on_is_unknown_whoever_says_it() {
        for status in [200, 302, 408, 409, 425, 499, 500, 502, 504] {
            for is_the_vendors in [true, false] {
                let failure = bought(status, is_the_vendors);
                assert!(matches!(failure, ChangeFailure::Unknown(_)), "{status}");
            }
        }
        assert!(matches!(bought(503, false), ChangeFailure::Unknown(_)));
        assert!(matches!(bought(503, true), ChangeFailure::Unavailable(_)));
        for status in [400, 404, 407, 429] {
            let failure = bought(status, false);
            assert!(matches!(failure, ChangeFailure::Unavailable(_)), "{status}");
        }
    }

    #[test]
    fn a_request_that_may_have_been_sent_is_unknown_and_one_that_was_not_is_not() {
        let of = |failure| -> ChangeFailure {
            Verdict::of_no_answer(&failure, Problem::new("code", "Message.", "")).into()
        };
        assert!(matches!(
            of(SendFailure::Unreachable),
            ChangeFailure::Unavailable(_)
        ));
        assert!(matches!(
            of(SendFailure::TlsAlert(Some(42))),
            ChangeFailure::Misconfigured(_)
        ));
        for failure in [
            SendFailure::BrokenOff(String::new()),
            SendFailure::ResponseTimeout,
            SendFailure::ResponseTooLarge,
        ] {
            assert!(matches!(of(failure), ChangeFailure::Unknown(_)));
        }
    }
}
