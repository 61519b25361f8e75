//! Inspects a PFX file, and tries what it would install without installing it.

use bss_model::clock::now_ms;
use bss_model::{Diagnose, Diagnosis, ErrorKind, Thumbprint};
use zeroize::Zeroizing;

use crate::certificate::RSA_BITS_MIN;
use crate::identity::Identity;
use crate::inspection::{self, KeyWithCertificates};
use crate::pfx::{self, PfxCode, PfxError};

/// Why a PFX file is not one that proves who somebody is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// The file could not be read.
    #[error(transparent)]
    Pfx(#[from] PfxError),
    /// Certificates alone prove nothing.
    #[error("the file holds no private key")]
    NoPrivateKey,
    /// Which one is meant can't be known.
    #[error("the file holds {count} private keys")]
    SeveralPrivateKeys {
        /// How many.
        count: usize,
    },
    /// A private key alone proves nothing.
    #[error("the file holds a private key, but no certificate")]
    NoCertificate,
    /// The private key belongs to another certificate.
    #[error("the private key belongs to none of the certificates in the file ({})", subjects.join("; "))]
    KeyDoesNotMatch {
        /// The certificates' subjects.
        subjects: Vec<String>,
    },
    /// Not PKCS #8, or damaged.
    #[error("the private key in the file can't be read")]
    UnreadablePrivateKey,
    /// A kind of key that nothing here can be done with.
    #[error("the private key is of a kind that is not supported ({algorithm})")]
    UnsupportedPrivateKey {
        /// Its algorithm.
        algorithm: String,
    },
    /// Not X.509, or damaged.
    #[error("certificate `{thumbprint}` in the file can't be read")]
    UnreadableCertificate {
        /// Its name.
        thumbprint: Thumbprint,
    },
    /// The thread that read the file ended early.
    #[error("the file could not be read to its end")]
    Interrupted(#[source] tokio::task::JoinError),
}

impl Diagnose for InspectError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Pfx(error) => error.diagnosis(),
            Self::NoPrivateKey => Diagnosis::new(ErrorKind::Invalid, "no-private-key")
                .say("export the certificate again, together with its private key"),
            Self::SeveralPrivateKeys { .. } => Diagnosis::new(ErrorKind::Invalid, "several-private-keys")
                .say("export the one certificate that is to be used, with its key"),
            Self::NoCertificate => Diagnosis::new(ErrorKind::Invalid, "no-certificate-in-file")
                .say("export the certificate again, together with its private key"),
            Self::KeyDoesNotMatch { .. } => Diagnosis::new(ErrorKind::Invalid, "key-does-not-match")
                .say("export the certificate again from where its key was made"),
            Self::UnreadablePrivateKey => Diagnosis::new(ErrorKind::Invalid, "private-key-unreadable")
                .say("export the certificate again"),
            Self::UnsupportedPrivateKey { .. } => {
                Diagnosis::new(ErrorKind::Invalid, "private-key-unsupported").say(format!(
                    "use a certificate with an RSA key of at least {RSA_BITS_MIN} bits"
                ))
            }
            Self::UnreadableCertificate { .. } => {
                Diagnosis::new(ErrorKind::Invalid, "certificate-unreadable").say("export it again")
            }
            Self::Interrupted(_) => Diagnosis::new(ErrorKind::Unavailable, "file-not-read").say("try again"),
        }
    }
}

/// The certificate that a PFX file would install. Its private key is not kept.
#[derive(Clone, Debug)]
pub struct InspectedPfx {
    /// The certificate's name.
    pub thumbprint: Thumbprint,
    /// The subject's distinguished name, free of control characters.
    pub subject: String,
    /// The DNS names that the certificate is for, free of control characters. May be empty.
    pub dns_names: Vec<String>,
    /// The last moment at which the certificate is valid, in milliseconds since 1970-01-01T00:00:00Z.
    pub not_after_ms: i64,
    /// Whether the issuers' certificates that came with it reach a self-issued one (a root, or the certificate
    /// itself).
    pub chain_complete: bool,
    /// The certificate, in DER form.
    pub certificate: Vec<u8>,
    /// Why the certificate can't prove who an instance is, as a sentence for an operator. `None` when it can.
    pub unusable_because: Option<String>,
}

/// Reads a PFX file and tries its private key, without installing anything. Unlike an import, this takes an
/// expired certificate as unusable, not as an error.
///
/// # Errors
/// When the file can't be read with the code, or does not hold exactly one private key with its certificate.
pub async fn inspect_pfx(pfx: &[u8], code: &PfxCode) -> Result<InspectedPfx, InspectError> {
    let found = read_pfx(pfx, code).await?;
    let described = inspection::describe(&found.leaf, &found.chain, now_ms())?;
    let identity = Identity::new(
        described.clone(),
        found.leaf.clone(),
        found.chain,
        &found.private_key,
    );
    Ok(InspectedPfx {
        thumbprint: described.thumbprint,
        subject: described.subject,
        dns_names: described.dns_names,
        not_after_ms: described.not_after_ms,
        chain_complete: described.chain_complete,
        certificate: found.leaf,
        unusable_because: identity.err().map(|unusable| unusable.reason),
    })
}

/// Reads a PFX file and finds its one private key, the certificate that belongs to it and the chain.
///
/// # Errors
/// When the file can't be read with the code, or does not hold exactly one private key with its certificate.
pub async fn read_pfx(pfx: &[u8], code: &PfxCode) -> Result<KeyWithCertificates, InspectError> {
    let pfx = Zeroizing::new(pfx.to_vec());
    let code = code.clone();
    // Key derivation takes up to seconds.
    tokio::task::spawn_blocking(move || inspection::match_key(pfx::read(&pfx, &code)?))
        .await
        .map_err(InspectError::Interrupted)?
}
