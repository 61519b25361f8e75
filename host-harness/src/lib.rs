//! The host of service-manager plugins: sandbox, certificates, connections and the record of what was bought.
//!
//! A billing platform embeds [`Host`]. One call goes
//! `Host` → [`Plugin`] → the component → [`outbound_https`] → the vendor, and its outcome into the [`record`].

pub mod access_token_cache;
mod asked;
mod backoff;
#[cfg(feature = "bench")]
pub mod bench;
pub mod bindings;
mod breaker;
pub mod call_state;
pub mod call_trace;
pub mod certificate_rotation;
pub mod certificate_store;
mod clock;
mod compiled_cache;
pub mod connection;
pub mod error;
pub mod exchange_recording;
mod guest_log;
pub mod host;
pub mod host_key;
pub mod instance_settings;
pub mod license_order;
pub mod license_refresh;
pub mod license_return;
pub mod limits;
pub mod mail;
pub mod outbound_https;
pub mod plugin;
pub mod prerequisites;
pub mod product_type_collection;
mod ready_instances;
pub mod record;
pub mod secret;
pub mod services_definition;
pub mod simulator;
pub mod worker;

pub use call_state::{CallContext, CallEvent, CallListener, LogLevel};
pub use error::{CallError, LoadError};
pub use host::{Host, OpenError, PrepareError};
pub use limits::{CallLimits, LOOK_UP_ONLY};
pub use plugin::Plugin;
