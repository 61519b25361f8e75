//! Installs what is missing on this machine, from Debian's packages.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// Installs the packages of those programs that are missing; only root may.
pub(super) fn install(programs: &[(&str, &'static str)]) -> Result<()> {
    let mut packages: Vec<_> = programs
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(_, package)| *package)
        .collect();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    install_packages(&packages)
}

/// Installs Debian packages; only root may.
pub(super) fn install_packages(packages: &[&str]) -> Result<()> {
    let is_root = process::stdout(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_root || !is_there("apt-get") {
        bail!(
            "packages are missing on this machine: {}\nhint: install these packages; the names are Debian's",
            packages.join(", ")
        );
    }
    process::run(Command::new("apt-get").args(["-qq", "update"]))?;
    process::run(
        Command::new("apt-get")
            .args(["-qq", "--yes", "--no-install-recommends", "install"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

/// Whether a program is in the path, or in the folders that only root has there, where nginx is.
fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_missing_is_noticed() {
        assert!(is_there("sh"));
        assert!(!is_there("no-such-program-here"));
        install(&[("sh", "dash")]).unwrap();
    }
}
