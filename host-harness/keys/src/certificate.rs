//! Certificates whose private keys the host holds, as operators see them.

use bss_model::{Owner, Thumbprint};

use crate::unusable::{Caution, RSA_BITS_MAX, RSA_BITS_MIN, RSASSA_PSS, UnusableReason};

/// Algorithms of public keys, and named curves, by the names that operators know them by.
const ALGORITHM_NAMES: [(&str, &str); 8] = [
    ("1.2.840.10045.3.1.7", "EC P-256"),
    ("1.3.132.0.34", "EC P-384"),
    ("1.3.132.0.35", "EC P-521"),
    ("1.2.840.10045.2.1", "EC"),
    ("1.3.101.112", "Ed25519"),
    ("1.3.101.113", "Ed448"),
    ("1.2.840.113549.1.1.10", RSASSA_PSS),
    ("1.2.840.10040.4.1", "DSA"),
];

pub(crate) fn algorithm_name(oid: &str) -> Option<&'static str> {
    ALGORITHM_NAMES
        .iter()
        .find(|(known, _)| *known == oid)
        .map(|(_, name)| *name)
}

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
    /// Whether the certificate is a certification authority's (`CA:TRUE`). One that another authority issued is no client's. A
    /// self-issued one is what `openssl req -x509` makes of a client's key, and most servers take it.
    pub is_authority: bool,
    /// Whether the certificate names itself as its issuer.
    pub is_self_issued: bool,
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

    /// Why the certificate can't be used at `now_ms`. `None` when it can.
    pub fn unusable_because(&self, now_ms: i64) -> Option<UnusableReason> {
        match &self.key {
            KeyKind::Rsa { bits } if *bits < RSA_BITS_MIN => {
                return Some(UnusableReason::KeyTooShort { bits: *bits });
            }
            KeyKind::Rsa { bits } if *bits > RSA_BITS_MAX => {
                return Some(UnusableReason::KeyTooLong { bits: *bits });
            }
            KeyKind::Rsa { .. } => {}
            KeyKind::Other(name) => {
                let algorithm = name.clone();
                return Some(UnusableReason::OtherKey { algorithm });
            }
        }
        if self.is_authority && !self.is_self_issued {
            return Some(UnusableReason::Authority);
        }
        if !self.for_client_authentication {
            return Some(UnusableReason::NotForClients);
        }
        if !self.for_signatures {
            return Some(UnusableReason::NotForSignatures);
        }
        if now_ms < self.not_before_ms {
            let not_before_ms = self.not_before_ms;
            return Some(UnusableReason::NotYetValid { not_before_ms });
        }
        if self.has_expired(now_ms) {
            let not_after_ms = self.not_after_ms;
            return Some(UnusableReason::Expired { not_after_ms });
        }
        None
    }

    /// What to know of the certificate although it can be used.
    pub fn cautions(&self) -> Vec<Caution> {
        let own_authority = (self.is_authority && self.is_self_issued).then_some(Caution::OwnAuthority);
        let chain = (!self.chain_complete).then_some(Caution::ChainIncomplete);
        own_authority.into_iter().chain(chain).collect()
    }
}
