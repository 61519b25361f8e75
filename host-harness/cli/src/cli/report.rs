//! `bss-host report`: what was charged and credited in a month, with sums.

use bss_model::ChargeFilter;
use clap::{Args, ValueEnum};
use host_harness::Host;
use host_harness::view::{Report, ReportEntry, Sum};
use serde::Serialize;

use super::csv_lines::{self, Column, CsvOption, Form};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome};
use super::period::{OnDay, Period, PeriodArguments};
use super::{instances, output, show};

const ENTRY_COLUMNS: [Column; 16] = [
    Column::Of("date"),
    Column::Time("atMs"),
    Column::Of("kind"),
    Column::Of("number"),
    Column::Of("chargeNumber"),
    Column::Of("instance"),
    Column::Of("customer.id"),
    Column::Of("customer.name"),
    Column::Of("billingTo.id"),
    Column::Of("orderId"),
    Column::Of("idempotencyKey"),
    Column::Of("assetId"),
    Column::Of("productCode"),
    Column::Of("productName"),
    Column::Of("quantity"),
    Column::Money("amount"),
];

const SUM_COLUMNS: [Column; 6] = [
    Column::Of("id"),
    Column::Of("name"),
    Column::Of("currency"),
    Column::Amount("charged"),
    Column::Amount("credited"),
    Column::Amount("balance"),
];

#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    #[command(flatten)]
    period: PeriodArguments,
    /// Only this instance
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// Only this customer, by the platform's own id
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Only the sums by this, without the charges and credits; with --json, there is always all
    #[arg(long, value_name = "WHAT")]
    by: Option<By>,
    #[command(flatten)]
    csv: CsvOption,
}

/// What charges and credits are summed up by, beside the currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    Currency,
    Instance,
    Customer,
    Product,
}

impl By {
    fn heading(self) -> &'static str {
        match self {
            Self::Currency => "Currency",
            Self::Instance => "Instance",
            Self::Customer => "Customer",
            Self::Product => "Product",
        }
    }

    fn sums(self, report: &Report) -> &[Sum] {
        match self {
            Self::Currency => &report.by_currency,
            Self::Instance => &report.by_instance,
            Self::Customer => &report.by_customer,
            Self::Product => &report.by_product,
        }
    }
}

/// A report for programs, each of whose entries has its day.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DatedReport<'a> {
    since_at_ms: Option<i64>,
    until_at_ms: Option<i64>,
    entries: Vec<OnDay<'a, ReportEntry>>,
    by_currency: &'a [Sum],
    by_instance: &'a [Sum],
    by_customer: &'a [Sum],
    by_product: &'a [Sum],
}

impl<'a> DatedReport<'a> {
    fn new(report: &'a Report, period: &Period) -> Self {
        Self {
            since_at_ms: report.since_at_ms,
            until_at_ms: report.until_at_ms,
            entries: period.on_days(&report.entries, |entry| entry.at_ms),
            by_currency: &report.by_currency,
            by_instance: &report.by_instance,
            by_customer: &report.by_customer,
            by_product: &report.by_product,
        }
    }
}

pub(super) async fn run(host: &Host, asked: &ReportArguments, json: bool) -> Outcome {
    let period = asked.period.period()?;
    if period.since_ms.or(period.until_ms).is_none() {
        let message = "a report is about a month or some days";
        return Err(
            Failure::usage(message).hint("name them, as in `--month 2026-11` or `--since 2026-11-01`")
        );
    }
    let filter = ChargeFilter {
        instance: instances::filter_id(host, asked.instance.as_deref()).await?,
        customer: asked.customer.clone(),
        since_ms: period.since_ms,
        until_ms: period.until_ms,
        ..ChargeFilter::default()
    };
    let report = host.report(&filter).await?;
    match (asked.csv.form(json), asked.by) {
        (Form::Json, _) => show::json(&DatedReport::new(&report, &period))?,
        (Form::Csv, Some(by)) => csv_lines::write(by.sums(&report), &SUM_COLUMNS)?,
        (Form::Csv, None) => {
            let entries = period.on_days(&report.entries, |entry| entry.at_ms);
            csv_lines::write(&entries, &ENTRY_COLUMNS)?;
        }
        (Form::Table, Some(by)) => show_sums(by, by.sums(&report)),
        (Form::Table, None) => show_tables(&report, &period),
    }
    Ok(ExitStatus::Done)
}

fn show_tables(report: &Report, period: &Period) {
    let mut table = show::table(&[
        "Date", "Number", "Customer", "Order", "Key", "Product", "Amount", "Instance",
    ]);
    for entry in &report.entries {
        table.add_row(row(entry, period));
    }
    output::table(&table);
    for by in [By::Instance, By::Customer, By::Product, By::Currency] {
        show_sums(by, by.sums(report));
    }
}

fn row(entry: &ReportEntry, period: &Period) -> [String; 8] {
    let number = match &entry.charge_number {
        Some(charge) => format!("{} for {charge}", entry.number),
        None => entry.number.clone(),
    };
    let product = format!("{} {}", entry.product_code, entry.product_name);
    [
        period.day(entry.at_ms),
        number,
        show::party(&entry.parties.customer.name, &entry.parties.customer.id),
        entry.order_id.to_string(),
        entry.idempotency_key.clone().unwrap_or_default(),
        show::units(entry.quantity, &product),
        show::amount(Some(&entry.amount)),
        entry.parties.instance.clone(),
    ]
}

fn show_sums(by: By, sums: &[Sum]) {
    let mut table = show::table(&[by.heading(), "Charged", "Credited", "Balance"]);
    for sum in sums {
        let (id, name) = (
            sum.id.as_deref().unwrap_or_default(),
            sum.name.as_deref().unwrap_or_default(),
        );
        let what = match by {
            By::Currency => sum.currency.clone(),
            By::Instance => name.to_owned(),
            By::Customer => show::party(name, id),
            By::Product => format!("{id} {name}"),
        };
        let amounts = [&sum.charged, &sum.credited, &sum.balance];
        let amounts = amounts.map(|price| show::sum(price.as_ref()));
        table.add_row(std::iter::once(what).chain(amounts));
    }
    output::table(&table);
}
