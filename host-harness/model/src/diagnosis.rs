//! Data that every error carries beside its text: a kind, a stable code, and advice. Each surface words them itself.

use std::borrow::Cow;
use std::path::PathBuf;

use uuid::Uuid;

/// The kind of an error. A surface maps each kind to one exit code, or one HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The named thing does not exist.
    NotFound,
    /// The given value can't be right in any state.
    Invalid,
    /// The request does not fit the present state.
    Conflict,
    /// The plugin or the vendor refused.
    Refused,
    /// No usable answer for now, or this machine is in the way; the same request may succeed later.
    Unavailable,
    /// Data of the host is missing, damaged or inconsistent.
    Damaged,
}

impl ErrorKind {
    /// The kind's name for programs, such as `not-found`.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Damaged => "damaged",
        }
    }
}

/// Advice on an error. A surface puts it in its own words: a command, a link, a button. A surface that lacks words
/// for a case does not compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// A sentence that suits every surface, without a period at its end.
    Say(Cow<'static, str>),
    /// Look at the list of instances.
    ListInstances,
    /// Disable an instance that can't be removed.
    DisableInstance {
        /// The instance's name.
        instance: String,
    },
    /// Enable an instance again.
    EnableInstance {
        /// The instance's name.
        instance: String,
    },
    /// Complete the form of an instance.
    CompleteForm {
        /// The instance's name.
        instance: String,
    },
    /// Allow an instance to reach servers, if it should.
    AllowHosts {
        /// The instance's name.
        instance: String,
        /// The servers, `host` or `host:port`.
        hosts: Vec<String>,
    },
    /// Import a usable certificate and choose it for an instance.
    ChooseCertificate {
        /// The instance's name.
        instance: String,
    },
    /// Look at the list of installed certificates.
    ListCertificates,
    /// Make a certificate in the host, or a request for one.
    MakeCertificate,
    /// Name certificate authorities to trust.
    NameTrustedAuthorities,
    /// Build the plugin, or name its file.
    NamePlugin,
    /// Say which of several plugins is meant.
    ChoosePlugin,
    /// Look at the list of plugins.
    ListPlugins,
    /// Trust a plugin, if it is the one that should run.
    TrustPlugin {
        /// The plugin's file.
        path: PathBuf,
    },
    /// Report a rule of the contract that the plugin breaks.
    ReportPlugin,
    /// Look at the traces of the last calls, which have what the plugin did and wrote.
    ShowTraces,
    /// Record the calls anew.
    RecordAgain,
    /// Look at the list of assets.
    ListAssets,
    /// Try an asset's license again.
    RetryAsset {
        /// The asset.
        asset: Uuid,
    },
    /// Cancel an asset, which also credits it.
    CancelAsset {
        /// The asset.
        asset: Uuid,
    },
    /// Look at every attempt at an asset's license.
    ShowAttempts {
        /// The asset.
        asset: Uuid,
    },
    /// Look at the list of orders.
    ListOrders,
    /// Look at an order before anything is ordered again.
    ShowOrder {
        /// The order.
        order: Uuid,
    },
    /// Give what was typed for a field as a secret.
    GiveAsSecret {
        /// The field.
        field: String,
    },
    /// Give what was typed for a field as a value.
    GiveAsValue {
        /// The field.
        field: String,
    },
    /// Remove the secret of a field, if it is not needed.
    ClearSecret {
        /// The field.
        field: String,
    },
    /// Continue an order that is placed.
    ResumeOrder {
        /// The order.
        order: Uuid,
    },
    /// Look at the list of charges.
    ListCharges,
    /// Look at the list of cancellations.
    ListCancellations,
    /// Look at the cancellations of an asset.
    ShowCancellations {
        /// The asset.
        asset: Uuid,
    },
    /// Look at the products of an instance.
    ListProducts,
    /// Run Get Services Definition, or check the product's code.
    FetchServices,
    /// Activate a product.
    ActivateProduct {
        /// The product's code.
        code: String,
    },
    /// Give a product a price.
    PriceProduct {
        /// The product's code.
        code: String,
        /// The currency, ISO 4217.
        currency: String,
    },
    /// Look at the runs of Get Services Definition of an instance.
    ListRuns {
        /// The instance's name; empty: any.
        instance: String,
    },
    /// Accept what a run would discontinue, if the vendor means it.
    AcceptServices {
        /// The instance's name.
        instance: String,
    },
    /// Start a worker.
    StartWorker,
    /// Look at the list of e-mails.
    ListMails,
    /// Configure how e-mail is sent.
    ConfigureMail,
    /// Write the built-in templates to start from.
    WriteTemplates,
    /// Make a directory or a file accessible to its owner alone.
    MakePrivate {
        /// The directory or file.
        path: PathBuf,
        /// The mode that it should have, such as `0o700`.
        mode: u32,
    },
    /// Run the program as the user who owns its data directory.
    RunAsOwner {
        /// The owner's number.
        uid: u32,
    },
    /// Restore the host key as it was: its file, or the environment variable.
    RestoreHostKey,
    /// Add a host key beside those that are there: it opens what they don't.
    AddHostKey {
        /// The id of the key.
        id: String,
    },
    /// Name the data directory that has the record, or make a new one.
    MakeRecord,
    /// Restore a backup of the record.
    RestoreBackup,
    /// Let the restored record take the place of the one that is there.
    ReplaceRecord,
    /// Say that no other copy of the record is in use.
    AdoptRecord,
    /// Release e-mails that are held back, once it is certain that customers don't have them.
    ReleaseMails,
    /// Send a customer's e-mails first, or have them withdrawn with the customer.
    SendOrWithdrawMails,
}

impl Advice {
    /// A sentence that suits every surface.
    pub fn say(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::Say(sentence.into())
    }

    /// The advice as a sentence that suits every surface, as the record keeps it.
    pub fn sentence(&self) -> Cow<'static, str> {
        match self {
            Self::Say(sentence) => return sentence.clone(),
            Self::ListInstances => "look at the list of instances",
            Self::DisableInstance { instance } => {
                return format!("disable instance `{instance}`, so that it takes no orders").into();
            }
            Self::EnableInstance { instance } => return format!("enable instance `{instance}`").into(),
            Self::CompleteForm { instance } => {
                return format!("complete the form of instance `{instance}`").into();
            }
            Self::ChooseCertificate { instance } => {
                return format!("import a usable certificate and choose it for instance `{instance}`").into();
            }
            Self::AllowHosts { instance, hosts } => {
                let hosts = hosts.join(", ");
                return format!("allow instance `{instance}` to reach {hosts}, if it should").into();
            }
            Self::ListCertificates => "look at the list of certificates",
            Self::MakeCertificate => {
                "public authorities issue certificates for servers alone: make a self-signed one to register with the vendor, or \
                 have an authority of your own issue one for client authentication"
            }
            Self::NameTrustedAuthorities => "name a PEM file with the certificate authorities to trust",
            Self::NamePlugin => "build the plugin, or name its file",
            Self::ChoosePlugin => "say which plugin is meant",
            Self::ListPlugins => "look at the list of plugins",
            Self::TrustPlugin { path } => {
                return format!("trust `{}`, if it is the plugin that should run", path.display()).into();
            }
            Self::ReportPlugin => "this is a defect of the plugin: report it to whoever wrote it",
            Self::ShowTraces => {
                "this is a defect of the plugin: look at the trace of the call, which has what the plugin did and wrote"
            }
            Self::RecordAgain => "record the calls again",
            Self::ListAssets => "look at the list of assets",
            Self::RetryAsset { .. } => "try to buy the license again",
            Self::CancelAsset { .. } => "cancel the asset, which credits it too",
            Self::ShowAttempts { .. } => "look at every attempt to buy the license",
            Self::ListOrders => "look at the list of orders",
            Self::ShowOrder { .. } => {
                "look at the order before anything is ordered again; an order of something else needs a key of its own"
            }
            Self::GiveAsSecret { field } => return format!("give `{field}` as a secret").into(),
            Self::GiveAsValue { field } => return format!("give `{field}` as a value").into(),
            Self::ClearSecret { field } => {
                return format!("remove the secret of `{field}`, if it is not needed").into();
            }
            Self::ResumeOrder { .. } => "resume the order",
            Self::ListCharges => "look at the list of charges",
            Self::ListCancellations => "look at the list of cancellations",
            Self::ShowCancellations { .. } => "look at the cancellations of the asset",
            Self::ListProducts => "look at the products of the instance",
            Self::FetchServices => "run Get Services Definition, or check the product's code",
            Self::ActivateProduct { code } => return format!("activate product `{code}`").into(),
            Self::PriceProduct { code, currency } => {
                return format!("set a price for product `{code}` in {currency}, 0 if it is free").into();
            }
            Self::ListRuns { .. } => "look at the runs of the instance",
            Self::StartWorker => "start a worker",
            Self::AcceptServices { instance } => {
                return format!(
                    "look at what the run would discontinue, and accept it for instance `{instance}` if the vendor means it"
                )
                .into();
            }
            Self::ListMails => "look at the list of e-mails",
            Self::ConfigureMail => "save mail settings",
            Self::WriteTemplates => "start from the built-in templates",
            Self::MakePrivate { path, .. } => {
                return format!("make `{}` accessible to its owner alone", path.display()).into();
            }
            Self::RunAsOwner { uid } => return format!("run the program as user {uid}").into(),
            Self::RestoreHostKey => "restore the former host key",
            Self::AddHostKey { id } => {
                return format!("add host key {id} beside those that are there").into();
            }
            Self::MakeRecord => "name the data directory that has the record, or make a new one",
            Self::RestoreBackup => "restore a backup",
            Self::ReplaceRecord => "let the backup take the place of the record that is there",
            Self::AdoptRecord => "make sure that no other copy of the record is in use, then adopt this one",
            Self::ReleaseMails => {
                "release the e-mails once it is certain that their customers don't have them"
            }
            Self::SendOrWithdrawMails => "send the e-mails first, or have them withdrawn with the customer",
        }
        .into()
    }
}

/// Kind, code and advice of an error.
///
/// ```
/// use bss_model::{Advice, Diagnosis, ErrorKind};
///
/// let diagnosis = Diagnosis::new(ErrorKind::NotFound, "no-instance").advise(Advice::ListInstances);
/// assert_eq!(diagnosis.code, "no-instance");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// The kind of the error.
    pub kind: ErrorKind,
    /// A stable name in lower case, with words joined by `-`.
    pub code: Cow<'static, str>,
    /// The advice. `None`: nothing is known to help.
    pub advice: Option<Advice>,
}

impl Diagnosis {
    /// A diagnosis without advice.
    pub fn new(kind: ErrorKind, code: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            code: code.into(),
            advice: None,
        }
    }

    /// Adds advice.
    #[must_use]
    pub fn advise(self, advice: Advice) -> Self {
        Self {
            advice: Some(advice),
            ..self
        }
    }

    /// Adds advice that is a sentence for every surface.
    #[must_use]
    pub fn say(self, sentence: impl Into<Cow<'static, str>>) -> Self {
        self.advise(Advice::say(sentence))
    }
}

/// An error and its causes on one line, joined by `: `. A cause that only repeats the end of the text before it is left
/// out.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !texts.last().is_some_and(|last| last.ends_with(&text)) {
            texts.push(text);
        }
        next = cause.source();
    }
    texts.join(": ")
}

/// An error that can be shown on any surface. Its `Display` says what is wrong and no more.
pub trait Diagnose: std::error::Error {
    /// Kind, code and advice.
    fn diagnosis(&self) -> Diagnosis;
}
