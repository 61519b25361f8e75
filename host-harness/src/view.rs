//! Views: one JSON object for each thing that programs are shown. Every surface shows the same ones.
//!
//! Names follow one set of rules:
//! - An object's own id is `id`; a reference to another object is its kind and `Id`, as in `orderId`. Where an instance is
//!   meant, `instance` is its name, which is unique among those of its owner. A certificate goes by its `thumbprint`, a
//!   plugin by its `sha256`, a charge or a credit by its `number`.
//! - A product's code is `productCode`, and its name `productName`.
//! - A state is a word in lower case with hyphens, as in `needs-credentials`.
//! - Times end in `AtMs` (milliseconds since 1970-01-01T00:00:00Z), durations in `Ms`; in the trace of a call, which is
//!   finer, in `AtUs` and `Us`. Money is a [`Price`].
//! - A value that is not there is `null`.

mod act;
mod alert;
mod api_client;
mod asset;
mod attempt;
mod bulk;
#[cfg(feature = "trace-files")]
mod call_trace;
mod cancellation;
mod certificate;
mod charge;
mod connection;
mod customer;
mod event;
#[cfg(test)]
mod examples;
mod form;
mod found;
mod host_key;
mod instance;
mod keys;
mod mail;
mod operator;
mod order;
mod parties;
mod platform;
mod plugin;
#[cfg(feature = "prerequisites")]
mod prerequisites;
mod price;
mod problem;
mod product;
mod reconciliation;
mod record;
mod replay;
mod report;
mod seller;
mod services_run;
mod spending;
mod status;
mod webhook;
mod withdrawal;

pub use act::{Act, Actor, AuditedActs, Subject};
pub use alert::{AcknowledgedAlerts, Alert, AlertAddresses};
pub use api_client::{ApiClient, BoundInstance, NewApiKey};
pub use asset::{Asset, RefreshedLicense};
pub use attempt::{PurchaseAttempt, ReturnAttempt};
pub use bulk::{BulkItem, BulkSum};
#[cfg(feature = "trace-files")]
pub use call_trace::{CallTrace, TraceSpan};
pub use cancellation::{Cancellation, Decision, Requester};
pub use certificate::{
    Certificate, CertificateRequest, CertificateWarning, CertificateWithPem, RemovedCertificate,
    RemovedCertificateRequest,
};
pub use charge::{Charge, ChargeLine, ChargeNumbers, Credit};
pub use connection::{CertificateRotation, Connection, ConnectionCheck, Step, StepResult};
pub use customer::{
    AssetAttempts, CorrectedCustomer, Customer, CustomerErasure, CustomerSummary, ErasedCustomer,
};
pub use event::{Event, EventBody, EventData, Events};
pub use form::{Choice, Field, FieldKind, Form, InstanceForm};
pub use found::{Finds, Found};
pub use host_key::{HostKey, HostKeys, RotatedHostKey};
pub use instance::{Authority, Change, Instance, SettingsVersion};
pub use keys::Keys;
pub use mail::{
    AccessTokenLogin, DueMails, Mail, MailChoices, MailPreview, MailServer, MailSettings, MailStop,
    TemplateFiles,
};
pub use operator::{InvitedOperator, Operator, OperatorSession};
pub use order::{Order, OrderCheck, SETTLEMENTS, settlement_word};
pub use parties::{Contact, Parties, Party};
pub use platform::{Platform, PlatformAddress, PlatformAddresses};
pub use plugin::{Plugin, PluginFile, RemovedPlugin};
#[cfg(feature = "prerequisites")]
pub use prerequisites::{Prerequisite, Prerequisites};
pub use price::Price;
pub use problem::{Problem, Reason};
pub use product::{
    CheckedPrices, DecidedProducts, DoubtfulPrice, FieldChange, PriceChange, PricedProducts, Product,
    ProductDifference, RecordedPriceChange, RunDifference,
};
pub use reconciliation::{Reconciliation, StatementDifference};
pub use record::{
    Backup, CopiedTable, MadeRecord, MovedRecord, Record, RecordPlace, Restoration, RestoredRecord,
    VerifiedDatabase,
};
pub use replay::{Difference, ReplayedCall};
pub use report::{Report, ReportEntry, Sum};
pub use seller::Seller;
pub use services_run::{Progress, ServicesLimit, ServicesPreview, ServicesRun, ServicesRunLogLine};
pub use spending::{ShownInstance, SpendingToday};
pub use status::{Status, Worker};
pub use webhook::{Delivery, DeliveryAttempt, DueDeliveries, Webhook, WebhookWithSecret};
pub use withdrawal::{LineWithdrawal, OrderWithdrawal};

/// The word that programs get for an enum's case: the stored one, with hyphens.
pub fn word(stored: &str) -> String {
    stored.replace('_', "-")
}
