//! A worker that can't go on says so by ending, so that whoever watches over it can start it again.

use std::path::Path;
use std::time::Duration;

use bss_record::RECORD_FILE;
use host_harness::{Host, WorkOptions};
use sqlx::SqlitePool;

/// Time that a worker may take to notice; it looks several times a second.
const PATIENCE: Duration = Duration::from_secs(30);

async fn database(data_dir: &Path) -> SqlitePool {
    let url = format!("sqlite://{}", data_dir.join(RECORD_FILE).display());
    SqlitePool::connect(&url).await.unwrap()
}

async fn damage(database: &SqlitePool, table: &str) {
    let statement = format!("ALTER TABLE {table} RENAME TO away");
    sqlx::query(sqlx::AssertSqlSafe(statement))
        .execute(database)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_worker_ends_when_either_half_of_it_can_not_read_the_record() {
    for table in ["assets", "mail_settings"] {
        let directory = tempfile::tempdir().unwrap();
        let host = Host::builder(directory.path()).open_or_create().await.unwrap();
        damage(&database(directory.path()).await, table).await;
        let options = WorkOptions::default();
        let work = host.work(&options, std::future::pending());
        let ended = tokio::time::timeout(PATIENCE, work).await;
        assert!(ended.is_ok_and(|ended| ended.is_err()), "{table}");
    }
}
