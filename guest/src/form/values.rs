//! Checks a single value, whatever the other fields hold.

use http::Uri;

use crate::failures::Problem;
use crate::text::forbidden_character;

/// The longest name that DNS knows, in bytes, and the longest label of one (RFC 1035 section 2.3.4).
const DNS_NAME_LENGTH_MAX: usize = 253;
const DNS_LABEL_LENGTH_MAX: usize = 63;

/// Checks a text: one line of at most `length_max` scalar values.
pub fn line(value: &str, label: &str, length_max: u32) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(character) = forbidden_character(value) {
        problems.push(Problem::new(
            "invisible-character",
            format!(
                "{label} holds the invisible character U+{:04X}.",
                u32::from(character)
            ),
            "Type the value instead of pasting it.",
        ));
    }
    let length = value.chars().count();
    if length > usize::try_from(length_max).unwrap_or(usize::MAX) {
        problems.push(Problem::new(
            "too-long",
            format!("{label} has {length} characters; {length_max} are allowed."),
            "Shorten the value.",
        ));
    }
    problems
}

/// Checks an absolute https URL that is to be a base address.
pub fn https_url(value: &str, label: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |code: &str, message: String, advice: &str| {
        problems.push(Problem::new(code, message, advice));
    };
    if !value.is_ascii() {
        add(
            "url-not-ascii",
            format!("{label} holds a character that is not ASCII."),
            "Type an internationalized host name in its A-label form, `xn--...`, and percent-encode the rest.",
        );
    }
    if value.contains(|character: char| character.is_whitespace() || character == '\\') {
        add(
            "url-invalid",
            format!("{label} holds a blank or a backslash."),
            "Type one address, such as `https://api.example.com/esd`.",
        );
    }
    let rest = match value.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => rest,
        Some((scheme, rest)) => {
            add(
                "url-not-https",
                format!("{label} begins with `{scheme}://`."),
                "Type an address that begins with `https://`.",
            );
            rest
        }
        None => {
            add(
                "url-not-https",
                format!("{label} does not begin with `https://`."),
                "Type the whole address, such as `https://api.example.com/esd`.",
            );
            return problems;
        }
    };
    if value.contains(['?', '#']) {
        add(
            "url-with-query",
            format!("{label} holds a `?` or a `#`."),
            "Leave out the query and the fragment.",
        );
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        add(
            "url-with-credentials",
            format!("{label} holds a user name or a password before `@`."),
            "Leave out the user name and the password: other fields say who asks.",
        );
    }
    if problems.is_empty() && authority_name(value).is_none() {
        problems.push(Problem::new(
            "url-host-invalid",
            format!("The host name or the port in {label} is not valid."),
            "Check the host name and the port.",
        ));
    }
    problems
}

/// The authority of an https URL, in lower case and without the default port.
/// `None` when the URL has no host that can exist.
pub fn authority_name(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority()?;
    let host = authority.host().to_ascii_lowercase();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let exists = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_dns_name(host.strip_suffix('.').unwrap_or(&host)),
    };
    let port = match authority.as_str().get(authority.host().len()..) {
        Some("") => None,
        Some(port) => Some(port.strip_prefix(':')?.parse::<u16>().ok()?),
        None => return None,
    };
    match (exists, port) {
        (false, _) | (_, Some(0)) => None,
        (true, None | Some(443)) => Some(host),
        (true, Some(port)) => Some(format!("{host}:{port}")),
    }
}

/// Whether DNS could know the name: letters, digits and hyphens in labels (RFC 1123 section 2.1).
pub fn is_dns_name(name: &str) -> bool {
    name.len() <= DNS_NAME_LENGTH_MAX
        && name.split('.').all(|label| {
            (1..=DNS_LABEL_LENGTH_MAX).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn codes(problems: &[Problem]) -> Vec<&str> {
        problems.iter().map(|problem| problem.code.as_str()).collect()
    }

    #[test]
    fn usual_addresses_are_taken() {
        for url in [
            "https://api.example.com",
            "HTTPS://API.example.com/esd/",
            "https://127.0.0.1:8443/cis",
            "https://[::1]:8443",
            "https://localhost:1",
            "https://xn--mller-kva.example/",
        ] {
            assert_eq!(codes(&https_url(url, "Service URL")), [""; 0], "{url}");
        }
    }

    #[test]
    fn each_mistake_in_an_address_has_its_own_code() {
        for (url, expected) in [
            ("http://api.example.com", "url-not-https"),
            ("api.example.com", "url-not-https"),
            ("https://user:secret@api.example.com", "url-with-credentials"),
            ("https://api.example.com/?a=b", "url-with-query"),
            ("https://api.example.com/#top", "url-with-query"),
            ("https://", "url-host-invalid"),
            ("https://:8443", "url-host-invalid"),
            ("https://a..example", "url-host-invalid"),
            ("https://api.example.com:0", "url-host-invalid"),
            ("https://api.example.com:", "url-host-invalid"),
            ("https://api.example.com:70000", "url-host-invalid"),
            ("https://-a.example", "url-host-invalid"),
            ("https://müller.example", "url-not-ascii"),
            ("https://api.example.com/a b", "url-invalid"),
            ("https://api.example.com\\@evil.example", "url-invalid"),
        ] {
            let found = https_url(url, "Service URL");
            assert!(codes(&found).contains(&expected), "{url}: {found:?}");
        }
    }

    #[test]
    fn several_mistakes_in_an_address_are_all_named() {
        let found = https_url("http://user@a.example/?q#f", "Service URL");
        assert_eq!(
            codes(&found),
            ["url-not-https", "url-with-query", "url-with-credentials"]
        );
    }

    #[test]
    fn an_authority_is_in_lower_case_and_without_the_default_port() {
        assert_eq!(
            authority_name("https://API.Example.com:443/x").as_deref(),
            Some("api.example.com")
        );
        assert_eq!(
            authority_name("https://API.Example.com:8443").as_deref(),
            Some("api.example.com:8443")
        );
    }

    proptest! {
        #[test]
        fn no_value_breaks_a_check(value in any::<String>()) {
            let _ = line(&value, "System Name", 10);
            let _ = https_url(&value, "Service URL");
        }

        #[test]
        fn an_address_without_problems_has_an_authority(value in "https://[a-zA-Z0-9.:@/?#\\[\\]-]{0,30}") {
            if https_url(&value, "Service URL").is_empty() {
                prop_assert!(authority_name(&value).is_some());
            }
        }
    }
}
