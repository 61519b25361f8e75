//! What an embedder compiles and audits: the library without features has no crate that only one surface needs.

use std::collections::BTreeMap;

use crate::crates::cargo;

/// Crates of the features, the command line, the simulator and the benchmarks.
const OF_SURFACES: [&str; 14] = [
    "clap",
    "comfy-table",
    "hickory-resolver",
    "indicatif",
    "jsonwebtoken",
    "lettre",
    "minijinja",
    "p12-keystore",
    "plotters",
    "rcgen",
    "rpassword",
    "sqlx-macros",
    "tracing-subscriber",
    "utoipa",
];

/// The crates that the library is compiled with, and their versions.
fn dependencies(features: &str) -> BTreeMap<String, String> {
    let of_library = ["tree", "--package", "host-harness", "--features", features];
    let listed = ["--edges", "normal,build", "--prefix", "none", "--no-dedupe"];
    let tree = cargo(&[&of_library[..], &listed].concat());
    let crates = tree.lines().filter_map(|line| line.split_once(" v"));
    crates
        .map(|(name, rest)| {
            let version = rest.split_whitespace().next().unwrap_or_default();
            (name.to_owned(), version.to_owned())
        })
        .collect()
}

#[test]
fn the_library_without_features_has_no_crate_of_one_surface_alone() {
    let dependencies = dependencies("");
    assert!(dependencies.contains_key("wasmtime"), "{dependencies:?}");
    let unwanted: Vec<_> = OF_SURFACES
        .iter()
        .filter(|name| dependencies.contains_key(**name))
        .collect();
    assert!(unwanted.is_empty(), "{unwanted:?}");
}

#[test]
fn a_feature_brings_its_own_crates_and_no_other_s() {
    for (feature, brought) in [
        ("mail", &["lettre", "minijinja"][..]),
        ("openapi", &["utoipa"]),
        ("prerequisites", &["hickory-resolver"]),
        ("trace-files", &["tracing-subscriber"]),
    ] {
        let dependencies = dependencies(feature);
        let found: Vec<_> = OF_SURFACES
            .iter()
            .filter(|name| dependencies.contains_key(**name))
            .collect();
        assert!(found.iter().copied().eq(brought), "{feature}: {found:?}");
    }
}

#[test]
fn no_crate_of_the_library_is_a_pre_release() {
    let mut dependencies = dependencies("mail,openapi,prerequisites,trace-files");
    dependencies.retain(|_, version| version.contains('-'));
    assert!(dependencies.is_empty(), "{dependencies:?}");
}
