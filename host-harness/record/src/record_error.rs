//! How opening, reading and writing the record fail.

use std::io;
use std::path::{Path, PathBuf};

use bss_keys::{Foreign, HostKeyError, KeyId};
use bss_model::Cursor;
use bss_model::clock::rfc3339;
use bss_model::words::UnknownWord;
use bss_model::{Advice, Diagnose, Diagnosis, ErrorKind};
use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

use crate::postgres::DatabaseUnfit;

/// Why the record could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The data directory can't be made or read.
    #[error("data directory `{}` could not be created or opened", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The data directory is accessible to others than its owner.
    #[error("data directory `{}` is accessible to others than its owner (mode {mode:o})", path.display())]
    OpenToOthers {
        /// The directory.
        path: PathBuf,
        /// The directory's permission bits.
        mode: u32,
    },
    /// Another user than this process's owns the data directory or a file of it.
    #[error("`{}` is not this program's to use: {foreign}", path.display())]
    Foreign {
        /// The directory or file.
        path: PathBuf,
        /// The owner and this process's user.
        foreign: Foreign,
    },
    /// The host key is missing or not usable.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// The host key is not the one that the record was made with.
    #[error("the host key is not the key of the record in {}{}", quoted(path), needed(*needs))]
    WrongHostKey {
        /// The database.
        path: PathBuf,
        /// The id of the key that it needs. `None`: the record is from a time when values did not say.
        needs: Option<KeyId>,
    },
    /// The data directory is on a file system of another machine, where neither SQLite's write-ahead log nor file locks
    /// hold (sqlite.org/wal.html).
    #[error("data directory `{}` is on a network file system ({kind})", path.display())]
    OnNetwork {
        /// The directory.
        path: PathBuf,
        /// The kind of the file system.
        kind: &'static str,
    },
    /// No record is in the directory.
    #[error("no record here: {}", quoted(path))]
    NoRecord {
        /// The directory.
        path: PathBuf,
    },
    /// A record is in the directory where a new one was to be made.
    #[error("there is a record in {} already", quoted(path))]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// The data directory has had a record, and its database is gone.
    #[error("data directory `{}` has had a record, but its database is missing", path.display())]
    Lost {
        /// The directory.
        path: PathBuf,
    },
    /// The database was replaced or removed while it was open.
    #[error("the record `{}` was replaced or removed while it was open", path.display())]
    Replaced {
        /// The database.
        path: PathBuf,
    },
    /// The record was moved, and goes on elsewhere.
    #[error("the record was moved to {to} at {}", rfc3339(*at_ms))]
    Moved {
        /// The database or the data directory that it goes on in.
        to: String,
        /// When it was moved, in milliseconds since 1970.
        at_ms: i64,
    },
    /// The server of the database may not keep the record.
    #[error(transparent)]
    Unfit(#[from] DatabaseUnfit),
    /// The tables could not be brought up to date.
    #[error("the tables of the record could not be migrated")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The database failed.
    #[error("the record could not be read or written")]
    Database(#[from] sqlx::Error),
    /// A statement of a transaction failed, or its answer was not heard, and the transaction was to be kept.
    #[error("the record was not written: a part of the change failed before")]
    Unsound,
    /// The server of the database did not answer in time.
    #[error("the server of the record does not answer")]
    NoAnswer,
    /// The connection to the server was lost, or its answer, when a change was to be kept.
    #[error("whether the record was written is not known: the server of the record did not say")]
    Unheard(#[source] Box<RecordError>),
    /// A worker that others took for dead, and whose work they go on with.
    #[error("the worker was taken for dead, and others go on with what it had")]
    WorkerLost,
    /// A server has the record of the data directory, and no server was named.
    #[error("the record of the data directory `{}` is on a server", path.display())]
    OnServer {
        /// The directory.
        path: PathBuf,
    },
    /// A server was named, and the data directory has a record of its own.
    #[error("the data directory `{}` has a record of its own, and another is on the server", path.display())]
    InTheWay {
        /// The directory.
        path: PathBuf,
    },
    /// The record in the database is not the one that the data directory belongs to.
    #[error("the database has another record than the one of the data directory `{}`", path.display())]
    Another {
        /// The directory.
        path: PathBuf,
    },
    /// The database on the server has no record, or an older one's tables.
    #[error("the database has no record of this version")]
    NoTables,
    /// The writing task ended early. Its changes may be on record.
    #[error("the task that was writing to the record ended early")]
    TaskEnded,
    /// The cursor of the page is not of its list.
    #[error("page cursor `{}` does not belong to this list", cursor.as_str().escape_debug())]
    InvalidCursor {
        /// The cursor.
        cursor: Cursor,
    },
    /// A stored value makes no sense.
    #[error("the record is damaged: {what}")]
    Damaged {
        /// The value, and what is wrong with it.
        what: String,
    },
}

impl Diagnose for RecordError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Directory { source, .. } if source.kind() == io::ErrorKind::StorageFull => disk_full(),
            Self::Database(error) if is_disk_full(error) => disk_full(),
            Self::Database(error) if is_corrupt(error) => damaged(),
            Self::Database(error) if is_state(error, SERVER_FULL) => {
                Diagnosis::new(ErrorKind::Unavailable, "disk-full").say("make room on the disk of the database's server")
            }
            Self::Database(error) if is_state(error, NO_CHARACTER) => {
                Diagnosis::new(ErrorKind::Invalid, "text-with-nul")
                    .say("leave the NUL character out, which a database on a server does not keep")
            }
            Self::Directory { source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                Diagnosis::new(ErrorKind::Unavailable, "data-directory-read-only").say(
                    "every command writes to the data directory, also one that only shows: mount it for writing, or restore a backup \
                     into another directory and look there",
                )
            }
            Self::Directory { .. } => Diagnosis::new(ErrorKind::Unavailable, "data-directory-unusable"),
            Self::OnNetwork { .. } => Diagnosis::new(ErrorKind::Unavailable, "data-directory-on-network")
                .say("use a directory on a disk of this machine"),
            Self::OpenToOthers { path, .. } => {
                Diagnosis::new(ErrorKind::Unavailable, "data-directory-exposed").advise(Advice::MakePrivate {
                    path: path.clone(),
                    mode: 0o700,
                })
            }
            Self::Foreign { foreign, .. } => Diagnosis::new(ErrorKind::Unavailable, "data-directory-foreign")
                .advise(Advice::RunAsOwner { uid: foreign.owner }),
            Self::HostKey(error) => error.diagnosis(),
            Self::WrongHostKey { needs, .. } => {
                let advice = needs.map_or(Advice::RestoreHostKey, |id| Advice::AddHostKey { id: id.to_string() });
                Diagnosis::new(ErrorKind::Damaged, "wrong-host-key").advise(advice)
            }
            Self::NoRecord { .. } => Diagnosis::new(ErrorKind::NotFound, "no-record").advise(Advice::MakeRecord),
            Self::Exists { .. } => Diagnosis::new(ErrorKind::Conflict, "record-is-there")
                .say("leave it as it is, or name another directory"),
            Self::Lost { .. } => {
                Diagnosis::new(ErrorKind::Damaged, "record-lost").advise(Advice::RestoreBackup)
            }
            Self::Replaced { .. } => Diagnosis::new(ErrorKind::Damaged, "record-replaced")
                .say("start this program again; stop all workers before a record is restored"),
            Self::Moved { .. } => Diagnosis::new(ErrorKind::Conflict, "record-moved").say(
                "open it where it went: name that database or data directory; where nothing was written there yet, the move can be undone",
            ),
            Self::Unfit(unfit) => unfit.diagnosis(),
            Self::Migration(_) => Diagnosis::new(ErrorKind::Damaged, "record-not-up-to-date")
                .say("a record that was written by a newer version of this program needs that version"),
            Self::Database(_) => Diagnosis::new(ErrorKind::Unavailable, "record-unavailable"),
            Self::NoAnswer => Diagnosis::new(ErrorKind::Unavailable, "record-unavailable"),
            Self::Unheard(_) => Diagnosis::new(ErrorKind::Unavailable, "record-outcome-unknown")
                .say("look whether it was written before you repeat it"),
            Self::WorkerLost => Diagnosis::new(ErrorKind::Unavailable, "worker-lost"),
            Self::OnServer { .. } => Diagnosis::new(ErrorKind::Conflict, "record-on-server")
                .say("name its database: `--database-file FILE`, or the variable `BSS_DATABASE_URL`"),
            Self::InTheWay { .. } => Diagnosis::new(ErrorKind::Conflict, "record-in-the-way")
                .say("name another data directory, name no database, or move the record with `bss-host record copy`"),
            Self::Another { .. } => Diagnosis::new(ErrorKind::Conflict, "record-is-another")
                .say("name the database of this data directory's record, or another data directory"),
            Self::NoTables => Diagnosis::new(ErrorKind::NotFound, "no-record")
                .say("`bss-host init` makes the record in an empty database, and `bss-host record migrate` brings its tables up to date"),
            Self::Unsound => Diagnosis::new(ErrorKind::Unavailable, "record-change-failed"),
            Self::TaskEnded => Diagnosis::new(ErrorKind::Unavailable, "record-task-ended"),
            Self::InvalidCursor { .. } => {
                Diagnosis::new(ErrorKind::Invalid, "invalid-cursor").say("start again from the first page")
            }
            Self::Damaged { .. } => damaged(),
        }
    }
}

/// A path in quotation marks; where a database on a server stands in its place, the quotation marks that it has.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    match text.contains('`') {
        true => text,
        false => format!("`{text}`"),
    }
}

fn needed(key: Option<KeyId>) -> String {
    key.map_or_else(String::new, |key| format!(", which needs host key {key}"))
}

fn disk_full() -> Diagnosis {
    Diagnosis::new(ErrorKind::Unavailable, "disk-full").say("make room on the disk of the data directory")
}

fn damaged() -> Diagnosis {
    Diagnosis::new(ErrorKind::Damaged, "record-damaged").advise(Advice::RestoreBackup)
}

impl RecordError {
    /// Whether the way to a server failed, or the server itself, and not what it was asked: it may be there again. Classes 08, 53 and 57 of
    /// PostgreSQL's states are about connections, resources and an operator's intervention, and 55P03 about a lock that did not come
    /// (postgresql.org/docs/15/errcodes-appendix.html).
    pub(crate) fn is_of_the_way(&self) -> bool {
        match self {
            Self::NoAnswer | Self::Unheard(_) => true,
            Self::Database(error) => match error.as_database_error() {
                Some(error) => error.code().is_some_and(|code| {
                    code == "55P03" || ["08", "53", "57"].iter().any(|class| code.starts_with(class))
                }),
                None => matches!(
                    error,
                    sqlx::Error::Io(_)
                        | sqlx::Error::Tls(_)
                        | sqlx::Error::Protocol(_)
                        | sqlx::Error::PoolTimedOut
                        | sqlx::Error::WorkerCrashed
                ),
            },
            _ => false,
        }
    }

    /// The error of a change of which is known by now that it was not written.
    pub(crate) fn not_written(self) -> Self {
        match self {
            Self::Unheard(cause) => *cause,
            other => other,
        }
    }

    /// Whether there is no room left for the database.
    pub(crate) fn is_disk_full(&self) -> bool {
        matches!(self, Self::Database(error) if is_disk_full(error))
    }
}

/// Whether the database could not grow (SQLITE_FULL, sqlite.org/rescode.html).
fn is_disk_full(error: &sqlx::Error) -> bool {
    const SQLITE_FULL: i32 = 13;
    primary_code(error) == Some(SQLITE_FULL)
        || matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::StorageFull)
}

/// Whether the database's file is damaged, or is no database (SQLITE_CORRUPT and SQLITE_NOTADB,
/// sqlite.org/rescode.html).
fn is_corrupt(error: &sqlx::Error) -> bool {
    const SQLITE_CORRUPT: i32 = 11;
    const SQLITE_NOTADB: i32 = 26;
    matches!(primary_code(error), Some(SQLITE_CORRUPT | SQLITE_NOTADB))
}

/// PostgreSQL's state of a server whose disk is full (postgresql.org/docs/current/errcodes-appendix.html).
const SERVER_FULL: &str = "53100";
/// PostgreSQL's state of a text with a byte that it can't have. Every text is UTF-8 here, in which only NUL is refused.
const NO_CHARACTER: &str = "22021";

/// Whether an error is of a PostgreSQL server, with that state.
fn is_state(error: &sqlx::Error, state: &str) -> bool {
    let of_server = error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    of_server.is_some_and(|error| error.code() == state)
}

/// SQLite's result code without what an extended one adds in its higher bits. A server's states are digits, too, and no such codes.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let error: &dyn DatabaseError = error.as_database_error()?.try_downcast_ref::<SqliteError>()?;
    let code = error.code()?;
    Some(code.parse::<i32>().ok()? & 0xff)
}

impl From<UnknownWord> for RecordError {
    fn from(unknown: UnknownWord) -> Self {
        Self::Damaged {
            what: unknown.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_disk_is_called_one() {
        let folder = tempfile::tempdir().unwrap();
        let record = crate::test_record::on_sqlite(folder.path()).await;
        // The database may not grow any more, which is what SQLite sees of a full disk.
        record
            .writer
            .sql("PRAGMA max_page_count = 1")
            .execute()
            .await
            .unwrap();
        let text = "x".repeat(1 << 20);
        let written = record.writer.sql("INSERT INTO restorations (number, noticed_at_ms, evidence, order_lines, returns, mails) VALUES (1, 1, $1, 0, 0, 0)").bind(text);
        let error = written.execute().await.unwrap_err();
        assert_eq!(error.diagnosis().code, "disk-full");
        let full = RecordError::Directory {
            path: folder.path().to_owned(),
            source: io::ErrorKind::StorageFull.into(),
        };
        assert_eq!(full.diagnosis().code, "disk-full");
        let other = RecordError::from(sqlx::Error::PoolClosed);
        assert_eq!(other.diagnosis().code, "record-unavailable");
    }

    #[tokio::test]
    async fn what_a_server_says_is_called_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let database = crate::test_record::database().await;
        let record = crate::test_record::on_server(&database, folder.path()).await;
        for (statement, text, kind, code) in [
            ("SELECT $1", "a\0b", ErrorKind::Invalid, "text-with-nul"),
            (
                "SELECT CAST($1 AS BIGINT)",
                "x",
                ErrorKind::Unavailable,
                "record-unavailable",
            ),
        ] {
            let answer = record.readers.sql(statement).bind(text).fetch_one().await;
            let diagnosis = answer.unwrap_err().diagnosis();
            assert_eq!((diagnosis.kind, diagnosis.code.as_ref()), (kind, code));
        }
        // 22029 is 13 in its lowest byte, as SQLite's code of a full disk is.
        for (raise, code) in [
            (
                "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '53100'; END $$",
                "disk-full",
            ),
            (
                "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '22029'; END $$",
                "record-unavailable",
            ),
        ] {
            let error = record.writer.sql(raise).execute().await.unwrap_err();
            assert_eq!(error.diagnosis().code, code);
        }
    }
}
