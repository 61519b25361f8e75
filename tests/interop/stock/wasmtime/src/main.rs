//! The wasmtime CLI's own `run`, as its authors publish it, without the commands that nothing here needs.
#![expect(clippy::print_stderr, reason = "a command-line tool talks to its terminal")]

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "wasmtime", version)]
enum Command {
    /// Runs a WebAssembly module or component
    Run(wasmtime_cli::commands::RunCommand),
}

fn main() -> ExitCode {
    let Command::Run(run) = Command::parse();
    match run.execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // `Debug` is how the CLI itself shows its errors.
            eprintln!("Error: {error:?}");
            ExitCode::FAILURE
        }
    }
}
