//! Why a PFX file is not one that proves who somebody is.

use bss_model::{Diagnose, Diagnosis, ErrorKind, Thumbprint};

use crate::pfx::PfxError;
use crate::unusable::advice_on_key;

/// Why a PFX file is not one that proves who somebody is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// The file could not be read.
    #[error(transparent)]
    Pfx(#[from] PfxError),
    /// Certificates alone prove nothing.
    #[error("the PFX file holds no private key")]
    NoPrivateKey,
    /// The file holds several private keys, and any may be meant.
    #[error("the PFX file holds {count} private keys instead of one")]
    SeveralPrivateKeys {
        /// The number of private keys.
        count: usize,
    },
    /// A private key alone proves nothing.
    #[error("the PFX file holds a private key, but no certificate")]
    NoCertificate,
    /// The private key belongs to another certificate.
    #[error("the private key belongs to none of the certificates in the file ({})", subjects.join("; "))]
    KeyDoesNotMatch {
        /// The certificates' subjects.
        subjects: Vec<String>,
    },
    /// The private key is not PKCS #8, or damaged.
    #[error("the private key in the file can't be read")]
    UnreadablePrivateKey,
    /// The private key has an unsupported algorithm.
    #[error("the private key in the file has an unsupported algorithm ({algorithm})")]
    UnsupportedPrivateKey {
        /// The key's algorithm.
        algorithm: String,
    },
    /// The private key can be read, but nothing can be signed with it.
    #[error("the private key in the file can't be used ({cause})")]
    UnusablePrivateKey {
        /// What is wrong with it.
        cause: String,
    },
    /// The certificate is not X.509, or damaged.
    #[error("certificate `{thumbprint}` in the file can't be read")]
    UnreadableCertificate {
        /// The certificate's thumbprint.
        thumbprint: Thumbprint,
    },
    /// A certificate is not as its issuer signed it, in a file that nothing else protects.
    #[error("certificate `{thumbprint}` in the file was altered")]
    AlteredCertificate {
        /// The thumbprint of what stands there.
        thumbprint: Thumbprint,
    },
    /// The thread that read the file ended early.
    #[error("the reading of the PFX file was interrupted")]
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
            Self::UnsupportedPrivateKey { algorithm } => {
                Diagnosis::new(ErrorKind::Invalid, "private-key-unsupported").advise(advice_on_key(algorithm))
            }
            Self::UnusablePrivateKey { .. } => Diagnosis::new(ErrorKind::Invalid, "private-key-unusable").say(
                "the key was damaged, or left incomplete by the program that wrote it: export the certificate again from where \
                 its key was made, or have one issued for a new key",
            ),
            Self::UnreadableCertificate { .. } => {
                Diagnosis::new(ErrorKind::Invalid, "certificate-unreadable")
                    .say("export the certificate again")
            }
            Self::AlteredCertificate { .. } => Diagnosis::new(ErrorKind::Invalid, "certificate-altered")
                .say("copy the file again, or have it made again by whoever made it"),
            Self::Interrupted(_) => Diagnosis::new(ErrorKind::Unavailable, "file-not-read").say("try again"),
        }
    }
}
