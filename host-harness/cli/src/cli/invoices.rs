//! `invoice …`: what was charged and credited.

use bss_model::{Advice, BillingFilter, Credit, ErrorKind, Invoice, SortOrder};
use clap::Subcommand;
use host_harness::Host;
use uuid::Uuid;

use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome};
use super::{instances, output, pages, show};

#[derive(Debug, Subcommand)]
pub(super) enum InvoiceCommand {
    /// Show invoices: one for each order that a license was bought for
    List {
        /// Only invoices of this instance
        #[arg(long, value_name = "NAME")]
        instance: Option<String>,
    },
    /// Show the invoice of an order, with its credits
    Show {
        /// The order's id
        order: Uuid,
    },
}

pub(super) async fn run(host: &Host, command: InvoiceCommand, json: bool) -> Outcome {
    match command {
        InvoiceCommand::List { instance } => list(host, instance, json).await,
        InvoiceCommand::Show { order } => show_one(host, order, json).await,
    }
}

async fn list(host: &Host, instance: Option<String>, json: bool) -> Outcome {
    let instance = instances::filter_id(host, instance.as_deref()).await?;
    let filter = BillingFilter {
        instance,
        order: None,
    };
    let invoices = pages::all(SortOrder::Ascending, async |page| {
        host.record().invoices(&filter, page).await
    });
    let invoices = invoices.await?;
    let credits = credits(host, &filter).await?;
    let credits_of = |invoice: &Invoice| -> Vec<&Credit> {
        let of_order = credits
            .iter()
            .filter(|credit| credit.order_id == invoice.order_id);
        of_order.collect()
    };
    if json {
        let views = host.invoice_views(&invoices, &credits).await;
        show::json(&views?)?;
        return Ok(ExitStatus::Done);
    }
    let mut table = show::table(&["Invoice", "Order", "Issued", "Licenses", "Total", "Credited"]);
    for invoice in &invoices {
        table.add_row([
            invoice.number.to_string(),
            invoice.order_id.to_string(),
            show::time(invoice.issued_at_ms),
            invoice.lines.len().to_string(),
            total(invoice),
            credits_of(invoice).len().to_string(),
        ]);
    }
    output::table(&table);
    Ok(ExitStatus::Done)
}

async fn show_one(host: &Host, order: Uuid, json: bool) -> Outcome {
    let Some(invoice) = host.record().invoice(order).await? else {
        let message = format!("order `{order}` has no invoice, because none of its licenses was charged");
        return Err(Failure::new(ErrorKind::NotFound, "no-invoice", message).advise(&Advice::ListInvoices));
    };
    let filter = BillingFilter {
        order: Some(order),
        instance: None,
    };
    let credits = credits(host, &filter).await?;
    if json {
        let views = host.invoice_views(std::slice::from_ref(&invoice), &credits).await;
        views?.iter().try_for_each(show::json)?;
        return Ok(ExitStatus::Done);
    }
    output::line(format!(
        "invoice {} of order {order}, issued {}",
        invoice.number,
        show::time(invoice.issued_at_ms)
    ));
    let mut table = show::table(&["Line", "License", "Product", "Name", "Price", "Credit"]);
    for line in &invoice.lines {
        let credit = credits.iter().find(|credit| credit.asset_id == line.asset_id);
        table.add_row([
            line.position.to_string(),
            line.asset_id.to_string(),
            line.product_code.clone(),
            show::units(line.quantity, &line.product_name),
            line.price.to_string(),
            credit.map_or_else(String::new, |credit| {
                format!("{} (credit {})", credit.price, credit.number)
            }),
        ]);
    }
    output::table(&table);
    output::line(format!("total {}", total(&invoice)));
    Ok(ExitStatus::Done)
}

async fn credits(host: &Host, filter: &BillingFilter) -> Result<Vec<Credit>, Failure> {
    let credits = pages::all(SortOrder::Ascending, async |page| {
        host.record().credits(filter, page).await
    });
    Ok(credits.await?)
}

fn total(invoice: &Invoice) -> String {
    invoice
        .total()
        .map_or_else(|| "(no common currency)".to_owned(), |total| total.to_string())
}
