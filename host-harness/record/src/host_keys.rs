//! Which host keys the record needs, and its rotation: all that is sealed is sealed again under the first key.

mod places;

use std::collections::BTreeMap;

use bss_keys::{HostKey, KeyId};
use bss_model::{Act, Actor, SavedSecret, Subject};
use serde_json::json;
use uuid::Uuid;

pub(crate) use self::places::KEY_CHECK_PURPOSE;
use self::places::{CHECKS, Digest, Form, ORDER_IDS, PLACES, Place, Stored};
use super::acts::write_act;
use super::assets::KEY_DIGEST;
use super::erasure::empty_log;
use super::stored::{from_json, id, to_json};
use super::{Record, RecordError};
use crate::database::{Builder, Connection, Pool, Row};

/// Values that are sealed again in one transaction: others who write wait no longer than for a few milliseconds.
const VALUES_AT_ONCE: usize = 500;

/// What a rotation has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostKeyRotation {
    /// The key with which everything is sealed now.
    pub host_key: KeyId,
    /// The number of values that were sealed again.
    pub values: u64,
}

/// A host key, and what the record needs it for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostKeyUse {
    /// The key's id.
    pub id: KeyId,
    /// Whether the key is among those that were given.
    pub is_there: bool,
    /// Whether it is the key that seals.
    pub seals: bool,
    /// The number of values on record that need it.
    pub values: u64,
}

/// Host keys, and what the record needs them for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKeyUses {
    /// The keys that were given, the one that seals first, and then those that are needed and were not given.
    pub keys: Vec<HostKeyUse>,
    /// The number of values that none of the keys opens, and that don't say which one does.
    pub unopened: u64,
}

/// Values of a place that were sealed again, and the row after which it goes on.
struct Batch {
    values: u64,
    last: Option<Vec<String>>,
}

impl Record {
    /// Seals everything on record again that the first host key has not sealed, in transactions of a few hundred values; tells
    /// after each of them how many values that are. Whoever stops it has lost nothing, and may repeat it: as long as anything
    /// needs a former key, the record is not opened without that key.
    ///
    /// All other programs that have the record open must have the same first key, or they go on to seal with another.
    ///
    /// # Errors
    /// When a value can't be opened with any of the host keys, or the record can't be written.
    pub async fn rotate_host_key(
        &self,
        actor: &Actor,
        mut tell: impl FnMut(u64),
    ) -> Result<HostKeyRotation, RecordError> {
        let mut values = self.begin_rotation(actor).await?;
        // What another program seals meanwhile with a former key is seen at the end, and sealed again as well.
        while !self.is_rotated(&mut values).await? {
            for place in PLACES {
                let mut after = None;
                loop {
                    let batch = self.seal_batch(place, after.as_deref(), VALUES_AT_ONCE).await?;
                    values += batch.values;
                    if batch.values > 0 {
                        tell(values);
                    }
                    after = batch.last;
                    if after.is_none() {
                        break;
                    }
                }
            }
        }
        // Who has a former key opens what is left of values that it sealed.
        empty_log(&self.writer).await;
        Ok(HostKeyRotation {
            host_key: self.host_key.id(),
            values,
        })
    }

    /// Writes down that the host key is rotated, where anything is to be sealed again, and seals the first values.
    async fn begin_rotation(&self, actor: &Actor) -> Result<u64, RecordError> {
        let mut transaction = self.begin_write().await?;
        let mut foreign = 0;
        for place in PLACES.iter().chain(CHECKS) {
            foreign += self.foreign_values(&mut transaction, place).await?;
        }
        if foreign == 0 {
            return Ok(0);
        }
        let record = transaction
            .sql("SELECT record FROM provenance")
            .fetch_one()
            .await?;
        let (act, subject) = (Act::RotateHostKey, Subject::record(id(&record, "record")?));
        let detail = json!({ "hostKey": self.host_key.id().to_string(), "values": foreign });
        write_act(&mut transaction, actor, act, &subject, None, detail).await?;
        let mut values = 0;
        for place in PLACES {
            values += self
                .seal_in(&mut transaction, place, None, VALUES_AT_ONCE)
                .await?
                .values;
            if values > 0 {
                break;
            }
        }
        transaction.commit().await?;
        Ok(values)
    }

    /// Seals values of a place again, in a transaction of their own.
    async fn seal_batch(
        &self,
        place: &Place,
        after: Option<&[String]>,
        at_once: usize,
    ) -> Result<Batch, RecordError> {
        let mut transaction = self.begin_write().await?;
        let batch = self.seal_in(&mut transaction, place, after, at_once).await?;
        transaction.commit().await?;
        Ok(batch)
    }

    /// Has the record be opened with the first key alone, unless a value still needs another one.
    async fn is_rotated(&self, values: &mut u64) -> Result<bool, RecordError> {
        let mut transaction = self.begin_write().await?;
        for place in PLACES {
            if self.foreign_values(&mut transaction, place).await? > 0 {
                return Ok(false);
            }
        }
        for place in CHECKS {
            *values += self.seal_in(&mut transaction, place, None, 1).await?.values;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Seals the next values of a place again that another key than the first has sealed.
    async fn seal_in(
        &self,
        transaction: &mut Connection,
        place: &Place,
        after: Option<&[String]>,
        at_once: usize,
    ) -> Result<Batch, RecordError> {
        let prefix = self.host_key.sealed_prefix();
        let mut query = select(place, Some(&prefix));
        if let Some(after) = after {
            go_on(&mut query, place, after);
        }
        page(&mut query, place, at_once);
        let rows = transaction.build(&mut query).fetch_all().await?;
        let mut values = 0;
        for row in &rows {
            let sealed = place.sealed(row)?;
            let Some(sealed) = sealed.filter(|sealed| !sealed.starts_with(&prefix)) else {
                continue;
            };
            self.seal_row(transaction, place, row, &sealed).await?;
            values += 1;
        }
        let is_more = rows.len() == at_once && !place.row.is_empty();
        let last = rows.last().filter(|_| is_more);
        Ok(Batch {
            values,
            last: last.map(|row| names(place, row)).transpose()?,
        })
    }

    async fn seal_row(
        &self,
        transaction: &mut Connection,
        place: &Place,
        row: &Row,
        sealed: &[u8],
    ) -> Result<(), RecordError> {
        let purpose = (place.purpose)(row)?;
        let text = self.host_key.open(&purpose, sealed)?;
        let again = place.stored(row, self.host_key.seal(&purpose, &text)?)?;
        let mut update = Builder::new("UPDATE ");
        update
            .push(place.table)
            .push(" SET ")
            .push(place.column)
            .push(" = ");
        match again {
            Stored::Bytes(bytes) => update.push_bind(bytes),
            Stored::Text(text) => update.push_bind(text),
        };
        if place.digest == Digest::ProductKey {
            // A digest that is missing stays so: it is older than the rule that no two assets have one key.
            update
                .push(", product_key_digest = CASE WHEN product_key_digest IS NULL THEN NULL ELSE ")
                .push_bind(self.host_key.digest(KEY_DIGEST, text_of(&text, &purpose)?))
                .push(" END");
        }
        update.push(" WHERE 1 = 1");
        for (column, name) in place.row.iter().zip(names(place, row)?) {
            update.push(" AND ").push(column).push(" = ").push_bind(name);
        }
        transaction.build(&mut update).execute().await?;
        if place.digest == Digest::InstanceSecret {
            let digest = self.host_key.digest(&purpose, text_of(&text, &purpose)?);
            write_secret_digest(transaction, row, digest).await?;
        }
        Ok(())
    }

    /// The number of values of a place that another key than the first has sealed.
    async fn foreign_values(&self, connection: &mut Connection, place: &Place) -> Result<u64, RecordError> {
        let prefix = self.host_key.sealed_prefix();
        if place.form == Form::Bytes {
            let mut query = Builder::new("SELECT COUNT(*) FROM ");
            query.push(place.table);
            push_condition(&mut query, place, Some(&prefix));
            let count: i64 = connection.build(&mut query).scalar().await?;
            return Ok(count.unsigned_abs());
        }
        let rows = connection
            .build(&mut select(place, Some(&prefix)))
            .fetch_all()
            .await?;
        let mut count = 0;
        for row in &rows {
            let sealed = place.sealed(row)?;
            count += u64::from(sealed.is_some_and(|sealed| !sealed.starts_with(&prefix)));
        }
        Ok(count)
    }

    /// The number of values on record that need another host key than the first. `None`: no other key was given, so that what
    /// can be opened needs none.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn values_of_former_host_keys(&self) -> Result<Option<u64>, RecordError> {
        if self.host_key.ids().len() == 1 {
            return Ok(None);
        }
        let mut connection = self.readers.acquire().await?;
        let mut count = 0;
        for place in PLACES.iter().chain(CHECKS) {
            count += self.foreign_values(&mut connection, place).await?;
        }
        Ok(Some(count))
    }

    /// The host keys, and how many values on record need each: every value is opened.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn host_key_uses(&self) -> Result<HostKeyUses, RecordError> {
        let mut connection = self.readers.acquire().await?;
        uses_in(&mut connection, &self.host_key).await
    }
}

/// The host keys, and how many values of a record need each: every value is opened.
pub(crate) async fn uses_in(
    connection: &mut Connection,
    host_key: &HostKey,
) -> Result<HostKeyUses, RecordError> {
    let mut needed: BTreeMap<KeyId, u64> = BTreeMap::new();
    let mut unopened = 0;
    for place in PLACES.iter().chain(CHECKS) {
        let mut after: Option<Vec<String>> = None;
        loop {
            let mut query = select(place, None);
            if let Some(after) = &after {
                go_on(&mut query, place, after);
            }
            page(&mut query, place, VALUES_AT_ONCE);
            let rows = connection.build(&mut query).fetch_all().await?;
            for row in &rows {
                let Some(sealed) = place.sealed(row)? else {
                    continue;
                };
                match host_key.key_of(&(place.purpose)(row)?, &sealed) {
                    Some(key) => *needed.entry(key).or_default() += 1,
                    None => unopened += 1,
                }
            }
            match rows.last() {
                Some(row) if rows.len() == VALUES_AT_ONCE => after = Some(names(place, row)?),
                _ => break,
            }
        }
    }
    Ok(HostKeyUses {
        keys: uses(host_key, needed),
        unopened,
    })
}

/// The keys that were given, and then those that are needed and were not.
fn uses(host_key: &HostKey, mut needed: BTreeMap<KeyId, u64>) -> Vec<HostKeyUse> {
    let given = host_key.ids();
    let mut uses: Vec<_> = given
        .iter()
        .map(|&id| HostKeyUse {
            id,
            is_there: true,
            seals: id == host_key.id(),
            values: needed.remove(&id).unwrap_or_default(),
        })
        .collect();
    uses.extend(needed.into_iter().map(|(id, values)| HostKeyUse {
        id,
        is_there: false,
        seals: false,
        values,
    }));
    uses
}

/// A query for the values of a place; with a prefix, for those that don't begin with it where the database can tell.
fn select(place: &Place, other_than: Option<&[u8]>) -> Builder {
    let mut query = Builder::new("SELECT ");
    for column in place.row {
        query.push(column).push(", ");
    }
    query.push(place.column).push(" FROM ").push(place.table);
    push_condition(&mut query, place, other_than);
    query
}

fn push_condition(query: &mut Builder, place: &Place, other_than: Option<&[u8]>) {
    query.push(" WHERE ").push(place.column).push(" IS NOT NULL");
    if let (Form::Bytes, Some(prefix)) = (place.form, other_than) {
        query
            .push(" AND substr(")
            .push(place.column)
            .push(", 1, ")
            // Not bound: PostgreSQL counts the bytes of this by 32 bits.
            .push(prefix.len())
            .push(") <> ")
            .push_bind(prefix.to_vec());
    }
}

/// Leaves out the rows up to one.
fn go_on(query: &mut Builder, place: &Place, after: &[String]) {
    query.push(" AND (").push(place.row.join(", ")).push(") > (");
    let mut values = query.separated(", ");
    for name in after {
        values.push_bind(name.clone());
    }
    query.push(")");
}

/// Has a query read the first rows alone, in their order.
fn page(query: &mut Builder, place: &Place, at_once: usize) {
    if !place.row.is_empty() {
        query.push(" ORDER BY ").push(place.row.join(", "));
    }
    query
        .push(" LIMIT ")
        .push_bind(i64::try_from(at_once).unwrap_or(i64::MAX));
}

/// The values that tell a row apart.
fn names(place: &Place, row: &Row) -> Result<Vec<String>, RecordError> {
    let names = place.row.iter().map(|column| row.try_get(*column));
    names.collect()
}

fn text_of<'t>(text: &'t [u8], purpose: &str) -> Result<&'t str, RecordError> {
    std::str::from_utf8(text).map_err(|_| RecordError::Damaged {
        what: format!("the {purpose} is not UTF-8 text"),
    })
}

/// Notes the digest of an instance's secret among the instance's settings, whose version stays: the secret is the same.
async fn write_secret_digest(
    transaction: &mut Connection,
    secret: &Row,
    digest: String,
) -> Result<(), RecordError> {
    let (instance, field): (String, String) = (secret.try_get("instance_id")?, secret.try_get("field")?);
    let row = transaction
        .sql("SELECT secrets FROM instances WHERE id = $1")
        .bind(&instance)
        .fetch_one()
        .await?;
    let mut secrets: BTreeMap<String, SavedSecret> = from_json(&row, "secrets")?;
    if let Some(saved) = secrets.get_mut(&field) {
        saved.digest = digest;
    }
    transaction
        .sql("UPDATE instances SET secrets = $2 WHERE id = $1")
        .bind(&instance)
        .bind(to_json(&secrets)?)
        .execute()
        .await?;
    Ok(())
}

/// The name space in which ids of orders are made: that of the key that the record was made with, which is kept with the record
/// from its first opening on.
pub(crate) async fn order_ids(
    writer: &Pool,
    host_key: &HostKey,
    made_with: KeyId,
) -> Result<Uuid, RecordError> {
    let damaged = || RecordError::Damaged {
        what: "the name space of the ids of orders is not 16 bytes".to_owned(),
    };
    let stored: Option<Vec<u8>> = writer
        .sql("SELECT sealed_order_ids FROM host_key_checks WHERE id = 1")
        .scalar()
        .await?;
    if let Some(sealed) = stored {
        let space = host_key.open(ORDER_IDS, &sealed)?;
        return Uuid::from_slice(&space).map_err(|_| damaged());
    }
    let space = host_key.name_space(made_with, ORDER_IDS).ok_or_else(damaged)?;
    writer
        .sql("UPDATE host_key_checks SET sealed_order_ids = $1 WHERE id = 1 AND sealed_order_ids IS NULL")
        .bind(host_key.seal(ORDER_IDS, &space)?)
        .execute()
        .await?;
    Ok(Uuid::from_bytes(space))
}

#[cfg(test)]
pub(crate) mod tests;
