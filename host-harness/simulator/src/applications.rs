//! The tenant's applications and the certificates registered with them, as Entra knows them.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use aws_lc_rs::digest;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use x509_parser::parse_x509_certificate;

use super::authority::thumbprint;
use super::files::{self, FileError};
use super::random::{self, NoRandomness};

/// The applications could not be read, or a certificate not be registered.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationError {
    /// A file of the directory.
    #[error(transparent)]
    File(#[from] FileError),
    /// No identifier could be made.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// The certificate to register is not an X.509 certificate in PEM.
    #[error("the certificate to register can't be read: {problem}")]
    Certificate {
        /// The damage.
        problem: String,
    },
    /// A certificate says who its application is, so it can have only one.
    #[error("certificate `{thumbprint}` is already registered with application `{client_id}`")]
    Registered {
        /// SHA-1, 40 upper-case hex digits.
        thumbprint: String,
        /// The application that has it.
        client_id: Uuid,
    },
    /// The tenant has no such application; `add_application` makes one.
    #[error("the tenant has no application `{client_id}`")]
    UnknownApplication {
        /// The client id.
        client_id: Uuid,
    },
}

/// An application of the tenant: one distributor in one country.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Application {
    /// The application's client id.
    pub client_id: Uuid,
    /// The Bill To account that the application buys on.
    pub channel_id: String,
}

/// A certificate that an application signs with and that its TLS connections show.
#[derive(Clone, Debug)]
pub(super) struct RegisteredCertificate {
    pub(super) client_id: Uuid,
    pub(super) thumbprint: String,
    pub(super) sha256: Vec<u8>,
    /// The public key, in PKCS #1 for RSA. Other keys can't verify an assertion.
    pub(super) public_key: Vec<u8>,
    pub(super) not_after: Timestamp,
    /// The certificate, where no authority has issued it.
    self_signed: Option<CertificateDer<'static>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    tenant: Uuid,
    applications: Vec<Application>,
}

#[derive(Debug)]
struct State {
    applications: Vec<Application>,
    certificates: Vec<RegisteredCertificate>,
}

/// All of the tenant's applications, kept as files: `entra.json`, and a PEM file per certificate in
/// `registered/<client id>/`.
#[derive(Debug)]
pub(super) struct Applications {
    directory: PathBuf,
    tenant: Uuid,
    first: Application,
    state: RwLock<State>,
}

impl Applications {
    /// Opens the applications of a directory; makes a tenant with one application if the directory has none.
    pub(super) fn open(directory: &Path) -> Result<Applications, ApplicationError> {
        let path = directory.join("entra.json");
        let Saved { tenant, applications } = match files::read(&path)? {
            Some(text) => serde_json::from_str(&text).map_err(|error| FileError::damaged(&path, error))?,
            None => {
                let first = new_application()?;
                let saved = Saved {
                    tenant: random::uuid()?,
                    applications: vec![first],
                };
                save(directory, &saved)?;
                saved
            }
        };
        let first = applications
            .first()
            .cloned()
            .ok_or_else(|| FileError::damaged(&path, "the file lists no application"))?;
        let mut certificates = Vec::new();
        for application in &applications {
            for file in files::list(&registered(directory, application.client_id), "pem")? {
                let pem = files::read(&file)?.unwrap_or_default();
                certificates.push(read_certificate(application.client_id, &pem)?);
            }
        }
        let state = RwLock::new(State {
            applications,
            certificates,
        });
        Ok(Applications {
            directory: directory.to_owned(),
            tenant,
            first,
            state,
        })
    }

    pub(super) fn tenant(&self) -> Uuid {
        self.tenant
    }

    /// The application that `Details` names.
    pub(super) fn first(&self) -> &Application {
        &self.first
    }

    pub(super) fn add(&self) -> Result<Application, ApplicationError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let application = new_application()?;
        let mut applications = state.applications.clone();
        applications.push(application.clone());
        let saved = Saved {
            tenant: self.tenant,
            applications,
        };
        save(&self.directory, &saved)?;
        state.applications = saved.applications;
        Ok(application)
    }

    /// Registers a certificate, PEM. A certificate that is registered with that application already is left as it is.
    pub(super) fn register(&self, client_id: Uuid, certificate_pem: &str) -> Result<(), ApplicationError> {
        let certificate = read_certificate(client_id, certificate_pem)?;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if !state
            .applications
            .iter()
            .any(|application| application.client_id == client_id)
        {
            return Err(ApplicationError::UnknownApplication { client_id });
        }
        let known = state
            .certificates
            .iter()
            .find(|known| known.thumbprint == certificate.thumbprint);
        if let Some(known) = known {
            let thumbprint = certificate.thumbprint;
            return match known.client_id {
                other if other == client_id => Ok(()),
                other => Err(ApplicationError::Registered {
                    thumbprint,
                    client_id: other,
                }),
            };
        }
        let directory = registered(&self.directory, client_id);
        files::make_directory(&directory)?;
        files::write(
            &directory.join(format!("{}.pem", certificate.thumbprint)),
            certificate_pem,
        )?;
        state.certificates.push(certificate);
        Ok(())
    }

    pub(super) fn application(&self, client_id: Uuid) -> Option<Application> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state
            .applications
            .iter()
            .find(|application| application.client_id == client_id)
            .cloned()
    }

    /// Whether a self-signed certificate is registered, and valid at a time.
    pub(super) fn has_self_signed(&self, der: &CertificateDer<'_>, at: Timestamp) -> bool {
        let is_it =
            |known: &RegisteredCertificate| known.self_signed.as_ref() == Some(der) && at <= known.not_after;
        self.certificate(is_it).is_some()
    }

    /// The first registered certificate that the condition holds for.
    pub(super) fn certificate(
        &self,
        condition: impl Fn(&RegisteredCertificate) -> bool,
    ) -> Option<RegisteredCertificate> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state
            .certificates
            .iter()
            .find(|certificate| condition(certificate))
            .cloned()
    }
}

fn new_application() -> Result<Application, NoRandomness> {
    Ok(Application {
        client_id: random::uuid()?,
        channel_id: random::channel_id()?,
    })
}

fn save(directory: &Path, saved: &Saved) -> Result<(), ApplicationError> {
    let path = directory.join("entra.json");
    let text = serde_json::to_string_pretty(saved).map_err(|error| FileError::damaged(&path, error))?;
    Ok(files::write(&path, &text)?)
}

fn registered(directory: &Path, client_id: Uuid) -> PathBuf {
    directory.join("registered").join(client_id.to_string())
}

fn read_certificate(client_id: Uuid, pem: &str) -> Result<RegisteredCertificate, ApplicationError> {
    let unreadable = |problem: String| ApplicationError::Certificate { problem };
    let der =
        CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| unreadable(error.to_string()))?;
    let (_, certificate) = parse_x509_certificate(&der).map_err(|error| unreadable(error.to_string()))?;
    let not_after = Timestamp::from_second(certificate.validity().not_after.timestamp())
        .map_err(|error| unreadable(error.to_string()))?;
    Ok(RegisteredCertificate {
        client_id,
        thumbprint: thumbprint(&der),
        sha256: digest::digest(&digest::SHA256, &der).as_ref().to_vec(),
        public_key: certificate.public_key().subject_public_key.data.to_vec(),
        not_after,
        self_signed: (certificate.subject().as_raw() == certificate.issuer().as_raw()).then(|| der.clone()),
    })
}
