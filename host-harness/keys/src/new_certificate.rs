//! New keys of clients, each with a certificate that it signs itself, or with a request for one (PKCS #10, RFC 2986).
//!
//! The structures are written here with `der`. `x509-cert` has them too, but signs through RustCrypto's traits: an adapter to the one
//! cryptography library would be as long as this, and bring four crates along.

use std::time::Duration;

use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use bss_model::{Diagnose, Diagnosis, ErrorKind, Thumbprint};
use der::asn1::{
    AnyRef, BitStringRef, GeneralizedTime, Ia5StringRef, Null, ObjectIdentifier, OctetStringRef, UintRef,
    UtcTime, Utf8StringRef,
};
use der::{DateTime, Encode as _, Tag, TagNumber};
use rustls::pki_types::DnsName;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;
use zeroize::Zeroizing;

use crate::names::{distinguished_name, printable};
use crate::x509;

const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const ALTERNATIVE_NAMES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const SUBJECT_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
const CLIENT_AUTHENTICATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");

/// The number that the version 3 of X.509 has in a certificate, and version 1 of PKCS #10 in a request.
const V3: u8 = 2;
const REQUEST_V1: u8 = 0;

/// The key usage of a client: digital signatures (RFC 5280, section 4.2.1.3), which is bit 0.
const DIGITAL_SIGNATURE: &[u8] = &[0x03, 2, 7, 0x80];

/// The longest common name (X.520, `ub-common-name`).
const COMMON_NAME_CHARS_MAX: usize = 64;
/// The most names of one certificate.
const DNS_NAMES_MAX: usize = 100;
/// The longest validity in days. An endless certificate is one whose key is never replaced.
const DAYS_MAX: u32 = 10 * 366;
/// The time before now from which a certificate is valid: clocks differ.
const BACKDATED_SECONDS: i64 = 60 * 60;
/// The year from which a time is written with four digits of it (RFC 5280, section 4.1.2.5).
const FOUR_DIGITS_FROM: u16 = 2050;

/// A client that a key and a certificate are made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCertificate {
    /// The common name of the subject.
    pub common_name: String,
    /// The DNS names that the certificate is for. May be empty.
    pub dns_names: Vec<String>,
    /// The days for which a self-signed certificate is valid. The authority decides for others.
    pub days: u32,
}

/// A new key with its certificate, or with a request for one.
pub struct NewKey {
    /// PKCS #8, DER.
    pub private_key: Zeroizing<Vec<u8>>,
    /// The certificate or the request, DER.
    pub signed: Vec<u8>,
}

/// Why no key with a certificate or a request was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotMade {
    /// A certificate can't be as it was asked for.
    #[error("a certificate can't be made for {what}")]
    Unfit {
        /// What is wrong.
        what: String,
    },
    /// The cryptography library failed.
    #[error("no key could be made")]
    Key(#[from] Unspecified),
    /// The certificate could not be written.
    #[error("the certificate can't be written")]
    Certificate(#[from] der::Error),
}

impl Diagnose for NotMade {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Unfit { .. } => Diagnosis::new(ErrorKind::Invalid, "certificate-ask-invalid")
                .say("give a common name of 1 to 64 characters, DNS names such as `esd.example.com`, and up to ten years"),
            Self::Key(_) | Self::Certificate(_) => {
                Diagnosis::new(ErrorKind::Unavailable, "certificate-not-made").say("try again")
            }
        }
    }
}

/// Makes a key, and a certificate for a client that the key signs, valid from now on.
///
/// # Errors
/// When a name can't stand in a certificate, or no key can be made.
pub fn make_self_signed(new: &NewCertificate, now_ms: i64) -> Result<NewKey, NotMade> {
    check(new)?;
    let now = now_ms.div_euclid(1_000);
    let until = now.saturating_add(i64::from(new.days) * 24 * 60 * 60);
    self_signed(new, [time(now - BACKDATED_SECONDS)?, time(until)?])
}

/// Makes a key and a certificate of a common name that nobody trusts, valid at any time.
///
/// # Errors
/// When no key can be made.
pub(crate) fn make_for_nobody(common_name: &str) -> Result<NewKey, NotMade> {
    let new = NewCertificate {
        common_name: common_name.to_owned(),
        dns_names: Vec::new(),
        days: 0,
    };
    let ever = GeneralizedTime::from_date_time(DateTime::INFINITY).to_der()?;
    self_signed(&new, [time(0)?, ever])
}

/// Makes a key, and a request for a certificate for a client.
///
/// # Errors
/// When a name can't stand in a certificate, or no key can be made.
pub fn make_request(new: &NewCertificate) -> Result<NewKey, NotMade> {
    check(new)?;
    let key = KeyPair::generate(KeySize::Rsa2048)?;
    let extensions = sequence(&[
        &EXTENSION_REQUEST.to_der()?,
        &value(Tag::Set, &extensions(new, &key)?)?,
    ])?;
    let attributes = AnyRef::new(context(0), &extensions)?.to_der()?;
    let info = sequence(&[
        &REQUEST_V1.to_der()?,
        &subject(&new.common_name)?,
        public_key(&key)?.as_ref(),
        &attributes,
    ])?;
    signed(&key, &info)
}

/// The name of a request's subject, and the thumbprint of its public key. `None`: it is no request.
pub fn describe_request(request: &[u8]) -> Option<(String, Thumbprint)> {
    let (_, request) = X509CertificationRequest::from_der(request).ok()?;
    let info = &request.certification_request_info;
    Some((
        distinguished_name(&info.subject),
        Thumbprint::of(info.subject_pki.raw),
    ))
}

/// The thumbprint of a certificate's public key. `None`: it is no certificate.
pub fn public_key_thumbprint(certificate: &[u8]) -> Option<Thumbprint> {
    let (certificate, _) = x509::read(certificate)?;
    Some(Thumbprint::of(certificate.public_key().raw))
}

fn check(new: &NewCertificate) -> Result<(), NotMade> {
    let refused = |what: String| Err(NotMade::Unfit { what });
    let name = &new.common_name;
    if name.trim().is_empty() || name.chars().count() > COMMON_NAME_CHARS_MAX || printable(name) != *name {
        return refused(format!("the common name `{}`", printable(name)));
    }
    if let Some(name) = new.dns_names.iter().find(|name| !is_dns_name(name)) {
        return refused(format!("the DNS name `{}`", printable(name)));
    }
    if new.dns_names.len() > DNS_NAMES_MAX {
        return refused(format!("more than {DNS_NAMES_MAX} DNS names"));
    }
    match new.days {
        1..=DAYS_MAX => Ok(()),
        days => refused(format!("{days} days")),
    }
}

/// Whether a text is a host's name in ASCII, or `*.` and one (RFC 5280, section 4.2.1.6; RFC 9525, section 6.3).
fn is_dns_name(name: &str) -> bool {
    let host = name.strip_prefix("*.").unwrap_or(name);
    DnsName::try_from_str(host).is_ok_and(|_| !host.ends_with('.'))
}

fn self_signed(new: &NewCertificate, [not_before, not_after]: [Vec<u8>; 2]) -> Result<NewKey, NotMade> {
    let key = KeyPair::generate(KeySize::Rsa2048)?;
    let mut serial = [0; 16];
    SystemRandom::new().fill(&mut serial)?;
    // A positive number, whose length does not vary.
    serial[0] = serial[0] & 0x3f | 0x40;
    let subject = subject(&new.common_name)?;
    let certificate = sequence(&[
        &AnyRef::new(context(0), &V3.to_der()?)?.to_der()?,
        &UintRef::new(&serial)?.to_der()?,
        &algorithm()?,
        &subject,
        &sequence(&[&not_before, &not_after])?,
        &subject,
        public_key(&key)?.as_ref(),
        &AnyRef::new(context(3), &extensions(new, &key)?)?.to_der()?,
    ])?;
    signed(&key, &certificate)
}

/// What a key signs with the algorithm and the signature, and the key itself.
fn signed(key: &KeyPair, to_be_signed: &[u8]) -> Result<NewKey, NotMade> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        to_be_signed,
        &mut signature,
    )?;
    let signature = BitStringRef::from_bytes(&signature)?.to_der()?;
    let private_key: Pkcs8V1Der<'_> = key.as_der()?;
    Ok(NewKey {
        private_key: Zeroizing::new(private_key.as_ref().to_vec()),
        signed: sequence(&[to_be_signed, &algorithm()?, &signature])?,
    })
}

fn extensions(new: &NewCertificate, key: &KeyPair) -> Result<Vec<u8>, NotMade> {
    let public_key = key.public_key();
    let key_id = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, public_key.as_ref());
    let mut extensions = vec![
        extension(BASIC_CONSTRAINTS, true, &sequence(&[])?)?,
        extension(KEY_USAGE, true, DIGITAL_SIGNATURE)?,
        extension(
            EXTENDED_KEY_USAGE,
            false,
            &sequence(&[&CLIENT_AUTHENTICATION.to_der()?])?,
        )?,
        extension(
            SUBJECT_KEY,
            false,
            &OctetStringRef::new(key_id.as_ref())?.to_der()?,
        )?,
    ];
    if !new.dns_names.is_empty() {
        let mut names = Vec::with_capacity(new.dns_names.len());
        for name in &new.dns_names {
            let tag = Tag::ContextSpecific {
                constructed: false,
                number: TagNumber(2),
            };
            names.push(AnyRef::new(tag, Ia5StringRef::new(name)?.as_bytes())?.to_der()?);
        }
        extensions.push(extension(
            ALTERNATIVE_NAMES,
            false,
            &value(Tag::Sequence, &names.concat())?,
        )?);
    }
    Ok(value(Tag::Sequence, &extensions.concat())?)
}

fn extension(kind: ObjectIdentifier, is_critical: bool, content: &[u8]) -> der::Result<Vec<u8>> {
    let critical = match is_critical {
        true => true.to_der()?,
        false => Vec::new(),
    };
    sequence(&[
        &kind.to_der()?,
        &critical,
        &OctetStringRef::new(content)?.to_der()?,
    ])
}

fn subject(common_name: &str) -> der::Result<Vec<u8>> {
    let attribute = sequence(&[
        &COMMON_NAME.to_der()?,
        &Utf8StringRef::new(common_name)?.to_der()?,
    ])?;
    sequence(&[&value(Tag::Set, &attribute)?])
}

fn algorithm() -> der::Result<Vec<u8>> {
    sequence(&[&SHA256_WITH_RSA.to_der()?, &Null.to_der()?])
}

fn public_key(key: &KeyPair) -> Result<PublicKeyX509Der<'_>, NotMade> {
    Ok(key.public_key().as_der()?)
}

fn time(seconds: i64) -> Result<Vec<u8>, NotMade> {
    let since = Duration::from_secs(seconds.max(0).unsigned_abs());
    let time = DateTime::from_unix_duration(since)?;
    let written = match time.year() {
        FOUR_DIGITS_FROM.. => GeneralizedTime::from_date_time(time).to_der(),
        _ => UtcTime::from_date_time(time).and_then(|time| time.to_der()),
    };
    Ok(written?)
}

fn context(number: u32) -> Tag {
    Tag::ContextSpecific {
        constructed: true,
        number: TagNumber(number),
    }
}

fn sequence(members: &[&[u8]]) -> der::Result<Vec<u8>> {
    value(Tag::Sequence, &members.concat())
}

fn value(tag: Tag, content: &[u8]) -> der::Result<Vec<u8>> {
    AnyRef::new(tag, content)?.to_der()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use bss_model::clock::now_ms;

    use super::*;
    use crate::certificate_signature::is_signed_by;
    use crate::inspection::{describe, parse};

    fn new(common_name: &str, dns_names: &[&str]) -> NewCertificate {
        NewCertificate {
            common_name: common_name.to_owned(),
            dns_names: dns_names.iter().map(ToString::to_string).collect(),
            days: 365,
        }
    }

    #[test]
    fn a_self_signed_certificate_is_a_client_s_and_signed_with_its_key() {
        let now = now_ms();
        let made = make_self_signed(
            &new("esd.example.com", &["esd.example.com", "*.example.com"]),
            now,
        )
        .unwrap();
        let certificate = parse(&made.signed).unwrap();
        assert_eq!(
            is_signed_by((&made.signed, &certificate), &certificate),
            Some(true)
        );
        let key = KeyPair::from_pkcs8(&made.private_key).unwrap();
        let public_key = certificate.public_key().subject_public_key.data.as_ref();
        assert_eq!(public_key, key.public_key().as_ref());
        let described = describe(&made.signed, &[], now).unwrap();
        assert_eq!(described.unusable_because(now), None);
        assert_eq!(described.cautions(), []);
        assert_eq!(described.subject, "CN=esd.example.com");
        assert_eq!(described.dns_names, ["esd.example.com", "*.example.com"]);
        assert!(!described.is_authority && described.is_self_issued);
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth);
        assert_eq!(described.not_after_ms / 1_000 - now / 1_000, 365 * 24 * 60 * 60);
        assert!(described.not_before_ms < now);
        let other = make_self_signed(&new("esd.example.com", &[]), now).unwrap();
        assert_ne!(
            parse(&other.signed).unwrap().raw_serial(),
            certificate.raw_serial()
        );
    }

    #[test]
    fn a_certificate_that_ends_after_2049_says_so_with_four_digits() {
        let at = 2_400_000_000_000;
        let made = make_self_signed(
            &NewCertificate {
                days: 3_653,
                ..new("a", &[])
            },
            at,
        )
        .unwrap();
        assert_eq!(
            describe(&made.signed, &[], at).unwrap().not_after_ms,
            at + 3_653 * 86_400_000
        );
    }

    #[test]
    fn a_certificate_of_nobody_is_valid_at_any_time() {
        let made = make_for_nobody("nobody.invalid").unwrap();
        let described = describe(&made.signed, &[], 0).unwrap();
        assert_eq!(
            (described.not_before_ms, described.not_after_ms),
            (0, 253_402_300_799_000)
        );
        let key = KeyPair::from_pkcs8(&made.private_key).unwrap();
        let certificate = parse(&made.signed).unwrap();
        let signer = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
        let signature = certificate.signature_value.data.as_ref();
        signer
            .verify(certificate.tbs_certificate.as_ref(), signature)
            .unwrap();
    }

    #[test]
    fn a_request_has_the_subject_and_the_key() {
        let made = make_request(&new("esd", &["esd.example.com"])).unwrap();
        let (subject, public_key) = describe_request(&made.signed).unwrap();
        assert_eq!(subject, "CN=esd");
        let key = KeyPair::from_pkcs8(&made.private_key).unwrap();
        let spki: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
        assert_eq!(public_key, Thumbprint::of(spki.as_ref()));
    }

    #[test]
    fn names_that_no_certificate_may_have_are_refused() {
        for wrong in [
            new("", &[]),
            new(" ", &[]),
            new(&"a".repeat(65), &[]),
            new("a\u{202e}b", &[]),
            new("a", &["esd.bücher.example"]),
            new("a", &["https://esd.example.com"]),
            new("a", &["esd.example.com."]),
            new("a", &["a.*.com"]),
            new("a", &[""]),
            new("a", &["a.example"; 101]),
            NewCertificate {
                days: 0,
                ..new("a", &[])
            },
            NewCertificate {
                days: 3_661,
                ..new("a", &[])
            },
        ] {
            assert!(
                matches!(make_self_signed(&wrong, 0), Err(NotMade::Unfit { .. })),
                "{wrong:?}"
            );
            assert!(
                matches!(make_request(&wrong), Err(NotMade::Unfit { .. })),
                "{wrong:?}"
            );
        }
    }
}
