//! A new key with a certificate that it signs itself, which nobody trusts.

use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use der::asn1::{
    AnyRef, BitStringRef, GeneralizedTime, Null, ObjectIdentifier, SetOfVec, UtcTime, Utf8StringRef,
};
use der::{DateTime, Decode as _, Encode as _, Sequence, ValueOrd};

const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The number that the version 3 of X.509 has in a certificate.
const V3: u8 = 2;

/// A key and its certificate.
pub(crate) struct SelfSigned {
    /// PKCS #8, DER.
    pub(crate) private_key: Pkcs8V1Der<'static>,
    /// DER.
    pub(crate) certificate: Vec<u8>,
}

/// Why no key with a certificate could be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotMade {
    #[error("no key could be made")]
    Key(#[from] Unspecified),
    #[error(transparent)]
    Certificate(#[from] der::Error),
}

#[derive(Sequence)]
struct Certificate<'a> {
    to_be_signed: ToBeSigned<'a>,
    algorithm: Algorithm,
    signature: BitStringRef<'a>,
}

/// RFC 5280, section 4.1.
#[derive(Clone, Sequence)]
struct ToBeSigned<'a> {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    version: u8,
    serial_number: u8,
    algorithm: Algorithm,
    issuer: Name<'a>,
    validity: Validity,
    subject: Name<'a>,
    public_key: AnyRef<'a>,
}

type Name<'a> = Vec<SetOfVec<Attribute<'a>>>;

#[derive(Clone, Sequence, ValueOrd)]
struct Attribute<'a> {
    kind: ObjectIdentifier,
    value: Utf8StringRef<'a>,
}

#[derive(Clone, Copy, Sequence)]
struct Algorithm {
    oid: ObjectIdentifier,
    parameters: Null,
}

#[derive(Clone, Copy, Sequence)]
struct Validity {
    not_before: UtcTime,
    not_after: GeneralizedTime,
}

/// Makes an RSA key, and a certificate of a common name that is valid at any time.
///
/// # Errors
/// When no key can be made.
pub(crate) fn self_signed(common_name: &str) -> Result<SelfSigned, NotMade> {
    let key = KeyPair::generate(KeySize::Rsa2048)?;
    let public_key: PublicKeyX509Der<'_> = key.public_key().as_der()?;
    let algorithm = Algorithm {
        oid: SHA256_WITH_RSA,
        parameters: Null,
    };
    let attribute = Attribute {
        kind: COMMON_NAME,
        value: Utf8StringRef::new(common_name)?,
    };
    let name = vec![SetOfVec::from_iter([attribute])?];
    let to_be_signed = ToBeSigned {
        version: V3,
        serial_number: 1,
        algorithm,
        issuer: name.clone(),
        validity: Validity {
            not_before: UtcTime::from_unix_duration(Duration::ZERO)?,
            not_after: GeneralizedTime::from_date_time(DateTime::INFINITY),
        },
        subject: name,
        public_key: AnyRef::from_der(public_key.as_ref())?,
    };
    let mut signature = vec![0; key.public_modulus_len()];
    let signed = to_be_signed.to_der()?;
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &signed, &mut signature)?;
    let certificate = Certificate {
        to_be_signed,
        algorithm,
        signature: BitStringRef::from_bytes(&signature)?,
    };
    Ok(SelfSigned {
        private_key: key.as_der()?,
        certificate: certificate.to_der()?,
    })
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;
    use crate::inspection::parse;

    #[test]
    fn the_certificate_has_the_key_and_is_signed_with_it() {
        let made = self_signed("nobody.invalid").unwrap();
        let certificate = parse(&made.certificate).unwrap();
        assert_eq!(certificate.subject().to_string(), "CN=nobody.invalid");
        assert_eq!(certificate.issuer().to_string(), "CN=nobody.invalid");
        let key = KeyPair::from_pkcs8(made.private_key.as_ref()).unwrap();
        let public_key = certificate.public_key().subject_public_key.data.as_ref();
        assert_eq!(public_key, key.public_key().as_ref());
        let signed = certificate.tbs_certificate.as_ref();
        let signature = certificate.signature_value.data.as_ref();
        let signer = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key);
        signer.verify(signed, signature).unwrap();
    }
}
