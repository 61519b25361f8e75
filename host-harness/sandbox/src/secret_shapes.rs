//! The shapes by which a product key, a link or an access token is told in a text of which nothing else is known.

use std::borrow::Cow;

/// What stands in place of a removed secret. In a recording, it stands for any text.
pub(crate) const REMOVED: &str = "[removed]";

/// The fewest groups of a product key; two numbers joined by a hyphen are common.
const GROUPS_MIN: usize = 3;

/// The fewest characters of a product key's group: dates and version numbers have fewer.
const GROUP_CHARS_MIN: usize = 3;

/// The lengths of a GUID's groups.
const GUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

/// The fewest characters of a token that begins as a JSON Web Token does; a word that begins so by chance is shorter.
const TOKEN_CHARS_MIN: usize = 16;

/// The groups of a text that looks like a product key: several of equal length, in capital letters and digits.
pub(crate) fn groups(text: &str) -> Option<Vec<&str>> {
    let groups: Vec<&str> = text.split('-').collect();
    (key_groups(&groups, false) == groups.len()).then_some(groups)
}

/// The number of groups at the beginning that look like those of one product key; 0 where they are none. `may_be_cut`: the
/// last group may have had more characters.
fn key_groups(groups: &[&str], may_be_cut: bool) -> usize {
    let length = groups.first().map_or(0, |group| group.len());
    let is_key = |group: &str| {
        group
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    let whole = groups
        .iter()
        .take_while(|group| group.len() == length && is_key(group))
        .count();
    let cut = match groups.get(whole..) {
        Some([last]) if may_be_cut && whole > 1 && last.len() < length && is_key(last) => 1,
        _ => 0,
    };
    match whole + cut >= GROUPS_MIN && length >= GROUP_CHARS_MIN {
        true => whole + cut,
        false => 0,
    }
}

/// Whether these are the groups of a GUID, which names something and is no secret.
fn is_guid(groups: &[&str]) -> bool {
    groups.iter().map(|group| group.len()).eq(GUID_GROUPS)
}

/// What stays of an address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OfAddress {
    /// The server: a path or a query may be a secret as a whole, as those of an activation link are.
    Server,
    /// All that is no secret itself.
    Harmless,
}

/// A text without what looks like a secret. Of an address, the server stays.
pub(crate) fn without_secrets(text: &str) -> Cow<'_, str> {
    without(text, OfAddress::Server)
}

/// A text without product keys, access tokens and passwords. Addresses stay: somebody has said that they open nothing.
pub(crate) fn without_credentials(text: &str) -> Cow<'_, str> {
    without(text, OfAddress::Harmless)
}

fn without(text: &str, of_address: OfAddress) -> Cow<'_, str> {
    // Nearly all lines have neither.
    if !text.contains(['-', ':']) && !text.contains("eyJ") && !has_bearer(text) {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let (mut rest, mut is_credential) = (text, false);
    while !rest.is_empty() {
        let end = rest.find(ends_word).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if is_credential && !word.is_empty() {
            kept.push_str(REMOVED);
        } else {
            push_word(&mut kept, word, after.is_empty(), of_address);
        }
        is_credential = match word {
            "" => is_credential,
            word => word.eq_ignore_ascii_case("bearer"),
        };
        let between = after.find(|c| !ends_word(c)).unwrap_or(after.len());
        kept.push_str(&after[..between]);
        rest = &after[between..];
    }
    Cow::Owned(kept)
}

fn has_bearer(text: &str) -> bool {
    text.as_bytes()
        .windows("bearer".len())
        .any(|window| window.eq_ignore_ascii_case(b"bearer"))
}

/// Whether a character stands around an address or a token, and in none.
fn ends_word(character: char) -> bool {
    character.is_whitespace()
        || matches!(
            character,
            '"' | '\'' | '`' | '<' | '>' | '(' | ')' | '{' | '}' | ',' | ';' | '\\'
        )
}

/// Adds a word without its secrets. `is_last`: it may have been cut.
fn push_word(kept: &mut String, word: &str, is_last: bool, of_address: OfAddress) {
    match word.split_once("://") {
        Some((scheme, address)) => {
            kept.push_str(scheme);
            kept.push_str("://");
            match of_address {
                OfAddress::Server => push_server(kept, address),
                OfAddress::Harmless => push_address(kept, address, is_last),
            }
        }
        None => push_tokens(kept, word, is_last),
    }
}

/// Adds an address without the name and the password before its server, which are none of a harmless one.
fn push_address(kept: &mut String, address: &str, is_last: bool) {
    let authority = address.split(['/', '?', '#']).next().unwrap_or_default();
    let rest = match authority.rsplit_once('@') {
        Some((before, _)) => {
            kept.push_str(REMOVED);
            &address[before.len()..]
        }
        None => address,
    };
    push_tokens(kept, rest, is_last);
}

/// Adds an address's server.
fn push_server(kept: &mut String, address: &str) {
    // What stands before an `@` is a password, which may hold any character.
    if address.contains('@') {
        kept.push_str(REMOVED);
        return;
    }
    let server = address.split(['/', '?', '#']).next().unwrap_or_default();
    kept.push_str(server);
    if address.len() > server.len() + 1 {
        kept.push('/');
        kept.push_str(REMOVED);
    }
}

/// Adds a word that is no address.
fn push_tokens(kept: &mut String, word: &str, is_last: bool) {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut rest = word;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (token, after) = rest.split_at(end);
        match token.starts_with("eyJ") && token.len() >= TOKEN_CHARS_MIN {
            true => kept.push_str(REMOVED),
            false => push_groups(kept, token, is_last && after.is_empty()),
        }
        let between = after.find(is_part).unwrap_or(after.len());
        kept.push_str(&after[..between]);
        rest = &after[between..];
    }
}

/// Adds a token, in which a product key may stand between other groups. `is_last`: it may have been cut.
fn push_groups(kept: &mut String, token: &str, is_last: bool) {
    let mut rest = token;
    while !rest.is_empty() {
        let end = rest.find(['_', '.']).map_or(rest.len(), |end| end + 1);
        let (part, after) = rest.split_at(end);
        let text = part.trim_end_matches(['_', '.']);
        let groups: Vec<&str> = text.split('-').collect();
        let mut at = 0;
        while at < groups.len() {
            if at > 0 {
                kept.push('-');
            }
            let of_key = match is_guid(&groups) {
                true => 0,
                false => key_groups(&groups[at..], is_last && after.is_empty()),
            };
            match of_key {
                0 => kept.push_str(groups[at]),
                _ => kept.push_str(REMOVED),
            }
            at += of_key.max(1);
        }
        kept.push_str(&part[text.len()..]);
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_key_a_link_and_an_access_token_are_removed_wherever_they_stand() {
        for (text, kept) in [
            ("3F9KD-11111-22222-33333-X4Y5Z", "[removed]"),
            ("key=3F9KD-11111-22222-33333-X4Y5Z!", "key=[removed]!"),
            (
                "{\"productKey\":\"3F9KD-11111-22222-33333-X4Y5Z\"}",
                "{\"productKey\":\"[removed]\"}",
            ),
            ("esd-3F9KD-11111-22222-33333-X4Y5Z.", "esd-[removed]."),
            ("cut: 3F9KD-11111-22222-33", "cut: [removed]"),
            (
                "at https://a.test/redeem?t=secret, then",
                "at https://a.test/[removed], then",
            ),
            ("https://user:secret@a.test/", "https://[removed]"),
            ("https://a.test/?k=a@secret/x", "https://[removed]"),
            ("https://a.test:8443", "https://a.test:8443"),
            ("eyJhbGciOiJQUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln_-", "[removed]"),
            (
                "Authorization: Bearer c2VjcmV0",
                "Authorization: Bearer [removed]",
            ),
        ] {
            assert_eq!(without_secrets(text), kept, "{text}");
        }
    }

    #[test]
    fn of_a_harmless_address_only_a_secret_in_it_is_removed() {
        for (text, kept) in [
            ("https://a.test/offers/1?page=2", "https://a.test/offers/1?page=2"),
            (
                "see https://a.test/keys/3F9KD-11111-22222-33333-X4Y5Z?x=1, then",
                "see https://a.test/keys/[removed]?x=1, then",
            ),
            (
                "https://user:secret@a.test/offers",
                "https://[removed]@a.test/offers",
            ),
            (
                "Bearer c2VjcmV0 at https://a.test/x",
                "Bearer [removed] at https://a.test/x",
            ),
            (
                "https://a.test/?next=eyJhbGciOiJQUzI1NiJ9",
                "https://a.test/?next=[removed]",
            ),
        ] {
            assert_eq!(without_credentials(text), kept, "{text}");
        }
    }

    #[test]
    fn what_names_a_place_a_time_or_a_thing_stays() {
        for text in [
            "",
            "thread 'main' panicked at src/license_order.rs:122:9:",
            "/build/vendored-6f17d22bba15001f/serde_json-1.0.1/src/de.rs:1:2",
            "2026-11-22T10:00:00Z, version 1.2.3-rc.1, AB-CD-EF, 3F9KD-11111",
            "3B0C9F2E-0000-4000-8000-000000000001",
            "- größe -- \u{1f600}, eyJ",
        ] {
            assert_eq!(without_secrets(text), text);
        }
    }

    #[test]
    fn any_text_is_taken() {
        let pieces = [
            "-", "A1B", "://", "@", "é", " ", "eyJ", "bearer", "_", ".", "\"", "/", "ABC-DEF-",
        ];
        for first in pieces {
            for second in pieces {
                for third in pieces {
                    let text = [first, second, third, first].concat();
                    assert!(!without_secrets(&text).is_empty(), "{text}");
                }
            }
        }
    }
}
