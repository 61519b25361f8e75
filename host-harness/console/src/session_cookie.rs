//! The cookie by which a browser shows its session.

use bss_model::Secret;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// The name. `__Host-`: a browser takes and sends it over TLS alone, for this host and all of its paths (RFC 6265bis, section 4.1.3.2).
const NAME: &str = "__Host-bss-session";

/// The code that a browser shows. `None`: it shows none, or two.
pub(crate) fn shown(headers: &HeaderMap) -> Option<Secret> {
    let cookies = headers.get_all(COOKIE).iter();
    let cookies = cookies.filter_map(|value| value.to_str().ok());
    let mut shown = cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .filter(|(name, _)| *name == NAME)
        .map(|(_, value)| value);
    match (shown.next(), shown.next()) {
        (Some(code), None) if !code.is_empty() => Some(Secret::new(code)),
        _ => None,
    }
}

/// The header that gives a browser a code. No script reads it, and no other site's form sends it.
pub(crate) fn given(code: &Secret) -> Option<HeaderValue> {
    let text = format!("{NAME}={}; Path=/; Secure; HttpOnly; SameSite=Lax", code.expose());
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The header that takes the code from a browser.
pub(crate) fn taken() -> HeaderValue {
    HeaderValue::from_static("__Host-bss-session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&'static str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(COOKIE, HeaderValue::from_static(value));
        }
        shown(&headers).map(|code| code.expose().to_owned())
    }

    #[test]
    fn the_code_is_found_among_other_cookies_and_two_are_none() {
        for values in [
            &["__Host-bss-session=abc"][..],
            &["a=b; __Host-bss-session=abc; c=d"],
            &["a=b", "__Host-bss-session=abc"],
        ] {
            assert_eq!(of(values).as_deref(), Some("abc"), "{values:?}");
        }
        for values in [
            &[][..],
            &["bss-session=abc"],
            &["__Host-bss-session="],
            &["__Host-bss-session=abc; __Host-bss-session=def"],
        ] {
            assert_eq!(of(values), None, "{values:?}");
        }
    }

    #[test]
    fn a_browser_gets_the_cookie_so_that_only_this_host_sees_it_again() {
        let given = given(&Secret::new("abc")).unwrap();
        assert!(given.is_sensitive());
        assert_eq!(
            given.to_str().unwrap(),
            "__Host-bss-session=abc; Path=/; Secure; HttpOnly; SameSite=Lax"
        );
        assert!(taken().to_str().unwrap().ends_with("; Max-Age=0"));
    }
}
