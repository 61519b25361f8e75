//! Certificates with which instances authenticate: a PFX file and its code in, a thumbprint out.

mod requests;

use std::collections::BTreeMap;
use std::sync::Arc;

use bss_keys::{
    Caution, HostKeyError, Identity, InspectError, InstalledCertificate, KeyWithCertificates, PfxCode,
    Unusable, describe, read_pfx,
};
use bss_model::clock::rfc3339;
use bss_model::{Act, Actor, Advice, Diagnose, Diagnosis, ErrorKind, Owner, Subject, Thumbprint};
use serde_json::{Value, json};

use crate::acts::write_act;
use crate::erasure::empty_log;
use crate::mail_settings::mail_certificate;
use crate::stored::owner_column;
use crate::{Record, RecordError, stored};

pub use requests::{CertificateRequest, MadeCertificate, MakeError, RemoveRequestError};

/// Why a PFX file was not imported. Nothing was stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file does not hold one private key with its certificate.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The certificate has expired and can never work again.
    #[error("certificate `{subject}` ({thumbprint}) was valid from {} to {} and has expired", rfc3339(*not_before_ms), rfc3339(*not_after_ms))]
    Expired {
        /// The certificate's subject.
        subject: String,
        /// The certificate's thumbprint.
        thumbprint: Thumbprint,
        /// The first moment it was valid, in milliseconds.
        not_before_ms: i64,
        /// The last moment it was valid, in milliseconds.
        not_after_ms: i64,
    },
    /// The private key could not be sealed.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for ImportError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Inspect(error) => error.diagnosis(),
            Self::Expired { .. } => {
                Diagnosis::new(ErrorKind::Invalid, "certificate-expired").say("ask for a new certificate")
            }
            Self::HostKey(error) => error.diagnosis(),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// Why an installed certificate can't be used as an identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The certificate is not installed.
    #[error("certificate `{thumbprint}` is not installed")]
    NotInstalled {
        /// The thumbprint that was asked for.
        thumbprint: Thumbprint,
    },
    /// The certificate is installed but can't work.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// The private key can't be opened.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for IdentityError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NotInstalled { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "no-certificate").say("import its PFX file")
            }
            Self::Unusable(error) => error.diagnosis(),
            Self::HostKey(error) => error.diagnosis(),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// Why a certificate was not removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// The certificate is not installed.
    #[error("certificate `{thumbprint}` is not installed")]
    NotInstalled {
        /// The thumbprint that was asked for.
        thumbprint: Thumbprint,
    },
    /// Instances use the certificate and would be left without identity.
    #[error(
        "certificate `{thumbprint}` can't be removed, because instances use it: {}",
        quoted(instances)
    )]
    InUse {
        /// The thumbprint that was asked for.
        thumbprint: Thumbprint,
        /// The names of the instances.
        instances: Vec<String>,
    },
    /// The mail settings log in with the certificate.
    #[error("certificate `{thumbprint}` can't be removed, because the mail settings use it")]
    InMailSettings {
        /// The thumbprint that was asked for.
        thumbprint: Thumbprint,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for RemoveError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NotInstalled { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "no-certificate").advise(Advice::ListCertificates)
            }
            Self::InUse { .. } => Diagnosis::new(ErrorKind::Conflict, "certificate-in-use")
                .say("choose another certificate for these instances first"),
            Self::InMailSettings { .. } => Diagnosis::new(ErrorKind::Conflict, "certificate-in-use")
                .say("save mail settings without it first"),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

fn quoted(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// A certificate that an import has installed.
#[derive(Clone, Debug)]
pub struct ImportedCertificate {
    /// The certificate, which may be one that can't be used: see [`InstalledCertificate::unusable_because`].
    pub installed: InstalledCertificate,
    /// What to know of the file that it came in.
    pub cautions: Vec<Caution>,
}

/// How a certificate came to be stored.
struct Stored {
    act: Act,
    /// The public key of the request that it answers.
    answers: Option<Thumbprint>,
}

impl Default for Stored {
    fn default() -> Self {
        Self {
            act: Act::ImportCertificate,
            answers: None,
        }
    }
}

/// The installed certificates of an owner and, sealed under the host key, their private keys. Those of others are not there.
#[derive(Clone, Debug)]
pub struct CertificateStore {
    owner: Option<Owner>,
    record: Record,
}

impl CertificateStore {
    /// Installs the certificate of a PFX file with its private key and chain; or a certificate without one (PEM, DER or PKCS #7)
    /// that answers a request of [`CertificateStore::request`], or that was issued for the key of an installed one. A certificate that is installed already
    /// stays so; a longer chain replaces a shorter one.
    ///
    /// Where another owner has installed it too, each has a copy: the file has the private key, so its owner is lent
    /// nothing, and is not told.
    ///
    /// A certificate that can't work now for a reason that an operator may want to see (key too short, another kind
    /// of key, a usage that rules it out, not valid yet) is installed and shown with
    /// [`InstalledCertificate::unusable_because`].
    ///
    /// # Errors
    /// When the file can't be read with the code, does not hold exactly one private key with its certificate, when nothing can be
    /// signed with the key, or when the certificate has expired.
    pub async fn import(
        &self,
        pfx: &[u8],
        code: &PfxCode,
        actor: &Actor,
    ) -> Result<ImportedCertificate, ImportError> {
        match self.import_answer(pfx, actor).await? {
            Some(imported) => Ok(imported),
            None => {
                let found = read_pfx(pfx, code).await?;
                self.install(found, &Stored::default(), actor).await
            }
        }
    }

    async fn install(
        &self,
        found: KeyWithCertificates,
        how: &Stored,
        actor: &Actor,
    ) -> Result<ImportedCertificate, ImportError> {
        let now = self.record.writer.now_ms();
        let installed = describe(&found.leaf, &found.chain, now)?;
        if installed.has_expired(now) {
            return Err(ImportError::Expired {
                subject: installed.subject,
                thumbprint: installed.thumbprint,
                not_before_ms: installed.not_before_ms,
                not_after_ms: installed.not_after_ms,
            });
        }
        let sealed = self
            .record
            .host_key
            .seal(&self.key_purpose(&installed.thumbprint), &found.private_key)?;
        self.store(&installed, &found, &sealed, how, actor).await?;
        let stored = self.get(&installed.thumbprint).await?;
        Ok(ImportedCertificate {
            installed: stored.unwrap_or(InstalledCertificate {
                owner: self.owner.clone(),
                ..installed
            }),
            cautions: found.cautions,
        })
    }

    /// The owner as columns have it.
    fn owner(&self) -> &str {
        owner_column(self.owner.as_ref())
    }

    fn key_purpose(&self, thumbprint: &Thumbprint) -> String {
        key_purpose(self.owner.as_ref(), thumbprint)
    }

    /// The detail of an act, with the owner.
    fn detail(&self, mut detail: Value) -> Value {
        if let Some(owner) = &self.owner {
            detail["owner"] = json!(owner.as_str());
        }
        detail
    }

    fn describe(
        &self,
        leaf: &[u8],
        chain: &[Vec<u8>],
        imported_at_ms: i64,
    ) -> Result<InstalledCertificate, RecordError> {
        match describe(leaf, chain, imported_at_ms) {
            Ok(described) => Ok(InstalledCertificate {
                owner: self.owner.clone(),
                ..described
            }),
            Err(error) => Err(RecordError::Damaged {
                what: error.to_string(),
            }),
        }
    }

    async fn store(
        &self,
        installed: &InstalledCertificate,
        found: &KeyWithCertificates,
        sealed_private_key: &[u8],
        how: &Stored,
        actor: &Actor,
    ) -> Result<(), RecordError> {
        let thumbprint = installed.thumbprint.to_string();
        let mut transaction = self.record.begin_write().await?;
        let inserted = transaction.sql(
            "INSERT INTO certificates (owner, thumbprint, certificate, sealed_private_key, imported_at_ms)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (owner, thumbprint) DO NOTHING",
        )
        .bind(self.owner())
        .bind(&thumbprint)
        .bind(&found.leaf)
        .bind(sealed_private_key)
        .bind(installed.imported_at_ms)
        .execute()
        .await?;
        let stored: i64 = transaction
            .sql("SELECT COUNT(*) FROM certificate_chains WHERE owner = $1 AND thumbprint = $2")
            .bind(self.owner())
            .bind(&thumbprint)
            .scalar()
            .await?;
        let is_longer = found.chain.len() as u64 > stored.unsigned_abs();
        if is_longer {
            transaction
                .sql("DELETE FROM certificate_chains WHERE owner = $1 AND thumbprint = $2")
                .bind(self.owner())
                .bind(&thumbprint)
                .execute()
                .await?;
            for (position, certificate) in (0_i64..).zip(&found.chain) {
                transaction
                    .sql(
                        "INSERT INTO certificate_chains (owner, thumbprint, position, certificate)
                     VALUES ($1, $2, $3, $4)",
                    )
                    .bind(self.owner())
                    .bind(&thumbprint)
                    .bind(position)
                    .bind(certificate)
                    .execute()
                    .await?;
            }
        }
        if inserted > 0 || is_longer {
            let subject = Subject::certificate(&installed.thumbprint);
            let detail = self.detail(json!({ "subject": installed.subject, "chain": found.chain.len() }));
            write_act(&mut transaction, actor, how.act, &subject, None, detail).await?;
        }
        if let Some(public_key) = how.answers {
            transaction
                .sql("DELETE FROM certificate_requests WHERE owner = $1 AND public_key = $2")
                .bind(self.owner())
                .bind(public_key.to_string())
                .execute()
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// All installed certificates, usable or not, by expiry, the earliest first. An instance has one, and its
    /// successor once a year.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn list(&self) -> Result<Vec<InstalledCertificate>, RecordError> {
        let rows = self
            .record
            .readers
            .sql("SELECT thumbprint, certificate, imported_at_ms FROM certificates WHERE owner = $1")
            .bind(self.owner())
            .fetch_all()
            .await?;
        let mut installed = Vec::with_capacity(rows.len());
        for row in rows {
            let chain = self.chain(row.try_get("thumbprint")?).await?;
            installed.push(self.describe(
                row.try_get("certificate")?,
                &chain,
                row.try_get("imported_at_ms")?,
            )?);
        }
        installed.sort_by_key(|certificate| (certificate.not_after_ms, certificate.thumbprint));
        Ok(installed)
    }

    /// An installed certificate. `None`: it is not installed.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn get(&self, thumbprint: &Thumbprint) -> Result<Option<InstalledCertificate>, RecordError> {
        let row = self
            .record
            .readers
            .sql("SELECT certificate, imported_at_ms FROM certificates WHERE owner = $1 AND thumbprint = $2")
            .bind(self.owner())
            .bind(thumbprint.to_string())
            .fetch_optional()
            .await?;
        let Some(row) = row else { return Ok(None) };
        let chain = self.chain(&thumbprint.to_string()).await?;
        self.describe(
            row.try_get("certificate")?,
            &chain,
            row.try_get("imported_at_ms")?,
        )
        .map(Some)
    }

    /// An installed certificate in DER form, without its private key. `None`: it is not installed.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn der(&self, thumbprint: &Thumbprint) -> Result<Option<Vec<u8>>, RecordError> {
        let der = self
            .record
            .readers
            .sql("SELECT certificate FROM certificates WHERE owner = $1 AND thumbprint = $2")
            .bind(self.owner())
            .bind(thumbprint.to_string())
            .scalar_optional()
            .await?;
        Ok(der)
    }

    /// The names, in order, of the owner's instances that have chosen each certificate. A certificate that no instance has
    /// chosen is left out.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn used_by(&self) -> Result<BTreeMap<Thumbprint, Vec<String>>, RecordError> {
        let rows = self.record.readers.sql(
            "SELECT thumbprint, name FROM instances WHERE owner = $1 AND thumbprint IS NOT NULL ORDER BY name",
        )
        .bind(self.owner())
        .fetch_all()
        .await?;
        let mut used_by = BTreeMap::<Thumbprint, Vec<String>>::new();
        for row in &rows {
            used_by
                .entry(stored::thumbprint(row, "thumbprint")?)
                .or_default()
                .push(row.try_get("name")?);
        }
        Ok(used_by)
    }

    /// Deletes a certificate and its private key, also from the database's files.
    ///
    /// # Errors
    /// When it is not installed, or while an instance uses it.
    pub async fn remove(&self, thumbprint: &Thumbprint, actor: &Actor) -> Result<(), RemoveError> {
        let mut transaction = self.record.begin_write().await?;
        let instances: Vec<String> = transaction
            .sql("SELECT name FROM instances WHERE owner = $1 AND thumbprint = $2 ORDER BY name")
            .bind(self.owner())
            .bind(thumbprint.to_string())
            .scalars()
            .await?;
        if !instances.is_empty() {
            return Err(RemoveError::InUse {
                thumbprint: *thumbprint,
                instances,
            });
        }
        // The mail settings are the operator's, and so is their certificate.
        if self.owner.is_none() && mail_certificate(&mut transaction).await? == Some(*thumbprint) {
            return Err(RemoveError::InMailSettings {
                thumbprint: *thumbprint,
            });
        }
        let removed = transaction
            .sql("DELETE FROM certificates WHERE owner = $1 AND thumbprint = $2")
            .bind(self.owner())
            .bind(thumbprint.to_string())
            .execute()
            .await?;
        if removed == 0 {
            return Err(RemoveError::NotInstalled {
                thumbprint: *thumbprint,
            });
        }
        let (act, subject) = (Act::RemoveCertificate, Subject::certificate(thumbprint));
        let owner = self.owner.as_ref();
        let detail = owner.map_or(Value::Null, |owner| json!({ "owner": owner.as_str() }));
        write_act(&mut transaction, actor, act, &subject, None, detail).await?;
        transaction.commit().await?;
        empty_log(&self.record.writer).await;
        Ok(())
    }

    /// Reads a certificate and opens its private key, each time anew: a caller that keeps the identity must drop it
    /// when the certificate is replaced.
    ///
    /// # Errors
    /// When it is not installed, can't be used (the error says why), or when the host key is another one.
    pub async fn identity(&self, thumbprint: &Thumbprint) -> Result<Arc<Identity>, IdentityError> {
        let not_installed = || IdentityError::NotInstalled {
            thumbprint: *thumbprint,
        };
        let row = self
            .record
            .readers
            .sql(
                "SELECT certificate, sealed_private_key, imported_at_ms FROM certificates
             WHERE owner = $1 AND thumbprint = $2",
            )
            .bind(self.owner())
            .bind(thumbprint.to_string())
            .fetch_optional()
            .await?
            .ok_or_else(not_installed)?;
        let column = |name| row.try_get::<Vec<u8>, _>(name);
        let leaf = column("certificate")?;
        let chain = self.chain(&thumbprint.to_string()).await?;
        let imported_at_ms = row.try_get("imported_at_ms")?;
        let installed = self.describe(&leaf, &chain, imported_at_ms)?;
        let private_key = self
            .record
            .host_key
            .open(&self.key_purpose(thumbprint), &column("sealed_private_key")?)?;
        Ok(Arc::new(Identity::new(installed, leaf, chain, &private_key)?))
    }

    async fn chain(&self, thumbprint: &str) -> Result<Vec<Vec<u8>>, RecordError> {
        let chain = self.record.readers.sql(
            "SELECT certificate FROM certificate_chains WHERE owner = $1 AND thumbprint = $2 ORDER BY position",
        )
        .bind(self.owner())
        .bind(thumbprint)
        .scalars()
        .await?;
        Ok(chain)
    }
}

/// What the private key of an owner's certificate is sealed for.
pub(crate) fn key_purpose(owner: Option<&Owner>, thumbprint: &Thumbprint) -> String {
    of_owner(owner, format!("private key of certificate {thumbprint}"))
}

/// What the private key of an owner's request is sealed for.
pub(crate) fn request_purpose(owner: Option<&Owner>, public_key: &Thumbprint) -> String {
    of_owner(owner, format!("private key of certificate request {public_key}"))
}

/// A purpose that is the owner's alone.
fn of_owner(owner: Option<&Owner>, purpose: String) -> String {
    match owner {
        None => purpose,
        Some(owner) => format!("{purpose} of {owner}"),
    }
}

impl Record {
    /// The certificates that are the operator's own.
    pub fn certificates(&self) -> CertificateStore {
        self.certificates_of(None)
    }

    /// The certificates of an owner. `None`: the operator's own.
    pub fn certificates_of(&self, owner: Option<&Owner>) -> CertificateStore {
        CertificateStore {
            owner: owner.cloned(),
            record: self.clone(),
        }
    }

    /// All installed certificates, whoever owns them, in the order of [`CertificateStore::list`].
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn all_certificates(&self) -> Result<Vec<InstalledCertificate>, RecordError> {
        let rows = self
            .readers
            .sql("SELECT DISTINCT owner FROM certificates")
            .fetch_all()
            .await?;
        let mut installed = Vec::new();
        for row in &rows {
            let owner = stored::owner(row)?;
            installed.extend(self.certificates_of(owner.as_ref()).list().await?);
        }
        let by_expiry = |of: &InstalledCertificate| (of.not_after_ms, of.thumbprint, of.owner.clone());
        installed.sort_by_key(by_expiry);
        Ok(installed)
    }
}
