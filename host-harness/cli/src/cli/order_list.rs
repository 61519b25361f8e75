//! `order list`: the orders that match a filter, the latest first.

use std::collections::BTreeMap;

use bss_model::{Asset, AssetFilter, OrderFilter, Settlement, SortOrder};
use clap::Args;
use host_harness::Host;
use host_harness::view::{self, Keys};
use uuid::Uuid;

use super::csv_lines::{self, Column, CsvOption};
use super::failure::{Failure, Outcome};
use super::output::Table;
use super::pages::{self, PageArguments};
use super::period::PeriodArguments;
use super::{instances, show};

const COLUMNS: [Column; 13] = [
    Column::Of("id"),
    Column::Time("placedAtMs"),
    Column::Of("state"),
    Column::Of("instance"),
    Column::Of("customer.id"),
    Column::Of("customer.name"),
    Column::Of("contact.email"),
    Column::Of("billingTo.id"),
    Column::Of("assets.productCode"),
    Column::Of("assets.quantity"),
    Column::Of("idempotencyKey"),
    Column::Of("platform"),
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
    #[arg(long, value_name = "STATE")]
    state: Option<State>,
    #[command(flatten)]
    period: PeriodArguments,
    #[command(flatten)]
    page: PageArguments,
    #[command(flatten)]
    csv: CsvOption,
}

/// The state of an order, as it is typed in and shown.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum State {
    /// A license is not bought yet, or not known to be bought
    Open,
    /// All licenses are bought
    Licensed,
    /// Some licenses are bought, and others were refused
    Partly,
    /// No license is bought, and one or more were refused
    Refused,
    /// All licenses were withdrawn before they were bought
    Withdrawn,
}

impl From<State> for Settlement {
    fn from(typed: State) -> Self {
        match typed {
            State::Open => Self::Open,
            State::Licensed => Self::Licensed,
            State::Partly => Self::Partly,
            State::Refused => Self::Refused,
            State::Withdrawn => Self::Withdrawn,
        }
    }
}

pub(super) async fn run(host: &Host, list: ListOrders, json: bool) -> Outcome {
    let form = list.csv.form(json);
    let period = list.period.period()?;
    let filter = OrderFilter {
        instance: instances::filter_id(host, list.instance.as_deref()).await?,
        customer: list.customer,
        since_ms: period.since_ms,
        until_ms: period.until_ms,
        idempotency_key: None,
        product: list.product,
        settlement: list.state.map(Settlement::from),
    };
    let orders = list
        .page
        .read(form, async |page| host.record().orders(&filter, page).await);
    let views = host.order_views(&orders.await?, Keys::Masked).await?;
    csv_lines::list(form, &views, &COLUMNS, table)
}

/// A table of orders, for people.
pub(super) fn table(orders: &[view::Order]) -> Table {
    let mut table = show::table(&[
        "Order", "Placed", "State", "Customer", "Instance", "Products", "Key",
    ]);
    for order in orders {
        let customer = &order.parties.customer;
        table.add_row([
            show::short(order.id),
            show::time(order.placed_at_ms),
            order.state.to_owned(),
            show::party(&customer.name, &customer.id),
            order.parties.instance.clone(),
            products(order),
            order.idempotency_key.clone().unwrap_or_default(),
        ]);
    }
    table
}

/// The products of an order, each with its units.
fn products(order: &view::Order) -> String {
    let mut units = BTreeMap::<&str, u32>::new();
    for asset in &order.assets {
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
