//! Products and their types, as a plugin defines them and as the operator decides about them.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::Serialize;
use uuid::Uuid;

use crate::words::stored_enum;

/// What a sale of a product leads to.
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
    /// Stable name.
    pub id: String,
    /// What an operator reads.
    pub name: String,
}

/// A kind of product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductType {
    /// Stable name, unique within the instance.
    pub id: String,
    /// What an operator reads.
    pub name: String,
    /// What a sale leads to.
    pub derivative: Derivative,
    /// Whether an order of n becomes n items of quantity 1.
    pub split_quantity: bool,
    /// Whether a cancellation waits for an operator.
    pub manual_cancellation: bool,
    /// Its attributes.
    pub attributes: Vec<ProductAttribute>,
}

/// One value of an attribute's list, which a product has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeValue {
    /// The `ProductAttribute.id`.
    pub attribute: String,
    /// What is saved.
    pub key: String,
    /// What is shown.
    pub label: String,
}

/// A product as the vendor has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewProduct {
    /// The vendor's code: unique within the instance.
    pub code: String,
    /// The `ProductType.id`.
    pub product_type: String,
    /// In the instance's language.
    pub name: String,
    /// In the instance's language. Empty: the vendor gives none.
    pub description: String,
    /// Its attributes' values.
    pub attribute_values: Vec<AttributeValue>,
    /// The smallest quantity of one order, at least 1.
    pub min_quantity: u32,
    /// The largest quantity of one order. None: no limit.
    pub max_quantity: Option<u32>,
    /// Whether the vendor takes it back.
    pub returnable: bool,
}

/// A product as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// What the vendor says of it, or last said before it was discontinued.
    pub offered: NewProduct,
    /// Whether the operator has activated it.
    pub active: bool,
    /// Whether the operator has published it.
    pub published: bool,
    /// Whether the vendor has stopped selling it.
    pub discontinued: bool,
}

/// A complete reading of the vendor's catalog.
#[derive(Clone, Debug, Default)]
pub struct ServicesDefinition {
    /// The product types that the products name.
    pub product_types: Vec<ProductType>,
    /// All products that are sold now.
    pub products: Vec<NewProduct>,
    /// To be given to the next reading. Empty: none.
    pub entity_tag: String,
    /// The items of the catalog that are not in it.
    pub skipped: SkippedItems,
}

/// Items of a catalog that a reading has skipped. What they say of a product is not known: it may be sold still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SkippedItems {
    /// The codes of all of them. No code: nothing was skipped.
    Codes(BTreeSet<String>),
    /// Some, of which nobody knows what they are.
    Unnamed,
}

/// Nothing.
impl Default for SkippedItems {
    fn default() -> Self {
        Self::Codes(BTreeSet::new())
    }
}

impl SkippedItems {
    /// Whether a product with that code may be among them.
    pub fn may_be(&self, code: &str) -> bool {
        match self {
            Self::Codes(codes) => codes.contains(code),
            Self::Unnamed => true,
        }
    }
}

/// What a reading changed, each list by code. A revived product is also in `changed` if anything but that changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Products that were not stored before.
    pub new: Vec<String>,
    /// Products that were, with the names of the fields that changed.
    pub changed: Vec<(String, Vec<String>)>,
    /// Products that the vendor has stopped selling.
    pub discontinued: Vec<String>,
    /// Products that the vendor sells again.
    pub revived: Vec<String>,
}

/// Which products to show; all that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct ProductFilter {
    /// Activated or not.
    pub active: Option<bool>,
    /// Published or not.
    pub published: Option<bool>,
    /// Discontinued or not.
    pub discontinued: Option<bool>,
}

/// What is decided about products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It can be sold.
    Activate,
    /// It can't be sold for now.
    Deactivate,
    /// It is shown in the storefront.
    Publish,
    /// It is not shown in the storefront.
    Unpublish,
}

impl Decision {
    /// Whether a product that the vendor does not sell any more can be decided so.
    pub fn takes_discontinued(self) -> bool {
        matches!(self, Self::Deactivate | Self::Unpublish)
    }

    /// Whether the product is active, or published, once it is decided so.
    pub fn value(self) -> bool {
        matches!(self, Self::Activate | Self::Publish)
    }

    /// Whether nothing would change for a product.
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

/// Which products are decided about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// These, each of which must be there and fit.
    Codes(Vec<String>),
    /// All of the instance; those that don't fit are left out.
    All,
    /// Those that were new in a run of the instance; those that don't fit are left out.
    NewIn(Uuid),
    /// Those whose name holds this text, in whatever case; those that don't fit are left out.
    NameContains(String),
}

/// What a decision did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// Products that are otherwise now than before.
    pub changed: usize,
    /// Products that were so before.
    pub already: usize,
    /// Products that were left out because the vendor does not sell them any more.
    pub discontinued: usize,
}
