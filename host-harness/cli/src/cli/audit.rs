//! `audit …`: who did what, and whether that is as it was written.

use std::num::NonZeroU32;

use bss_model::words::UnknownWord;
use bss_model::{Act, ActFilter, IdKind, RecordedAct, SubjectKind};
use clap::{Args, Subcommand};
use host_harness::{Host, view};

use super::csv_lines::{self, Column, CsvOption};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome};
use super::output::{self, Table};
use super::{instances, show, typed_ids};

/// Acts that are read at a time.
const ACTS_AT_ONCE: NonZeroU32 = NonZeroU32::new(1_000).unwrap();

const COLUMNS: [Column; 9] = [
    Column::Of("number"),
    Column::Time("doneAtMs"),
    Column::Of("actor.kind"),
    Column::Of("actor.name"),
    Column::Of("act"),
    Column::Of("subject.kind"),
    Column::Of("subject.id"),
    Column::Of("instance"),
    Column::Of("detail"),
];

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Show acts: who changed what and when, and who was shown a product key
    List(ListActs),
    /// Verify that no act was altered or removed since it was written, and show the digest of all acts
    Verify {
        /// A digest that was shown before and kept elsewhere: the acts up to then must be the same
        #[arg(long, value_name = "HEX", value_parser = sha256)]
        noted: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct ListActs {
    /// Only acts on this instance and what belongs to it
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// Only acts on the order, asset, e-mail, customer, certificate, product or plugin with this id
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Only acts on subjects of this kind, such as `order`, `asset`, `mail-settings`
    #[arg(long, value_name = "KIND", value_parser = subject_kind)]
    kind: Option<SubjectKind>,
    /// Only acts of this kind, such as `place-order`, `show-keys`
    #[arg(long, value_name = "ACT", value_parser = act)]
    act: Option<Act>,
    /// Only acts of actors with this name
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only acts after the one with this number
    #[arg(long, value_name = "NUMBER")]
    after: Option<i64>,
    #[command(flatten)]
    csv: CsvOption,
}

fn subject_kind(text: &str) -> Result<SubjectKind, UnknownWord> {
    SubjectKind::from_word(&text.replace('-', "_"))
}

fn act(text: &str) -> Result<Act, UnknownWord> {
    Act::from_word(&text.replace('-', "_"))
}

/// Reads a SHA-256 digest: 64 hexadecimal digits.
pub(super) fn sha256(text: &str) -> Result<String, String> {
    match text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("expected the 64 hexadecimal digits of a SHA-256 digest".to_owned()),
    }
}

pub(super) async fn run(host: &Host, command: AuditCommand, json: bool) -> Outcome {
    match command {
        AuditCommand::List(asked) => list(host, asked, json).await,
        AuditCommand::Verify { noted } => verify(host, noted.as_deref(), json).await,
    }
}

async fn list(host: &Host, asked: ListActs, json: bool) -> Outcome {
    let form = asked.csv.form(json);
    let mut filter = ActFilter {
        instance: match asked.instance.as_deref() {
            None => None,
            named => instances::filter_id(host, named).await?,
        },
        owner: host.owner().cloned(),
        subject: match asked.subject {
            Some(text) => Some(subject(host, text).await?),
            None => None,
        },
        subject_kind: asked.kind,
        act: asked.act,
        actor: asked.actor,
        after: asked.after,
        ..ActFilter::default()
    };
    let mut acts = Vec::<RecordedAct>::new();
    loop {
        let some = host.record().acts(&filter, ACTS_AT_ONCE).await?;
        let Some(last) = some.last() else { break };
        filter.after = Some(last.number);
        acts.extend(some);
    }
    let views = host.act_views(&acts).await?;
    csv_lines::list(form, &views, &COLUMNS, table)
}

fn table(views: &[view::Act]) -> Table {
    let mut table = show::table(&["Act", "Time", "Actor", "Did", "To", "Instance", "Detail"]);
    for view in views {
        table.add_row([
            view.number.to_string(),
            show::time(view.done_at_ms),
            format!("{} {}", view.actor.kind, view.actor.name),
            view.act.replace('-', " "),
            format!("{} {}", view.subject.kind.replace('-', " "), view.subject.id),
            view.instance.clone().unwrap_or_default(),
            view.detail.as_ref().map_or_else(String::new, ToString::to_string),
        ]);
    }
    table
}

/// The subject that a text means: the text itself where acts are on it, or else the one thing whose id begins so.
async fn subject(host: &Host, text: String) -> Result<String, Failure> {
    let itself = ActFilter {
        owner: host.owner().cloned(),
        subject: Some(text.clone()),
        ..ActFilter::default()
    };
    if !host.record().acts(&itself, NonZeroU32::MIN).await?.is_empty() {
        return Ok(text);
    }
    let mut ids = Vec::new();
    if text.len() >= typed_ids::CHARS_MIN {
        for kind in [
            IdKind::Order,
            IdKind::Asset,
            IdKind::Mail,
            IdKind::ServicesRun,
            IdKind::Webhook,
        ] {
            ids.extend(host.record().ids_beginning(kind, &text, host.owner()).await?);
        }
    }
    match ids.as_slice() {
        [] => Ok(text),
        [id] => Ok(id.to_string()),
        several => Err(typed_ids::ambiguous(&text, "thing", several)),
    }
}

async fn verify(host: &Host, noted: Option<&str>, json: bool) -> Outcome {
    let audited = host.record().verify_acts(noted).await?;
    let view = view::AuditedActs::from(&audited);
    if json {
        show::json(&view)?;
    } else {
        output::line(format!("{} acts, as they were written", view.acts));
    }
    if !json && view.acts > 0 {
        output::line(format!("digest {}", view.digest));
        output::note(
            "keep the digest elsewhere: `bss-host audit verify --noted DIGEST` shows then if all acts were written anew",
        );
    }
    Ok(ExitStatus::Done)
}
