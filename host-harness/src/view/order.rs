//! Orders as views show them.

use bss_model::{OrderParties, Settlement, settlement};
use bss_record::RecordError;
use serde::Serialize;
use uuid::Uuid;

use super::asset::parties_of;
use super::{Asset, Contact, Keys, Parties};
use crate::host::Host;

/// An order with its assets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Stable and unique.
    pub id: Uuid,
    /// The parties to the order.
    #[serde(flatten)]
    pub parties: Parties,
    /// The address to which the licenses are mailed. `None`: the order was placed before orders had one.
    pub contact: Option<Contact>,
    /// The basket's own id, as in `Idempotency-Key`. `None`: the order was placed without.
    pub idempotency_key: Option<String>,
    /// The platform that ordered, which charges and writes to its customer itself. `None`: none did.
    pub platform: Option<String>,
    /// When the order was placed, in milliseconds.
    pub placed_at_ms: i64,
    /// When the customer and the contact were erased, in milliseconds. `None`: they were not.
    pub customer_erased_at_ms: Option<i64>,
    /// The order's state as a whole: `open` (a license is not settled), `licensed` (all are there that are not withdrawn), `partly`
    /// (some are there, and others were refused), `refused` (none is there, and one or more were refused), `withdrawn` (all are
    /// withdrawn).
    pub state: &'static str,
    /// The order's licenses, by position.
    pub assets: Vec<Asset>,
}

/// An order that was only checked, and could be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderCheck {
    /// Whether the order could be placed.
    pub valid: bool,
}

/// The states of orders, in the order in which they are named.
pub const SETTLEMENTS: [Settlement; 5] = [
    Settlement::Open,
    Settlement::Licensed,
    Settlement::Partly,
    Settlement::Refused,
    Settlement::Withdrawn,
];

/// The word that programs get for the state of an order.
pub fn settlement_word(settlement: Settlement) -> &'static str {
    match settlement {
        Settlement::Open => "open",
        Settlement::Licensed => "licensed",
        Settlement::Partly => "partly",
        Settlement::Refused => "refused",
        Settlement::Withdrawn => "withdrawn",
    }
}

impl Order {
    /// The view of an order with that settlement of its assets, and with the assets' views.
    pub fn new(
        order: &bss_model::Order,
        parties: &OrderParties,
        settlement: Settlement,
        assets: Vec<Asset>,
    ) -> Self {
        Self {
            id: order.id,
            parties: parties.into(),
            contact: order.contact.as_ref().map(Contact::from),
            idempotency_key: order.idempotency_key.clone(),
            platform: parties.platform.clone(),
            placed_at_ms: order.placed_at_ms,
            customer_erased_at_ms: order.customer_erased_at_ms,
            state: settlement_word(settlement),
            assets,
        }
    }
}

impl Host {
    /// The views of orders with all of their assets, in their order.
    ///
    /// # Errors
    /// When the record can't be read, or written where keys are shown.
    pub async fn order_views(
        &self,
        orders: &[bss_model::Order],
        keys: Keys<'_>,
    ) -> Result<Vec<Order>, RecordError> {
        let ids: Vec<Uuid> = orders.iter().map(|order| order.id).collect();
        let parties = self.parties_of_orders(ids.iter().copied()).await?;
        let mut assets = self.record().assets_of_orders(&ids).await?;
        let assets: Vec<_> = ids
            .iter()
            .map(|id| assets.remove(id).unwrap_or_default())
            .collect();
        let shown = self.asset_views_of(&assets.concat(), &parties, keys).await?;
        let mut shown = shown.into_iter();
        let mut views = Vec::with_capacity(orders.len());
        for (order, of_order) in orders.iter().zip(&assets) {
            let shown = shown.by_ref().take(of_order.len()).collect();
            let parties = parties_of(&parties, order.id)?;
            views.push(Order::new(order, parties, settlement(of_order), shown));
        }
        Ok(views)
    }

    /// The view of an order with all of its assets.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn order_view(
        &self,
        order: &bss_model::Order,
        assets: &[bss_model::Asset],
        keys: Keys<'_>,
    ) -> Result<Order, RecordError> {
        let parties = self.parties_of_orders([order.id]).await?;
        let views = self.asset_views_of(assets, &parties, keys).await?;
        let parties = parties_of(&parties, order.id)?;
        Ok(Order::new(order, parties, settlement(assets), views))
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::{assert_json, id, licensed, open, parties};
    use super::*;

    fn order() -> bss_model::Order {
        bss_model::Order {
            id: id(2),
            instance_id: id(9),
            customer: parties().customer,
            contact: Some(bss_model::Contact {
                email: "it@beispiel.example".to_owned(),
                language: "de-DE".to_owned(),
            }),
            reseller: parties().reseller,
            idempotency_key: Some("BASKET-7".to_owned()),
            platform: None,
            placed_at_ms: 1_000,
            customer_erased_at_ms: None,
            lines: Vec::new(),
        }
    }

    #[test]
    fn an_order_without_assets() {
        assert_json(
            &Order::new(&order(), &parties(), Settlement::Licensed, Vec::new()),
            r#"
{
  "id": "00000000-0000-0000-0000-000000000002",
  "instanceId": "00000000-0000-0000-0000-000000000009",
  "instance": "esd",
  "customer": {
    "id": "C-1",
    "name": "Beispiel GmbH",
    "country": "DE"
  },
  "billingTo": {
    "id": "R-1",
    "name": "Handel AG",
    "country": "DE"
  },
  "contact": {
    "email": "it@beispiel.example",
    "language": "de-DE"
  },
  "idempotencyKey": "BASKET-7",
  "platform": null,
  "placedAtMs": 1000,
  "customerErasedAtMs": null,
  "state": "licensed",
  "assets": []
}"#,
        );
    }

    #[test]
    fn an_order_stands_as_its_assets_do_and_holds_their_views() {
        let assets = [licensed(), open()];
        let views = assets
            .iter()
            .map(|asset| Asset::new(asset, &parties(), None, 2_000));
        let views: Vec<_> = views.collect();
        let view = Order::new(&order(), &parties(), settlement(&assets), views.clone());
        assert_eq!(view.state, "open");
        assert_eq!(view.assets, views);
    }

    #[test]
    fn an_order_that_was_only_checked() {
        assert_json(&OrderCheck { valid: true }, "{\n  \"valid\": true\n}");
    }
}
