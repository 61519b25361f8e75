//! The command line: what was asked, done by the library, shown to a person or a program.

mod alerts;
mod args;
mod assets;
mod audit;
mod bench;
mod certificates;
mod command_line;
mod commands;
mod config;
mod customers;
mod demo;
mod exit_status;
mod failure;
mod files;
mod hidden_input;
mod input;
mod instances;
mod interruption;
mod invoices;
mod log;
mod mail;
mod mail_login;
mod manual;
mod orders;
mod outcome_lines;
mod output;
mod pages;
mod pfx;
mod plugins;
mod prerequisites;
mod products;
mod progress;
mod record;
mod replay;
mod returns;
mod service_manager;
mod services;
mod settings;
mod show;
mod simulator;
mod status;
mod trace;
mod worker;

use std::io::IsTerminal as _;

use clap::FromArgMatches as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use host_harness::call_trace::{self, Collector, TraceGuard, TraceLayer};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::args::Arguments;
use self::exit_status::ExitStatus;
use self::failure::Failure;
use self::settings::Settings;

/// Runs one command line, the program's name first.
pub(crate) async fn run(command_line: impl IntoIterator<Item = std::ffi::OsString>) -> ExitStatus {
    let command_line: Vec<_> = command_line.into_iter().collect();
    let arguments = match arguments(&command_line) {
        Ok(Ok(arguments)) => arguments,
        Ok(Err(failure)) => {
            failure.show(command_line.iter().any(|argument| argument == "--json"));
            return failure.status;
        }
        Err(error) => return not_understood(&error),
    };
    let json = arguments.json;
    let (_until_the_end, ran) = match start_log(&arguments) {
        Ok(until_the_end) => (until_the_end, commands::run(arguments).await),
        Err(failure) => (None, Err(failure)),
    };
    match ran {
        Ok(status) => status,
        Err(failure) => {
            failure.show(json);
            failure.status
        }
    }
}

/// Reads the command line twice: for the name of the configuration file, and with what that file says.
fn arguments(command_line: &[std::ffi::OsString]) -> Result<Result<Arguments, Failure>, clap::Error> {
    let command = command_line::command();
    let first = command.clone().try_get_matches_from(command_line)?;
    let named = first.get_one::<std::path::PathBuf>("config");
    let loaded = Settings::load(named.map(std::path::PathBuf::as_path));
    let (mut settings, command) =
        match loaded.and_then(|settings| settings.apply(command).map(|command| (settings, command))) {
            Ok(loaded) => loaded,
            Err(failure) => return Ok(Err(failure)),
        };
    let mut matches = command.try_get_matches_from(command_line)?;
    settings.note_command_line(&matches);
    let mut arguments = Arguments::from_arg_matches_mut(&mut matches)?;
    arguments.settings = settings;
    Ok(Ok(arguments))
}

/// Shows help that was asked for, or why the command line was not understood.
fn not_understood(error: &clap::Error) -> ExitStatus {
    if let Some(failure) = no_id(error) {
        failure.show(false);
        return failure.status;
    }
    // The failure repeats what was given, which may be a customer's text that a script passed on.
    output::page(&error.render().to_string(), error.use_stderr());
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitStatus::Done,
        _ => ExitStatus::Usage,
    }
}

/// The failure of an argument that is to be an id and is none, in words; `None`: the command line is wrong in another way.
fn no_id(error: &clap::Error) -> Option<Failure> {
    let cause = std::error::Error::source(error)?;
    cause.downcast_ref::<uuid::Error>()?;
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let (value, argument) = (text(ContextKind::InvalidValue)?, text(ContextKind::InvalidArg)?);
    let message = format!("`{value}`, given for `{argument}`, is not an id");
    Some(Failure::usage(message).hint("an id has 36 characters, as the tables and `--json` show it"))
}

/// Starts the log: diagnostics go to the standard error, so that results can be piped; traces of calls go to the data
/// directory, and to a collector where there is one. Drop the guard that is returned last.
fn start_log(arguments: &Arguments) -> Result<Option<TraceGuard>, Failure> {
    // A plugin's warnings are shown by the command's own listener; `-v` shows all that a plugin says.
    let (level, plugin) = match arguments.verbose {
        0 => ("warn", "plugin=error,"),
        1 => ("info", ""),
        _ => ("debug", ""),
    };
    let usual = format!("{level},{plugin}sqlx=warn,hyper=info,rustls=info");
    let asked = arguments.settings.text("log")?;
    // What the filter does not name still warns.
    let asked = asked.map(|asked| format!("warn,{asked}"));
    let filter = EnvFilter::try_new(asked.unwrap_or(usual)).map_err(|error| {
        Failure::usage(format!(
            "`BSS_LOG`, or `log` in the configuration file, is no filter: {error}"
        ))
        .hint("leave it out, or give a level for each part, as in `bss_sandbox=debug,host_harness=info`")
    })?;
    let lines = log::lines(std::io::stderr, std::io::stderr().is_terminal()).with_filter(filter);
    let collector = arguments.otlp.as_deref().filter(|endpoint| !endpoint.is_empty());
    let collector = collector.map(Collector::new).transpose();
    let collector = collector.map_err(|error| {
        Failure::from(error)
            .hint("the address is that of `--otlp` or of the variable `OTEL_EXPORTER_OTLP_ENDPOINT`")
            .on_the_command_line()
    })?;
    let (traces, guard) = arguments
        .command
        .opens_host()
        .then(|| TraceLayer::new(&arguments.data_dir, collector))
        .unzip();
    let spans = Targets::new().with_target(call_trace::TARGET, LevelFilter::INFO);
    // A second command line in one process, as in tests, keeps the first one's log.
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(traces.map(|traces| traces.with_filter(spans)))
        .try_init();
    Ok(guard)
}
