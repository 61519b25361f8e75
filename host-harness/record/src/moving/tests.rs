//! Tests of moving a record there and back, of what is refused, and of connections that are cut meanwhile.

mod cuts;
mod filling;
mod moves;
mod refusals;
mod verifying;

use std::path::Path;

use bss_keys::HostKeySource;
use bss_model::{Actor, Diagnose};
use bss_test_postgres::Database;
use tempfile::TempDir;

use super::{Copied, CopyError};
use crate::{DatabaseAddress, Record, RecordError, test_record};

/// A record in a data directory that is not open, and an empty database.
struct Ready {
    folder: TempDir,
    database: Database<'static>,
}

impl Ready {
    /// With some rows.
    async fn new() -> Self {
        let ready = Self {
            folder: tempfile::tempdir().unwrap(),
            database: test_record::database().await,
        };
        let record = test_record::on_sqlite(ready.path()).await;
        change(&record).await.unwrap();
        record.close().await;
        ready
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn address(&self) -> DatabaseAddress {
        address_of(&self.database)
    }

    async fn copy(&self) -> Result<Copied, CopyError> {
        Record::copy_to_server(self.path(), &HostKeySource::default(), &self.address()).await
    }

    async fn undo(&self) -> Result<(), CopyError> {
        Record::undo_copy_to_server(self.path(), &HostKeySource::default(), &self.address()).await
    }

    async fn copy_back(&self, to: &Path) -> Result<Copied, CopyError> {
        Record::copy_from_server(to, &HostKeySource::default(), &self.address()).await
    }

    async fn undo_back(&self, to: &Path) -> Result<(), CopyError> {
        Record::undo_copy_from_server(to, &HostKeySource::default(), &self.address()).await
    }

    async fn open_directory(&self) -> Result<Record, RecordError> {
        Record::open_with(self.path(), &HostKeySource::default()).await
    }

    async fn open_server(&self) -> Result<Record, RecordError> {
        Record::open_database(self.path(), &HostKeySource::default(), &self.address()).await
    }

    /// Which of the two opens: the record in the directory, and the one on the server.
    async fn that_open(&self) -> (bool, bool) {
        let mut opened = [false; 2];
        for (place, record) in [self.open_directory().await, self.open_server().await]
            .into_iter()
            .enumerate()
        {
            match record {
                Ok(record) => {
                    opened[place] = true;
                    record.close().await;
                }
                Err(error) => assert_eq!(error.diagnosis().code, "record-moved", "{error:?}"),
            }
        }
        (opened[0], opened[1])
    }
}

fn address_of(database: &Database<'_>) -> DatabaseAddress {
    database.url().parse().unwrap()
}

/// Another data directory, with the same host key.
fn other_directory(of: &Path) -> TempDir {
    let other = tempfile::tempdir().unwrap();
    std::fs::copy(of.join("host.key"), other.path().join("host.key")).unwrap();
    let owners: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(other.path(), owners).unwrap();
    other
}

/// Changes something, with an act about it.
async fn change(record: &Record) -> Result<(), RecordError> {
    let minutes = record.look_up_only().await?.as_secs() / 60 + 1;
    let time = std::time::Duration::from_secs(60 * minutes);
    record
        .set_look_up_only(time, &Actor::operator("test"))
        .await
        .map(drop)
}

fn code_of<T: std::fmt::Debug>(result: Result<T, CopyError>) -> String {
    result.unwrap_err().diagnosis().code.into_owned()
}
