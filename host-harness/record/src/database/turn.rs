//! The turn on PostgreSQL: whoever writes locks one row first, so that one transaction writes at a time, as with SQLite. What is true of
//! one writer needs no second proof. The same statement tells the database's time.

use sqlx::postgres::Postgres;

use super::clock::Told;
use crate::moved::Mark;
use crate::record_error::RecordError;

/// Begins a transaction that writes. What it relies on is said each time, so that no setting of a server, a user or a pooler changes it.
/// A host that vanishes while it has the turn holds up the others for ten seconds, and not for the two hours of TCP.
pub(super) const BEGIN_WRITE: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on;
 SET LOCAL lock_timeout = '30s'; SET LOCAL idle_in_transaction_session_timeout = '10s'";

/// Begins a transaction in which a record is moved: it is idle while all of the other database is read.
pub(super) const BEGIN_MOVE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on;
 SET LOCAL lock_timeout = '30s'; SET LOCAL idle_in_transaction_session_timeout = '10min'";

/// Waits for the turn, and then reads the clock: within one SELECT that locks, the clock would be read before the wait. There is no
/// turn in a record that was moved, also for those who waited meanwhile.
const TAKE_TURN: &str =
    "WITH mine AS MATERIALIZED (SELECT id FROM turn WHERE id = 1 AND moved IS NULL FOR UPDATE)
 SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT) FROM mine";
/// Waits for the turn of a record that may have been moved.
const TAKE_ANY_TURN: &str = "WITH mine AS MATERIALIZED (SELECT id FROM turn WHERE id = 1 FOR UPDATE)
 SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT) FROM mine";
/// Reads the clock alone.
pub(super) const TELL_TIME: &str =
    "SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT)";

/// Takes the turn in a transaction that has begun, and returns the time at which it came.
///
/// # Errors
/// When it does not come in time.
pub(super) async fn take_turn(
    transaction: &mut sqlx::Transaction<'static, Postgres>,
    told: &Told,
) -> Result<i64, RecordError> {
    #[cfg(test)]
    if told.is_turn_skipped.load(std::sync::atomic::Ordering::Relaxed) {
        return Ok(sqlx::query_scalar(TELL_TIME)
            .fetch_one(&mut **transaction)
            .await?);
    }
    let now_ms: Option<i64> = sqlx::query_scalar(TAKE_TURN)
        .fetch_optional(&mut **transaction)
        .await?;
    let Some(now_ms) = now_ms else {
        return Err(no_turn(transaction).await?);
    };
    told.note(now_ms);
    Ok(now_ms)
}

/// Takes the turn as [`take_turn`] does, also in a record that was moved.
///
/// # Errors
/// When it does not come in time.
pub(super) async fn take_any_turn(
    transaction: &mut sqlx::Transaction<'static, Postgres>,
    told: &Told,
) -> Result<i64, RecordError> {
    let now_ms = sqlx::query_scalar(TAKE_ANY_TURN)
        .fetch_one(&mut **transaction)
        .await?;
    told.note(now_ms);
    Ok(now_ms)
}

/// Why there is no turn.
async fn no_turn(transaction: &mut sqlx::Transaction<'static, Postgres>) -> Result<RecordError, RecordError> {
    let moved: Option<String> = sqlx::query_scalar("SELECT moved FROM turn WHERE id = 1")
        .fetch_one(&mut **transaction)
        .await?;
    let moved = moved.ok_or(sqlx::Error::RowNotFound)?;
    Ok(Mark::read(&moved)?.error())
}
