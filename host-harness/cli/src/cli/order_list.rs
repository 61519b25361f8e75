//! `order list`: the orders that match a filter, the latest first.

use std::collections::BTreeMap;

use bss_model::{Asset, AssetFilter, Cursor, Order, OrderFilter, Page, Settlement, SortOrder, settlement};
use clap::Args;
use host_harness::Host;
use host_harness::view::{self, Keys};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, civil};
use uuid::Uuid;

use super::csv_lines::{self, Column, CsvOption, Form};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome};
use super::{instances, output, pages, show};

/// Orders that a table has without `--limit`: those of a long day, and few enough to be read.
const ROWS: u32 = 50;

const COLUMNS: [Column; 14] = [
    Column::Of("id"),
    Column::Time("placedAtMs"),
    Column::Of("state"),
    Column::Of("instance"),
    Column::Of("customer.id"),
    Column::Of("customer.name"),
    Column::Of("customer.country"),
    Column::Of("billingTo.id"),
    Column::Of("contact.email"),
    Column::Of("idempotencyKey"),
    Column::Of("assets.id"),
    Column::Of("assets.productCode"),
    Column::Of("assets.quantity"),
    Column::Time("customerErasedAtMs"),
];

#[derive(Debug, Args)]
pub(super) struct ListOrders {
    /// Only orders at this instance
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// Only orders of this customer, by the platform's id
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Only orders of this product, by its code
    #[arg(long, value_name = "CODE")]
    product: Option<String>,
    /// Only orders in this state
    #[arg(long, value_name = "STATUS")]
    status: Option<Status>,
    /// Only orders placed then or later: a date, which begins at midnight UTC, or an instant as in 2026-11-29T08:00Z
    #[arg(long, value_name = "TIME", value_parser = since_ms)]
    since: Option<i64>,
    /// Only orders placed before an instant, or up to a date and including it
    #[arg(long, value_name = "TIME", value_parser = until_ms)]
    until: Option<i64>,
    /// The most orders; 0 is no limit [default: 50, and with --json or --csv no limit]
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Continue a list that was cut off, after the place that it named
    #[arg(long, value_name = "PLACE")]
    after: Option<String>,
    #[command(flatten)]
    csv: CsvOption,
}

/// The state of an order, as it is typed in and shown.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Status {
    /// A license is not bought yet, or not known to be bought
    Waiting,
    /// All licenses are bought
    Done,
    /// Some licenses are bought, and others were refused
    Partly,
    /// No license is bought, and one or more were refused
    Failed,
    /// All licenses were withdrawn before they were bought
    Withdrawn,
}

impl From<Status> for Settlement {
    fn from(typed: Status) -> Self {
        match typed {
            Status::Waiting => Self::Open,
            Status::Done => Self::Licensed,
            Status::Partly => Self::Partly,
            Status::Failed => Self::Refused,
            Status::Withdrawn => Self::Withdrawn,
        }
    }
}

fn word(settlement: Settlement) -> &'static str {
    match settlement {
        Settlement::Open => "waiting",
        Settlement::Licensed => "done",
        Settlement::Partly => "partly",
        Settlement::Refused => "failed",
        Settlement::Withdrawn => "withdrawn",
    }
}

pub(super) async fn run(host: &Host, list: ListOrders, json: bool) -> Outcome {
    let filter = OrderFilter {
        instance: instances::filter_id(host, list.instance.as_deref()).await?,
        customer: list.customer,
        since_ms: list.since,
        until_ms: list.until,
        idempotency_key: None,
        product: list.product,
        settlement: list.status.map(Settlement::from),
    };
    let form = list.csv.form(json);
    let limit = list.limit.unwrap_or(match form {
        Form::Table => ROWS,
        Form::Json | Form::Csv => 0,
    });
    let page = Page {
        after: list.after.map(Cursor::new),
        ..Page::first(limit).in_order(SortOrder::Descending)
    };
    let orders = host.record().orders(&filter, &page).await?;
    match form {
        Form::Json => show::json(&views(host, &orders.rows).await?)?,
        Form::Csv => csv_lines::write(&views(host, &orders.rows).await?, &COLUMNS)?,
        Form::Table => show_table(host, &orders.rows).await?,
    }
    if let Some(next) = orders.next {
        output::note(format!(
            "there are more orders; `--after {}` continues",
            next.as_str()
        ));
    }
    Ok(ExitStatus::Done)
}

async fn views(host: &Host, orders: &[Order]) -> Result<Vec<view::Order>, Failure> {
    let mut views = Vec::with_capacity(orders.len());
    for order in orders {
        let assets = assets_of(host, order.id).await?;
        views.push(host.order_view(order, &assets, Keys::Masked).await?);
    }
    Ok(views)
}

async fn show_table(host: &Host, orders: &[Order]) -> Result<(), Failure> {
    let mut table = show::table(&[
        "Order",
        "Placed (UTC)",
        "Status",
        "Customer",
        "Instance",
        "Products",
        "Key",
    ]);
    let ids = orders.iter().map(|order| order.id).collect();
    let parties = host.record().parties_of_orders(&ids).await?;
    for order in orders {
        let assets = assets_of(host, order.id).await?;
        let instance = parties.get(&order.id).map(|parties| parties.instance.clone());
        table.add_row([
            order.id.to_string(),
            show::time(order.placed_at_ms),
            word(settlement(&assets)).to_owned(),
            format!("{} ({})", order.customer.name, order.customer.id),
            instance.unwrap_or_default(),
            products(&assets),
            order.idempotency_key.clone().unwrap_or_default(),
        ]);
    }
    output::table(&table);
    Ok(())
}

/// The products of assets, each with its units.
fn products(assets: &[Asset]) -> String {
    let mut units = BTreeMap::<&str, u32>::new();
    for asset in assets {
        let sum = units.entry(&asset.product_code).or_default();
        *sum = sum.saturating_add(asset.quantity);
    }
    let shown = units.into_iter().map(|(code, units)| show::units(units, code));
    shown.collect::<Vec<_>>().join(", ")
}

/// Reads all assets of an order.
pub(super) async fn assets_of(host: &Host, order: Uuid) -> Result<Vec<Asset>, Failure> {
    let filter = AssetFilter {
        order: Some(order),
        ..AssetFilter::default()
    };
    let assets = pages::all(SortOrder::Ascending, async |page| {
        host.record().assets(&filter, page).await
    });
    Ok(assets.await?)
}

/// The beginning of a date in UTC, or an instant, in milliseconds.
fn since_ms(text: &str) -> Result<i64, String> {
    moment_ms(text, 0)
}

/// The end of a date in UTC, or an instant, in milliseconds.
fn until_ms(text: &str) -> Result<i64, String> {
    moment_ms(text, 1)
}

/// An instant, or midnight UTC some days after a date, in milliseconds.
fn moment_ms(text: &str, days_later: i64) -> Result<i64, String> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant.as_millisecond());
    }
    let wrong = |_| "give a date, as in 2026-11-29, or an instant, as in 2026-11-29T08:00Z".to_owned();
    let date = civil::Date::strptime("%Y-%m-%d", text).map_err(wrong)?;
    let day = date.checked_add(days_later.days()).map_err(wrong)?;
    let midnight = day.to_zoned(TimeZone::UTC).map_err(wrong)?;
    Ok(midnight.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_a_whole_day_in_utc_and_an_instant_is_itself() {
        const DAY_MS: i64 = 86_400_000;
        assert_eq!(since_ms("1970-01-02"), Ok(DAY_MS));
        assert_eq!(until_ms("1970-01-02"), Ok(2 * DAY_MS));
        assert_eq!(since_ms("1970-01-02T00:00:01Z"), Ok(DAY_MS + 1_000));
        assert_eq!(until_ms("1970-01-02T01:00:00+01:00"), Ok(DAY_MS));
        for wrong in ["", "yesterday", "2026-13-01", "2026-11-29 08:00", "9999-12-31T"] {
            assert!(since_ms(wrong).is_err(), "{wrong}");
        }
    }
}
