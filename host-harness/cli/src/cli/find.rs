//! `find`: what the record has of a text that somebody gives.

use bss_model::ErrorKind;
use clap::Args;
use host_harness::Host;
use host_harness::view::Found;

use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome, quoted};
use super::{output, show};

/// The most that is shown of each kind and reason.
const SHOWN_MAX: u32 = 20;

/// The shortest text that is looked for. Shorter ones are in nearly everything.
const CHARS_MIN: usize = 3;

#[derive(Debug, Args)]
pub(super) struct FindArguments {
    /// A part of a customer's name, id or e-mail address or of an order's idempotency key; the end of a product key; the beginning
    /// of an id of an order, asset, e-mail or cancellation, or of a vendor's id; the number of a charge or a credit
    text: String,
}

pub(super) async fn run(host: &Host, asked: &FindArguments, json: bool) -> Outcome {
    let text = asked.text.trim();
    if text.chars().count() < CHARS_MIN {
        let message = format!("`{text}` is too short to be looked for");
        return Err(Failure::usage(message).hint("give three characters or more"));
    }
    let finds = host.find_by_text(text, SHOWN_MAX).await?;
    if json {
        show::json(&finds)?;
    }
    if finds.found.is_empty() {
        let message = format!("nothing is on record that is like `{text}`");
        return Err(Failure::new(ErrorKind::NotFound, "nothing-found", message));
    }
    if json {
        return Ok(ExitStatus::Done);
    }
    let mut table = show::table(&["What", "Id", "Found by", "Customer", "Instance", "When", "Order"]);
    for found in &finds.found {
        table.add_row([
            found.kind.replace("mail", "e-mail"),
            shown_id(found),
            found.found_by.replace('-', " "),
            show::party(&found.customer.name, &found.customer.id),
            found.instance.clone(),
            show::time(found.at_ms),
            show::short(found.order_id),
        ]);
    }
    output::table(&table);
    if finds.has_more {
        output::note(format!(
            "there are more than {SHOWN_MAX} of a kind; a longer text finds fewer"
        ));
    }
    if let Some(command) = finds.found.first().and_then(next) {
        output::note(format!("next: `bss-host {command}`"));
    }
    Ok(ExitStatus::Done)
}

/// The id as it is shown: short where it is a UUID.
fn shown_id(found: &Found) -> String {
    found.id.parse().map_or_else(|_| found.id.clone(), show::short)
}

/// The command that shows a thing.
fn next(found: &Found) -> Option<String> {
    let id = shown_id(found);
    match found.kind.as_str() {
        "customer" => Some(format!("customer show {}", quoted(&found.id))),
        "order" => Some(format!("order show {id}")),
        "asset" => Some(format!("asset show {id}")),
        "charge" => Some(format!("charge show {id}")),
        "credit" => Some(format!("credit show {id}")),
        _ => None,
    }
}
