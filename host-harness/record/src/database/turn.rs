//! The turn on PostgreSQL: whoever writes locks one row first, so that one transaction writes at a time, as with SQLite. What is true of
//! one writer needs no second proof. The same statement tells the database's time.

use sqlx::postgres::Postgres;

use super::clock::Told;
use crate::record_error::RecordError;

/// Begins a transaction that writes. What it relies on is said each time, so that no setting of a server, a user or a pooler changes it.
/// A host that vanishes while it has the turn holds up the others for ten seconds, and not for the two hours of TCP.
pub(super) const BEGIN_WRITE: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on;
 SET LOCAL lock_timeout = '30s'; SET LOCAL idle_in_transaction_session_timeout = '10s'";

/// Waits for the turn, and then reads the clock: within one SELECT that locks, the clock would be read before the wait.
const TAKE_TURN: &str = "WITH mine AS MATERIALIZED (SELECT id FROM turn WHERE id = 1 FOR UPDATE)
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
    let now_ms = sqlx::query_scalar(TAKE_TURN)
        .fetch_one(&mut **transaction)
        .await?;
    told.note(now_ms);
    Ok(now_ms)
}
