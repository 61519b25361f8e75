//! `replay`, and the recordings that it plays back.

use std::path::{Path, PathBuf};

use bss_model::ErrorKind;
use clap::Args;
use host_harness::exchange_recording::{Recorder, Recording};
use host_harness::replay::{Difference, ReplayedCall, replay};
use host_harness::{COMPILED_DIRECTORY, Plugin, view};

use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome, machine_failure};
use super::progress::listener;
use super::{output, show};

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 all calls are as recorded, 1 a call differs or the file is not a recording, \
                  2 the command line was not understood, 3 the plugin can't be loaded."
)]
pub(super) struct ReplayArguments {
    /// The recording, a file that `--record` has written
    file: PathBuf,
}

/// Creates a recorder that writes into a file.
pub(super) fn recorder(file: &Path) -> Result<Recorder, Failure> {
    Recorder::create(file).map_err(|error| {
        let message = format!("recording `{}` can't be created: {error}", file.display());
        Failure::new(ErrorKind::Invalid, "file-unwritable", message)
            .hint("name a file that does not exist yet")
    })
}

/// Plays a recording back.
pub(super) async fn run(asked: &ReplayArguments, data_dir: &Path, plugin: &Path, json: bool) -> Outcome {
    let recording = Recording::read(&asked.file)?;
    let (path, compiled) = (plugin.to_owned(), data_dir.join(COMPILED_DIRECTORY));
    let loaded = tokio::task::spawn_blocking(move || Plugin::load(&path, &compiled)).await;
    let plugin = loaded.map_err(machine_failure)??;
    let calls = replay(&recording, &plugin, &listener()).await?;
    if json {
        let views: Vec<_> = calls.iter().map(view::ReplayedCall::from).collect();
        show::json(&views)?;
    } else {
        calls.iter().for_each(show_call);
    }
    let others = calls.iter().filter(|call| !call.differences.is_empty()).count();
    if others == 0 {
        return Ok(ExitStatus::Done);
    }
    let message = format!("{others} of {} calls differ from the recording", calls.len());
    Err(Failure::new(ErrorKind::Refused, "not-as-recorded", message))
}

fn show_call(call: &ReplayedCall) {
    let as_recorded = if call.differences.is_empty() {
        "as recorded"
    } else {
        "not as recorded"
    };
    output::line(format!(
        "{} {}: {}, {} exchanges, {as_recorded}",
        call.function, call.call, call.outcome, call.exchanges
    ));
    for line in &call.last_words {
        output::line(format!("  wrote     {line}"));
    }
    for Difference {
        exchange,
        what,
        recorded,
        now,
    } in &call.differences
    {
        let place = exchange.map_or_else(String::new, |number| format!("exchange {number}, "));
        let or_nothing = |text: &str| match text {
            "" => "nothing".to_owned(),
            text => text.to_owned(),
        };
        output::line(format!("  {place}{what}"));
        output::line(format!("    recorded  {}", or_nothing(recorded)));
        output::line(format!("    now       {}", or_nothing(now)));
    }
}
