//! Signatures of certificates, where nothing else proves that they are unaltered.

use der::asn1::AnyRef;
use der::{Decode as _, Reader as _, SliceReader, Tag, Tagged as _};
use rustls::crypto::aws_lc_rs;
use x509_parser::prelude::X509Certificate;

/// Whether a certificate is signed with the key of another, or of itself. `None`: its algorithm, with its parameters, is not
/// known here. The algorithm beside the signed part must be the one within (RFC 5280, section 4.1.1.2), and the signature must
/// have no bit left over.
pub(crate) fn is_signed_by(
    (der, child): (&[u8], &X509Certificate<'_>),
    issuer: &X509Certificate<'_>,
) -> Option<bool> {
    let Ok(Some(of_signature)) = algorithm_as_signed(der) else {
        return Some(false);
    };
    let algorithms = aws_lc_rs::default_provider()
        .signature_verification_algorithms
        .all;
    // Not by the algorithm of the issuer's key: in a self-signed certificate, a change may be just there.
    let mut fitting = algorithms
        .iter()
        .filter(|algorithm| algorithm.signature_alg_id().as_ref() == of_signature);
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

/// The content of the algorithm's identifier, where a certificate names it beside the signed part in the bytes in which it does
/// so within (RFC 5280, section 4.1.1.2), and the signature is a bit string with no bit left over: the library that reads
/// certificates takes other tags too.
fn algorithm_as_signed(der: &[u8]) -> der::Result<Option<&[u8]>> {
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
    let is_sound =
        is_named_alike && signature.tag() == Tag::BitString && signature.value().first() == Some(&0);
    Ok(is_sound.then_some(algorithm.value()))
}
