//! `bss-host`: the host as a program. What it does is in the library; here it is asked for and shown.

mod cli;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    cli::run(std::env::args_os()).await.into()
}
