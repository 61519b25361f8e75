//! Withdrawals: lines of an order that are called back before their licenses are bought.

use uuid::Uuid;

use crate::words::stored_enum;

/// What a withdrawal came to for a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WithdrawalEnd {
    /// The line is withdrawn now: it was certainly not bought, and never will be.
    Withdrawn,
    /// The line was withdrawn before.
    WithdrawnBefore,
    /// The line may have been bought. It is only looked up from now on, and withdrawn once it is certain that it was not.
    InDoubt,
    /// The license is bought: it can only be returned, by cancelling the asset.
    Bought,
    /// The license was bought, and the asset is cancelled.
    Cancelled,
}

stored_enum!(WithdrawalEnd {
    Withdrawn = "withdrawn", "withdrawn";
    WithdrawnBefore = "withdrawn-before", "withdrawn before";
    InDoubt = "in-doubt", "in doubt";
    Bought = "bought", "bought";
    Cancelled = "cancelled", "cancelled";
});

/// A line of an order that was to be withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineWithdrawal {
    /// The asset.
    pub asset_id: Uuid,
    /// The order line, from 1.
    pub position: u32,
    /// The product's code.
    pub product_code: String,
    /// The units that its license was to be for.
    pub quantity: u32,
    /// What the withdrawal came to.
    pub end: WithdrawalEnd,
}
