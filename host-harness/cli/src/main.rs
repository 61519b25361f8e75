//! `bss-host`: the host as a program. What it does is in the library; here it is asked for and shown.

mod cli;
#[cfg(test)]
#[path = "../../../tests/architecture/pages.rs"]
mod pages;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    leave_no_core_dump();
    cli::run(std::env::args_os()).await.into()
}

/// Has the system write no memory of this process to a file when it crashes: private keys and product keys are in it.
fn leave_no_core_dump() {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let nothing = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // A limit can always be lowered.
    let _ = setrlimit(Resource::Core, nothing);
}
