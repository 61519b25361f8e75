//! PFX files of client certificates that the simulator has issued, as an operator gets them.

use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::authority::IssuedCertificate;

/// A PFX file can't be made of a certificate.
#[derive(Debug, thiserror::Error)]
#[error("the PFX file can't be made")]
pub struct PfxError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl IssuedCertificate {
    /// A PFX file (PKCS #12) with the certificate, its chain and its private key, encrypted with a code.
    ///
    /// # Errors
    /// When the library refuses them.
    pub fn pfx(&self, code: &str) -> Result<Vec<u8>, PfxError> {
        let made = || -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
            let key = PrivateKeyDer::from_pem_slice(self.private_key_pem.as_bytes())?;
            let pem = format!("{}{}", self.certificate_pem, self.chain_pem);
            let mut certificates = Vec::new();
            for der in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                certificates.push(Certificate::from_der(&der?)?);
            }
            let chain = PrivateKeyChain::new("1", PrivateKey::from_der(key.secret_der())?, certificates);
            let mut store = KeyStore::new();
            store.add_entry("client", KeyStoreEntry::PrivateKeyChain(chain));
            Ok(store.writer(code).write()?)
        };
        made().map_err(PfxError)
    }
}
