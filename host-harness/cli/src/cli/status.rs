//! `status`: how the host is, for a person and for monitoring.

use clap::Args;
use host_harness::{Host, view};

use super::exit_status::ExitStatus;
use super::failure::Outcome;
use super::{alerts, output, show};

#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    /// End with 4 also where no worker is alive, for the monitoring of a host whose worker always runs
    #[arg(long)]
    expect_worker: bool,
}

pub(super) async fn run(host: &Host, arguments: &StatusArguments, json: bool) -> Outcome {
    let status = host.status().await?;
    if json {
        show::json(&status)?;
    } else {
        show_status(&status);
        for warning in &status.database_warnings {
            output::note(warning.as_str());
        }
    }
    let end = alerts::end(status.open_alerts);
    if arguments.expect_worker && status.workers.is_empty() {
        output::note("no worker is alive: start `bss-host run`");
        return Ok(ExitStatus::Attention);
    }
    Ok(end)
}

fn show_status(status: &view::Status) {
    let mut table = show::table(&["What", "State"]);
    for (what, state) in [
        ("Workers", workers(status)),
        (
            "Licenses to be bought or looked up",
            status.open_licenses.to_string(),
        ),
        (
            "The oldest of them was ordered",
            status
                .oldest_open_license_at_ms
                .map(show::time)
                .unwrap_or_default(),
        ),
        ("Returns under way", status.open_returns.to_string()),
        ("Cancellations to decide", to_decide(status)),
        ("E-mails to be sent", status.waiting_mails.to_string()),
        ("E-mails held back", status.held_mails.to_string()),
        ("In the way of e-mails", mail_stop(status)),
        (
            "Certificates that expire within 30 days",
            status.expiring_certificates.to_string(),
        ),
        (
            "Free on the disk",
            format!("{} MB", status.disk_free_bytes / 1_000_000),
        ),
        (
            "Buying",
            match status.awaits_adoption {
                true => "waits for `bss-host record adopt`".to_owned(),
                false => String::new(),
            },
        ),
        ("Sealed with former host keys", former_host_keys(status)),
        ("Open alerts", status.open_alerts.to_string()),
    ] {
        if state.is_empty() {
            continue;
        }
        table.add_row([what, &state]);
    }
    output::table(&table);
}

/// The number of workers, and the processes that they are of.
fn workers(status: &view::Status) -> String {
    let mut processes: Vec<String> = status
        .workers
        .iter()
        .filter_map(|worker| Some((worker.process_id?, worker.started_at_ms?)))
        .map(|(process, since)| format!("process {process} since {}", show::time(since)))
        .collect();
    // Two of a process, for licenses and for e-mails, are started in one moment.
    processes.dedup();
    match &processes[..] {
        [] => status.workers.len().to_string(),
        processes => format!("{}: {}", status.workers.len(), processes.join(", ")),
    }
}

fn to_decide(status: &view::Status) -> String {
    let count = status.requested_cancellations;
    let oldest = status.oldest_requested_cancellation_at_ms;
    oldest.map_or_else(
        || count.to_string(),
        |oldest| format!("{count}, the oldest since {}", show::time(oldest)),
    )
}

/// What other host keys than the first are still needed for. No advice to rotate: on a host that lists the keys in another order than the
/// others, it would seal everything with the wrong one.
fn former_host_keys(status: &view::Status) -> String {
    match status.values_of_former_host_keys {
        None => String::new(),
        Some(0) => "no value on record".to_owned(),
        Some(values) => format!(
            "{} on record; `bss-host key list` shows which",
            show::counted(values, "value")
        ),
    }
}

fn mail_stop(status: &view::Status) -> String {
    status.mail_stop.as_ref().map_or_else(String::new, |stop| {
        format!("{} since {}", stop.problem.message, show::time(stop.since_ms))
    })
}
