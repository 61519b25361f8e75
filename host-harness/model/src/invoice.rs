//! Charges and credits of customers.

use uuid::Uuid;

use crate::price::Price;

/// A license on an invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvoiceLine {
    /// The license.
    pub asset_id: Uuid,
    /// The order line, from 1.
    pub position: u32,
    /// The product's code.
    pub product_code: String,
    /// The product's name when it was ordered.
    pub product_name: String,
    /// The units of the license.
    pub quantity: u32,
    /// The price charged, all units together.
    pub price: Price,
    /// When the license was written down and charged, in milliseconds.
    pub charged_at_ms: i64,
}

/// The invoice of an order, which grows until the order's last license is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// The number, unique on this host, from 1 without gaps.
    pub number: u64,
    /// The order, which has no other invoice.
    pub order_id: Uuid,
    /// When its first line was charged, in milliseconds.
    pub issued_at_ms: i64,
    /// A line per license, by position in the order.
    pub lines: Vec<InvoiceLine>,
}

impl Invoice {
    /// The sum of its lines. `None`: they are in several currencies, or the sum is beyond 64 bits.
    pub fn total(&self) -> Option<Price> {
        sum(self.lines.iter().map(|line| &line.price))
    }

    /// The sum of an invoice's credits; without credits, zero in the currency of its lines. `None`: they are in
    /// several currencies, or the sum is beyond 64 bits.
    pub fn credited(&self, credits: &[&Credit]) -> Option<Price> {
        if credits.is_empty() {
            let currency = self.total()?.currency;
            return Some(Price {
                currency,
                minor_units: 0,
            });
        }
        sum(credits.iter().map(|credit| &credit.price))
    }
}

/// The sum of prices in one currency. `None`: there are none, they are in several, or the sum is beyond 64 bits.
fn sum<'a>(mut prices: impl Iterator<Item = &'a Price>) -> Option<Price> {
    let mut total = prices.next()?.clone();
    for price in prices {
        if price.currency != total.currency {
            return None;
        }
        total.minor_units = total.minor_units.checked_add(price.minor_units)?;
    }
    Some(total)
}

/// A credit of all that was charged for a license.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credit {
    /// The number, unique on this host, from 1 without gaps.
    pub number: u64,
    /// The license.
    pub asset_id: Uuid,
    /// The order that it was charged with.
    pub order_id: Uuid,
    /// The whole price that was charged.
    pub price: Price,
    /// The cancellation that it belongs to. `None`: it was made without one.
    pub cancellation_id: Option<Uuid>,
    /// When it was made, in milliseconds.
    pub credited_at_ms: i64,
}

/// Filter of invoices or credits: those that match every given field.
#[derive(Clone, Copy, Debug, Default)]
pub struct BillingFilter {
    /// Invoices or credits of an instance.
    pub instance: Option<Uuid>,
    /// Invoices or credits of an order.
    pub order: Option<Uuid>,
}
