//! The instance that is asked for: by the name that its owner gave it, or by its id.

use bss_model::InstanceId;

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
    /// By its present name, among the instances of [the host's owner](crate::Host::for_owner).
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
