//! Assets: what the units of an order became.

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, SqliteConnection};
use uuid::{Uuid, uuid};

use super::attempts::AttemptResult;
use super::products::Price;
use super::stored::{count, from_json, id, stored_enum};
use super::{Record, RecordError, Secret, begin_write};
use crate::clock::now_ms;

/// The name space of client transaction ids (RFC 9562, version 5). It must never change: an id that is asked for
/// again must come out the same.
const CLIENT_TRANSACTION_IDS: Uuid = uuid!("6f0d3f0e-6a0c-4f0b-9c53-2b8f5c0a7e41");

/// The host's name for a purchase: the same for every attempt at an asset's `generation`, and for no other.
pub fn client_transaction_id(instance_id: Uuid, asset_id: Uuid, generation: u32) -> Uuid {
    let name = format!("{instance_id}/{asset_id}/{generation}");
    Uuid::new_v5(&CLIENT_TRANSACTION_IDS, name.as_bytes())
}

/// What the platform does with an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssetStatus {
    /// In use.
    Active,
    /// Canceled on the platform.
    Cancelled,
}

stored_enum!(AssetStatus {
    Active = "active", "active";
    Cancelled = "cancelled", "cancelled";
});

/// Whether an asset has its license, as the platform spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncStatus {
    /// Not yet, or nobody knows.
    Unsynchronised,
    /// It has.
    Synchronized,
    /// Definitely not.
    Failed,
}

stored_enum!(SyncStatus {
    Unsynchronised = "unsynchronised", "Unsynchronised";
    Synchronized = "synchronized", "Synchronized";
    Failed = "failed", "Failed";
});

/// What the vendor says of a license, as the platform spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LicenseTokenStatus {
    /// Issued and not used yet.
    Activated,
    /// Used by the customer.
    Redeemed,
    /// Returned unused.
    ReturnAccepted,
}

stored_enum!(LicenseTokenStatus {
    Activated = "activated", "Activated";
    Redeemed = "redeemed", "Redeemed";
    ReturnAccepted = "return_accepted", "Return Accepted";
});

/// What became of a return, as the platform spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnStatus {
    /// None was asked for, or it was refused.
    None,
    /// The vendor took the license back.
    Successful,
}

stored_enum!(ReturnStatus {
    None = "none", "NONE";
    Successful = "successful", "SUCCESSFUL";
});

/// What was wrong, in words for a program and for an operator. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable, lower case, words joined by `-`.
    pub code: String,
    /// What was wrong, as one sentence.
    pub message: String,
    /// What to do about it, as one sentence. Empty: nothing is known to help.
    pub advice: String,
    /// The vendor's name for the exchange. Empty: none.
    pub correlation_id: String,
}

/// A license as the vendor issued it.
#[derive(Clone, Debug)]
pub struct License {
    /// The purchase it came from, a UUID.
    pub client_transaction_id: String,
    /// The vendor's name for the purchase.
    pub transaction_id: String,
    /// The vendor's name for the license token.
    pub license_token_id: String,
    /// What the customer types in.
    pub product_key: Secret,
    /// Where the customer redeems it. None: the vendor gave none.
    pub activation_link: Option<Secret>,
    /// What the vendor says of it.
    pub license_token_status: LicenseTokenStatus,
    /// What became of a return.
    pub return_status: ReturnStatus,
    /// When the vendor issued it, in milliseconds.
    pub purchased_at_ms: i64,
    /// Until when it can be returned, in milliseconds. None: the vendor did not say.
    pub returnable_until_ms: Option<i64>,
}

/// Why an asset has no license.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// How the last attempt ended.
    pub result: AttemptResult,
    /// What was wrong.
    pub problem: Problem,
}

/// One unit of an order, and its license.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Stable and unique.
    pub id: Uuid,
    /// Where it was ordered.
    pub instance_id: Uuid,
    /// The order.
    pub order_id: Uuid,
    /// The order line, from 1.
    pub position: u32,
    /// The product's code.
    pub product_code: String,
    /// The product's name when it was ordered.
    pub product_name: String,
    /// How often its purchase was started afresh after a definitive refusal.
    pub generation: u32,
    /// The host's name for its purchase.
    pub client_transaction_id: Uuid,
    /// What the platform does with it.
    pub status: AssetStatus,
    /// Whether it has its license.
    pub sync_status: SyncStatus,
    /// Why it has no license. None: it has one, or nothing was tried yet.
    pub reason: Option<Reason>,
    /// The vendor's name for its purchase.
    pub transaction_id: Option<String>,
    /// The vendor's name for its license token.
    pub license_token_id: Option<String>,
    /// What the customer types in.
    pub product_key: Option<Secret>,
    /// Where the customer redeems it.
    pub activation_link: Option<Secret>,
    /// What the vendor said last of the license.
    pub license_token_status: Option<LicenseTokenStatus>,
    /// What became of a return.
    pub return_status: ReturnStatus,
    /// When the vendor issued the license, in milliseconds.
    pub purchased_at_ms: Option<i64>,
    /// Until when it can be returned, in milliseconds.
    pub returnable_until_ms: Option<i64>,
    /// When it was ordered, in milliseconds.
    pub created_at_ms: i64,
    /// Not to be attempted before, in milliseconds.
    pub due_at_ms: i64,
    /// Since when its license is being bought, in milliseconds: when it was ordered, or tried again.
    pub wanted_since_ms: i64,
    /// What it was sold for. None: it was ordered before products had prices.
    pub price: Option<Price>,
    /// When the vendor last said what became of the license, in milliseconds.
    pub refreshed_at_ms: Option<i64>,
}

/// Which assets to show; all that is given must hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct AssetFilter {
    /// Of an instance.
    pub instance: Option<Uuid>,
    /// Of an order.
    pub order: Option<Uuid>,
    /// With or without license.
    pub sync_status: Option<SyncStatus>,
}

/// Why an asset is not tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetryError {
    /// No such asset.
    #[error("asset `{id}` does not exist; `asset list` shows those that do")]
    NoAsset {
        /// What was asked for.
        id: Uuid,
    },
    /// There is nothing to buy.
    #[error("asset `{id}` has its license; there is nothing to try again")]
    HasLicense {
        /// The asset.
        id: Uuid,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Record {
    /// The asset of an id. None: there is none.
    ///
    /// # Errors
    /// When the record can't be read, or the host key does not open it.
    pub async fn asset(&self, asset_id: Uuid) -> Result<Option<Asset>, RecordError> {
        let row = sqlx::query("SELECT * FROM assets WHERE id = $1")
            .bind(asset_id.to_string())
            .fetch_optional(&self.readers)
            .await?;
        row.as_ref().map(|row| self.read_asset(row)).transpose()
    }

    /// The assets that a filter names, in the order in which they were ordered.
    ///
    /// # Errors
    /// When the record can't be read, or the host key does not open it.
    pub async fn assets(&self, filter: AssetFilter) -> Result<Vec<Asset>, RecordError> {
        let mut query = QueryBuilder::new("SELECT * FROM assets WHERE 1 = 1");
        if let Some(instance) = filter.instance {
            query.push(" AND instance_id = ").push_bind(instance.to_string());
        }
        if let Some(order) = filter.order {
            query.push(" AND order_id = ").push_bind(order.to_string());
        }
        if let Some(sync_status) = filter.sync_status {
            query.push(" AND sync_status = ").push_bind(sync_status.word());
        }
        query.push(" ORDER BY created_at_ms, order_id, position");
        let rows = query.build().fetch_all(&self.readers).await?;
        rows.iter().map(|row| self.read_asset(row)).collect()
    }

    /// Has an asset's license bought after all, from now on: one that has definitively failed is open again, and
    /// one that waits for its time waits no more. Its client transaction id stays what it was, and the next attempt
    /// looks it up first, so that nothing is ever bought twice.
    ///
    /// # Errors
    /// When there is no such asset, or it has its license.
    pub async fn retry_asset(&self, asset_id: Uuid) -> Result<(), RetryError> {
        let mut transaction = begin_write(&self.writer).await.map_err(RetryError::Record)?;
        let row = sqlx::query("SELECT sync_status FROM assets WHERE id = $1")
            .bind(asset_id.to_string())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(RecordError::from)?
            .ok_or(RetryError::NoAsset { id: asset_id })?;
        let word: &str = row.try_get("sync_status").map_err(RecordError::from)?;
        if SyncStatus::from_word(word)? == SyncStatus::Synchronized {
            return Err(RetryError::HasLicense { id: asset_id });
        }
        sqlx::query(
            "UPDATE assets
             SET sync_status = $2, due_at_ms = $3, wanted_since_ms = $3, overdue_told = FALSE
             WHERE id = $1",
        )
        .bind(asset_id.to_string())
        .bind(SyncStatus::Unsynchronised.word())
        .bind(now_ms())
        .execute(&mut *transaction)
        .await
        .map_err(RecordError::from)?;
        // Whoever tries again knows what the settings were and are, and not what they will be.
        sqlx::query(
            "UPDATE attempts
             SET settings_version = (SELECT instances.version FROM instances
                                     JOIN assets ON assets.instance_id = instances.id WHERE assets.id = $1)
             WHERE asset_id = $1",
        )
        .bind(asset_id.to_string())
        .execute(&mut *transaction)
        .await
        .map_err(RecordError::from)?;
        transaction.commit().await.map_err(RecordError::from)?;
        Ok(())
    }

    pub(super) async fn read_asset_of(
        &self,
        connection: &mut SqliteConnection,
        asset_id: Uuid,
    ) -> Result<Asset, RecordError> {
        let row = sqlx::query("SELECT * FROM assets WHERE id = $1")
            .bind(asset_id.to_string())
            .fetch_one(connection)
            .await?;
        self.read_asset(&row)
    }

    fn read_asset(&self, row: &SqliteRow) -> Result<Asset, RecordError> {
        let asset_id = id(row, "id")?;
        let reason: Option<&str> = row.try_get("reason")?;
        let license_token_status: Option<&str> = row.try_get("license_token_status")?;
        let opened = |name: &str, purpose: String| -> Result<Option<Secret>, RecordError> {
            let Some(sealed) = row.try_get::<Option<&[u8]>, _>(name)? else {
                return Ok(None);
            };
            let text = self.host_key.open(&purpose, sealed)?;
            let text = std::str::from_utf8(&text).map_err(|_| RecordError::Damaged {
                what: format!("the {purpose} is no text"),
            })?;
            Ok(Some(Secret::new(text)))
        };
        Ok(Asset {
            id: asset_id,
            instance_id: id(row, "instance_id")?,
            order_id: id(row, "order_id")?,
            position: count(row, "position")?,
            product_code: row.try_get("product_code")?,
            product_name: row.try_get("product_name")?,
            generation: count(row, "generation")?,
            client_transaction_id: id(row, "client_transaction_id")?,
            status: AssetStatus::from_word(row.try_get("status")?)?,
            sync_status: SyncStatus::from_word(row.try_get("sync_status")?)?,
            reason: reason.map(|_| from_json(row, "reason")).transpose()?,
            transaction_id: row.try_get("transaction_id")?,
            license_token_id: row.try_get("license_token_id")?,
            product_key: opened("sealed_product_key", key_purpose(asset_id))?,
            activation_link: opened("sealed_activation_link", link_purpose(asset_id))?,
            license_token_status: license_token_status
                .map(LicenseTokenStatus::from_word)
                .transpose()?,
            return_status: ReturnStatus::from_word(row.try_get("return_status")?)?,
            purchased_at_ms: row.try_get("purchased_at_ms")?,
            returnable_until_ms: row.try_get("returnable_until_ms")?,
            created_at_ms: row.try_get("created_at_ms")?,
            due_at_ms: row.try_get("due_at_ms")?,
            wanted_since_ms: row.try_get("wanted_since_ms")?,
            price: price(row)?,
            refreshed_at_ms: row.try_get("refreshed_at_ms")?,
        })
    }
}

fn price(row: &SqliteRow) -> Result<Option<Price>, RecordError> {
    let currency: Option<String> = row.try_get("currency")?;
    let minor_units: Option<i64> = row.try_get("price_minor_units")?;
    Ok(currency.zip(minor_units).map(|(currency, minor_units)| Price {
        currency,
        minor_units,
    }))
}

pub(super) fn key_purpose(asset_id: Uuid) -> String {
    format!("product key of asset {asset_id}")
}

pub(super) fn link_purpose(asset_id: Uuid) -> String {
    format!("activation link of asset {asset_id}")
}
