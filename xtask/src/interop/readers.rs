//! Installs the tools that read what we write: a Python environment from `tests/interop/requirements.txt`, and the
//! packages of `tests/interop/package.json` on the Node.js of that environment.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::packages;
use super::part::Variable;
use crate::files;
use crate::process;
use crate::workspace::Workspace;

/// The environment variable that tells the tests where the tools are.
const VARIABLE: &str = "INTEROP_TOOLS";

/// The files that say which versions are wanted. Each is copied beside the tools once those versions are installed.
const PINNED: [&str; 3] = ["requirements.txt", "package.json", "package-lock.json"];

/// Installs the tools in the target folder, unless they are there in the versions wanted.
///
/// # Errors
/// The tools can't be downloaded or installed.
pub(super) fn install(workspace: &Workspace) -> Result<Vec<Variable>> {
    let wanted = workspace.root.join("tests/interop");
    let folder = workspace.target.join("interop-tools");
    let npm = folder.join("npm");
    if !is_installed(&wanted, &npm) {
        let has_venv = Command::new("python3").args(["-c", "import ensurepip"]).status();
        if !has_venv.is_ok_and(|status| status.success()) {
            packages::install_packages(&["python3-venv"])?;
        }
        let venv = folder.join("venv");
        process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        let programs = venv.join("bin");
        process::run(
            Command::new(programs.join("pip"))
                .args(["install", "--quiet", "--requirement"])
                .arg(wanted.join("requirements.txt")),
        )?;
        copy(&wanted, &npm, &["package.json", "package-lock.json"])?;
        // npm's first line looks for a `node` in the path, which may have another one.
        process::run(
            Command::new(programs.join("npm"))
                .args(["ci", "--silent", "--ignore-scripts"])
                .current_dir(&npm)
                .env("PATH", with_first(&programs)?),
        )?;
        copy(&wanted, &npm, &PINNED)?;
    }
    Ok(vec![(VARIABLE, folder.into_os_string())])
}

fn is_installed(wanted: &Path, installed: &Path) -> bool {
    PINNED.iter().all(|name| {
        let [wanted, installed] = [wanted, installed].map(|folder| std::fs::read(folder.join(name)));
        matches!((wanted, installed), (Ok(wanted), Ok(installed)) if wanted == installed)
    })
}

fn copy(from: &Path, to: &Path, names: &[&str]) -> Result<()> {
    files::make_folder(to)?;
    for name in names {
        std::fs::copy(from.join(name), to.join(name))
            .with_context(|| format!("`{name}` could not be copied to `{}`", to.display()))?;
    }
    Ok(())
}

fn with_first(folder: &Path) -> Result<std::ffi::OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders)
        .with_context(|| format!("`{}` could not be added to PATH", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_in_other_versions_are_not_taken_for_installed() {
        let (wanted, installed) = (std::env::temp_dir(), std::env::temp_dir());
        let wanted = wanted.join(format!("interop-wanted-{}", std::process::id()));
        let installed = installed.join(format!("interop-installed-{}", std::process::id()));
        std::fs::create_dir_all(&wanted).unwrap();
        for name in PINNED {
            std::fs::write(wanted.join(name), name).unwrap();
        }
        assert!(!is_installed(&wanted, &installed));
        copy(&wanted, &installed, &PINNED).unwrap();
        assert!(is_installed(&wanted, &installed));
        std::fs::write(wanted.join("requirements.txt"), "another version").unwrap();
        assert!(!is_installed(&wanted, &installed));
        std::fs::remove_dir_all(&wanted).unwrap();
        std::fs::remove_dir_all(&installed).unwrap();
    }
}
