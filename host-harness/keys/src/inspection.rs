//! Reads a certificate's description, and finds the private key and the chain that belong to it.

use std::collections::VecDeque;

use aws_lc_rs::digest;
use bss_model::Thumbprint;
use data_encoding::HEXUPPER;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::X509Certificate;
use x509_parser::public_key::PublicKey;
use zeroize::Zeroizing;

use crate::certificate::{InstalledCertificate, KeyKind, algorithm_name};
use crate::certificate_signature::is_signed_by;
use crate::inspect_error::InspectError;
use crate::names::{distinguished_name, printable};
use crate::pfx::Contents;
use crate::private_key::PrivateKey;
use crate::unusable::{Caution, RSA_BITS_MAX, RSA_BITS_MIN};
use crate::x509;

/// The longest chain that is followed. A chain has three certificates, rarely four; servers refuse long ones.
const CHAIN_CERTIFICATES_MAX: usize = 10;

/// A private key with the certificate that it belongs to.
pub struct KeyWithCertificates {
    /// PKCS #8, DER.
    pub private_key: Zeroizing<Vec<u8>>,
    /// DER.
    pub leaf: Vec<u8>,
    /// DER, from the leaf's issuer upward.
    pub chain: Vec<Vec<u8>>,
    /// What to know of the file.
    pub cautions: Vec<Caution>,
}

/// Finds the one private key, the certificate that has its public key, and that certificate's chain, and tries the key. Names
/// and local key ids in the file are ignored: tools set them as they please. Certificates that can't be read are left out.
pub(crate) fn match_key(contents: Contents, now_ms: i64) -> Result<KeyWithCertificates, InspectError> {
    let private_key = the_one_key(&contents)?;
    if contents.certificates.is_empty() {
        return Err(InspectError::NoCertificate);
    }
    let read: Vec<(&[u8], X509Certificate<'_>)> = contents
        .certificates
        .iter()
        .filter_map(|der| Some((der.as_slice(), parse(der).ok()?)))
        .collect();
    let leaf = leaf_of(&private_key, &read, now_ms).ok_or_else(|| no_leaf(&contents, &read))?;
    let (leaf_der, certificate) = read.get(leaf).ok_or(InspectError::NoCertificate)?;
    private_key.try_out(&key_kind(certificate))?;

    let mut cautions = Vec::new();
    cautions.extend((!contents.has_mac).then_some(Caution::NoMac));
    for (der, other) in &read {
        if der != leaf_der && private_key.is_of(other) {
            cautions.push(Caution::OtherCertificate {
                subject: distinguished_name(other.subject()),
                thumbprint: Thumbprint::of(der),
            });
        }
    }
    let count = contents.certificates.len() - read.len();
    cautions.extend((count > 0).then_some(Caution::Unreadable { count }));
    let der = |index: usize| read.get(index).map(|(der, _)| der.to_vec());
    let certificates: Vec<_> = read.iter().map(|(_, certificate)| certificate).collect();
    let chain = chain_of(&certificates, leaf);
    if !contents.has_mac || contents.are_bare {
        check_signatures(&read, leaf, &chain)?;
    }
    Ok(KeyWithCertificates {
        private_key: private_key.pkcs8,
        leaf: leaf_der.to_vec(),
        chain: chain.into_iter().filter_map(der).collect(),
        cautions,
    })
}

/// Checks that each certificate is as its issuer signed it, as far as the file has the issuers.
fn check_signatures(
    certificates: &[(&[u8], X509Certificate<'_>)],
    leaf: usize,
    chain: &[usize],
) -> Result<(), InspectError> {
    let path: Vec<_> = std::iter::once(&leaf)
        .chain(chain)
        .filter_map(|index| certificates.get(*index))
        .collect();
    for (position, (der, child)) in path.iter().enumerate() {
        let issuer = match path.get(position + 1) {
            Some((_, issuer)) => issuer,
            None if is_self_issued(child) => child,
            None => continue,
        };
        let has_known_key = match key_kind(issuer) {
            KeyKind::Rsa { bits } => (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits),
            // An EC key on a curve without a name here: the cryptography library verifies nothing with it.
            KeyKind::Other(name) => name != "EC",
        };
        if has_known_key && is_signed_by((der, child), issuer) == Some(false) {
            return Err(InspectError::AlteredCertificate {
                thumbprint: Thumbprint::of(der),
            });
        }
    }
    Ok(())
}

/// The private key of a file, which may have it more than once, with attributes and without.
fn the_one_key(contents: &Contents) -> Result<PrivateKey, InspectError> {
    let mut keys = Vec::<PrivateKey>::new();
    for found in &contents.private_keys {
        // Of several keys, one that can't be read is no less a key.
        let key = match (PrivateKey::read(found), contents.private_keys.len()) {
            (Ok(key), _) => key,
            (Err(error), 1) => return Err(error),
            (Err(_), count) => return Err(InspectError::SeveralPrivateKeys { count }),
        };
        if !keys.iter().any(|known| known.is_same(&key)) {
            keys.push(key);
        }
    }
    let count = keys.len();
    match (keys.pop(), count) {
        (Some(key), 1) => Ok(key),
        (None, _) => Err(InspectError::NoPrivateKey),
        (Some(_), _) => Err(InspectError::SeveralPrivateKeys { count }),
    }
}

/// The certificate of a key. Where a key was kept when its certificate was renewed, or has a placeholder besides, the file
/// has several: one that can be used goes before one that can't, one that somebody else issued before a self-issued one,
/// and a later one before an earlier one.
fn leaf_of(key: &PrivateKey, certificates: &[(&[u8], X509Certificate<'_>)], now_ms: i64) -> Option<usize> {
    let of_key = certificates
        .iter()
        .enumerate()
        .filter(|(_, (_, certificate))| key.is_of(certificate));
    // Of equals, the first one: `max_by_key` would take the last.
    let ranked = of_key.rev().max_by_key(|(_, (der, certificate))| {
        let is_usable = described(der, certificate, &[], now_ms)
            .unusable_because(now_ms)
            .is_none();
        (
            is_usable,
            !is_self_issued(certificate),
            certificate.validity().not_before.timestamp(),
        )
    });
    ranked.map(|(index, _)| index)
}

fn no_leaf(contents: &Contents, read: &[(&[u8], X509Certificate<'_>)]) -> InspectError {
    let unreadable = contents.certificates.iter().find(|der| parse(der).is_err());
    match unreadable {
        Some(der) => InspectError::UnreadableCertificate {
            thumbprint: Thumbprint::of(der),
        },
        None => InspectError::KeyDoesNotMatch {
            subjects: read
                .iter()
                .map(|(_, certificate)| distinguished_name(certificate.subject()))
                .collect(),
        },
    }
}

/// The indices of a certificate's issuer, that one's issuer, and so on: the shortest way to a self-issued one, or else as far
/// as the file goes. An authority may be there twice, cross-signed by another one too.
fn chain_of(certificates: &[&X509Certificate<'_>], leaf: usize) -> Vec<usize> {
    let mut below = vec![None; certificates.len()];
    let mut reached = VecDeque::from([(leaf, 0)]);
    let mut last = leaf;
    while let Some((current, height)) = reached.pop_front() {
        let Some(child) = certificates.get(current) else {
            continue;
        };
        last = current;
        if is_self_issued(child) {
            break;
        }
        if height == CHAIN_CERTIFICATES_MAX {
            continue;
        }
        for (index, candidate) in certificates.iter().enumerate() {
            let is_new = index != leaf && below.get(index).is_some_and(Option::is_none);
            if is_new && is_issuer(candidate, child) {
                below[index] = Some(current);
                reached.push_back((index, height + 1));
            }
        }
    }
    let mut chain = Vec::new();
    while let (true, Some(Some(child))) = (last != leaf, below.get(last)) {
        chain.push(last);
        last = *child;
    }
    chain.reverse();
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
    match x509::read(der) {
        Some((certificate, [])) => Ok(certificate),
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
    Ok(InstalledCertificate {
        chain_complete: is_self_issued(&top),
        ..described(leaf, &certificate, chain, imported_at_ms)
    })
}

/// The description of a certificate whose chain is not looked at.
fn described(
    leaf: &[u8],
    certificate: &X509Certificate<'_>,
    chain: &[Vec<u8>],
    imported_at_ms: i64,
) -> InstalledCertificate {
    let validity = certificate.validity();
    let usage = certificate.key_usage().ok().flatten();
    let extended = certificate.extended_key_usage().ok().flatten();
    InstalledCertificate {
        thumbprint: Thumbprint::of(leaf),
        sha256: HEXUPPER.encode(digest::digest(&digest::SHA256, leaf).as_ref()),
        subject: distinguished_name(certificate.subject()),
        issuer: distinguished_name(certificate.issuer()),
        dns_names: dns_names(certificate),
        serial: HEXUPPER.encode(certificate.raw_serial()),
        not_before_ms: validity.not_before.timestamp().saturating_mul(1000),
        not_after_ms: validity.not_after.timestamp().saturating_mul(1000),
        key: key_kind(certificate),
        for_client_authentication: extended.is_none_or(|e| e.value.any || e.value.client_auth),
        for_signatures: usage.is_none_or(|usage| usage.value.digital_signature()),
        is_authority: certificate.is_ca(),
        is_self_issued: is_self_issued(certificate),
        chain: chain.len(),
        chain_complete: is_self_issued(certificate),
        imported_at_ms,
        owner: None,
    }
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
