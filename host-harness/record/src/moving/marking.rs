//! The mark of a record that was moved, in the row of the turn: read, set and taken away.

use std::path::Path;

use crate::RecordError;
use crate::database::{Connection, Pool, sqlite};
use crate::moved::Mark;

/// Whether a file of SQLite's is from a time before records were moved, and has no column for the mark.
const HAS_NO_MARKS: &str = "SELECT NOT EXISTS (SELECT 1 FROM pragma_table_info('turn') WHERE name = 'moved')";

/// Fails where the record was moved, and goes on elsewhere. Also before the tables are up to date.
///
/// # Errors
/// When it was, or can't be read.
pub(crate) async fn refuse_moved(database: &Pool) -> Result<(), RecordError> {
    if !database.is_postgres() && database.sql(HAS_NO_MARKS).scalar().await? {
        return Ok(());
    }
    match mark_of(&mut database.acquire().await?).await? {
        Some(mark) => Err(mark.error()),
        None => Ok(()),
    }
}

/// Whether the record in a file of a data directory was moved.
///
/// # Errors
/// When it can't be read.
pub(crate) async fn is_moved(file: &Path) -> Result<bool, RecordError> {
    let readers = sqlite::readers(file).await?;
    let refused = refuse_moved(&readers).await;
    readers.close().await;
    match refused {
        Err(RecordError::Moved { .. }) => Ok(true),
        refused => refused.map(|()| false),
    }
}

/// The mark of a record. `None`: it goes on here.
pub(super) async fn mark_of(connection: &mut Connection) -> Result<Option<Mark>, RecordError> {
    let moved = connection.sql("SELECT moved FROM turn WHERE id = 1");
    let moved: Option<String> = moved.scalar().await?;
    moved.as_deref().map(Mark::read).transpose()
}

/// Marks a record as moved.
pub(super) async fn set_mark(connection: &mut Connection, mark: &Mark) -> Result<(), RecordError> {
    let mark = crate::stored::to_json(mark)?;
    let set = connection
        .sql("UPDATE turn SET moved = $1 WHERE id = 1")
        .bind(mark);
    set.execute().await.map(drop)
}

/// Takes the mark of a record away, so that it goes on here.
pub(super) async fn clear_mark(database: &Pool) -> Result<(), RecordError> {
    let mut transaction = database.begin_move().await?;
    let clear = transaction.sql("UPDATE turn SET moved = NULL WHERE id = 1");
    clear.execute().await?;
    transaction.commit().await
}
