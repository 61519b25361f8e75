//! Finds the workspace's root and its target folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process;

/// The checkout we work on.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The folder of the root `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// The folder into which cargo builds; `CARGO_TARGET_DIR` and cargo's configuration can move it.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Asks cargo where the target folder is.
    ///
    /// # Errors
    /// Cargo could not be run in the workspace.
    pub(crate) fn locate() -> Result<Self> {
        // The variable at run time comes first: builds of several checkouts may share one target folder, and
        // with it one xtask binary.
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package
            .parent()
            .map_or_else(|| package.clone(), Path::to_path_buf);
        let metadata = process::stdout(
            process::cargo()
                .args(["metadata", "--format-version", "1", "--no-deps"])
                .current_dir(&root),
        )?;
        let target = target_directory(&metadata).context("`cargo metadata` names no target directory")?;
        Ok(Self { root, target })
    }

    /// Cargo, started in the workspace's root.
    pub(crate) fn cargo<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> std::process::Command {
        let mut command = process::cargo();
        command.args(arguments).current_dir(&self.root);
        command
    }

    /// A program that a build of the development profile has put into the target folder.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        self.target.join("debug").join(file)
    }
}

/// The value of `target_directory` in cargo's metadata: one string does not justify a JSON parser, which
/// every chore would have to wait for.
fn target_directory(metadata: &str) -> Option<PathBuf> {
    let (_, rest) = metadata.split_once(r#""target_directory":""#)?;
    let mut path = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return Some(PathBuf::from(path)),
            '\\' => path.push(characters.next()?),
            plain => path.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_directory_is_read_from_cargos_metadata() {
        let metadata = r#"{"packages":[],"target_directory":"/home/me/a \"b\"/target","version":1}"#;
        assert_eq!(
            target_directory(metadata),
            Some(PathBuf::from(r#"/home/me/a "b"/target"#))
        );
    }

    #[test]
    fn metadata_without_a_target_directory_or_cut_in_half_is_refused() {
        assert_eq!(target_directory(r#"{"packages":[]}"#), None);
        assert_eq!(target_directory(r#"{"target_directory":"/home/me"#), None);
    }
}
