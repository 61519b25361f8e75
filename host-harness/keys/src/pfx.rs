//! Reads the private keys and certificates out of a PFX file (PKCS #12, RFC 7292).
//!
//! The file is walked here, and not by a library. `p12-keystore` 0.4, the one that is maintained, and RustCrypto's `pkcs12`
//! (0.2.0-pre.0, on `cms` 0.3.0-pre.1, which `p12-keystore` stands on too) read DER alone, no PBMAC1, no PBES2 with 3DES or RC2,
//! no MAC with another spelling of the code; they are pre-releases, which no crate of the library may be. And two things must hold
//! that neither promises: every key derivation is paid for from one [`Budget`] before it starts, also those of bags that only
//! show after a decryption, and every buffer that a private key passes through is wiped.

mod code;
mod decryption;
mod error;
mod limits;
mod structure;

use der::asn1::{ObjectIdentifier, OctetStringRef};
use der::{Decode, Encode as _, Reader, SliceReader};
use zeroize::Zeroizing;

use crate::file_kind::FileKind;
use crate::{ber, encoded};
use code::Spelling;
use decryption::{Budget, Work};
use error::unsupported;
use limits::{BAGS_MAX, PFX_BYTES_MAX};
use structure::{CertificateBag, ContentInfo, EncryptedData, EncryptedPrivateKey, Pfx, SafeBag};

pub use code::PfxCode;
pub use error::PfxError;
pub(crate) use limits::FILE_BYTES_MAX;

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
const KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.1");
const SHROUDED_KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.2");
const CERTIFICATE_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.3");
const BAGS_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.6");
const X509_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.22.1");
/// The type of the secret with which Windows lets a group open a file (`wincrypt.h`,
/// `szOID_PKCS_12_PROTECTED_PASSWORD_SECRET_BAG_TYPE_ID`).
const PASSWORD_FOR_GROUP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.17.4");

/// The keys and certificates of a PFX file, in its order.
#[derive(Default)]
pub(crate) struct Contents {
    /// Private keys in PKCS #8 form.
    pub(crate) private_keys: Vec<Zeroizing<Vec<u8>>>,
    /// Certificates in DER form, and maybe what only claims to be one.
    pub(crate) certificates: Vec<Vec<u8>>,
    /// Whether a MAC proves that the file is as the holder of the code made it.
    pub(crate) has_mac: bool,
    /// Whether the certificates came without anything that protects them but their signatures.
    pub(crate) are_bare: bool,
    bags: usize,
}

/// Reads a PFX file, also one in base64 or PEM. What stands behind its end is ignored, as Windows ignores it. The work is
/// bounded, but may take a second: don't call it on an async thread.
pub(crate) fn read(file: &[u8], code: &PfxCode) -> Result<Contents, PfxError> {
    if file.len() > FILE_BYTES_MAX {
        return Err(PfxError::TooLarge { bytes: file.len() });
    }
    let blocks = encoded::blocks(file);
    let found = blocks.iter().find(|block| is_pfx(&block.bytes));
    if let Some(block) = found
        .or(blocks.first())
        .filter(|block| block.bytes.len() > PFX_BYTES_MAX)
    {
        let bytes = block.bytes.len();
        return Err(PfxError::TooLarge { bytes });
    }
    let Some(block) = found else {
        let kind = FileKind::of(file);
        return Err(PfxError::NotAPfx { kind });
    };
    let (der, _) = ber::definite(&block.bytes).ok_or(PfxError::Damaged)?;
    let pfx = Pfx::from_der(&der)?;
    if pfx.auth_safe.content_type != DATA {
        return Err(unsupported("outer content", pfx.auth_safe.content_type));
    }
    // The MAC is over these octets, which may be BER themselves.
    let auth_safe = pfx.auth_safe.content.decode_as::<&OctetStringRef>()?.as_bytes();
    read_with_any_spelling(&pfx, auth_safe, code)
}

/// Whether a PFX file is in a file, whatever its encoding.
pub(crate) fn is_in(file: &[u8]) -> bool {
    encoded::blocks(file).iter().any(|block| is_pfx(&block.bytes))
}

/// Whether bytes begin as a PFX file does: a sequence, whose first member is the number 3.
fn is_pfx(bytes: &[u8]) -> bool {
    let length_octets = match bytes {
        [0x30, 0x81..=0x88, ..] => bytes.get(1).map_or(0, |octet| usize::from(octet & 0x7f)),
        [0x30, ..] => 0,
        _ => return false,
    };
    bytes
        .get(2 + length_octets..)
        .is_some_and(|content| content.starts_with(&[0x02, 0x01, 0x03]))
}

fn read_with_any_spelling(pfx: &Pfx<'_>, auth_safe: &[u8], code: &PfxCode) -> Result<Contents, PfxError> {
    let mut budget = Budget::new();
    let mut refused = None;
    for spelling in code.spellings() {
        match (read_spelled(pfx, auth_safe, &spelling, &mut budget), &refused) {
            (Ok(contents), _) => return Ok(contents),
            (Err(error @ (PfxError::WrongCode | PfxError::NotDecrypted)), None) => refused = Some(error),
            // Too much work for another spelling says nothing of the code.
            (Err(PfxError::WrongCode | PfxError::TooMuchWork), Some(_)) => {}
            // The code is the right one then, and something else is wrong.
            (Err(error), Some(PfxError::WrongCode)) => refused = Some(error),
            (Err(_), Some(_)) => {}
            (Err(error), None) => return Err(error),
        }
    }
    match refused.unwrap_or(PfxError::WrongCode) {
        PfxError::WrongCode if names_a_group(auth_safe) => Err(PfxError::ForWindowsGroup),
        PfxError::WrongCode if code.is_empty() => Err(PfxError::NoCode),
        error => Err(error),
    }
}

/// Whether a file has the password that Windows encrypts for a group. Nothing is taken from there.
fn names_a_group(auth_safe: &[u8]) -> bool {
    let oid = PASSWORD_FOR_GROUP.to_der().unwrap_or_default();
    !oid.is_empty() && auth_safe.windows(oid.len()).any(|window| window == oid)
}

fn read_spelled(
    pfx: &Pfx<'_>,
    auth_safe: &[u8],
    spelling: &Spelling,
    budget: &mut Budget,
) -> Result<Contents, PfxError> {
    let mut work = Work::new(spelling, budget);
    let Some(mac) = &pfx.mac else {
        // Without a MAC, a code that opens nothing is the wrong one.
        return read_auth_safe(auth_safe, &mut work).map_err(|error| match error {
            PfxError::NotDecrypted => PfxError::WrongCode,
            error => error,
        });
    };
    work.verify_mac(mac, auth_safe)?;
    let mut contents = read_auth_safe(auth_safe, &mut work)?;
    contents.has_mac = true;
    Ok(contents)
}

fn read_auth_safe(auth_safe: &[u8], work: &mut Work<'_>) -> Result<Contents, PfxError> {
    let auth_safe = ber::whole(auth_safe).ok_or(PfxError::Damaged)?;
    let mut contents = Contents::default();
    let mut reader = SliceReader::new(&auth_safe)?;
    reader.sequence(|reader| -> Result<(), PfxError> {
        while !reader.is_finished() {
            read_content(&ContentInfo::decode(reader)?, work, &mut contents)?;
        }
        Ok(())
    })?;
    Ok(contents)
}

fn read_content(
    info: &ContentInfo<'_>,
    work: &mut Work<'_>,
    contents: &mut Contents,
) -> Result<(), PfxError> {
    contents.count_bag()?;
    match info.content_type {
        DATA => {
            let bags = info.content.decode_as::<&OctetStringRef>()?;
            read_bags(bags.as_bytes(), work, contents)
        }
        ENCRYPTED_DATA => {
            let data = info.content.decode_as::<EncryptedData<'_>>()?;
            let bags = work.decrypt(&data.content.algorithm, &data.content.encrypted()?)?;
            read_bags(&bags, work, contents).map_err(garbled)
        }
        other => Err(unsupported("content", other)),
    }
}

fn read_bags(bags: &[u8], work: &mut Work<'_>, contents: &mut Contents) -> Result<(), PfxError> {
    let (bags, _) = ber::definite(bags).ok_or(PfxError::Damaged)?;
    read_definite_bags(&bags, work, contents)
}

fn read_definite_bags(bags: &[u8], work: &mut Work<'_>, contents: &mut Contents) -> Result<(), PfxError> {
    let mut reader = SliceReader::new(bags)?;
    reader.sequence(|reader| -> Result<(), PfxError> {
        while !reader.is_finished() {
            contents.count_bag()?;
            read_bag(&SafeBag::decode(reader)?, work, contents)?;
        }
        Ok(())
    })
}

fn read_bag(bag: &SafeBag<'_>, work: &mut Work<'_>, contents: &mut Contents) -> Result<(), PfxError> {
    match bag.bag_type {
        KEY_BAG => {
            let key = Zeroizing::new(bag.value.to_der()?);
            contents.private_keys.push(key);
        }
        SHROUDED_KEY_BAG => {
            let key = bag.value.decode_as::<EncryptedPrivateKey<'_>>()?;
            contents
                .private_keys
                .push(work.decrypt(&key.algorithm, key.encrypted.as_bytes())?);
        }
        CERTIFICATE_BAG => {
            // Other kinds of certificates, such as SDSI's, are nothing that an identity is made of.
            let bag = bag.value.decode_as::<CertificateBag<'_>>()?;
            if bag.certificate_type == X509_CERTIFICATE {
                let certificate = bag.certificate.decode_as::<&OctetStringRef>()?;
                contents.certificates.push(certificate.as_bytes().to_vec());
            }
        }
        // Nested no deeper than values may be.
        BAGS_BAG => read_definite_bags(&Zeroizing::new(bag.value.to_der()?), work, contents)?,
        // Revocation lists and other secrets: nothing that an identity is made of.
        _ => {}
    }
    Ok(())
}

impl Contents {
    /// Certificates that came without a private key, with a key that was here before. They need no MAC: whoever issued them
    /// has signed them, and the key is not theirs.
    pub(crate) fn of_certificates(private_key: Zeroizing<Vec<u8>>, certificates: Vec<Vec<u8>>) -> Self {
        Self {
            private_keys: vec![private_key],
            certificates,
            has_mac: true,
            are_bare: true,
            bags: 0,
        }
    }

    fn count_bag(&mut self) -> Result<(), PfxError> {
        self.bags += 1;
        if self.bags > BAGS_MAX {
            Err(PfxError::TooManyBags)
        } else {
            Ok(())
        }
    }
}

/// Turns a broken structure into a failed decryption: with a wrong key the padding comes out right once in 256 times.
fn garbled(error: PfxError) -> PfxError {
    match error {
        PfxError::Damaged => PfxError::NotDecrypted,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
    use proptest::prelude::{ProptestConfig, any, prop, proptest};

    use super::super::inspection;
    use der::asn1::AnyRef;

    use super::*;

    /// The part of a file that its MAC protects, so that tests reach the readers behind the MAC with altered bytes.
    static AUTH_SAFE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["a.example.test".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let certificate = Certificate::from_der(certificate.der()).unwrap();
        let key = PrivateKey::from_der(&key.serialize_der()).unwrap();
        let chain = PrivateKeyChain::new("id", key, vec![certificate; BAGS_MAX]);
        let mut store = KeyStore::new();
        store.add_entry("entry", KeyStoreEntry::PrivateKeyChain(chain));
        let file = store
            .writer("code")
            .encryption_iterations(9)
            .mac_iterations(9)
            .write()
            .unwrap();
        let pfx = Pfx::from_der(&file).unwrap();
        pfx.auth_safe
            .content
            .decode_as::<&OctetStringRef>()
            .unwrap()
            .as_bytes()
            .to_vec()
    });

    fn with_work<T>(read: impl FnOnce(&mut Work<'_>) -> T) -> T {
        let spellings = PfxCode::new("code").spellings();
        read(&mut Work::new(&spellings[0], &mut Budget::new()))
    }

    #[test]
    fn more_bags_than_an_identity_has_are_refused() {
        let error = with_work(|work| read_auth_safe(&AUTH_SAFE, work)).err().unwrap();
        assert!(matches!(error, PfxError::TooManyBags), "{error:?}");
    }

    #[test]
    fn debug_shows_nothing_of_the_code() {
        assert_eq!(format!("{:?}", PfxCode::new("secret")), "PfxCode([elided])");
    }

    /// A key and a certificate in clear, as OpenSSL's `-keypbe NONE -certpbe NONE` leaves them.
    fn plain_bags() -> Vec<u8> {
        static BAGS: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
            let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
            let params = rcgen::CertificateParams::new(vec!["a.example.test".to_owned()]).unwrap();
            let certificate = params.self_signed(&key).unwrap();
            let key_bag = bag(KEY_BAG, &key.serialize_der());
            let octets = AnyRef::new(der::Tag::OctetString, certificate.der()).unwrap();
            let certificate = CertificateBag {
                certificate_type: X509_CERTIFICATE,
                certificate: octets,
            };
            let certificate_bag = bag(CERTIFICATE_BAG, &der::Encode::to_der(&certificate).unwrap());
            let body = [key_bag, certificate_bag].concat();
            let list = AnyRef::new(der::Tag::Sequence, &body).unwrap();
            der::Encode::to_der(&list).unwrap()
        });
        BAGS.clone()
    }

    fn bag(bag_type: ObjectIdentifier, value: &[u8]) -> Vec<u8> {
        let value = AnyRef::from_der(value).unwrap();
        der::Encode::to_der(&SafeBag {
            bag_type,
            value,
            attributes: None,
        })
        .unwrap()
    }

    fn inspect(bags: &[u8]) -> Option<()> {
        let mut contents = Contents::default();
        with_work(|work| read_bags(bags, work, &mut contents)).ok()?;
        let found = inspection::match_key(contents, 0).ok()?;
        inspection::describe(&found.leaf, &found.chain, 0)
            .ok()
            .map(|_| ())
    }

    #[test]
    fn plain_bags_are_read() {
        assert!(inspect(&plain_bags()).is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn altered_keys_and_certificates_never_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut bags = plain_bags();
            for (index, value) in changes {
                let index = index.index(bags.len());
                bags[index] = value;
            }
            if let Some(cut) = cut {
                bags.truncate(cut.index(bags.len()));
            }
            inspect(&bags);
        }

        #[test]
        fn altered_contents_never_panic(index in any::<prop::sample::Index>(), value in any::<u8>()) {
            let mut auth_safe = AUTH_SAFE.clone();
            let index = index.index(auth_safe.len().min(300));
            auth_safe[index] = value;
            let _ = with_work(|work| read_auth_safe(&auth_safe, work));
        }
    }
}
