//! A product: what the platform can sell, made of an offer of Microsoft's.
//! The shapes are those of `wit/services-definition.wit`.

/// A value from an attribute's list, which a product has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeValue {
    /// The attribute's name.
    pub attribute: &'static str,
    /// The value that is saved.
    pub key: String,
    /// The text that is shown.
    pub label: String,
}

/// A thing that can be sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Microsoft's offer id.
    pub code: String,
    /// The product type's id.
    pub product_type: &'static str,
    /// The name in the instance's language.
    pub name: String,
    /// The description in the instance's language, with the offer URI and the quantities.
    pub description: String,
    /// The offer URI, as a value of the attribute.
    pub attribute_values: Vec<AttributeValue>,
    /// The smallest quantity of an order; at least 1.
    pub min_quantity: u32,
    /// The largest quantity of an order; `None` when there is no limit.
    pub max_quantity: Option<u32>,
    /// Whether Microsoft takes a license of it back.
    pub returnable: bool,
}
