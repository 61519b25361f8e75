//! Reads the private keys and certificates out of a PFX file (PKCS #12, RFC 7292).
//!
//! The file is walked here, and not by a library, for two reasons: every key derivation is paid for from
//! one [`Work`] before it starts, also those of bags that only show after a decryption, and every
//! buffer that a private key passes through is wiped.

mod decryption;

use std::fmt;

use bss_model::{Diagnose, Diagnosis, ErrorKind};
use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode, Reader, Sequence, SliceReader};
use zeroize::Zeroizing;

use decryption::Work;

/// The longest file that is read. A key with ten certificates takes about 20 KiB; a larger file is no key with its
/// chain.
pub(crate) const PFX_BYTES_MAX: usize = 256 * 1024;
/// Keys and certificates in one file. A chain has a handful; each bag may cost a key derivation.
const BAGS_MAX: usize = 100;

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
const KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.1");
const SHROUDED_KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.2");
const CERTIFICATE_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.3");
const X509_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.22.1");

/// The code (password) that a PFX file was handed over with. May be empty.
#[derive(Clone)]
pub struct PfxCode(Zeroizing<String>);

impl PfxCode {
    /// The code as it was typed in: blanks belong to it.
    pub fn new(code: impl Into<String>) -> Self {
        Self(Zeroizing::new(code.into()))
    }

    /// The code as PBES2 takes it.
    fn utf8(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The code as the older algorithms take it (RFC 7292, B.1): UTF-16, the high byte first, with a zero at the end.
    fn utf16(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(2 * self.0.len() + 2));
        for unit in self.0.encode_utf16().chain([0]) {
            bytes.extend_from_slice(&unit.to_be_bytes());
        }
        bytes
    }
}

impl fmt::Debug for PfxCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(_) = self;
        formatter.write_str("PfxCode([elided])")
    }
}

/// Why a PFX file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PfxError {
    /// More bytes than a key with its chain can have.
    #[error("the file has {bytes} bytes, more than the {PFX_BYTES_MAX} that are read")]
    TooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// Not the structure of a PFX file, or cut off.
    #[error("the file is not a PFX file, or it is damaged or cut off")]
    NotAPfx(#[source] der::Error),
    /// In BER form with indefinite lengths, as some old tools write it.
    #[error("the file is in the BER form with indefinite lengths, which is not read")]
    IndefiniteLengths,
    /// Nothing proves the code to be right, nor the file to be unaltered.
    #[error("the file has no MAC, so nothing proves that it was not altered")]
    NoMac,
    /// The MAC does not come out.
    #[error("the code is wrong, or the file was altered")]
    WrongCode,
    /// The MAC is right, but a part can't be decrypted.
    #[error("a part of the file can't be decrypted with the code that its MAC is right for")]
    NotDecrypted,
    /// Something that is not read here.
    #[error("the file uses the algorithm `{algorithm}` for its {use_of}, which is not read")]
    UnsupportedAlgorithm {
        /// What for.
        use_of: &'static str,
        /// Its object identifier.
        algorithm: String,
    },
    /// One key derivation would take too long.
    #[error(
        "the file asks for {iterations} iterations to derive a key, more than the {} that are done",
        decryption::ITERATIONS_MAX
    )]
    TooManyIterations {
        /// How many it asks for.
        iterations: u64,
    },
    /// All key derivations together would take too long.
    #[error("the file asks for too much work to derive all of its keys")]
    TooMuchWork,
    /// More keys and certificates than one identity has.
    #[error("the file holds more than {BAGS_MAX} keys and certificates")]
    TooManyBags,
}

impl Diagnose for PfxError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::TooLarge { .. } => Diagnosis::new(ErrorKind::Invalid, "pfx-too-large")
                .say("export the certificate with its chain alone"),
            Self::NotAPfx(_) => Diagnosis::new(ErrorKind::Invalid, "not-a-pfx")
                .say("export it again (PEM files can be converted with `openssl pkcs12 -export`)"),
            Self::IndefiniteLengths => Diagnosis::new(ErrorKind::Invalid, "indefinite-lengths")
                .say("import it into a current tool and export it from there"),
            Self::NoMac => Diagnosis::new(ErrorKind::Invalid, "no-mac").say("export it again with a code"),
            Self::WrongCode => Diagnosis::new(ErrorKind::Invalid, "wrong-code")
                .say("check the code, blanks and keyboard layout included"),
            Self::NotDecrypted => Diagnosis::new(ErrorKind::Invalid, "not-decrypted")
                .say("export it again with one code for all of it"),
            Self::UnsupportedAlgorithm { .. } => Diagnosis::new(ErrorKind::Invalid, "algorithm-unsupported")
                .say("export it again with AES-256 and SHA-256"),
            Self::TooManyIterations { .. } => Diagnosis::new(ErrorKind::Invalid, "too-many-iterations")
                .say("export it again with fewer iterations"),
            Self::TooMuchWork => Diagnosis::new(ErrorKind::Invalid, "too-much-work")
                .say("export the certificate with its chain alone"),
            Self::TooManyBags => Diagnosis::new(ErrorKind::Invalid, "too-many-bags")
                .say("export the certificate with its chain alone"),
        }
    }
}

impl From<der::Error> for PfxError {
    fn from(source: der::Error) -> Self {
        Self::NotAPfx(source)
    }
}

/// The keys and certificates of a PFX file, in its order.
#[derive(Default)]
pub(crate) struct Contents {
    /// Private keys in PKCS #8 DER form.
    pub(crate) private_keys: Vec<Zeroizing<Vec<u8>>>,
    /// Certificates in DER form.
    pub(crate) certificates: Vec<Vec<u8>>,
    bags: usize,
}

#[derive(Sequence)]
struct Pfx<'a> {
    version: u8,
    auth_safe: ContentInfo<'a>,
    mac: Option<MacData<'a>>,
}

#[derive(Sequence)]
struct ContentInfo<'a> {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: AnyRef<'a>,
}

#[derive(Sequence)]
struct EncryptedData<'a> {
    version: u8,
    content: EncryptedContentInfo<'a>,
}

#[derive(Sequence)]
struct EncryptedContentInfo<'a> {
    content_type: ObjectIdentifier,
    algorithm: Algorithm<'a>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    encrypted: &'a OctetStringRef,
}

#[derive(Sequence)]
struct MacData<'a> {
    mac: DigestInfo<'a>,
    salt: &'a OctetStringRef,
    iterations: Option<UintRef<'a>>,
}

#[derive(Sequence)]
struct DigestInfo<'a> {
    algorithm: Algorithm<'a>,
    digest: &'a OctetStringRef,
}

#[derive(Clone, Copy, Sequence)]
struct Algorithm<'a> {
    oid: ObjectIdentifier,
    parameters: Option<AnyRef<'a>>,
}

#[derive(Sequence)]
struct SafeBag<'a> {
    bag_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    value: AnyRef<'a>,
    /// Friendly names and key ids, which are ignored: keys and certificates are matched by their public keys.
    attributes: Option<AnyRef<'a>>,
}

#[derive(Sequence)]
struct CertificateBag<'a> {
    certificate_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    certificate: &'a OctetStringRef,
}

#[derive(Sequence)]
struct EncryptedPrivateKey<'a> {
    algorithm: Algorithm<'a>,
    encrypted: &'a OctetStringRef,
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

fn unsupported(use_of: &'static str, algorithm: ObjectIdentifier) -> PfxError {
    PfxError::UnsupportedAlgorithm {
        use_of,
        algorithm: algorithm.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
    use proptest::prelude::{ProptestConfig, any, prop, proptest};

    use super::super::inspection;
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
