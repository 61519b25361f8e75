//! Customers as views show them: all that is on record about one, and those that were erased.

use std::collections::HashMap;

use bss_model::{CustomerData, settlement};
use bss_record::RecordError;
use serde::Serialize;
use uuid::Uuid;

use super::asset::parties_of;
use super::{Act, Cancellation, Charge, Contact, Keys, Mail, Order, Party, PurchaseAttempt};
use crate::host::Host;

/// All that is on record about a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Customer {
    /// The platform's own name for the customer.
    pub id: String,
    /// The orders with their parties, contacts and assets, by the time at which they were placed.
    pub orders: Vec<Order>,
    /// Every attempt at buying the assets' licenses.
    pub purchase_attempts: Vec<AssetAttempts>,
    /// The cancellations with every attempt at their returns, by the time of their requests.
    pub cancellations: Vec<Cancellation>,
    /// The charges with their credits, by time.
    pub charges: Vec<Charge>,
    /// The e-mails without their text, by the time at which they were written down.
    pub mails: Vec<Mail>,
    /// The acts on the customer and on the orders, assets and e-mails, by number.
    pub acts: Vec<Act>,
    /// The times at which the customer was erased.
    pub erasures: Vec<ErasedCustomer>,
}

/// A customer at an instance, as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomerSummary {
    /// The customer, as the latest order names it.
    #[serde(flatten)]
    pub customer: Party,
    /// The contact of the latest order. `None`: it has none.
    pub contact: Option<Contact>,
    /// The instance.
    pub instance_id: Uuid,
    /// The name of the instance.
    pub instance: String,
    /// The number of orders.
    pub orders: u64,
    /// The number of licenses that were ordered, whatever became of them.
    pub licenses: u64,
    /// When the latest order was placed, in milliseconds.
    pub last_order_at_ms: i64,
}

impl From<&bss_model::CustomerSummary> for CustomerSummary {
    fn from(summary: &bss_model::CustomerSummary) -> Self {
        Self {
            customer: (&summary.customer).into(),
            contact: summary.contact.as_ref().map(Contact::from),
            instance_id: summary.instance_id.into(),
            instance: summary.instance.clone(),
            orders: summary.orders,
            licenses: summary.licenses,
            last_order_at_ms: summary.last_order_at_ms,
        }
    }
}

/// The attempts at buying an asset's license.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AssetAttempts {
    /// The asset.
    pub asset_id: Uuid,
    /// The attempts, by number.
    pub attempts: Vec<PurchaseAttempt>,
}

/// A customer that was erased at an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErasedCustomer {
    /// The platform's own name for the customer.
    pub id: String,
    /// The instance.
    pub instance_id: Uuid,
    /// The instance's name. `None`: the record that was restored does not have it.
    pub instance: Option<String>,
    /// When the customer was last erased, in milliseconds.
    pub erased_at_ms: i64,
    /// The orders from before that time that are not erased, because an older backup was restored since: erase the
    /// customer again.
    pub orders_left: u64,
}

/// The outcome of erasing a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomerErasure {
    /// The platform's own name for the customer.
    pub id: String,
    /// The orders that were erased now. 0: all were erased before.
    pub orders: u64,
    /// The e-mails that were withdrawn now.
    pub withdrawn_mails: u64,
    /// The cancellations, attempts, reasons, outcomes and e-mails whose free text was erased now.
    pub texts: u64,
    /// Whether no file of the database has what was erased. `false`: erasing again tries again.
    pub left_files: bool,
}

/// The outcome of correcting a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CorrectedCustomer {
    /// The platform's own name for the customer.
    pub id: String,
    /// The orders that were corrected now.
    pub orders: u64,
    /// The customer's e-mails that were refused for good before, and wait for somebody to try them again.
    pub refused_mails: u64,
}

impl CorrectedCustomer {
    /// The view of the outcome of correcting a customer.
    pub fn new(id: &str, corrected: bss_model::CorrectedCustomer) -> Self {
        Self {
            id: id.to_owned(),
            orders: corrected.orders,
            refused_mails: corrected.refused_mails,
        }
    }
}

impl CustomerErasure {
    /// The view of the outcome of erasing a customer.
    pub fn new(id: &str, erasure: &bss_model::CustomerErasure) -> Self {
        Self {
            id: id.to_owned(),
            orders: erasure.orders,
            withdrawn_mails: erasure.withdrawn_mails,
            texts: erasure.texts,
            left_files: erasure.left_files,
        }
    }
}

impl Host {
    /// The view of all that is on record about a customer. Whole product keys that are shown are acts on record, which the
    /// view does not have yet.
    ///
    /// # Errors
    /// When the record can't be read, or written where keys are shown.
    pub async fn customer_view(&self, data: &CustomerData, keys: Keys<'_>) -> Result<Customer, RecordError> {
        let parties = self
            .parties_of_orders(data.orders.iter().map(|order| order.id))
            .await?;
        let views = self.asset_views(&data.assets, keys).await?;
        let mut assets = HashMap::<Uuid, (Vec<bss_model::Asset>, Vec<super::Asset>)>::new();
        for (asset, view) in data.assets.iter().zip(views) {
            let (of_order, views) = assets.entry(asset.order_id).or_default();
            of_order.push(asset.clone());
            views.push(view);
        }
        let mut orders = Vec::with_capacity(data.orders.len());
        for order in &data.orders {
            let (of_order, views) = assets.remove(&order.id).unwrap_or_default();
            let parties = parties_of(&parties, order.id)?;
            orders.push(Order::new(order, parties, settlement(&of_order), views));
        }
        let attempts = data.attempts.iter().map(|(asset_id, attempts)| AssetAttempts {
            asset_id: *asset_id,
            attempts: attempts.iter().map(PurchaseAttempt::from).collect(),
        });
        let cancellations = self.cancellation_views(&data.cancellations).await?;
        let cancellations = cancellations.into_iter().map(|view| {
            let attempts = data.return_attempts.get(&view.id);
            view.with_return_attempts(attempts.map_or(&[][..], Vec::as_slice))
        });
        Ok(Customer {
            id: data.id.clone(),
            orders,
            purchase_attempts: attempts.collect(),
            cancellations: cancellations.collect(),
            charges: self.charge_views(&data.charges, &data.credits).await?,
            mails: self.mail_views(&data.mails).await?,
            acts: self.act_views(&data.acts).await?,
            erasures: self.erased_customer_views(&data.erasures).await?,
        })
    }

    /// The views of erased customers, in their order.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn erased_customer_views(
        &self,
        erased: &[bss_model::ErasedCustomer],
    ) -> Result<Vec<ErasedCustomer>, RecordError> {
        let instances = self.record().instances().await?;
        let name = |id| instances.iter().find(|instance| instance.id == id);
        let view = |erased: &bss_model::ErasedCustomer| ErasedCustomer {
            id: erased.id.clone(),
            instance_id: erased.instance_id,
            instance: name(erased.instance_id).map(|instance| instance.name.clone()),
            erased_at_ms: erased.erased_at_ms,
            orders_left: erased.orders_left,
        };
        Ok(erased.iter().map(view).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::{assert_json, id};
    use super::*;

    #[test]
    fn a_customer_of_whom_nothing_is_left_but_that_it_was_erased() {
        let erased = ErasedCustomer {
            id: "C-1".to_owned(),
            instance_id: id(9),
            instance: Some("esd".to_owned()),
            erased_at_ms: 1_000,
            orders_left: 2,
        };
        let customer = Customer {
            id: "C-1".to_owned(),
            orders: Vec::new(),
            purchase_attempts: vec![AssetAttempts {
                asset_id: id(1),
                attempts: Vec::new(),
            }],
            cancellations: Vec::new(),
            charges: Vec::new(),
            mails: Vec::new(),
            acts: Vec::new(),
            erasures: vec![erased],
        };
        assert_json(
            &customer,
            r#"
{
  "id": "C-1",
  "orders": [],
  "purchaseAttempts": [
    {
      "assetId": "00000000-0000-0000-0000-000000000001",
      "attempts": []
    }
  ],
  "cancellations": [],
  "charges": [],
  "mails": [],
  "acts": [],
  "erasures": [
    {
      "id": "C-1",
      "instanceId": "00000000-0000-0000-0000-000000000009",
      "instance": "esd",
      "erasedAtMs": 1000,
      "ordersLeft": 2
    }
  ]
}"#,
        );
    }

    #[test]
    fn the_outcome_of_erasing_a_customer() {
        let erasure = bss_model::CustomerErasure {
            orders: 3,
            withdrawn_mails: 1,
            texts: 2,
            left_files: true,
        };
        assert_json(
            &CustomerErasure::new("C-1", &erasure),
            r#"
{
  "id": "C-1",
  "orders": 3,
  "withdrawnMails": 1,
  "texts": 2,
  "leftFiles": true
}"#,
        );
    }
}
