//! The host of service-manager plugins: what a billing platform embeds.
//!
//! [`Host`] holds one plugin and one record. One call goes `Host` → [`Plugin`] → the component → the sandbox's one way out → the
//! vendor, and its outcome into the record. What the crates beside this one need from each other is in [`internals`].

mod backoff;
mod breaker;
pub mod certificate_rotation;
pub mod connection;
mod contract;
pub mod host;
pub mod instance_settings;
pub mod internals;
pub mod license_order;
mod license_purchase;
pub mod license_refresh;
pub mod license_return;
pub mod mail;
mod pause;
pub mod prerequisites;
pub mod product_type_collection;
mod ready_instances;
pub mod services_definition;
pub mod services_worker;
mod settling;
pub mod view;
pub mod worker;

pub use bss_model::purchase_rule::LOOK_UP_ONLY;
pub use bss_sandbox::{
    CallContext, CallError, CallEvent, CallLimits, CallListener, LoadError, LogLevel, Plugin,
};
pub use host::{Host, OpenError, PrepareError};
