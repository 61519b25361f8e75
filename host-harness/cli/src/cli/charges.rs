//! `charge …` and `credit …`: what customers were charged and credited.

use bss_model::{Advice, ChargeFilter, ChargePrefix, ErrorKind, SerialNumber, SortOrder};
use clap::{Args, Subcommand};
use host_harness::Host;
use host_harness::view::{Charge, ChargeNumbers, Credit, Parties};
use serde::Serialize;

use super::csv_lines::{self, Column, CsvOption};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome, parsed};
use super::input::operator;
use super::output::Table;
use super::pages::PageArguments;
use super::period::{Period, PeriodArguments};
use super::typed_ids::{self, TypedOrder};
use super::{instances, output, pages, show};

const CHARGE_COLUMNS: [Column; 12] = [
    Column::Of("number"),
    Column::Of("date"),
    Column::Time("chargedAtMs"),
    Column::Of("instance"),
    Column::Of("customer.id"),
    Column::Of("customer.name"),
    Column::Of("billingTo.id"),
    Column::Of("orderId"),
    Column::Of("lines.assetId"),
    Column::Of("lines.productCode"),
    Column::Money("total"),
    Column::Money("credited"),
];

const CREDIT_COLUMNS: [Column; 14] = [
    Column::Of("number"),
    Column::Of("date"),
    Column::Time("creditedAtMs"),
    Column::Of("chargeNumber"),
    Column::Of("instance"),
    Column::Of("customer.id"),
    Column::Of("customer.name"),
    Column::Of("billingTo.id"),
    Column::Of("orderId"),
    Column::Of("assetId"),
    Column::Of("productCode"),
    Column::Of("quantity"),
    Column::Of("reason"),
    Column::Money("price"),
];

#[derive(Debug, Subcommand)]
pub(super) enum ChargeCommand {
    /// Show charges, the latest first: one for each license that was bought
    List(ListArguments),
    /// Show a charge, or those of an order, with their lines and credits
    Show(ShowArguments),
    /// Show how an instance's charges are numbered, or choose their prefix before the first one
    Prefix {
        /// The instance's name
        instance: String,
        /// The prefix, as in `DE-2026`: capital letters and digits, with single hyphens between
        #[arg(value_parser = parsed::<ChargePrefix>)]
        prefix: Option<ChargePrefix>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum CreditCommand {
    /// Show credits, the latest first: one for each license that was charged and returned
    List(ListArguments),
    /// Show a credit, or those of an order
    Show(ShowArguments),
}

#[derive(Debug, Args)]
pub(super) struct ListArguments {
    /// Only those of this instance
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// Only those of this customer, by the platform's own id
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Only those of this order
    #[arg(long, value_name = "ORDER")]
    order: Option<TypedOrder>,
    #[command(flatten)]
    period: PeriodArguments,
    #[command(flatten)]
    page: PageArguments,
    #[command(flatten)]
    csv: CsvOption,
}

#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// The number, as in `ESD-000012`, or the order's id or key
    #[arg(value_name = "NUMBER|ORDER")]
    named: TypedOrder,
    /// The instance, where several owners have the same number
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
}

/// What a number or an order names.
enum Named<T> {
    ByNumber(T),
    OfOrder(Vec<T>),
}

impl<T: Serialize> Named<T> {
    fn show_json(&self) -> Result<(), Failure> {
        match self {
            Self::ByNumber(one) => show::json(one),
            Self::OfOrder(all) => show::json(all),
        }
    }

    fn all(&self) -> &[T] {
        match self {
            Self::ByNumber(one) => std::slice::from_ref(one),
            Self::OfOrder(all) => all,
        }
    }
}

pub(super) async fn run(host: &Host, command: ChargeCommand, json: bool) -> Outcome {
    match command {
        ChargeCommand::List(asked) => list_charges(host, &asked, json).await,
        ChargeCommand::Show(asked) => show_charges(host, &asked, json).await,
        ChargeCommand::Prefix { instance, prefix } => numbers(host, &instance, prefix, json).await,
    }
}

pub(super) async fn run_credits(host: &Host, command: CreditCommand, json: bool) -> Outcome {
    match command {
        CreditCommand::List(asked) => list_credits(host, &asked, json).await,
        CreditCommand::Show(asked) => show_credits(host, &asked, json).await,
    }
}

impl ListArguments {
    async fn filter(&self, host: &Host, period: &Period) -> Result<ChargeFilter, Failure> {
        Ok(ChargeFilter {
            instance: instances::filter_id(host, self.instance.as_deref()).await?,
            order: typed_ids::order(self.order.as_ref(), host).await?,
            customer: self.customer.clone(),
            since_ms: period.since_ms,
            until_ms: period.until_ms,
            ..ChargeFilter::default()
        })
    }
}

impl ShowArguments {
    /// Finds what is named: first by a number, and then of an order, whose id may be nothing but digits.
    async fn find<T>(
        &self,
        host: &Host,
        what: &str,
        read: impl AsyncFn(&ChargeFilter) -> Result<Vec<T>, Failure>,
    ) -> Result<Named<T>, Failure> {
        let instance = instances::filter_id(host, self.instance.as_deref()).await?;
        let filter = ChargeFilter {
            instance,
            ..ChargeFilter::default()
        };
        let text = self.named.as_str();
        let orders = self.named.all_meant(host).await?;
        let mut by_number = match text.parse::<SerialNumber>() {
            Ok(number) => {
                let number = Some(number);
                read(&ChargeFilter {
                    number,
                    ..filter.clone()
                })
                .await?
            }
            Err(_) => Vec::new(),
        };
        if by_number.len() > 1 {
            let message = "several instances have this number";
            return Err(Failure::usage(message).hint("name the instance by --instance"));
        }
        if let Some(one) = by_number.pop() {
            for order in orders {
                output::note(format!(
                    "`{text}` means order {order}, too: give its whole id to see what it has"
                ));
            }
            return Ok(Named::ByNumber(one));
        }
        let no_charge = |message: String| {
            Failure::new(ErrorKind::NotFound, "no-charge", message).advise(&Advice::ListCharges)
        };
        let order = match orders.as_slice() {
            [] => return Err(no_charge(format!("there is no {what} `{text}`, and no order"))),
            [order] => *order,
            several => return Err(typed_ids::ambiguous(text, "order", several)),
        };
        let of_order = read(&ChargeFilter {
            order: Some(order),
            ..filter
        })
        .await?;
        match of_order.is_empty() {
            true => Err(no_charge(format!("order {order} has no {what}"))),
            false => Ok(Named::OfOrder(of_order)),
        }
    }
}

/// All charges that match a filter.
async fn charges(host: &Host, filter: &ChargeFilter) -> Result<Vec<Charge>, Failure> {
    let charges = pages::all(SortOrder::Ascending, async |page| {
        host.record().charges(filter, page).await
    });
    Ok(host.credited_charge_views(&charges.await?).await?)
}

/// All credits that match a filter.
async fn credits(host: &Host, filter: &ChargeFilter) -> Result<Vec<Credit>, Failure> {
    let credits = pages::all(SortOrder::Ascending, async |page| {
        host.record().credits(filter, page).await
    });
    Ok(host.credit_views(&credits.await?).await?)
}

async fn list_charges(host: &Host, asked: &ListArguments, json: bool) -> Outcome {
    let period = asked.period.period()?;
    let (form, filter) = (asked.csv.form(json), asked.filter(host, &period).await?);
    let charges = asked
        .page
        .read(form, async |page| host.record().charges(&filter, page).await);
    let charges = host.credited_charge_views(&charges.await?).await?;
    let on_days = period.on_days(&charges, |charge| charge.charged_at_ms);
    csv_lines::list(form, &on_days, &CHARGE_COLUMNS, |_| {
        charge_table(&charges, &period)
    })
}

fn charge_table(charges: &[Charge], period: &Period) -> Table {
    let mut table = show::table(&[
        "Charge", "Date", "Customer", "Instance", "Order", "Amount", "Credited",
    ]);
    for charge in charges {
        table.add_row([
            charge.number.clone(),
            period.day(charge.charged_at_ms),
            party(&charge.parties),
            charge.parties.instance.clone(),
            charge.order_id.to_string(),
            show::amount(charge.total.as_ref()),
            show::amount(charge.credited.as_ref()),
        ]);
    }
    table
}

async fn list_credits(host: &Host, asked: &ListArguments, json: bool) -> Outcome {
    let period = asked.period.period()?;
    let (form, filter) = (asked.csv.form(json), asked.filter(host, &period).await?);
    let credits = asked
        .page
        .read(form, async |page| host.record().credits(&filter, page).await);
    let credits = host.credit_views(&credits.await?).await?;
    let on_days = period.on_days(&credits, |credit| credit.credited_at_ms);
    csv_lines::list(form, &on_days, &CREDIT_COLUMNS, |_| {
        credit_table(&credits, |at_ms| period.day(at_ms))
    })
}

fn credit_table(credits: &[Credit], day: impl Fn(i64) -> String) -> Table {
    let mut table = show::table(&[
        "Credit", "Date", "Charge", "Customer", "Instance", "Order", "Product", "Reason", "Amount",
    ]);
    for credit in credits {
        table.add_row([
            credit.number.clone(),
            day(credit.credited_at_ms),
            credit.charge_number.clone(),
            party(&credit.parties),
            credit.parties.instance.clone(),
            credit.order_id.to_string(),
            show::units(credit.quantity, &credit.product_name),
            credit.reason.clone(),
            show::amount(Some(&credit.price)),
        ]);
    }
    table
}

async fn show_charges(host: &Host, asked: &ShowArguments, json: bool) -> Outcome {
    let found = asked.find(host, "charge", async |filter| charges(host, filter).await);
    let found = found.await?;
    match json {
        true => found.show_json()?,
        false => found.all().iter().for_each(show_charge),
    }
    Ok(ExitStatus::Done)
}

async fn show_credits(host: &Host, asked: &ShowArguments, json: bool) -> Outcome {
    let found = asked.find(host, "credit", async |filter| credits(host, filter).await);
    let found = found.await?;
    match json {
        true => found.show_json()?,
        false => output::table(&credit_table(found.all(), show::time)),
    }
    Ok(ExitStatus::Done)
}

fn show_charge(charge: &Charge) {
    output::line(format!(
        "charge {} of {}: order {} of {}, instance {}",
        charge.number,
        show::time(charge.charged_at_ms),
        charge.order_id,
        party(&charge.parties),
        charge.parties.instance
    ));
    let mut table = show::table(&["Line", "License", "Product", "Name", "Price", "Credit"]);
    for line in &charge.lines {
        let credit = charge
            .credits
            .iter()
            .find(|credit| credit.asset_id == line.asset_id);
        table.add_row([
            line.position.to_string(),
            line.asset_id.to_string(),
            line.product_code.clone(),
            show::units(line.quantity, &line.product_name),
            show::amount(Some(&line.price)),
            credit.map_or_else(String::new, |credit| {
                let when = show::time(credit.credited_at_ms);
                format!(
                    "{} ({} of {when})",
                    show::amount(Some(&credit.price)),
                    credit.number
                )
            }),
        ]);
    }
    output::table(&table);
    output::line(format!(
        "charged {}, credited {}",
        show::amount(charge.total.as_ref()),
        show::amount(charge.credited.as_ref())
    ));
}

async fn numbers(host: &Host, instance: &str, prefix: Option<ChargePrefix>, json: bool) -> Outcome {
    let instance = host.named_instance(instance).await?;
    let record = host.record();
    let series = match prefix {
        Some(prefix) => record.set_charge_prefix(instance.id, prefix, &operator()).await?,
        None => record.charge_series(instance.id).await?,
    };
    let numbers = ChargeNumbers::new(&instance.name, instance.id, &series);
    if json {
        show::json(&numbers)?;
        return Ok(ExitStatus::Done);
    }
    output::line(format!(
        "charges of `{}` are numbered with {}, credits with {}: {} and {} so far",
        numbers.instance,
        numbers.prefix,
        numbers.credit_prefix,
        show::counted(numbers.charges, "charge"),
        show::counted(numbers.credits, "credit")
    ));
    Ok(ExitStatus::Done)
}

/// The customer of a charge or a credit.
fn party(parties: &Parties) -> String {
    show::party(&parties.customer.name, &parties.customer.id)
}
