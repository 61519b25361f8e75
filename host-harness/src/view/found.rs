//! What is found by a text, as views show it.

use serde::Serialize;
use uuid::Uuid;

use super::{Party, word};

/// A thing that is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// The kind of the thing: `customer`, `order`, `asset`, `cancellation`, `mail`, `charge`, `credit`.
    pub kind: String,
    /// The thing's own id: of a customer the platform's, of a charge or a credit the number.
    pub id: String,
    /// What of it is like the text: `id` (its beginning, or a whole number), `idempotency-key`, `customer-id`, `customer-name`,
    /// `email` (the customer's, or the one that an e-mail was sent to), `product-key` (its end, or the whole of it), `purchase-id`, `correlation-id`.
    pub found_by: String,
    /// The order that it belongs to; of a customer, the latest one that is like the text.
    pub order_id: Uuid,
    /// The instance.
    pub instance_id: Uuid,
    /// The name of the instance.
    pub instance: String,
    /// The customer.
    pub customer: Party,
    /// When it came about, in milliseconds; of a customer, when that order was placed.
    pub at_ms: i64,
}

/// What is found by a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finds {
    /// The things by kind, the latest first.
    pub found: Vec<Found>,
    /// Whether there are more of a kind.
    pub has_more: bool,
}

impl From<bss_model::Finds> for Finds {
    fn from(finds: bss_model::Finds) -> Self {
        Self {
            found: finds.found.into_iter().map(Found::from).collect(),
            has_more: finds.has_more,
        }
    }
}

impl From<bss_model::Found> for Found {
    fn from(found: bss_model::Found) -> Self {
        Self {
            kind: word(found.kind.word()),
            id: found.id,
            found_by: word(found.by.word()),
            order_id: found.order_id,
            instance_id: found.instance_id.into(),
            instance: found.instance,
            customer: (&found.customer).into(),
            at_ms: found.at_ms,
        }
    }
}
