//! Which crate depends on which: exactly as `docs/architecture.md` says.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// What each crate of the workspace may depend on among our own, from the bottom to the top.
const ARROWS: [(&str, &[&str]); 10] = [
    ("bss-model", &[]),
    ("bss-keys", &["bss-model"]),
    ("bss-record", &["bss-keys", "bss-model"]),
    ("bss-sandbox", &["bss-keys", "bss-model"]),
    ("bss-simulator", &["bss-model"]),
    (
        "host-harness",
        &["bss-keys", "bss-model", "bss-record", "bss-sandbox"],
    ),
    (
        "bss-bench",
        &[
            "bss-keys",
            "bss-model",
            "bss-record",
            "bss-sandbox",
            "bss-simulator",
            "host-harness",
            "microsoft-esd",
        ],
    ),
    (
        "bss-host",
        &[
            "bss-bench",
            "bss-keys",
            "bss-model",
            "bss-simulator",
            "host-harness",
        ],
    ),
    ("microsoft-esd", &[]),
    ("xtask", &[]),
];

/// What the tests of a crate may depend on besides. The plugin's tests are the whole product's.
const ARROWS_OF_TESTS: [(&str, &[&str]); 2] = [
    ("host-harness", &["bss-simulator"]),
    (
        "microsoft-esd",
        &[
            "bss-bench",
            "bss-keys",
            "bss-model",
            "bss-record",
            "bss-sandbox",
            "bss-simulator",
            "host-harness",
        ],
    ),
];

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// What `cargo metadata` says of the packages of the workspace.
fn packages() -> Vec<Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

/// The dependencies among our own packages: of tests, or of everything else.
fn arrows(packages: &[Value], of_tests: bool) -> Arrows {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let is_wanted =
        |dependency: &&Value| (dependency["kind"] == "dev") == of_tests && dependency["path"].is_string();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("dependencies");
            let ours = dependencies.iter().filter(is_wanted);
            (
                text(&package["name"]),
                ours.map(|dependency| text(&dependency["name"])).collect(),
            )
        })
        .collect()
}

fn allowed(table: &[(&str, &[&str])]) -> Arrows {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    table
        .iter()
        .map(|&(from, to)| (from.to_owned(), owned(to)))
        .collect()
}

#[test]
fn every_crate_depends_on_those_that_it_may_and_on_no_other() {
    assert_eq!(arrows(&packages(), false), allowed(&ARROWS));
}

#[test]
fn the_tests_of_a_crate_keep_to_the_arrows_too() {
    let mut of_tests = arrows(&packages(), true);
    of_tests.retain(|_, to| !to.is_empty());
    assert_eq!(of_tests, allowed(&ARROWS_OF_TESTS));
}

#[test]
fn no_arrow_points_up() {
    let mut below = BTreeSet::new();
    for (from, to) in ARROWS.iter().chain([&("microsoft-esd", &[] as &[&str])]) {
        let to: Vec<_> = to.iter().filter(|name| **name != "microsoft-esd").collect();
        assert!(to.iter().all(|name| below.contains(**name)), "{from}: {to:?}");
        below.insert(*from);
    }
}
