//! `charge …` and `credit …`: what customers were charged and credited.

use bss_model::{Advice, ChargeFilter, ChargePrefix, ErrorKind, IdKind, Price, SerialNumber, SortOrder};
use clap::{Args, Subcommand};
use host_harness::Host;
use host_harness::view::{Charge, ChargeNumbers, Credit, Parties};

use super::csv_lines::{self, Column, CsvOption, Form};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome, parsed};
use super::input::operator;
use super::period::{Period, PeriodArguments};
use super::typed_ids::{self, TypedId};
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
    /// Show charges: one for each license that was bought
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
    /// Show credits: one for each license that was charged and returned
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
    order: Option<TypedId>,
    #[command(flatten)]
    period: PeriodArguments,
    #[command(flatten)]
    csv: CsvOption,
}

#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// The number, as in `ESD-000012`, or the order's id
    #[arg(value_name = "NUMBER|ORDER", value_parser = parsed::<Named>)]
    named: Named,
    /// The instance, where several owners have the same number
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
}

/// What is shown.
#[derive(Clone, Debug)]
enum Named {
    Order(TypedId),
    Number(SerialNumber),
}

impl std::str::FromStr for Named {
    type Err = bss_model::NotASerialNumber;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A bare number is shorter than an id.
        match (text.parse(), text.parse()) {
            (Ok(number), _) => Ok(Self::Number(number)),
            (Err(_), Ok(order)) => Ok(Self::Order(order)),
            (Err(no_number), Err(_)) => Err(no_number),
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
            order: typed_ids::optional(self.order.as_ref(), IdKind::Order, host).await?,
            customer: self.customer.clone(),
            since_ms: period.since_ms,
            until_ms: period.until_ms,
            ..ChargeFilter::default()
        })
    }
}

impl ShowArguments {
    async fn filter(&self, host: &Host) -> Result<ChargeFilter, Failure> {
        let (order, number) = match &self.named {
            Named::Order(order) => (Some(order.of(IdKind::Order, host).await?), None),
            Named::Number(number) => (None, Some(number.clone())),
        };
        Ok(ChargeFilter {
            instance: instances::filter_id(host, self.instance.as_deref()).await?,
            order,
            number,
            ..ChargeFilter::default()
        })
    }

    /// Refuses what was not found, and a number that several have.
    fn check(&self, found: usize, what: &str) -> Result<(), Failure> {
        let named = match (&self.named, found) {
            (Named::Number(_), 2..) => {
                let message = "several instances have this number";
                return Err(Failure::usage(message).hint("name the instance by --instance"));
            }
            (_, 1..) => return Ok(()),
            (Named::Order(_), 0) => format!("the order has no {what}"),
            (Named::Number(number), 0) => format!("there is no {what} `{number}`"),
        };
        Err(Failure::new(ErrorKind::NotFound, "no-charge", named).advise(&Advice::ListCharges))
    }
}

async fn charges(host: &Host, filter: &ChargeFilter) -> Result<Vec<Charge>, Failure> {
    let charges = pages::all(SortOrder::Ascending, async |page| {
        host.record().charges(filter, page).await
    });
    let charges = charges.await?;
    // A charge may be credited at any time after it.
    let of_charges = ChargeFilter {
        number: None,
        until_ms: None,
        ..filter.clone()
    };
    let credits = pages::all(SortOrder::Ascending, async |page| {
        host.record().credits(&of_charges, page).await
    });
    Ok(host.charge_views(&charges, &credits.await?).await?)
}

async fn credits(host: &Host, filter: &ChargeFilter) -> Result<Vec<Credit>, Failure> {
    let credits = pages::all(SortOrder::Ascending, async |page| {
        host.record().credits(filter, page).await
    });
    Ok(host.credit_views(&credits.await?).await?)
}

async fn list_charges(host: &Host, asked: &ListArguments, json: bool) -> Outcome {
    let period = asked.period.period()?;
    let charges = charges(host, &asked.filter(host, &period).await?).await?;
    match asked.csv.form(json) {
        Form::Csv => {
            let charges = period.on_days(&charges, |charge| charge.charged_at_ms);
            csv_lines::write(&charges, &CHARGE_COLUMNS)?;
        }
        Form::Json => show::json(&charges)?,
        Form::Table => charge_table(&charges, &period),
    }
    Ok(ExitStatus::Done)
}

fn charge_table(charges: &[Charge], period: &Period) {
    let mut table = show::table(&[
        "Charge", "Date", "Customer", "Instance", "Order", "Amount", "Credited",
    ]);
    for charge in charges {
        table.add_row([
            charge.number.clone(),
            period.day(charge.charged_at_ms),
            customer(&charge.parties),
            charge.parties.instance.clone(),
            charge.order_id.to_string(),
            amount(charge.total.as_ref()),
            amount(charge.credited.as_ref()),
        ]);
    }
    output::table(&table);
}

async fn list_credits(host: &Host, asked: &ListArguments, json: bool) -> Outcome {
    let period = asked.period.period()?;
    let credits = credits(host, &asked.filter(host, &period).await?).await?;
    match asked.csv.form(json) {
        Form::Csv => {
            let credits = period.on_days(&credits, |credit| credit.credited_at_ms);
            csv_lines::write(&credits, &CREDIT_COLUMNS)?;
        }
        Form::Json => show::json(&credits)?,
        Form::Table => credit_table(&credits, |at_ms| period.day(at_ms)),
    }
    Ok(ExitStatus::Done)
}

fn credit_table(credits: &[Credit], day: impl Fn(i64) -> String) {
    let mut table = show::table(&[
        "Credit", "Date", "Charge", "Customer", "Instance", "Order", "Product", "Reason", "Amount",
    ]);
    for credit in credits {
        table.add_row([
            credit.number.clone(),
            day(credit.credited_at_ms),
            credit.charge_number.clone(),
            customer(&credit.parties),
            credit.parties.instance.clone(),
            credit.order_id.to_string(),
            show::units(credit.quantity, &credit.product_name),
            credit.reason.clone(),
            amount(Some(&credit.price)),
        ]);
    }
    output::table(&table);
}

async fn show_charges(host: &Host, asked: &ShowArguments, json: bool) -> Outcome {
    let charges = charges(host, &asked.filter(host).await?).await?;
    asked.check(charges.len(), "charge")?;
    match (&asked.named, json) {
        (Named::Number(_), true) => charges.iter().try_for_each(show::json)?,
        (Named::Order(_), true) => show::json(&charges)?,
        (_, false) => charges.iter().for_each(show_charge),
    }
    Ok(ExitStatus::Done)
}

async fn show_credits(host: &Host, asked: &ShowArguments, json: bool) -> Outcome {
    let credits = credits(host, &asked.filter(host).await?).await?;
    asked.check(credits.len(), "credit")?;
    match (&asked.named, json) {
        (Named::Number(_), true) => credits.iter().try_for_each(show::json)?,
        (Named::Order(_), true) => show::json(&credits)?,
        (_, false) => credit_table(&credits, show::time),
    }
    Ok(ExitStatus::Done)
}

fn show_charge(charge: &Charge) {
    output::line(format!(
        "charge {} of {}: order {} of {}, instance {}",
        charge.number,
        show::time(charge.charged_at_ms),
        charge.order_id,
        customer(&charge.parties),
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
            amount(Some(&line.price)),
            credit.map_or_else(String::new, |credit| {
                let when = show::time(credit.credited_at_ms);
                format!("{} ({} of {when})", amount(Some(&credit.price)), credit.number)
            }),
        ]);
    }
    output::table(&table);
    output::line(format!(
        "charged {}, credited {}",
        amount(charge.total.as_ref()),
        amount(charge.credited.as_ref())
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

/// A customer's id and name.
pub(super) fn customer(parties: &Parties) -> String {
    format!("{} {}", parties.customer.id, parties.customer.name)
}

/// An amount with its currency.
pub(super) fn amount(price: Option<&host_harness::view::Price>) -> String {
    price.map_or_else(
        || "(no common currency)".to_owned(),
        |price| model(price).to_string(),
    )
}

fn model(price: &host_harness::view::Price) -> Price {
    Price {
        currency: price.currency.clone(),
        minor_units: price.minor_units,
    }
}
