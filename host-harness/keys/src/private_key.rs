//! Private keys as PFX files have them, brought into the one form that the host keeps, and tried.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256, RsaEncoding,
    UnparsedPublicKey, VerificationAlgorithm,
};
use der::asn1::{AnyRef, Null, ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode, Encode, Reader, Sequence, SliceReader, Tag, Tagged as _};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::X509Certificate;
use zeroize::Zeroizing;

use crate::ber;
use crate::certificate::{KeyKind, algorithm_name};
use crate::inspect_error::InspectError;
use crate::unusable::{RSA_BITS_MAX, RSA_BITS_MIN};

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The numbers of an RSA key before those of other primes: modulus, exponents, primes, and what is derived from them.
const RSA_NUMBERS: usize = 8;

/// A private key, and what a certificate has of it.
pub(crate) struct PrivateKey {
    /// PKCS #8, DER.
    pub(crate) pkcs8: Zeroizing<Vec<u8>>,
    public: PublicKey,
}

/// The public half of a private key, in the form in which a certificate holds it.
#[derive(PartialEq, Eq)]
enum PublicKey {
    /// `RSAPublicKey` (RFC 8017, A.1.1), read here because the cryptography library refuses keys that are too short,
    /// which are to be shown as such.
    Rsa(Vec<u8>),
    /// `SubjectPublicKeyInfo`.
    Other(Vec<u8>),
}

#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

/// RFC 8017, A.1.2.
#[derive(Sequence)]
struct RsaPrivateKey<'a> {
    version: u8,
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
    private_exponent: UintRef<'a>,
    prime1: UintRef<'a>,
    prime2: UintRef<'a>,
    exponent1: UintRef<'a>,
    exponent2: UintRef<'a>,
    coefficient: UintRef<'a>,
}

/// RFC 8017, A.1: the parameters of the algorithm are NULL. Some programs leave them out.
#[derive(Sequence)]
struct RsaEncryption {
    oid: ObjectIdentifier,
    parameters: Null,
}

/// RFC 5208, without attributes.
#[derive(Sequence)]
struct PrivateKeyInfo<'a> {
    version: u8,
    algorithm: RsaEncryption,
    key: &'a OctetStringRef,
}

impl PrivateKey {
    /// Reads a key from PKCS #8, also where its numbers or parameters are not written as they should be.
    pub(crate) fn read(found: &[u8]) -> Result<Self, InspectError> {
        let unreadable = |_| InspectError::UnreadablePrivateKey;
        let found = ber::whole(found).ok_or(InspectError::UnreadablePrivateKey)?;
        let (algorithm, key) = pkcs8_parts(&found).map_err(unreadable)?;
        if algorithm == RSA_ENCRYPTION {
            let key = ber::whole(key).ok_or(InspectError::UnreadablePrivateKey)?;
            return Self::rsa(&key).map_err(unreadable);
        }
        let algorithm = algorithm.to_string();
        let unsupported = || InspectError::UnsupportedPrivateKey {
            algorithm: algorithm_name(&algorithm).map_or_else(|| algorithm.clone(), str::to_owned),
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(found.as_slice()));
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).map_err(|_| unsupported())?;
        let public = key.public_key().map(|key| PublicKey::Other(key.to_vec()));
        Ok(Self {
            public: public.ok_or_else(unsupported)?,
            pkcs8: found,
        })
    }

    fn rsa(key: &[u8]) -> der::Result<Self> {
        let [
            modulus,
            public_exponent,
            private_exponent,
            prime1,
            prime2,
            exponent1,
            exponent2,
            coefficient,
        ] = rsa_numbers(key)?;
        let public = RsaPublicKey {
            modulus,
            exponent: public_exponent,
        };
        let public = PublicKey::Rsa(public.to_der()?);
        let key = RsaPrivateKey {
            version: 0,
            modulus,
            public_exponent,
            private_exponent,
            prime1,
            prime2,
            exponent1,
            exponent2,
            coefficient,
        };
        let key = Zeroizing::new(key.to_der()?);
        let info = PrivateKeyInfo {
            version: 0,
            algorithm: RsaEncryption {
                oid: RSA_ENCRYPTION,
                parameters: Null,
            },
            key: OctetStringRef::new(&key)?,
        };
        let pkcs8 = Zeroizing::new(info.to_der()?);
        Ok(Self { pkcs8, public })
    }

    /// Whether the two are one key. Attributes beside it make no difference.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.public == other.public
    }

    pub(crate) fn is_of(&self, certificate: &X509Certificate<'_>) -> bool {
        let info = certificate.public_key();
        match &self.public {
            PublicKey::Rsa(key) => info.subject_public_key.data.as_ref() == key.as_slice(),
            PublicKey::Other(key) => info.raw == key.as_slice(),
        }
    }

    /// Signs with the key and verifies that, as a server will: a key may be complete, and still of no use. A key of a kind or
    /// length that is never used is not tried.
    ///
    /// # Errors
    /// When the key can't be used.
    pub(crate) fn try_out(&self, kind: &KeyKind) -> Result<(), InspectError> {
        let (
            PublicKey::Rsa(public),
            KeyKind::Rsa {
                bits: RSA_BITS_MIN..=RSA_BITS_MAX,
            },
        ) = (&self.public, kind)
        else {
            return Ok(());
        };
        let unusable = |cause: String| InspectError::UnusablePrivateKey { cause };
        let key = KeyPair::from_pkcs8(&self.pkcs8).map_err(|error| {
            unusable(format!(
                "{error}: its numbers are not all there, or don't belong together"
            ))
        })?;
        let ways: [(&dyn RsaEncoding, &dyn VerificationAlgorithm); 2] = [
            (&RSA_PKCS1_SHA256, &RSA_PKCS1_2048_8192_SHA256),
            (&RSA_PSS_SHA256, &RSA_PSS_2048_8192_SHA256),
        ];
        for (sign, verify) in ways {
            let message = b"a message to try a key with";
            let mut signature = vec![0; key.public_modulus_len()];
            let signed = key.sign(sign, &SystemRandom::new(), message, &mut signature);
            signed.map_err(|_| unusable("it fails to sign".to_owned()))?;
            let verified = UnparsedPublicKey::new(verify, public).verify(message, &signature);
            verified.map_err(|_| unusable("its signatures are wrong".to_owned()))?;
        }
        Ok(())
    }
}

/// The algorithm and the key of a `PrivateKeyInfo` (RFC 5208). Attributes, which Windows adds, are skipped.
fn pkcs8_parts(pkcs8: &[u8]) -> der::Result<(ObjectIdentifier, &[u8])> {
    let mut reader = SliceReader::new(pkcs8)?;
    let parts = reader.sequence(|reader| -> der::Result<_> {
        UintRef::decode(reader)?;
        let algorithm = AnyRef::decode(reader)?;
        let algorithm = algorithm.sequence(|reader| -> der::Result<_> {
            let oid = ObjectIdentifier::decode(reader)?;
            skip_rest(reader)?;
            Ok(oid)
        })?;
        let key = <&OctetStringRef>::decode(reader)?.as_bytes();
        skip_rest(reader)?;
        Ok((algorithm, key))
    })?;
    reader.finish()?;
    Ok(parts)
}

/// The numbers of an `RSAPrivateKey`, also those with needless zeros in front, or without the zero that tells them from
/// negative ones.
fn rsa_numbers(key: &[u8]) -> der::Result<[UintRef<'_>; RSA_NUMBERS]> {
    let mut numbers = [UintRef::new(&[])?; RSA_NUMBERS];
    let mut reader = SliceReader::new(key)?;
    reader.sequence(|reader| -> der::Result<_> {
        number(reader)?;
        for read in &mut numbers {
            *read = number(reader)?;
        }
        skip_rest(reader)
    })?;
    reader.finish()?;
    Ok(numbers)
}

fn number<'a>(reader: &mut impl Reader<'a>) -> der::Result<UintRef<'a>> {
    let any = AnyRef::decode(reader)?;
    any.tag().assert_eq(Tag::Integer)?;
    UintRef::new(any.value())
}

fn skip_rest<'a>(reader: &mut impl Reader<'a>) -> der::Result<()> {
    while !reader.is_finished() {
        AnyRef::decode(reader)?;
    }
    Ok(())
}
