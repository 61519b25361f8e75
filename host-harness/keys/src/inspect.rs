//! Inspects a PFX file, and tries what it would install without installing it.

use bss_model::Thumbprint;
use bss_model::clock::now_ms;
use zeroize::Zeroizing;

use crate::identity::Identity;
use crate::inspect_error::InspectError;
use crate::inspection::{self, KeyWithCertificates};
use crate::pfx::{self, Contents, PfxCode};
use crate::unusable::{Caution, UnusableReason};

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
    /// The certificate, in DER form.
    pub certificate: Vec<u8>,
    /// Why the certificate can't prove who an instance is. `None` when it can.
    pub unusable_because: Option<UnusableReason>,
    /// What to know of the certificate and of the file.
    pub cautions: Vec<Caution>,
}

/// Reads a PFX file and tries its private key, without installing anything. Unlike an import, this takes an
/// expired certificate as unusable, not as an error.
///
/// # Errors
/// When the file can't be read with the code, or does not hold exactly one private key with its certificate.
pub async fn inspect_pfx(pfx: &[u8], code: &PfxCode) -> Result<InspectedPfx, InspectError> {
    let found = read_pfx(pfx, code).await?;
    let described = inspection::describe(&found.leaf, &found.chain, now_ms())?;
    let mut cautions = found.cautions;
    cautions.extend(described.cautions());
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
        certificate: found.leaf,
        unusable_because: identity.err().map(|unusable| unusable.reason),
        cautions,
    })
}

/// Reads a PFX file and finds its one private key, the certificate that belongs to it and the chain, and tries the key.
///
/// # Errors
/// When the file can't be read with the code, does not hold exactly one private key with its certificate, or when nothing can
/// be signed with the key.
pub async fn read_pfx(pfx: &[u8], code: &PfxCode) -> Result<KeyWithCertificates, InspectError> {
    let pfx = Zeroizing::new(pfx.to_vec());
    let code = code.clone();
    // Key derivation takes up to seconds.
    tokio::task::spawn_blocking(move || inspection::match_key(pfx::read(&pfx, &code)?, now_ms()))
        .await
        .map_err(InspectError::Interrupted)?
}

/// Finds, among certificates that came without a private key, the one of a key that the host has, and its chain.
///
/// # Errors
/// When none of them is the key's, or nothing can be signed with the key.
pub async fn match_certificates(
    private_key: Zeroizing<Vec<u8>>,
    certificates: Vec<Vec<u8>>,
) -> Result<KeyWithCertificates, InspectError> {
    let contents = Contents::of_certificates(private_key, certificates);
    tokio::task::spawn_blocking(move || inspection::match_key(contents, now_ms()))
        .await
        .map_err(InspectError::Interrupted)?
}
