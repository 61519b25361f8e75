//! The services definition of an instance: the vendor's products, kept up to date and never deleted.

use std::collections::{BTreeMap, BTreeSet};

use bss_model::{
    Advice, AttributeValue, Derivative, Diagnose, Diagnosis, Difference, ErrorKind, FieldChange, NewProduct,
    Page, Product, ProductFilter, ProductType, Rows, ServicesDefinition, Shrinkage, SkippedItems,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::paging::KeyColumn::Text;
use super::paging::List;
use super::stored::{ROWS_PER_STATEMENT, count, from_json, optional, to_json};
use super::{Record, RecordError};
use crate::database::{Builder, Connection, Row};

/// Why a services definition was not applied. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The instance does not exist.
    #[error("instance `{id}` does not exist")]
    NoInstance {
        /// The id that was asked for.
        id: Uuid,
    },
    /// A code is that of two products.
    #[error(
        "the plugin's catalog has two products `{code}`, and the contract has each code once, so nothing was applied"
    )]
    DuplicateProduct {
        /// The code.
        code: String,
    },
    /// A product is of a type that the definition does not contain.
    #[error(
        "the plugin's catalog has product `{code}` of the type `{product_type}`, and no such type, so nothing was applied"
    )]
    NoProductType {
        /// The product.
        code: String,
        /// The type that it names.
        product_type: String,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for ApplyError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NoInstance { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "no-instance").advise(Advice::ListInstances)
            }
            Self::DuplicateProduct { .. } => {
                Diagnosis::new(ErrorKind::Unavailable, "duplicate-product").advise(Advice::ReportPlugin)
            }
            Self::NoProductType { .. } => {
                Diagnosis::new(ErrorKind::Unavailable, "no-product-type").advise(Advice::ReportPlugin)
            }
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// Products of an instance by code.
pub(super) const PRODUCTS: List = List {
    name: "products",
    key: &[Text("code")],
};

pub(super) fn products_query(instance_id: Uuid, filter: &ProductFilter) -> Builder {
    let mut query = Builder::new("SELECT * FROM products WHERE instance_id = ");
    query.push_bind(instance_id.to_string());
    let conditions = [
        (" AND active = ", filter.active),
        (" AND published = ", filter.published),
        (" AND discontinued = ", filter.discontinued),
    ];
    for (condition, wanted) in conditions {
        if let Some(wanted) = wanted {
            query.push(condition).push_bind(wanted);
        }
    }
    query
}

impl Record {
    /// The entity tag of the last complete reading. Empty: there is none, so read everything.
    ///
    /// # Errors
    /// When the instance does not exist, or the record can't be read.
    pub async fn services_state(&self, instance_id: Uuid) -> Result<String, ApplyError> {
        self.readers
            .sql("SELECT services_entity_tag FROM instances WHERE id = $1")
            .bind(instance_id.to_string())
            .scalar_optional()
            .await?
            .ok_or(ApplyError::NoInstance { id: instance_id })
    }

    /// Updates the stored products to a complete reading, in one transaction. New products are added, inactive and
    /// unpublished; changed ones are refreshed; vanished ones are marked as discontinued, unless they may be among
    /// the skipped items, and revived when they come back. The operator's decisions (active, published) stay.
    ///
    /// # Errors
    /// When the instance does not exist, or the definition contradicts itself.
    pub async fn apply_services_definition(
        &self,
        instance_id: Uuid,
        definition: ServicesDefinition,
    ) -> Result<Difference, ApplyError> {
        let mut transaction = self.begin_write().await?;
        let difference = apply(&mut transaction, instance_id, &definition).await?;
        transaction.commit().await?;
        Ok(difference)
    }

    /// The difference that a complete reading would make, and the part of what is on sale that it would discontinue. Nothing is
    /// written.
    ///
    /// # Errors
    /// When the definition contradicts itself.
    pub async fn compare_services_definition(
        &self,
        instance_id: Uuid,
        definition: &ServicesDefinition,
    ) -> Result<(Difference, Shrinkage), ApplyError> {
        let mut connection = self.readers.acquire().await?;
        let update = prepare(&mut connection, instance_id, definition).await?;
        let shrinkage = update.shrinkage();
        Ok((update.difference, shrinkage))
    }

    /// Values of an attribute that products once had and no longer have, by key. They stay in the attribute's list,
    /// because an asset may have been sold with one.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn former_attribute_values(
        &self,
        instance_id: Uuid,
        product_type: &str,
    ) -> Result<Vec<AttributeValue>, RecordError> {
        let rows = self
            .readers
            .sql(
                "SELECT * FROM former_attribute_values
             WHERE instance_id = $1 AND product_type = $2 ORDER BY attribute, value_key",
            )
            .bind(instance_id.to_string())
            .bind(product_type)
            .fetch_all()
            .await?;
        let read = |row: &Row| {
            Ok(AttributeValue {
                attribute: row.try_get("attribute")?,
                key: row.try_get("value_key")?,
                label: row.try_get("label")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// The product types of an instance, by id. A plugin defines a handful.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn product_types(&self, instance_id: Uuid) -> Result<Vec<ProductType>, RecordError> {
        let rows = self
            .readers
            .sql("SELECT * FROM product_types WHERE instance_id = $1 ORDER BY id")
            .bind(instance_id.to_string())
            .fetch_all()
            .await?;
        let read = |row: &Row| {
            Ok(ProductType {
                id: row.try_get("id")?,
                name: row.try_get("name")?,
                derivative: Derivative::from_word(row.try_get("derivative")?)?,
                split_quantity: row.try_get("split_quantity")?,
                manual_cancellation: row.try_get("manual_cancellation")?,
                attributes: from_json(row, "attributes")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Products of an instance that match a filter, by code.
    ///
    /// # Errors
    /// When the record can't be read, or the page is not of this list.
    pub async fn products(
        &self,
        instance_id: Uuid,
        filter: &ProductFilter,
        page: &Page,
    ) -> Result<Rows<Product>, RecordError> {
        let query = products_query(instance_id, filter);
        self.page(&PRODUCTS, query, page, read_product).await
    }

    /// A product of an instance. `None`: it does not exist.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn product(&self, instance_id: Uuid, code: &str) -> Result<Option<Product>, RecordError> {
        let row = self
            .readers
            .sql("SELECT * FROM products WHERE instance_id = $1 AND code = $2")
            .bind(instance_id.to_string())
            .bind(code)
            .fetch_optional()
            .await?;
        row.as_ref().map(read_product).transpose()
    }

    /// The names of products of an instance, by code. Codes that no product has are left out.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn product_names(
        &self,
        instance_id: Uuid,
        codes: &[String],
    ) -> Result<BTreeMap<String, String>, RecordError> {
        let mut names = BTreeMap::new();
        for codes in codes.chunks(ROWS_PER_STATEMENT) {
            let mut query = Builder::new("SELECT code, name FROM products WHERE instance_id = ");
            query.push_bind(instance_id.to_string()).push(" AND code IN (");
            let mut listed = query.separated(", ");
            for code in codes {
                listed.push_bind(code.clone());
            }
            query.push(")");
            for row in self.readers.build(&mut query).fetch_all().await? {
                names.insert(row.try_get("code")?, row.try_get("name")?);
            }
        }
        Ok(names)
    }
}

/// The update of the stored products to a complete reading.
pub(super) struct Update<'a> {
    definition: &'a ServicesDefinition,
    stored: BTreeMap<String, Product>,
    to_write: Vec<&'a NewProduct>,
    /// The difference that it makes.
    pub(super) difference: Difference,
}

impl Update<'_> {
    /// The part of what is on sale that it discontinues.
    pub(super) fn shrinkage(&self) -> Shrinkage {
        let lost = self.difference.discontinued.iter();
        let lost = lost.filter_map(|code| self.stored.get(code));
        Shrinkage {
            lost: lost.filter(|product| product.is_on_sale()).count(),
            on_sale: self
                .stored
                .values()
                .filter(|product| product.is_on_sale())
                .count(),
        }
    }
}

/// Updates the stored products to a complete reading, within the caller's transaction.
async fn apply(
    transaction: &mut Connection,
    instance_id: Uuid,
    definition: &ServicesDefinition,
) -> Result<Difference, ApplyError> {
    let update = prepare(transaction, instance_id, definition).await?;
    write(transaction, instance_id, update).await
}

/// Compares the stored products with a complete reading. Nothing is written.
pub(super) async fn prepare<'a>(
    connection: &mut Connection,
    instance_id: Uuid,
    definition: &'a ServicesDefinition,
) -> Result<Update<'a>, ApplyError> {
    let offered = check(definition)?;
    let rows = connection
        .sql("SELECT * FROM products WHERE instance_id = $1")
        .bind(instance_id.to_string())
        .fetch_all()
        .await?;
    let mut stored = BTreeMap::new();
    for row in &rows {
        let product = read_product(row)?;
        stored.insert(product.offered.code.clone(), product);
    }
    drop(rows);

    let (difference, to_write) = compare(&stored, &offered, &definition.skipped);
    Ok(Update {
        definition,
        stored,
        to_write,
        difference,
    })
}

/// Writes an update, within the transaction that prepared it.
pub(super) async fn write(
    transaction: &mut Connection,
    instance_id: Uuid,
    update: Update<'_>,
) -> Result<Difference, ApplyError> {
    let Update {
        definition,
        stored,
        to_write,
        difference,
    } = update;
    let id = instance_id.to_string();
    let updated = transaction
        .sql("UPDATE instances SET services_entity_tag = $2 WHERE id = $1")
        .bind(&id)
        .bind(&definition.entity_tag)
        .execute()
        .await?;
    if updated == 0 {
        return Err(ApplyError::NoInstance { id: instance_id });
    }
    upsert_product_types(transaction, &id, &definition.product_types).await?;
    keep_former_values(transaction, &id, &stored, &to_write).await?;
    upsert_products(transaction, &id, &to_write).await?;
    discontinue(transaction, &id, &difference.discontinued).await?;
    Ok(difference)
}

/// Keeps the values that products are about to lose.
async fn keep_former_values(
    transaction: &mut Connection,
    instance_id: &str,
    stored: &BTreeMap<String, Product>,
    to_write: &[&NewProduct],
) -> Result<(), RecordError> {
    let lost = to_write.iter().flat_map(|new| {
        let old = stored.get(&new.code).map(|product| &product.offered);
        old.into_iter().flat_map(move |old| {
            let is_kept = |value: &AttributeValue| {
                old.product_type == new.product_type
                    && new
                        .attribute_values
                        .iter()
                        .any(|kept| kept.attribute == value.attribute && kept.key == value.key)
            };
            let lost = old.attribute_values.iter().filter(move |value| !is_kept(value));
            lost.map(|value| (&old.product_type, value))
        })
    });
    let lost: Vec<_> = lost.collect();
    for (product_type, value) in lost {
        transaction
            .sql(
                "INSERT INTO former_attribute_values (instance_id, product_type, attribute, value_key, label)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (instance_id, product_type, attribute, value_key)
             DO UPDATE SET label = excluded.label",
            )
            .bind(instance_id)
            .bind(product_type)
            .bind(&value.attribute)
            .bind(&value.key)
            .bind(&value.label)
            .execute()
            .await?;
    }
    Ok(())
}

fn check(definition: &ServicesDefinition) -> Result<BTreeMap<&str, &NewProduct>, ApplyError> {
    let types: BTreeSet<&str> = definition.product_types.iter().map(|t| t.id.as_str()).collect();
    let mut offered = BTreeMap::new();
    for product in &definition.products {
        if !types.contains(product.product_type.as_str()) {
            return Err(ApplyError::NoProductType {
                code: product.code.clone(),
                product_type: product.product_type.clone(),
            });
        }
        if offered.insert(product.code.as_str(), product).is_some() {
            return Err(ApplyError::DuplicateProduct {
                code: product.code.clone(),
            });
        }
    }
    Ok(offered)
}

/// Compares the stored products with those offered. Returns the difference, and the products to write.
fn compare<'a>(
    stored: &BTreeMap<String, Product>,
    offered: &BTreeMap<&str, &'a NewProduct>,
    skipped: &SkippedItems,
) -> (Difference, Vec<&'a NewProduct>) {
    let mut difference = Difference::default();
    let mut to_write = Vec::new();
    for (code, product) in offered {
        let code = (*code).to_owned();
        match stored.get(&code) {
            None => difference.new.push(code),
            Some(old) => {
                let fields = changed_fields(&old.offered, product);
                if fields.is_empty() && !old.discontinued {
                    continue;
                }
                if old.discontinued {
                    difference.revived.push(code.clone());
                }
                if !fields.is_empty() {
                    difference.changed.push((code, fields));
                }
            }
        }
        to_write.push(*product);
    }
    let vanished = stored
        .iter()
        .filter(|(code, old)| !old.discontinued && !offered.contains_key(code.as_str()))
        .filter(|(code, _)| !skipped.may_be(code));
    difference.discontinued = vanished.map(|(code, _)| code.clone()).collect();
    (difference, to_write)
}

fn changed_fields(old: &NewProduct, new: &NewProduct) -> Vec<FieldChange> {
    // Most products of a catalog are as they were, and need no values.
    if old == new {
        return Vec::new();
    }
    let NewProduct {
        code: _,
        product_type,
        name,
        description,
        attribute_values,
        min_quantity,
        max_quantity,
        returnable,
    } = new;
    let differs = |before: Value, after: Value| (before != after).then_some((before, after));
    let attribute_values = (old.attribute_values != *attribute_values).then(|| {
        (
            that_differ(&old.attribute_values, attribute_values),
            that_differ(attribute_values, &old.attribute_values),
        )
    });
    let fields = [
        (
            "product type",
            differs(json!(old.product_type), json!(product_type)),
        ),
        ("name", differs(json!(old.name), json!(name))),
        ("description", differs(json!(old.description), json!(description))),
        ("attribute values", attribute_values),
        (
            "minimum quantity",
            differs(json!(old.min_quantity), json!(min_quantity)),
        ),
        (
            "maximum quantity",
            differs(json!(old.max_quantity), json!(max_quantity)),
        ),
        ("returnable", differs(json!(old.returnable), json!(returnable))),
    ];
    let changed = fields.into_iter().filter(|(_, values)| values.is_some());
    changed
        .map(|(field, values)| FieldChange {
            field: field.to_owned(),
            values,
        })
        .collect()
}

/// The labels of the values that are not among others, by attribute.
fn that_differ(values: &[AttributeValue], others: &[AttributeValue]) -> Value {
    let differ = values.iter().filter(|value| !others.contains(value));
    let labels = differ.map(|value| (value.attribute.clone(), Value::from(value.label.as_str())));
    labels.collect::<Map<_, _>>().into()
}

async fn upsert_product_types(
    transaction: &mut Connection,
    instance_id: &str,
    product_types: &[ProductType],
) -> Result<(), RecordError> {
    for product_type in product_types {
        transaction
            .sql(
                "INSERT INTO product_types (instance_id, id, name, derivative, split_quantity,
                                        manual_cancellation, attributes)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (instance_id, id) DO UPDATE
             SET name = excluded.name, derivative = excluded.derivative,
                 split_quantity = excluded.split_quantity,
                 manual_cancellation = excluded.manual_cancellation,
                 attributes = excluded.attributes",
            )
            .bind(instance_id)
            .bind(&product_type.id)
            .bind(&product_type.name)
            .bind(product_type.derivative.word())
            .bind(product_type.split_quantity)
            .bind(product_type.manual_cancellation)
            .bind(to_json(&product_type.attributes)?)
            .execute()
            .await?;
    }
    Ok(())
}

async fn upsert_products(
    transaction: &mut Connection,
    instance_id: &str,
    products: &[&NewProduct],
) -> Result<(), RecordError> {
    for products in products.chunks(ROWS_PER_STATEMENT) {
        let mut rows = Vec::with_capacity(products.len());
        for product in products {
            rows.push((product, to_json(&product.attribute_values)?));
        }
        let mut query = Builder::new(
            "INSERT INTO products (instance_id, code, product_type, name, description, attribute_values,
                                   min_quantity, max_quantity, returnable, active, published, discontinued) ",
        );
        query.push_values(rows, |row, (product, attribute_values)| {
            row.push_bind(instance_id)
                .push_bind(&product.code)
                .push_bind(&product.product_type)
                .push_bind(&product.name)
                .push_bind(&product.description)
                .push_bind(attribute_values)
                .push_bind(i64::from(product.min_quantity))
                .push_bind(product.max_quantity.map(i64::from))
                .push_bind(product.returnable)
                .push_bind(false)
                .push_bind(false)
                .push_bind(false);
        });
        query.push(
            " ON CONFLICT (instance_id, code) DO UPDATE
              SET product_type = excluded.product_type, name = excluded.name,
                  description = excluded.description,
                  attribute_values = excluded.attribute_values,
                  min_quantity = excluded.min_quantity, max_quantity = excluded.max_quantity,
                  returnable = excluded.returnable, discontinued = excluded.discontinued",
        );
        transaction.build(&mut query).execute().await?;
    }
    Ok(())
}

async fn discontinue(
    transaction: &mut Connection,
    instance_id: &str,
    codes: &[String],
) -> Result<(), RecordError> {
    for codes in codes.chunks(ROWS_PER_STATEMENT) {
        let mut query = Builder::new("UPDATE products SET discontinued = TRUE WHERE instance_id = ");
        query.push_bind(instance_id).push(" AND code IN (");
        let mut list = query.separated(", ");
        for code in codes {
            list.push_bind(code);
        }
        query.push(")");
        transaction.build(&mut query).execute().await?;
    }
    Ok(())
}

pub(super) fn read_product(row: &Row) -> Result<Product, RecordError> {
    Ok(Product {
        offered: NewProduct {
            code: row.try_get("code")?,
            product_type: row.try_get("product_type")?,
            name: row.try_get("name")?,
            description: row.try_get("description")?,
            attribute_values: from_json(row, "attribute_values")?,
            min_quantity: count(row, "min_quantity")?,
            max_quantity: optional(row, "max_quantity", count)?,
            returnable: row.try_get("returnable")?,
        },
        active: row.try_get("active")?,
        published: row.try_get("published")?,
        discontinued: row.try_get("discontinued")?,
    })
}
