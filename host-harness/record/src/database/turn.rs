//! The turn on PostgreSQL: whoever writes locks one row first, so that one transaction writes at a time, as with SQLite. What is true of
//! one writer needs no second proof. The same statement tells the database's time, and its epoch.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row as _, raw_sql};

use super::clock::Told;

/// Begins a transaction that writes. What it relies on is said each time, so that no setting of a server, a user or a pooler changes it.
/// A host that vanishes while it has the turn holds up the others for ten seconds, and not for the two hours of TCP.
const BEGIN_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on;
 SET LOCAL lock_timeout = '30s'; SET LOCAL idle_in_transaction_session_timeout = '10s'";

/// Waits for the turn, and then reads the clock: within one SELECT that locks, the clock would be read before the wait.
///
/// The epoch is another one where the database may have forgotten what it had said was written: another server's or timeline's, as after a
/// failover, or another table's, as after a restored dump.
const TAKE_TURN: &str = "WITH mine AS MATERIALIZED (SELECT epoch, tableoid FROM turn WHERE id = 1 FOR UPDATE)
 SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT) AS now_ms, CAST(pg_current_xact_id() AS TEXT) AS xid, epoch AS known,
        (SELECT system_identifier FROM pg_control_system()) || ' ' || left(pg_walfile_name(pg_current_wal_lsn()), 8) || ' ' || tableoid
        AS epoch, (SELECT CAST(stats_reset AS TEXT) FROM pg_stat_wal) AS life
 FROM mine";
/// Does the same without waiting, which tests show to be needed.
#[cfg(test)]
const SKIP_TURN: &str = "SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT) AS now_ms, CAST(pg_current_xact_id() AS TEXT) AS xid, epoch AS known,
        (SELECT system_identifier FROM pg_control_system()) || ' ' || left(pg_walfile_name(pg_current_wal_lsn()), 8) || ' ' || tableoid
        AS epoch, (SELECT CAST(stats_reset AS TEXT) FROM pg_stat_wal) AS life
 FROM turn";
/// Reads the clock alone.
pub(super) const TELL_TIME: &str =
    "SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT)";

/// What became of a transaction. Within a turn, none of those that had it is under way. A server that crashed meanwhile may have given
/// the number of a transaction that it forgot to another one.
pub(super) const OUTCOME: &str = "SELECT pg_xact_status(CAST(CAST($1 AS TEXT) AS XID8))";

/// A turn that has come.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    /// The server's number of the transaction.
    pub(super) xid: String,
    /// When it came, by the database's clock, in milliseconds since 1970.
    pub(super) now_ms: i64,
    pub(super) epoch: Epoch,
    /// When the server last began with empty statistics, as it does after each crash.
    pub(super) life: Option<String>,
}

/// In which of its lives a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Epoch {
    /// The epoch that the database is in.
    pub(crate) now: String,
    /// The epoch that the record has last gone on in. `None`: nothing has been written yet.
    pub(crate) known: Option<String>,
}

#[cfg(not(test))]
fn how_to_take(_: &Told) -> &'static str {
    TAKE_TURN
}

#[cfg(test)]
fn how_to_take(told: &Told) -> &'static str {
    match told.is_turn_skipped.load(std::sync::atomic::Ordering::Relaxed) {
        true => SKIP_TURN,
        false => TAKE_TURN,
    }
}

/// Begins a transaction that writes and takes the turn in it.
///
/// # Errors
/// When it does not come in time.
pub(super) async fn begin(connection: &mut PgConnection, told: &Told) -> Result<Turn, sqlx::Error> {
    raw_sql(BEGIN_WRITE).execute(&mut *connection).await?;
    let row: PgRow = sqlx::query(how_to_take(told)).fetch_one(connection).await?;
    Ok(Turn {
        xid: row.try_get("xid")?,
        now_ms: row.try_get("now_ms")?,
        epoch: Epoch {
            now: row.try_get("epoch")?,
            known: row.try_get("known")?,
        },
        life: row.try_get("life")?,
    })
}
