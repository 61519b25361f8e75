//! Results as they are shown: tables for people, JSON for programs.

use std::collections::BTreeMap;
use std::io::IsTerminal;

use bss_model::{Actor, Advice, Asset, LicenseSecrets, Secret, SyncStatus, is_returned_but_active};
use comfy_table::presets;
use host_harness::view::{self, Field, FieldKind, Form, Keys};
use serde::Serialize;
use uuid::Uuid;

use super::failure::{Failure, machine_failure, words};
use super::output::{self, Table, Text};

/// Writes what programs are shown to the standard output: one line of JSON.
pub(super) fn json(view: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(view).map_err(machine_failure)?;
    output::line(Text::json(&text));
    Ok(())
}

/// A view of what would be done.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DryRun<T> {
    dry_run: bool,
    #[serde(flatten)]
    would: T,
}

/// Writes what programs are shown of what would be done, and says that nothing was: `dryRun` is true.
pub(super) fn dry_json(would: &impl Serialize) -> Result<(), Failure> {
    json(&DryRun { dry_run: true, would })
}

/// The first characters of an id, which commands take in its place.
pub(super) fn short(id: Uuid) -> String {
    id.to_string().chars().take(8).collect()
}

/// A party, by its name and the platform's id.
pub(super) fn party(name: &str, id: &str) -> String {
    format!("{name} ({id})")
}

/// An amount with its currency.
pub(super) fn amount(price: Option<&view::Price>) -> String {
    let shown = |price: &view::Price| {
        let price = bss_model::Price {
            currency: price.currency.clone(),
            minor_units: price.minor_units,
        };
        price.to_string()
    };
    price.map_or_else(|| "(no common currency)".to_owned(), shown)
}

/// A sum with its currency.
pub(super) fn sum(price: Option<&view::Price>) -> String {
    price.map_or_else(|| "(too large)".to_owned(), |price| amount(Some(price)))
}

/// Makes a table with a header, as wide as the terminal allows.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = comfy_table::Table::new();
    table
        .load_style(presets::UTF8_BORDERS_ONLY)
        .set_header(header.iter().copied());
    if !std::io::stdout().is_terminal() {
        // A pipe has no width; lines are kept whole.
        table.set_content_arrangement(comfy_table::ContentArrangement::Disabled);
    } else {
        table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    }
    Table::new(table)
}

/// A number of things, in words.
pub(super) fn counted(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// A product, with the number of its units where they share a license.
pub(super) fn units(quantity: u32, product: &str) -> String {
    match quantity {
        1 => product.to_owned(),
        _ => format!("{quantity} × {product}"),
    }
}

/// The name of an instance that something was made for; of one that was removed, its id.
pub(super) fn instance_name(name: Option<&str>, id: Uuid) -> String {
    name.map_or_else(|| format!("{id} (removed)"), ToOwned::to_owned)
}

/// A time, for people: in UTC, whatever the time zone of the terminal.
pub(super) fn time(ms: i64) -> String {
    time_as(ms, "%Y-%m-%d %H:%MZ")
}

/// A time in UTC (ISO 8601), for programs.
pub(super) fn time_in_utc(ms: i64) -> String {
    time_as(ms, "%Y-%m-%dT%H:%M:%S%.3fZ")
}

fn time_as(ms: i64, form: &str) -> String {
    // Not a time stamp, which does not reach the end of a certificate that never ends.
    let since = jiff::SignedDuration::from_millis(ms);
    jiff::civil::date(1970, 1, 1)
        .at(0, 0, 0, 0)
        .checked_add(since)
        .map_or_else(|_| ms.to_string(), |time| time.strftime(form).to_string())
}

/// The most names that a row shows. Certificates of hosters have hundreds.
const NAMES_SHOWN_MAX: usize = 5;

/// Names, of which the first are shown and the others counted.
pub(super) fn names(names: &[String]) -> String {
    let shown = names.iter().take(NAMES_SHOWN_MAX).cloned();
    let more = names.len().saturating_sub(NAMES_SHOWN_MAX);
    let more = (more > 0).then(|| format!("and {more} more"));
    shown.chain(more).collect::<Vec<_>>().join(", ")
}

/// A form, for people: a line per field, and below it what is wrong.
pub(super) fn form_table(form: &Form) -> Table {
    let mut table = table(&["Field", "Name", "Value"]);
    for field in &form.fields {
        let value = match (&*field.value, field.enabled) {
            ("", _) if field.kind == FieldKind::Secret && field.is_saved => {
                "(saved, and not shown)".to_owned()
            }
            ("", false) => "(after the fields above are saved)".to_owned(),
            ("", true) => {
                if field.mandatory {
                    "(required)".to_owned()
                } else {
                    String::new()
                }
            }
            (value, _) => shown_value(field, value),
        };
        table.add_row([field.label.as_str(), field.id.as_str(), &value]);
    }
    table
}

/// The value, and what it stands for where both fit into a line beside the label.
fn shown_value(field: &Field, value: &str) -> String {
    match field.choices.iter().find(|choice| choice.key == value) {
        Some(choice) if choice.label.chars().count() <= 30 => format!("{value}  {}", choice.label),
        _ => value.to_owned(),
    }
}

/// Length in which ids are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ids {
    /// The first characters, enough to tell ids apart.
    Short,
    /// The whole id, as other commands take it.
    Whole,
}

/// The product key of an asset, masked without its secrets.
fn product_key<'a>(asset: &'a Asset, secrets: Option<&'a LicenseSecrets>) -> Option<&'a str> {
    match secrets {
        Some(secrets) => Some(secrets.product_key.expose()),
        None => asset.masked_product_key.as_deref(),
    }
}

/// The activation link of an asset; without its secrets, enough of it to know where it leads.
fn activation_link<'a>(asset: &'a Asset, secrets: Option<&'a LicenseSecrets>) -> Option<&'a str> {
    match secrets {
        Some(secrets) => secrets.activation_link.as_ref().map(|link| link.expose()),
        None => asset.activation_link_host.as_deref(),
    }
}

/// A table of assets, for people; with the secrets of those that are to be shown whole.
pub(super) fn asset_table(assets: &[Asset], secrets: &BTreeMap<Uuid, LicenseSecrets>, ids: Ids) -> Table {
    let mut table = table(&[
        "License",
        "Product",
        "Product key",
        "Activation link",
        "Sync",
        "License token",
        "Return",
        "Price",
    ]);
    for asset in assets {
        let secrets = secrets.get(&asset.id);
        table.add_row([
            match ids {
                Ids::Short => short(asset.id),
                Ids::Whole => asset.id.to_string(),
            },
            units(asset.quantity, &asset.product_code),
            product_key(asset, secrets).unwrap_or_default().to_owned(),
            activation_link(asset, secrets).unwrap_or_default().to_owned(),
            asset.sync_status.to_string(),
            asset
                .license_token_status
                .map_or_else(String::new, |status| status.to_string()),
            asset.return_status.to_string(),
            asset.price.as_ref().map(ToString::to_string).unwrap_or_default(),
        ]);
    }
    table
}

/// Keys whole where that was asked for, else masked.
pub(super) fn keys(show_keys: bool, actor: &Actor) -> Keys<'_> {
    if show_keys {
        Keys::ShownTo(actor)
    } else {
        Keys::Masked
    }
}

/// The text of a secret as a view shows it; empty where there is none.
pub(super) fn text(shown: Option<&Secret>) -> String {
    shown.map_or_else(String::new, |shown| shown.expose().to_owned())
}

/// The sentence about an asset whose license the vendor has taken back unasked.
pub(super) fn returned_but_active(asset: Uuid) -> String {
    format!(
        "the vendor has taken back the license of asset {asset}, but the asset is neither cancelled nor credited"
    )
}

/// Reasons why assets have no license or have lost it, and hints, a line each.
pub(super) fn asset_reasons(assets: &[Asset]) -> Vec<String> {
    let reasons = assets.iter().filter_map(|asset| {
        if is_returned_but_active(asset) {
            let hint = words(&Advice::CancelAsset { asset: asset.id });
            return Some([returned_but_active(asset.id), format!("  hint: {hint}")].to_vec());
        }
        // What was withdrawn needs nothing any more.
        if asset.sync_status == SyncStatus::Withdrawn {
            return None;
        }
        let problem = &asset.reason.as_ref()?.problem;
        let mut lines = vec![format!(
            "asset {} is {}: {} ({})",
            asset.id, asset.sync_status, problem.message, problem.code
        )];
        lines.extend((!problem.advice.is_empty()).then(|| format!("  hint: {}", problem.advice)));
        Some(lines)
    });
    reasons.flatten().collect()
}

pub(super) fn bold(text: &str) -> Text {
    Text::painted(text, 1)
}

pub(super) fn dim(text: &str) -> Text {
    Text::painted(text, 2)
}

pub(super) fn green(text: &str) -> Text {
    Text::painted(text, 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_never_ends_is_shown_with_its_date() {
        assert_eq!(time(253_402_300_799_000), "9999-12-31 23:59Z");
        assert_eq!(time(0), "1970-01-01 00:00Z");
        assert_eq!(time(i64::MAX), i64::MAX.to_string());
        assert_eq!(time_in_utc(253_402_300_799_000), "9999-12-31T23:59:59.000Z");
    }

    #[test]
    fn of_many_names_the_first_are_shown_and_the_others_counted() {
        let many: Vec<String> = (1..=7).map(|number| format!("n{number}")).collect();
        assert_eq!(names(&many), "n1, n2, n3, n4, n5, and 2 more");
        assert_eq!(names(&many[..5]), "n1, n2, n3, n4, n5");
        assert_eq!(names(&[]), "");
    }
}
