//! Header fields by which a client says how a request is carried out: `Idempotency-Key`, `If-Match` and `Prefer`.

use std::time::Duration;

use http::header::IF_MATCH;
use http::{HeaderMap, HeaderName};

use crate::request_error::RequestError;

/// The header field of a purchase's name (draft-ietf-httpapi-idempotency-key-header-07).
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The longest idempotency key.
const KEY_LENGTH_MAX: usize = 255;

/// The idempotency key: quoted as the draft has it, or bare as most clients send it.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<String, RequestError> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let value = values.next().ok_or(RequestError::NoIdempotencyKey)?;
    if values.next().is_some() {
        return Err(RequestError::IdempotencyKey);
    }
    let text = value.to_str().map_err(|_| RequestError::IdempotencyKey)?.trim();
    let key = match text.strip_prefix('"') {
        None => text.to_owned(),
        Some(rest) => unquoted(rest).ok_or(RequestError::IdempotencyKey)?,
    };
    match (1..=KEY_LENGTH_MAX).contains(&key.len()) {
        true => Ok(key),
        false => Err(RequestError::IdempotencyKey),
    }
}

/// The text of a quoted string behind its first quotation mark (RFC 9651, section 3.3.3).
fn unquoted(rest: &str) -> Option<String> {
    let (mut text, mut chars) = (String::new(), rest.chars());
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(text),
            '\\' => text.push(chars.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            char => text.push(char),
        }
    }
}

/// The version of settings that a change is based on: the one entity tag of `If-Match` (RFC 9110, section 13.1.1). `None`: a tag that is
/// that of no version, such as a weak one. Several tags, or `*`, would change what the client has not seen.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<i64>, RequestError> {
    let mut values = headers.get_all(IF_MATCH).iter();
    let value = values.next().ok_or(RequestError::NoIfMatch)?;
    if values.next().is_some() {
        return Err(RequestError::IfMatch);
    }
    let tag = value.to_str().map_err(|_| RequestError::IfMatch)?.trim();
    let (is_weak, quoted) = match tag.strip_prefix("W/") {
        Some(quoted) => (true, quoted),
        None => (false, tag),
    };
    let opaque = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let opaque = opaque.filter(|opaque| !opaque.contains(['"', ' ']));
    let opaque = opaque.ok_or(RequestError::IfMatch)?;
    let is_number = !opaque.is_empty() && opaque.bytes().all(|byte| byte.is_ascii_digit());
    let version = opaque.parse().ok();
    Ok(version.filter(|_| is_number && !is_weak))
}

/// How long a client would have its request wait for an outcome (RFC 7240, section 4.3), at most for a time. `None`: not at all.
/// A preference that can't be read is none.
pub(crate) fn wait(headers: &HeaderMap, max: Duration) -> Option<Duration> {
    let values = headers.get_all(PREFER).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let seconds = values
        .flat_map(|value| value.split([',', ';']))
        .find_map(|preference| {
            let (name, value) = preference.trim().split_once('=')?;
            let is_wait = name.trim().eq_ignore_ascii_case("wait");
            is_wait.then(|| value.trim().trim_matches('"').parse::<u64>().ok())?
        })?;
    Some(Duration::from_secs(seconds).min(max)).filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use bss_model::Diagnose as _;
    use http::HeaderValue;

    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn a_key_is_taken_quoted_and_bare_and_means_the_same() {
        let of = |values: &[&str]| idempotency_key(&headers(&IDEMPOTENCY_KEY, values)).ok();
        for value in ["BASKET-7", "\"BASKET-7\"", " BASKET-7 "] {
            assert_eq!(of(&[value]).as_deref(), Some("BASKET-7"), "{value}");
        }
        assert_eq!(of(&[r#""a\"b\\c""#]).as_deref(), Some(r#"a"b\c"#));
        assert_eq!(
            of(&[&"x".repeat(KEY_LENGTH_MAX)]).map(|key| key.len()),
            Some(KEY_LENGTH_MAX)
        );
        let long = "x".repeat(KEY_LENGTH_MAX + 1);
        for values in [
            &[][..],
            &[""],
            &["\"\""],
            &["\"a"],
            &["\"a\"b"],
            &[r#""a\b""#],
            &["ä"],
            &["a", "a"],
            &[&long],
        ] {
            assert_eq!(of(values), None, "{values:?}");
        }
    }

    #[test]
    fn a_change_is_based_on_one_version_that_is_named_as_it_was_answered() {
        let of =
            |values: &[&str]| if_match(&headers(&IF_MATCH, values)).map_err(|error| error.diagnosis().code);
        assert_eq!(of(&["\"7\""]).unwrap(), Some(7));
        for another in [
            "W/\"7\"",
            "\"\"",
            "\"-7\"",
            "\"seven\"",
            "\"99999999999999999999\"",
        ] {
            assert_eq!(of(&[another]).unwrap(), None, "{another}");
        }
        assert_eq!(of(&[]).unwrap_err(), "if-match-missing");
        for values in [
            &["7"][..],
            &["*"],
            &["\""],
            &["\"7\", \"8\""],
            &["\"7\"", "\"7\""],
        ] {
            assert_eq!(of(values).unwrap_err(), "if-match-invalid", "{values:?}");
        }
    }

    #[test]
    fn a_client_waits_as_long_as_it_prefers_and_the_server_allows() {
        let max = Duration::from_secs(50);
        let of = |values: &[&str]| wait(&headers(&PREFER, values), max).map(|wait| wait.as_secs());
        assert_eq!(of(&["wait=20"]), Some(20));
        assert_eq!(of(&["respond-async, Wait = 20"]), Some(20));
        assert_eq!(of(&["respond-async", "wait=\"7\""]), Some(7));
        assert_eq!(of(&["wait=1000000"]), Some(50));
        for values in [
            &[][..],
            &["wait"],
            &["wait=0"],
            &["wait=-1"],
            &["wait=soon"],
            &["waiting=3"],
        ] {
            assert_eq!(of(values), None, "{values:?}");
        }
    }
}
