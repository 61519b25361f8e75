//! Get Services Definition: Acme's catalog as the platform's products, page by page, so that it is never held whole.

use bss_plugin::catalog::{self, AttributeValue, Judged, Product};
use bss_plugin::{Attribute, Derivative, Outcome, Platform, ProductType, ReadFailure};
use serde::Deserialize;
use serde_json::Value;

use crate::vendor::Acme;

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
    kind: Kind,
    edition: String,
    /// The most seats of a `team` license.
    max_quantity: Option<u32>,
    returnable: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// A product key for one user.
    Key,
    /// A product key for a number of seats.
    Team,
}

/// Reads the catalog to its end.
pub(crate) fn read<P: Platform>(
    platform: &P,
    acme: &Acme<'_, P>,
    entity_tag: &str,
) -> Result<Outcome, ReadFailure> {
    // An order of three keys is three licenses; an order of three seats is one license for all of them.
    let product_types = vec![
        product_type("key", "Acme key", true),
        product_type("team", "Acme team license", false),
    ];
    let page = |cursor: &str, entity_tag: &str| acme.page(cursor, entity_tag);
    catalog::read(platform, "product", product_types, entity_tag, page, judge)
}

fn judge(item: Value) -> Judged {
    match product(&item) {
        Some(product) => Judged::Sold(product),
        None => Judged::Skipped {
            code: item["sku"].as_str().unwrap_or_default().to_owned(),
            reason: "it can't be understood".to_owned(),
        },
    }
}

/// The item as a product. `None`: it can't be understood.
fn product(item: &Value) -> Option<Product> {
    let item = Item::deserialize(item).ok()?;
    let is_blank = |text: &String| text.trim().is_empty();
    if [&item.sku, &item.name, &item.edition].into_iter().any(is_blank) || item.max_quantity == Some(0) {
        return None;
    }
    Some(Product {
        code: item.sku,
        product_type: match item.kind {
            Kind::Key => "key".into(),
            Kind::Team => "team".into(),
        },
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

fn product_type(id: &str, name: &str, split_quantity: bool) -> ProductType {
    ProductType {
        id: id.to_owned(),
        name: name.to_owned(),
        derivative: Derivative::License,
        split_quantity,
        manual_cancellation: false,
        attributes: vec![Attribute {
            id: EDITION.to_owned(),
            name: "Edition".to_owned(),
        }],
    }
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
            assert!(product(&item).is_none(), "{member}");
        }
    }
}
