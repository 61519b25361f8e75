//! Backups of the record: made while it is in use, verified, and restored.
//!
//! A backup is one database file without the host key, which is kept apart: without the key, no secret in a backup can be
//! read. A backup is marked as one, so that the record that is restored from it puts everything open in doubt.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest;
use bss_keys::{HostKey, HostKeySource};
use bss_model::clock::now_ms;
use bss_model::restoration::Restoration;
use bss_model::{Advice, Diagnose, Diagnosis, ErrorKind};
use data_encoding::HEXLOWER;
use uuid::Uuid;

use super::migrations::MIGRATIONS;
use super::own_files::{BESIDE, alone, is_missing, remove_if_there, sync_directory_of, with_ending};
use super::stored::id;
use super::{RECORD_FILE, Record, RecordError, check_host_key, lock_directory, moving, provenance};
use crate::database::{Connection, sqlite};

/// How long a backup waits for who has locked the whole database.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is read of a file at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Why a backup was not made, verified or restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The file exists; a backup overwrites nothing.
    #[error("backup file `{}` exists already, and a backup overwrites nothing", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file that was named can't be read.
    #[error("backup file `{}` can't be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// A file can't be written.
    #[error("file `{}` can't be written", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The file is not a backup of a record, or is damaged.
    #[error("file `{}` is not a sound backup of a record: {what}", path.display())]
    Unsound {
        /// The file.
        path: PathBuf,
        /// What is wrong with the file.
        what: String,
    },
    /// The file is not the one with that digest.
    #[error("file `{}` has the SHA-256 digest {found}, not {expected}", path.display())]
    OtherDigest {
        /// The file.
        path: PathBuf,
        /// The digest that was given.
        expected: String,
        /// The digest of the file.
        found: String,
    },
    /// The data directory has a record already.
    #[error("data directory `{}` has a record already", path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
    },
    /// A program has the record open.
    #[error("a program has the record in `{}` open", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A server keeps the record's database.
    #[error(
        "a server keeps the database of the record, which is no file that could be copied or looked through here"
    )]
    OnServer,
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for BackupError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Exists { .. } => {
                Diagnosis::new(ErrorKind::Conflict, "backup-exists").say("choose another file")
            }
            Self::Unreadable { .. } => Diagnosis::new(ErrorKind::Invalid, "backup-unreadable"),
            Self::Unwritable { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Diagnosis::new(ErrorKind::Unavailable, "disk-full")
                    .say("make room on that disk, or choose another one")
            }
            Self::Unwritable { .. } => Diagnosis::new(ErrorKind::Unavailable, "backup-unwritable"),
            Self::Unsound { .. } => {
                Diagnosis::new(ErrorKind::Refused, "backup-unsound").say("use another backup")
            }
            Self::OtherDigest { .. } => Diagnosis::new(ErrorKind::Refused, "backup-other-digest")
                .say("use the file that was backed up, unaltered"),
            Self::Occupied { .. } => {
                Diagnosis::new(ErrorKind::Conflict, "record-exists").advise(Advice::ReplaceRecord)
            }
            Self::InUse { .. } => Diagnosis::new(ErrorKind::Conflict, "record-in-use")
                .say("stop all workers and other programs that use it"),
            Self::OnServer => Diagnosis::new(ErrorKind::Conflict, "record-on-server")
                .say("back it up and restore it with the server's own programs, and say that it was put back with `bss-host record restored`"),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// A database that was found sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The file.
    pub path: PathBuf,
    /// The record's own id.
    pub record: Uuid,
    /// When the backup was made, in milliseconds since 1970. `None`: the file is no backup, but the record itself.
    pub backup_at_ms: Option<i64>,
    /// The file's length. A record that is in use has a write-ahead log beside it.
    pub bytes: u64,
    /// The SHA-256 digest in lower-case hexadecimal digits. `None`: the record itself, which changes all the time.
    pub sha256: Option<String>,
}

/// A record that was restored.
#[derive(Clone, Debug)]
pub struct Restored {
    /// What was restored.
    pub backup: Verified,
    /// The files of the record that was there before, kept under this name. `None`: there was none.
    pub replaced: Option<PathBuf>,
    /// What was put in doubt.
    pub restoration: Option<Restoration>,
}

impl Record {
    /// Makes a backup of the whole record in one file, as it is at one moment, while others use the record. The host key
    /// is not in it.
    ///
    /// # Errors
    /// When the file exists or can't be written, when the record can't be read, and when a server keeps it.
    pub async fn backup(&self, file: &Path) -> Result<Verified, BackupError> {
        self.check_is_file()?;
        let failed = |source| unwritable(file, source);
        if file.exists() {
            return Err(BackupError::Exists {
                path: file.to_owned(),
            });
        }
        let unfinished = with_ending(file, &format!(".{}", Uuid::new_v4()));
        // Made here and empty, so that only its owner can ever read it.
        private_file(&unfinished).map_err(failed)?;
        let made = self.copy_into(&unfinished).await;
        let made = made.and_then(|()| {
            File::open(&unfinished)
                .and_then(|copy| copy.sync_all())
                .map_err(failed)
        });
        // No file is overwritten, even one that came meanwhile.
        let made = made.and_then(|()| match fs::hard_link(&unfinished, file) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(BackupError::Exists {
                path: file.to_owned(),
            }),
            linked => linked.map_err(failed),
        });
        let removed = fs::remove_file(&unfinished).map_err(failed);
        made?;
        removed?;
        sync_directory_of(file).map_err(failed)?;
        verify_backup(file, None).await
    }

    fn check_is_file(&self) -> Result<(), BackupError> {
        match self.readers.is_postgres() {
            true => Err(BackupError::OnServer),
            false => Ok(()),
        }
    }

    async fn copy_into(&self, file: &Path) -> Result<(), BackupError> {
        let absolute = absolute(file).map_err(|source| unwritable(file, source))?;
        // SQLite takes a name as text.
        let name = absolute
            .to_str()
            .ok_or_else(|| unwritable(file, io::ErrorKind::InvalidFilename.into()))?;
        // A connection of its own: neither readers nor writers wait for it.
        let record = self.data_dir.join(RECORD_FILE);
        let mut source = sqlite::connection(&record, PATIENCE).await?;
        let copied = source.sql("VACUUM INTO $1").bind(name).execute().await;
        source.close().await?;
        copied.map_err(|error| match error.is_disk_full() {
            true => unwritable(file, io::ErrorKind::StorageFull.into()),
            false => error.into(),
        })?;
        let mut copy = sqlite::alone(&absolute).await?;
        copy.sql("UPDATE provenance SET backup_at_ms = $1")
            .bind_now()
            .execute()
            .await?;
        Ok(copy.close().await?)
    }

    /// Verifies the record itself: its pages, its indexes, and that what refers to something refers to what is there.
    ///
    /// # Errors
    /// When anything is wrong with it, and when a server keeps it.
    pub async fn verify(&self) -> Result<Verified, BackupError> {
        self.check_is_file()?;
        let path = self.data_dir.join(RECORD_FILE);
        let mut connection = self.readers.acquire().await?;
        let verified = verify(&mut connection, &path, None).await;
        verified.map_err(|error| match error {
            BackupError::Unsound { what, .. } => RecordError::Damaged { what }.into(),
            other => other,
        })
    }

    /// Puts a backup in the place of the record in a data directory. A record that is there already is kept beside it,
    /// under another name, where `replace` allows that. Everything open in the backup is in doubt afterwards: it is
    /// looked up before it is bought, and e-mails are held back.
    ///
    /// # Errors
    /// When the backup is not sound, or not of this host key; when a program uses the record; and when there is a record
    /// that is not to be replaced. Nothing is changed then.
    pub async fn restore(
        data_dir: &Path,
        file: &Path,
        sha256: Option<&str>,
        replace: bool,
    ) -> Result<Restored, BackupError> {
        Self::restore_with(data_dir, &HostKeySource::EnvironmentOrFile, file, sha256, replace).await
    }

    /// Restores a backup as [`Record::restore`] does, with a host key from somewhere else.
    ///
    /// # Errors
    /// Like [`Record::restore`].
    pub async fn restore_with(
        data_dir: &Path,
        host_key: &HostKeySource,
        file: &Path,
        sha256: Option<&str>,
        replace: bool,
    ) -> Result<Restored, BackupError> {
        let backup = verify_backup(file, sha256).await?;
        if is_missing(data_dir)? {
            // No directory is made for a backup that can't be read there.
            host_key.key(data_dir, false).map_err(RecordError::from)?;
        }
        let lock = lock_directory(data_dir).await?;
        provenance::check_not_on_server(data_dir)?;
        let path = data_dir.join(RECORD_FILE);
        let failed = |source| unwritable(&path, source);
        let alone = alone(data_dir)
            .await
            .map_err(failed)?
            .ok_or_else(|| BackupError::InUse {
                path: data_dir.to_owned(),
            })?;
        let is_occupied = !is_missing(&path)?;
        // A record that can't be read is what a backup is for.
        if is_occupied && matches!(moving::is_moved(&path).await, Ok(true)) {
            return Err(RecordError::OnServer {
                path: data_dir.to_owned(),
            }
            .into());
        }
        if is_occupied && !replace {
            return Err(BackupError::Occupied {
                path: data_dir.to_owned(),
            });
        }
        let key = host_key.key(data_dir, false).map_err(RecordError::from)?;
        let arriving = data_dir.join(format!("{RECORD_FILE}.arriving"));
        for ending in BESIDE.into_iter().chain([""]) {
            remove_if_there(&with_ending(&arriving, ending)).map_err(failed)?;
        }
        if let Err(error) = bring_in(&backup, &arriving, &key).await {
            // What was wrong says more than a copy that can't be removed; the next restoration removes it.
            let _ = remove_if_there(&arriving);
            return Err(error);
        }
        // A log that is left of a database that is gone would be taken for one of the new database.
        let replaced = set_aside(&path).map_err(failed)?.filter(|_| is_occupied);
        fs::rename(&arriving, &path).map_err(failed)?;
        sync_directory_of(&path).map_err(failed)?;
        drop((lock, alone));
        let record = Self::open_with(data_dir, host_key).await.inspect_err(|_| {
            if let Some(replaced) = &replaced {
                tracing::warn!(file = %replaced.display(), "the record that was there before is kept under this name");
            }
        })?;
        let restoration = record.restorations().await?.into_iter().next();
        record.close().await;
        Ok(Restored {
            backup,
            replaced,
            restoration,
        })
    }
}

/// Verifies a backup: that it is one, is sound, and has that digest if one is given.
///
/// # Errors
/// When it does not.
pub async fn verify_backup(file: &Path, sha256: Option<&str>) -> Result<Verified, BackupError> {
    let not_a_backup = || BackupError::Unsound {
        path: file.to_owned(),
        what:
            "it is the database of a record, which goes on in a data directory with its log and its host key"
                .to_owned(),
    };
    // This process may have it open. To read and close it would drop SQLite's locks on it, and another process could then
    // take the log away from under this one (section 2.2 of <https://sqlite.org/howtocorrupt.html>).
    if with_ending(file, "-shm").exists() {
        return Err(not_a_backup());
    }
    let found = digest_of(file).map_err(|source| unreadable(file, source))?;
    if let Some(expected) = sha256
        && !expected.trim().eq_ignore_ascii_case(&found)
    {
        return Err(BackupError::OtherDigest {
            path: file.to_owned(),
            expected: expected.to_owned(),
            found,
        });
    }
    let name = absolute(file).map_err(|source| unreadable(file, source))?;
    let opened = sqlite::unchanging(&name).await;
    let mut connection = opened.map_err(|error| unsound(file, &error))?;
    let verified = verify(&mut connection, file, Some(found)).await?;
    connection.close().await?;
    match verified.backup_at_ms {
        Some(_) => Ok(verified),
        None => Err(not_a_backup()),
    }
}

async fn verify(
    connection: &mut Connection,
    path: &Path,
    sha256: Option<String>,
) -> Result<Verified, BackupError> {
    let wrong = |what: String| BackupError::Unsound {
        path: path.to_owned(),
        what,
    };
    let found: Vec<String> = connection
        .sql("PRAGMA integrity_check(1)")
        .scalars()
        .await
        .map_err(|error| unsound(path, &error))?;
    if found != ["ok"] {
        return Err(wrong(found.join("; ")));
    }
    let dangling = connection
        .sql("PRAGMA foreign_key_check")
        .fetch_optional()
        .await
        .map_err(|error| unsound(path, &error))?;
    if let Some(row) = dangling {
        let table: String = row.try_get(0)?;
        return Err(wrong(format!(
            "a row of table `{table}` refers to a row that is missing"
        )));
    }
    let row = connection
        .sql("SELECT record, backup_at_ms FROM provenance")
        .fetch_one()
        .await
        .map_err(|error| unsound(path, &error))?;
    Ok(Verified {
        path: path.to_owned(),
        record: id(&row, "record")?,
        backup_at_ms: row.try_get("backup_at_ms")?,
        bytes: fs::metadata(path)
            .map_err(|source| unreadable(path, source))?
            .len(),
        sha256,
    })
}

/// Copies a backup that was verified, and makes the copy ready to be the record.
async fn bring_in(backup: &Verified, arriving: &Path, host_key: &HostKey) -> Result<(), BackupError> {
    let failed = |source| unwritable(arriving, source);
    copy_file(&backup.path, arriving).map_err(failed)?;
    if Some(digest_of(arriving).map_err(failed)?) != backup.sha256 {
        return Err(BackupError::Unsound {
            path: backup.path.clone(),
            what: "it was altered while it was copied".to_owned(),
        });
    }
    bring_up_to_date(arriving, host_key, &backup.path).await
}

/// Brings a copy of a backup up to date with this program, and checks that the host key is that of the backup.
async fn bring_up_to_date(copy: &Path, host_key: &HostKey, backup: &Path) -> Result<(), BackupError> {
    let pool = sqlite::alone_pool(copy).await?;
    let migrated = pool.migrate(&MIGRATIONS).await;
    let checked = match migrated {
        Ok(()) => check_host_key(&pool, host_key, backup).await.map(drop),
        Err(error) => Err(error),
    };
    pool.close().await;
    Ok(checked?)
}

/// An absolute path to a file: SQLite takes a relative one that begins with `file:` for an address.
fn absolute(file: &Path) -> io::Result<PathBuf> {
    std::path::absolute(file)
}

/// Gives the files of a record another name, the database first: without its log it would be an older one. Returns the
/// name. `None`: none of them is there.
fn set_aside(path: &Path) -> io::Result<Option<PathBuf>> {
    let aside = with_ending(path, &format!(".replaced-{}", now_ms()));
    let mut was_there = false;
    for ending in [""].into_iter().chain(BESIDE) {
        match fs::rename(with_ending(path, ending), with_ending(&aside, ending)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => {
                renamed?;
                was_there = true;
            }
        }
    }
    Ok(was_there.then_some(aside))
}

fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut copy = private_file(to)?;
    io::copy(&mut File::open(from)?, &mut copy)?;
    copy.sync_all()
}

fn digest_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut context = digest::Context::new(&digest::SHA256);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = io::Read::read(&mut file, &mut piece)?;
        if read == 0 {
            break;
        }
        context.update(piece.get(..read).unwrap_or_default());
    }
    Ok(HEXLOWER.encode(context.finish().as_ref()))
}

fn unreadable(path: &Path, source: io::Error) -> BackupError {
    BackupError::Unreadable {
        path: path.to_owned(),
        source,
    }
}

fn unwritable(path: &Path, source: io::Error) -> BackupError {
    BackupError::Unwritable {
        path: path.to_owned(),
        source,
    }
}

fn unsound(path: &Path, error: &RecordError) -> BackupError {
    let what = match error {
        RecordError::Database(error) => error.to_string(),
        other => other.to_string(),
    };
    BackupError::Unsound {
        path: path.to_owned(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_record;

    #[tokio::test]
    async fn a_record_on_a_server_is_neither_backed_up_nor_looked_through_here_and_no_file_is_made() {
        let (folder, beside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let database = test_record::database().await;
        let record = test_record::on_server(&database, folder.path()).await;
        let backup = record.backup(&beside.path().join("backup.db")).await;
        for refused in [backup, record.verify().await] {
            assert_eq!(refused.unwrap_err().diagnosis().code, "record-on-server");
        }
        assert_eq!(fs::read_dir(beside.path()).unwrap().count(), 0);
    }
}
