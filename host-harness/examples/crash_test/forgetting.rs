//! Reads the host's record of attempts and workers past the library: to see that work goes on, and to make the record
//! forget what it must not forget.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use bss_record::RECORD_FILE;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, SqlitePool};

use crate::disasters::youth;

/// How long a statement waits for the workers' writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// The database of a data directory.
pub(crate) struct Attempts {
    pool: SqlitePool,
    data_dir: PathBuf,
}

impl Attempts {
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
        Ok(Self { pool, data_dir })
    }

    /// Closes the database.
    pub(crate) async fn close(self) {
        self.pool.close().await;
    }

    /// A number that grows with every attempt that is begun.
    pub(crate) async fn last(&self) -> Result<i64> {
        let last = sqlx::query_scalar("SELECT COALESCE(MAX(rowid), 0) FROM attempts");
        Ok(last.fetch_one(&self.pool).await?)
    }

    /// How many attempts were begun and never ended, because their workers were killed.
    pub(crate) async fn cut_off(&self) -> Result<u64> {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM attempts WHERE finished_at_ms IS NULL")
            .fetch_one(&self.pool)
            .await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Deletes dead workers' unfinished attempts, as if they had never been, and frees their lines at once. Returns
    /// how many attempts.
    pub(crate) async fn forget(&self) -> Result<u64> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let workers: Vec<String> = sqlx::query_scalar("SELECT id FROM workers")
            .fetch_all(&mut *transaction)
            .await?;
        let mut forgotten = 0;
        for worker in workers.iter().filter(|worker| self.is_dead(worker)) {
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

    /// Whether no process holds the worker's file.
    fn is_dead(&self, worker: &str) -> bool {
        let file = self.data_dir.join("workers").join(format!("{worker}.lock"));
        File::open(file).is_ok_and(|file| file.try_lock().is_ok())
    }
}
