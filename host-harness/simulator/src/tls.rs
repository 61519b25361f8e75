//! TLS of the two listeners.

use std::slice;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme, SupportedProtocolVersion,
};

use super::applications::Applications;
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

/// The TLS configuration of CIS: a handshake without a certificate of that authority, or a registered self-signed one, fails.
pub(super) fn requiring_client_certificate(
    versions: TlsVersions,
    http: HttpVersions,
    identity: &Identity,
    authority: CertificateDer<'static>,
    applications: Arc<Applications>,
) -> Result<Arc<ServerConfig>, SimulatorError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority)?;
    let issued = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build()?;
    let verifier = Arc::new(ClientVerifier { issued, applications });
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(protocol_versions(versions))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![identity.0.clone()], identity.1.clone_key())?;
    Ok(finished(config, http))
}

/// Takes certificates of an authority, and self-signed ones that are registered with an application, whatever their
/// basicConstraints say: so do servers that compare a client's certificate with those that they know.
#[derive(Debug)]
struct ClientVerifier {
    issued: Arc<dyn ClientCertVerifier>,
    applications: Arc<Applications>,
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.issued.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let at = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
        match self.issued.verify_client_cert(end_entity, intermediates, now) {
            Err(_) if self.applications.has_self_signed(end_entity, at) => {
                Ok(ClientCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.issued.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.issued.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.issued.supported_verify_schemes()
    }
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
