//! Programs from crates.io that a chore needs: installed below the target folder where they are missing.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::workspace::Workspace;

/// A program that cargo can install.
pub(crate) struct Tool {
    /// The name of the crate and of its program.
    pub(crate) name: &'static str,
    /// The version that is installed where there is none; a later one at hand will do.
    pub(crate) version: &'static str,
    /// The features that it is compiled with. None: those that are its defaults.
    pub(crate) features: &'static [&'static str],
}

/// The folder below the target folder into which tools are installed: nobody else's programs are replaced.
pub(crate) fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("tools")
}

impl Tool {
    /// The program, below the target folder or in the path.
    pub(crate) fn find(&self, workspace: &Workspace) -> Option<PathBuf> {
        let programs = [
            folder(workspace).join("bin").join(self.name),
            PathBuf::from(self.name),
        ];
        programs
            .into_iter()
            .find(|program| process::succeeds(Command::new(program).arg("--version")))
    }

    /// The program, which is compiled first where it is missing: that takes a few minutes.
    ///
    /// # Errors
    /// The program could not be installed.
    pub(crate) fn find_or_install(&self, workspace: &Workspace) -> Result<PathBuf> {
        if let Some(program) = self.find(workspace) {
            return Ok(program);
        }
        let version = format!("{}@{}", self.name, self.version);
        // An unoptimized build takes a third of the time to compile, and a tool runs for seconds.
        let mut cargo = workspace.cargo(["install", "--locked", "--debug", &version, "--root"]);
        cargo.arg(folder(workspace));
        if !self.features.is_empty() {
            cargo.args(["--no-default-features", "--features", &self.features.join(",")]);
        }
        process::run(&mut cargo)?;
        self.find(workspace)
            .with_context(|| format!("{} was installed and can't be started", self.name))
    }
}
