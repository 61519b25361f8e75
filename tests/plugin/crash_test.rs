//! The crash test itself, small: it finds nothing where the host remembers, and duplicates where it is made to forget.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;

use crate::component::{acme_component, acme_vendor, bss_host, component, example};
use crate::scenario::{DONE, REFUSED, USAGE, assert_ends};

fn crash_test(arguments: &[&str]) -> Output {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| example("crash_test"));
    Command::new(&*PROGRAM)
        .arg("--bss-host")
        .arg(bss_host())
        .arg("--plugin")
        .arg(component())
        .arg("--second-plugin")
        .arg(acme_component())
        .arg("--second-vendor")
        .arg(acme_vendor())
        .args(arguments)
        .output()
        .expect("the crash test runs")
}

/// A small run. With this seed, a worker is killed before its purchases are carried out, the other one too, one after
/// they are, and then the simulator.
const SMALL: [&str; 7] = ["--orders", "60", "--kills", "4", "--seed", "232", "--json"];

fn figures(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("one line of JSON on the standard output")
}

#[test]
fn killed_workers_and_killed_vendors_leave_each_license_bought_charged_mailed_and_returned_once() {
    let output = crash_test(&SMALL);
    assert_ends(&output, DONE);
    let figures = figures(&output);
    assert_eq!(figures["orders"], 60);
    assert_eq!(figures["kills"], 4);
    assert_eq!(figures["vendorKills"], 1);
    let withdrawn = figures["linesWithdrawn"].as_u64().expect("a number");
    assert!(withdrawn > 0, "{figures}");
    assert_eq!(figures["licensesIssued"], 60 - withdrawn);
    assert!(figures["licensesReturned"].as_u64() > Some(0), "{figures}");
    assert!(
        figures["attemptsCutOff"].as_u64() > Some(0),
        "a kill that hits nobody proves nothing: {figures}"
    );
    let errors = [
        "lost",
        "duplicated",
        "unaccounted",
        "chargedTwice",
        "mailedTwice",
        "notBought",
        "notCharged",
        "notMailed",
        "chargedWithoutLicense",
        "mailedWithoutLicense",
        "notTold",
        "wronglyTold",
        "halfReturned",
        "wronglyCredited",
    ];
    for error in errors {
        assert_eq!(figures[error], 0, "{error} in {figures}");
    }
}

#[test]
fn the_same_kills_find_duplicates_when_the_record_forgets_the_attempts_that_were_cut_off() {
    let output = crash_test(&[&SMALL[..], &["--forget-attempts"]].concat());
    assert_ends(&output, REFUSED);
    let figures = figures(&output);
    let number = |name: &str| figures[name].as_u64().unwrap_or_default();
    assert!(number("duplicated") > 0, "{figures}");
    assert_eq!(number("licensesIssued"), 60 + number("duplicated"), "{figures}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("error: ") && said.contains("SEED=232"), "{said}");
    // The files of a run that went wrong are kept for whoever looks into it.
    let kept = said.split('`').find(|word| word.contains("crash-test-"));
    let kept = kept.expect("it says where the files are");
    std::fs::remove_dir_all(kept).expect("which can be removed");
}

#[test]
fn a_crash_test_of_nothing_is_refused() {
    assert_ends(&crash_test(&["--orders", "0"]), USAGE);
    assert_ends(&crash_test(&["--kills", "some"]), USAGE);
}
