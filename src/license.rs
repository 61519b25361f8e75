//! A license: the order that Microsoft gets for it, and what Microsoft says of it.
//! The shapes are those of `wit/license-order.wit`.

use crate::secret::Secret;

/// A company or person, as far as Microsoft has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// The platform's own name for the company or person.
    pub id: String,
    /// The name that people read.
    pub name: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
}

/// The outcome of the earlier attempts at a purchase, as far as the host knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlierAttempts {
    /// There was no earlier attempt.
    None,
    /// Every earlier attempt definitely bought nothing.
    NotDone,
    /// An earlier attempt may have bought the license.
    Unknown,
}

/// A license to buy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicenseOrder {
    /// The host's name for the purchase, a UUID: the same for every attempt.
    pub client_transaction_id: String,
    /// The outcome of the earlier attempts.
    pub earlier_attempts: EarlierAttempts,
    /// Whether to validate only, and buy nothing.
    pub check_only: bool,
    /// The product's code: Microsoft's offer id.
    pub product: String,
    /// The number of units: 1, because the product type splits quantities.
    pub quantity: u32,
    /// The seller; `None` when it is the platform's operator.
    pub reseller: Option<Party>,
    /// The customer who gets the license.
    pub customer: Party,
}

/// The state of a license, as Microsoft says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LicenseTokenStatus {
    /// Issued and not used yet: Microsoft's `Activated`.
    Unused,
    /// Used by the customer: Microsoft's `Redeemed`.
    Used,
    /// Returned unused: Microsoft's `ReturnAccepted`.
    Returned,
}

/// The outcome of a return, as Microsoft says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnStatus {
    /// No return was asked for, or it was refused.
    None,
    /// Microsoft took the license back.
    Successful,
}

/// A license as Microsoft issued it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct License {
    /// The host's name for the purchase.
    pub client_transaction_id: String,
    /// Microsoft's name for the purchase.
    pub transaction_id: String,
    /// Microsoft's name for the license token.
    pub license_token_id: String,
    /// The product key that the customer types in; never empty.
    pub product_key: Secret,
    /// The address at which the customer redeems the license; empty when there is none.
    pub activation_link: Secret,
    /// The state of the license now, as Microsoft says.
    pub license_token_status: LicenseTokenStatus,
    /// The outcome of a return, as Microsoft says.
    pub return_status: ReturnStatus,
    /// When the license was bought, in milliseconds since 1970.
    pub purchased_at_ms: i64,
    /// Until when the license can be returned, in milliseconds since 1970; `None` when Microsoft did not say.
    pub returnable_until_ms: Option<i64>,
}
