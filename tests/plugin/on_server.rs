//! The tests of what buys, returns and shows, again on a PostgreSQL server.

use std::process::Command;

/// What is run a second time, on a server: all that buys, looks up, returns, mails, reads catalogs and shows. What starts programs of its
/// own, or is about one process, is left out.
const ON_SERVER: &[&str] = &[
    "audit_cli::",
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
    "vendors_answers::",
    "worker::",
];

/// What copies the files of a record, which a server has elsewhere, and what begins again at once after a process that was killed: on a server
/// its lease alone says that it is dead.
const NOT_ON_SERVER: &[&str] = &[
    "license_return::a_license_that_was_returned_elsewhere_is_credited_when_an_operator_cancels_it",
    "license_return::a_refusal_settles_nothing_while_an_earlier_return_may_be_under_way",
    "services_runs::a_process_killed_at_any_point_leaves_the_old_catalog_or_the_new_one",
];

/// As many at once as leave the others of this program, which run beside them, their time.
const AT_ONCE: &str = "4";

#[test]
fn what_buys_returns_and_shows_does_so_on_a_postgresql_server_too() {
    let tests = std::env::current_exe().expect("the tests' program");
    let mut run = Command::new(tests);
    run.args(ON_SERVER).args(["--skip", "on_server::"]);
    for one in NOT_ON_SERVER {
        run.args(["--skip", one]);
    }
    run.env("BSS_TEST_RECORD", "postgres")
        .env("RUST_TEST_THREADS", AT_ONCE);
    let output = run.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains(" 0 passed"), "{said}");
}
