//! Assets: what the lines of an order became.

use std::collections::{BTreeMap, HashMap};

use bss_model::{
    Act, Actor, Advice, Asset, AssetFilter, AssetStatus, AttemptResult, Diagnose, Diagnosis, ErrorKind,
    Instance, LicenseSecrets, LicenseState, LicenseTokenStatus, Page, Price, ReturnStatus, Rows, Secret,
    Subject, SyncStatus,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::acts::write_act;
use super::instances::read_instance;
use super::paging::KeyColumn::{Integer, Text};
use super::paging::List;
use super::spending::{BeyondSpendingLimit, follow_order, retry_beyond_limit};
use super::stored::{ROWS_PER_STATEMENT, count, from_json, id, optional, push_ids};
use super::{Record, RecordError};
use crate::database::{Builder, Connection, Row};

/// Why an asset's license is not tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetryError {
    /// The asset does not exist.
    #[error("asset `{id}` does not exist")]
    NoAsset {
        /// The id that was asked for.
        id: Uuid,
    },
    /// The asset has its license, so there is nothing to buy.
    #[error("asset `{id}` has its license already")]
    HasLicense {
        /// The asset.
        id: Uuid,
    },
    /// The customer was erased, and the vendor is told of no customer whom nobody knows.
    #[error("the customer of asset `{id}` was erased, and nothing is bought for that customer any more")]
    CustomerErased {
        /// The asset.
        id: Uuid,
    },
    /// The asset was withdrawn, and nothing is bought for it any more.
    #[error("asset `{id}` was withdrawn, and nothing is bought for it any more")]
    Withdrawn {
        /// The asset.
        id: Uuid,
    },
    /// The vendor has stopped selling the product of the asset.
    #[error("product `{code}` is discontinued and can't be sold")]
    Discontinued {
        /// The product's code.
        code: String,
    },
    /// The operator does not sell the product of the asset any more.
    #[error("product `{code}` is not active")]
    Inactive {
        /// The product's code.
        code: String,
    },
    /// The instance may not sell the license again today.
    #[error(transparent)]
    SpendingLimit(#[from] BeyondSpendingLimit),
    /// The asset is not known to have no license: it may have been bought, or is being bought.
    #[error("asset `{id}` was not refused")]
    NotRefused {
        /// The asset.
        id: Uuid,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for RetryError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NoAsset { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "no-asset").advise(Advice::ListAssets)
            }
            Self::HasLicense { .. } => Diagnosis::new(ErrorKind::Conflict, "has-license"),
            Self::CustomerErased { .. } => Diagnosis::new(ErrorKind::Conflict, "customer-erased")
                .say("place a new order, with a key of its own, if the customer wants to buy again"),
            Self::Withdrawn { .. } => {
                Diagnosis::new(ErrorKind::Conflict, "asset-withdrawn").say("place a new order")
            }
            Self::Discontinued { .. } => Diagnosis::new(ErrorKind::Conflict, "product-discontinued"),
            Self::Inactive { code } => Diagnosis::new(ErrorKind::Conflict, "product-inactive")
                .advise(Advice::ActivateProduct { code: code.clone() }),
            Self::SpendingLimit(error) => error.diagnosis(),
            Self::NotRefused { .. } => {
                Diagnosis::new(ErrorKind::Conflict, "not-refused").say("wait until it is settled")
            }
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// The ground on which an asset is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ground {
    /// An operator's word: what was in doubt, or was accepted, may be bought again once it is not found.
    Word,
    /// The vendor's refusal alone. What was in doubt of earlier attempts stays so.
    Refusal,
}

/// A query for the ids of the assets of customer `$1`, at instance `$2` where that is not NULL.
macro_rules! assets_of_customer {
    () => {
        "SELECT id FROM assets WHERE customer_id = $1 AND ($2 IS NULL OR instance_id = $2)"
    };
}

pub(super) use assets_of_customer;

/// Assets by the time of their orders.
pub(super) const ASSETS: List = List {
    name: "assets",
    key: &[Integer("created_at_ms"), Text("order_id"), Integer("position")],
};

pub(super) fn assets_query(filter: &AssetFilter) -> Builder {
    let mut query = Builder::new("SELECT * FROM assets WHERE 1 = 1");
    if let Some(instance) = filter.instance {
        query.push(" AND instance_id = ").push_bind(instance.to_string());
    }
    if let Some(order) = filter.order {
        query.push(" AND order_id = ").push_bind(order.to_string());
    }
    if let Some(customer) = &filter.customer {
        query.push(" AND customer_id = ").push_bind(customer.clone());
    }
    if let Some(product) = &filter.product {
        query.push(" AND product_code = ").push_bind(product.clone());
    }
    if let Some(since_ms) = filter.since_ms {
        query.push(" AND created_at_ms >= ").push_bind(since_ms);
    }
    if let Some(until_ms) = filter.until_ms {
        query.push(" AND created_at_ms < ").push_bind(until_ms);
    }
    if let Some(state) = filter.state {
        query.push(of_state(state));
    }
    if let Some(sync_status) = filter.sync_status {
        query.push(" AND sync_status = ").push_bind(sync_status.word());
    }
    if let Some(open_since_ms) = filter.open_since_ms {
        query
            .push(" AND sync_status = ")
            .push_bind(SyncStatus::Unsynchronised.word());
        query.push(" AND wanted_since_ms <= ").push_bind(open_since_ms);
    }
    query
}

/// The condition of assets in a state, as [`bss_model::license_state`] tells it. SQLite uses a partial index only for a query
/// with the index's own condition, word for word. The
/// index of sync statuses, which has nearly every license as synchronized, is left out where another one finds fewer.
fn of_state(state: LicenseState) -> &'static str {
    match state {
        LicenseState::Open => " AND sync_status = 'unsynchronised'",
        LicenseState::Refused => " AND sync_status = 'failed'",
        LicenseState::Withdrawn => " AND sync_status = 'withdrawn'",
        LicenseState::Licensed => {
            " AND sync_status = 'synchronized' AND status <> 'cancelled'
              AND NOT (status = 'active' AND return_status = 'successful')"
        }
        LicenseState::Returned => {
            " AND status = 'active' AND return_status = 'successful' AND NOT (sync_status <> 'synchronized')"
        }
        LicenseState::Cancelled => " AND status = 'cancelled' AND NOT (sync_status <> 'synchronized')",
    }
}

impl Record {
    /// The instance of an asset. `None`: there is no such asset.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn instance_of_asset(&self, asset_id: Uuid) -> Result<Option<Uuid>, RecordError> {
        let row = self
            .readers
            .sql("SELECT instance_id FROM assets WHERE id = $1")
            .bind(asset_id.to_string())
            .fetch_optional()
            .await?;
        row.map(|row| id(&row, "instance_id")).transpose()
    }

    /// Reads an asset by its id. `None`: it does not exist.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn asset(&self, asset_id: Uuid) -> Result<Option<Asset>, RecordError> {
        let row = self
            .readers
            .sql("SELECT * FROM assets WHERE id = $1")
            .bind(asset_id.to_string())
            .fetch_optional()
            .await?;
        row.as_ref().map(read_asset).transpose()
    }

    /// Assets that match a filter, by the time of their orders. Nothing is decrypted.
    ///
    /// # Errors
    /// When the record can't be read, or the page is not of this list.
    pub async fn assets(&self, filter: &AssetFilter, page: &Page) -> Result<Rows<Asset>, RecordError> {
        self.page(&ASSETS, assets_query(filter), page, read_asset).await
    }

    /// The assets of orders, by order, each order's by position. An order that does not exist is left out.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn assets_of_orders(&self, orders: &[Uuid]) -> Result<HashMap<Uuid, Vec<Asset>>, RecordError> {
        let mut assets = HashMap::<Uuid, Vec<Asset>>::with_capacity(orders.len());
        for some in orders.chunks(ROWS_PER_STATEMENT) {
            let mut query = Builder::new("SELECT * FROM assets WHERE order_id IN (");
            push_ids(&mut query, some);
            // A statement per number of ids is not worth keeping in the cache.
            let query = self
                .readers
                .build(query.push(") ORDER BY order_id, position"))
                .persistent(false);
            for row in &query.fetch_all().await? {
                let asset = read_asset(row)?;
                assets.entry(asset.order_id).or_default().push(asset);
            }
        }
        Ok(assets)
    }

    /// The secrets of assets' licenses, by asset, to be shown to somebody; only these are decrypted. An asset without license
    /// is left out. That they are shown is an act, for each of them.
    ///
    /// # Errors
    /// When the record can't be read or written, or the host key does not open one of them.
    pub async fn show_license_secrets(
        &self,
        assets: &[Uuid],
        actor: &Actor,
    ) -> Result<BTreeMap<Uuid, LicenseSecrets>, RecordError> {
        let mut secrets = BTreeMap::new();
        // Other writers come in between: with many licenses, all of them at once would take longer than they wait.
        for assets in assets.chunks(ROWS_PER_STATEMENT) {
            let mut transaction = self.begin_write().await?;
            let read = self.read_license_secrets(&mut transaction, assets).await?;
            for (asset_id, (instance_id, _)) in &read {
                let (act, subject) = (Act::ShowKeys, Subject::asset(*asset_id));
                let instance_id = Some(*instance_id);
                write_act(&mut transaction, actor, act, &subject, instance_id, Value::Null).await?;
            }
            transaction.commit().await?;
            secrets.extend(
                read.into_iter()
                    .map(|(asset_id, (_, secrets))| (asset_id, secrets)),
            );
        }
        Ok(secrets)
    }

    /// The secrets of assets' licenses and the instances of the assets, by asset.
    pub(super) async fn read_license_secrets(
        &self,
        connection: &mut Connection,
        assets: &[Uuid],
    ) -> Result<BTreeMap<Uuid, (Uuid, LicenseSecrets)>, RecordError> {
        let mut query = Builder::new(
            "SELECT id, instance_id, sealed_product_key, sealed_activation_link FROM assets
             WHERE sealed_product_key IS NOT NULL AND id IN (",
        );
        push_ids(&mut query, assets);
        // A statement per number of ids is not worth keeping in the cache.
        let query = connection.build(query.push(")")).persistent(false);
        let rows = query.fetch_all().await?;
        let mut secrets = BTreeMap::new();
        for row in &rows {
            let instance_id = id(row, "instance_id")?;
            secrets.insert(id(row, "id")?, (instance_id, self.open_license(row)?));
        }
        Ok(secrets)
    }

    fn open_license(&self, row: &Row) -> Result<LicenseSecrets, RecordError> {
        let asset_id = id(row, "id")?;
        let link: Option<&[u8]> = row.try_get("sealed_activation_link")?;
        let link = link.map(|link| self.open_secret(&link_purpose(asset_id), link));
        Ok(LicenseSecrets {
            product_key: self.open_secret(&key_purpose(asset_id), row.try_get("sealed_product_key")?)?,
            activation_link: link.transpose()?,
        })
    }

    /// Opens a secret that was sealed for a purpose.
    pub(super) fn open_secret(&self, purpose: &str, sealed: &[u8]) -> Result<Secret, RecordError> {
        let text = self.host_key.open(purpose, sealed)?;
        let text = std::str::from_utf8(&text).map_err(|_| RecordError::Damaged {
            what: format!("the {purpose} is not UTF-8 text"),
        })?;
        Ok(Secret::new(text))
    }

    /// Makes an asset's purchase due now: a definitive failure is open again, and a pause ends. The client
    /// transaction id stays the same and the next attempt looks it up first, so that nothing is bought twice. An asset that
    /// was to be withdrawn is not any more.
    ///
    /// # Errors
    /// When the asset does not exist, has its license or was withdrawn, and when its customer was erased.
    pub async fn retry_asset(&self, asset_id: Uuid, actor: &Actor) -> Result<(), RetryError> {
        self.retry(asset_id, Ground::Word, actor).await
    }

    /// Makes the purchase of an asset that was refused due again, as [`Record::retry_asset`] does, without an operator's word: what is in
    /// doubt of earlier attempts, or was accepted by the vendor, is only looked up. For programs, which know of the vendor what
    /// is on record.
    ///
    /// # Errors
    /// Like [`Record::retry_asset`], and when the asset was not refused.
    pub async fn retry_refused(&self, asset_id: Uuid, actor: &Actor) -> Result<(), RetryError> {
        self.retry(asset_id, Ground::Refusal, actor).await
    }

    async fn retry(&self, asset_id: Uuid, ground: Ground, actor: &Actor) -> Result<(), RetryError> {
        let mut transaction = self.begin_write().await.map_err(RetryError::Record)?;
        self.release_dead_workers(&mut transaction).await?;
        let row = transaction.sql(
            "SELECT sync_status, generation, assets.instance_id, customer_erased_at_ms IS NOT NULL AS is_erased
             FROM assets JOIN orders ON orders.id = assets.order_id WHERE assets.id = $1",
        )
        .bind(asset_id.to_string())
        .fetch_optional()
        .await?
        .ok_or(RetryError::NoAsset { id: asset_id })?;
        let word: &str = row.try_get("sync_status")?;
        let before = SyncStatus::from_word(word).map_err(RecordError::from)?;
        match before {
            SyncStatus::Synchronized => return Err(RetryError::HasLicense { id: asset_id }),
            SyncStatus::Withdrawn => return Err(RetryError::Withdrawn { id: asset_id }),
            SyncStatus::Unsynchronised if ground == Ground::Refusal => {
                return Err(RetryError::NotRefused { id: asset_id });
            }
            SyncStatus::Unsynchronised | SyncStatus::Failed => {}
        }
        if row.try_get("is_erased")? {
            return Err(RetryError::CustomerErased { id: asset_id });
        }
        let instance = instance_of(&mut transaction, asset_id).await?;
        if ground == Ground::Refusal {
            check_sale(&mut transaction, &instance, asset_id).await?;
        }
        transaction
            .sql(
                "UPDATE assets
             SET sync_status = $2, due_at_ms = $3, wanted_since_ms = $3, overdue_told = FALSE,
                 withdrawal_asked_at_ms = NULL
             WHERE id = $1",
            )
            .bind(asset_id.to_string())
            .bind(SyncStatus::Unsynchronised.word())
            .bind_now()
            .execute()
            .await?;
        if ground == Ground::Word {
            take_word(&mut transaction, asset_id).await?;
        }
        follow_order(&mut transaction, &instance).await?;
        let detail = json!({ "generation": count(&row, "generation")?, "sync_status": before.word() });
        let (act, subject) = (Act::RetryAsset, Subject::asset(asset_id));
        let instance_id = Some(id(&row, "instance_id")?);
        write_act(&mut transaction, actor, act, &subject, instance_id, detail).await?;
        transaction.commit().await?;
        Ok(())
    }
}

async fn instance_of(transaction: &mut Connection, asset_id: Uuid) -> Result<Instance, RecordError> {
    let row = transaction.sql(
        "SELECT instances.* FROM instances JOIN assets ON assets.instance_id = instances.id WHERE assets.id = $1",
    )
    .bind(asset_id.to_string())
    .fetch_one()
    .await?;
    read_instance(&row)
}

/// Refuses to sell again what could not be ordered now.
async fn check_sale(
    transaction: &mut Connection,
    instance: &Instance,
    asset_id: Uuid,
) -> Result<(), RetryError> {
    let asset = read_asset_of(transaction, asset_id).await?;
    let row = transaction
        .sql("SELECT active, discontinued FROM products WHERE instance_id = $1 AND code = $2")
        .bind(instance.id.to_string())
        .bind(&asset.product_code)
        .fetch_optional()
        .await?;
    let says = |column| match &row {
        Some(row) => row.try_get(column),
        None => Ok(false),
    };
    let code = asset.product_code.clone();
    if says("discontinued")? {
        return Err(RetryError::Discontinued { code });
    }
    if !says("active")? {
        return Err(RetryError::Inactive { code });
    }
    match retry_beyond_limit(transaction, instance, &asset).await? {
        Some(beyond) => Err(beyond.into()),
        None => Ok(()),
    }
}

/// Takes an operator's word for what is in doubt of an asset's attempts. The operator knows the settings up to now: only a later
/// change makes a look-up that finds nothing mean nothing. An attempt that is under way was made with its own. The operator also
/// knows that a vendor which has taken the order will not issue the license any more.
async fn take_word(transaction: &mut Connection, asset_id: Uuid) -> Result<(), RecordError> {
    transaction
        .sql(
            "UPDATE attempts
         SET settings_version = (SELECT instances.version FROM instances
                                 JOIN assets ON assets.instance_id = instances.id WHERE assets.id = $1),
             result = CASE WHEN result = $2 THEN $3 ELSE result END
         WHERE asset_id = $1
         AND (result IS NOT NULL OR NOT EXISTS (SELECT 1 FROM assets WHERE id = $1 AND worker IS NOT NULL))",
        )
        .bind(asset_id.to_string())
        .bind(AttemptResult::Accepted.word())
        .bind(AttemptResult::Unknown.word())
        .execute()
        .await?;
    Ok(())
}

pub(super) async fn read_asset_of(connection: &mut Connection, asset_id: Uuid) -> Result<Asset, RecordError> {
    let row = connection
        .sql("SELECT * FROM assets WHERE id = $1")
        .bind(asset_id.to_string())
        .fetch_one()
        .await?;
    read_asset(&row)
}

pub(super) fn read_asset(row: &Row) -> Result<Asset, RecordError> {
    let license_token_status: Option<&str> = row.try_get("license_token_status")?;
    Ok(Asset {
        id: id(row, "id")?,
        instance_id: id(row, "instance_id")?,
        order_id: id(row, "order_id")?,
        position: count(row, "position")?,
        product_code: row.try_get("product_code")?,
        product_name: row.try_get("product_name")?,
        quantity: count(row, "quantity")?,
        generation: count(row, "generation")?,
        client_transaction_id: id(row, "client_transaction_id")?,
        status: AssetStatus::from_word(row.try_get("status")?)?,
        sync_status: SyncStatus::from_word(row.try_get("sync_status")?)?,
        reason: optional(row, "reason", from_json)?,
        transaction_id: row.try_get("transaction_id")?,
        license_token_id: row.try_get("license_token_id")?,
        masked_product_key: row.try_get("masked_product_key")?,
        activation_link_host: row.try_get("activation_link_host")?,
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
        withdrawal_asked_at_ms: row.try_get("withdrawal_asked_at_ms")?,
    })
}

fn price(row: &Row) -> Result<Option<Price>, RecordError> {
    let currency: Option<String> = row.try_get("currency")?;
    let minor_units: Option<i64> = row.try_get("price_minor_units")?;
    Ok(currency.zip(minor_units).map(|(currency, minor_units)| Price {
        currency,
        minor_units,
    }))
}

/// The purpose of the digest of a product key, which is the same for all assets: no two of them have one key.
pub(super) const KEY_DIGEST: &str = "product key";

pub(super) fn key_purpose(asset_id: Uuid) -> String {
    format!("product key of asset {asset_id}")
}

pub(super) fn link_purpose(asset_id: Uuid) -> String {
    format!("activation link of asset {asset_id}")
}
