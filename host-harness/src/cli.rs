//! The command line: what was asked, done by the library, shown to a person or a program.

mod args;
mod assets;
#[cfg(feature = "bench")]
mod bench;
mod certificates;
mod commands;
mod demo;
mod instances;
mod invoices;
mod mail;
mod orders;
mod pfx;
mod prerequisites;
mod products;
mod returns;
mod services;
mod show;
mod worker;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use self::args::Arguments;

/// How a command ended, as its exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// 0: it was done.
    Done,
    /// 1: it was refused, and nothing was changed.
    Refused,
    /// 2: it was not understood.
    Usage,
    /// 3: there was no answer, or none that settles it.
    NoAnswer,
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        ExitCode::from(match ending {
            Ending::Done => 0,
            Ending::Refused => 1,
            Ending::Usage => 2,
            Ending::NoAnswer => 3,
        })
    }
}

/// Runs one command line, the program's name first.
pub(crate) async fn run(command_line: impl IntoIterator<Item = std::ffi::OsString>) -> Ending {
    let arguments = match Arguments::try_parse_from(command_line) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing is left to be told of a terminal that is gone.
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ending::Done,
                _ => Ending::Usage,
            };
        }
    };
    start_log(arguments.verbose);
    match commands::run(arguments).await {
        Ok(ending) => ending,
        Err(failure) => {
            show::failure(&failure);
            failure.ending
        }
    }
}

/// Diagnostics go to the standard error, so that results can be piped.
fn start_log(verbose: u8) {
    // A plugin's warnings are shown by the command's own listener; `-v` shows all that a plugin says.
    let (level, plugin) = match verbose {
        0 => ("warn", "plugin=error,"),
        1 => ("info", ""),
        _ => ("debug", ""),
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("BSS_LOG").unwrap_or_else(|_| {
        tracing_subscriber::EnvFilter::new(format!("{level},{plugin}sqlx=warn,hyper=info,rustls=info"))
    });
    // A second command line in one process, as in tests, keeps the first one's log.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}
