//! An order, and all that can be asked of it.

use bss_model::{Actor, AssetFilter, AssetId, InstanceId, OrderId, Page};
use uuid::Uuid;

use super::asset::AssetHandle;
use crate::error::Error;
use crate::host::Host;
use crate::license_order::PlaceError;
use crate::view::{self, Keys};

/// An order of a host. Cloning it costs nothing that matters.
#[derive(Clone, Debug)]
pub struct OrderHandle {
    host: Host,
    id: OrderId,
    instance_id: InstanceId,
}

impl OrderHandle {
    pub(super) fn new(host: Host, id: OrderId, instance_id: InstanceId) -> Self {
        Self {
            host,
            id,
            instance_id,
        }
    }

    /// The order's id.
    pub fn id(&self) -> OrderId {
        self.id
    }

    /// The instance that it belongs to.
    pub fn instance_id(&self) -> InstanceId {
        self.instance_id
    }

    /// The order with all of its assets, as they stand now. Product keys are masked: [`AssetHandle::license`] has them.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn read(&self) -> Result<view::Order, Error> {
        let order = self.host.record().order(self.id.into()).await?;
        let order = order.ok_or(PlaceError::NoOrder(self.id.into()))?;
        let assets = self.on_record().await?;
        Ok(self.host.order_view(&order, &assets, Keys::Masked).await?)
    }

    /// The order's assets, in the order of its lines.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn assets(&self) -> Result<Vec<AssetHandle>, Error> {
        let assets = self.on_record().await?.into_iter();
        let handles = assets
            .map(|asset| AssetHandle::new(self.host.clone(), asset.id.into(), asset.instance_id.into()));
        Ok(handles.collect())
    }

    /// Buys what is not bought yet while the caller waits, as far as that is possible now, and returns the order as it stands
    /// then. A worker does the same in the background. Can be called again at any time, by several at once: it never buys a
    /// second license for an asset. A caller that is dropped stops it, and cuts no purchase off.
    ///
    /// # Errors
    /// When calls for the instance can't be made, or the record fails.
    pub async fn settle(&self) -> Result<view::Order, Error> {
        self.host.run_order(self.id.into(), self.host.listener()).await?;
        self.read().await
    }

    /// Withdraws lines of the order by their assets, or all of them where none is named: what is certainly not bought is never
    /// bought any more, and a refused line is closed. What may be bought is looked up while the caller waits; what stays in
    /// doubt is only looked up by workers from now on, until it is withdrawn or turns out to be bought. The outcome is
    /// `withdrawn` or `licensed`. Bought licenses stay as they are: [`AssetHandle::cancel`] returns one.
    ///
    /// # Errors
    /// When an asset is not one of the order, or the record fails; nothing is withdrawn then.
    pub async fn withdraw(&self, assets: &[AssetId], actor: &Actor) -> Result<view::OrderWithdrawal, Error> {
        let (id, listener) = (self.id.into(), self.host.listener());
        let assets: Vec<Uuid> = assets.iter().map(|asset| (*asset).into()).collect();
        let lines = self.host.withdraw_order(id, &assets, actor, listener).await?;
        Ok(view::OrderWithdrawal::new(id, &lines))
    }

    /// Withdraws lines as [`Self::withdraw`] does, and those that stay in doubt then too, on the actor's word that the vendor has
    /// not sold them: somebody has asked there. For plugins and vendors that can't look a purchase up. What may be under way (for
    /// five minutes, unless the record says otherwise), and what the vendor has accepted, stays in doubt all the same.
    ///
    /// # Errors
    /// As [`Self::withdraw`], and when no asset is named.
    pub async fn withdraw_on_word(
        &self,
        assets: &[AssetId],
        actor: &Actor,
    ) -> Result<view::OrderWithdrawal, Error> {
        let (id, listener) = (self.id.into(), self.host.listener());
        let assets: Vec<Uuid> = assets.iter().map(|asset| (*asset).into()).collect();
        let lines = self.host.withdraw_on_word(id, &assets, actor, listener).await?;
        Ok(view::OrderWithdrawal::new(id, &lines))
    }

    async fn on_record(&self) -> Result<Vec<bss_model::Asset>, Error> {
        let filter = AssetFilter {
            order: Some(self.id.into()),
            ..AssetFilter::default()
        };
        Ok(self.host.record().assets(&filter, &Page::all()).await?.rows)
    }
}
