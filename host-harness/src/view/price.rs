//! Prices as views show them.

use serde::Serialize;

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Price {
    /// The currency, ISO 4217, three capital letters.
    pub currency: String,
    /// The amount in the currency's smallest unit, such as cents.
    pub minor_units: i64,
}

impl From<&bss_model::Price> for Price {
    fn from(price: &bss_model::Price) -> Self {
        Self {
            currency: price.currency.clone(),
            minor_units: price.minor_units,
        }
    }
}
