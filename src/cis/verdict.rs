//! Judges an answer other than the expected one: whether the request was carried out.

use super::answer::Answer;
use super::wire;
use bss_plugin::Verdict;
use bss_plugin::failures::{Delay, Problem};
use bss_plugin::foreign_answer::{described, is_of_another_sign_in};

/// How many characters of Microsoft's message are shown: enough to know what it is about.
const MESSAGE_LENGTH_MAX: usize = 300;

/// Judges by the status and the error's code: only an answer that leaves no doubt counts as not done.
pub(super) fn of(answer: &Answer, now_ms: i64) -> Verdict {
    let status = answer.response.status;
    let error = wire::error(&answer.response);
    let code = error.as_ref().map(|error| error.code.as_str());
    let delay = Delay {
        problem: problem(answer, error.as_ref()),
        retry_after_ms: answer.response.retry_after_ms(now_ms),
    };
    let unclear = |is_outage| Verdict::Unclear {
        delay: delay.clone(),
        is_outage,
    };
    match (status, code) {
        // A 429 asks to slow down before anything is done (RFC 6585 section 4), with or without a body; the
        // others mean that nothing was done only if they come with the license API's own code.
        (429, _)
        | (400..=499 | 503, Some(wire::THROTTLED | wire::UNAVAILABLE))
        | (410, Some(wire::CONTINUATION_EXPIRED)) => Verdict::Unavailable(delay),
        // A conflict without a known code may be one with our own first attempt.
        (409, code) if code.is_none_or(|code| wire::meaning(code).is_none()) => unclear(false),
        // Time-outs and failures of a server on the way, which may have passed the request on.
        (408 | 425 | 499 | 500..=599, _) => unclear(true),
        // A proxy or gateway that asks who is there says nothing of the access token.
        (401, None) if is_of_another_sign_in(&answer.response) => Verdict::Unavailable(delay),
        (401, _)
        | (402, Some(_))
        | (
            400..=499,
            Some(wire::CHANNEL_NOT_AUTHORIZED | wire::CERTIFICATE_NOT_REGISTERED | wire::CREDIT_EXHAUSTED),
        ) => Verdict::Misconfigured(delay.problem),
        (400..=499, Some(code)) if wire::meaning(code).is_some() || answer.is_named => {
            Verdict::Refused(delay.problem)
        }
        // Only the license API's own words refuse an order.
        _ => Verdict::of_answer(&answer.response, false, delay),
    }
}

fn problem(answer: &Answer, error: Option<&wire::ApiError>) -> Problem {
    let status = answer.response.status;
    let known = error.and_then(|error| wire::meaning(&error.code));
    let (code, advice) = match known {
        Some((code, advice)) => (code.to_owned(), advice),
        // What the license API says of the request itself, in words that are not known here.
        None if error.is_some() && answer.is_named && matches!(status, 400 | 404 | 405 | 409..=428) => {
            (format!("http-{status}"), NOT_KNOWN)
        }
        None => (format!("http-{status}"), advice_for_status(status)),
    };
    let message = match error {
        Some(error) if known.is_some() || answer.is_named => format!(
            "Microsoft's license API answered {} (HTTP {status}): {}",
            bss_plugin::text::one_line(&error.code, 60),
            bss_plugin::text::one_line(&error.message, MESSAGE_LENGTH_MAX)
        ),
        _ => format!(
            "Something other than Microsoft's license API may have answered: {}.",
            described(&answer.response)
        ),
    };
    Problem::new(code, message, advice).in_exchange(&answer.correlation_id)
}

/// The advice where the license API itself answers with a code that is in no documentation.
const NOT_KNOWN: &str = "The answer is Microsoft's, with a code that is not known here: ask Microsoft, and name the correlation id.";

fn advice_for_status(status: u16) -> &'static str {
    match status {
        // A server in front of an API refuses a client certificate so: 400, 495 and 496 are nginx's, 403 is IIS's.
        400 | 495 | 496 => {
            "Check Certificate Thumbprint: a server in front of the license API may not accept the certificate; and check that no proxy, filter or gateway answers instead of the license API."
        }
        401 | 403 => {
            "Compare Certificate Thumbprint, Recourse API, Channel ID and Client ID with the values that Microsoft has provided, and check that no proxy, filter or gateway answers instead of the license API."
        }
        407 => {
            "Check the proxy between the host machine and the license API: the proxy asks for a user and a password."
        }
        300..=399 | 404 | 405 | 421 => {
            "Check Service URL, and that no proxy, filter or gateway answers instead of the license API."
        }
        429 | 500..=599 => "Try again later.",
        _ => "",
    }
}
