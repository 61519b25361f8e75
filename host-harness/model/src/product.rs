//! Products and their types, as a plugin defines them and as the operator decides about them.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::words::stored_enum;

/// The kind of thing that a sale of a product creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derivative {
    /// A subscription, which renews.
    Subscription,
    /// A license, which is an asset.
    License,
}

stored_enum!(Derivative {
    Subscription = "subscription", "subscription";
    License = "license", "license";
});

/// An attribute of a product type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductAttribute {
    /// A stable name.
    pub id: String,
    /// The name for operators.
    pub name: String,
}

/// A kind of product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductType {
    /// A stable name, unique within the instance.
    pub id: String,
    /// The name for operators.
    pub name: String,
    /// The kind of thing that a sale creates.
    pub derivative: Derivative,
    /// Whether an order of n becomes n licenses of quantity 1. Otherwise it becomes one license for n units.
    pub split_quantity: bool,
    /// Whether a cancellation waits for an operator.
    pub manual_cancellation: bool,
    /// The attributes.
    pub attributes: Vec<ProductAttribute>,
}

/// An attribute's value that a product has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeValue {
    /// The `ProductAttribute.id`.
    pub attribute: String,
    /// The value as it is saved.
    pub key: String,
    /// The value as it is shown.
    pub label: String,
}

/// A product as the vendor offers it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewProduct {
    /// The vendor's code, unique within the instance.
    pub code: String,
    /// The `ProductType.id`.
    pub product_type: String,
    /// The name, in the instance's language.
    pub name: String,
    /// The description, in the instance's language. Empty: the vendor gives none.
    pub description: String,
    /// The values of its attributes.
    pub attribute_values: Vec<AttributeValue>,
    /// The smallest quantity of one order, at least 1.
    pub min_quantity: u32,
    /// The largest quantity of one order. `None`: no limit.
    pub max_quantity: Option<u32>,
    /// Whether the vendor takes licenses of it back.
    pub returnable: bool,
}

/// A product as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// The vendor's offer, or the last one before the product was discontinued.
    pub offered: NewProduct,
    /// Whether the operator has activated it.
    pub active: bool,
    /// Whether the operator has published it.
    pub published: bool,
    /// Whether the vendor has stopped selling it.
    pub discontinued: bool,
}

impl Product {
    /// Whether the product can be ordered: the operator has activated it, and the vendor sells it.
    pub fn is_on_sale(&self) -> bool {
        self.active && !self.discontinued
    }

    /// Whether a text is in the product's name, ignoring case.
    pub fn name_contains(&self, text: &str) -> bool {
        self.offered.name.to_lowercase().contains(&text.to_lowercase())
    }
}

/// A complete reading of the vendor's catalog.
#[derive(Clone, Debug, Default)]
pub struct ServicesDefinition {
    /// The product types of the products.
    pub product_types: Vec<ProductType>,
    /// All products that are sold now.
    pub products: Vec<NewProduct>,
    /// The tag to pass to the next reading. Empty: there is none.
    pub entity_tag: String,
    /// The catalog's items that are left out of the products.
    pub skipped: SkippedItems,
}

/// Items of a catalog that a reading has skipped. Their products may still be sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SkippedItems {
    /// The codes of all skipped items. No code: nothing was skipped.
    Codes(BTreeSet<String>),
    /// Items were skipped, but it is not known which.
    Unnamed,
}

/// By default, nothing was skipped.
impl Default for SkippedItems {
    fn default() -> Self {
        Self::Codes(BTreeSet::new())
    }
}

impl SkippedItems {
    /// Whether a product with that code may be among the skipped items.
    pub fn may_be(&self, code: &str) -> bool {
        match self {
            Self::Codes(codes) => codes.contains(code),
            Self::Unnamed => true,
        }
    }
}

/// The changes of a reading, each list by code. A revived product is also in `changed` if anything else of it
/// changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Products that were not stored before.
    pub new: Vec<String>,
    /// Products that were stored before, with the fields that changed.
    pub changed: Vec<(String, Vec<FieldChange>)>,
    /// Products that the vendor has stopped selling.
    pub discontinued: Vec<String>,
    /// Products that the vendor sells again.
    pub revived: Vec<String>,
}

/// A field of a product that a reading changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredFieldChange")]
pub struct FieldChange {
    /// What the field is called.
    pub field: String,
    /// The values before and after, as JSON. `None`: the change was written down by a host that kept no values.
    pub values: Option<(Value, Value)>,
}

/// A changed field as a record has it: of a host that kept no values, its name alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredFieldChange {
    Name(String),
    Change {
        field: String,
        values: Option<(Value, Value)>,
    },
}

impl From<StoredFieldChange> for FieldChange {
    fn from(stored: StoredFieldChange) -> Self {
        match stored {
            StoredFieldChange::Name(field) => Self { field, values: None },
            StoredFieldChange::Change { field, values } => Self { field, values },
        }
    }
}

/// Filter of products: those that match every given field.
#[derive(Clone, Debug, Default)]
pub struct ProductFilter {
    /// Activated products, or those that are not.
    pub active: Option<bool>,
    /// Published products, or those that are not.
    pub published: Option<bool>,
    /// Discontinued products, or those that are not.
    pub discontinued: Option<bool>,
}

impl ProductFilter {
    /// Products that can be ordered: see [`Product::is_on_sale`].
    pub fn on_sale() -> Self {
        Self {
            active: Some(true),
            discontinued: Some(false),
            ..Self::default()
        }
    }
}

/// A decision about products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The product can be sold.
    Activate,
    /// The product can't be sold for now.
    Deactivate,
    /// The product is shown in the storefront.
    Publish,
    /// The product is not shown in the storefront.
    Unpublish,
}

impl Decision {
    /// Whether the decision is possible for a product that the vendor has stopped selling.
    pub fn takes_discontinued(self) -> bool {
        matches!(self, Self::Deactivate | Self::Unpublish)
    }

    /// Whether the decision makes a product active, or published.
    pub fn value(self) -> bool {
        matches!(self, Self::Activate | Self::Publish)
    }

    /// Whether the decision would change nothing about a product.
    pub fn is_so(self, product: &Product) -> bool {
        let now = match self {
            Self::Activate | Self::Deactivate => product.active,
            Self::Publish | Self::Unpublish => product.published,
        };
        now == self.value()
    }
}

// Shown in the past tense, as in `12 products activated`.
stored_enum!(Decision {
    Activate = "activate", "activated";
    Deactivate = "deactivate", "deactivated";
    Publish = "publish", "published";
    Unpublish = "unpublish", "unpublished";
});

/// The choice of products to decide about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Products by code. Each must exist, and the decision must be possible for it.
    Codes(Vec<String>),
    /// All products of the instance for which the decision is possible; the others are left out.
    All,
    /// Products that were new in a run of the instance; those for which the decision is impossible are left out.
    NewIn(Uuid),
    /// Products whose name contains this text, ignoring case; those for which the decision is impossible are left
    /// out.
    NameContains(String),
}

/// The effect of a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// Products that the decision changed.
    pub changed: usize,
    /// Products that had been decided so before.
    pub already: usize,
    /// Products that were left out because the vendor has stopped selling them.
    pub discontinued: usize,
}
