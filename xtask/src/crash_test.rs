//! The crash test: the component, in hosts that are killed, against a simulator that is killed.

use std::path::PathBuf;
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
    let packages = ["bss-host", "host-harness", "acme-keys-vendor"];
    let build = packages.iter().flat_map(|package| ["--package", package]);
    let targets = [
        "--bin",
        "bss-host",
        "--bin",
        "acme-keys-vendor",
        "--example",
        "crash_test",
    ];
    process::run(&mut workspace.cargo(["build"].into_iter().chain(build).chain(targets)))?;
    let mut harness = Command::new(built(workspace, "examples/crash_test"));
    harness
        .arg("--bss-host")
        .arg(built(workspace, "bss-host"))
        .arg("--plugin")
        .arg(&component.path)
        .arg("--second-plugin")
        .arg(&second.path)
        .arg("--second-vendor")
        .arg(built(workspace, "acme-keys-vendor"))
        .args(arguments);
    process::exit_code(&mut harness)
}

/// The path of a program of the development profile.
fn built(workspace: &Workspace, name: &str) -> PathBuf {
    let debug = workspace.target.join("debug");
    debug.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}
