//! Keys of platforms: texts that the platforms made, kept as digests.

use std::ops::RangeInclusive;

use bss_model::{Diagnose, Diagnosis, ErrorKind, Secret};

use crate::key_digest::KeyDigest;

/// The lengths of a key: what is shorter can be guessed, and no platform makes longer ones.
const LENGTHS: RangeInclusive<usize> = 16..=512;

/// Error of a text that is no key of a platform.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("what was given is no key of a platform")]
pub struct NotAPlatformKey;

impl Diagnose for NotAPlatformKey {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Invalid, "platform-key-invalid")
            .say("give the key as the platform shows it: 16 to 512 letters, digits and signs without a space")
    }
}

/// A key that a platform made.
#[derive(Clone, Debug)]
pub struct PlatformKey(Secret);

impl PlatformKey {
    /// Reads a key that somebody shows, without the white space around it.
    ///
    /// # Errors
    /// When it is shorter or longer than a key, or not of visible ASCII characters.
    pub fn read(text: &str) -> Result<Self, NotAPlatformKey> {
        let text = text.trim();
        let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        match is_visible && LENGTHS.contains(&text.len()) {
            true => Ok(Self(Secret::new(text))),
            false => Err(NotAPlatformKey),
        }
    }

    /// The digest of the key.
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "xWza0Zb1c2d3e4f5g6h7RQ=";

    #[test]
    fn a_key_is_known_by_its_digest_and_no_other_is() {
        let key = PlatformKey::read(KEY).unwrap();
        assert!(
            PlatformKey::read(&format!(" {KEY}\r\n"))
                .unwrap()
                .digest()
                .is_same(&key.digest())
        );
        let other = PlatformKey::read(&KEY.to_lowercase()).unwrap();
        assert!(!other.digest().is_same(&key.digest()));
        assert!(!key.digest().is_same(&KeyDigest::from_bytes(Vec::new())));
        assert!(!format!("{key:?}").contains(KEY));
    }

    #[test]
    fn a_key_is_neither_short_nor_long_nor_of_other_characters() {
        for fine in ["x".repeat(16), "~".repeat(512)] {
            assert!(PlatformKey::read(&fine).is_ok(), "{fine}");
        }
        let (short, long) = ("x".repeat(15), "x".repeat(513));
        for wrong in [
            "",
            &short,
            &long,
            "xWza0Zb1c2d3 4f5g6h7",
            "xWza0Zb1c2d3ä4f5g6h7",
            "xWza0Zb1c2d3\n4f5g6h7",
        ] {
            assert_eq!(PlatformKey::read(wrong).unwrap_err(), NotAPlatformKey, "{wrong}");
        }
    }
}
