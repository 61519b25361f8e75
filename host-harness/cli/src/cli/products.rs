//! `product …`: the operator's decisions about products; and how products look.

use std::collections::BTreeMap;

use bss_model::{
    Choice, Decided, Decision, DifferenceKind, IdKind, Instance, Price, Product, ProductDifference,
};
use clap::{Args, Subcommand};
use host_harness::{Host, view};

use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome};
use super::input::operator;
use super::output::{self, Table, Text};
use super::prices::{self, PriceProducts};
use super::show;
use super::typed_ids::TypedId;

#[derive(Debug, Subcommand)]
pub(super) enum ProductCommand {
    /// Let products be sold
    Activate(Chosen),
    /// Stop selling products; licenses that were sold are not affected
    Deactivate(Chosen),
    /// Show products in the storefront
    Publish(Chosen),
    /// Take products out of the storefront
    Unpublish(Chosen),
    /// Set, remove or show the prices of products, and who changed them; a price that may be a mistake is asked about
    Price(PriceProducts),
}

#[derive(Debug, Args)]
pub(super) struct Chosen {
    /// The instance's name
    instance: String,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The products' codes; if one of them is refused, nothing is changed
    #[arg(value_name = "CODE")]
    codes: Vec<String>,
    /// All products of the instance
    #[arg(long)]
    all: bool,
    /// The products that were new in a run of `services fetch`
    #[arg(long, value_name = "RUN")]
    new_in: Option<TypedId>,
    /// The products whose name contains this text, in upper or lower case
    #[arg(long, value_name = "TEXT")]
    name_contains: Option<String>,
}

impl Which {
    async fn choice(self, host: &Host) -> Result<Choice, Failure> {
        Ok(match self {
            Self {
                new_in: Some(run), ..
            } => Choice::NewIn(run.of(IdKind::ServicesRun, host).await?),
            Self {
                name_contains: Some(text),
                ..
            } => Choice::NameContains(text),
            Self { all: true, .. } => Choice::All,
            Self { codes, .. } => Choice::Codes(codes),
        })
    }
}

pub(super) async fn run(host: &Host, command: ProductCommand, json: bool) -> Outcome {
    let (decision, chosen) = match command {
        ProductCommand::Activate(chosen) => (Decision::Activate, chosen),
        ProductCommand::Deactivate(chosen) => (Decision::Deactivate, chosen),
        ProductCommand::Publish(chosen) => (Decision::Publish, chosen),
        ProductCommand::Unpublish(chosen) => (Decision::Unpublish, chosen),
        ProductCommand::Price(asked) => return prices::run(host, asked, json).await,
    };
    let instance = host.named_instance(&chosen.instance).await?;
    let choice = chosen.which.choice(host).await?;
    let decided = host
        .record()
        .decide_products(instance.id, decision, &choice, &operator())
        .await?;
    if json {
        show::json(&view::DecidedProducts::from(decided))?;
    } else {
        output::line(decided_line(decision, decided));
    }
    Ok(ExitStatus::Done)
}

fn decided_line(decision: Decision, decided: Decided) -> String {
    let mut line = format!("{} {decision}", show::counted(decided.changed as u64, "product"));
    if decided.already > 0 {
        line = format!("{line}, {} already {decision}", decided.already);
    }
    if decided.discontinued > 0 {
        line = format!("{line}, {} left out because discontinued", decided.discontinued);
    }
    line
}

/// A product to be shown: with its prices, and with what a run did to it.
pub(super) struct ShownProduct<'a> {
    pub(super) product: &'a Product,
    pub(super) prices: &'a [Price],
    /// `None` when no run was asked for.
    pub(super) differences: Option<Vec<&'a ProductDifference>>,
}

impl ShownProduct<'_> {
    /// The product as programs read it, as one of an instance.
    pub(super) fn view(&self, instance: &Instance) -> view::Product {
        let view = view::Product::new(instance, self.product, self.prices);
        match &self.differences {
            Some(differences) => view.with_differences(differences.iter().copied()),
            None => view,
        }
    }
}

/// Products with their prices; with a run's differences, only the products that these are about.
pub(super) fn shown<'a>(
    products: &'a [Product],
    prices: &'a BTreeMap<String, Vec<Price>>,
    differences: Option<&'a [ProductDifference]>,
) -> Vec<ShownProduct<'a>> {
    let mut of_code = BTreeMap::<&str, Vec<&ProductDifference>>::new();
    for difference in differences.unwrap_or_default() {
        of_code.entry(&difference.code).or_default().push(difference);
    }
    let shown = products.iter().filter_map(|product| {
        let code = &product.offered.code;
        Some(ShownProduct {
            product,
            prices: prices.get(code).map_or(&[], Vec::as_slice),
            differences: match differences {
                None => None,
                Some(_) => Some(of_code.remove(code.as_str())?),
            },
        })
    });
    shown.collect()
}

/// A table of products, for people.
pub(super) fn product_table(products: &[ShownProduct<'_>]) -> Table {
    let with_run = products.iter().any(|shown| shown.differences.is_some());
    let mut header = vec!["Code", "Name", "Quantity", "Returnable", "Price", "State"];
    header.extend(with_run.then_some("In the run"));
    let mut table = show::table(&header);
    for shown in products {
        let offered = &shown.product.offered;
        let quantity = match offered.max_quantity {
            Some(max) => format!("{} to {max}", offered.min_quantity),
            None => format!("{} or more", offered.min_quantity),
        };
        let prices: Vec<String> = shown.prices.iter().map(ToString::to_string).collect();
        let mut row: Vec<Text> = vec![
            offered.code.as_str().into(),
            offered.name.as_str().into(),
            quantity.into(),
            if offered.returnable { "yes" } else { "no" }.into(),
            Text::lines(prices),
            state(shown.product).into(),
        ];
        let differences = shown.differences.as_ref();
        row.extend(differences.map(|differences| {
            Text::lines(differences.iter().map(|difference| difference_words(difference)))
        }));
        table.add_row(row);
    }
    table
}

fn difference_words(difference: &ProductDifference) -> String {
    match difference.kind {
        DifferenceKind::Changed => format!("changed: {}", difference.field_names().join(", ")),
        kind => kind.to_string(),
    }
}

fn state(product: &Product) -> String {
    let mut state = match (product.discontinued, product.active) {
        (true, _) => "discontinued",
        (false, true) => "active",
        (false, false) => "not active",
    }
    .to_owned();
    if product.published {
        state.push_str(", published");
    }
    state
}
