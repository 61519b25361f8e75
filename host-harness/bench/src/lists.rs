//! What an operator looks at, in a record of many licenses: finding, filtered lists, and the status.

use std::time::{Duration, Instant};

use bss_model::{
    Asset, AssetFilter, AssetSelection, Contact, LicenseState, OrderFilter, Page, Party, Settlement,
    SortOrder,
};
use host_harness::view::Keys;
use host_harness::{Error, OrderRequest};

use super::orders::{new_lines, silent};
use super::{BenchError, Site, actor};

/// Licenses of an order: the orders of a shop are small.
const PER_ORDER: u32 = 5;

/// The licenses that are bought at once.
const AT_ONCE: usize = 64;

/// The rows of a page.
const ROWS: u32 = 50;

/// The most that is found of a kind.
const FOUND_MAX: u32 = 20;

/// What is looked at, in words, and how long each time took.
pub type Looks = Vec<(&'static str, Vec<Duration>)>;

impl Site {
    /// Has customers buy licenses, a few each.
    ///
    /// # Errors
    /// When a license is not bought.
    pub async fn buy_for_customers(&self, licenses: u32) -> Result<(), BenchError> {
        for number in 0..licenses.div_ceil(PER_ORDER) {
            let mut request = OrderRequest::new(Party {
                id: format!("C-{number}"),
                name: format!("Κατάστημα {number} GmbH"),
                country: "DE".to_owned(),
            })
            .key(format!("BASKET-{number}"))
            .mail_to(Contact {
                email: format!("it-{number}@bench.test"),
                language: "en".to_owned(),
            });
            request.lines = new_lines(PER_ORDER.min(licenses - number * PER_ORDER));
            self.host
                .place_order(&self.instance.name, request, &actor())
                .await
                .map_err(BenchError::when("the order can't be placed"))?;
        }
        self.host
            .settle_orders(AssetSelection::default(), AT_ONCE, silent())
            .await
            .map_err(BenchError::when("the worker can't settle the orders"))
    }

    /// Looks at what an operator looks at, `rounds` times each in turn.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn look(&self, rounds: usize) -> Result<Looks, BenchError> {
        let license = self.latest_license().await?;
        let (id, order) = (license.id.to_string(), license.order_id.to_string());
        let key = license.masked_product_key.as_deref().unwrap_or_default();
        let key_end = key.rsplit('-').next().unwrap_or_default();
        let product = || Some(license.product_code.clone());
        let customer = || Some("C-7".to_owned());
        let (instance, all) = (Some(self.instance.id), AssetFilter::default);
        let mut looks = Vec::new();
        for (what, text) in [
            ("find an order by the beginning of its id", &order[..8]),
            ("find a license by the beginning of its id", &id[..8]),
            ("find an order by the shop's number", "basket-77"),
            ("find a customer by a part of the address", "it-77@bench"),
            (
                "find a customer by a part of the name, in Greek letters",
                "κατάστημα 77",
            ),
            ("find a customer by a text that is all Greek letters", "κατάστημα"),
            ("find a license by the end of its key", key_end),
            ("find nothing by a text like a vendor's id", "00000000-none"),
        ] {
            looks.push((
                what,
                timed(rounds, async || self.host.find_by_text(text, FOUND_MAX).await).await?,
            ));
        }
        for (what, filter) in [
            ("the latest licenses", all()),
            (
                "the licenses of a customer",
                AssetFilter {
                    customer: customer(),
                    ..all()
                },
            ),
            (
                "the licenses of a product",
                AssetFilter {
                    product: product(),
                    ..all()
                },
            ),
            (
                "the refused licenses",
                AssetFilter {
                    state: Some(LicenseState::Refused),
                    ..all()
                },
            ),
            (
                "the cancelled licenses",
                AssetFilter {
                    state: Some(LicenseState::Cancelled),
                    ..all()
                },
            ),
            (
                "the refused licenses of an instance, a product and a time",
                AssetFilter {
                    instance,
                    product: product(),
                    state: Some(LicenseState::Refused),
                    since_ms: Some(1),
                    ..all()
                },
            ),
        ] {
            looks.push((what, timed(rounds, async || self.licenses(&filter).await).await?));
        }
        let all = OrderFilter::default;
        for (what, filter) in [
            ("the latest orders", all()),
            (
                "the orders of a customer",
                OrderFilter {
                    customer: customer(),
                    ..all()
                },
            ),
            (
                "the orders of a product that nobody ordered",
                OrderFilter {
                    product: Some("none".to_owned()),
                    ..all()
                },
            ),
            (
                "the refused orders",
                OrderFilter {
                    settlement: Some(Settlement::Refused),
                    ..all()
                },
            ),
            (
                "the withdrawn orders",
                OrderFilter {
                    settlement: Some(Settlement::Withdrawn),
                    ..all()
                },
            ),
            (
                "the open orders",
                OrderFilter {
                    settlement: Some(Settlement::Open),
                    ..all()
                },
            ),
        ] {
            looks.push((what, timed(rounds, async || self.orders(&filter).await).await?));
        }
        let page = Page::first(ROWS).in_order(SortOrder::Descending);
        looks.push((
            "the latest customers",
            timed(rounds, async || self.host.customers(None, &page).await).await?,
        ));
        looks.push((
            "the status",
            timed(rounds, async || self.host.status().await).await?,
        ));
        Ok(looks)
    }

    pub(crate) async fn latest_license(&self) -> Result<Asset, BenchError> {
        let latest = Page::first(1).in_order(SortOrder::Descending);
        let bought = self.host.record().assets(&AssetFilter::default(), &latest).await;
        let bought = bought.map_err(BenchError::when("the record can't be read"))?.rows;
        let latest = bought.into_iter().next();
        latest.ok_or_else(|| BenchError::unusable("there is no license"))
    }

    async fn licenses(&self, filter: &AssetFilter) -> Result<(), Error> {
        let page = Page::first(ROWS).in_order(SortOrder::Descending);
        let licenses = self.host.record().assets(filter, &page).await?;
        self.host.asset_views(&licenses.rows, Keys::Masked).await?;
        Ok(())
    }

    async fn orders(&self, filter: &OrderFilter) -> Result<(), Error> {
        let page = Page::first(ROWS).in_order(SortOrder::Descending);
        let orders = self.host.record().orders(filter, &page).await?;
        self.host.order_views(&orders.rows, Keys::Masked).await?;
        Ok(())
    }
}

/// How long something takes, several times.
async fn timed<T>(
    rounds: usize,
    look: impl AsyncFn() -> Result<T, Error>,
) -> Result<Vec<Duration>, BenchError> {
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let begun = Instant::now();
        look()
            .await
            .map_err(BenchError::when("the record can't be read"))?;
        times.push(begun.elapsed());
    }
    Ok(times)
}
