//! The wasmtime CLI's own `run` command, without the others, which nothing here needs.

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "wasmtime", version)]
enum Wasmtime {
    /// Runs a WebAssembly module or component
    Run(wasmtime_cli::commands::RunCommand),
}

fn main() -> ExitCode {
    let Wasmtime::Run(run) = Wasmtime::parse();
    match run.execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:?}");
            ExitCode::FAILURE
        }
    }
}
