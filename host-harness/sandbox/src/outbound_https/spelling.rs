//! The ways in which an answer may spell a secret: as it is or in other case, as JSON, URLs and HTML escape it, and in base64.

use bss_model::Secret;
use data_encoding::{BASE64, BASE64URL};

/// The most bytes in which a byte of a secret is spelled: `\u002b`, `&#x2B;`, `&quot;`.
const BYTES_PER_BYTE: usize = 6;

/// Secrets, by all their spellings.
pub(super) struct Spelled {
    secrets: Vec<Secret>,
    /// What base64 makes of each secret, wherever it stands in what is encoded.
    encoded: Vec<Secret>,
}

impl Spelled {
    pub(super) fn of<'a>(secrets: impl Iterator<Item = &'a Secret>) -> Self {
        let secrets: Vec<Secret> = secrets
            .filter(|secret| !secret.expose().is_empty())
            .cloned()
            .collect();
        let encoded = secrets.iter().flat_map(encodings).collect();
        Self { secrets, encoded }
    }

    /// The length of the longest spelling.
    pub(super) fn longest(&self) -> usize {
        let secrets = self
            .secrets
            .iter()
            .map(|secret| secret.expose().len() * BYTES_PER_BYTE);
        let encoded = self.encoded.iter().map(|encoded| encoded.expose().len());
        secrets.chain(encoded).max().unwrap_or_default()
    }

    /// Whether a secret is in a text.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        !self.found_in(text, text.len()).is_empty()
    }

    /// Writes over every secret in a text, and returns whether there was one.
    pub(super) fn write_over(&self, text: &mut [u8]) -> bool {
        let found = self.found_in(text, text.len());
        for (from, end) in &found {
            text[*from..*end].fill(b'*');
        }
        !found.is_empty()
    }

    /// Where secrets begin within so many bytes of a text, and where each ends.
    pub(super) fn found_in(&self, text: &[u8], begins_within: usize) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for from in 0..begins_within.min(text.len()) {
            let rest = &text[from..];
            let secrets = self
                .secrets
                .iter()
                .filter_map(|secret| spelled(rest, secret.expose().as_bytes()));
            let encoded = self.encoded.iter().map(|encoded| encoded.expose().as_bytes());
            let encoded = encoded
                .filter(|encoded| rest.starts_with(encoded))
                .map(<[u8]>::len);
            if let Some(length) = secrets.chain(encoded).max() {
                found.push((from, from + length));
            }
        }
        found
    }
}

/// The length of the longest spelling of a secret with which a text begins.
fn spelled(text: &[u8], secret: &[u8]) -> Option<usize> {
    // A byte may be spelled in several ways that differ in length, so that there are several places to go on from.
    let mut places = vec![0];
    for byte in secret {
        let mut next: Vec<usize> = Vec::new();
        for place in places {
            let rest = text.get(place..).unwrap_or_default();
            for length in lengths(rest, *byte) {
                if !next.contains(&(place + length)) {
                    next.push(place + length);
                }
            }
        }
        if next.is_empty() {
            return None;
        }
        places = next;
    }
    places.into_iter().max()
}

/// The lengths of the spellings of a byte with which a text begins.
fn lengths(text: &[u8], byte: u8) -> impl Iterator<Item = usize> {
    let is = |spelled: u8| spelled.eq_ignore_ascii_case(&byte);
    let (plain, escaped) = match text {
        [one, ..] if is(*one) => (Some(1), None),
        [b'\\', one, ..] if is(*one) => (None, Some(2)),
        _ => (None, None),
    };
    let escaped = match text {
        // A backslash is both itself and the beginning of an escape.
        [b'\\', one, ..] if is(*one) => Some(2),
        _ => escaped,
    };
    let coded = match text {
        [b'%', high, low, ..] if is_byte(&[*high, *low], 16, byte) => Some(3),
        [b'\\', b'u' | b'U', b'0', b'0', high, low, ..] if is_byte(&[*high, *low], 16, byte) => Some(6),
        [b'\\', b'x' | b'X', high, low, ..] if is_byte(&[*high, *low], 16, byte) => Some(4),
        [b'&', rest @ ..] => entity(rest, byte).map(|length| length + 1),
        _ => None,
    };
    [plain, escaped, coded].into_iter().flatten()
}

/// The length of an HTML entity for a byte, without its `&`.
fn entity(text: &[u8], byte: u8) -> Option<usize> {
    let end = text
        .iter()
        .take(BYTES_PER_BYTE - 1)
        .position(|one| *one == b';')?;
    let is_meant = match &text[..end] {
        [b'#', b'x' | b'X', digits @ ..] => is_byte(digits, 16, byte),
        [b'#', digits @ ..] => is_byte(digits, 10, byte),
        b"amp" => byte == b'&',
        b"lt" => byte == b'<',
        b"gt" => byte == b'>',
        b"quot" => byte == b'"',
        b"apos" => byte == b'\'',
        _ => false,
    };
    is_meant.then_some(end + 1)
}

/// Whether digits are a byte's number, in either case where it is a letter.
fn is_byte(digits: &[u8], radix: u32, byte: u8) -> bool {
    let number = std::str::from_utf8(digits).ok();
    let number = number.and_then(|digits| u8::from_str_radix(digits, radix).ok());
    number.is_some_and(|number| number.eq_ignore_ascii_case(&byte))
}

/// What base64 makes of a secret that stands in a longer text: the digits that no neighbor changes, for each of the three
/// places where the secret may begin, in both alphabets.
fn encodings(secret: &Secret) -> impl Iterator<Item = Secret> {
    let secret = secret.clone();
    [BASE64, BASE64URL].into_iter().flat_map(move |alphabet| {
        let secret = secret.clone();
        (0..3_usize).map(move |before| {
            let bytes = zeroize::Zeroizing::new([&vec![0; before], secret.expose().as_bytes()].concat());
            let digits = alphabet.encode(&bytes);
            // Digits have 6 bits: those that the bytes before have a part in, and those after the last whole one.
            let (first, last) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
            Secret::new(&digits[first..last])
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ak-9_Z+q/7==&\\\"<";

    fn hidden(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        Spelled::of([Secret::new(KEY)].iter()).write_over(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn every_spelling_is_found_whole_and_nothing_else_is() {
        for spelled in [
            KEY,
            "AK-9_Z+Q/7==&\\\"<",
            r#"ak-9_Z+q/7==&\\\"<"#,
            r#"ak-9_Z+q\/7==&\\\"<"#,
            r#"ak-9_Z\u002Bq/7==\u0026\\\u0022\u003c"#,
            "ak-9_Z%2Bq%2F7%3D%3D%26%5C%22%3C",
            "ak%2d9%5fZ%2bq%2f7%3d%3d%26%5c%22%3c",
            "ak-9_Z&#x2B;q/7==&amp;\\&quot;&lt;",
            "ak-9_Z&#43;q/7==&#38;&#92;&#34;&#60;",
        ] {
            let found = hidden(&format!("a {spelled} z"));
            assert_eq!(found, format!("a {} z", "*".repeat(spelled.len())), "{spelled}");
        }
        for other in [
            "ak-9_Z+q/7==&\\\"",
            "ak-8_Z+q/7==&\\\"<",
            "ak-9_Z%2Cq/7==&\\\"<",
            "",
        ] {
            assert_eq!(hidden(other), other);
        }
    }

    #[test]
    fn base64_of_a_text_that_has_a_secret_in_it_does_not_tell_the_secret() {
        for before in ["", "u", "us", "user:", "Basic "] {
            for after in ["", "x", ":password"] {
                for alphabet in [BASE64, BASE64URL] {
                    let encoded = alphabet.encode(format!("{before}{KEY}{after}").as_bytes());
                    let found = hidden(&encoded);
                    // Of the first and the last byte, parts of a digit may stay.
                    assert!(
                        found.contains(&"*".repeat(KEY.len() * 8 / 6 - 2)),
                        "{encoded} {found}"
                    );
                }
            }
        }
        assert_eq!(
            hidden(&BASE64.encode(b"another key, of nobody")),
            BASE64.encode(b"another key, of nobody")
        );
    }

    #[test]
    fn no_spelling_is_longer_than_is_held_back_for_it() {
        let secrets = Spelled::of([Secret::new("++++++++")].iter());
        let longest = "\\u002b".repeat(8);
        assert!(secrets.is_in(longest.as_bytes()) && longest.len() <= secrets.longest());
    }
}
