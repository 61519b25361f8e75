//! TLS to a mail server: by the authorities that are trusted, or by the server's own certificate where that very
//! certificate is. Its name is checked either way.

use std::fmt;
use std::sync::Arc;

use bss_model::SmtpServer;
use bss_sandbox::system_roots::{roots_of_pem, system_roots};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme};

/// Why TLS can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// The PEM text has no certificate that can be read, or the system trusts none.
    #[error("no certificate authority can be read")]
    NoAuthority,
    /// The mail server's host is no name and no address.
    #[error("`{0}` is neither a name nor an address")]
    Host(String),
    /// The library refuses.
    #[error(transparent)]
    Tls(#[from] Error),
}

/// The configuration for a server, and the name that its certificate must have.
pub(super) fn client(server: &SmtpServer) -> Result<(Arc<ClientConfig>, ServerName<'static>), TlsSetupError> {
    let name =
        ServerName::try_from(server.host.clone()).map_err(|_| TlsSetupError::Host(server.host.clone()))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let config = match &server.trusted_authorities_pem {
        None => {
            let roots = system_roots();
            if roots.is_empty() {
                return Err(TlsSetupError::NoAuthority);
            }
            builder.with_root_certificates(roots)
        }
        Some(pem) => {
            let verifier = OwnOrIssued::new(pem, provider)?;
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    Ok((Arc::new(config.with_no_client_auth()), name))
}

/// Trusts a server whose certificate was issued by a trusted authority, as everybody does, and one whose certificate is
/// itself the trusted one.
///
/// A certificate that `openssl req -x509` makes is one of an authority (`CA:TRUE`), which is no server's by RFC 5280. An
/// operator who names that very certificate means the server, though.
struct OwnOrIssued {
    by_authorities: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
}

impl OwnOrIssued {
    fn new(pem: &str, provider: Arc<CryptoProvider>) -> Result<Self, TlsSetupError> {
        let by_authorities =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots_of_pem(pem)), provider)
                .build()
                .map_err(|_| TlsSetupError::NoAuthority)?;
        let trusted = CertificateDer::pem_slice_iter(pem.as_bytes()).flatten().collect();
        Ok(Self {
            by_authorities,
            trusted,
        })
    }
}

impl fmt::Debug for OwnOrIssued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnOrIssued")
            .field("trusted", &self.trusted.len())
            .finish_non_exhaustive()
    }
}

impl ServerCertVerifier for OwnOrIssued {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.by_authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let is_trusted = || self.trusted.iter().any(|trusted| trusted == end_entity);
        match verified {
            // The only thing against it: the library looks at the dates of a certificate before this.
            Err(error) if is_of_authority(&error) && is_trusted() => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
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
        self.by_authorities
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_authorities
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_authorities.supported_verify_schemes()
    }
}

/// Whether a certificate was refused because it is an authority's, and for nothing else.
fn is_of_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(OtherError(cause))) = error else {
        return false;
    };
    matches!(cause.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bss_model::SmtpProtection;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    use super::*;

    /// A certificate that signs itself, for a name.
    fn self_signed(name: &str, is_authority: bool) -> rcgen::Certificate {
        let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
        if is_authority {
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2040, 1, 1);
        parameters.self_signed(&KeyPair::generate().unwrap()).unwrap()
    }

    /// Whether a server with a certificate is trusted by somebody who trusts another.
    fn judge(trusted: &str, shown: &CertificateDer<'_>, name: &str, year: u64) -> Result<(), Error> {
        let verifier = OwnOrIssued::new(trusted, Arc::new(aws_lc_rs::default_provider())).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs((year - 1970) * 31_557_600));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(shown, &[], &name, &[], now).map(drop)
    }

    #[test]
    fn the_very_certificate_that_is_trusted_is_trusted_for_its_name_and_its_time() {
        for is_authority in [true, false] {
            let own = self_signed("relay.test", is_authority);
            judge(&own.pem(), own.der(), "relay.test", 2030).unwrap();
            for (name, year) in [("other.test", 2030), ("relay.test", 2019), ("relay.test", 2041)] {
                assert!(judge(&own.pem(), own.der(), name, year).is_err(), "{name} {year}");
            }
        }
    }

    #[test]
    fn another_certificate_of_the_same_name_is_not() {
        for is_authority in [true, false] {
            let (own, other) = (
                self_signed("relay.test", is_authority),
                self_signed("relay.test", is_authority),
            );
            assert!(judge(&own.pem(), other.der(), "relay.test", 2030).is_err());
            let both = format!("{}{}", own.pem(), other.pem());
            judge(&both, other.der(), "relay.test", 2030).unwrap();
        }
    }

    #[test]
    fn a_text_without_a_certificate_sets_up_no_tls() {
        let server = SmtpServer {
            host: "relay.test".to_owned(),
            port: 25,
            protection: SmtpProtection::Tls,
            user: None,
            password: None,
            trusted_authorities_pem: Some(
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----".to_owned(),
            ),
            hello_name: None,
            access_token: None,
        };
        assert!(matches!(client(&server), Err(TlsSetupError::NoAuthority)));
        let pem = self_signed("relay.test", true).pem();
        let usable = SmtpServer {
            trusted_authorities_pem: Some(pem),
            ..server
        };
        client(&usable).unwrap();
        let nameless = SmtpServer {
            host: "re lay".to_owned(),
            ..usable
        };
        assert!(matches!(client(&nameless), Err(TlsSetupError::Host(_))));
    }
}
