//! The host key: seals secrets, so that a copy of the database alone tells nobody anything.

use std::fmt;

use aws_lc_rs::hmac;
use bss_model::Secret;
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use crate::host_key_error::HostKeyError;
use crate::key_id::KeyId;
use crate::sealing_key::{PREFIX_BYTES, Sealed, SealingKey};

/// The most keys that a host key is made of: the one that seals, and former ones. A rotation needs two.
pub(crate) const KEYS_MAX: usize = 8;
/// The longest text that a host key is read from: all keys in base64, and blanks; anything longer is something else.
pub const KEYS_TEXT_BYTES_MAX: usize = 1024;

/// The host key: a key of 256 bits that seals secrets, and others beside it that open what they once sealed, or will seal
/// once each host has them.
pub struct HostKey {
    first: SealingKey,
    others: Vec<SealingKey>,
}

impl HostKey {
    /// A new random key.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn generate() -> Result<Self, HostKeyError> {
        SealingKey::generate()
            .map(|first| Self {
                first,
                others: Vec::new(),
            })
            .ok_or(HostKeyError::NotMade)
    }

    /// A key from its base64 form, or several, one a line (a blank between them does as well), of which the first seals and
    /// all open. A key that is named twice counts once. `origin` says in an error where the text came from.
    ///
    /// # Errors
    /// When the text is not the base64 form of exactly 32 bytes, once or several times.
    pub fn from_base64(text: &str, origin: &str) -> Result<Self, HostKeyError> {
        let not_a_key = || HostKeyError::NotAKey {
            origin: origin.to_owned(),
        };
        if text.len() > KEYS_TEXT_BYTES_MAX {
            return Err(not_a_key());
        }
        let mut words = text.split_whitespace();
        let key = |word| SealingKey::from_base64(word).ok_or_else(not_a_key);
        let mut keys = Self {
            first: key(words.next().ok_or_else(not_a_key)?)?,
            others: Vec::new(),
        };
        for word in words {
            keys.add(key(word)?, origin)?;
        }
        match keys.all().count() > KEYS_MAX {
            true => Err(not_a_key()),
            false => Ok(keys),
        }
    }

    /// Adds a key that opens, unless it is there.
    fn add(&mut self, key: SealingKey, origin: &str) -> Result<(), HostKeyError> {
        let there = self.all().find(|there| there.id() == key.id());
        match there.map(|there| there.is_same(&key)) {
            Some(true) => return Ok(()),
            Some(false) => {
                return Err(HostKeyError::SameId {
                    origin: origin.to_owned(),
                    id: key.id(),
                });
            }
            None => {}
        }
        self.others.push(key);
        Ok(())
    }

    /// The key in its base64 form, for the place where it is kept; several, one a line.
    pub fn to_base64(&self) -> Secret {
        let mut text = Zeroizing::new(String::with_capacity(KEYS_TEXT_BYTES_MAX));
        for key in self.all() {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&key.to_base64());
        }
        Secret::new(text.as_str())
    }

    fn all(&self) -> impl Iterator<Item = &SealingKey> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The ids of the keys, that of the one that seals first.
    pub fn ids(&self) -> Vec<KeyId> {
        self.all().map(SealingKey::id).collect()
    }

    /// The id of the key that seals.
    pub fn id(&self) -> KeyId {
        self.first.id()
    }

    /// Whether both are the same keys in the same order. Takes no shorter where they differ late.
    pub fn is_same(&self, other: &Self) -> bool {
        let pairs = self.all().zip(other.all());
        let differ = pairs.filter(|(ours, theirs)| !ours.is_same(theirs)).count();
        self.others.len() == other.others.len() && differ == 0
    }

    /// What every value begins with that the first key seals, and none that another one sealed.
    pub fn sealed_prefix(&self) -> [u8; PREFIX_BYTES] {
        self.first.prefix()
    }

    /// Sixteen bytes that nobody can guess without the key of that id, the same for the same `purpose` wherever the key is: a
    /// name space for ids (HMAC, RFC 2104, with SHA-256). `None`: the key is not there.
    pub fn name_space(&self, of: KeyId, purpose: &str) -> Option<[u8; 16]> {
        let key = self.all().find(|key| key.id() == of)?;
        let tag = key.sign(&format!("name space: {purpose}"));
        let mut space = [0; 16];
        for (byte, tag) in space.iter_mut().zip(tag.as_ref()) {
            *byte = *tag;
        }
        Some(space)
    }

    /// A digest of a secret by which two are known as equal, and by which nobody without the key that seals can guess one
    /// (HMAC, RFC 2104, with SHA-256), in lower-case hexadecimal digits.
    pub fn digest(&self, purpose: &str, secret: &str) -> String {
        digest(&self.first, purpose, secret)
    }

    /// The digests that any of the keys makes of a secret, that of [`HostKey::digest`] first: until all is sealed with one key,
    /// a secret may be on record with each of them.
    pub fn digests(&self, purpose: &str, secret: &str) -> Vec<String> {
        self.all().map(|key| digest(key, purpose, secret)).collect()
    }

    /// Encrypts `plaintext`, so that it opens only with the first key and for the same `purpose`.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn seal(&self, purpose: &str, plaintext: &[u8]) -> Result<Vec<u8>, HostKeyError> {
        self.first
            .seal(purpose, plaintext)
            .ok_or_else(|| HostKeyError::NotSealed {
                purpose: purpose.to_owned(),
            })
    }

    /// Decrypts what [`HostKey::seal`] made with one of these keys and the same purpose.
    ///
    /// # Errors
    /// When the key is not there, when another purpose was used, or when anything of it was altered.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, HostKeyError> {
        self.open_with(purpose, sealed).map(|(_, plaintext)| plaintext)
    }

    /// Decrypts a value as [`HostKey::open`] does, and says which key it needs.
    ///
    /// # Errors
    /// Like [`HostKey::open`].
    pub fn open_with(
        &self,
        purpose: &str,
        sealed: &[u8],
    ) -> Result<(KeyId, Zeroizing<Vec<u8>>), HostKeyError> {
        let not_opened = || HostKeyError::NotOpened {
            purpose: purpose.to_owned(),
        };
        let sealed = Sealed::parse(sealed).ok_or_else(not_opened)?;
        // A value of the first form does not say which key it needs: whatever opens it, authenticates it.
        let opened = self
            .all()
            .find_map(|key| Some((key.id(), key.open(purpose, &sealed)?)));
        opened.ok_or_else(|| match sealed.key {
            Some(id) if self.all().all(|key| key.id() != id) => HostKeyError::KeyNotThere {
                purpose: purpose.to_owned(),
                id,
            },
            _ => not_opened(),
        })
    }

    /// The key that a value needs, whether it is there or not. `None`: none of the keys opens the value, and it names no other.
    pub fn key_of(&self, purpose: &str, sealed: &[u8]) -> Option<KeyId> {
        match self.open_with(purpose, sealed) {
            Ok((id, _)) | Err(HostKeyError::KeyNotThere { id, .. }) => Some(id),
            Err(_) => None,
        }
    }
}

fn digest(key: &SealingKey, purpose: &str, secret: &str) -> String {
    let tag: hmac::Tag = key.sign(&format!("digest: {purpose}: {secret}"));
    HEXLOWER.encode(tag.as_ref())
}

impl fmt::Debug for HostKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HostKey")
            .field("ids", &self.ids())
            .field("bytes", &"[elided]")
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bss_model::{Advice, Diagnose as _, ErrorKind};
    use data_encoding::BASE64;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    /// A key made of others, the first of which seals.
    fn of(keys: &[&HostKey]) -> HostKey {
        let lines: Vec<_> = keys
            .iter()
            .map(|key| key.to_base64().expose().to_owned())
            .collect();
        HostKey::from_base64(&lines.join("\n"), "test").unwrap()
    }

    fn new_keys<const N: usize>() -> [HostKey; N] {
        [(); N].map(|()| HostKey::generate().unwrap())
    }

    #[test]
    fn what_was_sealed_opens_for_the_same_purpose_only() {
        let key = HostKey::generate().unwrap();
        let sealed = key.seal("product key of a", b"AAAAA-BBBBB").unwrap();
        assert_eq!(
            key.open("product key of a", &sealed).unwrap().as_slice(),
            b"AAAAA-BBBBB"
        );
        let error = key.open("product key of b", &sealed).unwrap_err();
        assert!(matches!(error, HostKeyError::NotOpened { .. }), "{error}");
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let [old, new] = new_keys();
        let (of_old, of_new) = (
            old.seal("secret", b"1").unwrap(),
            new.seal("secret", b"2").unwrap(),
        );
        let both = of(&[&new, &old]);
        assert_eq!(both.ids(), [new.id(), old.id()]);
        assert_eq!(both.open("secret", &of_old).unwrap().as_slice(), b"1");
        assert_eq!(both.open_with("secret", &of_new).unwrap().0, new.id());
        let sealed = both.seal("secret", b"3").unwrap();
        assert!(sealed.starts_with(&new.sealed_prefix()));
        assert_eq!(new.open("secret", &sealed).unwrap().as_slice(), b"3");
    }

    #[test]
    fn a_value_whose_key_is_not_there_says_which_one_it_needs() {
        let [old, new] = new_keys();
        let sealed = old.seal("secret", b"text").unwrap();
        let error = new.open("secret", &sealed).unwrap_err();
        assert!(error.to_string().contains(&old.id().to_string()), "{error}");
        let (diagnosis, id) = (error.diagnosis(), old.id().to_string());
        assert_eq!(
            (diagnosis.kind, diagnosis.advice),
            (ErrorKind::Damaged, Some(Advice::AddHostKey { id }))
        );
        assert_eq!(diagnosis.code, "host-key-not-there");
    }

    /// The first form as an earlier version of the program wrote it; by another implementation (Python's `cryptography`).
    #[test]
    fn a_value_without_a_key_id_opens_with_whichever_key_sealed_it() {
        let old = HostKey::from_base64(&BASE64.encode(&[7; 32]), "test").unwrap();
        let sealed = BASE64
            .decode(b"AQABAgMEBQYHCAkKC2zkkQSKfWQISrsjDl0GwXJgNjeN")
            .unwrap();
        let [new] = new_keys();
        for key in [&old, &of(&[&old, &new]), &of(&[&new, &old])] {
            let (id, text) = key.open_with("secret", &sealed).unwrap();
            assert_eq!((id, text.as_slice()), (old.id(), &b"text"[..]));
        }
        let error = new.open("secret", &sealed).unwrap_err();
        assert!(matches!(error, HostKeyError::NotOpened { .. }), "{error}");
        assert_eq!(error.diagnosis().advice, Some(Advice::RestoreHostKey));
    }

    #[test]
    fn neither_form_passes_for_the_other() {
        let key = HostKey::generate().unwrap();
        let form_1 = key.first.seal_in_form_1("secret", b"text");
        let form_2 = key.seal("secret", b"text").unwrap();
        let with_id = [&key.sealed_prefix(), &form_1[1..]].concat();
        let without_id = [&[1], &form_2[PREFIX_BYTES..]].concat();
        let cut_short = [&[1], &form_2[1..]].concat();
        for passed_off in [with_id, without_id, cut_short] {
            assert!(key.open("secret", &passed_off).is_err(), "{passed_off:?}");
        }
        // Nor does a purpose that begins like an id.
        let id = key.id().as_bytes().map(char::from);
        let purpose = format!("{}secret", String::from_iter(id));
        let other = key.first.seal_in_form_1(&purpose, b"text");
        assert!(
            key.open("secret", &[&key.sealed_prefix(), &other[1..]].concat())
                .is_err()
        );
    }

    #[test]
    fn every_altered_byte_and_every_cut_is_noticed() {
        let [key, former] = new_keys();
        let key = of(&[&key, &former]);
        for sealed in [
            key.seal("secret", b"text").unwrap(),
            key.first.seal_in_form_1("secret", b"text"),
        ] {
            for index in 0..sealed.len() {
                for bit in 0..8 {
                    let mut altered = sealed.clone();
                    altered[index] ^= 1 << bit;
                    assert!(key.open("secret", &altered).is_err(), "byte {index}");
                }
                assert!(key.open("secret", &sealed[..index]).is_err(), "cut at {index}");
            }
        }
    }

    #[test]
    fn sealing_twice_gives_different_bytes() {
        let key = HostKey::generate().unwrap();
        assert_ne!(
            key.seal("secret", b"text").unwrap(),
            key.seal("secret", b"text").unwrap()
        );
    }

    #[test]
    fn debug_shows_ids_and_nothing_of_the_keys() {
        let key = HostKey::from_base64(&BASE64.encode(&[7; 32]), "test").unwrap();
        assert_eq!(
            format!("{key:?}"),
            "HostKey { ids: [KeyId(07cd907a)], bytes: \"[elided]\" }"
        );
    }

    #[test]
    fn a_key_of_another_length_is_refused_without_repeating_it() {
        let good = BASE64.encode(&[7; 32]);
        for text in ["", "AAAA", &BASE64.encode(&[7; 33]), "not base64!"] {
            for text in [text.to_owned(), format!("{good}\n{text}")] {
                // A line that is empty is none.
                if text.trim() == good {
                    continue;
                }
                let error = HostKey::from_base64(&text, "BSS_HOST_KEY")
                    .unwrap_err()
                    .to_string();
                assert!(error.contains("`BSS_HOST_KEY`"), "{error}");
                assert!(text.is_empty() || !error.contains(&text), "{error}");
                assert!(!error.contains(&good), "{error}");
            }
        }
    }

    #[test]
    fn a_key_that_is_named_twice_counts_once_and_too_many_are_refused() {
        let keys: [HostKey; KEYS_MAX + 1] = new_keys();
        let twice = of(&[&keys[0], &keys[1], &keys[0]]);
        assert_eq!(twice.ids(), [keys[0].id(), keys[1].id()]);
        let lines: Vec<_> = keys
            .iter()
            .map(|key| key.to_base64().expose().to_owned())
            .collect();
        HostKey::from_base64(&lines[1..].join("\n"), "test").unwrap();
        let error = HostKey::from_base64(&lines.join("\n"), "test").unwrap_err();
        assert!(matches!(error, HostKeyError::NotAKey { .. }), "{error}");
    }

    #[test]
    fn two_keys_with_one_id_are_refused() {
        // Among so many, two have one id more often than not; among twice as many again and again.
        let mut by_id = HashMap::new();
        let alike = (0_u64..2_000_000).find_map(|number| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            let former = by_id.insert(KeyId::of(&bytes), bytes)?;
            Some([former, bytes].map(|bytes| BASE64.encode(&bytes)).join("\n"))
        });
        let error = HostKey::from_base64(&alike.unwrap(), "test").unwrap_err();
        assert!(matches!(error, HostKeyError::SameId { .. }), "{error}");
    }

    #[test]
    fn other_keys_or_another_order_are_not_the_same() {
        let [a, b] = new_keys();
        assert!(of(&[&a, &b]).is_same(&of(&[&a, &b])));
        for other in [of(&[&b, &a]), of(&[&a]), of(&[&b])] {
            assert!(!of(&[&a, &b]).is_same(&other) && !other.is_same(&of(&[&a, &b])));
        }
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_again_and_only_for_its_purpose(
            text in prop::collection::vec(any::<u8>(), 0..200), purpose in ".{0,40}", other in ".{0,40}",
        ) {
            let key = HostKey::generate().unwrap();
            let sealed = key.seal(&purpose, &text).unwrap();
            let opened = key.open(&purpose, &sealed).unwrap();
            prop_assert_eq!(opened.as_slice(), &text[..]);
            prop_assert_eq!(key.open(&other, &sealed).is_ok(), other == purpose);
        }

        #[test]
        fn any_bytes_are_opened_or_refused_without_a_panic(sealed in prop::collection::vec(any::<u8>(), 0..80), form in 0_u8..4) {
            let key = HostKey::generate().unwrap();
            let sealed = [&[form][..], &sealed].concat();
            prop_assert!(key.open("secret", &sealed).is_err());
        }

        #[test]
        fn any_text_is_keys_or_is_refused_without_a_panic(text in "[A-Za-z0-9+/= \n]{0,200}|.{0,100}") {
            let refused = HostKey::from_base64(&text, "test").is_err();
            let words = text.split_whitespace();
            let is_keys = words.clone().all(|word| BASE64.decode(word.as_bytes()).is_ok_and(|key| key.len() == 32));
            prop_assert_eq!(refused, !is_keys || words.count() == 0);
        }

        #[test]
        fn keys_are_read_however_their_lines_are_parted(count in 1_usize..=KEYS_MAX, blank in prop::sample::select(vec!["\n", "\r\n", " ", "\n\n", "\t"])) {
            let keys: Vec<_> = (0..count).map(|_| HostKey::generate().unwrap()).collect();
            let lines: Vec<_> = keys.iter().map(|key| key.to_base64().expose().to_owned()).collect();
            let read = HostKey::from_base64(&format!("{blank}{}{blank}", lines.join(blank)), "test").unwrap();
            let ids: Vec<_> = keys.iter().map(HostKey::id).collect();
            prop_assert_eq!(read.ids(), ids);
            let again = HostKey::from_base64(read.to_base64().expose(), "test").unwrap();
            prop_assert!(again.is_same(&read));
        }
    }
}
