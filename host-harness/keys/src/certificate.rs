//! Certificates whose private keys the host holds, as operators see them.

use bss_model::clock::rfc3339;
use bss_model::{Owner, Thumbprint};

/// The shortest RSA key: vendors and TLS servers refuse shorter ones, and so does the cryptography library.
pub(crate) const RSA_BITS_MIN: u32 = 2048;

/// The longest RSA key: the cryptography library signs with no longer ones.
pub(crate) const RSA_BITS_MAX: u32 = 8192;

/// The kind of a certificate's public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA.
    Rsa {
        /// The length of the modulus in bits.
        bits: u32,
    },
    /// Anything else, by the name of its algorithm, or by its object identifier where it has no common name.
    Other(String),
}

/// The public part of a certificate whose private key the host holds. Names in it are free of control
/// characters. Times are milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledCertificate {
    /// The certificate's name.
    pub thumbprint: Thumbprint,
    /// SHA-256 of the DER form, as 64 upper-case hexadecimal digits.
    pub sha256: String,
    /// The subject's distinguished name.
    pub subject: String,
    /// The issuer's distinguished name.
    pub issuer: String,
    /// The DNS names that the certificate is for, as they stand in it. May be empty.
    pub dns_names: Vec<String>,
    /// The serial number, in upper-case hexadecimal digits.
    pub serial: String,
    /// The first moment at which the certificate is valid.
    pub not_before_ms: i64,
    /// The last moment at which the certificate is valid.
    pub not_after_ms: i64,
    /// The kind of the public key.
    pub key: KeyKind,
    /// Whether the certificate may prove a client's identity: `false` only where its extended key usage rules that
    /// out.
    pub for_client_authentication: bool,
    /// Whether the key may sign: `false` only where the key usage rules that out.
    pub for_signatures: bool,
    /// Whether the certificate is a certification authority's, which no server takes as a client's.
    pub is_authority: bool,
    /// How many issuers' certificates came with the certificate.
    pub chain: usize,
    /// Whether the issuers' certificates reach a self-issued one (a root, or the certificate itself).
    pub chain_complete: bool,
    /// When the certificate was first imported.
    pub imported_at_ms: i64,
    /// The owner, whose instances alone can use the certificate. `None`: it is the operator's own.
    pub owner: Option<Owner>,
}

impl InstalledCertificate {
    /// Whether the certificate's time is over at `now_ms`. The end of the time names a whole second, all of which is valid.
    pub fn has_expired(&self, now_ms: i64) -> bool {
        now_ms > self.not_after_ms.saturating_add(999)
    }

    /// Why the certificate can't be used at `now_ms`, as a sentence for an operator. `None` when it can.
    pub fn unusable_because(&self, now_ms: i64) -> Option<String> {
        match &self.key {
            KeyKind::Rsa { bits } if *bits < RSA_BITS_MIN => {
                return Some(format!(
                    "its RSA key has {bits} bits, fewer than the required {RSA_BITS_MIN}"
                ));
            }
            KeyKind::Rsa { bits } if *bits > RSA_BITS_MAX => {
                return Some(format!(
                    "its RSA key has {bits} bits, more than the supported {RSA_BITS_MAX}"
                ));
            }
            KeyKind::Rsa { .. } => {}
            KeyKind::Other(name) => {
                return Some(format!(
                    "its key is {name}, but requests for access tokens need RSA signatures"
                ));
            }
        }
        if self.is_authority {
            return Some("it is the certificate of a certificate authority, not of a client".to_owned());
        }
        if !self.for_client_authentication {
            return Some("its extended key usage does not allow client authentication".to_owned());
        }
        if !self.for_signatures {
            return Some("its key usage does not allow signatures".to_owned());
        }
        if now_ms < self.not_before_ms {
            return Some(format!("it is not valid before {}", rfc3339(self.not_before_ms)));
        }
        if self.has_expired(now_ms) {
            return Some(format!("it expired at {}", rfc3339(self.not_after_ms)));
        }
        None
    }
}
