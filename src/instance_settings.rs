//! The settings of an instance: the form that an operator fills in, judged all at once, and what the
//! other calls read of it, parsed once. The shapes are those of `wit/instance-settings.wit`.

mod certificate_choice;
mod fields;
mod form;
mod places;
mod settings;
mod uniqueness;
mod values;

use crate::failures::Problem;

pub use form::configure_instance;
pub use settings::Settings;

pub(crate) use places::is_country;
pub(crate) use values::{authority_name, guid};

/// How a field is typed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// One line of text.
    Text,
    /// An absolute URL.
    Url,
    /// One of the choices, by key.
    Choice,
}

/// One value of a field that is chosen from a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What is saved.
    pub key: String,
    /// What is shown.
    pub label: String,
    /// Why it can't be chosen now. Empty: it can be.
    pub unusable_because: String,
}

impl Choice {
    fn usable(key: &str, label: &str) -> Self {
        Self {
            key: key.to_owned(),
            label: label.to_owned(),
            unusable_because: String::new(),
        }
    }
}

/// One field of the form, as it is to be shown now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Stable name.
    pub id: &'static str,
    /// What an operator reads beside it.
    pub label: &'static str,
    /// What belongs here.
    pub help: &'static str,
    /// How it is typed in.
    pub kind: FieldKind,
    /// Whether the instance can't be ready without it.
    pub mandatory: bool,
    /// The longest value, in Unicode scalar values.
    pub max_length: u32,
    /// Whether a value is taken now.
    pub enabled: bool,
    /// What may be chosen.
    pub choices: Vec<Choice>,
    /// The value as it would be saved. Empty: none.
    pub value: String,
    /// All that is wrong with it.
    pub problems: Vec<Problem>,
}

/// What an operator typed into one field, or what was saved of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldValue {
    /// The field.
    pub id: String,
    /// Empty: cleared.
    pub value: String,
}

/// The kind of a certificate's public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// With the length of the modulus in bits.
    Rsa(u32),
    /// By the name of its algorithm.
    Other(String),
}

/// The public part of a certificate on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledCertificate {
    /// SHA-1 of the DER form, 40 upper-case hexadecimal digits.
    pub thumbprint: String,
    /// The subject's distinguished name.
    pub subject: String,
    /// The DNS names it is for.
    pub dns_names: Vec<String>,
    /// The first moment it is valid, in milliseconds since 1970.
    pub not_before_ms: i64,
    /// The last moment it is valid, in milliseconds since 1970.
    pub not_after_ms: i64,
    /// Its public key.
    pub key: KeyKind,
    /// Whether the host holds the private key.
    pub has_private_key: bool,
    /// False only where the extended key usage rules client authentication out.
    pub for_client_authentication: bool,
}

/// What another instance of this plugin on the same host has saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherInstance {
    /// Its name on the host.
    pub name: String,
    /// Its saved settings.
    pub values: Vec<FieldValue>,
    /// The currency it sells in, ISO 4217.
    pub currency: String,
}

/// What an operator has typed so far, and what is needed to judge it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// What is typed in now. A field that is not listed keeps its saved value.
    pub values: Vec<FieldValue>,
    /// What was saved before. Empty: never saved.
    pub saved: Vec<FieldValue>,
    /// Whether the instance has licenses.
    pub has_licenses: bool,
    /// The currency the instance sells in, ISO 4217.
    pub currency: String,
    /// The certificates that are installed on the host.
    pub certificates: Vec<InstalledCertificate>,
    /// The host's other instances of this plugin.
    pub other_instances: Vec<OtherInstance>,
}

/// A server that the instance must reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// `host` or `host:port`, in lower case.
    pub name: String,
    /// Whether the client certificate is to be presented to it.
    pub client_certificate: bool,
}

/// Where an instance stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The first six fields are not complete and valid yet.
    NeedsCredentials,
    /// They are; the last three are not, or can't be chosen before the next save.
    NeedsSelection,
    /// All is given and valid.
    Ready(Vec<Authority>),
}

/// The whole form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// In the order in which they are shown.
    pub fields: Vec<Field>,
    /// If this draft is saved.
    pub standing: Standing,
    /// The field that names the certificate.
    pub certificate_field: &'static str,
}

/// A configured instance, as the host hands it to every call but `configure-instance`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its saved settings.
    pub values: Vec<FieldValue>,
    /// The currency it sells in, ISO 4217.
    pub currency: String,
}
