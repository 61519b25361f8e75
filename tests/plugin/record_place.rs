//! Where the records of scenarios are: in their data directories, or on a PostgreSQL server where `BSS_TEST_RECORD=postgres` asks for that.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use bss_keys::HostKeySource;
use bss_test_postgres::{ServerError, shared};
use host_harness::{DatabaseAddress, Host, HostBuilder, Record, RecordError};

/// The variable by which the program knows its database.
const VARIABLE: &str = "BSS_DATABASE_URL";

#[derive(Debug, thiserror::Error)]
enum PrepareError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Whether records are on a server.
pub(crate) fn is_on_server() -> bool {
    std::env::var_os("BSS_TEST_RECORD").is_some_and(|engine| engine == "postgres")
}

/// Makes a database for the record of a data directory, and the host key, where a server has it. Call it once for a directory.
pub(crate) async fn prepare(data_dir: &Path) {
    if is_on_server() {
        prepare_on_server(data_dir).await;
    }
}

/// Has another host, with a data directory of its own, be at the record of a host.
pub(crate) fn share(data_dir: &Path, of: &Path) {
    let made = std::fs::DirBuilder::new().mode(0o700).create(data_dir);
    made.expect("the data directory");
    for (from, to) in [
        (of.join("host.key"), data_dir.join("host.key")),
        (note(of), note(data_dir)),
    ] {
        std::fs::copy(from, to).expect("a copy");
    }
}

/// Makes a database for the record of a data directory, and the host key, on a server.
pub(crate) async fn prepare_on_server(data_dir: &Path) {
    let migrate = async |url: String| -> Result<(), PrepareError> {
        Record::migrate_database(&url.parse().expect("an address")).await?;
        Ok(())
    };
    let server = shared().expect("PostgreSQL starts");
    let database = server.database_like("record", migrate).await.expect("a database");
    // Dropped with the server, when the program ends.
    let database = Box::leak(Box::new(database));
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir);
    made.expect("the data directory");
    HostKeySource::default()
        .key(data_dir, true)
        .expect("the host key");
    std::fs::write(note(data_dir), database.url()).expect("a note");
}

/// A builder of a host on the record of a data directory, wherever that is.
pub(crate) fn builder(data_dir: &Path) -> HostBuilder {
    let address = url(data_dir).map(|url| url.parse::<DatabaseAddress>().expect("an address"));
    Host::builder(data_dir).database(address)
}

/// A host on the record of a data directory that is there, wherever that is.
pub(crate) async fn open(data_dir: &Path, plugin: &Path) -> Result<Host, host_harness::Error> {
    builder(data_dir).plugin_file(plugin).open().await
}

/// Tells a command where the record of a data directory is.
pub(crate) fn tell(command: &mut Command, data_dir: &Path) {
    match url(data_dir) {
        Some(url) => command.env(VARIABLE, url),
        None => command.env_remove(VARIABLE),
    };
}

/// Runs statements in the database of a data directory behind the record's back, if it is on a server. Foreign keys don't hold.
pub(crate) fn alter(data_dir: &Path, statements: &str) -> bool {
    let Some(url) = url(data_dir) else { return false };
    let (_, name) = url.rsplit_once('/').expect("a database");
    let name = name.split('?').next().expect("its name");
    let statements = format!("SET session_replication_role = replica; {statements}");
    let altered = shared().expect("PostgreSQL starts").sql(name, &statements);
    altered.unwrap_or_else(|error| panic!("{statements}: {error}"));
    true
}

fn url(data_dir: &Path) -> Option<String> {
    std::fs::read_to_string(note(data_dir)).ok()
}

/// The file beside a data directory that says which database is its record's.
fn note(data_dir: &Path) -> PathBuf {
    data_dir.with_extension("database")
}
