//! Secrets and personal data that were deleted or replaced: they leave the database's files too, not only its tables.
//!
//! Every writer overwrites what it deletes with zeros (`secure_delete`); what remains is the write-ahead log, which keeps
//! what was written before until it is written over, and copies of rows in pages that SQLite has rearranged since.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor, Row as _, Sqlite, SqlitePool};

use crate::RecordError;

/// How long the emptying of the log waits for those who read an older state: writers wait as long. A list is read in less, and a
/// backup is not waited for.
const READERS_WAITED_FOR: Duration = Duration::from_secs(2);

/// Moves all that is in the write-ahead log to the database and empties the log's file. The secret was deleted before, so
/// that a log that can't be emptied now, because somebody reads an older state, is no failure; the log says so.
pub(crate) async fn empty_log(writer: &SqlitePool) {
    is_emptied(truncate(writer).await);
}

/// Writes the whole database anew and empties its log, and returns whether both were done. Personal data stands in clear:
/// where SQLite has moved a row to another page, the former page may keep the bytes of it, which `secure_delete` does not
/// overwrite.
pub(crate) async fn leave_files(writer: &SqlitePool, database: &Path) -> bool {
    if let Err(error) = sqlx::query("VACUUM").execute(writer).await {
        tracing::warn!(%error, "what was deleted may stay in the record's file for now");
        return false;
    }
    is_emptied(truncate_alone(database).await)
}

/// Empties the log over a connection of its own, which waits less than a writer does.
async fn truncate_alone(database: &Path) -> Result<bool, RecordError> {
    let options = SqliteConnectOptions::new().filename(database);
    let mut connection = options.busy_timeout(READERS_WAITED_FOR).connect().await?;
    let emptied = truncate(&mut connection).await;
    connection.close().await?;
    emptied
}

/// Whether the log was emptied. Writes to the program's log why it was not.
fn is_emptied(emptied: Result<bool, RecordError>) -> bool {
    match emptied {
        Ok(true) => return true,
        Ok(false) => tracing::warn!(
            "somebody reads an older state of the record: what was deleted stays in its write-ahead log for now"
        ),
        Err(error) => {
            tracing::warn!(%error, "what was deleted stays in the record's write-ahead log for now");
        }
    }
    false
}

/// Whether the log's file is empty now.
async fn truncate<'c>(database: impl Executor<'c, Database = Sqlite>) -> Result<bool, RecordError> {
    let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .fetch_one(database)
        .await?;
    Ok(row.try_get::<i64, _>("busy")? == 0)
}
