//! The way to the first license: its steps, which of them are done, and where the next one is.

use bss_model::{ApiScope, AssetFilter, LicenseState, Operator, OrderFilter, Page, ProductFilter, Standing};
use host_harness::{Host, view};
use serde::Serialize;

use crate::failure::Failure;
use crate::instance_path::way;

/// A step on the way to the first license.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Step {
    /// Its name, by which its texts are found.
    name: &'static str,
    /// Its place among the steps, from 1.
    number: usize,
    /// The page on which it is done.
    at: String,
    /// The instance for which it is done, where there are several.
    of: Option<String>,
    is_done: bool,
}

/// The next step. `None`: a license was bought before, or it is nothing that the operator may do.
pub(crate) async fn next(host: &Host, operator: &Operator) -> Result<Option<Step>, Failure> {
    Ok(steps(host, operator)
        .await?
        .into_iter()
        .find(|step| !step.is_done))
}

/// All steps. None: a license was bought before, or they are nothing that the operator may do.
pub(crate) async fn steps(host: &Host, operator: &Operator) -> Result<Vec<Step>, Failure> {
    if !operator.may(ApiScope::Configure) || !operator.may(ApiScope::Order) {
        return Ok(Vec::new());
    }
    let (record, one) = (host.record(), Page::first(1));
    for bought in [LicenseState::Licensed, LicenseState::Returned] {
        let filter = AssetFilter {
            state: Some(bought),
            ..AssetFilter::default()
        };
        if !record.assets(&filter, &one).await?.rows.is_empty() {
            return Ok(Vec::new());
        }
    }
    let has_certificate = !host.installed_certificates().await?.is_empty();
    let all = host.instances().await?;
    // The one that is furthest is gone on with.
    let instance = all
        .iter()
        .max_by_key(|instance| (instance.standing == Standing::Ready, instance.version));
    let (mut at, mut is_ready, mut has_products, mut can_sell) = (None, false, false, false);
    if let Some(instance) = instance {
        let id = instance.id;
        is_ready = instance.standing == Standing::Ready;
        has_products = !record
            .products(id, &ProductFilter::default(), &one)
            .await?
            .rows
            .is_empty();
        // An order needs both of one product: that it is on sale, and a price.
        let prices = record.prices(id).await?;
        let on_sale = record
            .products(id, &ProductFilter::on_sale(), &Page::all())
            .await?;
        can_sell = on_sale.rows.iter().any(|product| {
            let prices = prices.get(&product.offered.code).into_iter().flatten();
            prices
                .into_iter()
                .any(|price| price.currency == instance.currency)
        });
        at = Some(way(&view::Instance::from(instance)));
    }
    let orders = record.orders(&OrderFilter::default(), &one).await?.rows;
    let below = |page: &str| match &at {
        Some(at) => format!("{at}/{page}"),
        None => "/console/instances".to_owned(),
    };
    let steps = [
        ("certificate", "/console/certificates".to_owned(), has_certificate),
        (
            "instance",
            "/console/instances/new".to_owned(),
            instance.is_some(),
        ),
        ("settings", below("settings"), is_ready),
        ("services", below("runs"), has_products),
        ("products", below("products"), can_sell),
        ("order", "/console/orders/new".to_owned(), !orders.is_empty()),
    ];
    let of = instance
        .filter(|_| all.len() > 1)
        .map(|instance| instance.name.clone());
    let steps = steps.into_iter().zip(1..);
    Ok(steps
        .map(|((name, at, is_done), number)| Step {
            name,
            number,
            of: of
                .clone()
                .filter(|_| ["settings", "services", "products"].contains(&name)),
            at,
            is_done,
        })
        .collect())
}
