//! Reasons why a certificate can't prove who an instance is, each with its advice, and what to know of one that can.

use bss_model::clock::rfc3339;
use bss_model::{Advice, Diagnose, Diagnosis, ErrorKind, Thumbprint};

/// The shortest RSA key: vendors and TLS servers refuse shorter ones, and so does the cryptography library.
pub(crate) const RSA_BITS_MIN: u32 = 2048;

/// The longest RSA key: the cryptography library signs with no longer ones.
pub(crate) const RSA_BITS_MAX: u32 = 8192;

/// The name of keys that RSASSA-PSS alone may use (RFC 4055).
pub(crate) const RSASSA_PSS: &str = "RSASSA-PSS";

/// Why a certificate can't be used, as a sentence for an operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnusableReason {
    /// The RSA key is too short.
    #[error("its RSA key has {bits} bits, fewer than the required {RSA_BITS_MIN}")]
    KeyTooShort {
        /// The length of the modulus.
        bits: u32,
    },
    /// The RSA key is too long.
    #[error("its RSA key has {bits} bits, more than the supported {RSA_BITS_MAX}")]
    KeyTooLong {
        /// The length of the modulus.
        bits: u32,
    },
    /// The key is not RSA, or is RSA with a limit.
    #[error(
        "its key is {algorithm}, but requests for access tokens need {}",
        needed(algorithm)
    )]
    OtherKey {
        /// The name of the key's algorithm.
        algorithm: String,
    },
    /// The certificate is an authority's, which another one issued.
    #[error("it is the certificate of a certificate authority, not of a client")]
    Authority,
    /// The extended key usage rules client authentication out.
    #[error("its extended key usage does not allow client authentication")]
    NotForClients,
    /// The key usage rules signatures out.
    #[error("its key usage does not allow signatures")]
    NotForSignatures,
    /// The certificate's time has not come.
    #[error("it is not valid before {}", rfc3339(*not_before_ms))]
    NotYetValid {
        /// The first moment at which it is valid, in milliseconds.
        not_before_ms: i64,
    },
    /// The certificate's time is over.
    #[error("it expired at {}", rfc3339(*not_after_ms))]
    Expired {
        /// The last moment at which it was valid, in milliseconds.
        not_after_ms: i64,
    },
    /// The private key is of no use.
    #[error("its private key can't be used ({cause})")]
    PrivateKey {
        /// What is wrong with it.
        cause: String,
    },
}

fn needed(algorithm: &str) -> &'static str {
    match algorithm {
        RSASSA_PSS => "an RSA key without that limit",
        _ => "RSA signatures",
    }
}

/// Advice on a key whose algorithm is not used here.
pub(crate) fn advice_on_key(algorithm: &str) -> Advice {
    match algorithm {
        RSASSA_PSS => Advice::say(
            "have a certificate issued for a plain RSA key (rsaEncryption), which `openssl genpkey -algorithm RSA` makes: one of \
             the kind RSA-PSS signs in that one way alone",
        ),
        _ => Advice::say(format!(
            "use a certificate with an RSA key of at least {RSA_BITS_MIN} bits"
        )),
    }
}

impl UnusableReason {
    /// The advice to an operator.
    pub fn advice(&self) -> Advice {
        match self {
            Self::KeyTooShort { .. } | Self::KeyTooLong { .. } => Advice::say(format!(
                "have a certificate issued for a new RSA key of {RSA_BITS_MIN} to {RSA_BITS_MAX} bits"
            )),
            Self::OtherKey { algorithm } => advice_on_key(algorithm),
            Self::Authority => Advice::say(
                "export the certificate that the authority issued to you, with its own private key",
            ),
            Self::NotForClients => Advice::MakeCertificate,
            Self::NotForSignatures => Advice::say(
                "have a certificate issued whose key usage includes digital signatures (digitalSignature)",
            ),
            Self::NotYetValid { .. } => {
                Advice::say("wait until then; if that time is over, set this machine's clock")
            }
            Self::Expired { .. } => Advice::say(
                "have a new certificate issued; if it should still be valid, set this machine's clock",
            ),
            Self::PrivateKey { .. } => Advice::say(
                "export the certificate again from where its key was made, or have one issued for a new key",
            ),
        }
    }
}

/// A certificate can't be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("certificate `{thumbprint}` can't be used: {reason}")]
pub struct Unusable {
    /// The certificate.
    pub thumbprint: Thumbprint,
    /// Why.
    pub reason: UnusableReason,
}

impl Diagnose for Unusable {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Conflict, "certificate-unusable").advise(self.reason.advice())
    }
}

/// What an operator should know of a certificate that can be used, or of the file that it came in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Caution {
    /// Nothing proves that the file is as it was made.
    #[error("the PFX file has no MAC, so nothing proves that it was not altered")]
    NoMac,
    /// The certificate calls itself an authority's, as `openssl req -x509` makes it.
    #[error(
        "the certificate is self-signed and an authority's (CA:TRUE), which some servers refuse as a client's"
    )]
    OwnAuthority,
    /// The issuers' certificates did not come with it.
    #[error("the certificate chain is not complete")]
    ChainIncomplete,
    /// The file has another certificate for the same key.
    #[error(
        "the file has another certificate for the same key, which was not taken: `{subject}` ({thumbprint})"
    )]
    OtherCertificate {
        /// The other certificate's subject.
        subject: String,
        /// The other certificate's thumbprint.
        thumbprint: Thumbprint,
    },
    /// The file has something beside that only claims to be a certificate.
    #[error("the file has {count} certificate(s) that can't be read, which were left out")]
    Unreadable {
        /// The number of them in the file.
        count: usize,
    },
}

impl Caution {
    /// The advice to an operator.
    pub fn advice(&self) -> Advice {
        Advice::say(match self {
            Self::NoMac => "make sure that the file came unaltered from whoever made it",
            Self::OwnAuthority => {
                "if a server refuses it, have one made that is not, with \
                 `openssl req -x509 -addext basicConstraints=critical,CA:FALSE`"
            }
            Self::ChainIncomplete => "a server may require the certificates of the issuers too",
            Self::OtherCertificate { .. } => "if the other one is meant, export it alone with the key",
            Self::Unreadable { .. } => "nothing, if the certificate and its chain are all there",
        })
    }
}
