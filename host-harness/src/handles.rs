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
        Ok(InstanceHandle::new(self, self.asked_instance(id).await?))
    }

    /// The order of an id.
    ///
    /// # Errors
    /// When there is none (`no-order`), or the record can't be read.
    pub async fn order(&self, id: OrderId) -> Result<OrderHandle, Error> {
        match self.instance_of_order(id.into()).await? {
            Some(instance) => Ok(OrderHandle::new(self.clone(), id, instance)),
            None => Err(PlaceError::NoOrder(id.into()).into()),
        }
    }

    /// The asset of an id.
    ///
    /// # Errors
    /// When there is none (`no-asset`), or the record can't be read.
    pub async fn asset(&self, id: AssetId) -> Result<AssetHandle, Error> {
        match self.instance_of_asset(id.into()).await? {
            Some(instance) => Ok(AssetHandle::new(self.clone(), id, instance)),
            None => Err(RetryError::NoAsset { id: id.into() }.into()),
        }
    }
}
