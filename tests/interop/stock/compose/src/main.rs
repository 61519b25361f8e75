//! `stock-compose PLUGIN ADAPTER OUTPUT`: satisfies a component's imports with the exports of another, as `wac plug`
//! does.
#![expect(clippy::print_stderr, reason = "a command-line tool talks to its terminal")]

use std::error::Error;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, plug};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [plugin, adapter, output] = arguments.as_slice() else {
        eprintln!("usage: stock-compose PLUGIN ADAPTER OUTPUT");
        return ExitCode::from(2);
    };
    match compose(plugin.as_ref(), adapter.as_ref(), output.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compose(plugin: &Path, adapter: &Path, output: &Path) -> Result<(), Box<dyn Error>> {
    let mut graph = CompositionGraph::new();
    let package = Package::from_file("stock:plugin", None, plugin, graph.types_mut())?;
    let plugin = graph.register_package(package)?;
    let package = Package::from_file("stock:adapter", None, adapter, graph.types_mut())?;
    let adapter = graph.register_package(package)?;
    plug(&mut graph, vec![adapter], plugin)?;
    std::fs::write(output, graph.encode(EncodeOptions::default())?)?;
    Ok(())
}
