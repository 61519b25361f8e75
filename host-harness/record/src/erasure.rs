//! Secrets that were deleted or replaced: they leave the database's files too, not only its tables.
//!
//! Every writer overwrites what it deletes with zeros (`secure_delete`); what remains is the write-ahead log, which keeps
//! what was written before until it is written over.

use sqlx::{Row as _, SqlitePool};

use crate::RecordError;

/// Moves all that is in the write-ahead log to the database and empties the log's file. The secret was deleted before, so
/// that a log that can't be emptied now, because somebody reads an older state, is no failure; the log says so.
pub(crate) async fn empty_log(writer: &SqlitePool) {
    match truncate(writer).await {
        Ok(true) => {}
        Ok(false) => tracing::warn!(
            "somebody reads an older state of the record: what was deleted stays in its write-ahead log for now"
        ),
        Err(error) => {
            tracing::warn!(%error, "what was deleted stays in the record's write-ahead log for now");
        }
    }
}

/// Whether the log's file is empty now.
async fn truncate(writer: &SqlitePool) -> Result<bool, RecordError> {
    let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .fetch_one(writer)
        .await?;
    Ok(row.try_get::<i64, _>("busy")? == 0)
}
