//! `product price`: prices, set after a question where they may be a mistake, removed, and who changed them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use bss_model::{Instance, NewPrice, Page, Price, PriceChange, PriceDoubt, ProductFilter};
use clap::{ArgGroup, Args};
use host_harness::{Host, view};

use super::bulk::BulkArguments;
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome};
use super::input::operator;
use super::{csv_file, output, price_list, show};

/// The doubtful prices that are named in a question; the others are counted.
const NAMED_MAX: usize = 10;

#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("price").multiple(false),
    after_help = "Examples:\n  bss-host product price esd EP2-06798 --amount 249.00\n  bss-host product price esd EP2-06798\n  \
                  bss-host product price esd --file prices.csv --dry-run"
)]
pub(super) struct PriceProducts {
    /// The instance's name
    instance: String,
    /// The products' codes. Without a price, the present ones are shown, and who changed them when
    #[arg(
        value_name = "CODE",
        required_unless_present = "file",
        conflicts_with = "file"
    )]
    codes: Vec<String>,
    /// The currency, ISO 4217; without this, the one in which the instance sells
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// The price, as in 149.00
    #[arg(long, group = "price", value_name = "AMOUNT")]
    amount: Option<String>,
    /// The price in the currency's smallest unit, as in 14900 for 149.00 EUR
    #[arg(long, group = "price", value_name = "N", allow_negative_numbers = true)]
    minor_units: Option<i64>,
    /// Remove the price
    #[arg(long, group = "price")]
    remove: bool,
    /// Set the prices of a CSV file with two columns, code and price, all of them or none (`-` for the standard input)
    #[arg(long, group = "price", value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    bulk: BulkArguments,
}

pub(super) async fn run(host: &Host, asked: PriceProducts, json: bool) -> Outcome {
    let instance = host.named_instance(&asked.instance).await?;
    let currency = asked
        .currency
        .clone()
        .unwrap_or_else(|| instance.currency.clone());
    if asked.remove {
        return remove(host, &instance, &asked, &currency, json).await;
    }
    let Some(prices) = prices(host, &instance, &asked, &currency).await? else {
        return history(host, &instance, &asked.codes, json).await;
    };
    let before = host.record().prices(instance.id).await?;
    let doubts = PriceDoubt::about_each(&prices, &before, &instance.currency);
    let what = format!("set {}", doubtful(&doubts));
    let bare = asked.bare_first_prices(&prices, &before);
    if asked.bulk.is_dry() {
        let changes = host
            .record()
            .preview_each_price(instance.id, &prices, &operator())
            .await?;
        asked
            .bulk
            .agreed(&format!("set {}", show::counted(prices.len() as u64, "price")))?;
        if !doubts.is_empty() {
            output::note(format!("would ask, or need `--yes`, to {what}"));
        } else if let Some(first) = first_prices(&bare) {
            output::note(format!("would ask on a terminal whether to {first}"));
        }
        return show_preview(&changes, &doubts, json);
    }
    if !doubts.is_empty() {
        asked.bulk.agreed(&what)?;
    } else if let Some(first) = first_prices(&bare) {
        asked.bulk.ask_on_a_terminal(&first)?;
    }
    let changes = host
        .record()
        .set_each_price(instance.id, &prices, &operator())
        .await?;
    show_changes(&changes, json)
}

impl PriceProducts {
    /// First prices of products that were typed so that their unit can be mistaken: in the smallest unit, or without decimals.
    fn bare_first_prices<'a>(
        &self,
        prices: &'a [NewPrice],
        before: &BTreeMap<String, Vec<Price>>,
    ) -> Vec<&'a NewPrice> {
        let has_point = self.amount.as_ref().is_some_and(|amount| amount.contains('.'));
        if self.file.is_some() || has_point {
            return Vec::new();
        }
        // Of a currency without decimals, the two units are one.
        let is_bare = |new: &&NewPrice| new.price.decimal().contains('.') && new.present(before).is_none();
        prices.iter().filter(is_bare).collect()
    }
}

/// What is about to be done to products without a price, which all get the same one. `None`: there are none.
fn first_prices(bare: &[&NewPrice]) -> Option<String> {
    let price = &bare.first()?.price;
    let products = show::counted(bare.len() as u64, "product");
    Some(format!("set a first price of {price}, for {products}"))
}

/// The prices that are to be set. `None`: none is.
async fn prices(
    host: &Host,
    instance: &Instance,
    asked: &PriceProducts,
    currency: &str,
) -> Result<Option<Vec<NewPrice>>, Failure> {
    if let Some(file) = &asked.file {
        let text = csv_file::text_of(file, "price list")?;
        let products = host
            .record()
            .products(instance.id, &ProductFilter::default(), &Page::all())
            .await?;
        let codes = products.rows.iter().map(|product| product.offered.code.as_str());
        return price_list::read(&text, currency, &codes.collect()).map(Some);
    }
    let price = match (&asked.amount, asked.minor_units) {
        (None, None) => return Ok(None),
        (Some(amount), _) => Price::from_amount(amount, currency).ok_or_else(|| {
            Failure::usage(format!(
                "`{amount}` is no amount in `{currency}`, which is written as in `--amount {}`",
                price_list::example(currency)
            ))
        })?,
        (None, Some(minor_units)) => Price {
            currency: currency.to_owned(),
            minor_units,
        },
    };
    let codes: BTreeSet<&String> = asked.codes.iter().collect();
    let prices = codes.into_iter().map(|code| NewPrice {
        code: code.clone(),
        price: price.clone(),
    });
    Ok(Some(prices.collect()))
}

/// A price that may be a mistake, and why.
type Doubtful<'a> = (&'a NewPrice, Vec<PriceDoubt>);

/// Names the doubtful prices, each with the reasons.
fn doubtful(doubts: &[Doubtful<'_>]) -> String {
    let named = doubts.iter().take(NAMED_MAX).map(|(new, about)| {
        let reasons: Vec<String> = about.iter().map(ToString::to_string).collect();
        format!("{} for `{}` ({})", new.price, new.code, reasons.join("; "))
    });
    let mut named: Vec<String> = named.collect();
    let others = doubts.len().saturating_sub(NAMED_MAX);
    if others > 0 {
        named.push(format!("{others} more prices like that"));
    }
    named.join(", ")
}

async fn remove(
    host: &Host,
    instance: &Instance,
    asked: &PriceProducts,
    currency: &str,
    json: bool,
) -> Outcome {
    let (record, codes) = (host.record(), &asked.codes);
    if asked.bulk.is_dry() {
        let changes = record
            .preview_removed_prices(instance.id, codes, currency, &operator())
            .await?;
        let count = show::counted(changes.len() as u64, "price");
        asked.bulk.agreed(&format!("remove {count}"))?;
        return show_preview(&changes, &[], json);
    }
    let changes = record
        .remove_prices(instance.id, codes, currency, &operator())
        .await?;
    show_changes(&changes, json)
}

fn show_preview(changes: &[PriceChange], doubts: &[Doubtful<'_>], json: bool) -> Outcome {
    if !json {
        return show_changes(changes, json);
    }
    show::dry_json(&view::CheckedPrices::new(changes, doubts))?;
    Ok(ExitStatus::Done)
}

fn show_changes(changes: &[PriceChange], json: bool) -> Outcome {
    if json {
        show::json(&view::PricedProducts::from(changes))?;
        return Ok(ExitStatus::Done);
    }
    let mut table = show::table(&["Product", "Before", "Price"]);
    for change in changes {
        table.add_row([
            change.code.clone(),
            shown(change.before.as_ref()),
            shown(change.after.as_ref()),
        ]);
    }
    output::table(&table);
    Ok(ExitStatus::Done)
}

fn shown(price: Option<&Price>) -> String {
    price.map_or_else(|| "none".to_owned(), ToString::to_string)
}

/// Shows who changed the prices of products, and when.
async fn history(host: &Host, instance: &Instance, codes: &[String], json: bool) -> Outcome {
    let record = host.record();
    record.check_products(instance.id, codes).await?;
    let history = record.price_history(instance.id, codes).await?;
    if json {
        let views: Vec<_> = history.iter().map(view::RecordedPriceChange::from).collect();
        show::json(&views)?;
        return Ok(ExitStatus::Done);
    }
    let prices = record.prices(instance.id).await?;
    for code in codes.iter().collect::<BTreeSet<_>>() {
        let present = prices.get(code).map(Vec::as_slice).unwrap_or_default();
        let present: Vec<String> = present.iter().map(ToString::to_string).collect();
        match present.is_empty() {
            true => output::line(format!("{code}: no price")),
            false => output::line(format!("{code}: {}", present.join(", "))),
        }
    }
    let mut table = show::table(&["Product", "When", "Who", "Before", "Price"]);
    for recorded in &history {
        table.add_row([
            recorded.change.code.clone(),
            show::time(recorded.changed_at_ms),
            recorded.changed_by.name.clone(),
            shown(recorded.change.before.as_ref()),
            shown(recorded.change.after.as_ref()),
        ]);
    }
    output::table(&table);
    Ok(ExitStatus::Done)
}
