//! Checks that what a plugin has read of a catalog keeps the rules of the contract (`wit/services-definition.wit`).
//!
//! A reading that breaks one rule is refused as a whole: it would be sold from, and a plugin that gives a product no name
//! may have mixed up the others. That each code is one product's and each type is there is checked where the reading
//! is applied, in the record; that as many products arrived as the plugin says, by [`crate::services_definition`].
//!
//! | part | rule | code |
//! |---|---|---|
//! | product type | it has an id and a name | `product-type-unnamed` |
//! | product type | its id is unique | `product-type-twice` |
//! | product type | it leads to licenses: the host can't sell subscriptions | `subscriptions-not-sold` |
//! | attribute | it has an id and a name | `attribute-unnamed` |
//! | attribute | its id is unique in the product type | `attribute-twice` |
//! | product | it has a code | `product-code-missing` |
//! | product | it has a name | `product-name-missing` |
//! | product | `min-quantity` is at least 1 | `min-quantity-zero` |
//! | product | `max-quantity` is not below `min-quantity` | `quantities-crossed` |
//! | attribute value | it is of an attribute of the product's type | `attribute-unknown` |
//! | attribute value | it has a key and a label | `attribute-value-empty` |
//! | attribute value | it is the product's only one of the attribute | `attribute-given-twice` |
//! | product | it has a value of each attribute of its type | `attribute-missing` |
//! | attribute | a key has one label, whichever product has it | `attribute-labels-differ` |
//! | `unchanged` | only the catalog of an entity tag is unchanged | `unchanged-without-tag` |
//! | `unchanged` | no product comes with it | `unchanged-with-products` |

use std::collections::{BTreeMap, BTreeSet};

use bss_model::{Advice, Diagnose, Diagnosis, ErrorKind};
use bss_sandbox::bindings::services_definition::{AttributeValue, Derivative, Product, ProductType};

use crate::plugin_words::{is_blank, shortened};

/// A rule of the contract that a reading breaks, and where. Texts of the plugin are shortened.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// A product type has no id or no name.
    #[error("the product type in place {position} has no id or no name")]
    TypeUnnamed {
        /// The type's place, from 1.
        position: usize,
    },
    /// Two product types have one id.
    #[error("two product types are `{product_type}`")]
    TypeTwice {
        /// The type.
        product_type: String,
    },
    /// A product type leads to subscriptions.
    #[error("product type `{product_type}` leads to subscriptions, and this host sells only licenses")]
    Subscriptions {
        /// The type.
        product_type: String,
    },
    /// An attribute has no id or no name.
    #[error("product type `{product_type}` has no id or no name for its attribute in place {position}")]
    AttributeUnnamed {
        /// The type.
        product_type: String,
        /// The attribute's place, from 1.
        position: usize,
    },
    /// Two attributes of a type have one id.
    #[error("product type `{product_type}` has two attributes `{attribute}`")]
    AttributeTwice {
        /// The type.
        product_type: String,
        /// The attribute.
        attribute: String,
    },
    /// A product has no code.
    #[error("the product in place {position}, `{name}`, has no code")]
    CodeMissing {
        /// The product's place, from 1.
        position: usize,
        /// The product's name.
        name: String,
    },
    /// A product has no name.
    #[error("product `{code}` has no name")]
    NameMissing {
        /// The product.
        code: String,
    },
    /// An order of no product would be one.
    #[error("product `{code}` has 0 for its smallest quantity")]
    MinQuantityZero {
        /// The product.
        code: String,
    },
    /// No order of the product would be one.
    #[error("product `{code}` has {min} for its smallest quantity and {max} for its largest")]
    QuantitiesCrossed {
        /// The product.
        code: String,
        /// The smallest quantity.
        min: u32,
        /// The largest quantity.
        max: u32,
    },
    /// A product has a value of an attribute that its type lacks.
    #[error("product `{code}` has a value of attribute `{attribute}`, which its type lacks")]
    AttributeUnknown {
        /// The product.
        code: String,
        /// The attribute.
        attribute: String,
    },
    /// A value can't be saved or shown.
    #[error("product `{code}` has a value of attribute `{attribute}` without a key or a label")]
    ValueEmpty {
        /// The product.
        code: String,
        /// The attribute.
        attribute: String,
    },
    /// A product has two values of one attribute.
    #[error("product `{code}` has two values of attribute `{attribute}`")]
    AttributeGivenTwice {
        /// The product.
        code: String,
        /// The attribute.
        attribute: String,
    },
    /// A product lacks the value of an attribute of its type.
    #[error("product `{code}` has no value of attribute `{attribute}`, which its type has")]
    AttributeMissing {
        /// The product.
        code: String,
        /// The attribute.
        attribute: String,
    },
    /// An attribute's key is shown in two ways.
    #[error(
        "attribute `{attribute}` of product type `{product_type}` has two labels for the key `{key}`: `{one}` and `{other}`"
    )]
    LabelsDiffer {
        /// The type.
        product_type: String,
        /// The attribute.
        attribute: String,
        /// The key.
        key: String,
        /// A label of it.
        one: String,
        /// Another one.
        other: String,
    },
    /// The plugin says that nothing changed, and was not told since when.
    #[error("the plugin says that the catalog is unchanged, and was given no entity tag")]
    UnchangedWithoutTag,
    /// The plugin says that nothing changed, and hands products over.
    #[error("the plugin says that the catalog is unchanged, and {arrived} products arrived")]
    UnchangedWithProducts {
        /// The number of products.
        arrived: usize,
    },
}

impl Diagnose for CatalogError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::TypeUnnamed { .. } => Diagnosis::new(ErrorKind::Unavailable, "product-type-unnamed"),
            Self::TypeTwice { .. } => Diagnosis::new(ErrorKind::Unavailable, "product-type-twice"),
            Self::Subscriptions { .. } => {
                return Diagnosis::new(ErrorKind::Unavailable, "subscriptions-not-sold")
                    .say("ask for a plugin that leaves subscriptions out, or for a host that can sell them");
            }
            Self::AttributeUnnamed { .. } => Diagnosis::new(ErrorKind::Unavailable, "attribute-unnamed"),
            Self::AttributeTwice { .. } => Diagnosis::new(ErrorKind::Unavailable, "attribute-twice"),
            Self::CodeMissing { .. } => Diagnosis::new(ErrorKind::Unavailable, "product-code-missing"),
            Self::NameMissing { .. } => Diagnosis::new(ErrorKind::Unavailable, "product-name-missing"),
            Self::MinQuantityZero { .. } => Diagnosis::new(ErrorKind::Unavailable, "min-quantity-zero"),
            Self::QuantitiesCrossed { .. } => Diagnosis::new(ErrorKind::Unavailable, "quantities-crossed"),
            Self::AttributeUnknown { .. } => Diagnosis::new(ErrorKind::Unavailable, "attribute-unknown"),
            Self::ValueEmpty { .. } => Diagnosis::new(ErrorKind::Unavailable, "attribute-value-empty"),
            Self::AttributeGivenTwice { .. } => {
                Diagnosis::new(ErrorKind::Unavailable, "attribute-given-twice")
            }
            Self::AttributeMissing { .. } => Diagnosis::new(ErrorKind::Unavailable, "attribute-missing"),
            Self::LabelsDiffer { .. } => Diagnosis::new(ErrorKind::Unavailable, "attribute-labels-differ"),
            Self::UnchangedWithoutTag => Diagnosis::new(ErrorKind::Unavailable, "unchanged-without-tag"),
            Self::UnchangedWithProducts { .. } => {
                Diagnosis::new(ErrorKind::Unavailable, "unchanged-with-products")
            }
        }
        .advise(Advice::ReportPlugin)
    }
}

/// The attributes of each product type, by their ids.
type Attributes<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Checks a complete reading.
///
/// # Errors
/// When the reading breaks a rule: with the first one.
pub(crate) fn check_reading(types: &[ProductType], products: &[Product]) -> Result<(), CatalogError> {
    let attributes = check_types(types)?;
    for (index, product) in products.iter().enumerate() {
        check_product(product, index + 1)?;
        // The record refuses a type that is not there, when the reading is applied.
        if let Some(attributes) = attributes.get(product.product_type.as_str()) {
            check_values(product, attributes)?;
        }
    }
    check_labels(products)
}

/// Checks an answer that nothing has changed since the entity tag.
///
/// # Errors
/// When the plugin was given none, or products arrived all the same.
pub(crate) fn check_unchanged(entity_tag: &str, arrived: usize) -> Result<(), CatalogError> {
    match (entity_tag, arrived) {
        ("", _) => Err(CatalogError::UnchangedWithoutTag),
        (_, 0) => Ok(()),
        (_, arrived) => Err(CatalogError::UnchangedWithProducts { arrived }),
    }
}

fn check_types(types: &[ProductType]) -> Result<Attributes<'_>, CatalogError> {
    let mut known = Attributes::new();
    for (index, product_type) in types.iter().enumerate() {
        if is_blank(&product_type.id) || is_blank(&product_type.name) {
            return Err(CatalogError::TypeUnnamed { position: index + 1 });
        }
        let id = || shortened(&product_type.id);
        if product_type.derivative == Derivative::Subscription {
            return Err(CatalogError::Subscriptions { product_type: id() });
        }
        let mut attributes = BTreeSet::new();
        for (index, attribute) in product_type.attributes.iter().enumerate() {
            if is_blank(&attribute.id) || is_blank(&attribute.name) {
                return Err(CatalogError::AttributeUnnamed {
                    product_type: id(),
                    position: index + 1,
                });
            }
            if !attributes.insert(attribute.id.as_str()) {
                return Err(CatalogError::AttributeTwice {
                    product_type: id(),
                    attribute: shortened(&attribute.id),
                });
            }
        }
        if known.insert(product_type.id.as_str(), attributes).is_some() {
            return Err(CatalogError::TypeTwice { product_type: id() });
        }
    }
    Ok(known)
}

fn check_product(product: &Product, position: usize) -> Result<(), CatalogError> {
    let code = || shortened(&product.code);
    if is_blank(&product.code) {
        return Err(CatalogError::CodeMissing {
            position,
            name: shortened(&product.name),
        });
    }
    if is_blank(&product.name) {
        return Err(CatalogError::NameMissing { code: code() });
    }
    match (product.min_quantity, product.max_quantity) {
        (0, _) => Err(CatalogError::MinQuantityZero { code: code() }),
        (min, Some(max)) if max < min => Err(CatalogError::QuantitiesCrossed {
            code: code(),
            min,
            max,
        }),
        _ => Ok(()),
    }
}

fn check_values(product: &Product, attributes: &BTreeSet<&str>) -> Result<(), CatalogError> {
    let code = || shortened(&product.code);
    let mut given = BTreeSet::new();
    for value in &product.attribute_values {
        let attribute = || shortened(&value.attribute);
        if !attributes.contains(value.attribute.as_str()) {
            return Err(CatalogError::AttributeUnknown {
                code: code(),
                attribute: attribute(),
            });
        }
        if is_blank(&value.key) || is_blank(&value.label) {
            return Err(CatalogError::ValueEmpty {
                code: code(),
                attribute: attribute(),
            });
        }
        if !given.insert(value.attribute.as_str()) {
            return Err(CatalogError::AttributeGivenTwice {
                code: code(),
                attribute: attribute(),
            });
        }
    }
    match attributes.difference(&given).next() {
        None => Ok(()),
        Some(missing) => Err(CatalogError::AttributeMissing {
            code: code(),
            attribute: shortened(missing),
        }),
    }
}

/// Checks that each key of an attribute's list has one label.
fn check_labels(products: &[Product]) -> Result<(), CatalogError> {
    // Sorted and not in a map: a reading may have millions of values, and only its text is within a limit.
    let mut values: Vec<(&str, &AttributeValue)> = products
        .iter()
        .flat_map(|product| {
            let values = product.attribute_values.iter();
            values.map(|value| (product.product_type.as_str(), value))
        })
        .collect();
    values.sort_unstable_by(|one, other| listed_at(*one).cmp(&listed_at(*other)));
    let same_key = values.windows(2).filter_map(|pair| match pair {
        [one, other] if listed_at(*one) == listed_at(*other) => Some((one, other)),
        _ => None,
    });
    for ((product_type, one), (_, other)) in same_key {
        if one.label != other.label {
            return Err(CatalogError::LabelsDiffer {
                product_type: shortened(product_type),
                attribute: shortened(&one.attribute),
                key: shortened(&one.key),
                one: shortened(&one.label),
                other: shortened(&other.label),
            });
        }
    }
    Ok(())
}

/// The place of a product type's value: type, attribute and key.
fn listed_at<'a>((product_type, value): (&'a str, &'a AttributeValue)) -> (&'a str, &'a str, &'a str) {
    (product_type, &value.attribute, &value.key)
}

#[cfg(test)]
mod tests {
    use bss_sandbox::bindings::services_definition::Attribute;

    use super::*;

    fn attribute(id: &str) -> Attribute {
        Attribute {
            id: id.to_owned(),
            name: format!("Name of {id}"),
        }
    }

    fn value(attribute: &str, key: &str, label: &str) -> AttributeValue {
        AttributeValue {
            attribute: attribute.to_owned(),
            key: key.to_owned(),
            label: label.to_owned(),
        }
    }

    fn product_type(id: &str, attributes: &[&str]) -> ProductType {
        ProductType {
            id: id.to_owned(),
            name: format!("Name of {id}"),
            derivative: Derivative::License,
            split_quantity: true,
            manual_cancellation: false,
            attributes: attributes.iter().map(|id| attribute(id)).collect(),
        }
    }

    fn product(code: &str, product_type: &str, attribute_values: Vec<AttributeValue>) -> Product {
        Product {
            code: code.to_owned(),
            product_type: product_type.to_owned(),
            name: format!("Name of {code}"),
            description: String::new(),
            attribute_values,
            min_quantity: 1,
            max_quantity: None,
            returnable: true,
        }
    }

    /// A reading with two types that have an attribute of the same id, and a type without attributes.
    fn lawful() -> (Vec<ProductType>, Vec<Product>) {
        let types = vec![
            product_type("office", &["term", "edition"]),
            product_type("windows", &["edition"]),
            product_type("support", &[]),
        ];
        let office = |code, edition| {
            let values = vec![
                value("edition", edition, "An edition"),
                value("term", "1", "A year"),
            ];
            product(code, "office", values)
        };
        let products = vec![
            office("o-home", "home"),
            office("o-home-2", "home"),
            office("o-pro", "pro"),
            product(
                "w-home",
                "windows",
                vec![value("edition", "home", "Windows Home")],
            ),
            product("s", "support", Vec::new()),
        ];
        (types, products)
    }

    /// The code with which a reading is refused to which this was done. `None`: it is taken.
    fn refused(change: impl FnOnce(&mut Vec<ProductType>, &mut Vec<Product>)) -> Option<String> {
        let (mut types, mut products) = lawful();
        change(&mut types, &mut products);
        let checked = check_reading(&types, &products);
        checked.err().map(|error| error.diagnosis().code.into_owned())
    }

    fn code(code: &str) -> Option<String> {
        Some(code.to_owned())
    }

    #[test]
    fn a_reading_that_keeps_all_rules_is_taken_and_so_is_an_empty_one() {
        assert_eq!(refused(|_, _| ()), None);
        assert_eq!(refused(|_, products| products.clear()), None);
        let empty = |types: &mut Vec<_>, products: &mut Vec<_>| {
            types.clear();
            products.clear();
        };
        assert_eq!(refused(empty), None);
    }

    #[test]
    fn a_product_type_has_an_id_of_its_own_and_a_name() {
        let added = |id: &str| refused(|types, _| types.push(product_type(id, &[])));
        assert_eq!(added("games"), None);
        assert_eq!(added(""), code("product-type-unnamed"));
        assert_eq!(added("support"), code("product-type-twice"));
        assert_eq!(
            refused(|types, _| types[0].name = " ".to_owned()),
            code("product-type-unnamed")
        );
    }

    #[test]
    fn what_is_no_license_is_not_sold() {
        let leading_to = |derivative| refused(|types, _| types[2].derivative = derivative);
        assert_eq!(leading_to(Derivative::License), None);
        assert_eq!(
            leading_to(Derivative::Subscription),
            code("subscriptions-not-sold")
        );
    }

    #[test]
    fn an_attribute_has_an_id_of_its_own_and_a_name() {
        let added = |added: Attribute| {
            refused(|types, products| {
                types[2].attributes = vec![attribute("hours"), added];
                products.truncate(4);
            })
        };
        assert_eq!(added(attribute("edition")), None);
        assert_eq!(added(attribute("hours")), code("attribute-twice"));
        assert_eq!(added(attribute("")), code("attribute-unnamed"));
        let nameless = Attribute {
            name: String::new(),
            ..attribute("edition")
        };
        assert_eq!(added(nameless), code("attribute-unnamed"));
    }

    #[test]
    fn a_product_has_a_code_and_a_name() {
        let coded = |code: &str| refused(|_, products| products[0].code = code.to_owned());
        assert_eq!(coded("o"), None);
        for blank in ["", " "] {
            assert_eq!(coded(blank), code("product-code-missing"));
        }
        let named = |name: &str| refused(|_, products| products[0].name = name.to_owned());
        assert_eq!(named("O"), None);
        for blank in ["", " "] {
            assert_eq!(named(blank), code("product-name-missing"));
        }
    }

    #[test]
    fn some_quantity_of_a_product_can_be_ordered() {
        let sold = |min, max| {
            refused(|_, products| {
                products[0].min_quantity = min;
                products[0].max_quantity = max;
            })
        };
        for (min, max) in [(1, None), (1, Some(1)), (5, Some(5)), (u32::MAX, None)] {
            assert_eq!(sold(min, max), None);
        }
        for max in [None, Some(0), Some(5)] {
            assert_eq!(sold(0, max), code("min-quantity-zero"));
        }
        for (min, max) in [(1, Some(0)), (5, Some(4))] {
            assert_eq!(sold(min, max), code("quantities-crossed"));
        }
    }

    #[test]
    fn a_product_has_one_value_of_each_attribute_of_its_type_and_no_other() {
        let valued = |values: Vec<AttributeValue>| {
            refused(|_, products| {
                products[0].attribute_values = values;
            })
        };
        let (edition, term) = (
            value("edition", "home", "An edition"),
            value("term", "1", "A year"),
        );
        assert_eq!(valued(vec![term.clone(), edition.clone()]), None);
        assert_eq!(valued(vec![edition.clone()]), code("attribute-missing"));
        let unknown = value("color", "red", "Red");
        let values = vec![edition.clone(), term.clone(), unknown];
        assert_eq!(valued(values), code("attribute-unknown"));
        let second = value("term", "2", "Two years");
        let values = vec![edition.clone(), term, second];
        assert_eq!(valued(values), code("attribute-given-twice"));
        for empty in [value("term", "", "A year"), value("term", "1", " ")] {
            assert_eq!(
                valued(vec![edition.clone(), empty]),
                code("attribute-value-empty")
            );
        }
    }

    #[test]
    fn a_key_has_one_label_within_an_attribute_of_a_type() {
        let labeled = |product: usize, label: &str| {
            refused(|_, products| {
                products[product].attribute_values[0].label = label.to_owned();
            })
        };
        assert_eq!(labeled(2, "Another edition"), None, "it is another key");
        assert_eq!(labeled(3, "Another edition"), None, "it is another type");
        assert_eq!(labeled(1, "Another edition"), code("attribute-labels-differ"));
    }

    #[test]
    fn a_catalog_is_unchanged_since_a_tag_and_without_products() {
        let unchanged = |tag, arrived| {
            let error = check_unchanged(tag, arrived).err()?;
            Some(error.diagnosis().code.into_owned())
        };
        assert_eq!(unchanged("tag", 0), None);
        assert_eq!(unchanged("", 0), code("unchanged-without-tag"));
        assert_eq!(unchanged("tag", 1), code("unchanged-with-products"));
    }

    #[test]
    fn a_refusal_quotes_no_text_of_the_plugin_as_it_is() {
        let (types, mut products) = lawful();
        products[0].attribute_values[0].attribute = "\u{1b}[2J".repeat(100);
        let error = check_reading(&types, &products).unwrap_err().to_string();
        assert!(!error.contains('\u{1b}') && error.len() < 1_000, "{error}");
    }
}
