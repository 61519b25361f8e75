//! What this plugin asks of the host it runs in, beyond what every plugin does.

use bss_plugin::http::SendFailure;
use bss_plugin::secret::Secret;
use thiserror::Error;

/// The host. In a component it is behind the imports of `wit/world.wit`; tests script one.
pub trait Platform: bss_plugin::Platform {
    /// The instance's certificate in DER form; `None` when none is chosen.
    fn certificate(&self) -> Option<Vec<u8>>;

    /// Signs with the private key of the instance's certificate; the host hashes the message.
    ///
    /// # Errors
    /// When the instance has no certificate, or one that can't sign.
    fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, SigningFailure>;

    /// The access token under a name; `None` when this call is the one to get it.
    fn cached_access_token(&self, name: &str) -> Option<Secret>;

    /// Keeps an access token until a moment, in milliseconds since 1970.
    fn cache_access_token(&self, name: &str, access_token: &Secret, expires_at_ms: i64);

    /// Forgets an access token that was refused, if it is still the one under the name.
    fn drop_refused_access_token(&self, name: &str, access_token: &Secret);

    /// Lets that many milliseconds pass.
    fn pause(&self, milliseconds: u64);

    /// Random bytes that nobody can guess.
    fn random(&self) -> [u8; 16];

    /// An option that the operator of the host has set for this plugin.
    fn option(&self, name: &str) -> Option<String>;
}

/// The algorithms to sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// RSASSA-PSS with SHA-256 (JWA PS256).
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (JWA RS256).
    Rs256,
}

/// Why there is no signature.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SigningFailure {
    /// No certificate is chosen.
    #[error("the instance has no certificate")]
    NoCertificate,
    /// The certificate can't sign, for the reason that the host gives.
    #[error("the certificate of the instance can't sign: {0}")]
    Unusable(String),
}

/// The advice to an operator where a request to Microsoft got no answer.
pub fn advice(failure: &SendFailure) -> &'static str {
    match failure {
        SendFailure::ServerNotTrusted => {
            "Check that the settings name Microsoft's server, and that no proxy replaces the certificate of that server."
        }
        failure if failure.is_client_certificate_refused() => {
            "Register the certificate that is chosen in Certificate Thumbprint with Microsoft, or choose the certificate that is registered."
        }
        SendFailure::BrokenOff(_) => {
            "Try again later; if the problem remains, tell Microsoft that the server may ask for the client certificate only after the TLS handshake."
        }
        SendFailure::ResponseTooLarge | SendFailure::ResponseUnreadable(_) => {
            "Check that the settings name Microsoft's server; if they do, a newer version of this plugin may help."
        }
        other => other.advice(),
    }
}
