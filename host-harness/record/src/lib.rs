//! The record: all that the host keeps between calls, as one database in a directory that only its owner can enter.
//!
//! A part of `host-harness`, which re-exports what embedders need; everything else is `pub` for the crates beside it.

mod acts;
mod alert_notices;
mod alerts;
mod api_clients;
mod assets;
mod attempts;
mod backup;
mod cancellations;
mod certificate_store;
mod charges;
mod customer_correction;
mod customer_erasure;
mod customer_export;
mod customer_list;
mod database;
mod deliveries;
mod duties;
mod earlier_attempts;
mod epochs;
mod erased_customers;
mod erasure;
mod file_system;
mod finding;
mod host_keys;
mod instance_lifecycle;
mod instance_proxies;
mod instances;
mod line_age;
mod look_up_only;
mod mail_choices;
mod mail_copies;
mod mail_settings;
mod mail_stop;
mod migrations;
mod moved;
mod moving;
mod operators;
mod order_mails;
mod orders;
mod outbox;
mod outcomes;
mod own_files;
mod paging;
mod passing_time;
mod patience;
mod platforms;
mod plugins;
mod postgres;
mod products;
mod provenance;
mod purchase_days;
#[cfg(test)]
mod races;
mod reconciliation;
mod record_error;
mod refreshes;
mod returns;
mod runs;
mod sellers;
#[cfg(test)]
mod server_failures;
mod server_record;
mod services;
mod short_ids;
mod spending;
mod stored;
mod taking;
#[cfg(test)]
mod test_record;
mod webhooks;
mod withdrawals;
mod workers;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bss_keys::{HostKey, HostKeyError, HostKeySource, KeyId};
use bss_model::moment::{Moment, Uptime};
use uuid::Uuid;

pub use acts::chain::{AuditError, AuditedActs};
pub use alert_notices::AlertNotice;
pub use alerts::AcknowledgeError;
pub use api_clients::ApiClientError;
pub use assets::RetryError;
pub use attempts::FinishError;
pub use backup::{BackupError, Restored, Verified, verify_backup};
pub use cancellations::{CancelError, DecideError};
pub use certificate_store::{
    CertificateRequest, CertificateStore, IdentityError, ImportError, ImportedCertificate, MadeCertificate,
    MakeError, RemoveError, RemoveRequestError,
};
pub use charges::ChargePrefixError;
pub use customer_correction::CorrectCustomerError;
pub use customer_erasure::EraseCustomerError;
pub use database::TurnTimes;
pub use erased_customers::ERASED_CUSTOMERS_FILE;
pub use host_keys::{HostKeyRotation, HostKeyUse, HostKeyUses};
pub use instance_lifecycle::{RemoveInstanceError, RenameError};
pub use instances::{CreateError, SaveError};
pub use mail_copies::ResendMailError;
pub use moved::TableDigest;
pub use moving::{Copied, CopyError, VerifiedServer};
pub use operators::OperatorError;
pub use order_mails::LICENSES_PER_MAIL_MAX;
pub use orders::PlaceError;
pub use outbox::RetryMailError;
pub use outcomes::OutcomesError;
pub use own_files::RECORD_FILE;
pub use platforms::PlatformError;
pub use plugins::{NewPlugin, RemovePluginError};
pub use postgres::{DatabaseAddress, DatabaseAddressError, DatabaseUnfit, DatabaseWarning};
pub use products::ProductError;
pub use provenance::WITNESS_FILE;
pub use record_error::RecordError;
pub use refreshes::RefreshRecordError;
pub use returns::{BeginReturnError, FinishReturnError};
pub use runs::{EndRunError, StartRunError};
pub use sellers::SaveSellerError;
pub use services::ApplyError;
pub use spending::{BeyondSpendingLimit, SpendingLimitError};
pub use webhooks::WebhookError;
pub use withdrawals::WithdrawError;
pub use workers::{LivingWorker, Permit, WORKER_LEASE, Worker};

use database::{Pool, sqlite};
use host_keys::KEY_CHECK_PURPOSE;
use migrations::MIGRATIONS;

/// Locked while the data directory is opened, so that two first starts don't set it up at once.
const LOCK_FILE: &str = "open.lock";
/// Sealed on the first start and opened on every other, so that a wrong host key shows at once.
const KEY_CHECK: &[u8] = b"the host key of this record";

/// The record of a host: instances, products, orders, assets and certificates. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Record {
    /// Connections that read concurrently.
    readers: Pool,
    /// The one connection that writes. Writers of this process queue for it; SQLite itself would make each of them
    /// sleep and retry.
    writer: Pool,
    host_key: Arc<HostKey>,
    /// The name space in which ids of orders are made.
    order_ids: Uuid,
    data_dir: Arc<Path>,
    ends: Arc<attempts::AttemptEnds>,
    dispatches: Arc<provenance::Dispatches>,
    /// What an operator should know of the database.
    warnings: Arc<[DatabaseWarning]>,
    /// Held as long as the record is open.
    _in_use: Arc<File>,
}

impl Record {
    /// The directory that the record is in, beside which a host keeps the traces of its calls.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Opens the record that is in `data_dir`, with the host key of the environment or of its file, as [`Record::open_with`]
    /// does.
    ///
    /// # Errors
    /// Like [`Record::open_with`].
    pub async fn open(data_dir: &Path) -> Result<Self, RecordError> {
        Self::open_with(data_dir, &HostKeySource::EnvironmentOrFile).await
    }

    /// Opens the record that is in `data_dir`. Several processes may have it open. Where there is none, nothing is made.
    ///
    /// # Errors
    /// When there is no record, or the one that was there is missing, when the directory is open to others, when the host
    /// key is missing or is another one, and when the database can't be opened.
    pub async fn open_with(data_dir: &Path, host_key: &HostKeySource) -> Result<Self, RecordError> {
        if own_files::is_missing(&data_dir.join(RECORD_FILE))? {
            provenance::check_not_on_server(data_dir)?;
            return Err(no_record(data_dir));
        }
        Self::open_as(data_dir, host_key, Opening::Existing).await
    }

    /// Makes a record in `data_dir`, and the directory and the host key where they are missing.
    ///
    /// # Errors
    /// When a record is there or was there, when the directory is open to others, and when the host key or the database can't
    /// be made.
    pub async fn create(data_dir: &Path, host_key: &HostKeySource) -> Result<Self, RecordError> {
        Self::open_as(data_dir, host_key, Opening::New).await
    }

    /// Opens the record in `data_dir` as [`Record::open_with`] does, or makes one as [`Record::create`] does where there is
    /// none. A path that is wrong, or whose disk is not mounted, goes unnoticed: orders are placed in a record that knows
    /// nothing of what was bought.
    ///
    /// # Errors
    /// Like [`Record::open_with`] and [`Record::create`].
    pub async fn open_or_create(data_dir: &Path, host_key: &HostKeySource) -> Result<Self, RecordError> {
        Self::open_as(data_dir, host_key, Opening::Either).await
    }

    async fn open_as(
        data_dir: &Path,
        host_key: &HostKeySource,
        opening: Opening,
    ) -> Result<Self, RecordError> {
        let _lock = lock_directory(data_dir).await?;
        provenance::check_not_on_server(data_dir)?;
        let is_new = own_files::is_missing(&data_dir.join(RECORD_FILE))?;
        match opening {
            Opening::Existing if is_new => return Err(no_record(data_dir)),
            Opening::New if !is_new => {
                return Err(RecordError::Exists {
                    path: absolute(data_dir),
                });
            }
            Opening::Existing | Opening::New | Opening::Either => {}
        }
        if is_new {
            provenance::check_not_lost(data_dir)?;
        }
        let host_key = host_key.key(data_dir, is_new)?;
        Self::open_locked(data_dir, host_key).await
    }

    async fn open_locked(data_dir: &Path, host_key: Arc<HostKey>) -> Result<Self, RecordError> {
        let path = data_dir.join(RECORD_FILE);
        let failed = |source| RecordError::Directory {
            path: data_dir.to_owned(),
            source,
        };
        let (mut in_use, mut is_alone) = in_use(data_dir).map_err(failed)?;
        own_files::make_private(&path)?;
        if !is_alone && provenance::is_replaced(data_dir, &path)? {
            drop(in_use);
            // Who has the former database open may be ending.
            in_use = own_files::alone(data_dir)
                .await
                .map_err(failed)?
                .ok_or_else(|| RecordError::Replaced { path: path.clone() })?;
            in_use.lock_shared().map_err(failed)?;
            is_alone = true;
        }
        if is_alone {
            provenance::check_log(data_dir, &path).await?;
        }
        let writer = sqlite::writer(&path).await?;
        moving::refuse_moved(&writer).await?;
        writer.migrate(&MIGRATIONS).await?;
        let made_with = check_host_key(&writer, &host_key, &path).await?;
        let order_ids = host_keys::order_ids(&writer, &host_key, made_with).await?;
        let dispatches = provenance::examine(&writer, data_dir, &path, is_alone).await?;
        Ok(Self {
            readers: sqlite::readers(&path).await?,
            writer,
            host_key,
            order_ids,
            data_dir: data_dir.into(),
            ends: Arc::default(),
            dispatches: Arc::new(dispatches),
            warnings: Arc::default(),
            _in_use: Arc::new(in_use),
        })
    }

    /// The present by the clock that the record goes by, in milliseconds since 1970: this machine's, or that of a database that
    /// many hosts have.
    pub fn now_ms(&self) -> i64 {
        self.readers.now_ms()
    }

    /// The turns of a record on a server that were had since it was opened here: hosts that hold them nearly all of the time are as many
    /// as the record takes. `None`: the record is a file of this host.
    pub fn turn_times(&self) -> Option<TurnTimes> {
        self.writer.turn_times()
    }

    /// The present by the clock that the record goes by.
    pub fn now(&self) -> Moment {
        self.readers.now()
    }

    /// The present by the clock that counts how much time has passed, by which leases are told.
    pub fn uptime(&self) -> Uptime {
        self.readers.uptime()
    }

    /// Whether a server keeps the record, and not a file in the data directory.
    pub fn is_on_server(&self) -> bool {
        self.writer.is_postgres()
    }

    /// What an operator should know of the database, as it was when the record was opened. Empty: the record is a file.
    pub fn database_warnings(&self) -> &[DatabaseWarning] {
        &self.warnings
    }

    /// Whether the record was closed by [`Record::close`], of this value or of a clone.
    pub fn is_closed(&self) -> bool {
        self.writer.is_closed()
    }

    /// Closes the database, so that another process may move or delete its files.
    pub async fn close(self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// What is opened: a record that is there, a new one, or either.
#[derive(Clone, Copy)]
enum Opening {
    Existing,
    New,
    Either,
}

/// The error of a data directory without a database: it has had one, or it is another directory than was meant.
fn no_record(data_dir: &Path) -> RecordError {
    match provenance::check_not_lost(data_dir) {
        Err(lost) => lost,
        Ok(()) => RecordError::NoRecord {
            path: absolute(data_dir),
        },
    }
}

/// A path as seen from everywhere, for messages.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Tells other programs that the record is open, and returns whether none of them has it open. Nobody opens or restores it
/// now: that takes the lock of the directory, which the caller has.
fn in_use(data_dir: &Path) -> io::Result<(File, bool)> {
    let file = own_files::lock_file(&data_dir.join(own_files::USE_FILE))?;
    let is_alone = match file.try_lock() {
        Ok(()) => true,
        Err(fs::TryLockError::WouldBlock) => false,
        Err(fs::TryLockError::Error(error)) => return Err(error),
    };
    file.lock_shared()?;
    Ok((file, is_alone))
}

/// Fails unless one of the host keys is the one that the record was made with, or was rotated to, and returns which. A new
/// record keeps the first in mind.
async fn check_host_key(writer: &Pool, host_key: &HostKey, path: &Path) -> Result<KeyId, RecordError> {
    let check = host_key.seal(KEY_CHECK_PURPOSE, KEY_CHECK)?;
    writer
        .sql("INSERT INTO host_key_checks (id, sealed) VALUES (1, $1) ON CONFLICT (id) DO NOTHING")
        .bind(check)
        .execute()
        .await?;
    let sealed: Vec<u8> = writer
        .sql("SELECT sealed FROM host_key_checks WHERE id = 1")
        .scalar()
        .await?;
    open_check(&sealed, host_key, path)
}

/// Fails unless one of the host keys opens the check of a record, and returns which.
fn open_check(sealed: &[u8], host_key: &HostKey, path: &Path) -> Result<KeyId, RecordError> {
    let wrong = |needs| RecordError::WrongHostKey {
        path: path.to_owned(),
        needs,
    };
    match host_key.open_with(KEY_CHECK_PURPOSE, sealed) {
        Ok((key, _)) => Ok(key),
        Err(HostKeyError::KeyNotThere { id, .. }) => Err(wrong(Some(id))),
        Err(_) => Err(wrong(None)),
    }
}

/// Creates the data directory if it is missing, and waits until no other process is setting it up.
async fn lock_directory(data_dir: &Path) -> Result<File, RecordError> {
    let path = data_dir.to_owned();
    let failed = |source| RecordError::Directory {
        path: data_dir.to_owned(),
        source,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&path)
        .map_err(failed)?;
    own_files::check_owner(&path)?;
    file_system::check_local(&path)?;
    // An empty directory can be made private; in one with files, others may rely on their access.
    if fs::read_dir(&path).map_err(failed)?.next().is_none() {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    }
    let mode = fs::metadata(&path).map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(RecordError::OpenToOthers { path, mode });
    }
    let lock = move || {
        let file = own_files::lock_file(&path.join(LOCK_FILE))?;
        file.lock()?;
        Ok(file)
    };
    tokio::task::spawn_blocking(lock)
        .await
        .map_err(io::Error::other)
        .flatten()
        .map_err(failed)
}
