//! The wasmtime CLI, the adapter that takes a host's place under it, and what puts the adapter and the plugin together.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::Variable;
use crate::args::WasmToolchain;
use crate::component::{self, TARGET};
use crate::process;
use crate::workspace::Workspace;

/// A workspace of its own, whose lock file pins the CLI: within ours, its features would be ours too.
const MANIFEST: &str = "tests/interop/stock/Cargo.toml";

/// The profile of the programs: compiled quickly, but for what compiles the component at every start.
const PROFILE: &str = "stock";

/// Builds all three, and says where they are.
///
/// # Errors
/// One can't be built.
pub(super) fn build(workspace: &Workspace) -> Result<Vec<Variable>> {
    let from = ["build", "--locked", "--manifest-path", MANIFEST];
    let programs = [
        "--profile",
        PROFILE,
        "--package",
        "stock-wasmtime",
        "--package",
        "stock-compose",
    ];
    let mut cargo = workspace.cargo(from.into_iter().chain(programs));
    process::run(cargo.arg("--target-dir").arg(&workspace.target))?;
    let adapter = [
        "--profile",
        "plugin",
        "--package",
        "stock-adapter",
        "--target",
        TARGET,
    ];
    let adapter = component::build_for_wasm(workspace, WasmToolchain::Auto, &[&from[..], &adapter].concat())?;

    let programs = workspace.target.join(PROFILE);
    let program = |name: &str| programs.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let adapter = adapter.target.join(TARGET).join("plugin/stock_adapter.wasm");
    Ok(vec![
        ("STOCK_WASMTIME", found(program("stock-wasmtime"))?.into()),
        ("STOCK_COMPOSE", found(program("stock-compose"))?.into()),
        ("STOCK_ADAPTER", found(adapter)?.into()),
    ])
}

fn found(path: PathBuf) -> Result<PathBuf> {
    if !Path::is_file(&path) {
        bail!(
            "the build succeeded, but there is nothing at `{}`",
            path.display()
        );
    }
    Ok(path)
}
