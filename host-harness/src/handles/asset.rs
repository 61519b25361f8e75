//! An asset, and all that can be asked of it.

use std::slice;

use bss_model::{Actor, AssetId, InstanceId, LicenseSecrets, Requester};
use bss_record::{RecordError, RetryError};

use crate::error::Error;
use crate::host::Host;
use crate::view::{self, Keys};

/// A license that was ordered. Cloning it costs nothing that matters.
#[derive(Clone, Debug)]
pub struct AssetHandle {
    host: Host,
    id: AssetId,
    instance_id: InstanceId,
}

impl AssetHandle {
    pub(super) fn new(host: Host, id: AssetId, instance_id: InstanceId) -> Self {
        Self {
            host,
            id,
            instance_id,
        }
    }

    /// The asset's id.
    pub fn id(&self) -> AssetId {
        self.id
    }

    /// The instance that it belongs to.
    pub fn instance_id(&self) -> InstanceId {
        self.instance_id
    }

    /// The asset as it stands now, with its product key masked.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn read(&self) -> Result<view::Asset, Error> {
        self.view_of(&self.on_record().await?).await
    }

    /// The product key and the activation link, shown to an actor, which is an act on record. `None`: the asset has no license.
    ///
    /// # Errors
    /// When the record can't be read or written, or the host key does not open them.
    pub async fn license(&self, shown_to: &Actor) -> Result<Option<LicenseSecrets>, Error> {
        let id = self.id.into();
        let mut shown = self
            .host
            .record()
            .show_license_secrets(slice::from_ref(&id), shown_to)
            .await?;
        Ok(shown.remove(&id))
    }

    /// Every attempt at buying the license, the oldest first.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn attempts(&self) -> Result<Vec<view::PurchaseAttempt>, Error> {
        let attempts = self.host.record().attempts(self.id.into()).await?;
        Ok(attempts.iter().map(Into::into).collect())
    }

    /// Tries again to buy a license that was refused or waits, and returns the asset as it stands then. What an earlier attempt
    /// may have bought is looked up first.
    ///
    /// # Errors
    /// When the asset has its license, calls can't be made, or the record fails.
    pub async fn retry(&self, actor: &Actor) -> Result<view::Asset, Error> {
        let asset = self
            .host
            .retry_asset(self.id.into(), actor, self.host.listener())
            .await?;
        self.view_of(&asset).await
    }

    /// Makes the purchase of a license that was refused due again, for a worker. Without an operator's word, so that a program may
    /// ask for it: an asset that may have its license, or get it, is left as it is (`not-refused`), and what an
    /// earlier attempt may have bought is looked up first.
    ///
    /// # Errors
    /// When the asset was not refused, was withdrawn or has its license, its instance is disabled, or the record fails.
    pub async fn retry_refused(&self, actor: &Actor) -> Result<(), Error> {
        Ok(self.host.retry_refused(self.id.into(), actor).await?)
    }

    /// Withdraws the asset before its license is bought, as [`OrderHandle::withdraw`](crate::OrderHandle::withdraw) does, and
    /// returns it as it stands then.
    ///
    /// # Errors
    /// When the record fails.
    pub async fn withdraw(&self, actor: &Actor) -> Result<view::Asset, Error> {
        let (order, asset) = (self.on_record().await?.order_id, self.id.into());
        self.host
            .withdraw_order(order, &[asset], actor, self.host.listener())
            .await?;
        self.read().await
    }

    /// Cancels the asset: its license goes back to the vendor, in the background by a worker; only when the vendor has taken it
    /// is the asset cancelled and credited. The outcome is `returned` or `return-refused`.
    ///
    /// # Errors
    /// When the asset has no license, is cancelled or has an open cancellation, or calls for its instance can't be made;
    /// nothing is written then.
    pub async fn cancel(
        &self,
        requester: &Requester,
        comment: &str,
        actor: &Actor,
    ) -> Result<view::Cancellation, Error> {
        let id = self.id.into();
        let cancellation = self.host.cancel_now(id, requester, comment, actor).await?;
        let mut views = self
            .host
            .cancellation_views(slice::from_ref(&cancellation))
            .await?;
        let missing = || RecordError::Damaged {
            what: format!("cancellation `{}` is missing", cancellation.id),
        };
        Ok(views.pop().ok_or_else(missing)?)
    }

    /// Asks the vendor how the license stands, and returns the asset with the answer.
    ///
    /// # Errors
    /// When there is no license to ask about, or no answer.
    pub async fn refresh(&self) -> Result<view::Asset, Error> {
        let refreshed = self
            .host
            .refresh_license(self.id.into(), self.host.listener())
            .await?;
        self.view_of(&refreshed.asset).await
    }

    async fn on_record(&self) -> Result<bss_model::Asset, Error> {
        let id = self.id.into();
        Ok(self
            .host
            .record()
            .asset(id)
            .await?
            .ok_or(RetryError::NoAsset { id })?)
    }

    async fn view_of(&self, asset: &bss_model::Asset) -> Result<view::Asset, Error> {
        Ok(self.host.asset_view(asset, Keys::Masked).await?)
    }
}
