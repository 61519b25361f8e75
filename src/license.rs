//! A license as Microsoft issues it, with its secrets kept from what is printed.

use bss_plugin::secret::Secret;
use bss_plugin::{LicenseTokenStatus, ReturnStatus};

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

impl From<License> for bss_plugin::License {
    fn from(license: License) -> Self {
        let License {
            client_transaction_id,
            transaction_id,
            license_token_id,
            product_key,
            activation_link,
            license_token_status,
            return_status,
            purchased_at_ms,
            returnable_until_ms,
        } = license;
        Self {
            client_transaction_id,
            transaction_id,
            license_token_id,
            product_key: product_key.expose().to_owned(),
            activation_link: activation_link.expose().to_owned(),
            license_token_status,
            return_status,
            purchased_at_ms,
            returnable_until_ms,
        }
    }
}
