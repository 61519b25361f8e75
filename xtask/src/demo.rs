//! The demo: the component, in its host, against the simulator.

use std::process::Command;

use anyhow::Result;

use crate::wasm_toolchain::WasmToolchain;
use crate::workspace::Workspace;
use crate::{component, toolchain};

/// Builds the component and runs the demo with it; answers with the demo's exit code.
///
/// # Errors
/// Something could not be built or started.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<u8> {
    crate::process::exit_code(command(workspace)?.args(arguments))
}

/// The command line of the demo, after everything it needs was built.
///
/// # Errors
/// A tool is missing, or the component could not be built.
pub(crate) fn command(workspace: &Workspace) -> Result<Command> {
    toolchain::check()?;
    let component = component::build(workspace, &component::MICROSOFT_ESD, WasmToolchain::Auto)?;
    eprintln!("{}", component.summary()?);
    // With the whole workspace's features, so that the tests need not compile the same dependencies with some more.
    crate::process::run(&mut workspace.cargo(["build", "--workspace", "--bin", "bss-host"]))?;
    let mut command = Command::new(workspace.program("bss-host"));
    command.args(["demo", "--plugin"]).arg(component.path);
    Ok(command)
}
