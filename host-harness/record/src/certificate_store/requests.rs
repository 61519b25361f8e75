//! Certificates whose keys are made in the host and never leave it: self-signed ones, and requests that somebody answers.

use bss_keys::{
    NewCertificate, NewKey, NotMade, certificates_alone, describe_request, make_request, make_self_signed,
    match_certificates, public_key_thumbprint,
};
use bss_model::{Act, Actor, Diagnose, Diagnosis, ErrorKind, Subject, Thumbprint};
use serde_json::json;
use zeroize::Zeroizing;

use super::{CertificateStore, HostKeyError, ImportError, ImportedCertificate, Stored, request_purpose};
use crate::acts::write_act;
use crate::erasure::empty_log;
use crate::{RecordError, stored};

/// A request for a certificate whose key is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRequest {
    /// SHA-1 of the public key (`SubjectPublicKeyInfo`), by which the answer is known.
    pub public_key: Thumbprint,
    /// The subject's distinguished name.
    pub subject: String,
    /// The request (PKCS #10), DER.
    pub request: Vec<u8>,
    /// When the key was made, in milliseconds.
    pub created_at_ms: i64,
}

/// A self-signed certificate that was made in the store.
#[derive(Clone, Debug)]
pub struct MadeCertificate {
    /// The certificate as it is installed.
    pub imported: ImportedCertificate,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
}

/// Why no certificate and no request was made. Nothing was stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// No key or no certificate could be made.
    #[error(transparent)]
    NotMade(#[from] NotMade),
    /// The thread that made it ended early.
    #[error("the making of the key was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
    /// The certificate could not be stored.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The private key could not be sealed.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for MakeError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NotMade(error) => error.diagnosis(),
            Self::Interrupted(_) => Diagnosis::new(ErrorKind::Unavailable, "key-not-made").say("try again"),
            Self::Import(error) => error.diagnosis(),
            Self::HostKey(error) => error.diagnosis(),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// Why a request was not removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveRequestError {
    /// No request waits for that public key: it was never made, or has been answered.
    #[error("no request for a certificate waits for public key `{public_key}`")]
    NotThere {
        /// The public key that was asked for.
        public_key: Thumbprint,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for RemoveRequestError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NotThere { .. } => Diagnosis::new(ErrorKind::NotFound, "no-certificate-request")
                .say("look at the list of requests"),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

async fn made(make: impl FnOnce() -> Result<NewKey, NotMade> + Send + 'static) -> Result<NewKey, MakeError> {
    // Making a key takes up to seconds.
    let made = tokio::task::spawn_blocking(make).await;
    Ok(made.map_err(MakeError::Interrupted)??)
}

impl CertificateStore {
    /// Makes a key and a self-signed certificate for a client, and installs it. The key never leaves the store.
    ///
    /// # Errors
    /// When a name can't stand in a certificate, or nothing can be made or stored.
    pub async fn make(&self, new: &NewCertificate, actor: &Actor) -> Result<MadeCertificate, MakeError> {
        let (new, now_ms) = (new.clone(), self.record.writer.now_ms());
        let key = made(move || make_self_signed(&new, now_ms)).await?;
        let found = match_certificates(key.private_key, vec![key.signed.clone()]).await;
        let found = found.map_err(ImportError::from)?;
        let stored = Stored {
            act: Act::MakeCertificate,
            answers: None,
        };
        Ok(MadeCertificate {
            imported: self.install(found, &stored, actor).await?,
            certificate: key.signed,
        })
    }

    /// Makes a key and a request for a client's certificate. The key stays in the store until [`CertificateStore::import`] is
    /// given the certificate that answers the request.
    ///
    /// # Errors
    /// When a name can't stand in a request, or nothing can be made or stored.
    pub async fn request(
        &self,
        new: &NewCertificate,
        actor: &Actor,
    ) -> Result<CertificateRequest, MakeError> {
        let new = new.clone();
        let key = made(move || make_request(&new)).await?;
        let request = read(key.signed, self.record.writer.now_ms())?;
        let sealed = self
            .record
            .host_key
            .seal(&self.request_purpose(&request.public_key), &key.private_key)?;
        let mut transaction = self.record.begin_write().await?;
        transaction.sql(
            "INSERT INTO certificate_requests (owner, public_key, request, sealed_private_key, created_at_ms)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(self.owner())
        .bind(request.public_key.to_string())
        .bind(&request.request)
        .bind(sealed)
        .bind(request.created_at_ms)
        .execute()
        .await?;
        let (act, subject) = (Act::RequestCertificate, Subject::certificate(&request.public_key));
        let detail = self.detail(json!({ "subject": request.subject }));
        write_act(&mut transaction, actor, act, &subject, None, detail).await?;
        transaction.commit().await?;
        Ok(request)
    }

    /// The requests whose certificates were not imported yet, the oldest first.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn requests(&self) -> Result<Vec<CertificateRequest>, RecordError> {
        let rows = self
            .record
            .readers
            .sql(
                "SELECT request, created_at_ms FROM certificate_requests WHERE owner = $1
             ORDER BY created_at_ms, public_key",
            )
            .bind(self.owner())
            .fetch_all()
            .await?;
        rows.iter()
            .map(|row| read(row.try_get("request")?, row.try_get("created_at_ms")?))
            .collect()
    }

    /// Deletes a request and its private key, also from the database's files.
    ///
    /// # Errors
    /// When there is no such request.
    pub async fn remove_request(
        &self,
        public_key: &Thumbprint,
        actor: &Actor,
    ) -> Result<(), RemoveRequestError> {
        let mut transaction = self.record.begin_write().await?;
        let removed = transaction
            .sql("DELETE FROM certificate_requests WHERE owner = $1 AND public_key = $2")
            .bind(self.owner())
            .bind(public_key.to_string())
            .execute()
            .await?;
        if removed == 0 {
            let public_key = *public_key;
            return Err(RemoveRequestError::NotThere { public_key });
        }
        let (act, subject) = (Act::RemoveCertificateRequest, Subject::certificate(public_key));
        let detail = self.detail(json!({}));
        write_act(&mut transaction, actor, act, &subject, None, detail).await?;
        transaction.commit().await?;
        empty_log(&self.record.writer).await;
        Ok(())
    }

    /// Installs the certificates of a file without private key, where they answer a request or renew an installed certificate
    /// of the same key. `None`: the file is another one, or the store has no key of it.
    pub(super) async fn import_answer(
        &self,
        file: &[u8],
        actor: &Actor,
    ) -> Result<Option<ImportedCertificate>, ImportError> {
        let Some(certificates) = certificates_alone(file) else {
            return Ok(None);
        };
        for public_key in certificates.iter().filter_map(|der| public_key_thumbprint(der)) {
            let requested = self.requested_key(&public_key).await?;
            let answers = requested.is_some().then_some(public_key);
            let Some(private_key) = (match requested {
                Some(key) => Some(key),
                None => self.installed_key(&public_key).await?,
            }) else {
                continue;
            };
            let found = match_certificates(private_key, certificates.clone()).await?;
            let stored = Stored {
                act: Act::ImportCertificate,
                answers,
            };
            let imported = self.install(found, &stored, actor).await?;
            if answers.is_some() {
                empty_log(&self.record.writer).await;
            }
            return Ok(Some(imported));
        }
        Ok(None)
    }

    /// The private key of a request.
    async fn requested_key(
        &self,
        public_key: &Thumbprint,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, ImportError> {
        let sealed: Option<Vec<u8>> = self
            .record
            .readers
            .sql("SELECT sealed_private_key FROM certificate_requests WHERE owner = $1 AND public_key = $2")
            .bind(self.owner())
            .bind(public_key.to_string())
            .scalar_optional()
            .await?;
        let open = |sealed: Vec<u8>| {
            self.record
                .host_key
                .open(&self.request_purpose(public_key), &sealed)
        };
        Ok(sealed.map(open).transpose()?)
    }

    /// The private key of an installed certificate, of which the authority has issued another one.
    async fn installed_key(
        &self,
        public_key: &Thumbprint,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, ImportError> {
        let rows = self
            .record
            .readers
            .sql("SELECT thumbprint, certificate, sealed_private_key FROM certificates WHERE owner = $1")
            .bind(self.owner())
            .fetch_all()
            .await?;
        for row in &rows {
            let column = |name| row.try_get::<Vec<u8>, _>(name);
            if public_key_thumbprint(&column("certificate")?).as_ref() == Some(public_key) {
                let thumbprint = stored::thumbprint(row, "thumbprint")?;
                let sealed = column("sealed_private_key")?;
                return Ok(Some(
                    self.record
                        .host_key
                        .open(&self.key_purpose(&thumbprint), &sealed)?,
                ));
            }
        }
        Ok(None)
    }

    fn request_purpose(&self, public_key: &Thumbprint) -> String {
        request_purpose(self.owner.as_ref(), public_key)
    }
}

fn read(request: Vec<u8>, created_at_ms: i64) -> Result<CertificateRequest, RecordError> {
    let described = describe_request(&request);
    let (subject, public_key) = described.ok_or_else(|| RecordError::Damaged {
        what: "a request for a certificate can't be read".to_owned(),
    })?;
    Ok(CertificateRequest {
        public_key,
        subject,
        request,
        created_at_ms,
    })
}
