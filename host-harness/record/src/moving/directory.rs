//! The data directory that a record is moved from or to, which nobody else uses meanwhile.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bss_keys::{HostKey, HostKeySource};

use super::Copied;
use super::copy_error::CopyError;
use super::marking::mark_of;
use crate::database::{Pool, sqlite};
use crate::migrations::MIGRATIONS;
use crate::moved::Mark;
use crate::server_record::check_steps;
use crate::{RECORD_FILE, Record, RecordError, absolute, host_keys, lock_directory, own_files, provenance};

/// A data directory, locked.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) path: PathBuf,
    pub(super) host_key: Arc<HostKey>,
    _locks: [File; 2],
}

/// A record in a data directory.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) directory: Directory,
    pub(super) writer: Pool,
    pub(super) mark: Option<Mark>,
}

impl Directory {
    /// Locks a data directory, and makes it if it is missing.
    pub(super) async fn lock(path: &Path, host_key: &HostKeySource) -> Result<Self, CopyError> {
        let lock = lock_directory(path).await?;
        let unusable = |source| RecordError::Directory {
            path: path.to_owned(),
            source,
        };
        let alone = own_files::alone(path)
            .await
            .map_err(unusable)?
            .ok_or_else(|| CopyError::InUse {
                path: path.to_owned(),
            })?;
        let host_key = host_key.key(path, false).map_err(RecordError::from)?;
        Ok(Self {
            path: path.to_owned(),
            host_key,
            _locks: [lock, alone],
        })
    }

    /// The database of its record.
    pub(super) fn file(&self) -> PathBuf {
        self.path.join(RECORD_FILE)
    }

    /// The directory as a mark names it.
    pub(super) fn name(&self) -> String {
        format!("data directory `{}`", absolute(&self.path).display())
    }

    /// Opens the record that is in the directory, as one that goes on is opened but for bringing its tables up to date.
    pub(super) async fn open(self) -> Result<Opened, CopyError> {
        let file = self.file();
        own_files::make_private(&file)?;
        provenance::check_log(&self.path, &file).await?;
        let writer = sqlite::writer(&file).await?;
        check_steps(&writer, &MIGRATIONS).await?;
        let made_with = crate::check_host_key(&writer, &self.host_key, &file).await?;
        let mark = mark_of(&mut *writer.begin_read().await?).await?;
        if mark.is_none() {
            host_keys::order_ids(&writer, &self.host_key, made_with).await?;
            provenance::examine(&writer, &self.path, &file, true).await?;
        }
        Ok(Opened {
            directory: self,
            writer,
            mark,
        })
    }
}

impl Record {
    /// What the record in a data directory was when it was moved, and where it went: for [`Record::verify_server`], as long as nothing
    /// was written there. `None`: it goes on in the directory.
    ///
    /// # Errors
    /// When there is no record, a program has it open, or it can't be opened.
    pub async fn moved(data_dir: &Path, host_key: &HostKeySource) -> Result<Option<Copied>, CopyError> {
        let opened = Opened::in_directory(data_dir, host_key).await?;
        opened.writer.close().await;
        Ok(opened.mark.map(Copied::from))
    }
}

impl Opened {
    /// Opens the record in a data directory, unless a program has it open.
    pub(super) async fn in_directory(path: &Path, host_key: &HostKeySource) -> Result<Self, CopyError> {
        if own_files::is_missing(&path.join(RECORD_FILE))? {
            return Err(crate::no_record(path).into());
        }
        Directory::lock(path, host_key).await?.open().await
    }
}
