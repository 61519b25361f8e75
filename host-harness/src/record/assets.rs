//! Assets: what the units of an order became, and every attempt at buying them.

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, SqliteConnection};
use uuid::{Uuid, uuid};

use super::stored::{count, from_json, id, stored_enum, to_json};
use super::{Record, RecordError, Secret, begin_write, now_ms};

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
    None = "none", "None";
    Successful = "successful", "Successful";
});

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptResult {
    /// With a license.
    Licensed,
    /// Definitely not done; a retry can't help.
    Refused,
    /// Definitely not done; a retry can help.
    Unavailable,
    /// May have been done.
    Unknown,
    /// With a license, where the asset has another one already.
    SecondLicense,
}

stored_enum!(AttemptResult {
    Licensed = "licensed", "licensed";
    Refused = "refused", "refused";
    Unavailable = "unavailable", "unavailable";
    Unknown = "unknown", "unknown";
    SecondLicense = "second_license", "second license";
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

/// An attempt that is on record before the vendor is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BegunAttempt {
    /// From 1.
    pub number: u32,
    /// Whether one was begun before, whatever became of it: the vendor is to be asked first.
    pub repeated: bool,
    /// What the vendor is to know the purchase by.
    pub client_transaction_id: Uuid,
}

/// What an attempt brought.
#[derive(Clone, Debug)]
pub enum AttemptOutcome {
    /// A license.
    Licensed(License),
    /// Definitely not done; a retry can't help.
    Refused(Problem),
    /// Definitely not done; a retry can help.
    Unavailable(Problem),
    /// May have been done.
    Unknown(Problem),
}

/// An attempt as it is on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// What the vendor was to know the purchase by.
    pub client_transaction_id: Uuid,
    /// When it was begun, in milliseconds.
    pub begun_at_ms: i64,
    /// When it ended, in milliseconds. None: it has not, or the host stopped meanwhile.
    pub finished_at_ms: Option<i64>,
    /// How it ended. None: it has not.
    pub result: Option<AttemptResult>,
    /// What was wrong. None: nothing, or it has not ended.
    pub problem: Option<Problem>,
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

/// Why an attempt was not begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BeginError {
    /// No such asset.
    #[error("asset `{id}` does not exist")]
    NoAsset {
        /// What was asked for.
        id: Uuid,
    },
    /// There is nothing to buy.
    #[error("asset `{id}` is {sync_status}: nothing is to be bought for it")]
    Settled {
        /// The asset.
        id: Uuid,
        /// Whether it has its license.
        sync_status: SyncStatus,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Why the outcome of an attempt was not taken as it came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FinishError {
    /// No such attempt.
    #[error("asset `{asset}` has no attempt {number}")]
    NoAttempt {
        /// The asset.
        asset: Uuid,
        /// What was asked for.
        number: u32,
    },
    /// It has another outcome on record.
    #[error("attempt {number} at asset `{asset}` has ended already ({result})")]
    Finished {
        /// The asset.
        asset: Uuid,
        /// The attempt.
        number: u32,
        /// How it ended.
        result: AttemptResult,
    },
    /// The asset has a license. The first one is kept, the second is in the attempt's problem.
    #[error(
        "asset `{asset}` has the license of transaction `{kept}`, and the vendor issued another in transaction `{second}`; return the second one to the vendor"
    )]
    SecondLicense {
        /// The asset.
        asset: Uuid,
        /// The vendor's transaction that is kept.
        kept: String,
        /// The vendor's other transaction.
        second: String,
    },
    /// The license belongs to another asset, or to none that is known. It is in the attempt's problem.
    #[error(
        "the license of transaction `{transaction}` does not belong to asset `{asset}`: {why}; ask the vendor's support"
    )]
    NotItsLicense {
        /// The asset.
        asset: Uuid,
        /// The vendor's transaction.
        transaction: String,
        /// How that shows.
        why: String,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl From<sqlx::Error> for BeginError {
    fn from(source: sqlx::Error) -> Self {
        Self::Record(source.into())
    }
}

impl From<sqlx::Error> for FinishError {
    fn from(source: sqlx::Error) -> Self {
        Self::Record(source.into())
    }
}

impl Record {
    /// Puts on record that an asset's license is about to be bought. To be called before the plugin is: what
    /// is not on record could be bought twice.
    ///
    /// # Errors
    /// When the asset has its license already, or has definitively failed.
    pub async fn begin_attempt(&self, asset_id: Uuid) -> Result<BegunAttempt, BeginError> {
        let mut transaction = begin_write(&self.pool).await?;
        let row =
            sqlx::query("SELECT sync_status, client_transaction_id FROM assets WHERE id = $1")
                .bind(asset_id.to_string())
                .fetch_optional(&mut *transaction)
                .await?
                .ok_or(BeginError::NoAsset { id: asset_id })?;
        let sync_status = SyncStatus::from_word(column(&row, "sync_status")?)?;
        if sync_status != SyncStatus::Unsynchronised {
            return Err(BeginError::Settled {
                id: asset_id,
                sync_status,
            });
        }
        let client_transaction_id = id(&row, "client_transaction_id")?;
        let number = last_attempt(&mut transaction, asset_id)
            .await?
            .saturating_add(1);
        sqlx::query(
            "INSERT INTO attempts (asset_id, number, client_transaction_id, begun_at_ms)
             VALUES ($1, $2, $3, $4)",
        )
        .bind(asset_id.to_string())
        .bind(i64::from(number))
        .bind(client_transaction_id.to_string())
        .bind(now_ms())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(BegunAttempt {
            number,
            repeated: number > 1,
            client_transaction_id,
        })
    }

    /// Puts the outcome of an attempt on record, and what it means for the asset:
    ///
    /// - a license: Synchronized, whatever was known before. The same license again changes nothing.
    /// - refused: Failed, unless a later attempt was begun, whose outcome then decides.
    /// - unavailable or unknown: the asset stays as it is, with the reason.
    ///
    /// Nothing that comes late takes a license away from an asset.
    ///
    /// # Errors
    /// When the attempt has ended otherwise before, and when the license can't be the asset's: then the asset
    /// stays as it is, and the attempt holds what came.
    pub async fn finish_attempt(
        &self,
        asset_id: Uuid,
        number: u32,
        outcome: AttemptOutcome,
    ) -> Result<Asset, FinishError> {
        let mut transaction = begin_write(&self.pool).await?;
        let attempt = read_attempt(&mut transaction, asset_id, number)
            .await?
            .ok_or(FinishError::NoAttempt {
                asset: asset_id,
                number,
            })?;
        let asset = self.read_asset_of(&mut transaction, asset_id).await?;
        let (result, problem) = match &outcome {
            AttemptOutcome::Licensed(license) => {
                match not_its_license(&mut transaction, &asset, license).await? {
                    None => (AttemptResult::Licensed, None),
                    Some((result, error)) => {
                        finish(
                            &mut transaction,
                            &attempt,
                            asset_id,
                            result,
                            Some(&as_problem(&error)),
                        )
                        .await?;
                        transaction.commit().await.map_err(RecordError::from)?;
                        tracing::error!(asset = %asset_id, attempt = number, "{error}");
                        return Err(error);
                    }
                }
            }
            AttemptOutcome::Refused(problem) => (AttemptResult::Refused, Some(problem)),
            AttemptOutcome::Unavailable(problem) => (AttemptResult::Unavailable, Some(problem)),
            AttemptOutcome::Unknown(problem) => (AttemptResult::Unknown, Some(problem)),
        };
        if let Some(ended) = attempt.result {
            if ended == result {
                return Ok(asset);
            }
            // A license that comes after all is never dropped.
            if result != AttemptResult::Licensed {
                return Err(FinishError::Finished {
                    asset: asset_id,
                    number,
                    result: ended,
                });
            }
        }
        finish(&mut transaction, &attempt, asset_id, result, problem).await?;
        match (&outcome, problem) {
            (AttemptOutcome::Licensed(license), _) => {
                self.write_license(&mut transaction, asset_id, license)
                    .await?;
            }
            (_, Some(problem)) if asset.sync_status == SyncStatus::Unsynchronised => {
                let is_last = last_attempt(&mut transaction, asset_id).await? == number;
                let failed = is_last && result == AttemptResult::Refused;
                let reason = Reason {
                    result,
                    problem: problem.clone(),
                };
                write_reason(&mut transaction, asset_id, &reason, failed).await?;
            }
            _ => {}
        }
        let asset = self.read_asset_of(&mut transaction, asset_id).await?;
        transaction.commit().await?;
        Ok(asset)
    }

    async fn write_license(
        &self,
        transaction: &mut SqliteConnection,
        asset_id: Uuid,
        license: &License,
    ) -> Result<(), RecordError> {
        let key = license.product_key.expose().as_bytes();
        let sealed_key = self.host_key.seal(&key_purpose(asset_id), key)?;
        let sealed_link = match &license.activation_link {
            Some(link) => Some(
                self.host_key
                    .seal(&link_purpose(asset_id), link.expose().as_bytes())?,
            ),
            None => None,
        };
        sqlx::query(
            "UPDATE assets
             SET sync_status = $2, reason = NULL, transaction_id = $3, license_token_id = $4,
                 sealed_product_key = $5, sealed_activation_link = $6, license_token_status = $7,
                 return_status = $8, purchased_at_ms = $9, returnable_until_ms = $10
             WHERE id = $1",
        )
        .bind(asset_id.to_string())
        .bind(SyncStatus::Synchronized.word())
        .bind(&license.transaction_id)
        .bind(&license.license_token_id)
        .bind(sealed_key)
        .bind(sealed_link)
        .bind(license.license_token_status.word())
        .bind(license.return_status.word())
        .bind(license.purchased_at_ms)
        .bind(license.returnable_until_ms)
        .execute(transaction)
        .await?;
        Ok(())
    }

    /// The asset of an id. None: there is none.
    ///
    /// # Errors
    /// When the record can't be read, or the host key does not open it.
    pub async fn asset(&self, asset_id: Uuid) -> Result<Option<Asset>, RecordError> {
        let row = sqlx::query("SELECT * FROM assets WHERE id = $1")
            .bind(asset_id.to_string())
            .fetch_optional(&self.pool)
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
            query
                .push(" AND instance_id = ")
                .push_bind(instance.to_string());
        }
        if let Some(order) = filter.order {
            query.push(" AND order_id = ").push_bind(order.to_string());
        }
        if let Some(sync_status) = filter.sync_status {
            query
                .push(" AND sync_status = ")
                .push_bind(sync_status.word());
        }
        query.push(" ORDER BY created_at_ms, order_id, position");
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter().map(|row| self.read_asset(row)).collect()
    }

    /// An order's assets that have no license yet and have not definitively failed.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn unfinished_assets(&self, order_id: Uuid) -> Result<Vec<Asset>, RecordError> {
        let sync_status = Some(SyncStatus::Unsynchronised);
        self.assets(AssetFilter {
            order: Some(order_id),
            sync_status,
            instance: None,
        })
        .await
    }

    /// Every attempt at an asset, the first one first.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn attempts(&self, asset_id: Uuid) -> Result<Vec<Attempt>, RecordError> {
        let rows = sqlx::query("SELECT * FROM attempts WHERE asset_id = $1 ORDER BY number")
            .bind(asset_id.to_string())
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(attempt).collect()
    }

    async fn read_asset_of(
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
        })
    }
}

fn key_purpose(asset_id: Uuid) -> String {
    format!("product key of asset {asset_id}")
}

fn link_purpose(asset_id: Uuid) -> String {
    format!("activation link of asset {asset_id}")
}

/// Why a license can't be an asset's. None: it can.
async fn not_its_license(
    transaction: &mut SqliteConnection,
    asset: &Asset,
    license: &License,
) -> Result<Option<(AttemptResult, FinishError)>, FinishError> {
    let not_its = |why: String| {
        let transaction = license.transaction_id.clone();
        let error = FinishError::NotItsLicense {
            asset: asset.id,
            transaction,
            why,
        };
        Ok(Some((AttemptResult::Unknown, error)))
    };
    if Uuid::try_parse(&license.client_transaction_id) != Ok(asset.client_transaction_id) {
        return not_its("the vendor names another client transaction id".to_owned());
    }
    if let Some(kept) = &asset.transaction_id {
        if *kept == license.transaction_id {
            return Ok(None);
        }
        let (kept, second) = (kept.clone(), license.transaction_id.clone());
        let error = FinishError::SecondLicense {
            asset: asset.id,
            kept,
            second,
        };
        return Ok(Some((AttemptResult::SecondLicense, error)));
    }
    let other: Option<String> = sqlx::query_scalar(
        "SELECT id FROM assets WHERE instance_id = $1 AND license_token_id = $2 AND id <> $3",
    )
    .bind(asset.instance_id.to_string())
    .bind(&license.license_token_id)
    .bind(asset.id.to_string())
    .fetch_optional(transaction)
    .await?;
    match other {
        Some(other) => not_its(format!("asset `{other}` has it")),
        None => Ok(None),
    }
}

fn as_problem(error: &FinishError) -> Problem {
    let code = match error {
        FinishError::SecondLicense { .. } => "second-license",
        _ => "not-its-license",
    };
    Problem {
        code: code.to_owned(),
        message: error.to_string(),
        advice: String::new(),
        correlation_id: String::new(),
    }
}

async fn last_attempt(
    transaction: &mut SqliteConnection,
    asset_id: Uuid,
) -> Result<u32, RecordError> {
    let row =
        sqlx::query("SELECT COALESCE(MAX(number), 0) AS number FROM attempts WHERE asset_id = $1")
            .bind(asset_id.to_string())
            .fetch_one(transaction)
            .await?;
    count(&row, "number")
}

async fn read_attempt(
    transaction: &mut SqliteConnection,
    asset_id: Uuid,
    number: u32,
) -> Result<Option<Attempt>, RecordError> {
    let row = sqlx::query("SELECT * FROM attempts WHERE asset_id = $1 AND number = $2")
        .bind(asset_id.to_string())
        .bind(i64::from(number))
        .fetch_optional(transaction)
        .await?;
    row.as_ref().map(attempt).transpose()
}

async fn finish(
    transaction: &mut SqliteConnection,
    attempt: &Attempt,
    asset_id: Uuid,
    result: AttemptResult,
    problem: Option<&Problem>,
) -> Result<(), RecordError> {
    sqlx::query(
        "UPDATE attempts SET finished_at_ms = $3, result = $4, problem = $5
         WHERE asset_id = $1 AND number = $2",
    )
    .bind(asset_id.to_string())
    .bind(i64::from(attempt.number))
    .bind(now_ms())
    .bind(result.word())
    .bind(problem.map(to_json).transpose()?)
    .execute(transaction)
    .await?;
    Ok(())
}

async fn write_reason(
    transaction: &mut SqliteConnection,
    asset_id: Uuid,
    reason: &Reason,
    failed: bool,
) -> Result<(), RecordError> {
    let sync_status = if failed {
        SyncStatus::Failed
    } else {
        SyncStatus::Unsynchronised
    };
    sqlx::query("UPDATE assets SET sync_status = $2, reason = $3 WHERE id = $1")
        .bind(asset_id.to_string())
        .bind(sync_status.word())
        .bind(to_json(reason)?)
        .execute(transaction)
        .await?;
    Ok(())
}

fn attempt(row: &SqliteRow) -> Result<Attempt, RecordError> {
    let result: Option<&str> = row.try_get("result")?;
    let problem: Option<&str> = row.try_get("problem")?;
    Ok(Attempt {
        number: count(row, "number")?,
        client_transaction_id: id(row, "client_transaction_id")?,
        begun_at_ms: row.try_get("begun_at_ms")?,
        finished_at_ms: row.try_get("finished_at_ms")?,
        result: result.map(AttemptResult::from_word).transpose()?,
        problem: problem.map(|_| from_json(row, "problem")).transpose()?,
    })
}

fn column<'r>(row: &'r SqliteRow, name: &str) -> Result<&'r str, RecordError> {
    Ok(row.try_get(name)?)
}
