//! The wasmtime CLI, from the crate that its authors publish, with the commands and features that the tests need.

use anyhow::{Result, bail};

use super::Variable;
use crate::process;
use crate::workspace::Workspace;

/// Where the tests find it.
const VARIABLE: &str = "STOCK_WASMTIME";

/// Builds it in a workspace of its own, whose lock file pins it: within ours, its features would be ours too.
///
/// # Errors
/// It can't be built.
pub(super) fn build(workspace: &Workspace) -> Result<Vec<Variable>> {
    let manifest = "tests/interop/wasmtime-cli/Cargo.toml";
    let mut cargo = workspace.cargo(["build", "--locked", "--manifest-path", manifest]);
    // The same target folder: what both workspaces compile alike is compiled once.
    process::run(cargo.arg("--target-dir").arg(&workspace.target))?;
    let program = workspace
        .target
        .join("debug")
        .join(format!("stock-wasmtime{}", std::env::consts::EXE_SUFFIX));
    if !program.is_file() {
        bail!(
            "the build succeeded, but there is no program at `{}`",
            program.display()
        );
    }
    Ok(vec![(VARIABLE, program.into_os_string())])
}
