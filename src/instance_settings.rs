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

/// The ways in which a field is typed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A line of text.
    Text,
    /// An absolute URL.
    Url,
    /// The key of one of the choices.
    Choice,
}

/// What a change of a field means for a purchase whose outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldRole {
    /// Names the account, or where it is.
    Account,
    /// Proves who asks.
    Credential,
    /// Neither.
    Other,
}

/// A value that can be chosen from a field's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The value that is saved.
    pub key: String,
    /// The text that is shown.
    pub label: String,
    /// Why the value can't be chosen now; empty when it can be.
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

/// A field of the form, as it is to be shown now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Stable name.
    pub id: &'static str,
    /// The text that stands beside the field.
    pub label: &'static str,
    /// Help on the value that belongs into the field.
    pub help: &'static str,
    /// How the field is typed in.
    pub kind: FieldKind,
    /// What a change of the value means.
    pub role: FieldRole,
    /// Whether the instance can't be ready without a value.
    pub mandatory: bool,
    /// The longest value, in Unicode scalar values.
    pub max_length: u32,
    /// Whether a value is taken now.
    pub enabled: bool,
    /// The values that may be chosen.
    pub choices: Vec<Choice>,
    /// The value as it would be saved; empty when there is none.
    pub value: String,
    /// All that is wrong with the value.
    pub problems: Vec<Problem>,
}

/// The value that an operator typed into a field, or that was saved of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldValue {
    /// The field's id.
    pub id: String,
    /// The value; empty when the field was cleared.
    pub value: String,
}

/// The kind of a certificate's public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, with the length of the modulus in bits.
    Rsa(u32),
    /// Any other kind, by the name of its algorithm.
    Other(String),
}

/// The public part of a certificate on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledCertificate {
    /// SHA-1 of the DER form, 40 upper-case hexadecimal digits.
    pub thumbprint: String,
    /// The subject's distinguished name.
    pub subject: String,
    /// The DNS names that the certificate is for.
    pub dns_names: Vec<String>,
    /// The first moment it is valid, in milliseconds since 1970.
    pub not_before_ms: i64,
    /// The last moment it is valid, in milliseconds since 1970.
    pub not_after_ms: i64,
    /// The kind of its public key.
    pub key: KeyKind,
    /// Whether the host holds the private key.
    pub has_private_key: bool,
    /// False only where the extended key usage rules client authentication out.
    pub for_client_authentication: bool,
}

/// The saved settings of another instance of this plugin on the same host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherInstance {
    /// The instance's name on the host.
    pub name: String,
    /// The instance's saved settings.
    pub values: Vec<FieldValue>,
    /// The currency it sells in, ISO 4217.
    pub currency: String,
}

/// The values that an operator has typed so far, and what is needed to judge them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// The values typed in now. A field that is not listed keeps its saved value.
    pub values: Vec<FieldValue>,
    /// The values saved before; empty when the instance was never saved.
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

/// How far the settings of an instance have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The first six fields are not complete and valid yet.
    NeedsCredentials,
    /// The first six fields are; the last three are not, or can't be chosen before the next save.
    NeedsSelection,
    /// All nine fields are given and valid; these are the servers to reach.
    Ready(Vec<Authority>),
}

/// The whole form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// The fields in the order in which they are shown.
    pub fields: Vec<Field>,
    /// How far the instance has come once this draft is saved.
    pub standing: Standing,
    /// The field that names the certificate.
    pub certificate_field: &'static str,
}

/// A configured instance, as the host hands it to every call but `configure-instance`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The instance's saved settings.
    pub values: Vec<FieldValue>,
    /// The currency it sells in, ISO 4217.
    pub currency: String,
}
