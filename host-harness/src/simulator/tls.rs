//! TLS of the two listeners.

use std::slice;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, SupportedProtocolVersion};

use super::{SimulatorError, TlsVersions};

/// What ALPN offers. HTTP/2 would be named here before it.
const HTTP_1_1: &[u8] = b"http/1.1";

type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// For Entra, whose callers prove who they are with an assertion.
pub(super) fn without_client_certificate(
    versions: TlsVersions,
    identity: &Identity,
) -> Result<Arc<ServerConfig>, SimulatorError> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(protocol_versions(versions))?
        .with_no_client_auth()
        .with_single_cert(vec![identity.0.clone()], identity.1.clone_key())?;
    Ok(finished(config))
}

/// For CIS: a handshake without a certificate of that authority fails.
pub(super) fn requiring_client_certificate(
    versions: TlsVersions,
    identity: &Identity,
    authority: CertificateDer<'static>,
) -> Result<Arc<ServerConfig>, SimulatorError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority)?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build()?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(protocol_versions(versions))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![identity.0.clone()], identity.1.clone_key())?;
    Ok(finished(config))
}

fn finished(mut config: ServerConfig) -> Arc<ServerConfig> {
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    Arc::new(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn protocol_versions(versions: TlsVersions) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    let [newer, older] = BOTH.each_ref();
    match versions {
        TlsVersions::Both => &BOTH,
        TlsVersions::Tls12 => slice::from_ref(older),
        TlsVersions::Tls13 => slice::from_ref(newer),
    }
}
