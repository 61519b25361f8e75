//! The crash test: the component, in hosts that are killed, against a simulator that is killed.

use std::process::Command;

use anyhow::Result;

use crate::wasm_toolchain::WasmToolchain;
use crate::workspace::Workspace;
use crate::{component, process, toolchain};

/// Builds the component, the host and the harness, and runs it; answers with the harness's exit code.
///
/// # Errors
/// Something could not be built or started.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<u8> {
    toolchain::check()?;
    let component = component::build(workspace, &component::MICROSOFT_ESD, WasmToolchain::Auto)?;
    let second = component::build(workspace, &component::ACME_KEYS, WasmToolchain::Auto)?;
    for component in [&component, &second] {
        eprintln!("{}", component.summary()?);
    }
    process::run(&mut workspace.cargo([
        "build",
        "--workspace",
        "--bin",
        "bss-host",
        "--bin",
        "acme-keys-vendor",
        "--example",
        "crash_test",
    ]))?;
    let mut harness = Command::new(workspace.program("examples/crash_test"));
    harness
        .arg("--bss-host")
        .arg(workspace.program("bss-host"))
        .arg("--plugin")
        .arg(&component.path)
        .arg("--second-plugin")
        .arg(&second.path)
        .arg("--second-vendor")
        .arg(workspace.program("acme-keys-vendor"))
        .args(arguments);
    process::exit_code(&mut harness)
}
