//! Server certificates, good and bad, of an authority with an intermediate one.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize,
};

const HOUR: Duration = Duration::from_secs(3600);

/// The key of a server's certificate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ServerKey {
    Rsa,
    Ecdsa,
}

/// The flaws that a server's certificate may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    OtherName,
    Expired,
    OtherAuthority,
    IntermediateNotServed,
}

/// An authority that clients trust, and an intermediate one that issues.
pub(crate) struct Pki {
    pub(crate) root_pem: String,
    intermediate_pem: String,
    intermediate: Issuer<'static, KeyPair>,
}

/// The files that a server is configured with, PEM.
pub(crate) struct Served {
    /// The certificate, followed by `chain`.
    pub(crate) certificate: String,
    /// The intermediate certificate; empty when it is not served.
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let root_key = ecdsa();
        let root = authority("A root of this run", 1);
        let root_pem = root.self_signed(&root_key).expect("a certificate").pem();
        let root = Issuer::new(root, root_key);
        let key = ecdsa();
        let intermediate = authority("An intermediate of this run", 0);
        let intermediate_pem = intermediate.signed_by(&key, &root).expect("a certificate").pem();
        Self {
            root_pem,
            intermediate_pem,
            intermediate: Issuer::new(intermediate, key),
        }
    }

    /// A certificate for `localhost`, but for its flaw.
    pub(crate) fn server(&self, key: ServerKey, flaw: Flaw) -> Served {
        if flaw == Flaw::OtherAuthority {
            return Self::new().server(key, Flaw::None);
        }
        let key = match key {
            ServerKey::Rsa => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
            ServerKey::Ecdsa => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
        };
        let key = key.expect("a key");
        let name = if flaw == Flaw::OtherName {
            "elsewhere.test"
        } else {
            "localhost"
        };
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let now = SystemTime::now();
        params.not_before = (now - 2 * HOUR).into();
        params.not_after = if flaw == Flaw::Expired {
            now - HOUR
        } else {
            now + HOUR
        }
        .into();
        let leaf = params
            .signed_by(&key, &self.intermediate)
            .expect("a certificate")
            .pem();
        let chain = if flaw == Flaw::IntermediateNotServed {
            String::new()
        } else {
            self.intermediate_pem.clone()
        };
        Served {
            certificate: format!("{leaf}{chain}"),
            chain,
            key: key.serialize_pem(),
        }
    }
}

fn ecdsa() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key")
}

fn authority(name: &str, below: u8) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}
