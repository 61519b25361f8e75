//! What the vendor says of licenses long after they were bought.

use bss_model::clock::now_ms;
use bss_model::{
    Advice, Asset, AssetStatus, Diagnose, Diagnosis, ErrorKind, LicenseTokenStatus, ReturnStatus, SyncStatus,
};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::assets::read_asset_of;
use super::outbox::withdraw;
use super::stored::{id, without_instances};
use super::{Record, RecordError, begin_write};

/// Why a license is not asked about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshRecordError {
    /// No such asset.
    #[error("asset `{id}` does not exist")]
    NoAsset {
        /// What was asked for.
        id: Uuid,
    },
    /// It has no license. Whether it has one after all is for another attempt at its purchase to find out.
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
    /// Assets that are in use and whose licenses were not redeemed when last heard of, and that the vendor was not
    /// asked about since a time; those first that wait longest. Of no instance in `without`.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn assets_to_refresh(
        &self,
        older_than_ms: i64,
        limit: u32,
        without: &[Uuid],
    ) -> Result<Vec<Uuid>, RecordError> {
        let mut query = QueryBuilder::new("SELECT id FROM assets WHERE license_token_status = ");
        query.push_bind(LicenseTokenStatus::Activated.word());
        query.push(" AND status = ").push_bind(AssetStatus::Active.word());
        query
            .push(" AND sync_status = ")
            .push_bind(SyncStatus::Synchronized.word());
        query
            .push(" AND refresh_asked_at_ms <= ")
            .push_bind(older_than_ms);
        // What was said when it was bought counts as well.
        query.push(" AND created_at_ms <= ").push_bind(older_than_ms);
        without_instances(&mut query, "instance_id", without);
        query
            .push(" ORDER BY refresh_asked_at_ms LIMIT ")
            .push_bind(i64::from(limit));
        let rows = query.build().fetch_all(&self.readers).await?;
        rows.iter().map(|row| id(row, "id")).collect()
    }

    /// Puts on record that the vendor is about to be asked what became of an asset's license.
    ///
    /// # Errors
    /// When there is no such asset, or it has no license.
    pub async fn begin_refresh(&self, asset_id: Uuid) -> Result<Asset, RefreshRecordError> {
        let asset = self.asset(asset_id).await?;
        let asset = asset.ok_or(RefreshRecordError::NoAsset { id: asset_id })?;
        if asset.sync_status != SyncStatus::Synchronized {
            return Err(RefreshRecordError::NoLicense {
                id: asset_id,
                sync_status: asset.sync_status,
            });
        }
        sqlx::query("UPDATE assets SET refresh_asked_at_ms = $2 WHERE id = $1")
            .bind(asset_id.to_string())
            .bind(now_ms())
            .execute(&self.writer)
            .await
            .map_err(RecordError::from)?;
        Ok(asset)
    }

    /// Puts on record what the vendor says of an asset's license. A cancelled asset stays what it is: an answer that
    /// was on its way while it was returned is older than the return. The key of one that was given back is mailed to nobody.
    ///
    /// # Errors
    /// When the record can't be written, or there is no such asset.
    pub async fn finish_refresh(
        &self,
        asset_id: Uuid,
        license_token_status: LicenseTokenStatus,
        return_status: ReturnStatus,
    ) -> Result<Asset, RecordError> {
        let mut transaction = begin_write(&self.writer).await?;
        sqlx::query(
            "UPDATE assets SET license_token_status = $2, return_status = $3 WHERE id = $1 AND status = $4",
        )
        .bind(asset_id.to_string())
        .bind(license_token_status.word())
        .bind(return_status.word())
        .bind(AssetStatus::Active.word())
        .execute(&mut *transaction)
        .await?;
        sqlx::query("UPDATE assets SET refreshed_at_ms = $2 WHERE id = $1")
            .bind(asset_id.to_string())
            .bind(now_ms())
            .execute(&mut *transaction)
            .await?;
        if return_status == ReturnStatus::Successful {
            withdraw(&mut transaction, asset_id).await?;
        }
        let asset = read_asset_of(&mut transaction, asset_id).await?;
        transaction.commit().await?;
        Ok(asset)
    }
}
