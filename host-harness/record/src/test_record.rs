//! Records for this crate's tests: on SQLite, and on a PostgreSQL server where `BSS_TEST_RECORD=postgres` asks for that.

use std::path::Path;

use bss_keys::HostKeySource;
use bss_test_postgres::{Database, ServerError, shared};

use crate::{DatabaseAddress, Record, RecordError};

#[derive(Debug, thiserror::Error)]
enum PrepareError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Makes a record for a test, with a host key in the directory.
pub(crate) async fn open(directory: &Path) -> Record {
    match std::env::var_os("BSS_TEST_RECORD").is_some_and(|engine| engine == "postgres") {
        true => {
            // Dropped with the server, when the program ends.
            let database = Box::leak(Box::new(database().await));
            on_server(database, directory).await
        }
        false => on_sqlite(directory).await,
    }
}

/// Makes a record on SQLite, for what is true of it alone.
pub(crate) async fn on_sqlite(directory: &Path) -> Record {
    Record::open_or_create(directory, &HostKeySource::default())
        .await
        .unwrap()
}

/// Lets rows refer to rows that are not there, as tests of one table need.
pub(crate) async fn without_references(record: &Record) {
    const DROP_ALL: &str = "DO $$ DECLARE one RECORD; BEGIN
        FOR one IN SELECT conrelid::REGCLASS AS owner, conname FROM pg_constraint WHERE contype = 'f' LOOP
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', one.owner, one.conname);
        END LOOP; END $$";
    let statement = match record.writer.is_postgres() {
        true => DROP_ALL,
        false => "PRAGMA foreign_keys = OFF",
    };
    record.writer.sql(statement).execute().await.unwrap();
}

/// An empty database with the tables of a record.
pub(crate) async fn database() -> Database<'static> {
    let migrate = async |url: String| -> Result<(), PrepareError> {
        Record::migrate_database(&url.parse().unwrap()).await?;
        Ok(())
    };
    shared().unwrap().database_like("record", migrate).await.unwrap()
}

/// Opens the record in a database, as a host whose files are in that directory.
pub(crate) async fn on_server(database: &Database<'_>, directory: &Path) -> Record {
    let owners: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(directory, owners).unwrap();
    let source = HostKeySource::default();
    source.key(directory, true).unwrap();
    let address: DatabaseAddress = database.url().parse().unwrap();
    match Record::create_database(directory, &source, &address).await {
        Err(RecordError::Exists { .. }) => Record::open_database(directory, &source, &address).await.unwrap(),
        made => made.unwrap(),
    }
}

#[test]
fn every_test_of_the_record_passes_on_a_postgresql_server_too() {
    let tests = std::env::current_exe().unwrap();
    let run = std::process::Command::new(tests)
        .args([
            "--skip",
            "every_test_of_the_record_passes_on_a_postgresql_server_too",
            // These have a record on each engine as it is.
            "--skip",
            "moving::",
        ])
        .env("BSS_TEST_RECORD", "postgres")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}");
    assert!(!said.contains(" 0 passed"), "{said}");
}
