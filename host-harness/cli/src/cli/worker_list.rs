//! `worker list`: the workers that are alive, on all hosts.

use clap::Subcommand;
use host_harness::{Host, view};

use super::exit_status::ExitStatus;
use super::failure::Outcome;
use super::{output, show};

#[derive(Debug, Subcommand)]
pub(super) enum WorkerCommand {
    /// List the workers that have said in time that they are alive, by their start
    List,
}

pub(super) async fn run(host: &Host, command: &WorkerCommand, json: bool) -> Outcome {
    let WorkerCommand::List = command;
    let workers = host.record().living_workers().await?;
    let workers: Vec<_> = workers.iter().map(view::Worker::from).collect();
    if json {
        show::json(&workers)?;
        return Ok(ExitStatus::Done);
    }
    if workers.is_empty() {
        output::note("no worker is alive: start one with `bss-host run`, or with `bss-host serve`");
        return Ok(ExitStatus::Done);
    }
    let mut table = show::table(&["Worker", "Machine", "Process", "Version", "Since", "Under way"]);
    for worker in workers {
        table.add_row([
            worker.id.to_string(),
            worker.machine.unwrap_or_default(),
            worker.process_id.map_or_else(String::new, |id| id.to_string()),
            worker.version.unwrap_or_default(),
            worker.started_at_ms.map_or_else(String::new, show::time),
            worker.under_way.to_string(),
        ]);
    }
    output::table(&table);
    Ok(ExitStatus::Done)
}
