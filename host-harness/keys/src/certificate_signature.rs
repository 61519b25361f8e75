//! Signatures of certificates, where nothing else proves that they are unaltered.

use der::asn1::AnyRef;
use der::{Decode as _, Reader as _, SliceReader, Tag, Tagged as _};
use rustls::crypto::aws_lc_rs;
use x509_parser::der_parser::Oid;
use x509_parser::prelude::X509Certificate;

/// Whether a certificate is signed with the key of another, or of itself. `None`: its algorithm is not known here. What stands
/// beside the signed part must be as that says (RFC 5280, section 4.1.1.2), with no bit left over.
pub(crate) fn is_signed_by(
    (der, child): (&[u8], &X509Certificate<'_>),
    issuer: &X509Certificate<'_>,
) -> Option<bool> {
    if is_as_signed(der) != Ok(true) {
        return Some(false);
    }
    let of_signature = encoded(&child.signature_algorithm.algorithm);
    let algorithms = aws_lc_rs::default_provider()
        .signature_verification_algorithms
        .all;
    // Not by the algorithm of the issuer's key: in a self-signed certificate, a change may be just there.
    let mut fitting = algorithms
        .iter()
        .filter(|algorithm| algorithm.signature_alg_id().starts_with(&of_signature));
    let key = issuer.public_key().subject_public_key.data.as_ref();
    let (message, signature) = (
        child.tbs_certificate.as_ref(),
        child.signature_value.data.as_ref(),
    );
    let first = fitting.next()?;
    Some(
        std::iter::once(first)
            .chain(fitting)
            .any(|algorithm| algorithm.verify_signature(key, message, signature).is_ok()),
    )
}

/// Whether a certificate names its algorithm beside the signed part in the bytes in which it does so within (RFC 5280, section
/// 4.1.1.2), and its signature is a bit string with no bit left over: the library that reads certificates takes other tags too.
fn is_as_signed(der: &[u8]) -> der::Result<bool> {
    let mut reader = SliceReader::new(AnyRef::from_der(der)?.value())?;
    let to_be_signed = AnyRef::decode(&mut reader)?;
    let algorithm = AnyRef::decode(&mut reader)?;
    let signature = AnyRef::decode(&mut reader)?;
    reader.finish()?;
    let mut within = SliceReader::new(to_be_signed.value())?;
    let first = AnyRef::decode(&mut within)?;
    if first.tag() != Tag::Integer {
        // The version, before the serial number.
        AnyRef::decode(&mut within)?;
    }
    let is_named_alike = AnyRef::decode(&mut within)? == algorithm;
    Ok(is_named_alike && signature.tag() == Tag::BitString && signature.value().first() == Some(&0))
}

/// An object identifier with its tag and length.
fn encoded(oid: &Oid<'_>) -> Vec<u8> {
    let content = oid.as_bytes();
    let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
    [&[0x06, length][..], content].concat()
}
