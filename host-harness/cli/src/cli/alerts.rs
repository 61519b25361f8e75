//! `alert …`: what has ended badly or stands still, until it is over or somebody has acknowledged it.

use bss_model::{Advice, AlertFilter};
use clap::{Args, Subcommand};
use host_harness::{AlertChoice, Host, view};

use super::csv_lines::{self, Column, CsvOption, Form};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome, problem_line, quoted, words};
use super::input::operator;
use super::output::{self, Table};
use super::show;

/// Alerts that are read at a time.
const ALERTS_AT_ONCE: u32 = 1_000;

const COLUMNS: [Column; 16] = [
    Column::Of("number"),
    Column::Of("kind"),
    Column::Time("raisedAtMs"),
    Column::Of("instance"),
    Column::Of("customer.id"),
    Column::Of("customer.name"),
    Column::Of("productCode"),
    Column::Of("orderId"),
    Column::Of("assetId"),
    Column::Of("mailId"),
    Column::Of("webhookId"),
    Column::Of("problem.code"),
    Column::Of("problem.message"),
    Column::Time("endedAtMs"),
    Column::Time("acknowledgedAtMs"),
    Column::Of("acknowledgedBy"),
];

#[derive(Debug, Subcommand)]
pub(super) enum AlertCommand {
    /// Show alerts that are neither over nor acknowledged
    List {
        /// Show all alerts
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        csv: CsvOption,
    },
    /// Take note of alerts, so that `run --once` and `status` no longer end with 4 because of them
    Acknowledge(Acknowledge),
    /// Show the e-mail addresses to which alerts go, or set them; `run --alert-command` tells a command
    Email {
        /// The addresses, in place of the former ones; the mail settings say how they are mailed to
        #[arg(value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// Mail alerts to nobody
        #[arg(long, conflicts_with = "addresses")]
        none: bool,
    },
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
        AlertCommand::List { all, csv } => list(host, all, csv.form(json)).await,
        AlertCommand::Acknowledge(asked) => acknowledge(host, asked, json).await,
        AlertCommand::Email { addresses, none } => email(host, addresses, none, json).await,
    }
}

/// The end of a command that did what it was told, given the number of open alerts, which it tells.
pub(super) fn end(open: u64) -> ExitStatus {
    if open == 0 {
        return ExitStatus::Done;
    }
    output::note(format!(
        "{} that nobody has acknowledged: `bss-host alert list` shows {}, `bss-host alert acknowledge NUMBER` takes note",
        show::counted(open, "alert"),
        if open == 1 { "it" } else { "them" }
    ));
    ExitStatus::Attention
}

async fn list(host: &Host, all: bool, form: Form) -> Outcome {
    let mut alerts = Vec::<view::Alert>::new();
    loop {
        let after = alerts.last().map_or(0, |alert| alert.number);
        let filter = AlertFilter {
            all,
            after,
            ..AlertFilter::default()
        };
        let some = host.alerts(&filter, ALERTS_AT_ONCE).await?;
        if some.is_empty() {
            break;
        }
        alerts.extend(some);
    }
    csv_lines::list(form, &alerts, &COLUMNS, table)?;
    if form == Form::Table {
        alerts.iter().map(detail).for_each(output::line);
    }
    Ok(ExitStatus::Done)
}

fn table(alerts: &[view::Alert]) -> Table {
    let mut table = show::table(&[
        "Alert", "Raised", "What", "Instance", "Customer", "Product", "State",
    ]);
    for alert in alerts {
        table.add_row([
            alert.number.to_string(),
            show::time(alert.raised_at_ms),
            alert.kind.replace('-', " "),
            alert.instance.clone().unwrap_or_else(|| "(host)".to_owned()),
            alert
                .customer
                .as_ref()
                .map(|customer| customer.name.clone())
                .unwrap_or_default(),
            alert.product_code.clone().unwrap_or_default(),
            state(alert),
        ]);
    }
    table
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
    let ids = [
        ("order", alert.order_id),
        ("asset", alert.asset_id),
        ("e-mail", alert.mail_id),
        ("webhook", alert.webhook_id),
    ];
    let ids = ids
        .iter()
        .filter_map(|(what, id)| Some(format!("{what} {}", (*id)?)));
    let why = alert.problem.as_ref().map(problem_line);
    let said: Vec<_> = ids.chain(why).chain([next(alert)]).collect();
    format!("alert {}: {}", alert.number, said.join("; "))
}

/// What to do about an alert.
fn next(alert: &view::Alert) -> String {
    let asset = alert.asset_id.unwrap_or_default();
    let instance = || quoted(alert.instance.as_deref().unwrap_or_default()).into_owned();
    let advice = match alert.kind.as_str() {
        "license-refused" => Advice::RetryAsset { asset },
        "license-overdue" => Advice::ShowAttempts { asset },
        "return-refused" => Advice::ShowCancellations { asset },
        "returned-elsewhere" => Advice::CancelAsset { asset },
        "mail-failed" => Advice::say(
            "`bss-host mail list --failed` shows why; correct a wrong address with `bss-host customer correct`, and then have it sent \
             with `bss-host mail retry`",
        ),
        "instance-held" => Advice::say(format!(
            "`bss-host instance check {}` shows whether it is corrected; its orders wait, and go on by themselves",
            instance()
        )),
        "certificate-expiring" => Advice::say(format!(
            "`bss-host instance rotate-certificate {} --to THUMBPRINT` has the instance use another one, of those that `bss-host certificate list` shows",
            instance()
        )),
        "catalog-shrank" => Advice::AcceptServices {
            instance: alert.instance.clone().unwrap_or_default(),
        },
        "mail-stopped" => Advice::say(
            "`bss-host mail test ADDRESS` tries whether it is corrected; e-mails wait, and go on by themselves",
        ),
        "plugin-unusable" => Advice::say(
            "`bss-host plugin list` shows the plugins on record; nothing is bought for the instance until its own can be used",
        ),
        "api-keys-tried" => Advice::say(
            "`bss-host api-client list` and `bss-host platform list` show whose keys there are; if one was in wrong hands, \
             `bss-host api-client rotate NAME` or `bss-host platform rotate-key NAME` has it open nothing",
        ),
        "worker-died" => Advice::say("`bss-host status` shows the workers that are alive"),
        "spending-limit" => Advice::say(format!(
            "`bss-host instance limit {}` shows what is used of the limit, and sets another one",
            instance()
        )),
        "webhook-off" => Advice::say(
            "`bss-host webhook list` shows which one and why; `bss-host webhook enable WEBHOOK` has it be told again, also of what came meanwhile",
        ),
        "second-license" => Advice::say(format!("`bss-host asset show {asset}` shows the license")),
        _ => return "`bss-host audit list` shows what was done".to_owned(),
    };
    words(&advice).into_owned()
}

async fn email(host: &Host, addresses: Vec<String>, none: bool, json: bool) -> Outcome {
    if none || !addresses.is_empty() {
        host.set_alert_addresses(&addresses, &operator()).await?;
    }
    let emails = host.alert_addresses().await?;
    if json {
        show::json(&view::AlertAddresses { emails })?;
        return Ok(ExitStatus::Done);
    }
    match &emails[..] {
        [] => output::line("alerts are mailed to nobody"),
        emails => emails.iter().for_each(output::line),
    }
    if !emails.is_empty() && host.record().mail_settings().await?.is_none() {
        output::note(format!(
            "nothing is mailed yet: {}",
            words(&Advice::ConfigureMail)
        ));
    }
    Ok(ExitStatus::Done)
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
