//! Whether a server may keep the record: what it says of itself, and what follows from that.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bss_model::{Diagnose, Diagnosis, ErrorKind};
use sqlx::postgres::PgConnection;
use sqlx::{Executor as _, Row as _};

/// The oldest version, as PostgreSQL numbers it.
const OLDEST_VERSION: i64 = 150_000;
/// The farthest that the server's clock may be from this machine's without a word about it.
const CLOCK_DIFFERENCE_MAX: Duration = Duration::from_secs(10);
/// The `cluster_name` by which a server for tests says that it may lose what it was given. Only who starts a server can say so: no
/// address, user or statement.
const THROWAWAY: &str = "bss-throwaway";
/// Names of tables that a refusal repeats.
const TABLES_NAMED_MAX: usize = 5;

/// What a server says of itself, and of the user that asks: any user may.
const QUESTION: &str = "
SELECT current_setting('server_version_num')::BIGINT AS version,
       current_setting('server_encoding') AS encoding,
       current_setting('fsync')::BOOLEAN AS fsync,
       current_setting('full_page_writes')::BOOLEAN AS full_page_writes,
       current_setting('cluster_name') AS cluster_name,
       current_setting('synchronous_standby_names') AS synchronous_standbys,
       current_setting('transaction_read_only')::BOOLEAN AS read_only,
       current_setting('is_superuser')::BOOLEAN AS is_superuser,
       COALESCE(has_schema_privilege(current_schema(), 'CREATE'), FALSE) AS may_create,
       ARRAY(SELECT relname::TEXT FROM pg_class
             WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relkind = 'r'
               AND NOT (has_table_privilege(oid, 'SELECT')
                        AND (relname = '_sqlx_migrations'
                             OR has_table_privilege(oid, 'INSERT') AND has_table_privilege(oid, 'UPDATE')
                                AND has_table_privilege(oid, 'DELETE')))
             ORDER BY relname) AS closed_tables,
       (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT AS now_ms";

/// What a server says of itself when a database is opened.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    version: i64,
    encoding: String,
    fsync: bool,
    full_page_writes: bool,
    cluster_name: String,
    synchronous_standbys: String,
    /// Whether transactions can't write, as on a standby, or where an operator has made it so.
    read_only: bool,
    is_superuser: bool,
    may_create: bool,
    /// The tables that the user may not read and write.
    closed_tables: Vec<String>,
    /// How far its clock is at least from this machine's, whichever is ahead.
    clock_difference: Duration,
}

/// What the user of a database is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Make the tables, or bring them up to date.
    Migrate,
    /// Read and write what is there.
    Use,
}

/// Why a database can't be the record's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseUnfit {
    /// The server is older than what the record was made for.
    #[error("the database server is PostgreSQL {major}, and {} is the oldest that will do", OLDEST_VERSION / 10_000)]
    TooOld {
        /// The server's version.
        major: i64,
    },
    /// Texts of other scripts could not be kept.
    #[error("the encoding of the database is {encoding}, not UTF8")]
    NotUtf8 {
        /// The encoding.
        encoding: String,
    },
    /// The server may lose what it has confirmed.
    #[error(
        "the database server runs with `{setting}` off: when its machine fails, what was bought may be forgotten or garbled"
    )]
    NotDurable {
        /// The setting.
        setting: &'static str,
    },
    /// The server is a standby, or writes nothing for another reason.
    #[error("the database server can only be read from: it is a standby, or was made so by its operator")]
    ReadOnly,
    /// The user can't make tables.
    #[error("the user of the database may make no tables in it")]
    MayNotCreate,
    /// The user can't read and write all tables.
    #[error("the user of the database may not read and write these tables: {}", tables.join(", "))]
    ClosedTables {
        /// Some of them.
        tables: Vec<String>,
    },
}

impl Diagnose for DatabaseUnfit {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::TooOld { .. } => Diagnosis::new(ErrorKind::Unavailable, "database-too-old")
                .say("upgrade the server, or name another one"),
            Self::NotUtf8 { .. } => Diagnosis::new(ErrorKind::Unavailable, "database-encoding-unusable")
                .say("make the database with `createdb --template=template0 --encoding=UTF8 --locale=C`"),
            Self::NotDurable { .. } => Diagnosis::new(ErrorKind::Unavailable, "database-not-durable")
                .say("turn the setting on in the server's configuration, and start the server again"),
            Self::ReadOnly => Diagnosis::new(ErrorKind::Unavailable, "database-read-only")
                .say("name the primary server, or an address that always leads to it"),
            Self::MayNotCreate | Self::ClosedTables { .. } => {
                Diagnosis::new(ErrorKind::Unavailable, "database-rights-missing")
                    .say("have the owner of the database grant the user what is missing")
            }
        }
    }
}

/// What an operator should know of a database that is used all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseWarning {
    /// The server is for tests.
    #[error("the database server calls itself `{THROWAWAY}`: it may lose everything when its machine fails")]
    Throwaway,
    /// What one machine has confirmed is lost with it.
    #[error(
        "the database server waits for no standby (`synchronous_standby_names` is empty): what it has confirmed is lost where a standby takes over, unless its storage is replicated"
    )]
    NoSynchronousStandby,
    /// The clock of the server or of this machine is wrong.
    #[error("the clocks of this machine and of the database server are {} s apart or more", difference.as_secs())]
    ClocksApart {
        /// How far at least.
        difference: Duration,
    },
    /// The user can do everything, also outside the database.
    #[error(
        "the user of the database is a superuser of the server: one with rights in this database alone is enough"
    )]
    Superuser,
}

/// Asks the server.
///
/// # Errors
/// When it does not answer.
pub(crate) async fn look(connection: &mut PgConnection) -> Result<Facts, sqlx::Error> {
    let asked_at = now();
    let row = connection.fetch_one(QUESTION).await?;
    let answered_at = now();
    let server_ms: i64 = row.try_get("now_ms")?;
    let server = Duration::from_millis(u64::try_from(server_ms).unwrap_or_default());
    Ok(Facts {
        version: row.try_get("version")?,
        encoding: row.try_get("encoding")?,
        fsync: row.try_get("fsync")?,
        full_page_writes: row.try_get("full_page_writes")?,
        cluster_name: row.try_get("cluster_name")?,
        synchronous_standbys: row.try_get("synchronous_standbys")?,
        read_only: row.try_get("read_only")?,
        is_superuser: row.try_get("is_superuser")?,
        may_create: row.try_get("may_create")?,
        closed_tables: row.try_get("closed_tables")?,
        clock_difference: distance(asked_at, server, answered_at),
    })
}

/// Judges what the server has said: the gravest reason against it, or what should be known of it.
///
/// # Errors
/// When the database can't be the record's.
pub(crate) fn judge(facts: &Facts, intent: Intent) -> Result<Vec<DatabaseWarning>, DatabaseUnfit> {
    if facts.version < OLDEST_VERSION {
        let major = facts.version / 10_000;
        return Err(DatabaseUnfit::TooOld { major });
    }
    if facts.encoding != "UTF8" {
        let encoding = facts.encoding.clone();
        return Err(DatabaseUnfit::NotUtf8 { encoding });
    }
    if facts.read_only {
        return Err(DatabaseUnfit::ReadOnly);
    }
    judge_durability(facts)?;
    judge_rights(facts, intent)?;
    Ok(warnings(facts))
}

fn judge_durability(facts: &Facts) -> Result<(), DatabaseUnfit> {
    let settings = [
        ("fsync", facts.fsync),
        ("full_page_writes", facts.full_page_writes),
    ];
    let off = settings.into_iter().find(|(_, is_on)| !is_on);
    match off {
        Some((setting, _)) if facts.cluster_name != THROWAWAY => Err(DatabaseUnfit::NotDurable { setting }),
        _ => Ok(()),
    }
}

fn judge_rights(facts: &Facts, intent: Intent) -> Result<(), DatabaseUnfit> {
    if intent == Intent::Migrate && !facts.may_create {
        return Err(DatabaseUnfit::MayNotCreate);
    }
    if facts.closed_tables.is_empty() {
        return Ok(());
    }
    let tables = facts
        .closed_tables
        .iter()
        .take(TABLES_NAMED_MAX)
        .cloned()
        .collect();
    Err(DatabaseUnfit::ClosedTables { tables })
}

fn warnings(facts: &Facts) -> Vec<DatabaseWarning> {
    let difference = facts.clock_difference;
    let all = [
        (facts.cluster_name == THROWAWAY, DatabaseWarning::Throwaway),
        (
            facts.synchronous_standbys.trim().is_empty(),
            DatabaseWarning::NoSynchronousStandby,
        ),
        (
            difference > CLOCK_DIFFERENCE_MAX,
            DatabaseWarning::ClocksApart { difference },
        ),
        (facts.is_superuser, DatabaseWarning::Superuser),
    ];
    all.into_iter()
        .filter_map(|(is_so, warning)| is_so.then_some(warning))
        .collect()
}

/// How far a clock is at least from this machine's, if it was read some time between two readings of that.
fn distance(before: Duration, other: Duration, after: Duration) -> Duration {
    let behind = before.saturating_sub(other);
    let ahead = other.saturating_sub(after);
    behind.max(ahead)
}

/// This machine's time since 1970, which a clock before that is not.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests;
