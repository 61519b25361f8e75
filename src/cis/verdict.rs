//! What an answer other than the hoped-for one says about whether something was done.

use super::{Answer, wire};
use crate::exchange::retry_after_ms;
use crate::failures::{ChangeFailure, Delay, Problem, ReadFailure};

/// Enough of Microsoft's message to know what it is about.
const MESSAGE_LENGTH_MAX: usize = 300;

/// What an error says.
pub(super) enum Verdict {
    /// Definitely not done, and not to be tried again.
    Refused(Problem),
    /// Definitely not done; later perhaps.
    Unavailable(Delay),
    /// Nobody can tell. For a read it is whether a retry can help.
    Unclear { delay: Delay, is_outage: bool },
}

impl Verdict {
    pub(super) fn of_a_read(self) -> ReadFailure {
        match self {
            Self::Refused(problem) => ReadFailure::Refused(problem),
            Self::Unavailable(delay) => ReadFailure::Unavailable(delay),
            Self::Unclear {
                delay,
                is_outage: true,
            } => ReadFailure::Unavailable(delay),
            Self::Unclear {
                delay,
                is_outage: false,
            } => ReadFailure::Malformed(delay.problem),
        }
    }

    pub(super) fn of_a_change(self) -> ChangeFailure {
        match self {
            Self::Refused(problem) => ChangeFailure::Refused(problem),
            Self::Unavailable(delay) => ChangeFailure::Unavailable(delay),
            Self::Unclear { delay, .. } => ChangeFailure::Unknown(delay.problem),
        }
    }
}

/// Reads the status first, then the error's code: only what leaves no doubt counts as not done.
pub(super) fn of(answer: &Answer, now_ms: i64) -> Verdict {
    let status = answer.response.status;
    let error = wire::error(&answer.response);
    let code = error.as_ref().map(|error| error.code.as_str());
    let delay = Delay {
        problem: problem(answer, error.as_ref()),
        retry_after_ms: retry_after_ms(&answer.response, now_ms),
    };
    match (status, code) {
        // Asked to slow down before anything is done (RFC 6585 section 4), with or without a body.
        (429, _)
        | (503, Some(wire::THROTTLED | wire::UNAVAILABLE))
        | (410, Some(wire::CONTINUATION_EXPIRED)) => Verdict::Unavailable(delay),
        // A conflict that does not say with what, in words that are known, may be one with our own first attempt.
        (409, code) if code.is_none_or(|code| wire::meaning(code).is_none()) => Verdict::Unclear {
            delay,
            is_outage: false,
        },
        // Time-outs of something on the way, which may have passed the request on.
        (408 | 425 | 499 | 500..=599, _) => Verdict::Unclear {
            delay,
            is_outage: true,
        },
        (400..=499, _) => Verdict::Refused(delay.problem),
        _ => Verdict::Unclear {
            delay,
            is_outage: false,
        },
    }
}

fn problem(answer: &Answer, error: Option<&wire::ApiError>) -> Problem {
    let status = answer.response.status;
    let known = error.and_then(|error| wire::meaning(&error.code));
    let (code, advice) = match known {
        Some((code, advice)) => (code.to_owned(), advice),
        None => (format!("http-{status}"), advice_for_status(status)),
    };
    let message = match error {
        Some(error) => format!(
            "Microsoft's license API answered {} (HTTP {status}): {}",
            crate::text::one_line(&error.code, 60),
            crate::text::one_line(&error.message, MESSAGE_LENGTH_MAX)
        ),
        None => format!("Microsoft's license API answered with HTTP {status}."),
    };
    Problem::new(code, message, advice).in_exchange(&answer.correlation_id)
}

fn advice_for_status(status: u16) -> &'static str {
    match status {
        // How servers in front of an API refuse a client certificate: 400, 495 and 496 are nginx's, 403 is IIS's.
        400 | 495 | 496 => {
            "A server in front of the license API may not take the certificate: check Certificate Thumbprint."
        }
        401 | 403 => {
            "Check Certificate Thumbprint, Recourse API, Channel ID and Client ID with what Microsoft has provided."
        }
        300..=399 | 404 | 405 => "Check Service URL.",
        429 | 500..=599 => "Try again later.",
        _ => "",
    }
}
