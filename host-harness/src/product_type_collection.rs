//! The services definition as the platform's own JSON contract, `ProductTypeCollection`.
//!
//! Member names are those of the platform's models. Enums are written as names throughout: the platform reads
//! names and numbers, writes some of its own as names, and a name can't come to mean something else.
//! Members that are not ours to say are left out, prices above all: those are the operator's.
//! A product that the vendor does not sell any more is left out too, which is how the platform learns of it;
//! its value stays in the list of the attribute.

use std::collections::BTreeMap;

use bss_model::{AttributeValue, Derivative, Page, Product as RecordedProduct, ProductFilter};
use bss_record::{Record, RecordError};
use serde::Serialize;
use uuid::Uuid;

/// All product types of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProductTypeCollection {
    /// The product types.
    pub product_types: Vec<ProductTypeDefinition>,
}

/// A product type with its products.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProductTypeDefinition {
    /// Stable name.
    #[serde(rename = "ID")]
    pub id: String,
    /// The name that an operator reads.
    pub name: String,
    /// Whether a new purchase is a new asset, never added to an existing one.
    pub allow_multiple_subscriptions: bool,
    /// Whether a cancellation is executed without an operator.
    pub auto_execute_subscription_cancel_request: bool,
    /// The users that may use the product type.
    pub scope: &'static str,
    /// The attributes.
    pub attribute_list: Vec<AttributeDefinition>,
    /// The products.
    pub products_collection: ProductsCollection,
    /// The derivative that a sale leads to.
    pub derivative: &'static str,
    /// Whether an order of n becomes n licenses of quantity 1, and not one for n units.
    pub split_quantity: bool,
}

/// An attribute: a drop-down list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttributeDefinition {
    /// Stable name.
    #[serde(rename = "ID")]
    pub id: String,
    /// The attribute's place, from 1.
    pub sort_order: usize,
    /// The name that an operator reads.
    pub name: String,
    /// The kind of thing that the attribute describes.
    pub usage: &'static str,
    /// Always true: the usage counts.
    pub usage_specified: bool,
    /// The way in which a value is chosen.
    pub kind: &'static str,
    /// Always true: the kind counts.
    pub kind_specified: bool,
    /// Whether a product must have it.
    pub is_required: bool,
    /// The list.
    pub predefined_values: Vec<PredefinedValueDefinition>,
}

/// A value of a drop-down list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PredefinedValueDefinition {
    /// The code of the value, by which products name it.
    #[serde(rename = "ID")]
    pub id: String,
    /// The offer URI.
    pub code: String,
    /// The product's name.
    pub name: String,
    /// Always false: a product says which value it has.
    pub is_default: bool,
}

/// The products of a product type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProductsCollection {
    /// The products that the vendor sells now.
    pub products: Vec<Product>,
    /// Always empty: a license has no add-ons.
    pub addons: Vec<serde_json::Value>,
}

/// A product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Product {
    /// The vendor's code.
    #[serde(rename = "ID")]
    pub id: String,
    /// The vendor's code.
    pub code: String,
    /// The name, in the instance's language.
    pub name: String,
    /// The description, in the instance's language.
    pub description: String,
    /// The values of the product's attributes.
    pub attributes: Vec<Attribute>,
    /// The fields that the platform refreshes on an existing product: the name only.
    pub update_options: Vec<&'static str>,
    /// The derivative that a sale leads to.
    pub derivative: &'static str,
    /// Whether the operator has activated it.
    pub is_activated: bool,
    /// Whether the vendor takes it back.
    pub enable_cancellation: bool,
}

/// The values that a product has of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Attribute {
    /// The `AttributeDefinition.id`.
    #[serde(rename = "ID")]
    pub id: String,
    /// The `PredefinedValueDefinition.code`s.
    pub values: Vec<String>,
}

/// The services definition of an instance.
///
/// # Errors
/// When the record can't be read.
pub async fn of(record: &Record, instance_id: Uuid) -> Result<ProductTypeCollection, RecordError> {
    let filter = ProductFilter::default();
    let products = record.products(instance_id, &filter, &Page::all()).await?.rows;
    let mut product_types = Vec::new();
    for product_type in record.product_types(instance_id).await? {
        let former = record
            .former_attribute_values(instance_id, &product_type.id)
            .await?;
        let of_type: Vec<&RecordedProduct> = products
            .iter()
            .filter(|product| product.offered.product_type == product_type.id)
            .collect();
        product_types.push(definition(product_type, &of_type, &former));
    }
    Ok(ProductTypeCollection { product_types })
}

fn definition(
    product_type: bss_model::ProductType,
    products: &[&RecordedProduct],
    former: &[AttributeValue],
) -> ProductTypeDefinition {
    let derivative = match product_type.derivative {
        Derivative::License => "LICENSE",
        Derivative::Subscription => "SUBSCRIPTION",
    };
    let attributes = product_type.attributes.into_iter().zip(1..);
    ProductTypeDefinition {
        allow_multiple_subscriptions: true,
        auto_execute_subscription_cancel_request: !product_type.manual_cancellation,
        scope: "Both",
        attribute_list: attributes
            .map(|(attribute, sort_order)| AttributeDefinition {
                sort_order,
                name: attribute.name,
                usage: "ProductCharacteristic",
                usage_specified: true,
                kind: "PredefinedChooseOne",
                kind_specified: true,
                is_required: true,
                predefined_values: values(&attribute.id, products, former),
                id: attribute.id,
            })
            .collect(),
        products_collection: ProductsCollection {
            products: products
                .iter()
                .filter(|product| !product.discontinued)
                .map(|recorded| product(recorded, derivative))
                .collect(),
            addons: Vec::new(),
        },
        derivative,
        split_quantity: product_type.split_quantity,
        id: product_type.id,
        name: product_type.name,
    }
}

/// Every value that a product has or had, by code: a value that an asset was sold with must stay in the list. The
/// label is that of a product that is sold now, if there is one.
fn values(
    attribute: &str,
    products: &[&RecordedProduct],
    former: &[AttributeValue],
) -> Vec<PredefinedValueDefinition> {
    let of = |discontinued: bool| {
        products
            .iter()
            .filter(move |product| product.discontinued == discontinued)
            .flat_map(|product| &product.offered.attribute_values)
    };
    // The labels of later entries win, so products that are sold now come last.
    let labels: BTreeMap<&str, &str> = former
        .iter()
        .chain(of(true))
        .chain(of(false))
        .filter(|value| value.attribute == attribute)
        .map(|value| (value.key.as_str(), value.label.as_str()))
        .collect();
    let value = |(key, label): (&str, &str)| PredefinedValueDefinition {
        id: key.to_owned(),
        code: key.to_owned(),
        name: label.to_owned(),
        is_default: false,
    };
    labels.into_iter().map(value).collect()
}

fn product(product: &RecordedProduct, derivative: &'static str) -> Product {
    let offered = &product.offered;
    let mut attributes = Vec::<Attribute>::new();
    for value in &offered.attribute_values {
        match attributes.iter_mut().find(|known| known.id == value.attribute) {
            Some(known) => known.values.push(value.key.clone()),
            None => attributes.push(Attribute {
                id: value.attribute.clone(),
                values: vec![value.key.clone()],
            }),
        }
    }
    Product {
        id: offered.code.clone(),
        code: offered.code.clone(),
        name: offered.name.clone(),
        description: offered.description.clone(),
        attributes,
        update_options: vec!["Name"],
        derivative,
        is_activated: product.active,
        enable_cancellation: offered.returnable,
    }
}
