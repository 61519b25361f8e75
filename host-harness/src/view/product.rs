//! Products as views show them.

use bss_model::{Decided, NewPrice, PriceDoubt};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Price, word};

/// A product of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Product {
    /// The instance.
    pub instance_id: Uuid,
    /// The instance's name.
    pub instance: String,
    /// The vendor's code: unique within the instance.
    pub product_code: String,
    /// The product's name, in the instance's language.
    pub product_name: String,
    /// The description. Empty: the vendor gives none.
    pub description: String,
    /// The product type's id.
    pub product_type: String,
    /// The smallest quantity of one order.
    pub min_quantity: u32,
    /// The largest quantity of one order. `None`: no limit.
    pub max_quantity: Option<u32>,
    /// Whether the vendor takes the product back.
    pub returnable: bool,
    /// Whether the operator has activated the product.
    pub active: bool,
    /// Whether the operator has published the product.
    pub published: bool,
    /// Whether the vendor has stopped selling the product.
    pub discontinued: bool,
    /// The prices, one for each currency.
    pub prices: Vec<Price>,
    /// The difference that a run made to the product. `None`: no run was asked for.
    // No answer of the API has it.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differences: Option<Vec<ProductDifference>>,
}

/// The difference that a run made to a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProductDifference {
    /// The kind of difference: `new`, `changed`, `discontinued`, `revived`.
    pub kind: String,
    /// The fields that changed. Empty but for `changed`.
    pub fields: Vec<String>,
    /// The values of those fields, as far as they were kept.
    pub changes: Vec<FieldChange>,
}

/// The values of a field that a run changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct FieldChange {
    /// The field.
    pub field: String,
    /// The value before, of whatever type the field has; of attribute values, those that changed by attribute.
    pub before: Value,
    /// The value after.
    pub after: Value,
}

/// The difference that a run made, with the product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RunDifference {
    /// The product's code.
    pub product_code: String,
    /// The difference.
    #[serde(flatten)]
    pub difference: ProductDifference,
}

/// The result of a decision about products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DecidedProducts {
    /// The number of products that the decision changed.
    pub changed: usize,
    /// The number of products that were so before.
    pub already: usize,
    /// The number of products that were left out because the vendor does not sell them any more.
    pub discontinued: usize,
}

/// Products that were given a price, or whose price was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PricedProducts {
    /// The number of prices that are other ones than before.
    pub changed: usize,
    /// The prices of all products that were named.
    pub prices: Vec<PriceChange>,
}

/// The price of a product in a currency, and the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PriceChange {
    /// The product's code.
    pub product_code: String,
    /// The price before. `None`: the product had none in that currency.
    pub before: Option<Price>,
    /// The price now. `None`: the product has none in that currency.
    pub price: Option<Price>,
}

/// Prices that were set, or would be, and those among them that may be a mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CheckedPrices {
    /// The prices.
    #[serde(flatten)]
    pub prices: PricedProducts,
    /// The products whose price may be a mistake.
    pub doubts: Vec<DoubtfulPrice>,
}

/// A price that may be a mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DoubtfulPrice {
    /// The product's code.
    pub product_code: String,
    /// Why: `zero`, `far-from-last`, `other-currency`.
    pub doubts: Vec<&'static str>,
}

impl CheckedPrices {
    /// The view of changes, and of the prices among them that may be a mistake.
    pub fn new(changes: &[bss_model::PriceChange], doubts: &[(&NewPrice, Vec<PriceDoubt>)]) -> Self {
        let doubts = doubts.iter().map(|(new, about)| DoubtfulPrice {
            product_code: new.code.clone(),
            doubts: about.iter().map(PriceDoubt::word).collect(),
        });
        Self {
            prices: changes.into(),
            doubts: doubts.collect(),
        }
    }
}

/// The change of a price as it is on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RecordedPriceChange {
    /// The change.
    #[serde(flatten)]
    pub change: PriceChange,
    /// The actor that made it.
    pub changed_by: String,
    /// When it was made, in milliseconds.
    pub changed_at_ms: i64,
}

impl Product {
    /// The view of a product of an instance with its prices.
    pub fn new(
        instance: &bss_model::Instance,
        product: &bss_model::Product,
        prices: &[bss_model::Price],
    ) -> Self {
        let offered = &product.offered;
        Self {
            instance_id: instance.id,
            instance: instance.name.clone(),
            product_code: offered.code.clone(),
            product_name: offered.name.clone(),
            description: offered.description.clone(),
            product_type: offered.product_type.clone(),
            min_quantity: offered.min_quantity,
            max_quantity: offered.max_quantity,
            returnable: offered.returnable,
            active: product.active,
            published: product.published,
            discontinued: product.discontinued,
            prices: prices.iter().map(Price::from).collect(),
            differences: None,
        }
    }

    /// Adds the difference that a run made to the view.
    #[must_use]
    pub fn with_differences<'a>(
        self,
        differences: impl IntoIterator<Item = &'a bss_model::ProductDifference>,
    ) -> Self {
        let differences = differences.into_iter().map(ProductDifference::from);
        Self {
            differences: Some(differences.collect()),
            ..self
        }
    }
}

impl FieldChange {
    /// The view of a change. `None`: its values were not kept.
    fn of(change: &bss_model::FieldChange) -> Option<Self> {
        let (before, after) = change.values.clone()?;
        let field = change.field.clone();
        Some(Self { field, before, after })
    }
}

impl From<&bss_model::ProductDifference> for ProductDifference {
    fn from(difference: &bss_model::ProductDifference) -> Self {
        Self {
            kind: word(difference.kind.word()),
            fields: difference.field_names().into_iter().map(str::to_owned).collect(),
            changes: difference.fields.iter().filter_map(FieldChange::of).collect(),
        }
    }
}

impl From<&bss_model::ProductDifference> for RunDifference {
    fn from(difference: &bss_model::ProductDifference) -> Self {
        Self {
            product_code: difference.code.clone(),
            difference: difference.into(),
        }
    }
}

impl From<&bss_model::PriceChange> for PriceChange {
    fn from(change: &bss_model::PriceChange) -> Self {
        Self {
            product_code: change.code.clone(),
            before: change.before.as_ref().map(Price::from),
            price: change.after.as_ref().map(Price::from),
        }
    }
}

impl From<&[bss_model::PriceChange]> for PricedProducts {
    fn from(changes: &[bss_model::PriceChange]) -> Self {
        let changed = changes.iter().filter(|change| change.before != change.after);
        Self {
            changed: changed.count(),
            prices: changes.iter().map(PriceChange::from).collect(),
        }
    }
}

impl From<&bss_model::RecordedPriceChange> for RecordedPriceChange {
    fn from(recorded: &bss_model::RecordedPriceChange) -> Self {
        Self {
            change: (&recorded.change).into(),
            changed_by: recorded.changed_by.name.clone(),
            changed_at_ms: recorded.changed_at_ms,
        }
    }
}

impl From<Decided> for DecidedProducts {
    fn from(decided: Decided) -> Self {
        let Decided {
            changed,
            already,
            discontinued,
        } = decided;
        Self {
            changed,
            already,
            discontinued,
        }
    }
}

#[cfg(test)]
mod tests {
    use bss_model::{DifferenceKind, NewProduct};

    use super::super::examples::{assert_json, instance, price};
    use super::*;

    fn product() -> Product {
        let product = bss_model::Product {
            offered: NewProduct {
                code: "EP2-06798".to_owned(),
                product_type: "esd".to_owned(),
                name: "Office".to_owned(),
                description: String::new(),
                attribute_values: Vec::new(),
                min_quantity: 1,
                max_quantity: None,
                returnable: true,
            },
            active: true,
            published: false,
            discontinued: false,
        };
        Product::new(&instance(), &product, &[price(24_900)])
    }

    #[test]
    fn a_product_with_its_price() {
        assert_json(
            &product(),
            r#"
{
  "instanceId": "00000000-0000-0000-0000-000000000009",
  "instance": "esd",
  "productCode": "EP2-06798",
  "productName": "Office",
  "description": "",
  "productType": "esd",
  "minQuantity": 1,
  "maxQuantity": null,
  "returnable": true,
  "active": true,
  "published": false,
  "discontinued": false,
  "prices": [
    {
      "currency": "EUR",
      "minorUnits": 24900
    }
  ]
}"#,
        );
    }

    #[test]
    fn a_product_with_what_a_run_did_to_it() {
        let difference = bss_model::ProductDifference {
            code: "EP2-06798".to_owned(),
            kind: DifferenceKind::Changed,
            fields: vec![
                bss_model::FieldChange {
                    field: "name".to_owned(),
                    values: Some(("Office".into(), "Office 2024".into())),
                },
                bss_model::FieldChange {
                    field: "description".to_owned(),
                    values: None,
                },
            ],
        };
        assert_json(
            &product().with_differences([&difference]).differences,
            r#"
[
  {
    "kind": "changed",
    "fields": [
      "name",
      "description"
    ],
    "changes": [
      {
        "field": "name",
        "before": "Office",
        "after": "Office 2024"
      }
    ]
  }
]"#,
        );
    }

    #[test]
    fn what_a_decision_and_a_price_did() {
        let decided = Decided {
            changed: 3,
            already: 2,
            discontinued: 1,
        };
        assert_json(
            &DecidedProducts::from(decided),
            "{\n  \"changed\": 3,\n  \"already\": 2,\n  \"discontinued\": 1\n}",
        );
        let change = |before, after| bss_model::PriceChange {
            code: "EP2-06798".to_owned(),
            before,
            after,
        };
        let changes = [
            change(None, Some(price(24_900))),
            change(Some(price(1)), Some(price(1))),
        ];
        let priced = PricedProducts::from(&changes[..1]);
        assert_json(
            &priced,
            r#"
{
  "changed": 1,
  "prices": [
    {
      "productCode": "EP2-06798",
      "before": null,
      "price": {
        "currency": "EUR",
        "minorUnits": 24900
      }
    }
  ]
}"#,
        );
        assert_eq!(
            PricedProducts::from(&changes[..]).changed,
            1,
            "one stays as it was"
        );
        let recorded = bss_model::RecordedPriceChange {
            change: change(Some(price(24_900)), None),
            changed_by: bss_model::Actor::operator("maria"),
            changed_at_ms: 1_500,
        };
        assert_json(
            &RecordedPriceChange::from(&recorded),
            r#"
{
  "productCode": "EP2-06798",
  "before": {
    "currency": "EUR",
    "minorUnits": 24900
  },
  "price": null,
  "changedBy": "maria",
  "changedAtMs": 1500
}"#,
        );
    }
}
