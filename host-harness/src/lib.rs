//! The host of service-manager plugins.

pub mod certificate_store;
pub mod host_key;
pub mod record;
