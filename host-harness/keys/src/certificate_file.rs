//! Certificates without private keys, as an authority answers a request: `.cer` and `.crt`, PEM, PKCS #7.

use der::asn1::{AnyRef, ContextSpecific, ObjectIdentifier};
use der::{Decode as _, Encode as _, Reader as _, SliceReader, Tag, Tagged as _};

use crate::encoded::{self, Block};
use crate::file_kind::FileKind;
use crate::{ber, pfx, x509};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");

/// The most certificates of one file.
const CERTIFICATES_MAX: usize = 100;

/// The certificates of a file that has nothing else, in its order, DER. `None`: the file is another one.
pub fn certificates_alone(file: &[u8]) -> Option<Vec<Vec<u8>>> {
    let is_certificates = || matches!(FileKind::of(file), FileKind::Certificate | FileKind::Certificates);
    if file.len() > pfx::FILE_BYTES_MAX || pfx::is_in(file) || !is_certificates() {
        return None;
    }
    let mut certificates: Vec<_> = encoded::blocks(file).iter().flat_map(of_block).collect();
    certificates.truncate(CERTIFICATES_MAX);
    Some(certificates)
}

fn of_block(block: &Block) -> Vec<Vec<u8>> {
    match x509::read(&block.bytes) {
        // What stands behind a certificate, such as a line end, does not belong to it.
        Some((_, rest)) => {
            let bytes = block.bytes.len() - rest.len();
            block.bytes.get(..bytes).map(<[u8]>::to_vec).into_iter().collect()
        }
        None => {
            let der = ber::definite(&block.bytes);
            der.and_then(|(der, _)| of_signed_data(&der)).unwrap_or_default()
        }
    }
}

/// The certificates of a PKCS #7 structure (RFC 5652, section 5.1), whose signatures, if there are any, say nothing here.
fn of_signed_data(der: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut reader = SliceReader::new(AnyRef::from_der(der).ok()?.value()).ok()?;
    if ObjectIdentifier::decode(&mut reader).ok()? != SIGNED_DATA {
        return None;
    }
    let content = ContextSpecific::<AnyRef<'_>>::decode(&mut reader).ok()?.value;
    let mut reader = SliceReader::new(content.value()).ok()?;
    let certificates_tag = Tag::ContextSpecific {
        constructed: true,
        number: der::TagNumber(0),
    };
    while !reader.is_finished() {
        let member = AnyRef::decode(&mut reader).ok()?;
        if member.tag() == certificates_tag {
            let mut certificates = Vec::new();
            let mut reader = SliceReader::new(member.value()).ok()?;
            while !reader.is_finished() {
                certificates.push(AnyRef::decode(&mut reader).ok()?.to_der().ok()?);
            }
            return Some(certificates);
        }
    }
    None
}
