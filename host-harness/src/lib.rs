//! The host of service-manager plugins, as a library: what a billing platform embeds. The page for embedders is
//! `docs/embedding.md`, and a whole program is `examples/shop`.
//!
//! | | |
//! |---|---|
//! | [`Host::builder`] → [`HostBuilder`] | makes or opens a data directory: plugin, host key, mails and charges, limits, restored records |
//! | [`Host::instance`] → [`InstanceHandle`] | form, settings, catalog, products; `place`, `placed`, `check` an order |
//! | [`Host::order`] → [`OrderHandle`] | `read`, `assets`, `settle` while a caller waits, `withdraw` what is not bought |
//! | [`Host::asset`] → [`AssetHandle`] | `read`, `license`, `attempts`, `retry`, `withdraw`, `cancel`, `refresh` |
//! | [`Host::start_worker`] → [`Worker`] | does all there is to do in the background; [`WorkOptions`] |
//! | [`Host::outcomes`], [`Host::outcome_stream`] → [`Outcome`] | what came of licenses, in order, with a cursor to keep |
//! | [`Host::heard_by`] | warnings and progress of calls, while they run |
//! | [`Host::metrics`] → [`Metrics`] | counters and gauges |
//! | [`Host::add_plugin`], [`Host::trust_plugin`], [`Host::create_instance`], [`Host::certificates`] | what an operator does first |
//! | [`view`] | what is read, as types to serialize |
//! | [`Error`] | kind, code, advice, and whether to come again |
//!
//! ```
//! use host_harness::{ErrorKind, Host, OutcomeCursor};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let folder = tempfile::tempdir()?;
//! let host = Host::builder(folder.path().join("bss-data")).mails(false).create().await?;
//! assert_eq!(host.outcomes(OutcomeCursor::START, 100).await?, []);
//! let error = host.instance("europe").await.unwrap_err();
//! assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, "no-instance"));
//! host.close().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! Dropping any of the futures is harmless: what works for a caller runs in a task of its own, takes nothing more, and brings what is under
//! way to its end.
//!
//! Features, none of which is on by default: `mail` has the worker send e-mails, which wait on record without it;
//! `prerequisites` checks a customer's certificate, hostname and CNAME record; `trace-files` keeps the traces of calls.
//!
//! [`Host::record`] has all that is on record, and the functions of [`Host`] that take an instance's name have typed errors, for
//! surfaces that show more than the handles do. Parts for the crates that
//! measure this one are in [`internals`]. Neither is a promise to embedders.

mod alert_telling;
mod alerts;
mod api_clients;
mod asked_instance;
mod backoff;
mod blocking;
mod breaker;
mod builder;
mod call_failure;
mod catalog_rules;
mod certificate_rotation;
mod connection;
mod contract;
mod error;
mod error_sources;
mod expiring_certificates;
mod feed;
mod finding;
mod form_rules;
mod handles;
mod host;
mod instance_plugin;
mod instance_settings;
pub mod internals;
mod license_order;
mod license_purchase;
mod license_refresh;
mod license_return;
#[cfg(feature = "mail")]
pub mod mail;
mod metrics;
#[cfg(not(feature = "mail"))]
mod no_mail;
mod operators;
mod order_problems;
mod own_task;
mod pause;
mod platforms;
mod plugin_cache;
mod plugin_description;
mod plugin_options;
mod plugin_words;
mod plugins;
#[cfg(feature = "prerequisites")]
pub mod prerequisites;
pub mod product_type_collection;
mod pulse;
#[cfg(feature = "mail")]
mod racing_connect;
mod ready_instances;
mod services_definition;
mod services_worker;
mod settings_gate;
mod settling;
mod status;
mod tenancy;
pub mod view;
mod webhooks;
mod withdrawal;
mod worker;
mod worker_handle;

#[cfg(doctest)]
#[doc = include_str!("../../docs/embedding.md")]
struct PageForEmbedders;

#[cfg(not(feature = "mail"))]
use no_mail as mail;

pub use alert_telling::{AlertAddressesError, AlertListener};
pub use api_clients::ApiClientRequest;
pub use asked_instance::AskedInstance;
pub use bss_keys::{
    Caution, HostKey, HostKeyError, HostKeySource, InspectError, InstalledCertificate, KeyId, NewCertificate,
    PfxCode, PfxError, UnusableReason,
};
pub use bss_model::{
    Actor, AddedPlugin, Advice, AlertChoice, ApiClient, ApiScope, AssetId, Choice, Contact,
    CorrectedCustomer, Cursor, CustomerCorrection, CustomerErasure, Decision, DeliveryFilter, DeliveryState,
    Diagnose, ErrorKind, Instance, InstanceId, InvalidProxy, InvalidProxyVariable, LicenseSecrets,
    MailChoices, NewInstance, NewLine, NewWebhook, NoProxy, NotAnId, NotAnOutcomeCursor, NotAnOwner, OrderId,
    Outcome, OutcomeCursor, OutcomeKind, Owner, Page, Party, Placed, Platform, PluginDigest, Price, Problem,
    ProductFilter, Proxy, ProxyChoice, ProxyRules, Reach, Requester, RequesterKind, Rows, SavedProxy, Secret,
    Seller, Spending, SpendingToday, Thumbprint, UnsentMails, WebhookState,
};
pub use bss_record::{
    ApiClientError, AuditError, AuditedActs, BackupError, BeyondSpendingLimit, CertificateRequest,
    CertificateStore, Copied, CopyError, CorrectCustomerError, CreateError, DatabaseAddress,
    DatabaseAddressError, DatabaseUnfit, DatabaseWarning, DecideError, ERASED_CUSTOMERS_FILE,
    EraseCustomerError, HostKeyRotation, HostKeyUse, HostKeyUses, ImportError, ImportedCertificate,
    PlatformError, ProductError, RECORD_FILE, Record, RecordError, ResendMailError, Restored, RetryError,
    RetryMailError, SaveError, SaveSellerError, SpendingLimitError, StartRunError, TableDigest, Verified,
    VerifiedServer, WebhookError, WithdrawError, verify_backup,
};
pub use bss_sandbox::{
    CallContext, CallError, CallEvent, CallLimits, CallListener, FailedCall, LastWords, LoadError, LogLevel,
    Plugin, call_trace, exchange_recording,
    limits::CALLS_AT_ONCE,
    outbound_https::{Authority, ConnectionCounts, Way},
    replay,
};
pub use builder::{HostBuilder, OnRestored, RestoredRecord};
pub use catalog_rules::CatalogError;
pub use certificate_rotation::{RotateError, Rotation};
pub use connection::{CheckError, failed_step};
pub use error::Error;
pub use form_rules::FormError;
pub use handles::{AssetHandle, InstanceHandle, OrderHandle};
pub use host::{COMPILED_DIRECTORY, Host};
pub use instance_plugin::{CheckPluginsError, CreateInstanceError, OfPlugin, UpgradeError};
pub use instance_settings::{ConfigureError, InstanceForm, SettingsChange, TrustChange};
pub use ipnet::IpNet;
pub use license_order::{OrderRequest, PlaceError};
pub use license_refresh::{RefreshError, Refreshed};
pub use license_return::{AttemptedReturn, ReturnError};
pub use metrics::Metrics;
pub use platforms::{PlatformCredentials, PlatformRequest, platform_addresses};
pub use plugin_options::OptionError;
pub use plugins::{PluginError, plugin_digest};
pub use pulse::Pulse;
pub use ready_instances::PrepareError;
pub use services_definition::{BegunRun, CompletedRun, ServicesError};
pub use services_worker::{ExecutedRun, RunEnd, RunListener};
pub use settings_gate::GateError;
pub use webhooks::NewWebhookError;
pub use worker::{LINES_AT_ONCE, Unfinished, WorkOptions};
pub use worker_handle::{Stopped, Worker};
