//! Invoices and credits as views show them.

use bss_model::OrderParties;
use bss_record::RecordError;
use serde::Serialize;
use uuid::Uuid;

use super::asset::parties_of;
use super::{Parties, Price};
use crate::host::Host;

/// The invoice of an order, with the credits of its lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Invoice {
    /// The invoice's number: unique on this host, from 1 without gaps.
    pub number: u64,
    /// The order.
    pub order_id: Uuid,
    /// The parties to the order.
    #[serde(flatten)]
    pub parties: Parties,
    /// When the first line was charged, in milliseconds.
    pub issued_at_ms: i64,
    /// The sum of the lines. `None`: they are in several currencies.
    pub total: Option<Price>,
    /// The sum of the credits. `None`: they are in several currencies.
    pub credited: Option<Price>,
    /// The lines, one per license, by position in the order.
    pub lines: Vec<InvoiceLine>,
    /// The credits, by number.
    pub credits: Vec<Credit>,
}

/// A license on an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InvoiceLine {
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
#[serde(rename_all = "camelCase")]
pub struct Credit {
    /// The credit's number: unique on this host, from 1 without gaps.
    pub number: u64,
    /// The asset of the license.
    pub asset_id: Uuid,
    /// The price that is credited: all of what was charged.
    pub price: Price,
    /// The cancellation that the credit belongs to.
    pub cancellation_id: Option<Uuid>,
    /// When the credit was made, in milliseconds.
    pub credited_at_ms: i64,
}

impl Invoice {
    /// The view of an invoice with all of its credits.
    pub fn new(invoice: &bss_model::Invoice, credits: &[&bss_model::Credit], parties: &OrderParties) -> Self {
        Self {
            number: invoice.number,
            order_id: invoice.order_id,
            parties: parties.into(),
            issued_at_ms: invoice.issued_at_ms,
            total: invoice.total().as_ref().map(Price::from),
            credited: invoice.credited(credits).as_ref().map(Price::from),
            lines: invoice.lines.iter().map(InvoiceLine::from).collect(),
            credits: credits.iter().copied().map(Credit::from).collect(),
        }
    }
}

impl From<&bss_model::InvoiceLine> for InvoiceLine {
    fn from(line: &bss_model::InvoiceLine) -> Self {
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

impl From<&bss_model::Credit> for Credit {
    fn from(credit: &bss_model::Credit) -> Self {
        Self {
            number: credit.number,
            asset_id: credit.asset_id,
            price: (&credit.price).into(),
            cancellation_id: credit.cancellation_id,
            credited_at_ms: credit.credited_at_ms,
        }
    }
}

impl Host {
    /// The views of invoices, in their order. Credits of other orders than the invoices' are left out.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn invoice_views(
        &self,
        invoices: &[bss_model::Invoice],
        credits: &[bss_model::Credit],
    ) -> Result<Vec<Invoice>, RecordError> {
        let orders = invoices.iter().map(|invoice| invoice.order_id);
        let parties = self.parties_of_orders(orders).await?;
        let mut credits_of = std::collections::HashMap::<Uuid, Vec<&bss_model::Credit>>::new();
        for credit in credits {
            credits_of.entry(credit.order_id).or_default().push(credit);
        }
        let view = |invoice: &bss_model::Invoice| {
            let credits = credits_of.get(&invoice.order_id).map_or(&[][..], Vec::as_slice);
            Ok(Invoice::new(
                invoice,
                credits,
                parties_of(&parties, invoice.order_id)?,
            ))
        };
        invoices.iter().map(view).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::{assert_json, id, parties, price};
    use super::*;

    fn invoice() -> bss_model::Invoice {
        let line = |position, asset| bss_model::InvoiceLine {
            asset_id: id(asset),
            position,
            product_code: "EP2-06798".to_owned(),
            product_name: "Office".to_owned(),
            quantity: 3,
            price: price(24_900),
            charged_at_ms: 1_100,
        };
        bss_model::Invoice {
            number: 6,
            order_id: id(2),
            issued_at_ms: 1_100,
            lines: vec![line(1, 1), line(2, 7)],
        }
    }

    fn credit() -> bss_model::Credit {
        bss_model::Credit {
            number: 3,
            asset_id: id(1),
            order_id: id(2),
            price: price(24_900),
            cancellation_id: Some(id(4)),
            credited_at_ms: 2_200,
        }
    }

    #[test]
    fn an_invoice_with_a_credit() {
        let lines = vec![invoice().lines.remove(0)];
        let invoice = bss_model::Invoice { lines, ..invoice() };
        assert_json(
            &Invoice::new(&invoice, &[&credit()], &parties()),
            r#"
{
  "number": 6,
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
  "issuedAtMs": 1100,
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
      "number": 3,
      "assetId": "00000000-0000-0000-0000-000000000001",
      "price": {
        "currency": "EUR",
        "minorUnits": 24900
      },
      "cancellationId": "00000000-0000-0000-0000-000000000004",
      "creditedAtMs": 2200
    }
  ]
}"#,
        );
    }

    #[test]
    fn an_invoice_sums_up_its_lines_and_its_credits() {
        let view = Invoice::new(&invoice(), &[], &parties());
        assert_eq!(view.total, Some((&price(49_800)).into()));
        assert_eq!(view.credited, Some((&price(0)).into()));
        let view = Invoice::new(&invoice(), &[&credit(), &credit()], &parties());
        assert_eq!(view.credited, Some((&price(49_800)).into()));
    }
}
