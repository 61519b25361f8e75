//! Ids of host keys: by which a sealed value says which key opens it.

use std::fmt;

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;

/// The length of an id. Four bytes tell a handful of keys apart, and say nothing about 256 bits.
pub(crate) const KEY_ID_BYTES: usize = 4;
/// What is digested before the key, so that an id is no digest that anything else makes of it.
const DOMAIN: &[u8] = b"id of a host key\0";

/// The id of a host key: the first bytes of a SHA-256 of the key. Shown as eight hexadecimal digits; no secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; KEY_ID_BYTES]);

impl KeyId {
    /// The id of a key's bytes.
    pub(crate) fn of(key: &[u8]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(DOMAIN);
        context.update(key);
        let mut id = [0; KEY_ID_BYTES];
        for (byte, digested) in id.iter_mut().zip(context.finish().as_ref()) {
            *byte = *digested;
        }
        Self(id)
    }

    /// The id that stands in a sealed value.
    pub(crate) fn from_bytes(bytes: [u8; KEY_ID_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes, as a sealed value has them.
    pub(crate) fn as_bytes(&self) -> &[u8; KEY_ID_BYTES] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeyId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_same_in_every_version_of_the_program() {
        // sha256("id of a host key\0" and 32 bytes of 7), by another implementation (Python's hashlib).
        assert_eq!(KeyId::of(&[7; 32]).to_string(), "07cd907a");
        assert_ne!(KeyId::of(&[7; 32]), KeyId::of(&[8; 32]));
    }
}
