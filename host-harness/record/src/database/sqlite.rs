//! SQLite: how its file is opened, by those who use the record and by those who look at one file alone.

use std::path::Path;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::connection::{Connection, Pool};
use crate::record_error::RecordError;

/// How long a write waits for one of another process. Ten times the length of the largest transaction (100,000
/// products).
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections that read. More would only queue for the processors.
const READERS_MAX: u32 = 8;

/// Opens the one connection that writes, and makes the file if it is missing.
pub(crate) async fn writer(file: &Path) -> Result<Pool, RecordError> {
    pool(1, record_options(file)).await
}

/// Opens the connections that read.
pub(crate) async fn readers(file: &Path) -> Result<Pool, RecordError> {
    // A write through a reader is a defect, and fails.
    pool(READERS_MAX, record_options(file).pragma("query_only", "TRUE")).await
}

fn record_options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // A commit must survive a power cut: money was spent on it.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // A private key that was removed is nowhere in the file; see `erasure`.
        .pragma("secure_delete", "ON")
        .busy_timeout(BUSY_TIMEOUT)
}

async fn pool(connections: u32, options: SqliteConnectOptions) -> Result<Pool, RecordError> {
    let pool = SqlitePoolOptions::new()
        .max_connections(connections)
        // A connection to a file does not break while idle.
        .test_before_acquire(false)
        // Nor does it grow old. The task of sqlx 0.9 that looks for old connections counts the idle ones
        // without a lock: where it counts between a connection's return and the note of it, the task loops
        // without end and keeps a thread busy.
        .idle_timeout(None)
        .max_lifetime(None);
    Ok(Pool::Sqlite(pool.connect_with(options).await?))
}

/// Opens a connection of its own to a record's file, which waits so long for others.
pub(crate) async fn connection(file: &Path, patience: Duration) -> Result<Connection, RecordError> {
    let options = SqliteConnectOptions::new().filename(file);
    Ok(Connection::alone(options.busy_timeout(patience).connect().await?))
}

/// Opens a file that nobody changes, without its log, to read it.
pub(crate) async fn unchanging(file: &Path) -> Result<Connection, RecordError> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .immutable(true)
        .read_only(true);
    Ok(Connection::alone(options.connect().await?))
}

/// Opens a database that nobody else has open and that is to stay one file.
pub(crate) async fn alone(file: &Path) -> Result<Connection, RecordError> {
    Ok(Connection::alone(alone_options(file).connect().await?))
}

/// Opens such a database as a pool.
pub(crate) async fn alone_pool(file: &Path) -> Result<Pool, RecordError> {
    pool(1, alone_options(file)).await
}

/// Opens a database that is nowhere but in memory.
pub(crate) async fn in_memory() -> Result<Pool, RecordError> {
    pool(1, SqliteConnectOptions::new().in_memory(true)).await
}

fn alone_options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Delete)
        // As in a record that is open: what a migration drops is gone.
        .pragma("secure_delete", "ON")
}

/// Makes a data directory whose database has only these steps behind it. It is written to with what an older program would have.
#[cfg(test)]
pub(crate) async fn older_record(directory: &Path, steps: &sqlx::migrate::Migrator) -> Connection {
    let owners: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(directory, owners).unwrap();
    let options = SqliteConnectOptions::new().filename(directory.join(crate::RECORD_FILE));
    let mut connection = options.create_if_missing(true).connect().await.unwrap();
    steps.run(&mut connection).await.unwrap();
    Connection::alone(connection)
}
