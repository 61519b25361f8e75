//! Builds the wasmtime CLI, the adapter that takes a host's place under it, and the composer, which puts the adapter
//! and the plugin together.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::part::Variable;
use crate::wasm_toolchain::{TARGET, WasmToolchain};
use crate::workspace::Workspace;
use crate::{component, process};

/// The manifest of a workspace of its own, whose lock file pins the CLI: within our workspace, the CLI's features would
/// be ours too.
pub(super) const MANIFEST: &str = "tests/interop/stock/Cargo.toml";

/// The profile of the programs: compiled quickly, but for the crates that compile the component at every start.
const PROFILE: &str = "stock";

const BUILD: [&str; 4] = ["build", "--locked", "--manifest-path", MANIFEST];

/// Builds the CLI, the adapter and the composer, and says where they are.
///
/// # Errors
/// When a program can't be built.
pub(super) fn build(workspace: &Workspace) -> Result<Vec<Variable>> {
    let mut variables = build_composer(workspace)?;
    variables.push(("STOCK_WASMTIME", program(workspace, "stock-wasmtime")?));
    Ok(variables)
}

/// Builds the adapter and the composer, and says where they are.
///
/// # Errors
/// When a program can't be built.
pub(super) fn build_composer(workspace: &Workspace) -> Result<Vec<Variable>> {
    let compose = program(workspace, "stock-compose")?;
    let adapter = [
        "--profile",
        "plugin",
        "--package",
        "stock-adapter",
        "--target",
        TARGET,
    ];
    let adapter =
        component::build_for_wasm(workspace, WasmToolchain::Auto, &[&BUILD[..], &adapter].concat())?;
    let adapter = adapter.target.join(TARGET).join("plugin/stock_adapter.wasm");
    Ok(vec![
        ("STOCK_COMPOSE", compose),
        ("STOCK_ADAPTER", found(adapter)?.into()),
    ])
}

/// Builds a program of the workspace at [`MANIFEST`], and says where it is.
fn program(workspace: &Workspace, name: &str) -> Result<OsString> {
    let mut cargo = workspace.cargo(BUILD.into_iter().chain(["--profile", PROFILE, "--package", name]));
    process::run(cargo.arg("--target-dir").arg(&workspace.target))?;
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    Ok(found(workspace.target.join(PROFILE).join(file))?.into())
}

fn found(path: PathBuf) -> Result<PathBuf> {
    if !Path::is_file(&path) {
        bail!(
            "the build succeeded, but there is no program at `{}`",
            path.display()
        );
    }
    Ok(path)
}
