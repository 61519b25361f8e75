//! Keys of API clients: made at random, shown once, and kept as digests.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use bss_model::{Diagnose, Diagnosis, ErrorKind, Secret};
use data_encoding::BASE64URL_NOPAD;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::key_digest::KeyDigest;

/// What a key begins with, so that whoever finds one knows what it is.
const PREFIX: &str = "bsk_";

/// The random part. Nobody guesses 256 bits, so a digest that is quick to make is enough.
const SECRET_BYTES: usize = 32;

/// Error of a key that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("no API key could be made")]
pub struct ApiKeyNotMade(#[from] Unspecified);

impl Diagnose for ApiKeyNotMade {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Unavailable, "api-key-not-made").say("try again")
    }
}

/// A key of an API client: `bsk_`, the client's id, `_`, and 256 random bits.
pub struct ApiKey {
    client: Uuid,
    text: Secret,
}

impl ApiKey {
    /// Makes a key of a client.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate(client: Uuid) -> Result<Self, ApiKeyNotMade> {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        SystemRandom::new().fill(&mut *secret)?;
        let secret = Zeroizing::new(BASE64URL_NOPAD.encode(&*secret));
        Ok(Self {
            client,
            text: Secret::new(format!("{PREFIX}{}_{}", client.simple(), *secret)),
        })
    }

    /// Reads a key that somebody shows. `None`: it can't be one.
    pub fn read(text: &str) -> Option<Self> {
        let (client, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        // A key has one spelling: its digest is taken of the text.
        let is_simple = client.len() == 32
            && client
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let client = Uuid::try_parse(client).ok().filter(|_| is_simple)?;
        let is_whole = BASE64URL_NOPAD.decode_len(secret.len()) == Ok(SECRET_BYTES);
        is_whole.then(|| Self {
            client,
            text: Secret::new(text),
        })
    }

    /// The client whose key it says it is.
    pub fn client(&self) -> Uuid {
        self.client
    }

    /// The key itself, to be shown once.
    pub fn text(&self) -> &Secret {
        &self.text
    }

    /// The digest of the key.
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_made_and_no_two_are_alike() {
        let client = Uuid::from_u128(7);
        let (key, other) = (
            ApiKey::generate(client).unwrap(),
            ApiKey::generate(client).unwrap(),
        );
        let read = ApiKey::read(key.text().expose()).unwrap();
        assert_eq!(read.client(), client);
        assert!(read.digest().is_same(&key.digest()));
        assert!(!read.digest().is_same(&other.digest()));
        assert!(!read.digest().is_same(&KeyDigest::from_bytes(Vec::new())));
    }

    #[test]
    fn what_can_be_no_key_is_not_read() {
        let key = ApiKey::generate(Uuid::from_u128(7)).unwrap();
        let text = key.text().expose();
        for wrong in [
            "",
            "bsk_",
            "bsk__",
            &text[1..],
            &text[..text.len() - 1],
            &format!("{text}A"),
            &format!(" {text}"),
            &text.replacen("bsk_0", "bsk_F", 1),
            "bsk_00000000-0000-0000-0000-000000000007_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(ApiKey::read(wrong).is_none(), "{wrong}");
        }
        // Another spelling of the same bits is another key.
        for last in ["A", "B", "8", "-"]
            .into_iter()
            .filter(|last| !text.ends_with(last))
        {
            let other = format!("{}{last}", &text[..text.len() - 1]);
            assert!(
                !ApiKey::read(&other).unwrap().digest().is_same(&key.digest()),
                "{other}"
            );
        }
    }
}
