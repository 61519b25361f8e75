//! Handles: an instance, an order or an asset, and all that can be asked of it.

mod asset;
mod instance;
mod order;

use bss_model::{AssetId, InstanceId, OrderId};
use bss_record::RetryError;

use crate::error::Error;
use crate::host::Host;
use crate::license_order::PlaceError;

pub use asset::AssetHandle;
pub use instance::InstanceHandle;
pub use order::OrderHandle;

impl Host {
    /// The instance of a name.
    ///
    /// # Errors
    /// When there is none (`no-instance`), or the record can't be read.
    pub async fn instance(&self, name: &str) -> Result<InstanceHandle, Error> {
        Ok(InstanceHandle::new(self, self.named_instance(name).await?))
    }

    /// The instance of an id.
    ///
    /// # Errors
    /// When there is none (`no-instance`), or the record can't be read.
    pub async fn instance_of_id(&self, id: InstanceId) -> Result<InstanceHandle, Error> {
        let found = self.record().instance_by_id(id.into()).await?;
        let found = found.filter(|found| self.owner().is_none() || found.owner.as_ref() == self.owner());
        let instance = found.ok_or(bss_record::PlaceError::NoInstance { id: id.into() })?;
        Ok(InstanceHandle::new(self, instance))
    }

    /// The order of an id.
    ///
    /// # Errors
    /// When there is none (`no-order`), or the record can't be read.
    pub async fn order(&self, id: OrderId) -> Result<OrderHandle, Error> {
        match self.own_order(id.into()).await? {
            Some(_) => Ok(OrderHandle::new(self.clone(), id)),
            None => Err(PlaceError::NoOrder(id.into()).into()),
        }
    }

    /// The asset of an id.
    ///
    /// # Errors
    /// When there is none (`no-asset`), or the record can't be read.
    pub async fn asset(&self, id: AssetId) -> Result<AssetHandle, Error> {
        match self.own_asset(id.into()).await? {
            Some(_) => Ok(AssetHandle::new(self.clone(), id)),
            None => Err(RetryError::NoAsset { id: id.into() }.into()),
        }
    }
}
