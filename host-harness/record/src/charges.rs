//! Charges and credits: a charge for each license, written with it, and a credit of the whole of it. Neither ever changes.

use std::collections::{BTreeMap, BTreeSet};

use bss_model::{
    Act, Actor, Advice, Asset, Charge, ChargeFilter, ChargeLine, ChargePrefix, ChargeSeries, Credit,
    CreditReason, Diagnose, Diagnosis, ErrorKind, Instance, NotAChargePrefix, Page, Price, Rows,
    SerialNumber, Subject,
};
use serde_json::json;
use uuid::Uuid;

use super::acts::write_act;
use super::duties::duties;
use super::instances::read_instance;
use super::paging::KeyColumn::Integer;
use super::paging::List;
use super::stored::{ROWS_PER_STATEMENT, count, id, optional, owner_column, push_ids};
use super::{Record, RecordError};
use crate::database::{Builder, Connection, Row};

/// Why the prefix of an instance's charges was not set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChargePrefixError {
    /// The instance does not exist.
    #[error("instance `{id}` does not exist")]
    NoInstance {
        /// The id that was asked for.
        id: Uuid,
    },
    /// Charges or credits have numbers with the prefix that the instance has.
    #[error("charges of instance `{instance}` are numbered with `{prefix}` already, which stays as it is")]
    InUse {
        /// The instance's name.
        instance: String,
        /// The prefix that it has.
        prefix: ChargePrefix,
    },
    /// Another instance of the same owner has the prefix.
    #[error("another instance numbers its charges with `{prefix}`")]
    Taken {
        /// The prefix that was asked for.
        prefix: ChargePrefix,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for ChargePrefixError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NoInstance { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "no-instance").advise(Advice::ListInstances)
            }
            Self::InUse { .. } => Diagnosis::new(ErrorKind::Conflict, "charge-prefix-in-use"),
            Self::Taken { .. } => {
                Diagnosis::new(ErrorKind::Conflict, "charge-prefix-taken").say("choose another prefix")
            }
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// Charges by time.
pub(super) const CHARGES: List = List {
    name: "charges",
    key: &[Integer("charged_at_ms"), Integer("id")],
};

/// Credits by time.
pub(super) const CREDITS: List = List {
    name: "credits",
    key: &[Integer("credited_at_ms"), Integer("id")],
};

pub(super) fn charges_query(filter: &ChargeFilter) -> Builder {
    filtered("SELECT * FROM charges WHERE 1 = 1", "charged_at_ms", filter)
}

pub(super) fn credits_query(filter: &ChargeFilter) -> Builder {
    filtered("SELECT * FROM credits WHERE 1 = 1", "credited_at_ms", filter)
}

fn filtered(select: &str, time: &str, filter: &ChargeFilter) -> Builder {
    let mut query = Builder::new(select);
    if let Some(instance) = filter.instance {
        query.push(" AND instance_id = ").push_bind(instance.to_string());
    }
    if let Some(owner) = &filter.owner {
        query
            .push(" AND instance_id IN (SELECT id FROM instances WHERE owner = ")
            .push_bind(owner.as_str().to_owned())
            .push(")");
    }
    if let Some(order) = filter.order {
        query.push(" AND order_id = ").push_bind(order.to_string());
    }
    if let Some(customer) = &filter.customer {
        query.push(" AND customer_id = ").push_bind(customer.clone());
    }
    if let Some(SerialNumber { prefix, number }) = &filter.number {
        query.push(" AND prefix = ").push_bind(prefix.clone());
        query.push(" AND number = ").push_bind(stored(*number));
    }
    if let Some(since_ms) = filter.since_ms {
        query.push(format!(" AND {time} >= ")).push_bind(since_ms);
    }
    if let Some(until_ms) = filter.until_ms {
        query.push(format!(" AND {time} < ")).push_bind(until_ms);
    }
    query
}

impl Record {
    /// Charges that match a filter, by time, each with all of its lines.
    ///
    /// # Errors
    /// When the record can't be read, or the page is not of this list.
    pub async fn charges(&self, filter: &ChargeFilter, page: &Page) -> Result<Rows<Charge>, RecordError> {
        let read = |row: &Row| Ok((row.try_get("id")?, read_charge(row)?));
        let Rows { mut rows, next } = self
            .page::<(i64, Charge)>(&CHARGES, charges_query(filter), page, read)
            .await?;
        for charges in rows.chunks_mut(ROWS_PER_STATEMENT) {
            let ids: Vec<i64> = charges.iter().map(|(id, _)| *id).collect();
            let mut lines = self.lines_of(&ids).await?;
            for (id, charge) in charges {
                charge.lines = lines.remove(id).unwrap_or_default();
            }
        }
        let rows = rows.into_iter().map(|(_, charge)| charge).collect();
        Ok(Rows { rows, next })
    }

    /// The lines of charges. Lines never change, so they fit a charge that was read earlier.
    async fn lines_of(&self, charges: &[i64]) -> Result<BTreeMap<i64, Vec<ChargeLine>>, RecordError> {
        let mut query = Builder::new("SELECT * FROM charge_lines WHERE charge_id IN (");
        let mut ids = query.separated(", ");
        for id in charges {
            ids.push_bind(*id);
        }
        // A statement per number of ids is not worth keeping in the cache.
        let query = self.readers.build(query.push(") ORDER BY charge_id, position"));
        let rows = query.persistent(false).fetch_all().await?;
        let mut lines = BTreeMap::<i64, Vec<ChargeLine>>::new();
        for row in &rows {
            lines
                .entry(row.try_get("charge_id")?)
                .or_default()
                .push(read_line(row)?);
        }
        Ok(lines)
    }

    /// Credits that match a filter, by time.
    ///
    /// # Errors
    /// When the record can't be read, or the page is not of this list.
    pub async fn credits(&self, filter: &ChargeFilter, page: &Page) -> Result<Rows<Credit>, RecordError> {
        self.page(&CREDITS, credits_query(filter), page, read_credit)
            .await
    }

    /// All credits of some orders, by time.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn credits_of_orders(&self, orders: &[Uuid]) -> Result<Vec<Credit>, RecordError> {
        let mut credits = Vec::new();
        for some in orders.chunks(ROWS_PER_STATEMENT) {
            let mut query = Builder::new("SELECT * FROM credits WHERE order_id IN (");
            push_ids(&mut query, some);
            let query = self.readers.build(query.push(") ORDER BY credited_at_ms, id"));
            let rows = query.persistent(false).fetch_all().await?;
            for row in &rows {
                credits.push(read_credit(row)?);
            }
        }
        credits.sort_by_key(|credit| credit.credited_at_ms);
        Ok(credits)
    }

    /// The numbers of an instance's charges. Before the first one, the prefix is the one that the instance would get now.
    ///
    /// # Errors
    /// When the instance does not exist, or the record can't be read.
    pub async fn charge_series(&self, instance_id: Uuid) -> Result<ChargeSeries, ChargePrefixError> {
        let mut connection = self.readers.acquire().await?;
        let instance = instance_of_series(&mut connection, instance_id).await?;
        Ok(series(&mut connection, &instance).await?)
    }

    /// Sets the prefix of an instance's charges, while nothing is numbered with the one that it has.
    ///
    /// # Errors
    /// When something is, or another instance of the owner has the prefix.
    pub async fn set_charge_prefix(
        &self,
        instance_id: Uuid,
        prefix: ChargePrefix,
        actor: &Actor,
    ) -> Result<ChargeSeries, ChargePrefixError> {
        let mut transaction = self.begin_write().await?;
        let instance = instance_of_series(&mut transaction, instance_id).await?;
        let before = series(&mut transaction, &instance).await?;
        if before.prefix == prefix && is_settled(&mut transaction, instance_id).await? {
            return Ok(before);
        }
        if before.charges > 0 || before.credits > 0 {
            return Err(ChargePrefixError::InUse {
                instance: instance.name,
                prefix: before.prefix,
            });
        }
        if taken(&mut transaction, &instance)
            .await?
            .contains(prefix.as_str())
        {
            return Err(ChargePrefixError::Taken { prefix });
        }
        settle(&mut transaction, instance_id, &prefix).await?;
        let subject = Subject::instance(instance_id);
        let detail = json!({ "before": before.prefix.as_str(), "after": prefix.as_str() });
        let act = Act::SetChargePrefix;
        write_act(&mut transaction, actor, act, &subject, Some(instance_id), detail).await?;
        transaction.commit().await?;
        Ok(ChargeSeries { prefix, ..before })
    }
}

async fn instance_of_series(
    connection: &mut Connection,
    instance_id: Uuid,
) -> Result<Instance, ChargePrefixError> {
    let row = connection
        .sql("SELECT * FROM instances WHERE id = $1")
        .bind(instance_id.to_string())
        .fetch_optional()
        .await?;
    let row = row.ok_or(ChargePrefixError::NoInstance { id: instance_id })?;
    Ok(read_instance(&row)?)
}

/// Whether the instance has a prefix on record, chosen or from its first charge.
async fn is_settled(connection: &mut Connection, instance_id: Uuid) -> Result<bool, RecordError> {
    let row = connection
        .sql("SELECT 1 FROM charge_series WHERE instance_id = $1")
        .bind(instance_id.to_string())
        .fetch_optional()
        .await?;
    Ok(row.is_some())
}

async fn series(connection: &mut Connection, instance: &Instance) -> Result<ChargeSeries, RecordError> {
    let row = connection
        .sql("SELECT * FROM charge_series WHERE instance_id = $1")
        .bind(instance.id.to_string())
        .fetch_optional()
        .await?;
    let Some(row) = row else {
        let taken = taken(connection, instance).await?;
        return Ok(ChargeSeries {
            prefix: ChargePrefix::of_instance(&instance.name, &taken),
            charges: 0,
            credits: 0,
        });
    };
    read_series(&row)
}

/// The prefixes of the other instances of the instance's owner. Those of other owners are nobody's business.
async fn taken(connection: &mut Connection, instance: &Instance) -> Result<BTreeSet<String>, RecordError> {
    let prefixes = connection.sql(
        "SELECT s.prefix FROM charge_series s JOIN instances i ON i.id = s.instance_id WHERE i.owner = $1 AND i.id <> $2",
    )
    .bind(owner_column(instance.owner.as_ref()))
    .bind(instance.id.to_string())
    .scalars()
    .await?;
    Ok(prefixes.into_iter().collect())
}

async fn settle(
    transaction: &mut Connection,
    instance_id: Uuid,
    prefix: &ChargePrefix,
) -> Result<(), RecordError> {
    transaction
        .sql(
            "INSERT INTO charge_series (instance_id, prefix) VALUES ($1, $2)
         ON CONFLICT (instance_id) DO UPDATE SET prefix = $2",
        )
        .bind(instance_id.to_string())
        .bind(prefix.as_str())
        .execute()
        .await?;
    Ok(())
}

/// Charges a license with all of its units. Does nothing for a license that is charged already, was ordered without a price or by a
/// platform, which charges for itself, or if charging is not the host's duty. A charge is for one license: what is bought later gets another, and none grows.
pub(super) async fn charge(
    transaction: &mut Connection,
    asset: &Asset,
    now_ms: i64,
) -> Result<(), RecordError> {
    let Some(price) = &asset.price else { return Ok(()) };
    if !duties(transaction).await?.charges
        || is_charged(transaction, asset.id).await?
        || is_of_platform(transaction, asset.order_id).await?
    {
        return Ok(());
    }
    let number = next_number(transaction, asset.instance_id, Numbered::Charges).await?;
    let charge_id: i64 = transaction
        .sql(
            "INSERT INTO charges (instance_id, prefix, number, order_id, customer_id, charged_at_ms)
         SELECT $1, $2, $3, orders.id, orders.customer_id, $5 FROM orders WHERE orders.id = $4
         RETURNING id",
        )
        .bind(asset.instance_id.to_string())
        .bind(number.prefix)
        .bind(stored(number.number))
        .bind(asset.order_id.to_string())
        .bind(now_ms)
        .scalar()
        .await?;
    transaction.sql(
        "INSERT INTO charge_lines (asset_id, charge_id, position, product_code, product_name, quantity, currency, minor_units,
                                   charged_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(asset.id.to_string())
    .bind(charge_id)
    .bind(i64::from(asset.position))
    .bind(&asset.product_code)
    .bind(&asset.product_name)
    .bind(i64::from(asset.quantity))
    .bind(&price.currency)
    .bind(price.minor_units)
    .bind(now_ms)
    .execute()
    .await?;
    Ok(())
}

async fn is_of_platform(connection: &mut Connection, order_id: Uuid) -> Result<bool, RecordError> {
    let row = connection
        .sql("SELECT 1 FROM orders WHERE id = $1 AND platform_id IS NOT NULL")
        .bind(order_id.to_string())
        .fetch_optional()
        .await?;
    Ok(row.is_some())
}

async fn is_charged(connection: &mut Connection, asset_id: Uuid) -> Result<bool, RecordError> {
    let row = connection
        .sql("SELECT 1 FROM charge_lines WHERE asset_id = $1")
        .bind(asset_id.to_string())
        .fetch_optional()
        .await?;
    Ok(row.is_some())
}

/// Credits all that was charged for a license that was returned. `None`: nothing was charged. A second call returns the first
/// credit, whatever cancellation it names.
pub(super) async fn credit(
    transaction: &mut Connection,
    asset_id: Uuid,
    cancellation_id: Uuid,
    now_ms: i64,
) -> Result<Option<Credit>, RecordError> {
    if let Some(earlier) = credit_of(transaction, asset_id).await? {
        return Ok(Some(earlier));
    }
    let instance = transaction.sql(
        "SELECT instance_id FROM charges WHERE id = (SELECT charge_id FROM charge_lines WHERE asset_id = $1)",
    )
    .bind(asset_id.to_string())
    .fetch_optional()
    .await?;
    let Some(instance) = instance else { return Ok(None) };
    let number = next_number(transaction, id(&instance, "instance_id")?, Numbered::Credits).await?;
    transaction.sql(
        "INSERT INTO credits (instance_id, prefix, number, charge_id, charge_prefix, charge_number, order_id, customer_id, asset_id,
                              position, product_code, product_name, quantity, currency, minor_units, reason, cancellation_id,
                              credited_at_ms)
         SELECT c.instance_id, $2, $3, c.id, c.prefix, c.number, c.order_id, c.customer_id, l.asset_id, l.position, l.product_code,
                l.product_name, l.quantity, l.currency, l.minor_units, $4, $5, $6
         FROM charge_lines l JOIN charges c ON c.id = l.charge_id WHERE l.asset_id = $1",
    )
    .bind(asset_id.to_string())
    .bind(number.prefix)
    .bind(stored(number.number))
    .bind(CreditReason::Return.word())
    .bind(cancellation_id.to_string())
    .bind(now_ms)
    .execute()
    .await?;
    credit_of(transaction, asset_id).await
}

/// What an instance numbers.
#[derive(Clone, Copy)]
enum Numbered {
    Charges,
    Credits,
}

/// Takes an instance's next number of charges or credits, in the transaction that uses it: a rollback leaves no gap, and what is
/// committed once is numbered once. The first one settles the prefix.
async fn next_number(
    transaction: &mut Connection,
    instance_id: Uuid,
    numbered: Numbered,
) -> Result<SerialNumber, RecordError> {
    if !is_settled(transaction, instance_id).await? {
        let instance = transaction
            .sql("SELECT * FROM instances WHERE id = $1")
            .bind(instance_id.to_string())
            .fetch_one()
            .await?;
        let prefix = series(transaction, &read_instance(&instance)?).await?.prefix;
        settle(transaction, instance_id, &prefix).await?;
    }
    let take = match numbered {
        Numbered::Charges => {
            "UPDATE charge_series SET last_charge = last_charge + 1 WHERE instance_id = $1 RETURNING *"
        }
        Numbered::Credits => {
            "UPDATE charge_series SET last_credit = last_credit + 1 WHERE instance_id = $1 RETURNING *"
        }
    };
    let row = transaction
        .sql(take)
        .bind(instance_id.to_string())
        .fetch_one()
        .await?;
    let series = read_series(&row)?;
    Ok(match numbered {
        Numbered::Charges => SerialNumber {
            prefix: series.prefix.to_string(),
            number: series.charges,
        },
        Numbered::Credits => SerialNumber {
            prefix: series.prefix.of_credits(),
            number: series.credits,
        },
    })
}

fn read_series(row: &Row) -> Result<ChargeSeries, RecordError> {
    let prefix: &str = row.try_get("prefix")?;
    let prefix = prefix
        .parse()
        .map_err(|error: NotAChargePrefix| RecordError::Damaged {
            what: format!("column `prefix`: {error}"),
        })?;
    Ok(ChargeSeries {
        prefix,
        charges: number(row, "last_charge")?,
        credits: number(row, "last_credit")?,
    })
}

pub(super) async fn credit_of(
    connection: &mut Connection,
    asset_id: Uuid,
) -> Result<Option<Credit>, RecordError> {
    let row = connection
        .sql("SELECT * FROM credits WHERE asset_id = $1")
        .bind(asset_id.to_string())
        .fetch_optional()
        .await?;
    row.as_ref().map(read_credit).transpose()
}

/// A charge without its lines.
pub(super) fn read_charge(row: &Row) -> Result<Charge, RecordError> {
    Ok(Charge {
        number: serial_number(row, "prefix", "number")?,
        instance_id: id(row, "instance_id")?,
        order_id: id(row, "order_id")?,
        customer_id: row.try_get("customer_id")?,
        charged_at_ms: row.try_get("charged_at_ms")?,
        lines: Vec::new(),
    })
}

pub(super) fn read_line(row: &Row) -> Result<ChargeLine, RecordError> {
    Ok(ChargeLine {
        asset_id: id(row, "asset_id")?,
        position: count(row, "position")?,
        product_code: row.try_get("product_code")?,
        product_name: row.try_get("product_name")?,
        quantity: count(row, "quantity")?,
        price: price(row)?,
        charged_at_ms: row.try_get("charged_at_ms")?,
    })
}

pub(super) fn read_credit(row: &Row) -> Result<Credit, RecordError> {
    Ok(Credit {
        number: serial_number(row, "prefix", "number")?,
        charge: serial_number(row, "charge_prefix", "charge_number")?,
        instance_id: id(row, "instance_id")?,
        order_id: id(row, "order_id")?,
        customer_id: row.try_get("customer_id")?,
        asset_id: id(row, "asset_id")?,
        position: count(row, "position")?,
        product_code: row.try_get("product_code")?,
        product_name: row.try_get("product_name")?,
        quantity: count(row, "quantity")?,
        price: price(row)?,
        reason: CreditReason::from_word(row.try_get("reason")?)?,
        cancellation_id: optional(row, "cancellation_id", id)?,
        credited_at_ms: row.try_get("credited_at_ms")?,
    })
}

fn price(row: &Row) -> Result<Price, RecordError> {
    Ok(Price {
        currency: row.try_get("currency")?,
        minor_units: row.try_get("minor_units")?,
    })
}

fn serial_number(row: &Row, prefix: &str, digits: &str) -> Result<SerialNumber, RecordError> {
    Ok(SerialNumber {
        prefix: row.try_get(prefix)?,
        number: number(row, digits)?,
    })
}

fn number(row: &Row, column: &str) -> Result<u64, RecordError> {
    let number: i64 = row.try_get(column)?;
    u64::try_from(number).map_err(|_| RecordError::Damaged {
        what: format!("column `{column}` contains {number}, which is out of range"),
    })
}

/// A number as it is stored. No number that was counted from 1 is beyond the range.
fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
