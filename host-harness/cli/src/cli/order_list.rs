//! `order list`: the orders that match a filter, the latest first.

use std::collections::BTreeMap;

use bss_model::{Asset, AssetFilter, Cursor, Order, OrderFilter, Page, Settlement, SortOrder, settlement};
use clap::Args;
use host_harness::Host;
use host_harness::view::Keys;
use uuid::Uuid;

use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome};
use super::period::PeriodArguments;
use super::{instances, output, pages, show};

/// Orders that a table has without `--limit`: those of a long day, and few enough to be read.
const ROWS: u32 = 50;

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
    #[command(flatten)]
    period: PeriodArguments,
    /// The most orders; 0 is no limit [default: 50, and with --json no limit]
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Continue a list that was cut off, after the place that it named
    #[arg(long, value_name = "PLACE")]
    after: Option<String>,
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
    let period = list.period.period()?;
    let filter = OrderFilter {
        instance: instances::filter_id(host, list.instance.as_deref()).await?,
        customer: list.customer,
        since_ms: period.since_ms,
        until_ms: period.until_ms,
        idempotency_key: None,
        product: list.product,
        settlement: list.status.map(Settlement::from),
    };
    let limit = list.limit.unwrap_or(if json { 0 } else { ROWS });
    let page = Page {
        after: list.after.map(Cursor::new),
        ..Page::first(limit).in_order(SortOrder::Descending)
    };
    let orders = host.record().orders(&filter, &page).await?;
    match json {
        true => show_json(host, &orders.rows).await?,
        false => show_table(host, &orders.rows).await?,
    }
    if let Some(next) = orders.next {
        output::note(format!(
            "there are more orders; `--after {}` continues",
            next.as_str()
        ));
    }
    Ok(ExitStatus::Done)
}

async fn show_json(host: &Host, orders: &[Order]) -> Result<(), Failure> {
    let mut views = Vec::with_capacity(orders.len());
    for order in orders {
        let assets = assets_of(host, order.id).await?;
        views.push(host.order_view(order, &assets, Keys::Masked).await?);
    }
    show::json(&views)
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
