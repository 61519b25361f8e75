//! What may be linked: licenses, banned crates and sources always, known vulnerabilities where their list can be had.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::tool::{self, Tool};
use crate::workspace::Workspace;

const CARGO_DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
    features: &[],
};

/// The variable that names a clone of the advisory database, for machines without a way to it.
const DATABASE_VARIABLE: &str = "BSS_ADVISORY_DB";

/// The name that cargo-deny gives its clone of <https://github.com/RustSec/advisory-db>.
const DATABASE: &str = "advisory-db-3157b0e258782691";

/// The heading in `deny.toml` below which the place of the database belongs.
const HEADING: &str = "[advisories]\n";

/// Checks all that links, and installs cargo-deny first where it is missing, which takes a few minutes.
///
/// # Errors
/// The check failed, or cargo-deny could not be installed.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    check(workspace, &CARGO_DENY.find_or_install(workspace)?)
}

/// Checks all that links if cargo-deny is there. `false`: it is not.
///
/// # Errors
/// The check failed.
pub(crate) fn run_if_installed(workspace: &Workspace) -> Result<bool> {
    let Some(program) = CARGO_DENY.find(workspace) else {
        return Ok(false);
    };
    check(workspace, &program)?;
    Ok(true)
}

fn check(workspace: &Workspace, program: &Path) -> Result<()> {
    // The lock file and what cargo has fetched are enough for these; no network is needed.
    process::run(
        deny(workspace, program)
            .args(["--offline", "check", "--hide-inclusion-graph"])
            .args(["licenses", "bans", "sources"]),
    )?;
    match std::env::var_os(DATABASE_VARIABLE) {
        Some(database) => check_against(workspace, program, Path::new(&database)),
        None if process::succeeds(deny(workspace, program).args(["fetch", "db"])) => {
            process::run(deny(workspace, program).args(["check", "advisories"]))?;
            eprintln!("advisories: checked against the database as it is now");
            Ok(())
        }
        None => {
            eprintln!(
                "advisories: NOT CHECKED, because their database at github.com can't be reached\n\
                 hint: `{DATABASE_VARIABLE}` names a clone of https://github.com/RustSec/advisory-db"
            );
            Ok(())
        }
    }
}

/// Checks for known vulnerabilities with a clone of the database that somebody has made.
fn check_against(workspace: &Workspace, program: &Path, database: &Path) -> Result<()> {
    let database = fs::canonicalize(database)
        .with_context(|| format!("`{DATABASE_VARIABLE}` names `{}`", database.display()))?;
    let folder = tool::folder(workspace).join("advisories");
    fs::create_dir_all(&folder)?;
    let link = folder.join(DATABASE);
    // A link of an earlier run may lead to another database.
    let _ = fs::remove_file(&link);
    symlink(&database, &link)?;
    let configuration = fs::read_to_string(workspace.root.join("deny.toml"))?;
    let file = folder.join("deny.toml");
    fs::write(&file, with_database(&configuration, &folder)?)?;
    process::run(
        deny(workspace, program)
            .args(["--offline", "--config"])
            .arg(&file)
            .args(["check", "advisories"]),
    )?;
    eprintln!("advisories: checked against `{}`", database.display());
    Ok(())
}

/// The configuration with another place for databases.
fn with_database(configuration: &str, folder: &Path) -> Result<String> {
    let Some((before, after)) = configuration.split_once(HEADING) else {
        bail!("`deny.toml` has no section `{}`", HEADING.trim());
    };
    Ok(format!("{before}{HEADING}db-path = {folder:?}\n{after}"))
}

/// Starts cargo-deny in the workspace. It shows errors only: `deny.toml` says which warnings there are.
fn deny(workspace: &Workspace, program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--log-level", "error"])
        .current_dir(&workspace.root)
        // A mirror that wants a password is no reason to wait for one.
        .env("GIT_TERMINAL_PROMPT", "0");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_the_database_stands_in_its_section_and_the_rest_stays() {
        let text = with_database("a\n[advisories]\nyanked = \"deny\"\n", Path::new("/d b")).unwrap();
        assert_eq!(text, "a\n[advisories]\ndb-path = \"/d b\"\nyanked = \"deny\"\n");
        assert!(with_database("[licenses]\n", Path::new("/d")).is_err());
    }

    #[test]
    fn the_project_s_own_configuration_has_the_section() {
        assert!(with_database(include_str!("../../deny.toml"), Path::new("/d")).is_ok());
    }

    #[test]
    fn ci_checks_what_may_be_linked() {
        assert!(include_str!("../../.ci/run").contains("\nstage \"cargo xtask deny\" cargo xtask deny\n"));
    }
}
