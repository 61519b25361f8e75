//! Signatures of certificates, where nothing else proves that they are unaltered.

use rustls::crypto::aws_lc_rs;
use x509_parser::der_parser::Oid;
use x509_parser::prelude::X509Certificate;

/// Whether a certificate is signed with the key of another, or of itself. `None`: its algorithm is not known here. What stands
/// beside the signed part must be as that says (RFC 5280, section 4.1.1.2), with no bit left over.
pub(crate) fn is_signed_by(child: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> Option<bool> {
    let is_as_signed = child.signature_algorithm == child.tbs_certificate.signature
        && child.signature_value.unused_bits == 0;
    if !is_as_signed {
        return Some(false);
    }
    let of_signature = encoded(&child.signature_algorithm.algorithm);
    let of_key = encoded(&issuer.public_key().algorithm.algorithm);
    let algorithms = aws_lc_rs::default_provider()
        .signature_verification_algorithms
        .all;
    let mut fitting = algorithms.iter().filter(|algorithm| {
        algorithm.signature_alg_id().starts_with(&of_signature)
            && algorithm.public_key_alg_id().starts_with(&of_key)
    });
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

/// An object identifier with its tag and length.
fn encoded(oid: &Oid<'_>) -> Vec<u8> {
    let content = oid.as_bytes();
    let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
    [&[0x06, length][..], content].concat()
}
