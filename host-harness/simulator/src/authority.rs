//! The simulated Microsoft's certification authority.

use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use bss_model::Thumbprint;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, RsaKeySize,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::files::{self, FileError};

/// How long the authority and the server certificate last: longer than any simulator's directory is kept, since
/// neither is renewed.
const AUTHORITY_LIFE: SignedDuration = SignedDuration::from_hours(24 * 3650);

/// How far before now certificates are valid, for clients whose clock is slow.
const SLOW_CLOCKS: SignedDuration = SignedDuration::from_hours(1);

/// The names that the simulator's server certificate is good for.
const SERVER_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file of the directory.
    #[error(transparent)]
    File(#[from] FileError),
    /// `rcgen` refused, most often because of the request.
    #[error("the certificate for `{subject}` can't be issued")]
    Issue {
        /// The common name of the certificate.
        subject: String,
        /// The library's reason.
        #[source]
        source: rcgen::Error,
    },
}

/// The kind of private key that a client certificate gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA with 2,048 bits: what Microsoft's own instructions make.
    #[default]
    Rsa2048,
    /// RSA with 3,072 bits.
    Rsa3072,
    /// RSA with 4,096 bits.
    Rsa4096,
    /// ECDSA on P-256. TLS takes it, Entra does not: its assertions are RSA.
    EcdsaP256,
    /// ECDSA on P-384, which only TLS takes too.
    EcdsaP384,
}

/// The extended key usage that a client certificate gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExtendedKeyUsage {
    /// Client and server authentication, as certificates of public authorities for a host name had.
    #[default]
    ClientAndServer,
    /// Client authentication.
    Client,
    /// Server authentication: a TLS server refuses it from a client.
    Server,
    /// No extended key usage: good for anything.
    Absent,
}

/// The Entra application that a certificate gets registered with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Registration {
    /// The application of `Details::client_id`.
    #[default]
    Application,
    /// Another application, by its client id.
    OtherApplication(Uuid),
    /// No application.
    Unregistered,
}

/// A client certificate to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRequest {
    /// The subject's common name.
    pub common_name: String,
    /// The subject alternative names: DNS names or IP addresses.
    pub dns_names: Vec<String>,
    /// The key.
    pub key: KeyKind,
    /// The first moment at which the certificate is valid.
    pub not_before: Timestamp,
    /// The last moment at which the certificate is valid.
    pub not_after: Timestamp,
    /// The extended key usage.
    pub usage: ExtendedKeyUsage,
    /// The application that the certificate gets registered with.
    pub registration: Registration,
}

impl Default for CertificateRequest {
    /// A certificate of one year for `esd.mydomain.com`, the host of the platform's own example.
    fn default() -> CertificateRequest {
        let now = Timestamp::now();
        CertificateRequest {
            common_name: "esd.mydomain.com".to_owned(),
            dns_names: vec!["esd.mydomain.com".to_owned()],
            key: KeyKind::default(),
            not_before: now - SLOW_CLOCKS,
            not_after: now + SignedDuration::from_hours(24 * 365),
            usage: ExtendedKeyUsage::default(),
            registration: Registration::default(),
        }
    }
}

/// A client certificate with its private key.
pub struct IssuedCertificate {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// The authorities above it, PEM, from the one that issued it.
    pub chain_pem: String,
    /// The private key, PKCS #8 PEM.
    pub private_key_pem: Zeroizing<String>,
    /// SHA-1 of the DER certificate, 40 upper-case hex digits.
    pub thumbprint: String,
}

impl fmt::Debug for IssuedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IssuedCertificate {
            certificate_pem,
            chain_pem,
            private_key_pem: _,
            thumbprint,
        } = self;
        f.debug_struct("IssuedCertificate")
            .field("certificate_pem", certificate_pem)
            .field("chain_pem", chain_pem)
            .field("private_key_pem", &"[elided]")
            .field("thumbprint", thumbprint)
            .finish()
    }
}

/// SHA-1 of a DER certificate, 40 upper-case hex digits: what Windows and Entra call its thumbprint.
pub(super) fn thumbprint(certificate_der: &[u8]) -> String {
    Thumbprint::of(certificate_der).to_string()
}

/// An authority that issues client certificates, and whose own certificate clients trust.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
}

impl Authority {
    /// The authority of that directory, made if the directory has none.
    pub(super) fn open(directory: &Path, name: &str) -> Result<Authority, AuthorityError> {
        let (certificate_file, key_file) = (directory.join("ca.pem"), directory.join("ca.key"));
        // The certificate is written last: without it, no client can have come to trust the key.
        let Some(certificate_pem) = files::read(&certificate_file)? else {
            let (authority, key_pem) = Authority::create(name)?;
            files::write(&key_file, &key_pem)?;
            files::write(&certificate_file, &authority.certificate_pem)?;
            return Ok(authority);
        };
        let key_pem = files::read(&key_file)?
            .map(Zeroizing::new)
            .ok_or_else(|| FileError::damaged(&key_file, "the file is missing"))?;
        let key = KeyPair::from_pem(&key_pem).map_err(|error| FileError::damaged(&key_file, error))?;
        let issuer = Issuer::new(authority_params(name), key);
        Ok(Authority {
            issuer,
            certificate_pem,
        })
    }

    /// Makes a new authority; its key comes with it, PEM.
    pub(super) fn create(name: &str) -> Result<(Authority, Zeroizing<String>), AuthorityError> {
        let refused = |source| AuthorityError::Issue {
            subject: name.to_owned(),
            source,
        };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(refused)?;
        let key_pem = Zeroizing::new(key.serialize_pem());
        let params = authority_params(name);
        let certificate_pem = params.self_signed(&key).map_err(refused)?.pem();
        Ok((
            Authority {
                issuer: Issuer::new(params, key),
                certificate_pem,
            },
            key_pem,
        ))
    }

    /// The authority's own certificate.
    pub(super) fn certificate(&self) -> Result<CertificateDer<'static>, AuthorityError> {
        CertificateDer::from_pem_slice(self.certificate_pem.as_bytes())
            .map_err(|error| FileError::damaged(Path::new("ca.pem"), error).into())
    }

    /// The simulator's server certificate and key, made if the directory has none.
    pub(super) fn server_identity(
        &self,
        directory: &Path,
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), AuthorityError> {
        let (certificate_file, key_file) = (directory.join("server.pem"), directory.join("server.key"));
        if files::read(&certificate_file)?.is_none() {
            let names = SERVER_NAMES.map(str::to_owned).to_vec();
            let mut params = leaf_params("localhost", &names)?;
            (params.not_before, params.not_after) = authority_validity();
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            let issued = self.sign(params, KeyKind::EcdsaP256, "localhost")?;
            files::write(&key_file, &issued.private_key_pem)?;
            files::write(&certificate_file, &issued.certificate_pem)?;
        }
        let certificate = CertificateDer::from_pem_file(&certificate_file)
            .map_err(|error| FileError::damaged(&certificate_file, error))?;
        let key =
            PrivateKeyDer::from_pem_file(&key_file).map_err(|error| FileError::damaged(&key_file, error))?;
        Ok((certificate, key))
    }

    /// Issues a client certificate. Making an RSA key takes a while: tens of milliseconds for 2,048 bits, seconds for
    /// 4,096.
    pub(super) fn issue(&self, request: &CertificateRequest) -> Result<IssuedCertificate, AuthorityError> {
        let mut params = leaf_params(&request.common_name, &request.dns_names)?;
        params.not_before = SystemTime::from(request.not_before).into();
        params.not_after = SystemTime::from(request.not_after).into();
        params.extended_key_usages = match request.usage {
            ExtendedKeyUsage::ClientAndServer => {
                vec![
                    ExtendedKeyUsagePurpose::ClientAuth,
                    ExtendedKeyUsagePurpose::ServerAuth,
                ]
            }
            ExtendedKeyUsage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            ExtendedKeyUsage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            ExtendedKeyUsage::Absent => Vec::new(),
        };
        self.sign(params, request.key, &request.common_name)
    }

    fn sign(
        &self,
        params: CertificateParams,
        kind: KeyKind,
        subject: &str,
    ) -> Result<IssuedCertificate, AuthorityError> {
        let refused = |source| AuthorityError::Issue {
            subject: subject.to_owned(),
            source,
        };
        let key = generate(kind).map_err(refused)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(refused)?;
        Ok(IssuedCertificate {
            certificate_pem: certificate.pem(),
            chain_pem: self.certificate_pem.clone(),
            private_key_pem: Zeroizing::new(key.serialize_pem()),
            thumbprint: thumbprint(certificate.der()),
        })
    }
}

fn generate(kind: KeyKind) -> Result<KeyPair, rcgen::Error> {
    match kind {
        KeyKind::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        KeyKind::Rsa3072 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072),
        KeyKind::Rsa4096 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096),
        KeyKind::EcdsaP256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
        KeyKind::EcdsaP384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
    }
}

/// The parameters from which `Issuer` takes the issuer's name and key identifier: the same for the same name and key.
fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = authority_validity();
    params
}

fn authority_validity<Moment: From<SystemTime>>() -> (Moment, Moment) {
    let now = Timestamp::now();
    (
        SystemTime::from(now - SLOW_CLOCKS).into(),
        SystemTime::from(now + AUTHORITY_LIFE).into(),
    )
}

fn leaf_params(name: &str, dns_names: &[String]) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::new(dns_names).map_err(|source| AuthorityError::Issue {
        subject: name.to_owned(),
        source,
    })?;
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    Ok(params)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, name);
    distinguished_name
}
