//! Orders: who buys what, and how many.

use serde::Deserialize;
use serde::Serialize;
use uuid::Uuid;

/// The longest language tag: what RFC 5646 section 4.4.1 asks every reader to take.
pub const LANGUAGE_LENGTH_MAX: usize = 35;

/// A company or person, as far as the vendor has to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The platform's own name for it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// ISO 3166-1 alpha-2, in upper case.
    pub country: String,
}

/// Where, and in which language, the customer is written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// An e-mail address. The license is sent there.
    pub email: String,
    /// BCP 47, such as `de-DE`.
    pub language: String,
}

/// So many of one product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewLine {
    /// The product's code.
    pub product_code: String,
    /// How many, at least 1.
    pub quantity: u32,
}

/// An order to be placed.
#[derive(Clone, Debug, Serialize)]
pub struct NewOrder {
    /// Where.
    pub instance_id: Uuid,
    /// Who gets the licenses.
    pub customer: Party,
    /// Where they are mailed to.
    pub contact: Contact,
    /// Who sells, where a reseller stands between.
    pub reseller: Option<Party>,
    /// What.
    pub lines: Vec<NewLine>,
    /// The buyer's name for the order: placing it again returns the same order.
    pub idempotency_key: Option<String>,
}

/// One unit of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderLine {
    /// From 1.
    pub position: u32,
    /// The product's code.
    pub product_code: String,
    /// The asset that it became.
    pub asset_id: Uuid,
}

/// An order as it was placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Stable and unique.
    pub id: Uuid,
    /// Where it was placed.
    pub instance_id: Uuid,
    /// Who gets the licenses.
    pub customer: Party,
    /// Where they are mailed to. None: it was placed before orders had one.
    pub contact: Option<Contact>,
    /// Who sells, where a reseller stands between.
    pub reseller: Option<Party>,
    /// The buyer's name for the order.
    pub idempotency_key: Option<String>,
    /// When, in milliseconds.
    pub placed_at_ms: i64,
    /// Its units, each with quantity 1.
    pub lines: Vec<OrderLine>,
}

/// Whether a text could be a language tag (RFC 5646 section 2.1): letters and digits between hyphens.
pub fn is_language(text: &str) -> bool {
    text.len() <= LANGUAGE_LENGTH_MAX
        && text.split('-').all(|subtag| {
            (1..=8).contains(&subtag.len()) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

/// Two lines of one product are one line of both: limits hold for an order, however it was typed in.
pub fn merged(lines: &[NewLine]) -> Vec<NewLine> {
    let mut merged: Vec<NewLine> = Vec::new();
    for line in lines {
        match merged
            .iter_mut()
            .find(|known| known.product_code == line.product_code)
        {
            Some(known) => known.quantity = known.quantity.saturating_add(line.quantity),
            None => merged.push(line.clone()),
        }
    }
    merged
}
