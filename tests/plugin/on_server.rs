//! The tests of what buys, returns and shows, again on a PostgreSQL server.

use std::process::Command;

/// What is run a second time, on a server: all that buys, looks up, returns, mails, reads catalogs and shows. What is about files of
/// SQLite's, about one process, or starts programs of its own is left out.
const ON_SERVER: &[&str] = &[
    "alerts_cli::",
    "audit_cli::",
    "canary::",
    "catalog_rules::",
    "certificate_rotation::",
    "failure_classes::",
    "fault_matrix::",
    "in_doubt::",
    "instance_settings::",
    "instances_cli::",
    "interworks::",
    "license_order::",
    "license_refresh::",
    "license_return::",
    "lifecycle_model::",
    "mail_cli::",
    "money_cli::",
    "second_vendor::",
    "services_definition::",
    "services_runs::",
    "trusted_plugin::",
    "vendors_answers::",
    "worker::",
];

#[test]
fn what_buys_returns_and_shows_does_so_on_a_postgresql_server_too() {
    let tests = std::env::current_exe().expect("the tests' program");
    let run = Command::new(tests)
        .args(ON_SERVER)
        .args(["--skip", "on_server::"])
        .env("BSS_TEST_RECORD", "postgres")
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}");
    assert!(!said.contains(" 0 passed"), "{said}");
}
