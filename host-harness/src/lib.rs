//! The host of service-manager plugins, as a library: what a billing platform embeds.
//!
//! [`Host`] holds one plugin and one record. One call goes `Host` → [`Plugin`] → the component → the sandbox's one way
//! out → the vendor, and its outcome into the record.
//!
//! ```no_run
//! use bss_model::Actor;
//! use host_harness::{Host, OrderRequest, WorkOptions};
//!
//! # async fn example(request: OrderRequest) -> Result<(), Box<dyn std::error::Error>> {
//! let host = Host::open("bss-data".as_ref(), "plugin.wasm".as_ref()).await?;
//! let shop = Actor::platform("shop");
//! // The order is written down; nothing is bought yet.
//! let order = host.place_order("europe", request, &shop).await?;
//! // A worker buys what was ordered, and mails it, until it is told to stop.
//! let stop = tokio::time::sleep(std::time::Duration::from_secs(60));
//! host.work(&WorkOptions::default(), stop).await?;
//! println!("{} is placed", order.id);
//! # Ok(())
//! # }
//! ```
//!
//! [`view`] has what is shown of all that is on record, as types to serialize. Every error says its kind, its code and
//! advice ([`bss_model::Diagnose`]). Parts for the crates that measure this one are in [`internals`], and no promise to
//! embedders.

mod backoff;
mod blocking;
mod breaker;
mod call_failure;
mod catalog_rules;
mod certificate_rotation;
mod connection;
mod contract;
mod form_rules;
mod host;
mod instance_plugin;
mod instance_settings;
pub mod internals;
mod license_order;
mod license_purchase;
mod license_refresh;
mod license_return;
pub mod mail;
mod pause;
mod plugin_description;
mod plugin_words;
mod plugins;
pub mod prerequisites;
pub mod product_type_collection;
mod ready_instances;
mod services_definition;
mod services_worker;
mod settings_gate;
mod settling;
mod tenancy;
pub mod view;
mod worker;

pub use bss_record::{
    AuditError, AuditedActs, BackupError, RECORD_FILE, Record, RecordError, Restored, Verified, verify_backup,
};
pub use bss_sandbox::{
    CallContext, CallError, CallEvent, CallLimits, CallListener, FailedCall, LastWords, LoadError, LogLevel,
    Plugin, call_trace, exchange_recording, limits::CALLS_AT_ONCE, outbound_https::Authority, replay,
};
pub use catalog_rules::CatalogError;
pub use certificate_rotation::{RotateError, Rotation};
pub use connection::{CheckError, failed_step};
pub use form_rules::FormError;
pub use host::{COMPILED_DIRECTORY, Host};
pub use instance_plugin::{CreateInstanceError, OfPlugin, UpgradeError};
pub use instance_settings::{ConfigureError, InstanceForm, SettingsChange};
pub use license_order::{OrderRequest, PlaceError};
pub use license_refresh::{RefreshError, Refreshed};
pub use license_return::{AttemptedReturn, ReturnError};
pub use plugins::{PluginError, plugin_digest};
pub use ready_instances::PrepareError;
pub use services_definition::{BegunRun, CompletedRun, ServicesError};
pub use services_worker::{ExecutedRun, RunEnd, RunListener};
pub use settings_gate::GateError;
pub use worker::{LINES_AT_ONCE, Unfinished, WorkOptions};
