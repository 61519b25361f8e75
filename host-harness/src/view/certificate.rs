//! Installed certificates as views show them.

use std::collections::BTreeMap;

use bss_keys::{Caution, InstalledCertificate, KeyKind, to_pem};
use bss_model::clock::now_ms;
use bss_record::RecordError;
use serde::Serialize;

use crate::host::Host;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// A certificate whose private key the host holds. The key is never shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// The SHA-1 of the DER form, as 40 upper-case hexadecimal digits: the name that the certificate goes by.
    pub thumbprint: String,
    /// The SHA-256 of the DER form, as 64 upper-case hexadecimal digits.
    pub sha256: String,
    /// The subject's distinguished name.
    pub subject: String,
    /// The issuer's distinguished name.
    pub issuer: String,
    /// The serial number, in upper-case hexadecimal digits.
    pub serial: String,
    /// The DNS names that the certificate is for.
    pub dns_names: Vec<String>,
    /// The first moment at which the certificate is valid, in milliseconds.
    pub not_before_ms: i64,
    /// The last moment at which the certificate is valid, in milliseconds.
    pub not_after_ms: i64,
    /// The whole days until that moment; below zero once the certificate has expired.
    pub days_left: i64,
    /// The public key's kind and size, such as `RSA 2048`.
    pub key: String,
    /// Whether the certificate came with the certificates of its issuers, up to a root.
    pub chain_complete: bool,
    /// When the certificate was first imported, in milliseconds.
    pub imported_at_ms: i64,
    /// The certificate's owner, whose instances alone can use it. `None`: it is the operator's own.
    pub owner: Option<String>,
    /// The names of the instances that use the certificate.
    pub used_by: Vec<String>,
    /// Why the certificate can't be used now. `None`: it can.
    pub unusable_because: Option<String>,
    /// What to do about that. `None`: it can be used.
    pub advice: Option<String>,
    /// What to know of the certificate although it can be used; after an import, of its file too.
    pub warnings: Vec<CertificateWarning>,
}

/// What to know of a certificate or its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CertificateWarning {
    /// The sentence for an operator.
    pub message: String,
    /// The advice.
    pub advice: String,
}

impl From<&Caution> for CertificateWarning {
    fn from(caution: &Caution) -> Self {
        Self {
            message: caution.to_string(),
            advice: caution.advice().sentence().into_owned(),
        }
    }
}

/// A certificate with what a vendor is given of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CertificateWithPem {
    /// The certificate as it is installed.
    #[serde(flatten)]
    pub certificate: Certificate,
    /// The certificate in PEM, to be registered with the vendor. The private key stays in the host.
    pub certificate_pem: String,
}

impl CertificateWithPem {
    /// The view with the certificate's DER form.
    pub fn new(certificate: Certificate, der: &[u8]) -> Self {
        Self {
            certificate,
            certificate_pem: to_pem("CERTIFICATE", der),
        }
    }
}

/// A request for a certificate, whose private key waits in the host for the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CertificateRequest {
    /// The SHA-1 of the public key, as 40 upper-case hexadecimal digits: the name that the request goes by.
    pub public_key: String,
    /// The subject's distinguished name.
    pub subject: String,
    /// When the key was made, in milliseconds.
    pub created_at_ms: i64,
    /// The request in PEM (PKCS #10), to be sent to a certificate authority.
    pub request_pem: String,
}

/// A request that was forgotten together with its private key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RemovedCertificateRequest {
    /// The SHA-1 of the public key.
    pub public_key: String,
}

impl From<&bss_record::CertificateRequest> for CertificateRequest {
    fn from(request: &bss_record::CertificateRequest) -> Self {
        Self {
            public_key: request.public_key.to_string(),
            subject: request.subject.clone(),
            created_at_ms: request.created_at_ms,
            request_pem: to_pem("CERTIFICATE REQUEST", &request.request),
        }
    }
}

/// A certificate that was forgotten together with its private key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RemovedCertificate {
    /// The thumbprint of the certificate.
    pub thumbprint: String,
}

impl Certificate {
    /// The view of a certificate at `now_ms`, in milliseconds.
    pub fn new(certificate: &InstalledCertificate, used_by: Vec<String>, now_ms: i64) -> Self {
        let unusable = certificate.unusable_because(now_ms);
        Self {
            thumbprint: certificate.thumbprint.to_string(),
            sha256: certificate.sha256.clone(),
            subject: certificate.subject.clone(),
            issuer: certificate.issuer.clone(),
            serial: certificate.serial.clone(),
            dns_names: certificate.dns_names.clone(),
            not_before_ms: certificate.not_before_ms,
            not_after_ms: certificate.not_after_ms,
            days_left: certificate.not_after_ms.saturating_sub(now_ms).div_euclid(DAY_MS),
            key: match &certificate.key {
                KeyKind::Rsa { bits } => format!("RSA {bits}"),
                KeyKind::Other(name) => name.clone(),
            },
            chain_complete: certificate.chain_complete,
            imported_at_ms: certificate.imported_at_ms,
            owner: certificate.owner.as_ref().map(ToString::to_string),
            used_by,
            unusable_because: unusable.as_ref().map(ToString::to_string),
            advice: unusable.map(|reason| reason.advice().sentence().into_owned()),
            warnings: certificate
                .cautions()
                .iter()
                .map(CertificateWarning::from)
                .collect(),
        }
    }
}

impl Host {
    /// The view of a certificate.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn certificate_view(
        &self,
        certificate: &InstalledCertificate,
    ) -> Result<Certificate, RecordError> {
        let certificates = self.record().certificates_of(certificate.owner.as_ref());
        let mut used_by = certificates.used_by().await?;
        let used_by = used_by.remove(&certificate.thumbprint).unwrap_or_default();
        Ok(Certificate::new(certificate, used_by, now_ms()))
    }

    /// The views of certificates, in their order.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn certificate_views(
        &self,
        certificates: &[InstalledCertificate],
    ) -> Result<Vec<Certificate>, RecordError> {
        let mut used_by = BTreeMap::new();
        for owner in certificates.iter().map(|certificate| &certificate.owner) {
            if !used_by.contains_key(owner) {
                let of_owner = self.record().certificates_of(owner.as_ref()).used_by().await?;
                used_by.insert(owner.clone(), of_owner);
            }
        }
        let now_ms = now_ms();
        let view = |certificate: &InstalledCertificate| {
            let of_owner = used_by.get_mut(&certificate.owner);
            let used_by = of_owner.and_then(|used_by| used_by.remove(&certificate.thumbprint));
            Certificate::new(certificate, used_by.unwrap_or_default(), now_ms)
        };
        Ok(certificates.iter().map(view).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::assert_json;
    use super::*;

    #[test]
    fn a_certificate_that_has_expired() {
        let certificate = InstalledCertificate {
            thumbprint: "0123456789ABCDEF0123456789ABCDEF01234567".parse().unwrap(),
            sha256: "AB".repeat(32),
            subject: "CN=esd".to_owned(),
            issuer: "CN=authority".to_owned(),
            dns_names: vec!["esd.example.com".to_owned()],
            serial: "01".to_owned(),
            not_before_ms: 0,
            not_after_ms: DAY_MS,
            key: KeyKind::Rsa { bits: 2048 },
            for_client_authentication: true,
            for_signatures: true,
            is_authority: false,
            is_self_issued: false,
            chain: 1,
            chain_complete: false,
            imported_at_ms: 1_000,
            owner: Some("reseller-7".parse().unwrap()),
        };
        assert_json(
            &Certificate::new(&certificate, vec!["esd".to_owned()], 2 * DAY_MS),
            r#"
{
  "thumbprint": "0123456789ABCDEF0123456789ABCDEF01234567",
  "sha256": "ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB",
  "subject": "CN=esd",
  "issuer": "CN=authority",
  "serial": "01",
  "dnsNames": [
    "esd.example.com"
  ],
  "notBeforeMs": 0,
  "notAfterMs": 86400000,
  "daysLeft": -1,
  "key": "RSA 2048",
  "chainComplete": false,
  "importedAtMs": 1000,
  "owner": "reseller-7",
  "usedBy": [
    "esd"
  ],
  "unusableBecause": "it expired at 1970-01-02T00:00:00Z",
  "advice": "have a new certificate issued; if it should still be valid, set this machine's clock",
  "warnings": [
    {
      "message": "the certificate chain is not complete",
      "advice": "a server may require the certificates of the issuers too"
    }
  ]
}"#,
        );
    }

    #[test]
    fn a_request_that_nobody_has_answered() {
        let public_key = "0123456789ABCDEF0123456789ABCDEF01234567";
        let request = bss_record::CertificateRequest {
            public_key: public_key.parse().unwrap(),
            subject: "CN=esd".to_owned(),
            request: vec![0x30, 0x00],
            created_at_ms: 1_000,
        };
        assert_json(
            &CertificateRequest::from(&request),
            r#"
{
  "publicKey": "0123456789ABCDEF0123456789ABCDEF01234567",
  "subject": "CN=esd",
  "createdAtMs": 1000,
  "requestPem": "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n"
}"#,
        );
        let public_key = "0123".to_owned();
        assert_json(
            &RemovedCertificateRequest { public_key },
            "{\n  \"publicKey\": \"0123\"\n}",
        );
    }

    #[test]
    fn a_certificate_that_was_removed() {
        let thumbprint = "0123".to_owned();
        assert_json(
            &RemovedCertificate { thumbprint },
            "{\n  \"thumbprint\": \"0123\"\n}",
        );
    }
}
