//! PostgreSQL's programs, where they are installed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::ServerError;

/// The oldest version that the record is made for.
const OLDEST: u32 = 15;
/// Where Debian has the programs of each version, which are not in PATH.
const DEBIANS: &str = "/usr/lib/postgresql";

/// The folder of the programs of one version.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Finds those in PATH, or else the newest of Debian's.
    pub(crate) fn find() -> Result<Self, ServerError> {
        let path = env::var_os("PATH").unwrap_or_default();
        Self::find_in(env::split_paths(&path), Path::new(DEBIANS))
    }

    fn find_in(path: impl Iterator<Item = PathBuf>, debians: &Path) -> Result<Self, ServerError> {
        let mut in_path = path.filter_map(|folder| usable(folder).map(|(_, folder)| folder));
        let installed = fs::read_dir(debians).into_iter().flatten().flatten();
        let newest_installed = || {
            installed
                .filter_map(|entry| usable(entry.path().join("bin")))
                .max()
        };
        let folder = in_path.next().or_else(|| Some(newest_installed()?.1));
        let folder = folder.ok_or(ServerError::Missing { oldest: OLDEST })?;
        Ok(Self { folder })
    }

    /// The path of a program.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A program that hears and says nothing yet. Variables that would lead it to another server are taken away.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.path(name));
        for (variable, _) in env::vars_os() {
            if variable.to_string_lossy().starts_with("PG") {
                command.env_remove(variable);
            }
        }
        command.current_dir("/").stdin(Stdio::null());
        command
    }
}

/// The version of the programs of a folder, and the folder, where they will do.
fn usable(folder: PathBuf) -> Option<(u32, PathBuf)> {
    let has_all = ["initdb", "postgres", "psql"]
        .iter()
        .all(|name| folder.join(name).is_file());
    if !has_all {
        return None;
    }
    let said = Command::new(folder.join("postgres"))
        .arg("--version")
        .output()
        .ok()?;
    let version = major_version(&String::from_utf8_lossy(&said.stdout))?;
    (version >= OLDEST).then_some((version, folder))
}

/// The major version in what `postgres --version` says.
fn major_version(said: &str) -> Option<u32> {
    let (_, version) = said.split_once("(PostgreSQL) ")?;
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::iter;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A folder of programs that say they are of a version.
    fn pretended(root: &Path, name: &str, version: &str) -> PathBuf {
        let folder = root.join(name).join("bin");
        fs::create_dir_all(&folder).unwrap();
        for program in ["initdb", "postgres", "psql"] {
            let script = format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n");
            fs::write(folder.join(program), script).unwrap();
            fs::set_permissions(folder.join(program), fs::Permissions::from_mode(0o755)).unwrap();
        }
        folder
    }

    #[test]
    fn the_newest_of_debians_is_taken() {
        let root = tempfile::tempdir().unwrap();
        pretended(root.path(), "9.6", "9.6.24 (Debian 9.6.24-0)");
        let newest = pretended(root.path(), "17", "17beta1");
        pretended(root.path(), "16", "16.4 (Debian 16.4-1)");
        let found = Programs::find_in(iter::empty(), root.path()).unwrap();
        assert_eq!(found.folder, newest);
    }

    #[test]
    fn those_in_path_go_before_newer_ones_elsewhere_unless_they_are_too_old() {
        let root = tempfile::tempdir().unwrap();
        pretended(root.path(), "17", "17.1");
        let elsewhere = tempfile::tempdir().unwrap();
        let old = pretended(elsewhere.path(), "14", "14.13");
        let fit = pretended(elsewhere.path(), "15", "15.18");
        let none = elsewhere.path().to_owned();
        let path = [none, old, fit.clone()].into_iter();
        assert_eq!(Programs::find_in(path, root.path()).unwrap().folder, fit);
    }

    #[test]
    fn a_machine_without_a_server_is_told_the_package() {
        let root = tempfile::tempdir().unwrap();
        pretended(root.path(), "14", "14.13");
        let error = Programs::find_in(iter::empty(), root.path()).unwrap_err();
        assert!(matches!(error, ServerError::Missing { oldest: OLDEST }));
        assert!(
            error.to_string().contains("Debian's package is `postgresql`"),
            "{error}"
        );
    }

    #[test]
    fn a_version_is_read_from_what_a_server_says_of_itself() {
        assert_eq!(
            major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0)\n"),
            Some(15)
        );
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_version("something else 15.18\n"), None);
        assert_eq!(major_version("postgres (PostgreSQL) devel\n"), None);
    }
}
