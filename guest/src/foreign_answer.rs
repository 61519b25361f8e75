//! Answers that are not the server's own: the page of a proxy, filter or gateway, told in a few words.

use crate::http::HttpResponse;
use crate::text::one_line;

/// How many characters of a page's title are shown.
const TITLE_LENGTH_MAX: usize = 80;
/// How many bytes of a page are looked at for its title.
const HEAD_BYTES: usize = 16 * 1024;

/// An answer in a few words, to be put in brackets: `HTTP 403, the page "Blocked"`.
pub fn described(response: &HttpResponse) -> String {
    let status = response.status;
    let leads = response
        .header("location")
        .filter(|_| (300..400).contains(&status))
        .and_then(|location| location.parse::<http::Uri>().ok())
        .and_then(|location| location.host().map(|host| one_line(host, TITLE_LENGTH_MAX)));
    if let Some(host) = leads {
        return format!("HTTP {status}, which leads to `{host}`");
    }
    if response.body.trim_ascii().is_empty() {
        return format!("HTTP {status} without text");
    }
    match title(&response.body) {
        Some(title) => format!("HTTP {status}, the page \"{title}\""),
        None if is_page(response) => format!("HTTP {status}, a page for people"),
        None => format!("HTTP {status}, no error that it would write"),
    }
}

/// Whether whoever asks for a sign-in is not an API: one challenges with `Bearer` (RFC 6750 section 3), a proxy or gateway
/// with another scheme, or shows a page.
pub fn is_of_another_sign_in(response: &HttpResponse) -> bool {
    let mut challenges = response
        .headers
        .iter()
        .filter(|(name, _)| name == "www-authenticate")
        .map(|(_, challenge)| challenge.trim_start().to_ascii_lowercase())
        .peekable();
    match challenges.peek() {
        Some(_) => challenges.all(|challenge| !challenge.starts_with("bearer")),
        None => is_page(response),
    }
}

fn is_page(response: &HttpResponse) -> bool {
    let is_html = response
        .header("content-type")
        .is_some_and(|kind| kind.to_ascii_lowercase().contains("html"));
    is_html || response.body.trim_ascii_start().starts_with(b"<")
}

/// The title of an HTML page.
fn title(body: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&body[..body.len().min(HEAD_BYTES)]);
    // Lowering ASCII letters keeps every position.
    let lower = head.to_ascii_lowercase();
    let tag = lower.find("<title")?;
    let start = tag + lower[tag..].find('>')? + 1;
    let end = start + lower[start..].find("</title")?;
    let title = one_line(head.get(start..end)?.trim(), TITLE_LENGTH_MAX);
    let title = title.replace('"', "'");
    (!title.is_empty()).then_some(title)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> HttpResponse {
        let headers = headers.iter();
        HttpResponse {
            status,
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: Zeroizing::new(body.as_bytes().to_vec()),
        }
    }

    #[test]
    fn a_page_is_told_by_its_title_and_anything_else_by_what_it_lacks() {
        let page = "<html><head><TITLE lang=en>\n Access \"blocked\" </TITLE></head>";
        let to = [("location", "https://portal.example/login?next=x")];
        for (answer, told) in [
            (answer(403, &[], page), "HTTP 403, the page \"Access 'blocked'\""),
            (answer(403, &[], "<html>"), "HTTP 403, a page for people"),
            (
                answer(407, &[("content-type", "Text/HTML")], "x"),
                "HTTP 407, a page for people",
            ),
            (answer(400, &[], " \r\n"), "HTTP 400 without text"),
            (
                answer(302, &to, page),
                "HTTP 302, which leads to `portal.example`",
            ),
            (answer(403, &to, ""), "HTTP 403 without text"),
            (answer(404, &[], "{}"), "HTTP 404, no error that it would write"),
        ] {
            assert_eq!(described(&answer), told);
        }
    }

    #[test]
    fn only_a_challenge_for_a_bearer_or_none_at_all_is_an_api_s() {
        let challenge = |of: &str| answer(401, &[("www-authenticate", of)], "");
        for other in ["NTLM", "Negotiate", "Basic realm=\"proxy\""] {
            assert!(is_of_another_sign_in(&challenge(other)), "{other}");
        }
        assert!(is_of_another_sign_in(&answer(401, &[], "<html>sign in")));
        assert!(!is_of_another_sign_in(&challenge(
            "Bearer error=\"invalid_token\""
        )));
        assert!(!is_of_another_sign_in(&answer(401, &[], "")));
    }

    proptest! {
        #[test]
        fn no_answer_breaks_the_description(body in any::<Vec<u8>>(), location in ".{0,40}", status in 100_u16..600) {
            let mut answer = answer(status, &[("location", &location)], "");
            answer.body = Zeroizing::new([b"<title>", &body[..]].concat());
            let told = described(&answer);
            prop_assert!(told.chars().count() < 200 && !told.chars().any(char::is_control));
        }
    }
}
