//! The nine fields of the form, in the order and with the labels of interworks.cloud's page
//! "Activating the Integration with Microsoft ESD".

use bss_plugin::form::certificates;

use super::{FieldKind, FieldRole, FieldValue, places, values};

/// The longest System Name: long enough for every name that fits beside a product type's.
const SYSTEM_NAME_LENGTH_MAX: u32 = 100;
/// The longest address. RFC 9110 section 4.1 asks for 8,000; one that an operator types is never near this.
const URL_LENGTH_MAX: u32 = 500;
/// The longest tenant: a domain name is at most this long (RFC 1035 section 2.3.4), a GUID is shorter.
const TENANT_LENGTH_MAX: u32 = 253;
/// The longest Channel ID. Microsoft's account numbers have ten digits; nothing public sets a limit.
const CHANNEL_ID_LENGTH_MAX: u32 = 64;
const GUID_LENGTH: u32 = 36;
/// The longest thumbprint: 40 digits, and a blank or a colon after every two, as certificate viewers show it.
const THUMBPRINT_LENGTH_MAX: u32 = 80;
const COUNTRY_LENGTH: u32 = 2;
/// The longest well-formed tag without extensions (RFC 5646 section 4.4.1).
const LANGUAGE_LENGTH_MAX: u32 = 35;

/// A field of the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldName {
    SystemName,
    ResourceApi,
    ServiceUrl,
    Tenant,
    ChannelId,
    ClientId,
    CertificateThumbprint,
    Country,
    Language,
}

/// The fields that must be valid and saved once before the others can be chosen.
pub(super) const CREDENTIALS: [FieldName; 6] = [
    FieldName::SystemName,
    FieldName::ResourceApi,
    FieldName::ServiceUrl,
    FieldName::Tenant,
    FieldName::ChannelId,
    FieldName::ClientId,
];

/// The fields that can be chosen once the credentials are saved.
pub(super) const SELECTION: [FieldName; 3] = [
    FieldName::CertificateThumbprint,
    FieldName::Country,
    FieldName::Language,
];

impl FieldName {
    /// All nine fields, in the order in which they are shown.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        CREDENTIALS.into_iter().chain(SELECTION)
    }

    /// Whether the field is one of the last three.
    pub(super) fn is_selection(self) -> bool {
        SELECTION.contains(&self)
    }

    pub(super) fn id(self) -> &'static str {
        match self {
            Self::SystemName => "system-name",
            Self::ResourceApi => "resource-api",
            Self::ServiceUrl => "service-url",
            Self::Tenant => "tenant",
            Self::ChannelId => "channel-id",
            Self::ClientId => "client-id",
            Self::CertificateThumbprint => "certificate-thumbprint",
            Self::Country => "country",
            Self::Language => "language",
        }
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::SystemName => "System Name",
            Self::ResourceApi => "Recourse API",
            Self::ServiceUrl => "Service URL",
            Self::Tenant => "Azure Active Directory Tenant",
            Self::ChannelId => "Channel ID",
            Self::ClientId => "Client ID",
            Self::CertificateThumbprint => "Certificate Thumbprint",
            Self::Country => "Country",
            Self::Language => "Language",
        }
    }

    pub(super) fn help(self) -> &'static str {
        match self {
            Self::SystemName => "The name of this instance, which no other instance may have.",
            Self::ResourceApi => {
                "The production endpoint for the data, as an https address: the resource that the access token is requested for."
            }
            Self::ServiceUrl => {
                "The production endpoint for the data, as an https address: the server from which offers are read and licenses are bought."
            }
            Self::Tenant => {
                "The tenant that issues the access tokens, as a GUID or as a verified domain name."
            }
            Self::ChannelId => "The Bill To Account ID that Microsoft has provided.",
            Self::ClientId => {
                "Microsoft's ID of the distributor: the Application (client) ID, a GUID. Each country needs a Client ID of its own."
            }
            Self::CertificateThumbprint => {
                "The certificate that identifies the instance, for one combination of Channel ID, Client ID, country, language and currency."
            }
            Self::Country => "The country in which the products are provided.",
            Self::Language => "The language of the products that Get Services Definition creates.",
        }
    }

    /// What a change of the field means. A purchase is looked up under channel and client, of a country each, at the
    /// address; another certificate shows the same client.
    pub(super) fn role(self) -> FieldRole {
        match self {
            Self::ResourceApi
            | Self::ServiceUrl
            | Self::Tenant
            | Self::ChannelId
            | Self::ClientId
            | Self::Country => FieldRole::Account,
            Self::CertificateThumbprint => FieldRole::Credential,
            Self::SystemName | Self::Language => FieldRole::Other,
        }
    }

    pub(super) fn kind(self) -> FieldKind {
        match self {
            Self::ResourceApi | Self::ServiceUrl => FieldKind::Url,
            Self::SystemName | Self::Tenant | Self::ChannelId | Self::ClientId => FieldKind::Text,
            Self::CertificateThumbprint | Self::Country | Self::Language => FieldKind::Choice,
        }
    }

    pub(super) fn length_max(self) -> u32 {
        match self {
            Self::SystemName => SYSTEM_NAME_LENGTH_MAX,
            Self::ResourceApi | Self::ServiceUrl => URL_LENGTH_MAX,
            Self::Tenant => TENANT_LENGTH_MAX,
            Self::ChannelId => CHANNEL_ID_LENGTH_MAX,
            Self::ClientId => GUID_LENGTH,
            Self::CertificateThumbprint => THUMBPRINT_LENGTH_MAX,
            Self::Country => COUNTRY_LENGTH,
            Self::Language => LANGUAGE_LENGTH_MAX,
        }
    }

    /// The value as it would be saved.
    fn normalized(self, value: &str) -> String {
        let value = value.trim();
        match self {
            Self::CertificateThumbprint => certificates::normalized(value),
            Self::Country => places::country_code(value).unwrap_or(value).to_owned(),
            Self::Language => places::language_tag(value).unwrap_or(value).to_owned(),
            Self::ClientId => {
                values::guid(value).map_or_else(|| value.to_owned(), |guid| guid.hyphenated().to_string())
            }
            _ => value.to_owned(),
        }
    }
}

/// The values of all fields, as they would be saved; empty where there is none.
#[derive(Clone, Debug, Default)]
pub(super) struct Values(Vec<(FieldName, String)>);

impl Values {
    /// Normalizes the values that were saved or typed.
    pub(super) fn of(values: &[FieldValue]) -> Self {
        let mut all = Self::default();
        for FieldValue { id, value } in values {
            if let Some(name) = FieldName::all().find(|name| name.id() == id) {
                all.set(name, name.normalized(value));
            }
        }
        all
    }

    /// Replaces the values of the fields that `newer` has.
    pub(super) fn updated_by(mut self, newer: Self) -> Self {
        for (name, value) in newer.0 {
            self.set(name, value);
        }
        self
    }

    pub(super) fn get(&self, name: FieldName) -> &str {
        self.0
            .iter()
            .find(|(held, _)| *held == name)
            .map_or("", |(_, value)| value.as_str())
    }

    fn set(&mut self, name: FieldName, value: String) {
        self.0.retain(|(held, _)| *held != name);
        self.0.push((name, value));
    }
}
