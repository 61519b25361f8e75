//! A key of 256 bits, and what it seals and opens.
//!
//! A sealed value says in its first byte how it is made, and that byte is authenticated, so that neither form can be passed
//! off as the other:
//!
//! | form | bytes | authenticated beside the text |
//! |---|---|---|
//! | 1, until several keys could be there | `1 ‖ nonce ‖ ciphertext ‖ tag` | `1 ‖ purpose` |
//! | 2 | `2 ‖ key id ‖ nonce ‖ ciphertext ‖ tag` | `2 ‖ key id ‖ purpose` |

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{hmac, rand};
use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::key_id::{KEY_ID_BYTES, KeyId};

/// The length of the key: AES-256 takes 256 bits.
const KEY_BYTES: usize = 32;
/// The nonce that NIST SP 800-38D recommends for GCM.
const NONCE_BYTES: usize = 12;
/// The form without a key id.
const FORM_1: u8 = 1;
/// The form with a key id.
const FORM_2: u8 = 2;
/// What stands before the nonce in the second form.
pub(crate) const PREFIX_BYTES: usize = 1 + KEY_ID_BYTES;

/// A key of 256 bits.
pub(crate) struct SealingKey {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    id: KeyId,
}

/// A sealed value in its parts.
pub(crate) struct Sealed<'v> {
    /// The key that opens it. `None`: the first form does not say.
    pub(crate) key: Option<KeyId>,
    nonce: &'v [u8],
    ciphertext: &'v [u8],
}

impl<'v> Sealed<'v> {
    /// The parts of a value. `None`: nothing that was ever sealed looks like it.
    pub(crate) fn parse(value: &'v [u8]) -> Option<Self> {
        let (&form, rest) = value.split_first()?;
        let (key, rest) = match form {
            FORM_1 => (None, rest),
            FORM_2 => {
                let (id, rest) = rest.split_first_chunk::<KEY_ID_BYTES>()?;
                (Some(KeyId::from_bytes(*id)), rest)
            }
            _ => return None,
        };
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_BYTES)?;
        Some(Self {
            key,
            nonce,
            ciphertext,
        })
    }
}

impl SealingKey {
    /// A new random key. `None`: the operating system gives no random bytes.
    pub(crate) fn generate() -> Option<Self> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        rand::fill(bytes.as_mut_slice()).ok()?;
        Some(Self::new(bytes))
    }

    /// The key of a base64 text. `None`: it is none.
    pub(crate) fn from_base64(text: &str) -> Option<Self> {
        let decoded = Zeroizing::new(BASE64.decode(text.as_bytes()).ok()?);
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        if decoded.len() != KEY_BYTES {
            return None;
        }
        bytes.copy_from_slice(&decoded);
        Some(Self::new(bytes))
    }

    fn new(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let id = KeyId::of(bytes.as_slice());
        Self { bytes, id }
    }

    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    /// Whether both are one key. Takes the same time whatever the answer is.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        verify_slices_are_equal(self.bytes.as_slice(), other.bytes.as_slice()).is_ok()
    }

    pub(crate) fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64.encode(self.bytes.as_slice()))
    }

    /// What every value begins with that the key seals.
    pub(crate) fn prefix(&self) -> [u8; PREFIX_BYTES] {
        let mut prefix = [FORM_2; PREFIX_BYTES];
        for (byte, id) in prefix.iter_mut().skip(1).zip(self.id.as_bytes()) {
            *byte = *id;
        }
        prefix
    }

    /// The HMAC (RFC 2104) of a text, with SHA-256.
    pub(crate) fn sign(&self, text: &str) -> hmac::Tag {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.bytes.as_slice());
        hmac::sign(&key, text.as_bytes())
    }

    /// Seals a text in the second form. `None`: the cryptography library refuses.
    pub(crate) fn seal(&self, purpose: &str, plaintext: &[u8]) -> Option<Vec<u8>> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, self.bytes.as_slice()).ok()?;
        // Room for the tag, so that no copy of the plaintext stays behind when the buffer grows.
        let mut buffer = Vec::with_capacity(plaintext.len() + AES_256_GCM.tag_len());
        buffer.extend_from_slice(plaintext);
        let data = Aad::from(associated_data(Some(self.id), purpose));
        let nonce = key.seal_in_place_append_tag(data, &mut buffer).ok()?;
        let mut sealed = Vec::with_capacity(PREFIX_BYTES + NONCE_BYTES + buffer.len());
        sealed.extend_from_slice(&self.prefix());
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut buffer);
        Some(sealed)
    }

    /// Opens a value of either form. `None`: another key or purpose sealed it, or it was altered.
    pub(crate) fn open(&self, purpose: &str, sealed: &Sealed<'_>) -> Option<Zeroizing<Vec<u8>>> {
        if sealed.key.is_some_and(|key| key != self.id) {
            return None;
        }
        let nonce = Nonce::try_assume_unique_for_key(sealed.nonce).ok()?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, self.bytes.as_slice()).ok()?;
        let mut buffer = Zeroizing::new(sealed.ciphertext.to_vec());
        let data = Aad::from(associated_data(sealed.key, purpose));
        let plaintext_bytes = key.open_in_place(nonce, data, &mut buffer).ok()?.len();
        buffer.truncate(plaintext_bytes);
        Some(buffer)
    }

    /// Seals a text in the first form, as programs did that knew one key.
    #[cfg(test)]
    pub(crate) fn seal_in_form_1(&self, purpose: &str, plaintext: &[u8]) -> Vec<u8> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, self.bytes.as_slice()).unwrap();
        let mut buffer = plaintext.to_vec();
        let data = Aad::from(associated_data(None, purpose));
        let nonce = key.seal_in_place_append_tag(data, &mut buffer).unwrap();
        [&[FORM_1], nonce.as_ref().as_slice(), &buffer].concat()
    }
}

/// What is authenticated of a value beside its text.
fn associated_data(key: Option<KeyId>, purpose: &str) -> Vec<u8> {
    match &key {
        None => [&[FORM_1], purpose.as_bytes()].concat(),
        Some(id) => [&[FORM_2], id.as_bytes().as_slice(), purpose.as_bytes()].concat(),
    }
}
