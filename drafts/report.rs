//! `bss-host report`: what was charged and credited in a month, with sums.

use bss_model::ChargeFilter;
use clap::Args;
use host_harness::Host;
use host_harness::view::{Report, ReportEntry, Sum};

use super::charges::{amount, customer, decimal};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome};
use super::period::{Period, PeriodArguments};
use super::{csv_lines, instances, output, show};

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
    /// Print CSV, without the sums
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

pub(super) async fn run(host: &Host, asked: &ReportArguments, json: bool) -> Outcome {
    if asked.period.is_unbounded() {
        let message = "a report is about a month or some days";
        return Err(Failure::usage(message).hint("name them, as in `--month 2026-11` or `--since 2026-11-01`"));
    }
    let period = asked.period.period()?;
    let filter = ChargeFilter {
        instance: instances::filter_id(host, asked.instance.as_deref()).await?,
        customer: asked.customer.clone(),
        since_ms: period.since_ms,
        until_ms: period.until_ms,
        ..ChargeFilter::default()
    };
    let report = host.report(&filter).await?;
    if json {
        show::json(&report)?;
    } else if asked.csv {
        write_csv(&report, &period)?;
    } else {
        show_tables(&report, &period);
    }
    Ok(ExitStatus::Done)
}

fn write_csv(report: &Report, period: &Period) -> Result<(), Failure> {
    let header = [
        "date",
        "kind",
        "number",
        "charge",
        "customer_id",
        "customer_name",
        "billing_to_id",
        "order_id",
        "order_key",
        "product_code",
        "product_name",
        "quantity",
        "net",
        "currency",
        "instance",
    ];
    let rows = report.entries.iter().map(|entry| {
        [
            period.day(entry.at_ms),
            entry.kind.clone(),
            entry.number.clone(),
            entry.charge_number.clone().unwrap_or_default(),
            entry.parties.customer.id.clone(),
            entry.parties.customer.name.clone(),
            entry.parties.billing_to.id.clone(),
            entry.order_id.to_string(),
            entry.idempotency_key.clone().unwrap_or_default(),
            entry.product_code.clone(),
            entry.product_name.clone(),
            entry.quantity.to_string(),
            decimal(Some(&entry.net)),
            entry.net.currency.clone(),
            entry.parties.instance.clone(),
        ]
    });
    csv_lines::write(header, rows)
}

fn show_tables(report: &Report, period: &Period) {
    let mut table = show::table(&[
        "Date", "Number", "Customer", "Order", "Key", "Product", "Net", "Instance",
    ]);
    for entry in &report.entries {
        table.add_row(row(entry, period));
    }
    output::table(&table);
    show_sums("Currency", &report.by_currency);
    show_sums("Instance", &report.by_instance);
    show_sums("Customer", &report.by_customer);
    show_sums("Product", &report.by_product);
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
        customer(&entry.parties),
        entry.order_id.to_string(),
        entry.idempotency_key.clone().unwrap_or_default(),
        show::units(entry.quantity, &product),
        amount(Some(&entry.net)),
        entry.parties.instance.clone(),
    ]
}

fn show_sums(of: &str, sums: &[Sum]) {
    let mut table = show::table(&[of, "Charged", "Credited", "Net"]);
    for sum in sums {
        let what = match (&sum.id, &sum.name) {
            (Some(_), Some(name)) if of == "Instance" => name.clone(),
            (Some(id), Some(name)) => format!("{id} {name}"),
            _ => sum.currency.clone(),
        };
        let told = |price: &Option<_>| price.as_ref().map_or_else(|| "(too large)".to_owned(), |price| amount(Some(price)));
        table.add_row([what, told(&sum.charged), told(&sum.credited), told(&sum.net)]);
    }
    output::table(&table);
}
