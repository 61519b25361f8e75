//! Contacts that look wrong although they could be right: whoever typed them is told, and nothing is refused.

/// Ends of names that no mail server of the public Internet has (RFC 2606, RFC 6761, RFC 6762).
const PRIVATE_ENDS: [&str; 4] = ["local", "localhost", "invalid", "internal"];

/// What looks wrong with an address and with a language, as sentences without an end. Empty: nothing does.
///
/// ```
/// use bss_model::contact_doubts;
///
/// assert!(contact_doubts(Some("it@beispiel.example"), Some("de-DE")).is_empty());
/// assert_eq!(contact_doubts(Some("jane@x"), Some("klingon")).len(), 2);
/// ```
pub fn contact_doubts(email: Option<&str>, language: Option<&str>) -> Vec<String> {
    let of_email = email.and_then(of_email);
    of_email
        .into_iter()
        .chain(language.and_then(of_language))
        .collect()
}

fn of_email(email: &str) -> Option<String> {
    let (_, domain) = email.rsplit_once('@')?;
    let end = domain.rsplit('.').next().unwrap_or_default().to_lowercase();
    let is_wrong = !domain.contains('.') || PRIVATE_ENDS.contains(&end.as_str());
    is_wrong.then(|| format!("`{email}` looks wrong: no mail server of the Internet is named `{domain}`"))
}

/// A language is named by two or three letters; longer names are none that is registered (RFC 5646 section 2.2.1).
fn of_language(language: &str) -> Option<String> {
    let name = language.split('-').next().unwrap_or_default();
    let is_right = (2..=3).contains(&name.len()) && name.bytes().all(|letter| letter.is_ascii_alphabetic());
    (!is_right).then(|| {
        format!("`{language}` looks wrong: a language is written as in `de` or `de-DE`; e-mails are in English otherwise")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_of_nobody_s_and_a_language_without_a_code_look_wrong_and_others_do_not() {
        for email in ["it@localhost", "it@server.local", "it@x.INVALID"] {
            assert!(of_email(email).is_some(), "{email}");
        }
        for email in ["it@beispiel.example", "it@a.b.co.uk", "it@localhost.example"] {
            assert_eq!(of_email(email), None);
        }
        for language in ["klingon", "x", "d1-DE", ""] {
            assert!(of_language(language).is_some(), "{language}");
        }
        for language in ["de", "de-DE", "zh-Hant-TW", "gsw"] {
            assert_eq!(of_language(language), None);
        }
    }
}
