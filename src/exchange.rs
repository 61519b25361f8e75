//! The parts that every HTTP exchange has: a GUID as its name, a plain body, and the pause that the server asks for.

use std::time::UNIX_EPOCH;

use uuid::Builder;

use crate::content::made_plain;
use crate::platform::{HttpRequest, HttpResponse, Platform, SendFailure};

/// The longest pause that a server may ask for: one hour. A request an hour does no harm, and an order must
/// not wait for days because of one wrong header.
const RETRY_AFTER_MS_MAX: u64 = 60 * 60 * 1_000;

/// A GUID that was never used before.
pub(crate) fn fresh_guid(platform: &impl Platform) -> String {
    Builder::from_random_bytes(platform.random())
        .into_uuid()
        .hyphenated()
        .to_string()
}

/// Sends a request, and makes the body of the answer plain.
///
/// # Errors
/// As [`Platform::send`], and when the body can't be made plain.
pub(crate) fn send(platform: &impl Platform, request: &HttpRequest) -> Result<HttpResponse, SendFailure> {
    made_plain(platform.send(request)?, request.response_bytes_max)
}

/// The pause that the server asks for, from a `Retry-After` in seconds or as a date (RFC 9110 section 10.2.3).
/// `None` when there is no such header, or it can't be read.
pub(crate) fn retry_after_ms(response: &HttpResponse, now_ms: i64) -> Option<u64> {
    let value = response.header("retry-after")?.trim();
    let asked_ms = if let Ok(seconds) = value.parse::<u64>() {
        seconds.saturating_mul(1_000)
    } else {
        let moment = httpdate::parse_http_date(value).ok()?;
        let moment_ms = moment.duration_since(UNIX_EPOCH).ok()?.as_millis();
        let now_ms = u64::try_from(now_ms).ok()?;
        u64::try_from(moment_ms).ok()?.saturating_sub(now_ms)
    };
    Some(asked_ms.min(RETRY_AFTER_MS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    fn asking_for(value: &str) -> Option<u64> {
        let response = HttpResponse {
            status: 429,
            headers: vec![("retry-after".to_owned(), value.to_owned())],
            body: Zeroizing::default(),
        };
        retry_after_ms(&response, 784_111_770_000)
    }

    #[test]
    fn a_pause_is_read_in_seconds_and_as_a_date() {
        assert_eq!(asking_for("7"), Some(7_000));
        assert_eq!(asking_for("Sun, 06 Nov 1994 08:49:37 GMT"), Some(7_000));
        assert_eq!(asking_for("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
    }

    #[test]
    fn a_pause_without_measure_is_cut_and_a_senseless_one_ignored() {
        assert_eq!(asking_for("18446744073709551615"), Some(RETRY_AFTER_MS_MAX));
        assert_eq!(asking_for("-1"), None);
        assert_eq!(asking_for("soon"), None);
    }
}
