//! A license as the vendor issued it.

use crate::secret::Secret;
use crate::words::stored_enum;

/// What the vendor says of a license, as the platform spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LicenseTokenStatus {
    /// Issued and not used yet.
    Activated,
    /// Used by the customer.
    Redeemed,
    /// Returned unused.
    ReturnAccepted,
}

stored_enum!(LicenseTokenStatus {
    Activated = "activated", "Activated";
    Redeemed = "redeemed", "Redeemed";
    ReturnAccepted = "return_accepted", "Return Accepted";
});

/// What became of a return, as the platform spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnStatus {
    /// None was asked for, or it was refused.
    None,
    /// The vendor took the license back.
    Successful,
}

stored_enum!(ReturnStatus {
    None = "none", "NONE";
    Successful = "successful", "SUCCESSFUL";
});

/// A license as the vendor issued it.
#[derive(Clone, Debug)]
pub struct License {
    /// The purchase it came from, a UUID.
    pub client_transaction_id: String,
    /// The vendor's name for the purchase.
    pub transaction_id: String,
    /// The vendor's name for the license token.
    pub license_token_id: String,
    /// What the customer types in.
    pub product_key: Secret,
    /// Where the customer redeems it. None: the vendor gave none.
    pub activation_link: Option<Secret>,
    /// What the vendor says of it.
    pub license_token_status: LicenseTokenStatus,
    /// What became of a return.
    pub return_status: ReturnStatus,
    /// When the vendor issued it, in milliseconds.
    pub purchased_at_ms: i64,
    /// Until when it can be returned, in milliseconds. None: the vendor did not say.
    pub returnable_until_ms: Option<i64>,
}
