//! Spending limits as views show them.

use serde::Serialize;

use super::{InstanceForm, Price};

/// What an instance has sold today (UTC), and may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SpendingToday {
    /// The most of a day, as an amount. `None` here and below: there is no limit.
    pub limit: Option<Price>,
    /// The most of a day, in units of products.
    pub limit_units: Option<u64>,
    /// The price of all that was ordered today and is not withdrawn.
    pub used: Price,
    /// The units of it.
    pub used_units: u64,
}

/// An instance with its form, and what it has sold today.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownInstance {
    /// The instance with its form.
    #[serde(flatten)]
    pub form: InstanceForm,
    /// What it has sold today, and may.
    pub spending_today: SpendingToday,
}

impl From<&bss_model::SpendingToday> for SpendingToday {
    fn from(today: &bss_model::SpendingToday) -> Self {
        let (limit, limit_units) = match &today.limit {
            None => (None, None),
            Some(bss_model::Spending::Amount(price)) => (Some(price.into()), None),
            Some(bss_model::Spending::Units(units)) => (None, Some(*units)),
        };
        Self {
            limit,
            limit_units,
            used: (&today.used).into(),
            used_units: today.used_units,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::{assert_json, price};
    use super::*;

    #[test]
    fn what_an_instance_has_sold_today_of_what_it_may() {
        let today = bss_model::SpendingToday {
            limit: Some(bss_model::Spending::Amount(price(500_000))),
            used: price(24_900),
            used_units: 1,
        };
        assert_json(
            &SpendingToday::from(&today),
            r#"{
  "limit": {
    "currency": "EUR",
    "minorUnits": 500000
  },
  "limitUnits": null,
  "used": {
    "currency": "EUR",
    "minorUnits": 24900
  },
  "usedUnits": 1
}"#,
        );
    }
}
