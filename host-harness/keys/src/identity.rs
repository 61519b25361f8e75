//! A certificate with its private key, ready for TLS and for signatures.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256};
use bss_model::Thumbprint;
use bss_model::clock::now_ms;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use crate::new_certificate::make_for_nobody;
use crate::unusable::{Unusable, UnusableReason};
use crate::{InstalledCertificate, inspection};

/// An algorithm to sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// RSASSA-PSS with SHA-256 and a salt of 32 bytes (JWA PS256, RFC 7518 section 3.5).
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (JWA RS256, RFC 7518 section 3.3).
    Rs256,
}

impl SignatureAlgorithm {
    /// The name that the header of a JWS has for the algorithm (RFC 7518, section 3.1).
    pub fn name(self) -> &'static str {
        match self {
            Self::Ps256 => "PS256",
            Self::Rs256 => "RS256",
        }
    }
}

/// An installed certificate with its private key, by which an instance proves who it is.
pub struct Identity {
    installed: InstalledCertificate,
    certified_key: Arc<CertifiedKey>,
    signing_key: rsa::KeyPair,
}

impl Identity {
    /// The identity of a certificate, its chain and its private key (PKCS #8, DER).
    ///
    /// # Errors
    /// When they can't prove who an instance is; the error says why.
    pub fn new(
        installed: InstalledCertificate,
        leaf: Vec<u8>,
        chain: Vec<Vec<u8>>,
        private_key: &[u8],
    ) -> Result<Self, Unusable> {
        let thumbprint = installed.thumbprint;
        let unusable = |reason| Unusable { thumbprint, reason };
        let of_key = |cause: String| unusable(UnusableReason::PrivateKey { cause });
        if let Some(reason) = installed.unusable_because(now_ms()) {
            return Err(unusable(reason));
        }
        let signing_key = rsa::KeyPair::from_pkcs8(private_key).map_err(|error| of_key(error.to_string()))?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(private_key));
        let tls_key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)
            .map_err(|error| of_key(error.to_string()))?;
        let certificates = std::iter::once(leaf)
            .chain(chain)
            .map(CertificateDer::from)
            .collect();
        let certified_key = Arc::new(CertifiedKey::new(certificates, tls_key));
        Ok(Self {
            installed,
            certified_key,
            signing_key,
        })
    }

    /// Makes an identity that no server knows, for calls that reach no server.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn of_nobody() -> Result<Self, Unusable> {
        let unusable = |cause: String| Unusable {
            thumbprint: Thumbprint::of(&[]),
            reason: UnusableReason::PrivateKey { cause },
        };
        let made = make_for_nobody("nobody.invalid").map_err(|error| unusable(error.to_string()))?;
        let installed = inspection::describe(&made.signed, &[], now_ms());
        let installed = installed.map_err(|error| unusable(error.to_string()))?;
        Self::new(installed, made.signed, Vec::new(), &made.private_key)
    }

    /// The certificate's name.
    pub fn thumbprint(&self) -> Thumbprint {
        self.installed.thumbprint
    }

    /// The public part, as the certificate store shows it.
    pub fn installed(&self) -> &InstalledCertificate {
        &self.installed
    }

    /// The certificate in DER form, then its issuer's and so on, as far as the PFX file held them.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certified_key.cert
    }

    /// The certificate and key that rustls presents to a server and proves possession with.
    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified_key)
    }

    /// Signs the SHA-256 of `message`. The signature has as many bytes as the key's modulus.
    ///
    /// # Errors
    /// When the certificate has gone out of date since it was taken from the store.
    pub fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, Unusable> {
        let unusable = |reason| Unusable {
            thumbprint: self.thumbprint(),
            reason,
        };
        if let Some(reason) = self.installed.unusable_because(now_ms()) {
            return Err(unusable(reason));
        }
        let encoding: &dyn aws_lc_rs::signature::RsaEncoding = match algorithm {
            SignatureAlgorithm::Ps256 => &RSA_PSS_SHA256,
            SignatureAlgorithm::Rs256 => &RSA_PKCS1_SHA256,
        };
        let mut signature = vec![0; self.signing_key.public_modulus_len()];
        self.signing_key
            .sign(encoding, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| {
                let cause = "it failed to sign".to_owned();
                unusable(UnusableReason::PrivateKey { cause })
            })?;
        Ok(signature)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            installed,
            certified_key: _,
            signing_key: _,
        } = self;
        formatter
            .debug_struct("Identity")
            .field("installed", installed)
            .field("certified_key", &"[elided]")
            .field("signing_key", &"[elided]")
            .finish()
    }
}
