//! What a service manager needs that is no vendor's, so that a plugin is little more than its vendor's JSON.
//!
//! A plugin implements [`ServiceManager`] and names itself in [`export!`]. It asks the host through [`Platform`], so that all of it is
//! tested natively with a [`scripted`] one.

pub mod api;
pub mod attempt;
pub mod bindings;
pub mod catalog;
mod content;
mod export;
pub mod failures;
pub mod foreign_answer;
pub mod form;
mod host;
pub mod http;
pub mod platform;
mod product;
pub mod scripted;
pub mod secret;
mod service_manager;
pub mod text;
pub mod verdict;
mod wasi_http;

pub use attempt::Attempted;
pub use bindings::bss::service_manager::instance_settings::{
    Authority, Choice, Draft, Field, FieldKind, FieldRole, FieldValue, Form, InstalledCertificate, Instance,
    KeyKind, OtherInstance, SecretHeader, Standing,
};
pub use bindings::bss::service_manager::license_order::{
    EarlierAttempts, License, LicenseOrder, LicenseTokenStatus, OrderAnswer, Party, ReturnStatus,
};
pub use bindings::bss::service_manager::services_definition::{
    Attribute, Derivative, Outcome, ProductType, Summary,
};
pub use bindings::exports::bss::service_manager::connection::{Step, StepResult};
pub use bindings::exports::bss::service_manager::license_lifecycle::{
    LicenseName, LicenseNames, LicenseReturn, LookUp,
};
pub use bindings::exports::bss::service_manager::service_manager::{Description, HarmlessFields};
pub use failures::{ChangeFailure, Delay, Problem, ReadFailure};
pub use host::Host;
pub use platform::{Level, Platform};
pub use service_manager::ServiceManager;
pub use verdict::Verdict;
