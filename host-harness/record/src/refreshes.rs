//! Refreshes: the vendor's later word on licenses that were bought.

use bss_model::{
    Advice, Asset, AssetStatus, CancellationState, Diagnose, Diagnosis, ErrorKind, LicenseTokenStatus,
    OutcomeKind, ReturnStatus, SyncStatus,
};
use uuid::Uuid;

use super::assets::read_asset_of;
use super::outbox::withdraw;
use super::outcomes::tell;
use super::stored::{id, without_instances};
use super::{Record, RecordError};
use crate::database::{Builder, Connection, Row};

/// Why the vendor is not asked about a license.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshRecordError {
    /// The asset does not exist.
    #[error("asset `{id}` does not exist")]
    NoAsset {
        /// The id that was asked for.
        id: Uuid,
    },
    /// The asset has no license on record. Another attempt at its purchase finds out whether it has one after all.
    #[error("asset `{id}` is {sync_status}: it has no license to be refreshed")]
    NoLicense {
        /// The asset.
        id: Uuid,
        /// Whether it has its license.
        sync_status: SyncStatus,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for RefreshRecordError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NoAsset { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "no-asset").advise(Advice::ListAssets)
            }
            Self::NoLicense { id, .. } => {
                Diagnosis::new(ErrorKind::Conflict, "no-license").advise(Advice::RetryAsset { asset: *id })
            }
            Self::Record(error) => error.diagnosis(),
        }
    }
}

impl Record {
    /// Active assets with a license that was unused when last heard of, and about which the vendor was not
    /// asked since `older_than_ms`, each with its instance. Those that wait longest come first; the instances in `without` are left out.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn assets_to_refresh(
        &self,
        older_than_ms: i64,
        limit: u32,
        without: &[Uuid],
    ) -> Result<Vec<(Uuid, Uuid)>, RecordError> {
        let mut query = Builder::new("SELECT id, instance_id FROM assets WHERE license_token_status = ");
        query.push_bind(LicenseTokenStatus::Unused.word());
        query.push(" AND status = ").push_bind(AssetStatus::Active.word());
        query
            .push(" AND sync_status = ")
            .push_bind(SyncStatus::Synchronized.word());
        query
            .push(" AND refresh_asked_at_ms <= ")
            .push_bind(older_than_ms);
        // The purchase itself counts as asking.
        query.push(" AND created_at_ms <= ").push_bind(older_than_ms);
        without_instances(&mut query, "instance_id", without);
        query
            .push(" ORDER BY refresh_asked_at_ms LIMIT ")
            .push_bind(i64::from(limit));
        let rows = self.readers.build(&mut query).fetch_all().await?;
        let read = |row: &Row| Ok((id(row, "id")?, id(row, "instance_id")?));
        rows.iter().map(read).collect()
    }

    /// Records that the vendor is about to be asked about an asset's license.
    ///
    /// # Errors
    /// When the asset does not exist, or has no license.
    pub async fn begin_refresh(&self, asset_id: Uuid) -> Result<Asset, RefreshRecordError> {
        let asset = self.asset(asset_id).await?;
        let asset = asset.ok_or(RefreshRecordError::NoAsset { id: asset_id })?;
        if asset.sync_status != SyncStatus::Synchronized {
            return Err(RefreshRecordError::NoLicense {
                id: asset_id,
                sync_status: asset.sync_status,
            });
        }
        self.writer
            .sql("UPDATE assets SET refresh_asked_at_ms = $2 WHERE id = $1")
            .bind(asset_id.to_string())
            .bind_now()
            .execute()
            .await?;
        Ok(asset)
    }

    /// Records the vendor's answer about an asset's license. The statuses of a cancelled asset's license stay as they
    /// are: an answer that crossed its return is older than the return. The key of a returned license is not mailed.
    ///
    /// # Errors
    /// When the record can't be written, or the asset does not exist.
    pub async fn finish_refresh(
        &self,
        asset_id: Uuid,
        license_token_status: LicenseTokenStatus,
        return_status: ReturnStatus,
    ) -> Result<Asset, RecordError> {
        let mut transaction = self.begin_write().await?;
        if return_status == ReturnStatus::Successful && is_news(&mut transaction, asset_id).await? {
            tell(&mut transaction, OutcomeKind::ReturnedElsewhere, asset_id, None).await?;
        }
        transaction.sql(
            "UPDATE assets SET license_token_status = $2, return_status = $3 WHERE id = $1 AND status = $4",
        )
        .bind(asset_id.to_string())
        .bind(license_token_status.word())
        .bind(return_status.word())
        .bind(AssetStatus::Active.word())
        .execute()
        .await?;
        transaction
            .sql("UPDATE assets SET refreshed_at_ms = $2 WHERE id = $1")
            .bind(asset_id.to_string())
            .bind_now()
            .execute()
            .await?;
        if return_status == ReturnStatus::Successful {
            withdraw(&mut transaction, asset_id).await?;
        }
        let asset = read_asset_of(&mut transaction, asset_id).await?;
        transaction.commit().await?;
        Ok(asset)
    }
}

/// Whether a return of an asset's license is news: the asset is active, no return was known, and none from here is under
/// way.
async fn is_news(transaction: &mut Connection, asset_id: Uuid) -> Result<bool, RecordError> {
    let row = transaction
        .sql(
            "SELECT 1 FROM assets WHERE id = $1 AND status = $2 AND return_status <> $3
         AND NOT EXISTS (SELECT 1 FROM cancellations WHERE asset_id = assets.id AND state = $4)",
        )
        .bind(asset_id.to_string())
        .bind(AssetStatus::Active.word())
        .bind(ReturnStatus::Successful.word())
        .bind(CancellationState::Returning.word())
        .fetch_optional()
        .await?;
    Ok(row.is_some())
}
