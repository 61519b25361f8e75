//! The instance that is asked for: by the name that its owner gave it, or by its id.

use bss_model::{Instance, InstanceId};

use crate::host::Host;
use crate::instance_settings::ConfigureError;

/// The way in which an instance is asked for. A name is what a person says; another instance may have it tomorrow. An id stays
/// the instance's own.
///
/// ```
/// use host_harness::AskedInstance;
///
/// assert_eq!(AskedInstance::from("esd-eu"), AskedInstance::Named("esd-eu".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskedInstance {
    /// By its present name, among the instances of [the host's owner](Host::for_owner).
    Named(String),
    /// By its id.
    OfId(InstanceId),
}

impl From<&str> for AskedInstance {
    fn from(name: &str) -> Self {
        Self::Named(name.to_owned())
    }
}

impl From<&String> for AskedInstance {
    fn from(name: &String) -> Self {
        Self::Named(name.clone())
    }
}

impl From<InstanceId> for AskedInstance {
    fn from(id: InstanceId) -> Self {
        Self::OfId(id)
    }
}

impl Host {
    /// The instance that is asked for, among those of [the host's owner](Host::for_owner).
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn asked_instance(
        &self,
        asked: impl Into<AskedInstance>,
    ) -> Result<Instance, ConfigureError> {
        let id = match asked.into() {
            AskedInstance::Named(name) => return self.named_instance(&name).await,
            AskedInstance::OfId(id) => id,
        };
        let found = self.record().instance_by_id(id.into()).await?;
        let is_ours = |instance: &Instance| self.owner().is_none() || instance.owner.as_ref() == self.owner();
        found
            .filter(is_ours)
            .ok_or_else(|| ConfigureError::NoInstance(id.to_string()))
    }
}
