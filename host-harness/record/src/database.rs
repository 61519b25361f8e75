//! The database: how a write begins, and how it fails.

use std::io;
use std::path::PathBuf;

use bss_keys::HostKeyError;
use bss_model::words::UnknownWord;
use sqlx::sqlite::Sqlite;
use sqlx::{SqlitePool, Transaction};

/// Why the record could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The data directory can't be made or read.
    #[error("data directory `{}` could not be made or entered", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Others than its owner could enter the data directory.
    #[error("data directory `{}` is open to others than its owner (mode {mode:o}); run `chmod 700` on it", path.display())]
    OpenToOthers {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The host key is missing or not usable.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// The host key is not the one that the record was made with.
    #[error("the host key is not the one that `{}` was made with; restore `host.key` or `BSS_HOST_KEY` as they were", path.display())]
    WrongHostKey {
        /// The database.
        path: PathBuf,
    },
    /// The tables could not be brought up to date.
    #[error("the record could not be brought up to date; was it written by a newer version of this program?")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The database failed.
    #[error("the record could not be read or written")]
    Database(#[from] sqlx::Error),
    /// What was stored makes no sense.
    #[error("the record is damaged: {what}; restore a backup")]
    Damaged {
        /// What of it.
        what: String,
    },
}

impl From<UnknownWord> for RecordError {
    fn from(unknown: UnknownWord) -> Self {
        Self::Damaged {
            what: unknown.to_string(),
        }
    }
}

/// A transaction that will write. SQLite must know so from the start: one that finds out later can fail
/// because another has written meanwhile.
pub(crate) async fn begin_write(writer: &SqlitePool) -> Result<Transaction<'static, Sqlite>, RecordError> {
    Ok(writer.begin_with("BEGIN IMMEDIATE").await?)
}
