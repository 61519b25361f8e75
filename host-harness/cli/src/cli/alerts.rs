//! `alert …`: what has ended badly or stands still, until it is over or somebody has acknowledged it.

use clap::{Args, Subcommand};
use host_harness::{AlertChoice, Host, view};

use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome};
use super::input::operator;
use super::{output, show};

/// Alerts that are read at a time.
const ALERTS_AT_ONCE: u32 = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum AlertCommand {
    /// Show alerts that are neither over nor acknowledged
    List {
        /// Show all alerts
        #[arg(long)]
        all: bool,
    },
    /// Take note of alerts, so that `run --once` and `status` no longer end with 4 because of them
    Acknowledge(Acknowledge),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Acknowledge {
    /// The alerts' numbers
    #[arg(value_name = "NUMBER")]
    numbers: Vec<i64>,
    /// All open alerts up to the one with this number, which is the last that was looked at
    #[arg(long, value_name = "NUMBER")]
    up_to: Option<i64>,
}

pub(super) async fn run(host: &Host, command: AlertCommand, json: bool) -> Outcome {
    match command {
        AlertCommand::List { all } => list(host, all, json).await,
        AlertCommand::Acknowledge(asked) => acknowledge(host, asked, json).await,
    }
}

/// Fails where an alert is open, with an exit code of its own.
pub(super) async fn expect_none(host: &Host) -> Outcome {
    match host.open_alerts().await? {
        0 => Ok(ExitStatus::Done),
        open => {
            output::note(format!(
                "{} that nobody has acknowledged: `bss-host alert list` shows {}, `bss-host alert acknowledge NUMBER` takes note",
                show::counted(open, "alert"),
                if open == 1 { "it" } else { "them" }
            ));
            Ok(ExitStatus::Alerts)
        }
    }
}

async fn list(host: &Host, all: bool, json: bool) -> Outcome {
    let mut alerts = Vec::<view::Alert>::new();
    loop {
        let after = alerts.last().map_or(0, |alert| alert.number);
        let some = host.alerts(all, after, ALERTS_AT_ONCE).await?;
        if some.is_empty() {
            break;
        }
        alerts.extend(some);
    }
    if json {
        show::json(&alerts)?;
        return Ok(ExitStatus::Done);
    }
    let mut table = show::table(&[
        "Alert", "Raised", "What", "Instance", "Customer", "Product", "State",
    ]);
    for alert in &alerts {
        table.add_row([
            alert.number.to_string(),
            show::time(alert.raised_at_ms),
            alert.kind.replace('-', " "),
            alert.instance.clone(),
            alert
                .customer
                .as_ref()
                .map(|customer| customer.name.clone())
                .unwrap_or_default(),
            alert.product_code.clone().unwrap_or_default(),
            state(alert),
        ]);
    }
    output::table(&table);
    for alert in &alerts {
        output::line(detail(alert));
    }
    Ok(ExitStatus::Done)
}

fn state(alert: &view::Alert) -> String {
    match (&alert.acknowledged_by, alert.ended_at_ms) {
        (_, Some(ended)) => format!("over since {}", show::time(ended)),
        (Some(by), None) => format!("acknowledged by {by}"),
        (None, None) => "open".to_owned(),
    }
}

/// What an alert is about, with the ids to go on with, why, and what to do.
fn detail(alert: &view::Alert) -> String {
    let mut line = format!("alert {}:", alert.number);
    for (what, id) in [
        ("order", alert.order_id),
        ("asset", alert.asset_id),
        ("e-mail", alert.mail_id),
    ] {
        if let Some(id) = id {
            line = format!("{line} {what} {id},");
        }
    }
    line = line.trim_end_matches(',').to_owned();
    if let Some(problem) = &alert.problem {
        let separator = if line.ends_with(':') { "" } else { ":" };
        line = format!("{line}{separator} {}", super::failure::problem_line(problem));
    }
    match next(alert) {
        Some(next) => format!("{line}; {next}"),
        None => line,
    }
}

fn next(alert: &view::Alert) -> Option<String> {
    let asset = alert.asset_id.map(|asset| asset.to_string()).unwrap_or_default();
    Some(match alert.kind.as_str() {
        "license-refused" => format!("correct the cause, then `bss-host asset retry {asset}`"),
        "license-overdue" => format!("`bss-host asset history {asset}` shows every attempt"),
        "second-license" | "return-refused" => format!("`bss-host asset show {asset}`"),
        "returned-elsewhere" => format!("`bss-host asset cancel {asset}` cancels and credits it"),
        "mail-failed" => format!(
            "`bss-host mail retry {}` once its cause is corrected",
            alert.mail_id.map(|mail| mail.to_string()).unwrap_or_default()
        ),
        "instance-held" => format!(
            "`bss-host instance check {}`; its orders wait, and go on by themselves",
            super::failure::quoted(&alert.instance)
        ),
        _ => return None,
    })
}

async fn acknowledge(host: &Host, asked: Acknowledge, json: bool) -> Outcome {
    let choice = match asked.up_to {
        Some(number) => AlertChoice::UpTo(number),
        None => AlertChoice::Numbers(asked.numbers),
    };
    let acknowledged = host
        .acknowledge_alerts(&choice, &operator())
        .await
        .map_err(Failure::from)?;
    if json {
        show::json(&view::AcknowledgedAlerts { acknowledged })?;
    } else {
        output::line(format!("{} acknowledged", show::counted(acknowledged, "alert")));
    }
    Ok(ExitStatus::Done)
}
