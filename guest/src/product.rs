//! A product, and the kinds of products.

use std::borrow::Cow;

use crate::bindings::bss::service_manager::services_definition::{Attribute, Derivative, ProductType};

/// A value from an attribute's list, which a product has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeValue {
    /// The attribute's name.
    pub attribute: Cow<'static, str>,
    /// The value that is saved.
    pub key: String,
    /// The text that is shown.
    pub label: String,
}

/// A thing that can be sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// The vendor's code.
    pub code: String,
    /// The product type's id.
    pub product_type: Cow<'static, str>,
    /// The name in the instance's language.
    pub name: String,
    /// The description in the instance's language; empty when the vendor gives none.
    pub description: String,
    /// A value of each attribute of the product's type.
    pub attribute_values: Vec<AttributeValue>,
    /// The smallest quantity of an order; at least 1.
    pub min_quantity: u32,
    /// The largest quantity of an order; `None` when there is no limit.
    pub max_quantity: Option<u32>,
    /// Whether the vendor takes a license of it back.
    pub returnable: bool,
}

impl ProductType {
    /// A type whose products lead to licenses: of an order of n, n of quantity 1 where the quantity is split, otherwise one for n units.
    /// Its attributes are pairs of a stable name and the one that an operator reads.
    pub fn of_licenses(id: &str, name: &str, split_quantity: bool, attributes: &[(&str, &str)]) -> Self {
        let attributes = attributes.iter().map(|&(id, name)| Attribute {
            id: id.to_owned(),
            name: name.to_owned(),
        });
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            derivative: Derivative::License,
            split_quantity,
            manual_cancellation: false,
            attributes: attributes.collect(),
        }
    }
}
