//! PostgreSQL: how a database on a server is opened.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Row as _, raw_sql};

use super::clock::Told;
use super::connection::Pool;
use super::turn::TELL_TIME;
use crate::record_error::RecordError;

/// Connections that write. One has the turn; the others have begun, or are about to.
const WRITERS_MAX: u32 = 4;
/// Connections that read.
const READERS_MAX: u32 = 8;
/// How long a free connection is waited for: as long as a writer waits for its turn.
const PATIENCE: Duration = Duration::from_secs(30);

/// The connections to a database: those that write, and those that read.
#[derive(Debug)]
pub(crate) struct Pools {
    pub(crate) writer: Pool,
    pub(crate) readers: Pool,
}

/// Opens a database whose tables are up to date.
///
/// # Errors
/// When the server can't be reached.
pub(crate) async fn open(options: PgConnectOptions, forgets_statements: bool) -> Result<Pools, RecordError> {
    let told = Arc::new(Told::new(forgets_statements));
    let writer = pool(WRITERS_MAX, options.clone()).await?;
    let time = raw_sql(TELL_TIME).fetch_one(&writer).await?;
    told.note(time.try_get(0)?);
    // A write through a reader is a defect, and fails.
    let readers = pool(
        READERS_MAX,
        options.options([("default_transaction_read_only", "on")]),
    )
    .await?;
    Ok(Pools {
        writer: Pool::Postgres(writer, told.clone()),
        readers: Pool::Postgres(readers, told),
    })
}

async fn pool(connections: u32, options: PgConnectOptions) -> Result<PgPool, RecordError> {
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        // See `sqlite`: the task that looks for old connections may loop without end.
        .idle_timeout(None)
        .max_lifetime(None);
    Ok(pool.connect_with(options).await?)
}
