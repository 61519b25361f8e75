//! Starts the program once more, as a part of a benchmark.

use std::path::PathBuf;
use std::process::Command;

use bss_bench::BenchError;

/// A command that runs this program once more, beside this process.
pub(super) fn this_program(arguments: &[&str]) -> Result<Command, BenchError> {
    let program: PathBuf = std::env::current_exe()
        .map_err(|error| BenchError::unusable(format!("the path of this program can't be found: {error}")))?;
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}
