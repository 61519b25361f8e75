//! The certificate authorities that servers are judged by: the system's, or those of a PEM text.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Reads the system's certificate authorities. Those that can't be read are left out; that there is none at all is a
/// warning, with the reasons.
pub fn system_roots() -> RootCertStore {
    let read = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(read.certs);
    for error in read.errors {
        match roots.is_empty() {
            true => tracing::warn!(%error, "the system's certificate authorities can't be read"),
            false => tracing::debug!(%error, "some of the system's certificate authorities can't be read"),
        }
    }
    roots
}

/// Reads the certificate authorities of a PEM text. What can't be read is left out.
pub fn roots_of_pem(pem: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem.as_bytes()).flatten());
    roots
}
