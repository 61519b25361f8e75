//! Attempts at buying an asset's license: on record before the vendor is called, and closed with what came of it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bss_model::purchase_rule::LineAge;
use bss_model::{
    Asset, AssetStatus, Attempt, AttemptOutcome, AttemptResult, BegunAttempt, Diagnose, Diagnosis, ErrorKind,
    License, OutcomeKind, Problem, Reason, ReturnStatus, SyncStatus,
};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::assets::{KEY_DIGEST, key_purpose, link_purpose, read_asset_of};
use super::charges::charge;
use super::earlier_attempts::earlier_of;
use super::order_mails::release_settled;
use super::outbox::enqueue;
use super::outcomes::tell;
use super::patience::Patience;
use super::stored::{boot, count, from_json, id, optional, to_json, uptime_ms};
use super::withdrawals::{may_be_withdrawn, withdraw_line};
use super::{Record, RecordError};
use crate::database::{Builder, Connection, Row};

/// The end of an attempt, to be written to the record.
#[derive(Debug)]
struct AttemptEnd {
    asset_id: Uuid,
    number: u32,
    outcome: AttemptOutcome,
    due_at_ms: i64,
}

/// A finished attempt and the task waiting for its commit.
type Waiting = (AttemptEnd, oneshot::Sender<Result<Asset, FinishError>>);

/// Finished attempts waiting for the next commit. The task that holds `turn` writes all of them in one transaction.
#[derive(Debug, Default)]
pub(super) struct AttemptEnds {
    waiting: Mutex<Vec<Waiting>>,
    turn: tokio::sync::Mutex<()>,
}

impl AttemptEnds {
    fn wait(&self, end: AttemptEnd, answer: oneshot::Sender<Result<Asset, FinishError>>) {
        self.waiting().push((end, answer));
    }

    fn take(&self) -> Vec<Waiting> {
        std::mem::take(&mut *self.waiting())
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the outcome of an attempt was not recorded as reported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FinishError {
    /// The attempt does not exist.
    #[error("asset `{asset}` has no purchase attempt {number}")]
    NoAttempt {
        /// The asset.
        asset: Uuid,
        /// The number that was asked for.
        number: u32,
    },
    /// The attempt has another outcome on record.
    #[error("attempt {number} to buy the license of asset `{asset}` has ended already ({result})")]
    Finished {
        /// The asset.
        asset: Uuid,
        /// The attempt.
        number: u32,
        /// The outcome on record.
        result: AttemptResult,
    },
    /// The asset already has a license. That one is kept; the second one is in the attempt's problem.
    #[error(
        "asset `{asset}` has the license of transaction `{kept}`, and the vendor issued another in transaction `{second}`"
    )]
    SecondLicense {
        /// The asset.
        asset: Uuid,
        /// The vendor's transaction that is kept.
        kept: String,
        /// The vendor's other transaction.
        second: String,
    },
    /// The license belongs to another asset, or to an unknown one. The attempt's problem names it.
    #[error("the license of transaction `{transaction}` does not belong to asset `{asset}`: {why}")]
    NotItsLicense {
        /// The asset.
        asset: Uuid,
        /// The vendor's transaction.
        transaction: String,
        /// How the mismatch shows.
        why: String,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for FinishError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NoAttempt { .. } => Diagnosis::new(ErrorKind::NotFound, "no-attempt"),
            Self::Finished { .. } => Diagnosis::new(ErrorKind::Conflict, "attempt-finished"),
            Self::SecondLicense { .. } => Diagnosis::new(ErrorKind::Conflict, "second-license")
                .say("return the second license to the vendor"),
            Self::NotItsLicense { .. } => {
                Diagnosis::new(ErrorKind::Conflict, "not-its-license").say("ask the vendor's support")
            }
            Self::Record(error) => error.diagnosis(),
        }
    }
}

impl Record {
    /// Puts the outcome of an attempt on record, and what it means for the asset:
    ///
    /// - a license: Synchronized, whatever was known before. The same license again changes nothing.
    /// - refused: Failed, unless a later attempt was begun, whose outcome then decides.
    /// - not bought, refused or unavailable: Withdrawn, where that was asked for and nothing is in doubt any more.
    /// - unavailable, unknown, accepted or looked up: the asset stays as it is, with the reason.
    ///
    /// A late outcome never takes a license away from an asset. The asset is free for the next worker, which may
    /// attempt it from `due_at_ms` on, in milliseconds since 1970.
    ///
    /// # Errors
    /// When the attempt has already ended with another outcome, and when the license can't be the asset's: then the
    /// asset stays as it is, and the attempt keeps the outcome.
    pub async fn finish_attempt(
        &self,
        asset_id: Uuid,
        number: u32,
        outcome: AttemptOutcome,
        due_at_ms: i64,
    ) -> Result<Asset, FinishError> {
        let end = AttemptEnd {
            asset_id,
            number,
            outcome,
            due_at_ms,
        };
        let (answer, answered) = oneshot::channel();
        self.ends.wait(end, answer);
        // A task of its own writes the purchase down even if the caller is dropped.
        let record = self.clone();
        tokio::spawn(async move { record.write_ends().await });
        // Reached only while the runtime shuts down; the next attempt looks the purchase up.
        answered
            .await
            .unwrap_or_else(|_| Err(RecordError::TaskEnded.into()))
    }

    /// Writes all finished attempts that wait, in one transaction: attempts that end together cost one flush to disk.
    async fn write_ends(&self) {
        let _turn = self.ends.turn.lock().await;
        let ends = self.ends.take();
        if ends.is_empty() {
            return;
        }
        let mut results = Vec::with_capacity(ends.len());
        if let Err(error) = self.write_together(&ends, &mut results).await {
            tracing::warn!(%error, "the outcomes of several purchase attempts can't be recorded together; each is recorded on its own");
            results.clear();
            let mut patience = self.patience();
            for (end, _) in &ends {
                results.push(self.write_end_alone(end, &mut patience).await);
            }
        }
        for ((_, answer), result) in ends.into_iter().zip(results) {
            // The receiver may be gone; the outcome is on record anyway.
            let _ = answer.send(result);
        }
    }

    async fn write_together(
        &self,
        ends: &[Waiting],
        results: &mut Vec<Result<Asset, FinishError>>,
    ) -> Result<(), FinishError> {
        let mut transaction = self.begin_write().await?;
        for (end, _) in ends {
            match self.write_end(&mut transaction, end).await {
                Err(FinishError::Record(error)) => return Err(error.into()),
                result => results.push(result),
            }
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn write_end_alone(&self, end: &AttemptEnd, patience: &mut Patience) -> Result<Asset, FinishError> {
        loop {
            match self.try_to_write_end(end).await {
                Err(FinishError::Record(error)) if patience.allows(&error).await => {}
                written => return written,
            }
        }
    }

    async fn try_to_write_end(&self, end: &AttemptEnd) -> Result<Asset, FinishError> {
        let mut transaction = self.begin_write().await?;
        let result = self.write_end(&mut transaction, end).await;
        if !matches!(result, Err(FinishError::Record(_))) {
            transaction.commit().await?;
        }
        result
    }

    /// Writes the end of one attempt. Every result is to be committed, errors too, unless the record failed.
    async fn write_end(&self, transaction: &mut Connection, end: &AttemptEnd) -> Result<Asset, FinishError> {
        let (asset_id, number, outcome) = (end.asset_id, end.number, &end.outcome);
        let attempts = read_attempts(transaction, asset_id).await?;
        let attempt =
            attempts
                .iter()
                .find(|attempt| attempt.number == number)
                .ok_or(FinishError::NoAttempt {
                    asset: asset_id,
                    number,
                })?;
        let is_last = attempts.last().is_some_and(|last| last.number == number);
        // A doubt that was written down meanwhile has no worker.
        let is_last_begun = attempts
            .iter()
            .rfind(|attempt| attempt.result != Some(AttemptResult::Restored))
            .is_some_and(|last| last.number == number);
        let asset = read_asset_of(transaction, asset_id).await?;
        // After a later attempt was begun, the asset belongs to that attempt's worker.
        if is_last_begun {
            release(transaction, end).await?;
        }
        if let AttemptOutcome::Licensed(license) = outcome
            && let Some((result, error)) = self.not_its_license(transaction, &asset, license).await?
        {
            let problem = Problem::of(&error, error.to_string());
            finish(transaction, attempt, asset_id, result, Some(&problem)).await?;
            if result == AttemptResult::SecondLicense && attempt.result != Some(result) {
                tell(transaction, OutcomeKind::SecondLicense, asset_id, Some(&problem)).await?;
            }
            tracing::error!(asset = %asset_id, attempt = number, "{error}");
            return Err(error);
        }
        let problem = outcome.problem();
        let result = match outcome {
            AttemptOutcome::Licensed(_) => AttemptResult::Licensed,
            AttemptOutcome::Refused(_) => AttemptResult::Refused,
            AttemptOutcome::Unavailable(_) => AttemptResult::Unavailable,
            AttemptOutcome::Unknown(_) => AttemptResult::Unknown,
            AttemptOutcome::Accepted(_) => AttemptResult::Accepted,
            AttemptOutcome::LookedUp(_) => AttemptResult::LookedUp,
            AttemptOutcome::NotBought(_) => AttemptResult::NotBought,
        };
        if let Some(ended) = attempt.result {
            if ended == result {
                return Ok(asset);
            }
            // A license is never dropped, even after another outcome.
            if result != AttemptResult::Licensed {
                return Err(FinishError::Finished {
                    asset: asset_id,
                    number,
                    result: ended,
                });
            }
        }
        finish(transaction, attempt, asset_id, result, problem).await?;
        let is_asked = asset.withdrawal_asked_at_ms.is_some();
        let is_withdrawn = is_asked && is_last && may_be_withdrawn(transaction, asset_id, result).await?;
        match (outcome, problem) {
            (AttemptOutcome::Licensed(license), _) => {
                self.write_license(transaction, asset_id, license).await?;
                if asset.sync_status != SyncStatus::Synchronized {
                    tell(transaction, OutcomeKind::Licensed, asset_id, None).await?;
                    if license.return_status == ReturnStatus::Successful {
                        tell(transaction, OutcomeKind::ReturnedElsewhere, asset_id, None).await?;
                    }
                }
                // A license that was returned before its purchase was confirmed has a dead key and costs nothing.
                if license.return_status != ReturnStatus::Successful {
                    charge(transaction, &asset, self.now_ms()).await?;
                    enqueue(transaction, asset_id, self.now_ms()).await?;
                }
                release_settled(transaction, asset_id, self.now_ms()).await?;
            }
            (_, Some(_)) if is_withdrawn => withdraw_line(transaction, asset_id).await?,
            (_, Some(problem)) if asset.sync_status == SyncStatus::Unsynchronised => {
                // What is to be withdrawn is looked up until it is certain that it was not bought.
                let failed = is_last && result == AttemptResult::Refused && !is_asked;
                let reason = Reason {
                    result,
                    problem: problem.clone(),
                };
                write_reason(transaction, asset_id, &reason, failed).await?;
                if failed {
                    release_settled(transaction, asset_id, self.now_ms()).await?;
                    tell(transaction, OutcomeKind::Refused, asset_id, Some(problem)).await?;
                }
            }
            _ => {}
        }
        Ok(read_asset_of(transaction, asset_id).await?)
    }

    async fn write_license(
        &self,
        transaction: &mut Connection,
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
        transaction
            .sql(
                "UPDATE assets
             SET sync_status = $2, status = CASE WHEN status = $14 THEN $15 ELSE status END,
                 reason = NULL, transaction_id = $3, license_token_id = $4,
                 sealed_product_key = $5, sealed_activation_link = $6, license_token_status = $7,
                 return_status = $8, purchased_at_ms = $9, returnable_until_ms = $10,
                 masked_product_key = $11, activation_link_host = $12, product_key_digest = $13
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
            .bind(license.product_key.masked())
            .bind(license.activation_link_host())
            .bind(self.digest_of_key(license))
            // A license that comes after all is never hidden.
            .bind(AssetStatus::Withdrawn.word())
            .bind(AssetStatus::Active.word())
            .execute()
            .await?;
        Ok(())
    }

    fn digest_of_key(&self, license: &License) -> String {
        self.host_key.digest(KEY_DIGEST, license.product_key.expose())
    }

    /// Why a license can't be an asset's. `None`: it can.
    async fn not_its_license(
        &self,
        transaction: &mut Connection,
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
        if let (Some(kept), Some(token)) = (&asset.transaction_id, &asset.license_token_id) {
            // The license token is the license. A transaction id may be missing in one answer and given in another.
            if token.eq_ignore_ascii_case(&license.license_token_id) {
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
        // License tokens are named by the instance's vendor; a product key is nobody else's, whoever issued it.
        // Until all is sealed with one host key, a product key may be on record with the digest of each.
        for digest in self.host_key.digests(KEY_DIGEST, license.product_key.expose()) {
            let other: Option<String> = transaction
                .sql(
                    "SELECT id FROM assets WHERE instance_id = $1 AND license_token_id = $2 AND id <> $3
                     UNION SELECT id FROM assets WHERE product_key_digest = $4 AND id <> $3",
                )
                .bind(asset.instance_id.to_string())
                .bind(&license.license_token_id)
                .bind(asset.id.to_string())
                .bind(digest)
                .scalar_optional()
                .await?;
            if let Some(other) = other {
                return not_its(format!("asset `{other}` has this license, or its product key"));
            }
        }
        Ok(None)
    }

    /// Attempts at an asset, oldest first. They are few: pauses between them grow, and they end with the purchase.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn attempts(&self, asset_id: Uuid) -> Result<Vec<Attempt>, RecordError> {
        let mut connection = self.readers.acquire().await?;
        read_attempts(&mut connection, asset_id).await
    }
}

/// An asset whose license is about to be bought, and what the purchase is made with.
pub(super) struct ToBuy {
    pub(super) asset_id: Uuid,
    pub(super) client_transaction_id: Uuid,
    pub(super) settings_version: i64,
    pub(super) age: LineAge,
    pub(super) awaits_adoption: bool,
    pub(super) look_up_only: Duration,
    pub(super) is_to_be_withdrawn: bool,
    pub(super) is_disabled: bool,
}

/// Records that licenses of assets are about to be bought. Commit before
/// calling the plugin: a purchase that is not on record could be made twice.
pub(super) async fn begin(
    transaction: &mut Connection,
    assets: &[ToBuy],
) -> Result<Vec<BegunAttempt>, RecordError> {
    if assets.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = assets.iter().map(|asset| asset.asset_id).collect();
    let mut all_earlier = earlier_of(transaction, &ids).await?;
    let now = transaction.now();
    let begun = assets.iter().map(|asset| {
        let earlier = all_earlier.remove(&asset.asset_id).unwrap_or_default();
        BegunAttempt {
            number: earlier.next_number(),
            earlier: earlier.summary(now, &asset.age),
            in_doubt: earlier.in_doubt(now),
            awaits_adoption: asset.awaits_adoption && earlier.is_restored(),
            look_up_only: asset.look_up_only,
            is_to_be_withdrawn: asset.is_to_be_withdrawn,
            is_disabled: asset.is_disabled,
            settings_version: asset.settings_version,
            client_transaction_id: asset.client_transaction_id,
        }
    });
    let begun: Vec<BegunAttempt> = begun.collect();
    let mut query = Builder::new(
        "INSERT INTO attempts (asset_id, number, client_transaction_id, begun_at_ms, boot, begun_uptime_ms,
                               settings_version) ",
    );
    query.push_values(ids.iter().zip(&begun), |row, (asset_id, begun)| {
        row.push_bind(asset_id.to_string())
            .push_bind(i64::from(begun.number))
            .push_bind(begun.client_transaction_id.to_string())
            .push_bind(now.wall_ms)
            .push_bind(boot(now))
            .push_bind(uptime_ms(now))
            .push_bind(begun.settings_version);
    });
    transaction.build(&mut query).persistent(false).execute().await?;
    Ok(begun)
}

/// Frees an asset for the next worker.
async fn release(transaction: &mut Connection, end: &AttemptEnd) -> Result<(), RecordError> {
    transaction
        .sql(
            "UPDATE assets
         SET worker = NULL, due_at_ms = CASE WHEN sync_status = $3 THEN $2 ELSE due_at_ms END
         WHERE id = $1",
        )
        .bind(end.asset_id.to_string())
        .bind(end.due_at_ms)
        .bind(SyncStatus::Unsynchronised.word())
        .execute()
        .await?;
    Ok(())
}

/// Attempts at an asset, oldest first.
async fn read_attempts(connection: &mut Connection, asset_id: Uuid) -> Result<Vec<Attempt>, RecordError> {
    let rows = connection
        .sql("SELECT * FROM attempts WHERE asset_id = $1 ORDER BY number")
        .bind(asset_id.to_string())
        .fetch_all()
        .await?;
    rows.iter().map(attempt).collect()
}

async fn finish(
    transaction: &mut Connection,
    attempt: &Attempt,
    asset_id: Uuid,
    result: AttemptResult,
    problem: Option<&Problem>,
) -> Result<(), RecordError> {
    // The boot stays that of the beginning: one process makes the whole attempt.
    let now = transaction.now();
    transaction
        .sql(
            "UPDATE attempts SET finished_at_ms = $3, finished_uptime_ms = $4, result = $5, problem = $6
         WHERE asset_id = $1 AND number = $2",
        )
        .bind(asset_id.to_string())
        .bind(i64::from(attempt.number))
        .bind(now.wall_ms)
        .bind(uptime_ms(now))
        .bind(result.word())
        .bind(problem.map(to_json).transpose()?)
        .execute()
        .await?;
    Ok(())
}

async fn write_reason(
    transaction: &mut Connection,
    asset_id: Uuid,
    reason: &Reason,
    failed: bool,
) -> Result<(), RecordError> {
    let sync_status = if failed {
        SyncStatus::Failed
    } else {
        SyncStatus::Unsynchronised
    };
    transaction
        .sql("UPDATE assets SET sync_status = $2, reason = $3 WHERE id = $1")
        .bind(asset_id.to_string())
        .bind(sync_status.word())
        .bind(to_json(reason)?)
        .execute()
        .await?;
    Ok(())
}

pub(super) fn attempt(row: &Row) -> Result<Attempt, RecordError> {
    let result: Option<&str> = row.try_get("result")?;
    Ok(Attempt {
        number: count(row, "number")?,
        client_transaction_id: id(row, "client_transaction_id")?,
        begun_at_ms: row.try_get("begun_at_ms")?,
        finished_at_ms: row.try_get("finished_at_ms")?,
        result: result.map(AttemptResult::from_word).transpose()?,
        problem: optional(row, "problem", from_json)?,
    })
}
