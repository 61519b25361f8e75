//! A worker that can't go on says so by ending, so that whoever watches over it can start it again.

use std::time::Duration;

use host_harness::{Host, WorkOptions};

use crate::database::Database;

/// Time that a worker may take to notice; it looks several times a second.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_worker_ends_when_either_half_of_it_can_not_read_the_record() {
    for table in ["assets", "mail_settings"] {
        let directory = tempfile::tempdir().unwrap();
        let host = Host::builder(directory.path()).open_or_create().await.unwrap();
        let damage = format!("ALTER TABLE {table} RENAME TO away");
        Database::in_directory(directory.path()).execute(&damage).await;
        let options = WorkOptions::default();
        let work = host.work(&options, std::future::pending());
        let ended = tokio::time::timeout(PATIENCE, work).await;
        assert!(ended.is_ok_and(|ended| ended.is_err()), "{table}");
    }
}
