//! The certificates that instances prove who they are with: a PFX file and its code in, a thumbprint out.

mod identity;
mod inspection;
mod pfx;
mod signing_input;
mod thumbprint;

use std::sync::Arc;

use sqlx::{Row as _, SqlitePool};
use zeroize::Zeroizing;

use crate::clock::{now_ms, rfc3339};
use crate::host_key::{HostKey, HostKeyError};
use crate::record::{RecordError, begin_write};

pub use identity::{Identity, SignatureAlgorithm, Unusable};
pub use pfx::{PfxCode, PfxError};
pub(crate) use signing_input::check as check_signing_input;
pub use thumbprint::{NotAThumbprint, Thumbprint};

use inspection::KeyWithCertificates;

/// Entra and TLS servers refuse shorter RSA keys, and so does the cryptography library.
const RSA_BITS_MIN: u32 = 2048;
/// The cryptography library signs with no longer ones.
const RSA_BITS_MAX: u32 = 8192;

/// The kind of a certificate's public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA.
    Rsa {
        /// The length of its modulus in bits.
        bits: u32,
    },
    /// Anything else, by the name of its algorithm, or by its object identifier where it has no common name.
    Other(String),
}

/// The public part of a certificate whose private key the host holds. Names in it are free of control
/// characters. Times are milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledCertificate {
    /// Its name.
    pub thumbprint: Thumbprint,
    /// SHA-256 of the DER form, as 64 upper-case hexadecimal digits.
    pub sha256: String,
    /// The subject's distinguished name.
    pub subject: String,
    /// The issuer's distinguished name.
    pub issuer: String,
    /// The DNS names it is for, as they stand in it. May be empty.
    pub dns_names: Vec<String>,
    /// The serial number, in upper-case hexadecimal digits.
    pub serial: String,
    /// The first moment it is valid.
    pub not_before_ms: i64,
    /// The last moment it is valid.
    pub not_after_ms: i64,
    /// Its public key.
    pub key: KeyKind,
    /// Whether it may prove a client's identity: false only where its extended key usage rules that out.
    pub for_client_authentication: bool,
    /// Whether its key may sign: false only where its key usage rules that out.
    pub for_signatures: bool,
    /// Whether it is a certification authority's, which no server takes as a client's.
    pub is_authority: bool,
    /// How many certificates of its issuers came with it.
    pub chain: usize,
    /// Whether these reach a self-issued one (a root, or itself).
    pub chain_complete: bool,
    /// When it was imported first.
    pub imported_at_ms: i64,
}

impl InstalledCertificate {
    /// Why it can't be used at `now_ms`, as a sentence for an operator. None: it can.
    pub fn unusable_because(&self, now_ms: i64) -> Option<String> {
        match &self.key {
            KeyKind::Rsa { bits } if *bits < RSA_BITS_MIN => {
                return Some(format!(
                    "its RSA key has {bits} bits, and {RSA_BITS_MIN} are the least that is accepted"
                ));
            }
            KeyKind::Rsa { bits } if *bits > RSA_BITS_MAX => {
                return Some(format!(
                    "its RSA key has {bits} bits, and {RSA_BITS_MAX} are the most that can be used"
                ));
            }
            KeyKind::Rsa { .. } => {}
            KeyKind::Other(name) => {
                return Some(format!(
                    "its key is {name}, and access tokens are asked for with RSA signatures"
                ));
            }
        }
        if self.is_authority {
            return Some("it is the certificate of a certification authority, not of a client".to_owned());
        }
        if !self.for_client_authentication {
            return Some("its extended key usage rules out client authentication".to_owned());
        }
        if !self.for_signatures {
            return Some("its key usage rules out signatures".to_owned());
        }
        if now_ms < self.not_before_ms {
            return Some(format!("it is not valid before {}", rfc3339(self.not_before_ms)));
        }
        // `not_after` names a whole second, all of which is valid.
        if now_ms > self.not_after_ms.saturating_add(999) {
            return Some(format!("it has expired at {}", rfc3339(self.not_after_ms)));
        }
        None
    }
}

/// Why a PFX file was not imported. Nothing was stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file could not be read.
    #[error(transparent)]
    Pfx(#[from] PfxError),
    /// Certificates alone prove nothing.
    #[error("the file holds no private key; export the certificate again, together with its private key")]
    NoPrivateKey,
    /// Which one is meant can't be known.
    #[error(
        "the file holds {count} private keys; export the one certificate that is to be used, with its key"
    )]
    SeveralPrivateKeys {
        /// How many.
        count: usize,
    },
    /// A private key alone proves nothing.
    #[error(
        "the file holds a private key, but no certificate; export the certificate again, together with its private key"
    )]
    NoCertificate,
    /// The private key belongs to another certificate.
    #[error("the private key belongs to none of the certificates in the file ({}); export the certificate again from where its key was made", subjects.join("; "))]
    KeyDoesNotMatch {
        /// The certificates' subjects.
        subjects: Vec<String>,
    },
    /// Not PKCS #8, or damaged.
    #[error("the private key in the file can't be read; export the certificate again")]
    UnreadablePrivateKey,
    /// A kind of key that nothing here can be done with.
    #[error(
        "the private key is of a kind that is not supported ({algorithm}); use a certificate with an RSA key of at least {RSA_BITS_MIN} bits"
    )]
    UnsupportedPrivateKey {
        /// Its algorithm.
        algorithm: String,
    },
    /// Not X.509, or damaged.
    #[error("certificate `{thumbprint}` in the file can't be read; export it again")]
    UnreadableCertificate {
        /// Its name.
        thumbprint: Thumbprint,
    },
    /// It can never work again.
    #[error("certificate `{subject}` ({thumbprint}) was valid from {} to {} and has expired; ask for a new one", rfc3339(*not_before_ms), rfc3339(*not_after_ms))]
    Expired {
        /// Its subject.
        subject: String,
        /// Its name.
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
    /// The thread that read the file ended early.
    #[error("the file could not be read to its end; try again")]
    Interrupted(#[source] tokio::task::JoinError),
}

/// Why an installed certificate is not to be had as an identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// No such certificate.
    #[error("certificate `{thumbprint}` is not installed; import its PFX file")]
    NotInstalled {
        /// What was asked for.
        thumbprint: Thumbprint,
    },
    /// It is installed, but can't work.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// Its private key can't be opened.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Why a certificate was not removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// No such certificate.
    #[error("certificate `{thumbprint}` is not installed")]
    NotInstalled {
        /// What was asked for.
        thumbprint: Thumbprint,
    },
    /// Instances would be left without identity.
    #[error(
        "certificate `{thumbprint}` is used by {}; choose another certificate there first",
        quoted(instances)
    )]
    InUse {
        /// What was asked for.
        thumbprint: Thumbprint,
        /// The names of the instances.
        instances: Vec<String>,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

fn quoted(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// What a PFX file would install. Its private key is not kept.
#[derive(Clone, Debug)]
pub struct InspectedPfx {
    /// The certificate's name.
    pub thumbprint: Thumbprint,
    /// The subject's distinguished name, free of control characters.
    pub subject: String,
    /// The DNS names it is for, free of control characters. May be empty.
    pub dns_names: Vec<String>,
    /// The last moment it is valid, in milliseconds since 1970-01-01T00:00:00Z.
    pub not_after_ms: i64,
    /// Whether the certificates of its issuers that came with it reach a self-issued one (a root, or itself).
    pub chain_complete: bool,
    /// The certificate, in DER form.
    pub certificate: Vec<u8>,
    /// Why it can't prove who an instance is, as a sentence for an operator. None: it can.
    pub unusable_because: Option<String>,
}

/// Reads a PFX file and tries its private key, without installing anything. Unlike with
/// [`CertificateStore::import`], an expired certificate is no error but a reason not to be usable.
///
/// # Errors
/// When the file can't be read with the code, or does not hold exactly one private key with its certificate.
pub async fn inspect_pfx(pfx: &[u8], code: &PfxCode) -> Result<InspectedPfx, ImportError> {
    let found = read_pfx(pfx, code).await?;
    let described = inspection::describe(&found.leaf, &found.chain, now_ms())?;
    let identity = Identity::new(
        described.clone(),
        found.leaf.clone(),
        found.chain,
        &found.private_key,
    );
    Ok(InspectedPfx {
        thumbprint: described.thumbprint,
        subject: described.subject,
        dns_names: described.dns_names,
        not_after_ms: described.not_after_ms,
        chain_complete: described.chain_complete,
        certificate: found.leaf,
        unusable_because: identity.err().map(|unusable| unusable.reason),
    })
}

async fn read_pfx(pfx: &[u8], code: &PfxCode) -> Result<KeyWithCertificates, ImportError> {
    let pfx = Zeroizing::new(pfx.to_vec());
    let code = code.clone();
    // Key derivation takes up to seconds.
    tokio::task::spawn_blocking(move || inspection::match_key(pfx::read(&pfx, &code)?))
        .await
        .map_err(ImportError::Interrupted)?
}

/// The installed certificates and, sealed under the host key, their private keys.
#[derive(Clone, Debug)]
pub struct CertificateStore {
    readers: SqlitePool,
    writer: SqlitePool,
    host_key: Arc<HostKey>,
}

impl CertificateStore {
    /// The store in a record's database, which has been migrated.
    pub(crate) fn new(readers: SqlitePool, writer: SqlitePool, host_key: Arc<HostKey>) -> Self {
        Self {
            readers,
            writer,
            host_key,
        }
    }

    /// Installs the certificate of a PFX file with its private key and chain. One that is installed
    /// already stays so; a longer chain replaces a shorter one.
    ///
    /// What can't work now but has a reason that an operator may want to see (too short a key, another kind of
    /// key, a usage that is ruled out, not valid yet) is installed and shown with
    /// [`InstalledCertificate::unusable_because`].
    ///
    /// # Errors
    /// When the file can't be read with the code, does not hold exactly one private key with its
    /// certificate, or when that one has expired.
    pub async fn import(&self, pfx: &[u8], code: &PfxCode) -> Result<InstalledCertificate, ImportError> {
        let now = now_ms();
        let found = read_pfx(pfx, code).await?;
        let installed = inspection::describe(&found.leaf, &found.chain, now)?;
        if now > installed.not_after_ms.saturating_add(999) {
            return Err(ImportError::Expired {
                subject: installed.subject,
                thumbprint: installed.thumbprint,
                not_before_ms: installed.not_before_ms,
                not_after_ms: installed.not_after_ms,
            });
        }
        let sealed = self
            .host_key
            .seal(&key_purpose(&installed.thumbprint), &found.private_key)?;
        self.store(&installed.thumbprint, &found, &sealed, now).await?;
        let stored = self.get(&installed.thumbprint).await?;
        Ok(stored.unwrap_or(installed))
    }

    async fn store(
        &self,
        thumbprint: &Thumbprint,
        found: &KeyWithCertificates,
        sealed_private_key: &[u8],
        now: i64,
    ) -> Result<(), RecordError> {
        let thumbprint = thumbprint.to_string();
        let mut transaction = begin_write(&self.writer).await?;
        sqlx::query(
            "INSERT INTO certificates (thumbprint, certificate, sealed_private_key, imported_at_ms)
             VALUES ($1, $2, $3, $4) ON CONFLICT (thumbprint) DO NOTHING",
        )
        .bind(&thumbprint)
        .bind(&found.leaf)
        .bind(sealed_private_key)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        let stored: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM certificate_chains WHERE thumbprint = $1")
            .bind(&thumbprint)
            .fetch_one(&mut *transaction)
            .await?;
        if found.chain.len() as u64 > stored.unsigned_abs() {
            sqlx::query("DELETE FROM certificate_chains WHERE thumbprint = $1")
                .bind(&thumbprint)
                .execute(&mut *transaction)
                .await?;
            for (position, certificate) in (0_i64..).zip(&found.chain) {
                sqlx::query(
                    "INSERT INTO certificate_chains (thumbprint, position, certificate)
                     VALUES ($1, $2, $3)",
                )
                .bind(&thumbprint)
                .bind(position)
                .bind(certificate)
                .execute(&mut *transaction)
                .await?;
            }
        }
        transaction.commit().await?;
        Ok(())
    }

    /// All installed certificates, usable or not; those that expire first come first.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn list(&self) -> Result<Vec<InstalledCertificate>, RecordError> {
        let rows = sqlx::query("SELECT thumbprint, certificate, imported_at_ms FROM certificates")
            .fetch_all(&self.readers)
            .await?;
        let mut installed = Vec::with_capacity(rows.len());
        for row in rows {
            let chain = self.chain(row.try_get("thumbprint")?).await?;
            installed.push(describe_stored(
                row.try_get("certificate")?,
                &chain,
                row.try_get("imported_at_ms")?,
            )?);
        }
        installed.sort_by_key(|certificate| (certificate.not_after_ms, certificate.thumbprint));
        Ok(installed)
    }

    /// One installed certificate. None: it is not installed.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn get(&self, thumbprint: &Thumbprint) -> Result<Option<InstalledCertificate>, RecordError> {
        let row = sqlx::query("SELECT certificate, imported_at_ms FROM certificates WHERE thumbprint = $1")
            .bind(thumbprint.to_string())
            .fetch_optional(&self.readers)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let chain = self.chain(&thumbprint.to_string()).await?;
        describe_stored(
            row.try_get("certificate")?,
            &chain,
            row.try_get("imported_at_ms")?,
        )
        .map(Some)
    }

    /// The names of the instances that have chosen a certificate, in order.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn used_by(&self, thumbprint: &Thumbprint) -> Result<Vec<String>, RecordError> {
        let names = sqlx::query_scalar(INSTANCES_WITH_CERTIFICATE)
            .bind(thumbprint.to_string())
            .fetch_all(&self.readers)
            .await?;
        Ok(names)
    }

    /// Forgets a certificate and its private key.
    ///
    /// # Errors
    /// When it is not installed, or while an instance uses it.
    pub async fn remove(&self, thumbprint: &Thumbprint) -> Result<(), RemoveError> {
        let mut transaction = begin_write(&self.writer).await?;
        let instances: Vec<String> = sqlx::query_scalar(INSTANCES_WITH_CERTIFICATE)
            .bind(thumbprint.to_string())
            .fetch_all(&mut *transaction)
            .await
            .map_err(RecordError::from)?;
        if !instances.is_empty() {
            return Err(RemoveError::InUse {
                thumbprint: *thumbprint,
                instances,
            });
        }
        let removed = sqlx::query("DELETE FROM certificates WHERE thumbprint = $1")
            .bind(thumbprint.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(RecordError::from)?;
        if removed.rows_affected() == 0 {
            return Err(RemoveError::NotInstalled {
                thumbprint: *thumbprint,
            });
        }
        transaction.commit().await.map_err(RecordError::from)?;
        Ok(())
    }

    /// A certificate with its private key. Reads the record and opens the key each time: what is held
    /// longer is the caller's to drop when the certificate is replaced.
    ///
    /// # Errors
    /// When it is not installed, can't be used (the error says why), or when the host key is another one.
    pub async fn identity(&self, thumbprint: &Thumbprint) -> Result<Arc<Identity>, IdentityError> {
        let not_installed = || IdentityError::NotInstalled {
            thumbprint: *thumbprint,
        };
        let row = sqlx::query(
            "SELECT certificate, sealed_private_key, imported_at_ms FROM certificates
             WHERE thumbprint = $1",
        )
        .bind(thumbprint.to_string())
        .fetch_optional(&self.readers)
        .await
        .map_err(RecordError::from)?
        .ok_or_else(not_installed)?;
        let column = |name| row.try_get::<Vec<u8>, _>(name).map_err(RecordError::from);
        let leaf = column("certificate")?;
        let chain = self.chain(&thumbprint.to_string()).await?;
        let imported_at_ms = row.try_get("imported_at_ms").map_err(RecordError::from)?;
        let installed = describe_stored(&leaf, &chain, imported_at_ms)?;
        let private_key = self
            .host_key
            .open(&key_purpose(thumbprint), &column("sealed_private_key")?)?;
        Ok(Arc::new(Identity::new(installed, leaf, chain, &private_key)?))
    }

    async fn chain(&self, thumbprint: &str) -> Result<Vec<Vec<u8>>, RecordError> {
        let chain = sqlx::query_scalar(
            "SELECT certificate FROM certificate_chains WHERE thumbprint = $1 ORDER BY position",
        )
        .bind(thumbprint)
        .fetch_all(&self.readers)
        .await?;
        Ok(chain)
    }
}

const INSTANCES_WITH_CERTIFICATE: &str = "SELECT name FROM instances WHERE thumbprint = $1 ORDER BY name";

fn key_purpose(thumbprint: &Thumbprint) -> String {
    format!("private key of certificate {thumbprint}")
}

fn describe_stored(
    leaf: &[u8],
    chain: &[Vec<u8>],
    imported_at_ms: i64,
) -> Result<InstalledCertificate, RecordError> {
    inspection::describe(leaf, chain, imported_at_ms).map_err(|error| RecordError::Damaged {
        what: error.to_string(),
    })
}
