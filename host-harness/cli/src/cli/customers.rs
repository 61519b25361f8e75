//! `customer …`: all that is on record about a customer, shown to answer the customer, and erased.

use std::collections::BTreeMap;

use bss_model::{Asset, ChargeFilter, CustomerCorrection, CustomerData, ErrorKind, UnsentMails};
use clap::{Args, Subcommand};
use host_harness::Host;
use host_harness::view::{self, Keys};
use uuid::Uuid;

use super::csv_lines::{self, Column, CsvOption, Form};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome, quoted};
use super::input::{confirms, is_on_a_terminal, operator};
use super::output::{self, Table};
use super::pages::PageArguments;
use super::{assets, contact_doubts, instances, mail_table, order_list, show};

/// What is shown of each kind of thing that a customer has.
const SHOWN_MAX: usize = 20;

const COLUMNS: [Column; 9] = [
    Column::Of("id"),
    Column::Of("name"),
    Column::Of("country"),
    Column::Of("contact.email"),
    Column::Of("contact.language"),
    Column::Of("instance"),
    Column::Of("orders"),
    Column::Of("licenses"),
    Column::Time("lastOrderAtMs"),
];

const ERASED_COLUMNS: [Column; 5] = [
    Column::Of("id"),
    Column::Of("instance"),
    Column::Of("instanceId"),
    Column::Time("erasedAtMs"),
    Column::Of("ordersLeft"),
];

#[derive(Debug, Subcommand)]
pub(super) enum CustomerCommand {
    /// Show customers, those with the latest orders first
    List(ListArguments),
    /// Show a customer: name and address, orders, licenses, e-mails, and what was charged and credited
    Show {
        /// The platform's id of the customer
        customer: String,
        /// Only what is on record at this instance
        #[arg(long, value_name = "NAME")]
        instance: Option<String>,
    },
    /// Show all that is on record about a customer; with `--json`, every detail
    Export {
        /// The platform's id of the customer
        customer: String,
        /// Only what is on record at this instance
        #[arg(long, value_name = "NAME")]
        instance: Option<String>,
        /// Show whole product keys and activation links, which is put on record
        #[arg(long, requires = "json")]
        show_keys: bool,
    },
    /// Correct a customer's name, e-mail address, language or country in all orders; what is mailed or bought from now on has it
    Correct(CorrectArguments),
    /// Erase a customer's name, country, e-mail address, language and all free text; what was sold and charged stays
    Erase(EraseArguments),
    /// Show the customers that were erased, and those that a restored backup has brought back
    Erased(CsvOption),
}

#[derive(Debug, Args)]
pub(super) struct ListArguments {
    /// Only customers of this instance
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    #[command(flatten)]
    page: PageArguments,
    #[command(flatten)]
    csv: CsvOption,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("field").required(true).multiple(true))]
pub(super) struct CorrectArguments {
    /// The platform's id of the customer
    customer: String,
    /// Only at this instance, where customers of other instances may have the same id
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// The name
    #[arg(long, group = "field", value_name = "NAME")]
    name: Option<String>,
    /// The e-mail address to which licenses are sent
    #[arg(long, group = "field", value_name = "ADDRESS")]
    email: Option<String>,
    /// The language of e-mails, BCP 47
    #[arg(long, group = "field", value_name = "LANGUAGE")]
    language: Option<String>,
    /// The country, ISO 3166-1 alpha-2
    #[arg(long, group = "field", value_name = "CODE")]
    country: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct EraseArguments {
    /// The platform's id of the customer
    customer: String,
    /// Only at this instance, where customers of other instances may have the same id
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// Withdraw e-mails that were not sent, instead of refusing to erase the customer
    #[arg(long)]
    withdraw_mails: bool,
    /// Erase without asking, as in a script
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(host: &Host, command: CustomerCommand, json: bool) -> Outcome {
    match command {
        CustomerCommand::List(asked) => list(host, &asked, json).await,
        CustomerCommand::Show { customer, instance } => {
            show_one(host, &customer, instance.as_deref(), json).await
        }
        CustomerCommand::Export {
            customer,
            instance,
            show_keys,
        } => export(host, &customer, instance.as_deref(), show_keys, json).await,
        CustomerCommand::Correct(asked) => correct(host, asked, json).await,
        CustomerCommand::Erase(asked) => erase(host, &asked, json).await,
        CustomerCommand::Erased(csv) => erased(host, csv.form(json)).await,
    }
}

async fn export(host: &Host, customer: &str, instance: Option<&str>, show_keys: bool, json: bool) -> Outcome {
    let instance = instances::filter_id(host, instance).await?;
    let data = data_of(host, customer, instance).await?;
    if json {
        let actor = operator();
        let view = host.customer_view(&data, show::keys(show_keys, &actor)).await;
        show::json(&view?)?;
        return Ok(ExitStatus::Done);
    }
    show_customer(host, &data).await?;
    output::note("`--json` shows every detail: charges, credits, attempts, cancellations, e-mails and acts");
    Ok(ExitStatus::Done)
}

/// All that is on record about a customer.
async fn data_of(host: &Host, customer: &str, instance: Option<Uuid>) -> Result<CustomerData, Failure> {
    let data = host.record().export_customer(customer, instance).await?;
    data.ok_or_else(|| {
        let message = format!("nothing is on record about customer `{customer}`");
        Failure::new(ErrorKind::NotFound, "no-customer", message)
            .hint("`bss-host customer list` shows the customers, and `bss-host find TEXT` finds one by a part of the name")
    })
}

async fn list(host: &Host, asked: &ListArguments, json: bool) -> Outcome {
    let form = asked.csv.form(json);
    let instance = match asked.instance.as_deref() {
        Some(name) => Some(host.named_instance(name).await?.id),
        None => None,
    };
    let customers = asked
        .page
        .read(form, async |page| host.customers(instance, page).await);
    csv_lines::list(form, &customers.await?, &COLUMNS, |customers| {
        let mut table = show::table(&[
            "Customer",
            "Name",
            "E-mail",
            "Instance",
            "Orders",
            "Licenses",
            "Last order",
        ]);
        for customer in customers {
            let contact = customer.contact.as_ref();
            table.add_row([
                customer.customer.id.clone(),
                customer.customer.name.clone(),
                contact.map(|contact| contact.email.clone()).unwrap_or_default(),
                customer.instance.clone(),
                customer.orders.to_string(),
                customer.licenses.to_string(),
                show::time(customer.last_order_at_ms),
            ]);
        }
        table
    })
}

/// Shows who a customer is, and the state of what was ordered, with the ids to go on with.
async fn show_one(host: &Host, customer: &str, instance: Option<&str>, json: bool) -> Outcome {
    let instance = instances::filter_id(host, instance).await?;
    let data = data_of(host, customer, instance).await?;
    let view = host.customer_view(&data, Keys::Masked).await?;
    if json {
        show::json(&view)?;
        return Ok(ExitStatus::Done);
    }
    if let Some(order) = view.orders.last() {
        let party = &order.parties.customer;
        let contact = order.contact.as_ref();
        output::line(format!(
            "customer {}, {}",
            show::party(&party.name, &view.id),
            party.country
        ));
        if let Some(contact) = contact {
            output::line(format!("  {} ({})", contact.email, contact.language));
        }
    }
    let filter = ChargeFilter {
        customer: Some(customer.to_owned()),
        instance,
        ..ChargeFilter::default()
    };
    for sum in host.report(&filter).await?.by_currency {
        output::line(format!(
            "  charged {}, credited {}",
            show::sum(sum.charged.as_ref()),
            show::sum(sum.credited.as_ref())
        ));
    }
    let mut orders = view.orders;
    orders.reverse();
    let licenses: Vec<_> = orders
        .iter()
        .flat_map(|order| order.assets.iter().cloned())
        .collect();
    section(
        &show::counted(orders.len() as u64, "order"),
        &order_list::table(recent(&orders)),
        orders.len(),
    );
    section(
        &show::counted(licenses.len() as u64, "license"),
        &assets::table(recent(&licenses), false),
        licenses.len(),
    );
    let mut mails = view.mails;
    mails.reverse();
    section(
        &show::counted(mails.len() as u64, "e-mail"),
        &mail_table::table(recent(&mails)),
        mails.len(),
    );
    for erased in &view.erasures {
        output::line(format!(
            "erased {} at {}",
            show::time(erased.erased_at_ms),
            instance_of(erased)
        ));
    }
    Ok(ExitStatus::Done)
}

/// The latest of a customer's things, which stand first.
fn recent<T>(things: &[T]) -> &[T] {
    things.get(..SHOWN_MAX).unwrap_or(things)
}

fn section(heading: &str, table: &Table, count: usize) {
    if count == 0 {
        return;
    }
    let cut_off = match count > SHOWN_MAX {
        true => format!(", the latest {SHOWN_MAX}"),
        false => String::new(),
    };
    output::line(format!("{heading}{cut_off}:"));
    output::table(table);
}

async fn show_customer(host: &Host, data: &CustomerData) -> Result<(), Failure> {
    for order in &data.orders {
        output::line(format!(
            "order {} of {}, {}, placed {}{}",
            order.id,
            show::party(&order.customer.name, &order.customer.id),
            order.customer.country,
            show::time(order.placed_at_ms),
            order
                .customer_erased_at_ms
                .map_or_else(String::new, |at_ms| format!(", erased {}", show::time(at_ms)))
        ));
        if let Some(contact) = &order.contact {
            output::line(format!("  {} ({})", contact.email, contact.language));
        }
    }
    let assets: &[Asset] = &data.assets;
    if !assets.is_empty() {
        output::table(&show::asset_table(assets, &BTreeMap::new(), show::Ids::Whole));
    }
    for (number, what) in [
        (data.cancellations.len(), "cancellation"),
        (data.charges.len(), "charge"),
        (data.credits.len(), "credit"),
        (data.mails.len(), "e-mail"),
        (data.acts.len(), "act"),
    ] {
        output::line(show::counted(number as u64, what));
    }
    for erased in host.erased_customer_views(&data.erasures).await? {
        output::line(format!(
            "erased {} at {}",
            show::time(erased.erased_at_ms),
            instance_of(&erased)
        ));
    }
    Ok(())
}

async fn correct(host: &Host, asked: CorrectArguments, json: bool) -> Outcome {
    let instance = instances::filter_id(host, asked.instance.as_deref()).await?;
    let correction = CustomerCorrection {
        name: asked.name,
        email: asked.email,
        language: asked.language,
        country: asked.country,
    };
    contact_doubts::warn(correction.email.as_deref(), correction.language.as_deref());
    let customer = &asked.customer;
    let (record, actor) = (host.record(), operator());
    let correcting = record.correct_customer(customer, instance, &correction, &actor);
    let corrected = correcting.await?;
    if json {
        show::json(&view::CorrectedCustomer::new(customer, corrected))?;
    } else {
        output::line(format!(
            "customer {customer} is corrected in {}",
            show::counted(corrected.orders, "order")
        ));
    }
    if corrected.refused_mails > 0 {
        output::note(format!(
            "refused before by the mail server: {}",
            show::counted(corrected.refused_mails, "e-mail")
        ));
        output::note(
            "hint: `bss-host mail retry --failed` makes those due again that were refused, and sends them to the present address",
        );
    }
    output::note(format!(
        "what was sent before is not sent again by itself: `bss-host mail resend --customer {}` does that",
        quoted(customer)
    ));
    Ok(ExitStatus::Done)
}

async fn erase(host: &Host, asked: &EraseArguments, json: bool) -> Outcome {
    let instance = instances::filter_id(host, asked.instance.as_deref()).await?;
    let customer = &asked.customer;
    if !asked.yes {
        confirm(host, customer, instance).await?;
    }
    let unsent = match asked.withdraw_mails {
        true => UnsentMails::Withdraw,
        false => UnsentMails::Refuse,
    };
    let actor = operator();
    let erasing = host.record().erase_customer(customer, instance, unsent, &actor);
    let erasure = erasing.await?;
    if json {
        show::json(&view::CustomerErasure::new(customer, &erasure))?;
    } else if erasure.is_repetition() {
        output::line(format!(
            "customer {customer} was erased before; nothing is left to erase"
        ));
    } else {
        output::line(format!(
            "customer {customer} is erased in {}",
            show::counted(erasure.orders, "order")
        ));
    }
    if erasure.withdrawn_mails > 0 {
        output::note(format!(
            "never sent: {}",
            show::counted(erasure.withdrawn_mails, "e-mail")
        ));
    }
    if !erasure.left_files {
        output::note("what was erased may stay in the files of the database for now");
        output::note(
            "hint: give the command again when no backup is being made and the disk has room for a second copy of the database",
        );
    }
    if !erasure.is_repetition() {
        output::note(
            "backups, records that a restoration has replaced, recordings and e-mails that were written into a directory may \
             still have the customer: delete them, or let them run out",
        );
    }
    Ok(ExitStatus::Done)
}

/// Asks a person on a terminal whether a customer is erased. Elsewhere, `--yes` has to say so.
async fn confirm(host: &Host, customer: &str, instance: Option<Uuid>) -> Result<(), Failure> {
    let not_confirmed = |message: String| Failure::new(ErrorKind::Refused, "not-confirmed", message);
    if !is_on_a_terminal() {
        let message = format!("customer {customer} is not erased, because nobody can be asked");
        return Err(not_confirmed(message).hint("`--yes` erases without asking"));
    }
    let data = host.record().export_customer(customer, instance).await?;
    let orders = data.map_or(0, |data| data.orders.len() as u64);
    let question = format!(
        "Erase customer {customer} in {}? It can't be taken back.",
        show::counted(orders, "order")
    );
    match confirms(&question)? {
        true => Ok(()),
        false => Err(not_confirmed(format!("customer {customer} is not erased"))),
    }
}

async fn erased(host: &Host, form: Form) -> Outcome {
    let erased = host.record().erased_customers().await?;
    let views = host.erased_customer_views(&erased).await?;
    csv_lines::list(form, &views, &ERASED_COLUMNS, |views| {
        let mut table = show::table(&["Customer", "Instance", "Erased", "Orders to erase again"]);
        for view in views {
            table.add_row([
                view.id.clone(),
                instance_of(view),
                show::time(view.erased_at_ms),
                view.orders_left.to_string(),
            ]);
        }
        table
    })?;
    if form == Form::Json {
        return Ok(ExitStatus::Done);
    }
    let left = erased.iter().filter(|erased| erased.orders_left > 0).count();
    again_note(left as u64);
    Ok(ExitStatus::Done)
}

/// Says how many erased customers a restored record has again.
pub(super) fn again_note(customers: u64) {
    if customers > 0 {
        output::note(format!(
            "erased before, and on record again since a backup was restored: {}",
            show::counted(customers, "customer")
        ));
        output::note(
            "hint: `bss-host customer erased` shows them; `bss-host customer erase ID` erases one again",
        );
    }
}

fn instance_of(erased: &view::ErasedCustomer) -> String {
    let name = erased.instance.clone();
    name.unwrap_or_else(|| erased.instance_id.to_string())
}
