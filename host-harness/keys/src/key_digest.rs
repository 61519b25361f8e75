//! Digests of keys: what a record has of a key that opens something.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use bss_model::Secret;

/// The SHA-256 of a key. The digest opens nothing. Not printed all the same: of a short key, who has it can try all others.
#[derive(Clone)]
pub struct KeyDigest(Vec<u8>);

impl KeyDigest {
    /// The digest of a key.
    pub fn of(key: &Secret) -> Self {
        let digest = digest::digest(&digest::SHA256, key.expose().as_bytes());
        Self(digest.as_ref().to_vec())
    }

    /// The digest that a database has.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, for a database.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether both are of one key. Takes the same time whatever the answer is.
    pub fn is_same(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest([elided])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_of_one_key_and_is_never_printed() {
        let of = |text: &str| KeyDigest::of(&Secret::new(text));
        assert!(of("a").is_same(&KeyDigest::from_bytes(of("a").as_bytes().to_vec())));
        assert!(!of("a").is_same(&of("A")));
        assert!(!of("a").is_same(&KeyDigest::from_bytes(Vec::new())));
        assert_eq!(format!("{:?}", of("a")), "KeyDigest([elided])");
    }
}
