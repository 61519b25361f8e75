//! Licenses as the vendor issues them.

use uuid::Uuid;

use crate::secret::Secret;
use crate::words::stored_enum;

/// The vendor's state of a license, in words that are no vendor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LicenseTokenStatus {
    /// Issued and not used yet. The platform's page on its first vendor says `Activated`.
    Unused,
    /// Used by the customer. The page says `Redeemed`.
    Used,
    /// Suspended, expired or withdrawn by the vendor, without a return.
    Ended,
    /// Returned. The page says `Return Accepted`.
    Returned,
}

stored_enum!(LicenseTokenStatus {
    Unused = "unused", "Unused";
    Used = "used", "Used";
    Ended = "ended", "Ended";
    Returned = "returned", "Returned";
});

/// The outcome of a return, as the platform spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnStatus {
    /// No return was asked for, or it was refused.
    None,
    /// The vendor took the license back.
    Successful,
}

stored_enum!(ReturnStatus {
    None = "none", "NONE";
    Successful = "successful", "SUCCESSFUL";
});

/// The names of a license, by which its vendor can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicenseNames {
    /// The host's name for the purchase.
    pub client_transaction_id: Uuid,
    /// The vendor's name for the purchase.
    pub transaction_id: String,
    /// The vendor's name for the license token.
    pub license_token_id: String,
}

/// The parts of a license that only its customer may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicenseSecrets {
    /// The key that the customer types in.
    pub product_key: Secret,
    /// The link at which the customer redeems it. `None`: the vendor gave none.
    pub activation_link: Option<Secret>,
}

/// A license as the vendor issued it.
#[derive(Clone, Debug)]
pub struct License {
    /// The purchase it came from, a UUID.
    pub client_transaction_id: String,
    /// The vendor's name for the purchase.
    pub transaction_id: String,
    /// The vendor's name for the license token.
    pub license_token_id: String,
    /// The key that the customer types in.
    pub product_key: Secret,
    /// The link at which the customer redeems it. `None`: the vendor gave none.
    pub activation_link: Option<Secret>,
    /// The vendor's state of the license.
    pub license_token_status: LicenseTokenStatus,
    /// The outcome of a return.
    pub return_status: ReturnStatus,
    /// When the vendor issued it, in milliseconds.
    pub purchased_at_ms: i64,
    /// Until when it can be returned, in milliseconds. `None`: the vendor did not say.
    pub returnable_until_ms: Option<i64>,
}

impl License {
    /// The host of the activation link, which is enough to know where it leads. Empty: the link is no URI. `None`:
    /// there is no link.
    pub fn activation_link_host(&self) -> Option<String> {
        let link = self.activation_link.as_ref()?;
        let uri = link.expose().parse::<http::Uri>().ok();
        Some(
            uri.as_ref()
                .and_then(http::Uri::host)
                .unwrap_or_default()
                .to_owned(),
        )
    }
}
