//! Acts on record: who changed what, and when.

use std::fmt;

use uuid::Uuid;

use crate::actor::Actor;
use crate::owner::Owner;
use crate::plugin::PluginDigest;
use crate::thumbprint::Thumbprint;
use crate::words::stored_enum;

/// The action of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Made an instance.
    CreateInstance,
    /// Saved the settings of an instance, its certificate included.
    SaveSettings,
    /// Gave an instance another name.
    RenameInstance,
    /// Had an instance take no orders and buy nothing.
    DisableInstance,
    /// Had an instance sell again.
    EnableInstance,
    /// Removed an instance at which nothing was ever ordered.
    RemoveInstance,
    /// Installed a certificate, or a longer chain of one.
    ImportCertificate,
    /// Removed a certificate and its private key.
    RemoveCertificate,
    /// Made a key and its self-signed certificate.
    MakeCertificate,
    /// Made a key and a request for a certificate.
    RequestCertificate,
    /// Removed a request for a certificate and its private key.
    RemoveCertificateRequest,
    /// Asked for a run of Get Services Definition.
    StartServicesRun,
    /// Set the part of what is on sale that a run of Get Services Definition discontinues without being told to.
    LimitDiscontinuations,
    /// Activated, deactivated, published or unpublished a product.
    DecideProduct,
    /// Set or removed the price of a product in one currency.
    SetPrice,
    /// Placed an order.
    PlaceOrder,
    /// Made an asset's purchase due at once, even after a definitive failure.
    RetryAsset,
    /// Withdrew an asset before its license was bought, or asked for that while it was in doubt.
    WithdrawAsset,
    /// Asked for an asset to be cancelled.
    RequestCancellation,
    /// Cancelled an asset without a request.
    CancelAsset,
    /// Withdrew a request for a cancellation.
    WithdrawCancellation,
    /// Declined a request for a cancellation.
    DeclineCancellation,
    /// Confirmed a request for a cancellation.
    ConfirmCancellation,
    /// Changed how the host sends e-mail.
    SaveMailSettings,
    /// Made an unsent e-mail due at once, or released one that was held back.
    RetryMail,
    /// Sent an e-mail again, to the same recipient or to another one.
    ResendMail,
    /// Corrected a customer's name, country, e-mail address or language at an instance.
    CorrectCustomer,
    /// Noticed that the record was restored, copied or moved.
    NoticeRestoration,
    /// Said that no other copy of the record goes on.
    AdoptRecord,
    /// Set how long a purchase or return in doubt is only looked up.
    SetLookUpOnly,
    /// Sealed all secrets on record again under another host key.
    RotateHostKey,
    /// Was shown the whole product key and activation link of an asset.
    ShowKeys,
    /// Put a plugin on record, which runs for no instance before it is trusted.
    AddPlugin,
    /// Let a plugin run for instances.
    TrustPlugin,
    /// Took a plugin off the record.
    RemovePlugin,
    /// Set which duties the host has beside buying.
    SetDuties,
    /// Set or removed the most that an instance sells in a day.
    LimitSpending,
    /// Erased a customer's name, contact and free text at an instance.
    EraseCustomer,
    /// Took note of an alert.
    AcknowledgeAlert,
    /// Changed who is told of alerts.
    SaveAlertSettings,
    /// Set the prefix of the numbers of an instance's charges.
    SetChargePrefix,
    /// Set who sells at an instance, as e-mails say it.
    SaveSeller,
    /// Chose the e-mails of an instance.
    ChooseMails,
    /// Put a receiver of outcomes on record.
    CreateWebhook,
    /// Gave a receiver of outcomes new keys.
    RotateWebhook,
    /// Had a receiver of outcomes be told again.
    EnableWebhook,
    /// Had a receiver of outcomes be told nothing.
    DisableWebhook,
    /// Removed a receiver of outcomes.
    RemoveWebhook,
    /// Had outcomes be sent to a receiver again.
    Redeliver,
    /// Made an API client and its key.
    CreateApiClient,
    /// Gave an API client another key.
    RotateApiKey,
    /// Revoked an API client: its keys open nothing any more.
    RevokeApiClient,
    /// Registered a platform.
    RegisterPlatform,
    /// Put the key on record that a platform has now.
    SetPlatformKey,
    /// Revoked a platform: its keys open nothing any more.
    RevokePlatform,
    /// Made an operator, and invited the operator to choose a password.
    CreateOperator,
    /// Invited an operator to choose another password.
    InviteOperator,
    /// Chose a password.
    ChoosePassword,
    /// Changed what an operator may do.
    ChangeOperator,
    /// Kept an operator from signing in.
    DisableOperator,
    /// Let an operator sign in again.
    EnableOperator,
    /// Signed in at the console.
    SignIn,
    /// Ended a session of an operator: signed out, or had somebody signed out.
    EndSession,
}

stored_enum!(Act {
    CreateInstance = "create_instance", "create instance";
    SaveSettings = "save_settings", "save settings";
    RenameInstance = "rename_instance", "rename instance";
    DisableInstance = "disable_instance", "disable instance";
    EnableInstance = "enable_instance", "enable instance";
    RemoveInstance = "remove_instance", "remove instance";
    ImportCertificate = "import_certificate", "import certificate";
    RemoveCertificate = "remove_certificate", "remove certificate";
    MakeCertificate = "make_certificate", "make certificate";
    RequestCertificate = "request_certificate", "request certificate";
    RemoveCertificateRequest = "remove_certificate_request", "remove certificate request";
    StartServicesRun = "start_services_run", "start services run";
    LimitDiscontinuations = "limit_discontinuations", "limit discontinuations";
    DecideProduct = "decide_product", "decide product";
    SetPrice = "set_price", "set price";
    PlaceOrder = "place_order", "place order";
    RetryAsset = "retry_asset", "retry asset";
    WithdrawAsset = "withdraw_asset", "withdraw asset";
    RequestCancellation = "request_cancellation", "request cancellation";
    CancelAsset = "cancel_asset", "cancel asset";
    WithdrawCancellation = "withdraw_cancellation", "withdraw cancellation";
    DeclineCancellation = "decline_cancellation", "decline cancellation";
    ConfirmCancellation = "confirm_cancellation", "confirm cancellation";
    SaveMailSettings = "save_mail_settings", "save mail settings";
    RetryMail = "retry_mail", "retry mail";
    ResendMail = "resend_mail", "resend mail";
    CorrectCustomer = "correct_customer", "correct customer";
    NoticeRestoration = "notice_restoration", "notice restoration";
    AdoptRecord = "adopt_record", "adopt record";
    SetLookUpOnly = "set_look_up_only", "set look-up only";
    RotateHostKey = "rotate_host_key", "rotate host key";
    ShowKeys = "show_keys", "show keys";
    AddPlugin = "add_plugin", "add plugin";
    TrustPlugin = "trust_plugin", "trust plugin";
    RemovePlugin = "remove_plugin", "remove plugin";
    SetDuties = "set_duties", "set duties";
    LimitSpending = "limit_spending", "limit spending";
    EraseCustomer = "erase_customer", "erase customer";
    AcknowledgeAlert = "acknowledge_alert", "acknowledge alert";
    SaveAlertSettings = "save_alert_settings", "save alert settings";
    SetChargePrefix = "set_charge_prefix", "set charge prefix";
    SaveSeller = "save_seller", "save seller";
    ChooseMails = "choose_mails", "choose mails";
    CreateWebhook = "create_webhook", "create webhook";
    RotateWebhook = "rotate_webhook", "rotate webhook";
    EnableWebhook = "enable_webhook", "enable webhook";
    DisableWebhook = "disable_webhook", "disable webhook";
    RemoveWebhook = "remove_webhook", "remove webhook";
    Redeliver = "redeliver", "redeliver";
    CreateApiClient = "create_api_client", "create API client";
    RotateApiKey = "rotate_api_key", "rotate API key";
    RevokeApiClient = "revoke_api_client", "revoke API client";
    RegisterPlatform = "register_platform", "register platform";
    SetPlatformKey = "set_platform_key", "set platform key";
    RevokePlatform = "revoke_platform", "revoke platform";
    CreateOperator = "create_operator", "create operator";
    InviteOperator = "invite_operator", "invite operator";
    ChoosePassword = "choose_password", "choose password";
    ChangeOperator = "change_operator", "change operator";
    DisableOperator = "disable_operator", "disable operator";
    EnableOperator = "enable_operator", "enable operator";
    SignIn = "sign_in", "sign in";
    EndSession = "end_session", "end session";
});

/// The kind of thing that an act changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubjectKind {
    /// An instance, by its id.
    Instance,
    /// A certificate, by its thumbprint; a request for one, by the thumbprint of its public key.
    Certificate,
    /// A run of Get Services Definition, by its id.
    ServicesRun,
    /// A product, by its code, which is unique within an instance.
    Product,
    /// An order, by its id.
    Order,
    /// An asset, by its id.
    Asset,
    /// An e-mail, by its id.
    Mail,
    /// The settings for sending e-mail. A host has one set.
    MailSettings,
    /// The record itself, by its id.
    Record,
    /// A plugin, by the SHA-256 of its file.
    Plugin,
    /// A customer, by the platform's own name for it.
    Customer,
    /// An alert, by its number.
    Alert,
    /// The settings for telling of alerts. A host has one set.
    AlertSettings,
    /// A receiver of outcomes, by its id.
    Webhook,
    /// An API client, by its id.
    ApiClient,
    /// A platform, by its id.
    Platform,
    /// An operator, by its id.
    Operator,
}

stored_enum!(SubjectKind {
    Instance = "instance", "instance";
    Certificate = "certificate", "certificate";
    ServicesRun = "services_run", "services run";
    Product = "product", "product";
    Order = "order", "order";
    Asset = "asset", "asset";
    Mail = "mail", "mail";
    MailSettings = "mail_settings", "mail settings";
    Record = "record", "record";
    Plugin = "plugin", "plugin";
    Customer = "customer", "customer";
    Alert = "alert", "alert";
    AlertSettings = "alert_settings", "alert settings";
    Webhook = "webhook", "webhook";
    ApiClient = "api_client", "API client";
    Platform = "platform", "platform";
    Operator = "operator", "operator";
});

/// The one thing that an act changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// The kind.
    pub kind: SubjectKind,
    /// The id, in the form that the kind says.
    pub id: String,
}

impl Subject {
    /// An instance.
    pub fn instance(id: Uuid) -> Self {
        Self::new(SubjectKind::Instance, id)
    }

    /// A certificate.
    pub fn certificate(thumbprint: &Thumbprint) -> Self {
        Self::new(SubjectKind::Certificate, thumbprint)
    }

    /// A run of Get Services Definition.
    pub fn services_run(id: Uuid) -> Self {
        Self::new(SubjectKind::ServicesRun, id)
    }

    /// A product.
    pub fn product(code: &str) -> Self {
        Self::new(SubjectKind::Product, code)
    }

    /// An order.
    pub fn order(id: Uuid) -> Self {
        Self::new(SubjectKind::Order, id)
    }

    /// An asset.
    pub fn asset(id: Uuid) -> Self {
        Self::new(SubjectKind::Asset, id)
    }

    /// An e-mail.
    pub fn mail(id: Uuid) -> Self {
        Self::new(SubjectKind::Mail, id)
    }

    /// The settings for sending e-mail.
    pub fn mail_settings() -> Self {
        Self::new(SubjectKind::MailSettings, "host")
    }

    /// The record.
    pub fn record(id: Uuid) -> Self {
        Self::new(SubjectKind::Record, id)
    }

    /// A plugin.
    pub fn plugin(digest: &PluginDigest) -> Self {
        Self::new(SubjectKind::Plugin, digest)
    }

    /// A customer.
    pub fn customer(id: &str) -> Self {
        Self::new(SubjectKind::Customer, id)
    }

    /// The settings for telling of alerts.
    pub fn alert_settings() -> Self {
        Self::new(SubjectKind::AlertSettings, "host")
    }

    /// An alert.
    pub fn alert(number: i64) -> Self {
        Self::new(SubjectKind::Alert, number)
    }

    /// A receiver of outcomes.
    pub fn webhook(id: Uuid) -> Self {
        Self::new(SubjectKind::Webhook, id)
    }

    /// An API client.
    pub fn api_client(id: Uuid) -> Self {
        Self::new(SubjectKind::ApiClient, id)
    }

    /// A platform.
    pub fn platform(id: Uuid) -> Self {
        Self::new(SubjectKind::Platform, id)
    }

    /// An operator.
    pub fn operator(id: Uuid) -> Self {
        Self::new(SubjectKind::Operator, id)
    }

    fn new(kind: SubjectKind, id: impl fmt::Display) -> Self {
        Self {
            kind,
            id: id.to_string(),
        }
    }
}

/// An act on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedAct {
    /// The number, from 1, in the order in which the acts were committed. A number is never used again.
    pub number: i64,
    /// The time, in milliseconds.
    pub at_ms: i64,
    /// The actor.
    pub actor: Actor,
    /// The action.
    pub act: Act,
    /// The thing that it changed.
    pub subject: Subject,
    /// The instance that the subject belongs to. `None`: the subject belongs to the host.
    pub instance_id: Option<Uuid>,
    /// Data needed to understand the act, as a JSON object without secrets. `None`: the act alone says it all.
    pub detail: Option<String>,
}

/// Filter of acts: those that match every given field.
#[derive(Clone, Debug, Default)]
pub struct ActFilter {
    /// Acts on the subject with this id.
    pub subject: Option<String>,
    /// Acts on subjects of this kind.
    pub subject_kind: Option<SubjectKind>,
    /// Acts on what belongs to this instance.
    pub instance: Option<Uuid>,
    /// Acts on the instances and certificates of this owner, and on what belongs to them.
    pub owner: Option<Owner>,
    /// Acts of this kind.
    pub act: Option<Act>,
    /// Acts of actors with this name.
    pub actor: Option<String>,
    /// Acts from this time on, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Acts before this time, in milliseconds since 1970.
    pub until_ms: Option<i64>,
    /// Acts with a greater number.
    pub after: Option<i64>,
    /// Acts with a smaller number.
    pub before: Option<i64>,
}
