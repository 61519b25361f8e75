//! Orders: so many units of products, each its own line of quantity 1 with its own asset.

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use uuid::Uuid;

use super::assets::{SyncStatus, client_transaction_id};
use super::instances::Standing;
use super::services::Product;
use super::stored::{from_json, id, to_json};
use super::{Record, RecordError, begin_write, now_ms};

/// Units of one order. Each is a purchase of its own at the vendor; more is a mistake rather than an order.
const UNITS_PER_ORDER_MAX: u64 = 10_000;

/// A company or person, as far as the vendor has to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The platform's own name for it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// ISO 3166-1 alpha-2, in upper case.
    pub country: String,
}

/// So many of one product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewLine {
    /// The product's code.
    pub product_code: String,
    /// How many, at least 1.
    pub quantity: u32,
}

/// An order to be placed.
#[derive(Clone, Debug, Serialize)]
pub struct NewOrder {
    /// Where.
    pub instance_id: Uuid,
    /// Who gets the licenses.
    pub customer: Party,
    /// Who sells, where a reseller stands between.
    pub reseller: Option<Party>,
    /// What.
    pub lines: Vec<NewLine>,
    /// The buyer's name for the order: placing it again returns the same order.
    pub idempotency_key: Option<String>,
}

/// One unit of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderLine {
    /// From 1.
    pub position: u32,
    /// The product's code.
    pub product_code: String,
    /// The asset that it became.
    pub asset_id: Uuid,
}

/// An order as it was placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Stable and unique.
    pub id: Uuid,
    /// Where it was placed.
    pub instance_id: Uuid,
    /// Who gets the licenses.
    pub customer: Party,
    /// Who sells, where a reseller stands between.
    pub reseller: Option<Party>,
    /// The buyer's name for the order.
    pub idempotency_key: Option<String>,
    /// When, in milliseconds.
    pub placed_at_ms: i64,
    /// Its units, each with quantity 1.
    pub lines: Vec<OrderLine>,
}

/// Why an order was not placed. Nothing of it was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// No such instance.
    #[error("instance `{id}` does not exist")]
    NoInstance {
        /// What was asked for.
        id: Uuid,
    },
    /// The instance can't sell yet.
    #[error("instance `{name}` is not ready ({standing}); complete its settings first")]
    NotReady {
        /// The instance's name.
        name: String,
        /// Where it stands.
        standing: Standing,
    },
    /// Nothing was ordered.
    #[error("the order has no lines; name a product and a quantity")]
    Empty,
    /// More than one order takes.
    #[error("the order has {units} units, and {UNITS_PER_ORDER_MAX} are the most; split it")]
    TooManyUnits {
        /// How many.
        units: u64,
    },
    /// Something that the vendor has to know is not given.
    #[error("{party} has no valid {field}; the vendor needs it")]
    IncompleteParty {
        /// `the customer` or `the reseller`.
        party: &'static str,
        /// Which field.
        field: &'static str,
    },
    /// No such product.
    #[error("product `{code}` is not known; run Get Services Definition, or check the code")]
    UnknownProduct {
        /// What was ordered.
        code: String,
    },
    /// The vendor has stopped selling it.
    #[error("product `{code}` is discontinued and can't be sold; choose another one")]
    Discontinued {
        /// What was ordered.
        code: String,
    },
    /// Fewer or more than the vendor sells at once.
    #[error("{quantity} of product `{code}` can't be ordered at once; the least is {min}, the most {}", max.map_or_else(|| "not limited".to_owned(), |max| max.to_string()))]
    Quantity {
        /// What was ordered.
        code: String,
        /// How many.
        quantity: u64,
        /// The least.
        min: u32,
        /// The most. None: no limit.
        max: Option<u32>,
    },
    /// The key was used for something else.
    #[error(
        "idempotency key `{key}` belongs to order `{order}`, which asked for something else; use a new key"
    )]
    KeyReused {
        /// The key.
        key: String,
        /// The order that it belongs to.
        order: Uuid,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl From<sqlx::Error> for PlaceError {
    fn from(source: sqlx::Error) -> Self {
        Self::Record(source.into())
    }
}

impl Record {
    /// Places an order in one transaction: an order line of quantity 1 and an asset for each unit. Nothing is
    /// bought yet. With an idempotency key that was used before, the same order is returned.
    ///
    /// # Errors
    /// When the instance is not ready, or anything that was ordered can't be. Nothing is written then.
    pub async fn place_order(&self, new: NewOrder) -> Result<Order, PlaceError> {
        check(&new)?;
        let request_digest = request_digest(&new)?;
        let mut transaction = begin_write(&self.pool).await?;
        if let Some(order) = earlier(&mut transaction, &new, &request_digest).await? {
            return Ok(order);
        }
        let row = sqlx::query("SELECT * FROM instances WHERE id = $1")
            .bind(new.instance_id.to_string())
            .fetch_optional(&mut *transaction)
            .await?
            .ok_or(PlaceError::NoInstance {
                id: new.instance_id,
            })?;
        let instance = super::instances::read_instance(&row)?;
        if instance.standing != Standing::Ready {
            return Err(PlaceError::NotReady {
                name: instance.name,
                standing: instance.standing,
            });
        }
        let mut units = Vec::new();
        for line in merged(&new.lines) {
            let product = orderable(&mut transaction, new.instance_id, &line).await?;
            units.extend(std::iter::repeat_n(product, line.quantity as usize));
        }
        let order_id = Uuid::new_v4();
        insert_order(&mut transaction, order_id, &new, &request_digest).await?;
        for (position, product) in (1_i64..).zip(&units) {
            insert_unit(
                &mut transaction,
                (new.instance_id, order_id, position),
                product,
            )
            .await?;
        }
        let order = read_order(&mut transaction, order_id).await?;
        transaction.commit().await?;
        order.ok_or_else(|| damaged(order_id).into())
    }

    /// The order of an id. None: there is none.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn order(&self, order_id: Uuid) -> Result<Option<Order>, RecordError> {
        let mut connection = self.pool.acquire().await?;
        read_order(&mut connection, order_id).await
    }
}

/// What can be refused without looking into the record.
fn check(new: &NewOrder) -> Result<(), PlaceError> {
    let parties = [
        ("the customer", Some(&new.customer)),
        ("the reseller", new.reseller.as_ref()),
    ];
    for (party, given) in parties {
        let Some(given) = given else { continue };
        let is_country =
            given.country.len() == 2 && given.country.bytes().all(|b| b.is_ascii_uppercase());
        let fields = [
            ("id", !given.id.trim().is_empty()),
            ("name", !given.name.trim().is_empty()),
            ("country", is_country),
        ];
        if let Some((field, _)) = fields.into_iter().find(|(_, is_given)| !is_given) {
            return Err(PlaceError::IncompleteParty { party, field });
        }
    }
    let units = new.lines.iter().map(|line| u64::from(line.quantity)).sum();
    if units > UNITS_PER_ORDER_MAX {
        return Err(PlaceError::TooManyUnits { units });
    }
    if new.lines.is_empty() {
        Err(PlaceError::Empty)
    } else {
        Ok(())
    }
}

/// Two lines of one product are one line of both: limits hold for an order, however it was typed in.
fn merged(lines: &[NewLine]) -> Vec<NewLine> {
    let mut merged: Vec<NewLine> = Vec::new();
    for line in lines {
        match merged
            .iter_mut()
            .find(|known| known.product_code == line.product_code)
        {
            Some(known) => known.quantity = known.quantity.saturating_add(line.quantity),
            None => merged.push(line.clone()),
        }
    }
    merged
}

async fn orderable(
    transaction: &mut SqliteConnection,
    instance_id: Uuid,
    line: &NewLine,
) -> Result<Product, PlaceError> {
    let code = line.product_code.clone();
    let row = sqlx::query("SELECT * FROM products WHERE instance_id = $1 AND code = $2")
        .bind(instance_id.to_string())
        .bind(&code)
        .fetch_optional(transaction)
        .await?;
    let Some(row) = row else {
        return Err(PlaceError::UnknownProduct { code });
    };
    let product = super::services::read_product(&row)?;
    if product.discontinued {
        return Err(PlaceError::Discontinued { code });
    }
    let (min, max) = (
        product.offered.min_quantity.max(1),
        product.offered.max_quantity,
    );
    if line.quantity < min || max.is_some_and(|max| line.quantity > max) {
        return Err(PlaceError::Quantity {
            code,
            quantity: line.quantity.into(),
            min,
            max,
        });
    }
    Ok(product)
}

/// The order that an idempotency key belongs to already.
async fn earlier(
    transaction: &mut SqliteConnection,
    new: &NewOrder,
    request_digest: &str,
) -> Result<Option<Order>, PlaceError> {
    let Some(key) = &new.idempotency_key else {
        return Ok(None);
    };
    let row = sqlx::query(
        "SELECT id, request_digest FROM orders WHERE instance_id = $1 AND idempotency_key = $2",
    )
    .bind(new.instance_id.to_string())
    .bind(key)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let order = id(&row, "id")?;
    let known: &str = row.try_get("request_digest")?;
    if known != request_digest {
        return Err(PlaceError::KeyReused {
            key: key.clone(),
            order,
        });
    }
    Ok(read_order(transaction, order).await?)
}

fn request_digest(new: &NewOrder) -> Result<String, RecordError> {
    let text = to_json(new)?;
    Ok(HEXLOWER.encode(digest::digest(&digest::SHA256, text.as_bytes()).as_ref()))
}

async fn insert_order(
    transaction: &mut SqliteConnection,
    order_id: Uuid,
    new: &NewOrder,
    request_digest: &str,
) -> Result<(), RecordError> {
    sqlx::query(
        "INSERT INTO orders (id, instance_id, idempotency_key, request_digest, customer, reseller, placed_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(order_id.to_string())
    .bind(new.instance_id.to_string())
    .bind(&new.idempotency_key)
    .bind(request_digest)
    .bind(to_json(&new.customer)?)
    .bind(new.reseller.as_ref().map(to_json).transpose()?)
    .bind(now_ms())
    .execute(transaction)
    .await?;
    Ok(())
}

async fn insert_unit(
    transaction: &mut SqliteConnection,
    (instance_id, order_id, position): (Uuid, Uuid, i64),
    product: &Product,
) -> Result<(), RecordError> {
    sqlx::query(
        "INSERT INTO order_lines (order_id, position, product_code, quantity) VALUES ($1, $2, $3, 1)",
    )
    .bind(order_id.to_string())
    .bind(position)
    .bind(&product.offered.code)
    .execute(&mut *transaction)
    .await?;
    let asset_id = Uuid::new_v4();
    sqlx::query(
        "INSERT INTO assets (id, instance_id, order_id, position, product_code, product_name, generation,
                             client_transaction_id, status, sync_status, return_status, created_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, 0, $7, 'active', $8, 'none', $9)",
    )
    .bind(asset_id.to_string())
    .bind(instance_id.to_string())
    .bind(order_id.to_string())
    .bind(position)
    .bind(&product.offered.code)
    .bind(&product.offered.name)
    .bind(client_transaction_id(instance_id, asset_id, 0).to_string())
    .bind(SyncStatus::Unsynchronised.word())
    .bind(now_ms())
    .execute(transaction)
    .await?;
    Ok(())
}

async fn read_order(
    connection: &mut SqliteConnection,
    order_id: Uuid,
) -> Result<Option<Order>, RecordError> {
    let row = sqlx::query("SELECT * FROM orders WHERE id = $1")
        .bind(order_id.to_string())
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let lines = sqlx::query(
        "SELECT position, product_code, id FROM assets WHERE order_id = $1 ORDER BY position",
    )
    .bind(order_id.to_string())
    .fetch_all(connection)
    .await?;
    let reseller: Option<&str> = row.try_get("reseller")?;
    Ok(Some(Order {
        id: id(&row, "id")?,
        instance_id: id(&row, "instance_id")?,
        customer: from_json(&row, "customer")?,
        reseller: reseller.map(|_| from_json(&row, "reseller")).transpose()?,
        idempotency_key: row.try_get("idempotency_key")?,
        placed_at_ms: row.try_get("placed_at_ms")?,
        lines: lines.iter().map(read_line).collect::<Result<_, _>>()?,
    }))
}

fn read_line(row: &SqliteRow) -> Result<OrderLine, RecordError> {
    Ok(OrderLine {
        position: super::stored::count(row, "position")?,
        product_code: row.try_get("product_code")?,
        asset_id: id(row, "id")?,
    })
}

fn damaged(order_id: Uuid) -> RecordError {
    RecordError::Damaged {
        what: format!("order `{order_id}` can't be read back"),
    }
}
