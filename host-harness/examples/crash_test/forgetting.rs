//! Reads the host's record of attempts and workers past the library: to see that work goes on, and to make the record
//! forget what it must not forget.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bss_record::RECORD_FILE;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, SqlitePool};

use crate::disasters::youth;

/// How long a statement waits for the workers' writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// The database of the record, past the library.
pub(crate) enum Attempts {
    /// The file of a data directory.
    File { pool: SqlitePool, data_dir: PathBuf },
    /// A server's, which may be killed and taken over from.
    Server(PgPool),
}

impl Attempts {
    /// Opens a server's database.
    pub(crate) fn on_server(url: &str) -> Result<Self> {
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy(url)?;
        Ok(Self::Server(pool))
    }

    /// Opens the database of a data directory.
    pub(crate) async fn open(data_dir: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(data_dir.join(RECORD_FILE))
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await
            .context("the host's database can't be opened")?;
        let data_dir = data_dir.to_owned();
        Ok(Self::File { pool, data_dir })
    }

    /// Closes the database.
    pub(crate) async fn close(self) {
        match self {
            Self::File { pool, .. } => pool.close().await,
            Self::Server(pool) => pool.close().await,
        }
    }

    /// How many attempts were begun.
    pub(crate) async fn begun(&self) -> Result<i64> {
        self.count("SELECT COUNT(*) FROM attempts").await
    }

    async fn count(&self, counted: &'static str) -> Result<i64> {
        let counted = match self {
            Self::File { pool, .. } => sqlx::query_scalar(counted).fetch_one(pool).await,
            Self::Server(pool) => sqlx::query_scalar(counted).fetch_one(pool).await,
        };
        Ok(counted?)
    }

    /// How many attempts were begun and never ended, because their workers were killed.
    pub(crate) async fn cut_off(&self) -> Result<u64> {
        let count = self
            .count("SELECT COUNT(*) FROM attempts WHERE finished_at_ms IS NULL")
            .await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Deletes dead workers' unfinished attempts, as if they had never been, and frees their lines at once. Returns
    /// how many attempts.
    pub(crate) async fn forget(&self) -> Result<u64> {
        let Self::File { pool, data_dir } = self else {
            bail!("only a record in a file is made to forget attempts");
        };
        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
        let workers: Vec<String> = sqlx::query_scalar("SELECT id FROM workers")
            .fetch_all(&mut *transaction)
            .await?;
        let mut forgotten = 0;
        for worker in workers.iter().filter(|worker| is_dead(data_dir, worker)) {
            let attempts = "DELETE FROM attempts WHERE finished_at_ms IS NULL
                            AND asset_id IN (SELECT id FROM assets WHERE worker = $1)";
            let lines = "UPDATE assets SET worker = NULL WHERE worker = $1";
            let mails = "UPDATE mails SET worker = NULL WHERE worker = $1";
            let lease = "DELETE FROM workers WHERE id = $1";
            forgotten += sqlx::query(attempts)
                .bind(worker)
                .execute(&mut *transaction)
                .await?
                .rows_affected();
            for statement in [lines, mails, lease] {
                sqlx::query(statement)
                    .bind(worker)
                    .execute(&mut *transaction)
                    .await?;
            }
        }
        // The record vouches for a line that was just ordered.
        sqlx::query(AssertSqlSafe(youth()))
            .execute(&mut *transaction)
            .await?;
        let remembers = "UPDATE provenance SET remembered_ms = 2678400000";
        sqlx::query(remembers).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(forgotten)
    }
}

/// Whether no process holds a worker's file.
fn is_dead(data_dir: &Path, worker: &str) -> bool {
    let file = data_dir.join("workers").join(format!("{worker}.lock"));
    File::open(file).is_ok_and(|file| file.try_lock().is_ok())
}
