//! Reads a certificate's description, and finds the private key and the chain that belong to it.

use aws_lc_rs::digest;
use bss_model::Thumbprint;
use data_encoding::HEXUPPER;
use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode, Encode, Reader, Sequence, SliceReader};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use zeroize::Zeroizing;

use crate::certificate::{InstalledCertificate, KeyKind};
use crate::inspect_error::InspectError;
use crate::pfx::Contents;

/// The longest chain that is followed. A chain has three certificates, rarely four; servers refuse long ones.
const CHAIN_CERTIFICATES_MAX: usize = 10;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// Algorithms of public keys, and named curves, by the names that operators know them by.
const ALGORITHM_NAMES: [(&str, &str); 8] = [
    ("1.2.840.10045.3.1.7", "EC P-256"),
    ("1.3.132.0.34", "EC P-384"),
    ("1.3.132.0.35", "EC P-521"),
    ("1.2.840.10045.2.1", "EC"),
    ("1.3.101.112", "Ed25519"),
    ("1.3.101.113", "Ed448"),
    ("1.2.840.113549.1.1.10", "RSASSA-PSS"),
    ("1.2.840.10040.4.1", "DSA"),
];

/// A private key with the certificate that it belongs to.
pub struct KeyWithCertificates {
    /// PKCS #8, DER.
    pub private_key: Zeroizing<Vec<u8>>,
    /// DER.
    pub leaf: Vec<u8>,
    /// DER, from the leaf's issuer upward.
    pub chain: Vec<Vec<u8>>,
}

/// Finds the one private key, the certificate that has its public key, and that certificate's chain. Names and
/// local key ids in the file are ignored: tools set them as they please.
pub(crate) fn match_key(mut contents: Contents) -> Result<KeyWithCertificates, InspectError> {
    let mut keys = std::mem::take(&mut contents.private_keys);
    keys.dedup();
    let private_key = match (keys.pop(), keys.len()) {
        (None, _) => return Err(InspectError::NoPrivateKey),
        (Some(key), 0) => key,
        (Some(_), others) => return Err(InspectError::SeveralPrivateKeys { count: others + 1 }),
    };
    if contents.certificates.is_empty() {
        return Err(InspectError::NoCertificate);
    }
    let public_key = PublicKeyOf::private_key(&private_key)?;
    let mut certificates = Vec::with_capacity(contents.certificates.len());
    for der in &contents.certificates {
        certificates.push(parse(der)?);
    }
    let leaf = certificates
        .iter()
        .position(|certificate| public_key.is_in(certificate))
        .ok_or_else(|| InspectError::KeyDoesNotMatch {
            subjects: certificates
                .iter()
                .map(|c| printable(&c.subject().to_string()))
                .collect(),
        })?;
    let chain = chain_of(&certificates, leaf);
    let der = |index: usize| contents.certificates.get(index).cloned().unwrap_or_default();
    Ok(KeyWithCertificates {
        private_key,
        leaf: der(leaf),
        chain: chain.into_iter().map(der).collect(),
    })
}

/// The indices of a certificate's issuer, that one's issuer, and so on as far as the file goes.
fn chain_of(certificates: &[X509Certificate<'_>], leaf: usize) -> Vec<usize> {
    let mut chain = Vec::new();
    let mut current = leaf;
    while chain.len() < CHAIN_CERTIFICATES_MAX {
        let issuer = certificates.iter().enumerate().find(|(index, candidate)| {
            *index != leaf
                && !chain.contains(index)
                && certificates
                    .get(current)
                    .is_some_and(|child| is_issuer(candidate, child))
        });
        match issuer {
            Some((index, _)) => chain.push(index),
            None => break,
        }
        current = chain.last().copied().unwrap_or(leaf);
    }
    chain
}

fn is_issuer(candidate: &X509Certificate<'_>, child: &X509Certificate<'_>) -> bool {
    let of_subject = candidate
        .iter_extensions()
        .find_map(|e| match e.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
            _ => None,
        });
    let of_issuer = child.iter_extensions().find_map(|e| match e.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0),
        _ => None,
    });
    let ids_differ = matches!((of_subject, of_issuer), (Some(a), Some(b)) if a != b);
    !is_self_issued(child) && candidate.subject().as_raw() == child.issuer().as_raw() && !ids_differ
}

fn is_self_issued(certificate: &X509Certificate<'_>) -> bool {
    certificate.subject().as_raw() == certificate.issuer().as_raw()
}

pub(crate) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, InspectError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(InspectError::UnreadableCertificate {
            thumbprint: Thumbprint::of(der),
        }),
    }
}

/// Describes a certificate to operators, with its chain and the time of its import (milliseconds since 1970). It has no owner
/// yet.
///
/// # Errors
/// When the certificate, or the last one of its chain, can't be read.
pub fn describe(
    leaf: &[u8],
    chain: &[Vec<u8>],
    imported_at_ms: i64,
) -> Result<InstalledCertificate, InspectError> {
    let certificate = parse(leaf)?;
    let top = match chain.last() {
        Some(der) => parse(der)?,
        None => certificate.clone(),
    };
    let validity = certificate.validity();
    let usage = certificate.key_usage().ok().flatten();
    let extended = certificate.extended_key_usage().ok().flatten();
    Ok(InstalledCertificate {
        thumbprint: Thumbprint::of(leaf),
        sha256: HEXUPPER.encode(digest::digest(&digest::SHA256, leaf).as_ref()),
        subject: printable(&certificate.subject().to_string()),
        issuer: printable(&certificate.issuer().to_string()),
        dns_names: dns_names(&certificate),
        serial: HEXUPPER.encode(certificate.raw_serial()),
        not_before_ms: validity.not_before.timestamp().saturating_mul(1000),
        not_after_ms: validity.not_after.timestamp().saturating_mul(1000),
        key: key_kind(&certificate),
        for_client_authentication: extended.is_none_or(|e| e.value.any || e.value.client_auth),
        for_signatures: usage.is_none_or(|usage| usage.value.digital_signature()),
        is_authority: certificate.is_ca(),
        chain: chain.len(),
        chain_complete: is_self_issued(&top),
        imported_at_ms,
        owner: None,
    })
}

fn dns_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = certificate.subject_alternative_name().ok().flatten();
    names.map_or_else(Vec::new, |names| {
        let dns = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(printable(name)),
            _ => None,
        });
        dns.collect()
    })
}

fn key_kind(certificate: &X509Certificate<'_>) -> KeyKind {
    let info = certificate.public_key();
    if let Ok(PublicKey::RSA(key)) = info.parsed() {
        return KeyKind::Rsa {
            bits: modulus_bits(key.modulus),
        };
    }
    let curve = info
        .algorithm
        .parameters
        .as_ref()
        .and_then(|any| any.as_oid().ok());
    let curve = curve.and_then(|oid| algorithm_name(&oid.to_id_string()));
    let oid = info.algorithm.algorithm.to_id_string();
    KeyKind::Other(match curve.or_else(|| algorithm_name(&oid)) {
        Some(name) => name.to_owned(),
        None => oid,
    })
}

fn modulus_bits(modulus: &[u8]) -> u32 {
    let significant = modulus
        .iter()
        .position(|byte| *byte != 0)
        .map_or(&[][..], |start| modulus.get(start..).unwrap_or_default());
    let bits = significant.first().map_or(0, |first| {
        significant.len().saturating_mul(8) - first.leading_zeros() as usize
    });
    u32::try_from(bits).unwrap_or(u32::MAX)
}

fn algorithm_name(oid: &str) -> Option<&'static str> {
    ALGORITHM_NAMES
        .iter()
        .find(|(known, _)| *known == oid)
        .map(|(_, name)| *name)
}

/// Replaces control characters: names come from a file that anybody can make, and must not steer a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

/// The public half of a private key, in the form in which a certificate holds it.
enum PublicKeyOf {
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

impl PublicKeyOf {
    fn private_key(pkcs8: &[u8]) -> Result<Self, InspectError> {
        let (algorithm, key) = pkcs8_parts(pkcs8).map_err(|_| InspectError::UnreadablePrivateKey)?;
        if algorithm == RSA_ENCRYPTION {
            let public_key = rsa_public_key(key);
            return public_key
                .map(Self::Rsa)
                .map_err(|_| InspectError::UnreadablePrivateKey);
        }
        let algorithm = algorithm.to_string();
        let unsupported = || InspectError::UnsupportedPrivateKey {
            algorithm: algorithm_name(&algorithm).map_or_else(|| algorithm.clone(), str::to_owned),
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8));
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).map_err(|_| unsupported())?;
        key.public_key()
            .map(|key| Self::Other(key.to_vec()))
            .ok_or_else(unsupported)
    }

    fn is_in(&self, certificate: &X509Certificate<'_>) -> bool {
        let info = certificate.public_key();
        match self {
            Self::Rsa(key) => {
                info.algorithm.algorithm == x509_parser::oid_registry::OID_PKCS1_RSAENCRYPTION
                    && info.subject_public_key.data.as_ref() == key.as_slice()
            }
            Self::Other(key) => info.raw == key.as_slice(),
        }
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

fn rsa_public_key(key: &[u8]) -> der::Result<Vec<u8>> {
    let mut reader = SliceReader::new(key)?;
    reader.sequence(|reader| -> der::Result<_> {
        UintRef::decode(reader)?;
        let modulus = UintRef::decode(reader)?;
        let exponent = UintRef::decode(reader)?;
        skip_rest(reader)?;
        RsaPublicKey { modulus, exponent }.to_der()
    })
}

fn skip_rest<'a>(reader: &mut impl Reader<'a>) -> der::Result<()> {
    while !reader.is_finished() {
        AnyRef::decode(reader)?;
    }
    Ok(())
}
