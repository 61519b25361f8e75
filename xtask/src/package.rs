//! Packages the crates that an embedder needs, and compiles them from their packages alone.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;
use crate::{files, process};

/// The crates that an embedder needs: the library, what it stands on, and the simulator for tests. One that is missing
/// here is missed by those that depend on it.
const PACKAGES: [&str; 6] = [
    "bss-keys",
    "bss-model",
    "bss-record",
    "bss-sandbox",
    "bss-simulator",
    "host-harness",
];

/// The version of all of them.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The heading in `Cargo.toml` with which the profiles of development begin.
const PROFILES: &str = "[profile.dev]\n";

/// Packages the crates as they are in the checkout, unpacks them beside each other, and compiles them there: the library
/// without features, and all with all features.
///
/// Cargo's own verification does the same with every dependency compiled anew. Here all but our own crates are those of
/// the other checks: the profiles and the target folder are the workspace's.
///
/// # Errors
/// A package can't be made, or does not compile.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut cargo = workspace.cargo(["package", "--offline", "--no-verify", "--allow-dirty"]);
    process::run(cargo.args(PACKAGES.iter().flat_map(|name| ["--package", name])))?;
    let packages = workspace.target.join("package");
    let unpacked = packages.join("unpacked");
    files::remove_folder(&unpacked)?;
    files::make_folder(&unpacked)?;
    for name in PACKAGES {
        unpack(&packages.join(format!("{}.crate", folder(name))), &unpacked)?;
    }
    let root = fs::read_to_string(workspace.root.join("Cargo.toml"))?;
    files::write(&unpacked.join("Cargo.toml"), manifest(&root)?)?;
    let lock = workspace.root.join("Cargo.lock");
    fs::copy(&lock, unpacked.join("Cargo.lock"))
        .with_context(|| format!("`{}` can't be copied", lock.display()))?;
    for selection in [
        &["--package", "host-harness"][..],
        &["--workspace", "--all-features"],
    ] {
        let mut cargo = process::cargo();
        cargo
            .args(["check", "--offline", "--target-dir"])
            .arg(&workspace.target);
        process::run(cargo.args(selection).current_dir(&unpacked))?;
    }
    eprintln!(
        "{} packages compile by themselves: {}",
        PACKAGES.len(),
        packages.display()
    );
    Ok(())
}

/// Unpacks a package. Its files get the time of now: by the old ones that a package has, cargo would take them for what it
/// compiled last.
fn unpack(package: &Path, into: &Path) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--gzip", "--touch", "--file"])
        .arg(package)
        .arg("--directory")
        .arg(into);
    process::run(&mut tar)
}

/// The folder that a package is unpacked into.
fn folder(name: &str) -> String {
    format!("{name}-{VERSION}")
}

/// The manifest of a workspace of the unpacked packages, which find each other as if a registry had them. `root`: that of
/// the checkout, for its profiles.
fn manifest(root: &str) -> Result<String> {
    let Some((_, profiles)) = root.split_once(PROFILES) else {
        bail!("`Cargo.toml` has no section `{}`", PROFILES.trim());
    };
    let members = PACKAGES.map(|name| format!("{:?}", folder(name))).join(", ");
    let patches = PACKAGES.map(|name| format!("{name} = {{ path = {:?} }}\n", folder(name)));
    Ok(format!(
        "[workspace]\nmembers = [{members}]\nresolver = \"3\"\n\n[patch.crates-io]\n{}\n{PROFILES}{profiles}",
        patches.concat()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unpacked_packages_find_each_other_and_are_compiled_with_the_workspace_s_profiles() {
        let manifest = manifest("[profile.release]\nlto = true\n\n[profile.dev]\ndebug = false\n").unwrap();
        assert!(manifest.contains(&format!("bss-keys = {{ path = \"bss-keys-{VERSION}\" }}\n")));
        assert!(manifest.contains(&format!("\"host-harness-{VERSION}\"]\n")));
        assert!(manifest.ends_with("[profile.dev]\ndebug = false\n") && !manifest.contains("lto"));
        assert!(super::manifest("[profile.release]\n").is_err());
    }

    #[test]
    fn the_project_s_own_manifest_has_the_profiles() {
        assert!(manifest(include_str!("../../Cargo.toml")).is_ok());
    }

    #[test]
    fn ci_compiles_the_packages() {
        assert!(
            include_str!("../../.ci/run").contains("\nstage \"cargo xtask package\" cargo xtask package\n")
        );
    }
}
