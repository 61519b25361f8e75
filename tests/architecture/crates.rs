//! Which crate depends on which: exactly as `docs/architecture.md` says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The document whose table says which crate may import which of our own, from the bottom to the top.
const DOCUMENT: &str = include_str!("../../docs/architecture.md");
const TABLE_HEAD: &str = "| crate | package | may import |";

/// The package of the plugin, which is in no row of the table.
const PLUGIN: &str = "microsoft-esd";
/// What plugins are made with. The plugin and the example of one import no other crate of ours.
const FOR_PLUGINS: &str = "bss-plugin";
/// The package of the chores, which imports none of our crates and is in no row of the table.
const CHORES: &str = "xtask";
/// The example of a plugin.
const EXAMPLE: &str = "acme-keys";
/// The server of the example's vendor, which imports none of our crates.
const VENDOR: &str = "acme-keys-vendor";
/// The example of a platform, which embeds the library as anybody would and needs no other of our crates.
const SHOP: (&str, &str) = ("example-shop", "host-harness");

/// What the tests of a crate may depend on besides. The plugin's tests are the whole product's.
const ARROWS_OF_TESTS: [(&str, &[&str]); 4] = [
    ("bss-record", &["bss-test-postgres"]),
    ("example-shop", &["bss-simulator"]),
    ("host-harness", &["bss-simulator", "bss-test-postgres"]),
    (
        "microsoft-esd",
        &[
            "acme-keys-vendor",
            "bss-bench",
            "bss-console",
            "bss-keys",
            "bss-model",
            "bss-record",
            "bss-sandbox",
            "bss-simulator",
            "bss-test-postgres",
            "host-harness",
        ],
    ),
];

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// What cargo answers, without the network.
pub(crate) fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(arguments)
        .arg("--offline")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What `cargo metadata` says of the packages of the workspace.
fn packages() -> Vec<Value> {
    let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps"]);
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
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
            // A package that depends on itself turns on its own features for its tests.
            let ours = dependencies.iter().filter(is_wanted);
            let ours = ours.filter(|dependency| dependency["name"] != package["name"]);
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

/// A row of the table: a crate, and what it may import.
struct Row {
    folder: String,
    package: String,
    may_import: BTreeSet<String>,
}

/// The rows of the table in a document, from the bottom to the top.
fn rows(document: &str) -> Vec<Row> {
    let bare = |cell: &str| cell.trim().trim_matches('`').to_owned();
    let lines = document.lines().skip_while(|line| !line.starts_with(TABLE_HEAD));
    let lines = lines.skip(2).take_while(|line| line.starts_with('|'));
    let mut rows: Vec<Row> = Vec::new();
    for line in lines {
        let cells: Vec<&str> = line.split('|').skip(1).collect();
        let [folder, package, may_import, ..] = cells[..] else {
            panic!("a row without three cells: {line}")
        };
        let may_import = match may_import.trim() {
            "nothing of ours" => BTreeSet::new(),
            names => names.split(',').map(|name| package_of(name.trim())).collect(),
        };
        rows.push(Row {
            folder: bare(folder),
            package: bare(package),
            may_import,
        });
    }
    assert!(!rows.is_empty(), "no table that begins with `{TABLE_HEAD}`");
    rows
}

/// The package that the table means by the name of a crate.
fn package_of(name: &str) -> String {
    match name {
        "host-harness" => name.to_owned(),
        "plugin" => PLUGIN.to_owned(),
        "guest" => FOR_PLUGINS.to_owned(),
        name => format!("bss-{name}"),
    }
}

/// The folder of a package.
fn folder_of(package: &Value) -> PathBuf {
    let manifest = Path::new(package["manifest_path"].as_str().expect("a manifest"));
    manifest.parent().expect("its folder").to_owned()
}

/// The source folders of the crates of the workspace.
pub(crate) fn source_folders() -> Vec<PathBuf> {
    let folders = packages()
        .iter()
        .map(|package| folder_of(package).join("src"))
        .collect();
    assert!(Vec::len(&folders) > 1, "{folders:?}");
    folders
}

#[test]
fn every_crate_depends_on_those_that_the_document_names_and_on_no_other() {
    let rows = rows(DOCUMENT).into_iter();
    let mut allowed: Arrows = rows.map(|row| (row.package, row.may_import)).collect();
    allowed.extend([CHORES, VENDOR].map(|name| (name.to_owned(), BTreeSet::new())));
    let for_plugins = || BTreeSet::from([FOR_PLUGINS.to_owned()]);
    allowed.extend([PLUGIN, EXAMPLE].map(|name| (name.to_owned(), for_plugins())));
    allowed.insert(SHOP.0.to_owned(), BTreeSet::from([SHOP.1.to_owned()]));
    assert_eq!(arrows(&packages(), false), allowed);
}

#[test]
fn the_document_names_the_folder_of_each_crate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = packages();
    for row in rows(DOCUMENT) {
        let package = packages
            .iter()
            .find(|package| package["name"] == row.package.as_str());
        let package = package.unwrap_or_else(|| panic!("no package `{}`", row.package));
        assert_eq!(folder_of(package), root.join(row.folder));
    }
}

#[test]
fn a_table_with_another_crate_in_a_row_allows_other_imports() {
    let table = |of_keys: &str| {
        format!(
            "{TABLE_HEAD} why |\n|---|---|---|---|\n| `m` | `bss-model` | nothing of ours | |\n| `k` | `bss-keys` | {of_keys} | |\n\n| no | row |"
        )
    };
    let of_keys = |cell: &str| rows(&table(cell))[1].may_import.clone();
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(of_keys("model"), names(&["bss-model"]));
    assert_eq!(
        of_keys("model, host-harness"),
        names(&["bss-model", "host-harness"])
    );
    assert_eq!(of_keys("model, plugin"), names(&["bss-model", PLUGIN]));
    assert_eq!(rows(&table("model")).len(), 2);
}

#[test]
fn the_tests_of_a_crate_keep_to_the_arrows_too() {
    let mut of_tests = arrows(&packages(), true);
    of_tests.retain(|_, to| !to.is_empty());
    assert_eq!(of_tests, allowed(&ARROWS_OF_TESTS));
}

#[test]
fn no_arrow_points_up() {
    let mut below = BTreeSet::from([PLUGIN.to_owned()]);
    for row in rows(DOCUMENT) {
        assert!(
            row.may_import.is_subset(&below),
            "{}: {:?}",
            row.package,
            row.may_import
        );
        below.insert(row.package);
    }
}
