//! `webhook …`: receivers that are told of outcomes over HTTPS.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bss_model::{
    DeliveryFilter, DeliveryState, ErrorKind, IdKind, NewWebhook, OutcomeKind, WebhookState, event_type,
};
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand};
use host_harness::{Host, IpNet, view};
use uuid::Uuid;

use super::csv_lines::{self, Column, CsvOption};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome, problem_line};
use super::input::{operator, read_text};
use super::output::Table;
use super::pages::PageArguments;
use super::typed_ids::{self, TypedId};
use super::{output, show};

const COLUMNS: [Column; 9] = [
    Column::Of("id"),
    Column::Of("url"),
    Column::Of("types"),
    Column::Of("owner"),
    Column::Of("state"),
    Column::Of("problem.code"),
    Column::Of("problem.message"),
    Column::Time("deliveredAtMs"),
    Column::Time("createdAtMs"),
];

const DELIVERY_COLUMNS: [Column; 11] = [
    Column::Of("id"),
    Column::Of("webhookId"),
    Column::Of("eventId"),
    Column::Of("type"),
    Column::Of("state"),
    Column::Of("attempts"),
    Column::Time("happenedAtMs"),
    Column::Time("dueAtMs"),
    Column::Time("deliveredAtMs"),
    Column::Of("orderId"),
    Column::Of("assetId"),
];

#[derive(Debug, Subcommand)]
pub(super) enum WebhookCommand {
    /// Put a receiver on record, which is told of what comes from now on; its secret is shown once
    Create(CreateWebhook),
    /// Show the receivers
    List {
        #[command(flatten)]
        csv: CsvOption,
    },
    /// Send a receiver an event that tells nothing, and show what it answers
    Test {
        /// The webhook's id
        webhook: TypedId,
    },
    /// Show what a receiver was told, or waits to be told, the latest first
    Deliveries(ListDeliveries),
    /// Show every attempt at a delivery
    Attempts {
        /// The delivery's id
        delivery: TypedId,
    },
    /// Have deliveries be sent again
    Redeliver {
        /// The webhook's id
        webhook: TypedId,
        /// The delivery's id
        #[arg(required_unless_present = "failed")]
        delivery: Option<TypedId>,
        /// All deliveries that have failed
        #[arg(long, conflicts_with = "delivery")]
        failed: bool,
    },
    /// Give a receiver a new secret, which is shown once
    Rotate {
        /// The webhook's id
        webhook: TypedId,
        /// The hours in which the former secret signs as well
        #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(..=8_760))]
        keep_former_hours: u32,
    },
    /// Have a receiver be told again, also of what came while it was off
    Enable {
        /// The webhook's id
        webhook: TypedId,
    },
    /// Have a receiver be told nothing
    Disable {
        /// The webhook's id
        webhook: TypedId,
    },
    /// Remove a receiver with all that it was told
    Remove {
        /// The webhook's id
        webhook: TypedId,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateWebhook {
    /// The address, https://…
    url: String,
    /// A type of events that it is told of; may be repeated [default: all]
    #[arg(long = "type", value_name = "TYPE", value_parser = type_parser())]
    types: Vec<OutcomeKind>,
    /// A network that may be reached although it is not public, in CIDR notation; may be repeated
    #[arg(long, value_name = "NETWORK")]
    allow_network: Vec<IpNet>,
    /// A PEM file with certificate authorities to trust instead of the system's
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ListDeliveries {
    /// The webhook's id [default: all webhooks]
    webhook: Option<TypedId>,
    /// Only deliveries in this state
    #[arg(long, value_name = "STATE", value_parser = state_parser())]
    state: Option<DeliveryState>,
    #[command(flatten)]
    page: PageArguments,
    #[command(flatten)]
    csv: CsvOption,
}

fn state_parser() -> impl clap::builder::TypedValueParser<Value = DeliveryState> {
    let words = DeliveryState::ALL.iter().map(|state| state.word());
    PossibleValuesParser::new(words).try_map(|word| DeliveryState::from_word(&word))
}

fn type_parser() -> impl clap::builder::TypedValueParser<Value = OutcomeKind> {
    let names = OutcomeKind::ALL.iter().map(|kind| event_type(*kind));
    PossibleValuesParser::new(names).try_map(|name| {
        let of = OutcomeKind::ALL.iter().find(|kind| event_type(**kind) == name);
        of.copied().ok_or("there is no such type of events")
    })
}

pub(super) async fn run(host: &Host, command: WebhookCommand, json: bool) -> Outcome {
    match command {
        WebhookCommand::Create(new) => create(host, new, json).await,
        WebhookCommand::List { csv } => {
            csv_lines::list(csv.form(json), &host.webhooks().await?, &COLUMNS, table)
        }
        WebhookCommand::Test { webhook } => test(host, webhook.of(IdKind::Webhook, host).await?, json).await,
        WebhookCommand::Deliveries(list) => deliveries(host, list, json).await,
        WebhookCommand::Attempts { delivery } => {
            let delivery = delivery.of(IdKind::Delivery, host).await?;
            let attempts = host.delivery_attempts(delivery).await?;
            match json {
                true => show::json(&attempts)?,
                false => output::table(&attempt_table(&attempts)),
            }
            Ok(ExitStatus::Done)
        }
        WebhookCommand::Redeliver {
            webhook,
            delivery,
            failed: _,
        } => {
            let webhook = webhook.of(IdKind::Webhook, host).await?;
            let again = match delivery {
                Some(delivery) => {
                    let delivery = delivery.of(IdKind::Delivery, host).await?;
                    host.redeliver(webhook, delivery, &operator()).await?;
                    1
                }
                None => host.redeliver_failed(webhook, &operator()).await?,
            };
            match json {
                true => show::json(&view::DueDeliveries { due: again })?,
                false => output::line(format!(
                    "{} to be sent again; `bss-host run` sends what is due, where the webhook is on",
                    show::counted(again, "event")
                )),
            }
            Ok(ExitStatus::Done)
        }
        WebhookCommand::Rotate {
            webhook,
            keep_former_hours,
        } => {
            let webhook = webhook.of(IdKind::Webhook, host).await?;
            let keep_former = Duration::from_secs(u64::from(keep_former_hours) * 3_600);
            let rotated = host.rotate_webhook(webhook, keep_former, &operator()).await?;
            show_secret(&rotated, json)
        }
        WebhookCommand::Enable { webhook } => set(host, &webhook, WebhookState::On, json).await,
        WebhookCommand::Disable { webhook } => set(host, &webhook, WebhookState::Off, json).await,
        WebhookCommand::Remove { webhook } => {
            let webhook = webhook.of(IdKind::Webhook, host).await?;
            let removed = host.remove_webhook(webhook, &operator()).await?;
            match json {
                true => show::json(&removed)?,
                false => output::line(format!("webhook {} to {} was removed", removed.id, removed.url)),
            }
            Ok(ExitStatus::Done)
        }
    }
}

async fn create(host: &Host, asked: CreateWebhook, json: bool) -> Outcome {
    let read = |file: &Path| read_text(file, "PEM file");
    let trusted_authorities_pem = asked.trust.as_deref().map(read).transpose()?;
    let new = NewWebhook {
        url: asked.url,
        owner: None,
        kinds: asked.types,
        allowed_networks: asked.allow_network,
        trusted_authorities_pem,
    };
    let created = host.create_webhook(new, &operator()).await?;
    show_secret(&created, json)
}

/// Shows a receiver with its secret, which nothing shows again.
fn show_secret(created: &view::WebhookWithSecret, json: bool) -> Outcome {
    if json {
        show::json(created)?;
        return Ok(ExitStatus::Done);
    }
    let webhook = &created.webhook;
    output::line(format!("webhook {} to {}", webhook.id, webhook.url));
    output::line(format!(
        "signing secret (v1):  {}",
        created.signing_secret.expose()
    ));
    if let Some(key) = &webhook.public_key {
        output::line(format!("public key (v1a):     {key}"));
    }
    output::note(
        "the secret is not shown again; give it to the receiver, which needs only one of both to verify what it is sent",
    );
    Ok(ExitStatus::Done)
}

async fn test(host: &Host, webhook: Uuid, json: bool) -> Outcome {
    let answer = host.test_webhook(webhook).await?;
    if json {
        show::json(&answer)?;
    } else if let Some(status) = answer.status {
        output::line(format!("the receiver answered {status}"));
    }
    match answer.problem {
        None => Ok(ExitStatus::Done),
        Some(problem) => {
            Err(Failure::new(ErrorKind::Unavailable, problem.code, problem.message).hint(problem.advice))
        }
    }
}

async fn deliveries(host: &Host, list: ListDeliveries, json: bool) -> Outcome {
    let form = list.csv.form(json);
    let webhook = typed_ids::optional(list.webhook.as_ref(), IdKind::Webhook, host).await?;
    let filter = DeliveryFilter {
        webhook,
        state: list.state,
    };
    let read = async |page: &_| host.deliveries(&filter, page).await;
    let deliveries = list.page.read(form, read).await?;
    csv_lines::list(form, &deliveries, &DELIVERY_COLUMNS, delivery_table)
}

async fn set(host: &Host, webhook: &TypedId, state: WebhookState, json: bool) -> Outcome {
    let webhook = webhook.of(IdKind::Webhook, host).await?;
    let set = host.set_webhook_state(webhook, state, &operator()).await?;
    match json {
        true => show::json(&set)?,
        false => output::line(format!("webhook {} to {} is {}", set.id, set.url, set.state)),
    }
    Ok(ExitStatus::Done)
}

fn optional_time(ms: Option<i64>) -> String {
    ms.map(show::time).unwrap_or_default()
}

fn table(webhooks: &[view::Webhook]) -> Table {
    let mut table = show::table(&["Webhook", "Address", "Events", "State", "Last taken"]);
    for webhook in webhooks {
        let types = match webhook.types.as_slice() {
            [] => "all".to_owned(),
            types => types.join(", "),
        };
        let state = match &webhook.problem {
            None => webhook.state.clone(),
            Some(problem) => format!("{}: {}", webhook.state, problem_line(problem)),
        };
        table.add_row([
            webhook.id.to_string(),
            webhook.url.clone(),
            types,
            state,
            optional_time(webhook.delivered_at_ms),
        ]);
    }
    table
}

fn delivery_table(deliveries: &[view::Delivery]) -> Table {
    let mut table = show::table(&[
        "Delivery", "Happened", "Event", "State", "Attempts", "Next", "Asset",
    ]);
    for delivery in deliveries {
        table.add_row([
            delivery.id.to_string(),
            show::time(delivery.happened_at_ms),
            delivery.event_type.clone(),
            delivery.state.clone(),
            delivery.attempts.to_string(),
            optional_time(delivery.due_at_ms),
            delivery.asset_id.to_string(),
        ]);
    }
    table
}

fn attempt_table(attempts: &[view::DeliveryAttempt]) -> Table {
    let mut table = show::table(&["Attempt", "Ended", "Status", "Problem"]);
    for attempt in attempts {
        table.add_row([
            attempt.number.to_string(),
            show::time(attempt.at_ms),
            attempt
                .status
                .map(|status| status.to_string())
                .unwrap_or_default(),
            attempt.problem.as_ref().map(problem_line).unwrap_or_default(),
        ]);
    }
    table
}
