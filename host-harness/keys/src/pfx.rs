//! Reads the private keys and certificates out of a PFX file (PKCS #12, RFC 7292).
//!
//! The file is walked here, and not by a library, for two reasons: every key derivation is paid for from
//! one [`Work`] before it starts, also those of bags that only show after a decryption, and every
//! buffer that a private key passes through is wiped.

mod code;
mod decryption;
mod error;
mod limits;
mod structure;

use der::asn1::{ObjectIdentifier, OctetStringRef};
use der::{Decode, Reader, SliceReader};
use zeroize::Zeroizing;

use decryption::Work;
use error::unsupported;
use limits::BAGS_MAX;
use structure::{CertificateBag, ContentInfo, EncryptedData, EncryptedPrivateKey, Pfx, SafeBag};

pub use code::PfxCode;
pub use error::PfxError;
pub(crate) use limits::PFX_BYTES_MAX;

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
const KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.1");
const SHROUDED_KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.2");
const CERTIFICATE_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.3");
const X509_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.22.1");

/// The keys and certificates of a PFX file, in its order.
#[derive(Default)]
pub(crate) struct Contents {
    /// Private keys in PKCS #8 DER form.
    pub(crate) private_keys: Vec<Zeroizing<Vec<u8>>>,
    /// Certificates in DER form.
    pub(crate) certificates: Vec<Vec<u8>>,
    bags: usize,
}

/// Reads a PFX file. The work is bounded, but may take a second: don't call it on an async thread.
pub(crate) fn read(file: &[u8], code: &PfxCode) -> Result<Contents, PfxError> {
    if file.len() > PFX_BYTES_MAX {
        return Err(PfxError::TooLarge { bytes: file.len() });
    }
    if file.starts_with(&[0x30, 0x80]) {
        return Err(PfxError::IndefiniteLengths);
    }
    let pfx = Pfx::from_der(file)?;
    if pfx.version != 3 {
        return Err(der::ErrorKind::Value {
            tag: der::Tag::Integer,
        }
        .to_error()
        .into());
    }
    if pfx.auth_safe.content_type != DATA {
        return Err(unsupported("outer content", pfx.auth_safe.content_type));
    }
    let auth_safe = pfx.auth_safe.content.decode_as::<&OctetStringRef>()?.as_bytes();
    let mut work = Work::new(code);
    work.verify_mac(&pfx.mac.ok_or(PfxError::NoMac)?, auth_safe)?;

    read_auth_safe(auth_safe, &mut work)
}

fn read_auth_safe(auth_safe: &[u8], work: &mut Work<'_>) -> Result<Contents, PfxError> {
    let mut contents = Contents::default();
    let mut reader = SliceReader::new(auth_safe)?;
    reader.sequence(|reader| -> Result<(), PfxError> {
        while !reader.is_finished() {
            read_content(&ContentInfo::decode(reader)?, work, &mut contents)?;
        }
        Ok(())
    })?;
    reader.finish()?;
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
            let encrypted = data.content.encrypted.as_bytes();
            let bags = work.decrypt(&data.content.algorithm, encrypted)?;
            read_bags(&bags, work, contents).map_err(garbled)
        }
        other => Err(unsupported("content", other)),
    }
}

fn read_bags(bags: &[u8], work: &mut Work<'_>, contents: &mut Contents) -> Result<(), PfxError> {
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
            let key = Zeroizing::new(der::Encode::to_der(&bag.value)?);
            contents.private_keys.push(key);
        }
        SHROUDED_KEY_BAG => {
            let key = bag.value.decode_as::<EncryptedPrivateKey<'_>>()?;
            contents
                .private_keys
                .push(work.decrypt(&key.algorithm, key.encrypted.as_bytes())?);
        }
        CERTIFICATE_BAG => {
            let bag = bag.value.decode_as::<CertificateBag<'_>>()?;
            if bag.certificate_type != X509_CERTIFICATE {
                return Err(unsupported("certificates", bag.certificate_type));
            }
            contents.certificates.push(bag.certificate.as_bytes().to_vec());
        }
        // Revocation lists, other secrets, nested bags: nothing that an identity is made of.
        _ => {}
    }
    Ok(())
}

impl Contents {
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
        PfxError::NotAPfx(_) => PfxError::NotDecrypted,
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

    #[test]
    fn more_bags_than_an_identity_has_are_refused() {
        let code = PfxCode::new("code");
        let error = read_auth_safe(&AUTH_SAFE, &mut Work::new(&code)).err().unwrap();
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
            let octets = OctetStringRef::new(certificate.der()).unwrap();
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
        let code = PfxCode::new("code");
        let mut contents = Contents::default();
        read_bags(bags, &mut Work::new(&code), &mut contents).ok()?;
        let found = inspection::match_key(contents).ok()?;
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
            let code = PfxCode::new("code");
            let _ = read_auth_safe(&auth_safe, &mut Work::new(&code));
        }
    }
}
