//! TLS of the two listeners.

use std::slice;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, SupportedProtocolVersion};

use super::error::SimulatorError;
use super::options::{HttpVersions, TlsVersions};

/// The name of HTTP/2 in ALPN.
pub(super) const HTTP_2: &[u8] = b"h2";
/// The name of HTTP/1.1 in ALPN.
const HTTP_1_1: &[u8] = b"http/1.1";

type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// The TLS configuration of Entra, whose callers prove who they are with an assertion.
pub(super) fn without_client_certificate(
    versions: TlsVersions,
    http: HttpVersions,
    identity: &Identity,
) -> Result<Arc<ServerConfig>, SimulatorError> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(protocol_versions(versions))?
        .with_no_client_auth()
        .with_single_cert(vec![identity.0.clone()], identity.1.clone_key())?;
    Ok(finished(config, http))
}

/// The TLS configuration of CIS: a handshake without a certificate of that authority fails.
pub(super) fn requiring_client_certificate(
    versions: TlsVersions,
    http: HttpVersions,
    identity: &Identity,
    authority: CertificateDer<'static>,
) -> Result<Arc<ServerConfig>, SimulatorError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build()?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(protocol_versions(versions))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![identity.0.clone()], identity.1.clone_key())?;
    Ok(finished(config, http))
}

fn finished(mut config: ServerConfig, http: HttpVersions) -> Arc<ServerConfig> {
    let offered: &[&[u8]] = match http {
        HttpVersions::Both => &[HTTP_2, HTTP_1_1],
        HttpVersions::Http1 => &[HTTP_1_1],
        HttpVersions::Http2 => &[HTTP_2],
    };
    config.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

pub(super) fn provider() -> Arc<CryptoProvider> {
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
