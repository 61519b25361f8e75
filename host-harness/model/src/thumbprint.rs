//! The name of a certificate: the SHA-1 of its DER form.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXUPPER;
use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};

use crate::diagnosis::{Diagnose, Diagnosis, ErrorKind};

/// The length of a SHA-1 digest: 160 bits.
const SHA1_BYTES: usize = 20;

/// The SHA-1 of a certificate's DER form, shown as 40 upper-case hexadecimal digits.
///
/// Windows and vendors name certificates in the same way; nothing relies on SHA-1 being free of collisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Thumbprint([u8; SHA1_BYTES]);

/// Error of a text that is no thumbprint.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not a certificate thumbprint of 40 hexadecimal digits")]
pub struct NotAThumbprint {
    /// The text that was given, shortened.
    text: String,
}

impl Diagnose for NotAThumbprint {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Invalid, "not-a-thumbprint")
            .say("spaces and colons between the digits are ignored")
    }
}

impl Thumbprint {
    /// The thumbprint of a certificate in DER form.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha1::digest(certificate).into())
    }

    /// The 20 bytes.
    pub fn as_bytes(&self) -> &[u8; SHA1_BYTES] {
        &self.0
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&HEXUPPER.encode(&self.0))
    }
}

impl From<Thumbprint> for String {
    fn from(thumbprint: Thumbprint) -> Self {
        thumbprint.to_string()
    }
}

impl TryFrom<String> for Thumbprint {
    type Error = NotAThumbprint;

    fn try_from(text: String) -> Result<Self, NotAThumbprint> {
        text.parse()
    }
}

impl FromStr for Thumbprint {
    type Err = NotAThumbprint;

    /// Reads hexadecimal digits of any case. Blanks and colons are ignored, and so is the invisible
    /// left-to-right mark that the Windows certificate dialog puts before the first digit.
    fn from_str(text: &str) -> Result<Self, NotAThumbprint> {
        let digits: String = text
            .chars()
            .filter(|c| !c.is_whitespace() && *c != ':' && *c != '\u{200e}')
            .collect();
        let not_a_thumbprint = || NotAThumbprint {
            text: text
                .chars()
                .take(64)
                .collect::<String>()
                .escape_debug()
                .to_string(),
        };
        HEXUPPER
            .decode(digits.to_ascii_uppercase().as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(not_a_thumbprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "A9993E364706816ABA3E25717850C26C9CD0D89D";

    #[test]
    fn it_is_the_sha1_in_upper_case() {
        // FIPS 180-4: the digest of "abc".
        assert_eq!(Thumbprint::of(b"abc").to_string(), DIGITS);
    }

    #[test]
    fn it_is_read_in_every_common_spelling() {
        let expected: Thumbprint = DIGITS.parse().unwrap();
        let spaced = "\u{200e}a9 99 3e 36 47 06 81 6a ba 3e 25 71 78 50 c2 6c 9c d0 d8 9d ";
        assert_eq!(spaced.parse(), Ok(expected));
        let colons = "A9:99:3E:36:47:06:81:6A:BA:3E:25:71:78:50:C2:6C:9C:D0:D8:9D";
        assert_eq!(colons.parse(), Ok(expected));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "A9",
            &DIGITS[1..],
            &format!("{DIGITS}0"),
            &DIGITS.replace('A', "G"),
        ] {
            assert!(text.parse::<Thumbprint>().is_err(), "{text}");
        }
    }
}
