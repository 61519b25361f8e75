//! Get Services Definition: Acme's catalog as the platform's products, page by page, so that it is never held whole.

use bss_plugin::catalog::{self, AttributeValue, Judged, Product};
use bss_plugin::{Outcome, Platform, ProductType, ReadFailure};
use serde::Deserialize;
use serde_json::Value;

use crate::vendor::Vendor;

/// The attribute of both product types.
const EDITION: &str = "edition";

/// An item of the catalog as Acme writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    sku: String,
    name: String,
    #[serde(default)]
    description: String,
    /// `key`: for one user. `team`: for a number of seats.
    kind: String,
    edition: String,
    /// The most seats of a `team` license.
    max_quantity: Option<u32>,
    returnable: bool,
}

/// Reads the catalog to its end.
pub(crate) fn read(vendor: &Vendor<'_, impl Platform>, entity_tag: &str) -> Result<Outcome, ReadFailure> {
    let attributes = [(EDITION, "Edition")];
    // An order of three keys is three licenses; an order of three seats is one license for all of them.
    let product_types = vec![
        ProductType::of_licenses("key", "Acme key", true, &attributes),
        ProductType::of_licenses("team", "Acme team license", false, &attributes),
    ];
    let page = |cursor: &str, entity_tag: &str| vendor.page(cursor, entity_tag);
    let judge = |item: Value| Judged::of(item["sku"].as_str().unwrap_or_default(), product(&item));
    catalog::read(vendor.platform, "product", product_types, entity_tag, page, judge)
}

/// The item as a product.
///
/// # Errors
/// Why it can't be understood.
fn product(item: &Value) -> Result<Product, String> {
    let item = Item::deserialize(item).map_err(|error| error.to_string())?;
    let is_blank = |text: &String| text.trim().is_empty();
    if [&item.sku, &item.name, &item.edition].into_iter().any(is_blank) || item.max_quantity == Some(0) {
        return Err("a text is empty, or the largest quantity is 0".to_owned());
    }
    if !["key", "team"].contains(&item.kind.as_str()) {
        return Err("its kind is unknown".to_owned());
    }
    Ok(Product {
        code: item.sku,
        product_type: item.kind.into(),
        name: item.name,
        description: item.description,
        attribute_values: vec![AttributeValue {
            attribute: EDITION.into(),
            key: item.edition.clone(),
            label: item.edition,
        }],
        min_quantity: 1,
        max_quantity: item.max_quantity,
        returnable: item.returnable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_item_is_understood_only_as_a_whole() {
        let item =
            json!({"sku": "TEAM", "name": "Team", "kind": "team", "edition": "Pro", "returnable": true});
        assert_eq!(product(&item).expect("a product").product_type, "team");
        for (member, wrong) in [
            ("kind", json!("rental")),
            ("name", json!(" ")),
            ("returnable", json!(null)),
        ] {
            let mut item = item.clone();
            item[member] = wrong;
            assert!(product(&item).is_err(), "{member}");
        }
    }
}
