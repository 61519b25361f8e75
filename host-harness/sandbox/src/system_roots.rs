//! The certificate authorities that the system trusts.

use rustls::RootCertStore;

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
