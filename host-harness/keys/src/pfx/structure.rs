//! The structure of a PFX file (RFC 7292), as far as it is read.

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode as _, Reader as _, Sequence, SliceReader, Tag, TagNumber, Tagged as _};

use super::error::PfxError;

#[derive(Sequence)]
pub(super) struct Pfx<'a> {
    pub(super) version: u8,
    pub(super) auth_safe: ContentInfo<'a>,
    pub(super) mac: Option<MacData<'a>>,
}

#[derive(Sequence)]
pub(super) struct ContentInfo<'a> {
    pub(super) content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    pub(super) content: AnyRef<'a>,
}

#[derive(Sequence)]
pub(super) struct EncryptedData<'a> {
    pub(super) version: u8,
    pub(super) content: EncryptedContentInfo<'a>,
}

#[derive(Sequence)]
pub(super) struct EncryptedContentInfo<'a> {
    pub(super) content_type: ObjectIdentifier,
    pub(super) algorithm: Algorithm<'a>,
    /// An octet string under the implicit tag 0: primitive, or constructed of chunks.
    encrypted: AnyRef<'a>,
}

impl EncryptedContentInfo<'_> {
    /// The encrypted octets, without the headers of their chunks.
    pub(super) fn encrypted(&self) -> Result<Vec<u8>, PfxError> {
        match self.encrypted.tag() {
            Tag::ContextSpecific {
                constructed: false,
                number: TagNumber(0),
            } => Ok(self.encrypted.value().to_vec()),
            Tag::ContextSpecific {
                constructed: true,
                number: TagNumber(0),
            } => {
                let mut octets = Vec::new();
                let mut reader = SliceReader::new(self.encrypted.value())?;
                while !reader.is_finished() {
                    let chunk = <&OctetStringRef>::decode(&mut reader)?;
                    octets.extend_from_slice(chunk.as_bytes());
                }
                Ok(octets)
            }
            _ => Err(PfxError::Damaged),
        }
    }
}

#[derive(Sequence)]
pub(super) struct MacData<'a> {
    pub(super) mac: DigestInfo<'a>,
    pub(super) salt: &'a OctetStringRef,
    pub(super) iterations: Option<UintRef<'a>>,
}

#[derive(Sequence)]
pub(super) struct DigestInfo<'a> {
    pub(super) algorithm: Algorithm<'a>,
    pub(super) digest: &'a OctetStringRef,
}

#[derive(Clone, Copy, Sequence)]
pub(super) struct Algorithm<'a> {
    pub(super) oid: ObjectIdentifier,
    pub(super) parameters: Option<AnyRef<'a>>,
}

#[derive(Sequence)]
pub(super) struct SafeBag<'a> {
    pub(super) bag_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    pub(super) value: AnyRef<'a>,
    /// Friendly names and key ids, which are ignored: keys and certificates are matched by their public keys.
    pub(super) attributes: Option<AnyRef<'a>>,
}

#[derive(Sequence)]
pub(super) struct CertificateBag<'a> {
    pub(super) certificate_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    pub(super) certificate: AnyRef<'a>,
}

#[derive(Sequence)]
pub(super) struct EncryptedPrivateKey<'a> {
    pub(super) algorithm: Algorithm<'a>,
    pub(super) encrypted: &'a OctetStringRef,
}
