//! Whether nobody works with a record that is about to be moved.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::copy_error::CopyError;
use crate::RecordError;
use crate::database::Connection;
use crate::postgres::APPLICATION_NAME;
use crate::stored::id;
use crate::workers;

/// How long a connection may take to be gone whose program has closed it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often connections are looked at meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// Fails where a worker may have something under way, or Get Services Definition runs.
pub(super) async fn check_still(connection: &mut Connection) -> Result<(), CopyError> {
    if let Some(worker) = workers::any_at_work(connection).await? {
        return Err(CopyError::WorkerAtWork { worker });
    }
    match run_under_way(connection).await? {
        Some(run) => Err(CopyError::RunUnderWay { run }),
        None => Ok(()),
    }
}

/// A run whose lease is not over.
async fn run_under_way(connection: &mut Connection) -> Result<Option<Uuid>, RecordError> {
    let now = connection.uptime();
    let run = connection
        .sql(
            "SELECT id FROM services_runs
             WHERE state = 'in_progress' AND lease_boot = $1 AND lease_ends_uptime_ms > $2 LIMIT 1",
        )
        .bind(now.boot.0.to_string())
        .bind(now.ms)
        .fetch_optional()
        .await?;
    run.as_ref().map(|run| id(run, "id")).transpose()
}

/// Fails where programs have connections to a database on a server, which go by their name.
pub(super) async fn check_alone(connection: &mut Connection, database: &str) -> Result<(), CopyError> {
    let begun = Instant::now();
    loop {
        let others = connection.sql(
            "SELECT COUNT(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = $1 AND pid <> pg_backend_pid()",
        );
        let others: i64 = others.bind(APPLICATION_NAME).scalar().await?;
        if others == 0 {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            return Err(CopyError::DatabaseInUse {
                database: database.to_owned(),
                sessions: others.unsigned_abs(),
            });
        }
        tokio::time::sleep(LOOK).await;
    }
}
