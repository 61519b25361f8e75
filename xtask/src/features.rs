//! Compiles the library as embedders do: without features, and with each one alone.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::workspace::Workspace;

/// The package that embedders depend on.
const LIBRARY: &str = "host-harness";

/// Its manifest.
const MANIFEST: &str = "host-harness/Cargo.toml";

/// Compiles the library without features and with each one alone, and refuses warnings.
///
/// # Errors
/// A set of features does not compile without a warning; the message has its command line.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let manifest = fs::read_to_string(workspace.root.join(MANIFEST))
        .with_context(|| format!("`{MANIFEST}` can't be read"))?;
    let features = names(&manifest);
    if features.is_empty() {
        bail!("`{MANIFEST}` has no features");
    }
    for alone in std::iter::once("").chain(features) {
        eprintln!("    {LIBRARY} with the features `{alone}`");
        // Clippy compiles what `cargo check` does, and refuses warnings without compiling all dependencies anew.
        let mut cargo = workspace.cargo(["clippy", "--package", LIBRARY, "--lib"]);
        cargo.args(["--no-default-features", "--features", alone]);
        process::run(cargo.args(["--", "--deny", "warnings"]))?;
    }
    Ok(())
}

/// The names of the features in a manifest, without `default`.
fn names(manifest: &str) -> Vec<&str> {
    let lines = manifest.lines().skip_while(|line| *line != "[features]").skip(1);
    let section = lines.take_while(|line| !line.starts_with('['));
    let names = section.filter_map(|line| line.split_once(" = ").map(|(name, _)| name));
    names
        .filter(|name| !name.starts_with('#') && *name != "default")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_features_are_those_of_their_section_without_default() {
        let manifest = "[package]\nname = \"a\"\n\n[features]\ndefault = []\n# b = c\nmail = [\"dep:x\"]\nlog = []\n\n[dependencies]\nx = \"1\"\n";
        assert_eq!(names(manifest), ["mail", "log"]);
        assert!(names("[dependencies]\nx = \"1\"\n").is_empty());
    }

    #[test]
    fn the_library_has_features_to_check() {
        assert!(names(include_str!("../../host-harness/Cargo.toml")).contains(&"mail"));
    }
}
