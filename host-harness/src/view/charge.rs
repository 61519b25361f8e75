//! Charges and credits as views show them.

use std::collections::BTreeSet;

use bss_model::{ChargeSeries, OrderParties};
use bss_record::RecordError;
use serde::Serialize;
use uuid::Uuid;

use super::asset::parties_of;
use super::{Parties, Price, word};
use crate::host::Host;

/// A charge, with the credits of its lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Charge {
    /// The charge's number, as in `ESD-000012`: unique among the charges of the instance, without gaps under its prefix.
    pub number: String,
    /// The order.
    pub order_id: Uuid,
    /// The parties to the order.
    #[serde(flatten)]
    pub parties: Parties,
    /// When the charge was made, in milliseconds.
    pub charged_at_ms: i64,
    /// The sum of the lines. `None`: they are in several currencies.
    pub total: Option<Price>,
    /// The sum of the credits so far. `None`: they are in several currencies.
    pub credited: Option<Price>,
    /// The lines, one per license, by position in the order.
    pub lines: Vec<ChargeLine>,
    /// The credits so far, by time.
    pub credits: Vec<Credit>,
}

/// A license on a charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ChargeLine {
    /// The order line's position, from 1.
    pub position: u32,
    /// The asset of the license.
    pub asset_id: Uuid,
    /// The product's code.
    pub product_code: String,
    /// The product's name when it was ordered.
    pub product_name: String,
    /// The units of the license.
    pub quantity: u32,
    /// The price that is charged, all units together.
    pub price: Price,
    /// When the license was charged, in milliseconds.
    pub charged_at_ms: i64,
}

/// A credit of all that was charged for a license.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Credit {
    /// The credit's number, as in `ESD-CR-000003`: unique among the credits of the instance, without gaps under its prefix.
    pub number: String,
    /// The number of the charge.
    pub charge_number: String,
    /// The order.
    pub order_id: Uuid,
    /// The parties to the order.
    #[serde(flatten)]
    pub parties: Parties,
    /// The asset of the license.
    pub asset_id: Uuid,
    /// The position of the charge's line that is credited.
    pub position: u32,
    /// The product's code.
    pub product_code: String,
    /// The product's name when it was ordered.
    pub product_name: String,
    /// The units of the license.
    pub quantity: u32,
    /// The price that is credited: all of what was charged.
    pub price: Price,
    /// Why it was made: `return`.
    pub reason: String,
    /// The cancellation that the credit belongs to.
    pub cancellation_id: Option<Uuid>,
    /// When the credit was made, in milliseconds.
    pub credited_at_ms: i64,
}

/// The numbers of an instance's charges and credits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChargeNumbers {
    /// The instance's name.
    pub instance: String,
    /// The instance.
    pub instance_id: Uuid,
    /// The prefix of charges.
    pub prefix: String,
    /// The prefix of credits.
    pub credit_prefix: String,
    /// The number of charges under the prefix. While it and the number of credits are 0, another prefix can be chosen.
    pub charges: u64,
    /// The number of credits under the prefix.
    pub credits: u64,
}

impl Charge {
    /// The view of a charge with all of its credits.
    pub fn new(charge: &bss_model::Charge, credits: &[&bss_model::Credit], parties: &OrderParties) -> Self {
        Self {
            number: charge.number.to_string(),
            order_id: charge.order_id,
            parties: parties.into(),
            charged_at_ms: charge.charged_at_ms,
            total: charge.total().as_ref().map(Price::from),
            credited: charge.credited(credits).as_ref().map(Price::from),
            lines: charge.lines.iter().map(ChargeLine::from).collect(),
            credits: credits
                .iter()
                .map(|credit| Credit::new(credit, parties))
                .collect(),
        }
    }
}

impl From<&bss_model::ChargeLine> for ChargeLine {
    fn from(line: &bss_model::ChargeLine) -> Self {
        Self {
            position: line.position,
            asset_id: line.asset_id,
            product_code: line.product_code.clone(),
            product_name: line.product_name.clone(),
            quantity: line.quantity,
            price: (&line.price).into(),
            charged_at_ms: line.charged_at_ms,
        }
    }
}

impl Credit {
    /// The view of a credit.
    pub fn new(credit: &bss_model::Credit, parties: &OrderParties) -> Self {
        Self {
            number: credit.number.to_string(),
            charge_number: credit.charge.to_string(),
            order_id: credit.order_id,
            parties: parties.into(),
            asset_id: credit.asset_id,
            position: credit.position,
            product_code: credit.product_code.clone(),
            product_name: credit.product_name.clone(),
            quantity: credit.quantity,
            price: (&credit.price).into(),
            reason: word(credit.reason.word()),
            cancellation_id: credit.cancellation_id,
            credited_at_ms: credit.credited_at_ms,
        }
    }
}

impl ChargeNumbers {
    /// The view of the numbers of an instance.
    pub fn new(instance: &str, instance_id: Uuid, series: &ChargeSeries) -> Self {
        Self {
            instance: instance.to_owned(),
            instance_id,
            prefix: series.prefix.to_string(),
            credit_prefix: series.prefix.of_credits(),
            charges: series.charges,
            credits: series.credits,
        }
    }
}

impl Host {
    /// The views of charges, in their order. Credits of other charges are left out.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn charge_views(
        &self,
        charges: &[bss_model::Charge],
        credits: &[bss_model::Credit],
    ) -> Result<Vec<Charge>, RecordError> {
        let orders = charges.iter().map(|charge| charge.order_id);
        let parties = self.parties_of_orders(orders).await?;
        let mut credits_of = std::collections::HashMap::<_, Vec<&bss_model::Credit>>::new();
        for credit in credits {
            let charge = (credit.instance_id, &credit.charge);
            credits_of.entry(charge).or_default().push(credit);
        }
        let view = |charge: &bss_model::Charge| {
            let credits = credits_of.get(&(charge.instance_id, &charge.number));
            let credits = credits.map_or(&[][..], Vec::as_slice);
            Ok(Charge::new(
                charge,
                credits,
                parties_of(&parties, charge.order_id)?,
            ))
        };
        charges.iter().map(view).collect()
    }

    /// The views of charges, each with all of its credits so far, in their order.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn credited_charge_views(
        &self,
        charges: &[bss_model::Charge],
    ) -> Result<Vec<Charge>, RecordError> {
        let orders: BTreeSet<Uuid> = charges.iter().map(|charge| charge.order_id).collect();
        let orders: Vec<Uuid> = orders.into_iter().collect();
        let credits = self.record().credits_of_orders(&orders).await?;
        self.charge_views(charges, &credits).await
    }

    /// The views of credits, in their order.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn credit_views(&self, credits: &[bss_model::Credit]) -> Result<Vec<Credit>, RecordError> {
        let orders = credits.iter().map(|credit| credit.order_id);
        let parties = self.parties_of_orders(orders).await?;
        let view =
            |credit: &bss_model::Credit| Ok(Credit::new(credit, parties_of(&parties, credit.order_id)?));
        credits.iter().map(view).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::{assert_json, id, parties, price};
    use super::*;

    fn charge() -> bss_model::Charge {
        let line = |position, asset| bss_model::ChargeLine {
            asset_id: id(asset),
            position,
            product_code: "EP2-06798".to_owned(),
            product_name: "Office".to_owned(),
            quantity: 3,
            price: price(24_900),
            charged_at_ms: 1_100,
        };
        bss_model::Charge {
            number: "ESD-6".parse().unwrap(),
            instance_id: id(9),
            order_id: id(2),
            customer_id: "C-1".to_owned(),
            charged_at_ms: 1_100,
            lines: vec![line(1, 1), line(2, 7)],
        }
    }

    fn credit() -> bss_model::Credit {
        bss_model::Credit {
            number: "ESD-CR-3".parse().unwrap(),
            charge: "ESD-6".parse().unwrap(),
            instance_id: id(9),
            order_id: id(2),
            customer_id: "C-1".to_owned(),
            asset_id: id(1),
            position: 1,
            product_code: "EP2-06798".to_owned(),
            product_name: "Office".to_owned(),
            quantity: 3,
            price: price(24_900),
            reason: bss_model::CreditReason::Return,
            cancellation_id: Some(id(4)),
            credited_at_ms: 2_200,
        }
    }

    #[test]
    fn a_charge_with_a_credit() {
        let lines = vec![charge().lines.remove(0)];
        let charge = bss_model::Charge { lines, ..charge() };
        assert_json(
            &Charge::new(&charge, &[&credit()], &parties()),
            r#"
{
  "number": "ESD-000006",
  "orderId": "00000000-0000-0000-0000-000000000002",
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
  "chargedAtMs": 1100,
  "total": {
    "currency": "EUR",
    "minorUnits": 24900
  },
  "credited": {
    "currency": "EUR",
    "minorUnits": 24900
  },
  "lines": [
    {
      "position": 1,
      "assetId": "00000000-0000-0000-0000-000000000001",
      "productCode": "EP2-06798",
      "productName": "Office",
      "quantity": 3,
      "price": {
        "currency": "EUR",
        "minorUnits": 24900
      },
      "chargedAtMs": 1100
    }
  ],
  "credits": [
    {
      "number": "ESD-CR-000003",
      "chargeNumber": "ESD-000006",
      "orderId": "00000000-0000-0000-0000-000000000002",
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
      "assetId": "00000000-0000-0000-0000-000000000001",
      "position": 1,
      "productCode": "EP2-06798",
      "productName": "Office",
      "quantity": 3,
      "price": {
        "currency": "EUR",
        "minorUnits": 24900
      },
      "reason": "return",
      "cancellationId": "00000000-0000-0000-0000-000000000004",
      "creditedAtMs": 2200
    }
  ]
}"#,
        );
    }

    #[test]
    fn a_credit_alone_says_all_of_what_it_credits() {
        assert_json(
            &Credit::new(&credit(), &parties()),
            r#"
{
  "number": "ESD-CR-000003",
  "chargeNumber": "ESD-000006",
  "orderId": "00000000-0000-0000-0000-000000000002",
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
  "assetId": "00000000-0000-0000-0000-000000000001",
  "position": 1,
  "productCode": "EP2-06798",
  "productName": "Office",
  "quantity": 3,
  "price": {
    "currency": "EUR",
    "minorUnits": 24900
  },
  "reason": "return",
  "cancellationId": "00000000-0000-0000-0000-000000000004",
  "creditedAtMs": 2200
}"#,
        );
    }

    #[test]
    fn the_numbers_of_an_instance() {
        let series = ChargeSeries {
            prefix: "ESD".parse().unwrap(),
            charges: 12,
            credits: 3,
        };
        assert_json(
            &ChargeNumbers::new("esd", id(9), &series),
            r#"
{
  "instance": "esd",
  "instanceId": "00000000-0000-0000-0000-000000000009",
  "prefix": "ESD",
  "creditPrefix": "ESD-CR",
  "charges": 12,
  "credits": 3
}"#,
        );
    }

    #[test]
    fn a_charge_sums_up_its_lines_and_its_credits() {
        let view = Charge::new(&charge(), &[], &parties());
        assert_eq!(view.total, Some((&price(49_800)).into()));
        assert_eq!(view.credited, Some((&price(0)).into()));
        let view = Charge::new(&charge(), &[&credit(), &credit()], &parties());
        assert_eq!(view.credited, Some((&price(49_800)).into()));
    }
}
