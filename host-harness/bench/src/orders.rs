//! Order lines, from the record to the vendor and back, and the same purchases without a record.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bss_model::{
    AssetFilter, AssetSelection, Choice, Contact, Decision, NewLine, Page, Party, Price, SyncStatus,
};
use bss_sandbox::bindings::license_order as contract;
use bss_sandbox::call_event::CallListener;
use bss_simulator::Catalog;
use host_harness::OrderRequest;
use host_harness::internals::contract_instance;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{BenchError, Site, actor};

/// Offers to order from; an order has at most [`PER_LINE`] units of each.
const OFFERS: u32 = 100;
const PER_LINE: u32 = 100;

impl Site {
    /// Fetches a catalog and activates all of its products with a price, so that orders can be placed.
    ///
    /// # Errors
    /// When any of that fails.
    pub async fn sell(&self) -> Result<(), BenchError> {
        self.simulator.set_catalog(Catalog::generated(OFFERS));
        self.host
            .fetch_services(&self.instance.name, &actor(), silent())
            .await
            .map_err(BenchError::when("the catalog can't be read"))?;
        let codes = codes();
        let price = Price {
            currency: self.instance.currency.clone(),
            minor_units: 100,
        };
        let record = self.host.record();
        record
            .set_prices(self.instance.id, &codes, &price, &actor())
            .await
            .map_err(BenchError::when("the prices of the products can't be set"))?;
        record
            .decide_products(self.instance.id, Decision::Activate, &Choice::All, &actor())
            .await
            .map_err(BenchError::when("the products can't be activated"))?;
        Ok(())
    }

    /// The code of a product that can be ordered.
    ///
    /// # Errors
    /// When there is none.
    pub fn product(&self) -> Result<String, BenchError> {
        let code = codes().into_iter().next();
        code.ok_or_else(|| BenchError::unusable("there is no product"))
    }

    /// Orders `lines` licenses, and has a worker of each host buy them, `at_once` at once all together. Returns the time from the first
    /// line that is taken to the last license on record, with its charge and its e-mail.
    ///
    /// # Errors
    /// When a license is not bought.
    pub async fn buy_by_worker(&self, lines: u32, at_once: usize) -> Result<Duration, BenchError> {
        let mut request = OrderRequest::new(customer()).mail_to(Contact {
            email: "customer@bench.test".to_owned(),
            language: "en".to_owned(),
        });
        request.lines = new_lines(lines);
        let order = self
            .host
            .place_order(&self.instance.name, request, &actor())
            .await
            .map_err(BenchError::when("the order can't be placed"))?
            .into_order();
        let taking = AssetSelection {
            order: Some(order.id),
            ..AssetSelection::default()
        };
        let begun = Instant::now();
        let hosts = 1 + self.colleagues.len();
        let mut workers = JoinSet::new();
        for host in std::iter::once(&self.host).chain(&self.colleagues) {
            let (host, taking) = (host.clone(), taking.clone());
            workers.spawn(async move {
                host.settle_orders(taking, at_once.div_ceil(hosts), silent())
                    .await
            });
        }
        while let Some(settled) = workers.join_next().await {
            settled
                .map_err(BenchError::when("the task of a worker was aborted"))?
                .map_err(BenchError::when("the worker can't settle the order"))?;
        }
        let took = begun.elapsed();
        let licensed = AssetFilter {
            order: Some(order.id),
            sync_status: Some(SyncStatus::Synchronized),
            ..AssetFilter::default()
        };
        let assets = self.host.record().assets(&licensed, &Page::all()).await;
        let bought = assets
            .map_err(BenchError::when("the record can't be read"))?
            .rows
            .len();
        if bought != lines as usize {
            return Err(BenchError::unusable(format!(
                "{bought} of {lines} licenses were bought"
            )));
        }
        Ok(took)
    }

    /// Buys `licenses` licenses by calling the plugin, `at_once` at once, and forgets them. Returns how long that
    /// took.
    ///
    /// # Errors
    /// When a license is not bought.
    pub async fn buy_by_plugin(&self, licenses: u32, at_once: usize) -> Result<Duration, BenchError> {
        let codes = codes();
        let begun = Instant::now();
        let mut running = JoinSet::new();
        for number in 0..licenses {
            if running.len() >= at_once {
                bought(running.join_next().await)?;
            }
            let (call, plugin) = (self.call(silent()).await?, self.plugin.clone());
            let instance = contract_instance(&self.instance);
            let order = contract::LicenseOrder {
                client_transaction_id: Uuid::new_v4().to_string(),
                earlier_attempts: contract::EarlierAttempts::None,
                check_only: false,
                product: codes[(number % OFFERS) as usize].clone(),
                quantity: 1,
                reseller: None,
                customer: contract::Party {
                    id: customer().id,
                    name: customer().name,
                    country: customer().country,
                },
            };
            running.spawn(async move {
                let answer = plugin.create_license(call, &instance, &order).await;
                match answer {
                    Ok(Ok(contract::OrderAnswer::Licensed(_))) => Ok(()),
                    // The answer itself is not shown: it could hold a license.
                    Ok(Ok(contract::OrderAnswer::Valid | contract::OrderAnswer::Accepted(_))) => Err(
                        BenchError::unusable("the plugin answered an order without its license"),
                    ),
                    Ok(Err(failure)) => Err(BenchError::unusable(format!("{failure:?}"))),
                    Err(error) => Err(BenchError::when("the plugin did not answer")(error)),
                }
            });
        }
        while let Some(ended) = running.join_next().await {
            bought(Some(ended))?;
        }
        Ok(begun.elapsed())
    }
}

fn bought(ended: Option<Result<Result<(), BenchError>, tokio::task::JoinError>>) -> Result<(), BenchError> {
    match ended {
        None => Ok(()),
        Some(ended) => ended.map_err(BenchError::when("the task of a purchase was aborted"))?,
    }
}

pub(crate) fn silent() -> CallListener {
    Arc::new(|_| ())
}

pub(crate) fn customer() -> Party {
    Party {
        id: "C-1".to_owned(),
        name: "Customer".to_owned(),
        country: "DE".to_owned(),
    }
}

fn codes() -> Vec<String> {
    let catalog = Catalog::generated(OFFERS);
    catalog.offers.into_iter().map(|offer| offer.offer_id).collect()
}

/// Order lines of `units` units, over as many products as that takes.
pub(crate) fn new_lines(units: u32) -> Vec<NewLine> {
    let mut left = units;
    let mut lines = Vec::new();
    for product_code in codes() {
        let quantity = left.min(PER_LINE);
        if quantity == 0 {
            break;
        }
        left -= quantity;
        lines.push(NewLine {
            product_code,
            quantity,
        });
    }
    lines
}
