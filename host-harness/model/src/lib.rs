//! Plain types that the host's crates share (orders, licenses, products, prices), and the rules that need nothing
//! else.
//!
//! A part of `host-harness`, which re-exports what embedders need. Nothing here does input or output, or depends on a
//! database, a sandbox or a network.

mod act;
mod actor;
mod alert;
mod api_client;
mod asset;
mod attempt;
mod cancellation;
mod charge;
pub mod clock;
mod contact_doubts;
mod currency;
mod customer;
mod customer_correction;
mod diagnosis;
mod duties;
mod email_address;
mod found;
mod ids;
mod instance;
mod license;
mod license_check;
mod license_return;
mod mail;
mod mail_choices;
pub mod moment;
mod operator;
mod order;
mod outcome;
mod owner;
mod page;
mod platform;
mod plugin;
mod price;
mod problem;
mod product;
mod proxy;
pub mod purchase_rule;
mod reconciliation;
pub mod restoration;
mod secret;
mod seen;
mod seller;
mod services_run;
mod spending;
mod statement;
pub mod text;
mod thumbprint;
mod webhook;
mod withdrawal;
pub mod words;

pub use act::{Act, ActFilter, RecordedAct, Subject, SubjectKind};
pub use actor::{Actor, ActorKind};
pub use alert::{Alert, AlertChannel, AlertChoice, AlertFilter, AlertKind, AlertedInstance, AlertedLicense};
pub use api_client::{ApiClient, ApiScope, InvalidApiClient, NewApiClient, check_client_name};
pub use asset::{
    Asset, AssetFilter, AssetStatus, LicenseState, OVERDUE, Reason, SyncStatus, client_transaction_id,
    is_overdue, is_returned_but_active, license_state, overdue_since_ms, settlement,
};
pub use attempt::{
    AssetSelection, Attempt, AttemptOutcome, AttemptResult, BegunAttempt, Doubt, EarlierAttempts,
    Outstanding, PurchaseDay, TakenAsset,
};
pub use cancellation::{
    COMMENT_LENGTH_MAX, Cancellation, CancellationDecision, CancellationFilter, CancellationState,
    CommentTooLong, RequestedCancellations, Requester, RequesterKind, ReturnReason,
    return_client_transaction_id, short_enough,
};
pub use charge::{
    Charge, ChargeFilter, ChargeLine, ChargePrefix, ChargeSeries, Credit, CreditReason, NotAChargePrefix,
    NotASerialNumber, SerialNumber,
};
pub use contact_doubts::contact_doubts;
pub use currency::is_currency;
pub use customer::{
    CustomerData, CustomerErasure, CustomerFilter, CustomerSummary, ERASED, ErasedCustomer, OpenBusiness,
    UnsentMails,
};
pub use customer_correction::{CorrectedCustomer, CustomerCorrection};
pub use diagnosis::{Advice, Diagnose, Diagnosis, ErrorKind, with_causes};
pub use duties::{Duties, DutiesChange};
pub use email_address::is_mailable;
pub use found::{Finds, Found, FoundBy, FoundKind};
pub use ids::{AssetId, IdKind, InstanceId, NotAnId, OrderId};
pub use instance::{
    Authority, Change, FieldRole, Instance, InstanceCorrection, NewInstance, OtherChanges, Reach,
    SavedSecret, SavedSettings, SecretHeader, SecretToSave, SettingsVersion, Standing,
};
pub use license::{License, LicenseNames, LicenseSecrets, LicenseTokenStatus, ReturnStatus};
pub use license_check::{LicenseDefect, check_license};
pub use license_return::{BegunReturn, ReturnAttempt, ReturnOutcome, ReturnResult, TakenReturn};
pub use mail::{
    AccessTokenLogin, Mail, MailDelivery, MailFilter, MailKind, MailOutcome, MailSettings, MailState,
    MailStop, MailToSend, MailsToResend, SmtpProtection, SmtpServer, Sold,
};
pub use mail_choices::MailChoices;
pub use operator::{InvalidOperator, NewOperator, Operator, OperatorRole, OperatorSession};
pub use order::{
    Contact, InvalidParty, LANGUAGE_LENGTH_MAX, NewLine, NewOrder, Order, OrderFilter, OrderLine,
    OrderParties, Party, Placed, Settlement, ShownPrice, is_language, merged,
};
pub use outcome::{Event, NotAnOutcomeCursor, Outcome, OutcomeCursor, OutcomeKind, RecordLives};
pub use owner::{NotAnOwner, Owner};
pub use page::{Cursor, Page, Rows, SortOrder};
pub use platform::{NewPlatform, Platform};
pub use plugin::{AddedPlugin, HarmlessFields, NotADigest, PluginDescription, PluginDigest, PluginTrust};
pub use price::{NewPrice, Price, PriceChange, PriceDoubt, RecordedPriceChange};
pub use problem::Problem;
pub use product::{
    AttributeValue, Choice, Decided, Decision, Derivative, Difference, FieldChange, NewProduct, Product,
    ProductAttribute, ProductFilter, ProductType, ServicesDefinition, SkippedItems,
};
pub use proxy::{InvalidProxy, InvalidProxyVariable, NoProxy, Proxy, ProxyChoice, ProxyRules, SavedProxy};
pub use reconciliation::{Discrepancy, DiscrepancyKind, Reconciliation, RecordedLicense, reconcile};
pub use secret::Secret;
pub use seen::Seen;
pub use seller::{InvalidSeller, Seller};
pub use services_run::{
    DifferenceFilter, DifferenceKind, ProductDifference, RunAction, RunCounts, RunLease, RunLogFilter,
    RunLogLevel, RunLogLine, RunProgress, RunState, ServicesRun, Shrinkage,
};
pub use spending::{Spending, SpendingToday, day_began_at_ms};
pub use statement::{PricesAre, Statement, StatementAmount, StatementLine, StatementPrice};
pub use thumbprint::{NotAThumbprint, Thumbprint};
pub use webhook::{
    Delivery, DeliveryAttempt, DeliveryFilter, DeliveryOutcome, DeliveryState, DeliveryToSend, GONE,
    NewWebhook, Webhook, WebhookKeys, WebhookState, event_type,
};
pub use withdrawal::{LineWithdrawal, WithdrawalEnd};
