//! The turn on PostgreSQL: whoever writes locks one row first, so that one transaction writes at a time, as with SQLite. What is true of
//! one writer needs no second proof. The same statement tells the database's time, and its epoch.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row as _, raw_sql};

use super::clock::Told;
use crate::moved::Mark;
use crate::record_error::RecordError;

/// Begins a transaction that writes. What it relies on is said each time, so that no setting of a server, a user or a pooler changes it.
/// A host that vanishes while it has the turn holds up the others for ten seconds, and not for the two hours of TCP.
const BEGIN_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on;
 SET LOCAL lock_timeout = '30s'; SET LOCAL idle_in_transaction_session_timeout = '10s'";

/// Begins a transaction in which a record is moved: it is idle while all of the other database is read.
const BEGIN_MOVE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on;
 SET LOCAL lock_timeout = '30s'; SET LOCAL idle_in_transaction_session_timeout = '10min'";

/// A server's clock at the moment of reading it, in milliseconds since 1970, as a piece of a statement.
macro_rules! server_clock_ms {
    () => {
        "CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT)"
    };
}
pub(crate) use server_clock_ms;

/// What is read of a turn. The epoch is another one where the database may have forgotten what it had said was written: another server's
/// or timeline's, as after a failover, or another table's, as after a restored dump.
macro_rules! turn {
    ($mine:literal, $from:literal) => {
        concat!(
            $mine,
            "SELECT ",
            server_clock_ms!(),
            " AS now_ms,
                    CAST(pg_current_xact_id() AS TEXT) AS xid, epoch AS known,
                    (SELECT system_identifier FROM pg_control_system()) || ' ' || left(pg_walfile_name(pg_current_wal_lsn()), 8)
                    || ' ' || tableoid AS epoch, (SELECT CAST(stats_reset AS TEXT) FROM pg_stat_wal) AS life
             FROM ",
            $from
        )
    };
}

/// Waits for the turn, and then reads the clock: within one SELECT that locks, the clock would be read before the wait. There is no
/// turn in a record that was moved, also for those who waited meanwhile.
const TAKE_TURN: &str = turn!(
    "WITH mine AS MATERIALIZED (SELECT epoch, tableoid FROM turn WHERE id = 1 AND moved IS NULL FOR UPDATE) ",
    "mine"
);
/// Waits for the turn of a record that may have been moved.
const TAKE_ANY_TURN: &str = turn!(
    "WITH mine AS MATERIALIZED (SELECT epoch, tableoid FROM turn WHERE id = 1 FOR UPDATE) ",
    "mine"
);
/// Does the same without waiting, which tests show to be needed.
#[cfg(test)]
const SKIP_TURN: &str = turn!("", "turn");
/// Reads the clock alone.
pub(super) const TELL_TIME: &str = concat!("SELECT ", server_clock_ms!());

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

/// Which turns are taken.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    /// Those of a record that goes on here.
    OfRecord,
    /// Those of one that may have been moved, too.
    Any,
}

#[cfg(not(test))]
fn how_to_take(_: &Told, which: Which) -> &'static str {
    statement(which)
}

#[cfg(test)]
fn how_to_take(told: &Told, which: Which) -> &'static str {
    match told.is_turn_skipped.load(std::sync::atomic::Ordering::Relaxed) {
        true => SKIP_TURN,
        false => statement(which),
    }
}

fn statement(which: Which) -> &'static str {
    match which {
        Which::OfRecord => TAKE_TURN,
        Which::Any => TAKE_ANY_TURN,
    }
}

/// Begins a transaction that writes and takes the turn in it.
///
/// # Errors
/// When it does not come in time.
pub(super) async fn begin(
    connection: &mut PgConnection,
    told: &Told,
    which: Which,
) -> Result<Turn, RecordError> {
    let begin = match which {
        Which::OfRecord => BEGIN_WRITE,
        Which::Any => BEGIN_MOVE,
    };
    raw_sql(begin).execute(&mut *connection).await?;
    let row: Option<PgRow> = sqlx::query(how_to_take(told, which))
        .persistent(!told.forgets_statements)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else {
        return Err(no_turn(connection).await?);
    };
    let now_ms = row.try_get("now_ms")?;
    told.note(now_ms);
    Ok(Turn {
        xid: row.try_get("xid")?,
        now_ms,
        epoch: Epoch {
            now: row.try_get("epoch")?,
            known: row.try_get("known")?,
        },
        life: row.try_get("life")?,
    })
}

/// Why there is no turn.
async fn no_turn(connection: &mut PgConnection) -> Result<RecordError, RecordError> {
    let moved: Option<String> = sqlx::query_scalar("SELECT moved FROM turn WHERE id = 1")
        .persistent(false)
        .fetch_one(connection)
        .await?;
    let moved = moved.ok_or(sqlx::Error::RowNotFound)?;
    Ok(Mark::read(&moved)?.error())
}
