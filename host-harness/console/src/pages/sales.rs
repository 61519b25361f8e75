//! Sales: what the pages of orders, licenses, cancellations and customers share.

use std::collections::{BTreeMap, BTreeSet};

use bss_model::Cancellation;
use host_harness::view::{self, Keys, Price};
use uuid::Uuid;

use crate::failure::Failure;
use crate::me::Me;

/// The sum of prices. `None`: there is none, or they are in several currencies.
pub(super) fn sum<'a>(prices: impl IntoIterator<Item = &'a Price>) -> Option<Price> {
    let mut prices = prices.into_iter();
    let first = prices.next()?.clone();
    prices.try_fold(first, |sum, price| {
        let minor_units = sum.minor_units.checked_add(price.minor_units)?;
        let same = sum.currency == price.currency;
        same.then_some(Price { minor_units, ..sum })
    })
}

/// The licenses that cancellations are about, by their ids.
pub(super) async fn assets_of(
    me: &Me,
    cancellations: &[Cancellation],
) -> Result<BTreeMap<Uuid, view::Asset>, Failure> {
    let (host, record) = (me.host(), me.host().record());
    let ids = cancellations
        .iter()
        .map(|cancellation| cancellation.asset_id)
        .collect();
    let orders: BTreeSet<Uuid> = record.orders_of_assets(&ids).await?.into_values().collect();
    let orders: Vec<Uuid> = orders.into_iter().collect();
    let of_orders = record.assets_of_orders(&orders).await?;
    let mut assets: Vec<_> = of_orders.into_values().flatten().collect();
    assets.retain(|asset| ids.contains(&asset.id));
    let views = host.asset_views(&assets, Keys::Masked).await?;
    Ok(views.into_iter().map(|asset| (asset.id, asset)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(currency: &str, minor_units: i64) -> Price {
        Price {
            currency: currency.to_owned(),
            minor_units,
        }
    }

    #[test]
    fn prices_of_one_currency_have_a_sum_and_others_have_none() {
        let euros = [price("EUR", 100), price("EUR", 50)];
        assert_eq!(sum(&euros), Some(price("EUR", 150)));
        assert_eq!(sum(&[price("EUR", 1), price("USD", 1)]), None);
        assert_eq!(sum(&[price("EUR", 1), price("EUR", i64::MAX)]), None);
        assert_eq!(sum(&[]), None);
    }
}
