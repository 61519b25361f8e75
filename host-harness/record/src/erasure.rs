//! Secrets and personal data that were deleted or replaced: they leave the database's files too, not only its tables.
//!
//! Every writer overwrites what it deletes with zeros (`secure_delete`); what remains is the write-ahead log, which keeps
//! what was written before until it is written over, and copies of rows in pages that SQLite has rearranged since.

use std::path::Path;
use std::time::Duration;

use crate::RecordError;
use crate::database::{On, Pool, sqlite};

/// How long the emptying of the log waits for those who read an older state: writers wait as long. A list is read in less, and a
/// backup is not waited for.
const READERS_WAITED_FOR: Duration = Duration::from_secs(2);

/// Moves all that is in the write-ahead log to the database and empties the log's file. The secret was deleted before, so
/// that a log that can't be emptied now, because somebody reads an older state, is no failure; the log says so.
pub(crate) async fn empty_log(writer: &Pool) {
    if !writer.is_postgres() {
        is_emptied(truncate(writer).await);
    }
}

/// Writes the whole database anew and empties its log, and returns whether both were done. Personal data stands in clear:
/// where SQLite has moved a row to another page, the former page may keep the bytes of it, which `secure_delete` does not
/// overwrite.
pub(crate) async fn leave_files(writer: &Pool, database: &Path) -> bool {
    // Where a server keeps it, what leaves its files when is the server's operator to say.
    if writer.is_postgres() {
        return false;
    }
    if let Err(error) = writer.sql("VACUUM").execute().await {
        tracing::warn!(%error, "what was deleted may stay in the record's file for now");
        return false;
    }
    is_emptied(truncate_alone(database).await)
}

/// Empties the log over a connection of its own, which waits less than a writer does.
async fn truncate_alone(database: &Path) -> Result<bool, RecordError> {
    let mut connection = sqlite::connection(database, READERS_WAITED_FOR).await?;
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
async fn truncate<'c>(database: impl Into<On<'c>>) -> Result<bool, RecordError> {
    let row = database
        .into()
        .sql("PRAGMA wal_checkpoint(TRUNCATE)")
        .fetch_one()
        .await?;
    Ok(row.try_get::<i64, _>("busy")? == 0)
}
