//! A worker that can't go on says so by ending, so that whoever watches over it can start it again.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use host_harness::Host;
use host_harness::record::{RECORD_FILE, Record};
use sqlx::SqlitePool;

/// How long a worker may take to notice; it looks several times a second.
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

async fn workers(database: &SqlitePool) -> i64 {
    sqlx::query_scalar("SELECT COUNT(*) FROM workers")
        .fetch_one(database)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_worker_ends_when_either_half_of_it_can_not_read_the_record() {
    for table in ["assets", "mail_settings"] {
        let directory = tempfile::tempdir().unwrap();
        let host = Host::open(directory.path(), Path::new("no-plugin.wasm"))
            .await
            .unwrap();
        damage(&database(directory.path()).await, table).await;
        let work = host.work(1, Arc::new(|_| ()), std::future::pending());
        let ended = tokio::time::timeout(PATIENCE, work).await;
        assert!(ended.is_ok_and(|ended| ended.is_err()), "{table}");
    }
}

#[tokio::test]
async fn the_program_ends_with_its_worker_instead_of_looking_alive() {
    for table in ["assets", "mail_settings"] {
        let directory = tempfile::tempdir().unwrap();
        Record::open(directory.path()).await.unwrap().close().await;
        let database = database(directory.path()).await;
        let mut program = Command::new(env!("CARGO_BIN_EXE_bss-host"))
            .arg("run")
            .arg("--data-dir")
            .arg(directory.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let ended = tokio::time::timeout(PATIENCE, async {
            // Both of its halves are at work.
            while workers(&database).await < 2 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            damage(&database, table).await;
            loop {
                if let Some(status) = program.try_wait().unwrap() {
                    break status;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let status = ended.await;
        let _ = program.kill();
        let _ = program.wait();
        let code = status.map(|status| status.code());
        assert_eq!(code, Ok(Some(3)), "{table}");
    }
}
