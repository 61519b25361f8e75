//! A certificate authority that lasts as long as a benchmark, with what it issues.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::{BenchError, instances};

/// How long certificates are valid before and after now: longer than any benchmark takes.
const VALID: Duration = Duration::from_secs(24 * 60 * 60);

/// Issues the certificates of one benchmark.
pub struct BenchAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    /// The key of all client certificates: making one takes tens of milliseconds, and a benchmark has a thousand
    /// certificates.
    client_key: KeyPair,
}

/// The certificates and key by which a server proves who it is and knows its clients. They travel to the process that
/// serves.
#[derive(Serialize, Deserialize)]
pub struct ServerIdentity {
    /// The server's certificate, PEM.
    pub(super) certificate_pem: String,
    /// The server's private key, PKCS #8 PEM.
    pub(super) private_key_pem: String,
    /// The authority that client certificates are from, PEM.
    pub(super) authority_pem: String,
}

impl Drop for ServerIdentity {
    fn drop(&mut self) {
        self.private_key_pem.zeroize();
    }
}

impl BenchAuthority {
    /// A new authority, with new keys.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new() -> Result<Self, BenchError> {
        let refused = "the benchmark's certificate authority can't be made";
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(BenchError::when(refused))?;
        let mut params = params("bench authority", Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate_pem = params.self_signed(&key).map_err(BenchError::when(refused))?.pem();
        let client_key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
            .map_err(BenchError::when(refused))?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate_pem,
            client_key,
        })
    }

    /// Issues the certificate of a server on this machine.
    ///
    /// # Errors
    /// When the certificate can't be made.
    pub fn server(&self) -> Result<ServerIdentity, BenchError> {
        let refused = "a server certificate can't be made";
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(BenchError::when(refused))?;
        let mut params = params("localhost", vec!["localhost".to_owned()])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(BenchError::when(refused))?;
        Ok(ServerIdentity {
            certificate_pem: certificate.pem(),
            private_key_pem: key.serialize_pem(),
            authority_pem: self.certificate_pem.clone(),
        })
    }

    pub(super) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The PFX file of a client certificate of that name. Each is another certificate; all have one key.
    pub(super) fn client_pfx(&self, name: &str) -> Result<Vec<u8>, BenchError> {
        let mut params = params(name, Vec::new())?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params
            .signed_by(&self.client_key, &self.issuer)
            .map_err(BenchError::when("a client certificate can't be made"))?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.client_key.serialized_der()));
        instances::pfx(certificate.der(), &key)
    }
}

fn params(name: &str, dns_names: Vec<String>) -> Result<CertificateParams, BenchError> {
    let mut params =
        CertificateParams::new(dns_names).map_err(BenchError::when("a certificate can't be made"))?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let now = SystemTime::now();
    params.not_before = (now - VALID).into();
    params.not_after = (now + VALID).into();
    Ok(params)
}
