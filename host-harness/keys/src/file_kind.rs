//! What a file is that is no PFX file, and what to do about it.

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode as _, Reader as _, SliceReader, Tag, Tagged as _};

use crate::encoded::{self, Block};
use crate::{ber, x509};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");

/// The kind of a file that is no PFX file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// An empty file.
    Empty,
    /// What a server answers to somebody who is not logged in.
    WebPage,
    /// JSON, such as what `az keyvault secret show` prints.
    Json,
    /// A certificate alone (`.cer`, `.crt`).
    Certificate,
    /// Certificates alone, in PKCS #7 (`.p7b`).
    Certificates,
    /// A request for a certificate (`.csr`).
    Request,
    /// A private key alone (`.key`).
    PrivateKey,
    /// A private key and a certificate in PEM.
    KeyAndCertificate,
    /// A keystore of Java's own (JKS, JCEKS).
    JavaKeyStore,
    /// Nothing that is known here.
    Unknown,
}

impl FileKind {
    /// The kind of a file that is no PFX file.
    pub(crate) fn of(file: &[u8]) -> Self {
        if file.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0) {
            return Self::Empty;
        }
        if file.starts_with(&[0xfe, 0xed, 0xfe, 0xed]) || file.starts_with(&[0xce; 4]) {
            return Self::JavaKeyStore;
        }
        if let Some(text) = encoded::text(file) {
            let start: String = text.trim_start().chars().take(15).collect();
            let start = start.to_ascii_lowercase();
            if start.starts_with("<!doctype html") || start.starts_with("<html") {
                return Self::WebPage;
            }
            if start.starts_with('{') {
                return Self::Json;
            }
        }
        let kinds: Vec<Self> = encoded::blocks(file).iter().map(Self::of_block).collect();
        let has = |kind| kinds.contains(&kind);
        match kinds.first() {
            Some(_) if has(Self::PrivateKey) && has(Self::Certificate) => Self::KeyAndCertificate,
            Some(_) if has(Self::PrivateKey) => Self::PrivateKey,
            Some(first) => *first,
            None => Self::Unknown,
        }
    }

    fn of_block(block: &Block) -> Self {
        if block
            .label
            .as_ref()
            .is_some_and(|label| label.ends_with("PRIVATE KEY"))
        {
            return Self::PrivateKey;
        }
        if x509::read(&block.bytes).is_some() {
            return Self::Certificate;
        }
        let Some((value, _)) = ber::definite(&block.bytes) else {
            return Self::Unknown;
        };
        Self::of_structure(&value).unwrap_or(Self::Unknown)
    }

    /// The kind of a structure, by what stands first in it.
    fn of_structure(der: &[u8]) -> Option<Self> {
        let mut reader = SliceReader::new(der).ok()?;
        let sequence = AnyRef::decode(&mut reader)
            .ok()
            .filter(|any| any.tag() == Tag::Sequence)?;
        let mut reader = SliceReader::new(sequence.value()).ok()?;
        let first = AnyRef::decode(&mut reader).ok()?;
        let second = AnyRef::decode(&mut reader).ok()?;
        let third = (!reader.is_finished())
            .then(|| AnyRef::decode(&mut reader).ok())
            .flatten();
        match (first.tag(), second.tag(), third.map(|any| any.tag())) {
            // A ContentInfo (RFC 5652).
            (Tag::ObjectIdentifier, ..) if first.decode_as() == Ok(SIGNED_DATA) => Some(Self::Certificates),
            // A PrivateKeyInfo (RFC 5958), an RSAPrivateKey (RFC 8017), an ECPrivateKey (RFC 5915).
            (Tag::Integer, Tag::Sequence, Some(Tag::OctetString))
            | (Tag::Integer, Tag::Integer, Some(Tag::Integer))
            | (Tag::Integer, Tag::OctetString, _)
            // An EncryptedPrivateKeyInfo (RFC 5958).
            | (Tag::Sequence, Tag::OctetString, None) => Some(Self::PrivateKey),
            // A CertificationRequest (RFC 2986), whose first part begins with its version; other signed data does not.
            (Tag::Sequence, Tag::Sequence, Some(Tag::BitString)) => {
                let mut reader = SliceReader::new(first.value()).ok()?;
                let version = AnyRef::decode(&mut reader).ok()?;
                (version.tag() == Tag::Integer && version.value() == [0]).then_some(Self::Request)
            }
            _ => None,
        }
    }

    /// The file, as the end of a sentence.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::WebPage => "a web page, such as a server shows to somebody who has not signed in",
            Self::Json => "JSON",
            Self::Certificate => "a certificate without its private key (.cer, .crt)",
            Self::Certificates => "certificates without a private key (PKCS #7, .p7b)",
            Self::Request => "a request for a certificate (.csr)",
            Self::PrivateKey => "a private key without its certificate (.key)",
            Self::KeyAndCertificate => "a private key and a certificate in PEM",
            Self::JavaKeyStore => "a Java keystore (JKS, JCEKS)",
            Self::Unknown => "no PFX file, or is damaged or incomplete",
        }
    }

    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::Empty | Self::WebPage => "download or copy the PFX file again",
            Self::Json => {
                "take the secret's value alone: `az keyvault secret download`, or `az keyvault secret show --query value -o tsv`"
            }
            Self::Certificate | Self::Certificates => {
                "export the certificate as a PFX file (PKCS #12) from where its private key is; where the key was made here, import the \
                 certificate that answers its request"
            }
            Self::Request => {
                "send the request to a certificate authority, and import its answer where the request was made"
            }
            Self::PrivateKey => {
                "put the key and its certificate into a PFX file: `openssl pkcs12 -export -inkey KEY -in CERTIFICATE -out FILE.pfx`"
            }
            Self::KeyAndCertificate => {
                "put them into a PFX file: `openssl pkcs12 -export -in FILE -out FILE.pfx`"
            }
            Self::JavaKeyStore => {
                "convert the keystore: `keytool -importkeystore -srckeystore FILE -destkeystore FILE.pfx -deststoretype PKCS12`"
            }
            Self::Unknown => {
                "copy the file again in binary mode, or export the certificate again as a PFX file (PKCS #12)"
            }
        }
    }
}
