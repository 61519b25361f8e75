//! Instances: an account at a vendor, as an operator has configured it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use serde::Serialize;
use uuid::Uuid;

use crate::actor::Actor;
use crate::owner::Owner;
use crate::plugin::PluginDigest;
use crate::proxy::SavedProxy;
use crate::secret::Secret;
use crate::thumbprint::Thumbprint;
use crate::words::stored_enum;

/// The standing of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The credentials are not complete and valid yet.
    NeedsCredentials,
    /// The credentials are saved; certificate, country and language can be chosen.
    NeedsSelection,
    /// The instance can be used.
    Ready,
}

stored_enum!(Standing {
    NeedsCredentials = "needs_credentials", "needs credentials";
    NeedsSelection = "needs_selection", "needs selection";
    Ready = "ready", "ready";
});

/// A server that an instance may reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// `host` or `host:port`, in lower case.
    pub name: String,
    /// Whether the instance's certificate is presented to it.
    pub client_certificate: bool,
    /// The secrets that are sent to it with every request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_headers: Vec<SecretHeader>,
}

/// A header field that the host fills with a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretHeader {
    /// The header field's name, in lower case.
    pub name: String,
    /// What stands before the secret.
    pub prefix: String,
    /// The field that has the secret.
    pub field: String,
}

/// What a change of a field means for a purchase whose outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldRole {
    /// Names the vendor's account, or where it is: under another one, not to find a purchase means nothing.
    Account,
    /// Proves who asks: another one shows the same account.
    Credential,
    /// Neither.
    Other,
}

impl Authority {
    /// Whether the server is one of this machine: `localhost`, or a loopback address.
    pub fn is_of_this_machine(&self) -> bool {
        let name = &self.name;
        let host = match name.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => name,
        };
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }
}

/// An instance to be made.
#[derive(Clone, Debug)]
pub struct NewInstance {
    /// The operators' name for it. Unique among those of its owner.
    pub name: String,
    /// Its owner, for good. `None`: it is the operator's own.
    pub owner: Option<Owner>,
    /// The currency in which it sells, ISO 4217.
    pub currency: String,
    /// Options for the plugin beside the settings.
    pub options: BTreeMap<String, String>,
    /// Extra permissions of its connections.
    pub reach: Reach,
    /// Its plugin. `None`: the one that judges its settings first.
    pub plugin: Option<PluginDigest>,
}

impl NewInstance {
    /// An instance of a name and a currency (ISO 4217), with nothing else said: no options, no way out, the operator's own.
    pub fn new(name: impl Into<String>, currency: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            owner: None,
            currency: currency.into(),
            options: BTreeMap::new(),
            reach: Reach::default(),
            plugin: None,
        }
    }
}

/// Extra permissions of an instance's connections. Only the operator sets them, never the plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// Certificate authorities to trust instead of the system's, as PEM. `None`: the system's.
    pub trusted_authorities_pem: Option<String>,
    /// Networks that may be reached although they are not public.
    pub allowed_networks: Vec<IpNet>,
    /// Servers that the plugin may ask for although no setting and no option names them: `host` or `host:port`, in
    /// lower case.
    #[serde(default)]
    pub allowed_hosts: Vec<String>,
    /// The proxy. `None`: as the host's environment says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<SavedProxy>,
}

/// What may be known of a secret that is saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSecret {
    /// A digest by which nobody without the host key can guess the secret.
    pub digest: String,
    /// The servers that stood in the settings when the secret was typed, or first stood there after that. The secret is
    /// sent to no other, until it is typed again.
    pub servers: BTreeSet<String>,
}

/// A secret that is to be saved.
#[derive(Clone, Debug)]
pub struct SecretToSave {
    /// The secret. `None`: the one that is saved.
    pub new: Option<Secret>,
    /// The servers that it may be sent to.
    pub servers: BTreeSet<String>,
}

/// The parts of an instance that are saved together.
#[derive(Clone, Debug)]
pub struct SavedSettings {
    /// Every field that has a value. No value is a secret.
    pub values: BTreeMap<String, String>,
    /// Every secret field that has a value.
    pub secrets: BTreeMap<String, SecretToSave>,
    /// What a change of each field means.
    pub roles: BTreeMap<String, FieldRole>,
    /// The fields whose values are addresses that were typed as such.
    pub url_fields: BTreeSet<String>,
    /// The instance's standing with these values.
    pub standing: Standing,
    /// The servers that it may reach with these values.
    pub authorities: Vec<Authority>,
    /// The servers that the operator allows the plugin to ask for, as in [`Reach::allowed_hosts`].
    pub allowed_hosts: Vec<String>,
    /// The certificate chosen in these values.
    pub thumbprint: Option<Thumbprint>,
    /// The other instances with this certificate that were found to stand for the same customer, by id, and the version
    /// of each. Nothing is saved if there are others by now, or other versions.
    pub shares_with: BTreeMap<Uuid, i64>,
    /// The plugin that judged these values. `None`: they were saved without one.
    pub plugin: Option<PluginDigest>,
    /// What else is corrected with them. `None`: nothing.
    pub correction: Option<InstanceCorrection>,
}

impl SavedSettings {
    /// The settings of an instance whose form is empty.
    pub fn none(allowed_hosts: Vec<String>) -> Self {
        Self {
            values: BTreeMap::new(),
            secrets: BTreeMap::new(),
            roles: BTreeMap::new(),
            url_fields: BTreeSet::new(),
            standing: Standing::NeedsCredentials,
            authorities: Vec::new(),
            allowed_hosts,
            thumbprint: None,
            shares_with: BTreeMap::new(),
            plugin: None,
            correction: None,
        }
    }
}

/// What an operator may correct of an instance beside its form, as it is to be from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceCorrection {
    /// The currency in which the instance sells, ISO 4217. Another one only where nothing was ordered yet.
    pub currency: String,
    /// The options for the plugin.
    pub options: BTreeMap<String, String>,
    /// Certificate authorities to trust instead of the system's, as PEM. `None`: the system's.
    pub trusted_authorities_pem: Option<String>,
    /// Networks that may be reached although they are not public.
    pub allowed_networks: Vec<IpNet>,
}

impl InstanceCorrection {
    /// What an instance has, so that nothing is corrected.
    pub fn of(instance: &Instance) -> Self {
        Self {
            currency: instance.currency.clone(),
            options: instance.options.clone(),
            trusted_authorities_pem: instance.reach.trusted_authorities_pem.clone(),
            allowed_networks: instance.reach.allowed_networks.clone(),
        }
    }

    /// An instance with what is corrected.
    #[must_use]
    pub fn corrected(self, instance: Instance) -> Instance {
        Instance {
            currency: self.currency,
            options: self.options,
            reach: Reach {
                trusted_authorities_pem: self.trusted_authorities_pem,
                allowed_networks: self.allowed_networks,
                ..instance.reach
            },
            ..instance
        }
    }
}

/// A configured instance as last saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Stable and unique.
    pub id: Uuid,
    /// The operators' name for it. Unique among those of its owner.
    pub name: String,
    /// The name that it was made with, of which the ids of its orders are made. `None`: it still has that name.
    pub first_name: Option<String>,
    /// Its owner. `None`: it is the operator's own.
    pub owner: Option<Owner>,
    /// The currency in which it sells, ISO 4217.
    pub currency: String,
    /// Options for the plugin beside the settings.
    pub options: BTreeMap<String, String>,
    /// Extra permissions of its connections.
    pub reach: Reach,
    /// How often its settings were saved.
    pub version: i64,
    /// Every field that has a value. No value is a secret.
    pub values: BTreeMap<String, String>,
    /// Every secret field that has a value, and what may be known of that.
    pub secrets: BTreeMap<String, SavedSecret>,
    /// The fields whose values are addresses that were typed as such. `None`: saved by a host that did not write it down.
    pub url_fields: Option<BTreeSet<String>>,
    /// The standing.
    pub standing: Standing,
    /// The servers that it may reach.
    pub authorities: Vec<Authority>,
    /// The certificate with which it authenticates.
    pub thumbprint: Option<Thumbprint>,
    /// Its plugin, which alone is called for it. `None`: the one that judges its settings first.
    pub plugin: Option<PluginDigest>,
    /// When it was made, in milliseconds.
    pub created_at_ms: i64,
    /// Since when it takes no orders and buys nothing, in milliseconds. `None`: it sells.
    pub disabled_at_ms: Option<i64>,
}

impl Instance {
    /// The name that the instance was made with.
    pub fn first_name(&self) -> &str {
        self.first_name.as_ref().unwrap_or(&self.name)
    }

    /// Whether the instance takes no orders and buys nothing.
    pub fn is_disabled(&self) -> bool {
        self.disabled_at_ms.is_some()
    }
}

/// The change of one field in one save.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The value before. `None`: it had none.
    pub old: Option<String>,
    /// The value since. `None`: it has none.
    pub new: Option<String>,
}

/// The changes of one save beside the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherChanges {
    /// The options for the plugin, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, Change>,
    /// The currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Change>,
    /// The SHA-256 of the certificate authorities that are trusted instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_authorities: Option<Change>,
    /// The networks that may be reached although they are not public, with commas between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_networks: Option<Change>,
}

/// A save of an instance's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsVersion {
    /// The instance's version after the save.
    pub version: i64,
    /// The actor who saved.
    pub changed_by: Actor,
    /// The time, in milliseconds.
    pub changed_at_ms: i64,
    /// The instance's standing after the save.
    pub standing: Standing,
    /// The fields that changed.
    pub changes: BTreeMap<String, Change>,
    /// The secret fields that changed, with digests instead of values.
    pub secret_changes: BTreeMap<String, Change>,
    /// What changed beside the fields.
    pub other_changes: OtherChanges,
    /// What a change of each field means. `None`: saved by a host that did not write it down.
    pub roles: Option<BTreeMap<String, FieldRole>>,
    /// The servers that the instance may reach since. `None`: saved by a host that did not write them down.
    pub authorities: Option<Vec<Authority>>,
    /// The certificate with which the instance authenticates since. `None`: none is chosen, or saved by such a host.
    pub thumbprint: Option<Thumbprint>,
    /// The plugin that judged the settings. `None`: saved by such a host, or without a plugin.
    pub plugin: Option<PluginDigest>,
}
