//! The command line: what was asked, done by the library, shown to a person or a program.

mod alert_command;
mod alerts;
mod api_clients;
mod args;
mod assets;
mod audit;
mod bench;
mod bulk;
mod certificates;
mod charges;
mod command_line;
mod commands;
mod completions;
mod config;
mod contact_doubts;
mod csv_file;
mod csv_lines;
mod customers;
mod database;
mod demo;
mod demo_console;
mod exit_status;
mod failure;
mod files;
mod find;
mod former_key;
mod hidden_input;
mod host_key;
mod host_key_command;
mod host_keys;
mod init;
mod input;
mod instances;
mod interruption;
mod limits;
mod log;
mod mail;
mod mail_choices;
mod mail_login;
mod mail_preview;
mod mail_table;
mod manual;
mod operators;
mod order_list;
mod orders;
mod outcome_lines;
mod output;
mod pages;
mod period;
mod pfx;
mod platforms;
mod plugins;
mod prerequisites;
mod price_list;
mod prices;
mod products;
mod progress;
mod reconcile;
mod record;
mod replay;
mod report;
mod returns;
mod seller;
mod serve;
mod service_manager;
mod services;
mod settings;
mod show;
mod simulator;
mod statement;
mod status;
mod trace;
mod typed_ids;
mod webhooks;
mod worker;
mod worker_list;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};

use clap::FromArgMatches as _;
use clap::error::ErrorKind;
use host_harness::call_trace::{self, Collector, TraceGuard, TraceLayer};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::args::{Arguments, LogFormat};
use self::exit_status::ExitStatus;
use self::failure::{Failure, Outcome, machine_failure};
use self::settings::Settings;

/// Runs one command line, the program's name first.
pub(crate) async fn run(command_line: impl IntoIterator<Item = OsString>) -> ExitStatus {
    let command_line: Vec<_> = command_line.into_iter().collect();
    let arguments = match arguments(&command_line) {
        Ok(arguments) => arguments,
        Err(NotUnderstood::Settings(failure)) => {
            failure.show(command_line.iter().any(|argument| argument == "--json"));
            return failure.status;
        }
        Err(NotUnderstood::Line(error)) => return not_understood(&error),
    };
    let json = arguments.json;
    let ran = in_its_directory(arguments).await;
    let status = match ran {
        Ok(status) => status,
        Err(failure) => {
            failure.show(json);
            failure.status
        }
    };
    match output::lost() {
        // What was asked is done, and who asked did not learn of all that came of it.
        Some(error) if matches!(status, ExitStatus::Done | ExitStatus::Attention) => {
            let failure = output_lost(error);
            failure.show(false);
            failure.status
        }
        _ => status,
    }
}

/// Runs the command in its data directory, which is one for the time of a demo where that is asked for.
async fn in_its_directory(mut arguments: Arguments) -> Outcome {
    let scratch = arguments.command.is_console_demo().then(demo_console::folder);
    let scratch = scratch.transpose()?;
    if let Some(scratch) = &scratch {
        arguments.data_dir = demo_console::data_dir(scratch.path());
    }
    let _until_the_end = start_log(&arguments)?;
    commands::run(arguments).await
}

/// The failure to write all results.
fn output_lost(error: io::Error) -> Failure {
    machine_failure(error)
        .after("the standard output could not be written, and what was to be shown is not all there")
        .hint("what was asked is done; lists, `order show` and the other commands that show things can be repeated")
}

/// Reads the command line twice: for the name of the configuration file, and with what that file and the environment say.
fn arguments(command_line: &[OsString]) -> Result<Arguments, NotUnderstood> {
    let command = command_line::command();
    let settings = Settings::load(&command.clone().try_get_matches_from(command_line)?)?;
    let command = settings.apply(command);
    let refused = |error| {
        settings
            .refused(&error)
            .map_or(NotUnderstood::Line(error), NotUnderstood::Settings)
    };
    let mut matches = command
        .clone()
        .try_get_matches_from(command_line)
        .map_err(refused)?;
    if matches.subcommand_name() == Some("config") {
        // What only the worker looks at is looked at here, too.
        for command_with_settings in ["run", "serve"] {
            command
                .clone()
                .try_get_matches_from(["bss-host", command_with_settings])
                .map_err(refused)?;
        }
    }
    let arguments = Arguments::from_arg_matches_mut(&mut matches)?;
    Ok(Arguments {
        settings,
        ..arguments
    })
}

/// Why there are no arguments: help was asked for, the command line was not understood, or something is wrong with a setting.
enum NotUnderstood {
    Line(clap::Error),
    Settings(Failure),
}

impl From<clap::Error> for NotUnderstood {
    fn from(error: clap::Error) -> Self {
        Self::Line(error)
    }
}

impl From<Failure> for NotUnderstood {
    fn from(failure: Failure) -> Self {
        Self::Settings(failure)
    }
}

/// Shows help that was asked for, or why the command line was not understood.
fn not_understood(error: &clap::Error) -> ExitStatus {
    // The failure repeats what was given, which may be a customer's text that a script passed on.
    output::page(&error.render().to_string(), error.use_stderr());
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitStatus::Done,
        _ => ExitStatus::Usage,
    }
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
    let asked = arguments.log.as_deref().filter(|filter| !filter.is_empty());
    // What the filter does not name still warns.
    let asked = asked.map(|asked| format!("warn,{asked}"));
    let filter = EnvFilter::try_new(asked.unwrap_or(usual)).map_err(|error| {
        Failure::usage(format!(
            "the value of `--log`, `BSS_LOG` or `log` in the configuration file is no filter: {error}"
        ))
        .hint("leave it out, or give a level for each part, as in `bss_sandbox=debug,host_harness=info`")
    })?;
    let is_json = arguments.log_format == LogFormat::Json;
    output::notes_as_json(is_json);
    let lines = match is_json {
        true => log::json_lines(std::io::stderr).boxed(),
        false => log::lines(std::io::stderr, std::io::stderr().is_terminal()).boxed(),
    };
    let lines = lines.with_filter(filter);
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
