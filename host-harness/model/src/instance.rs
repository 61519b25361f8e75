//! Instances: an account at a vendor, as an operator has configured it.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::Deserialize;
use serde::Serialize;
use uuid::Uuid;

use crate::actor::Actor;
use crate::thumbprint::Thumbprint;
use crate::words::stored_enum;

/// Where an instance stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The credentials are not complete and valid yet.
    NeedsCredentials,
    /// The credentials are saved; certificate, country and language can be chosen.
    NeedsSelection,
    /// It can be used.
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
}

/// An instance to be made.
#[derive(Clone, Debug)]
pub struct NewInstance {
    /// What operators call it. Unique on the host.
    pub name: String,
    /// The currency it sells in, ISO 4217.
    pub currency: String,
    /// What the host tells the plugin beside the settings.
    pub options: BTreeMap<String, String>,
    /// What its connections may do beyond the ordinary.
    pub reach: Reach,
}

/// What an instance's connections may do beyond the ordinary. The operator's, never the plugin's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// Certificate authorities to trust, as PEM, in place of the system's. None: the system's.
    pub trusted_authorities_pem: Option<String>,
    /// Networks that may be reached although they are not public.
    pub allowed_networks: Vec<IpNet>,
}

/// What is saved of an instance at once.
#[derive(Clone, Debug)]
pub struct SavedSettings {
    /// Every field that has a value. None of them is a secret.
    pub values: BTreeMap<String, String>,
    /// Where the instance stands with these.
    pub standing: Standing,
    /// The servers that it may reach with these.
    pub authorities: Vec<Authority>,
    /// The certificate that is chosen in these.
    pub thumbprint: Option<Thumbprint>,
}

/// A configured instance as it was last saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Stable and unique.
    pub id: Uuid,
    /// What operators call it. Unique on the host.
    pub name: String,
    /// The currency it sells in, ISO 4217.
    pub currency: String,
    /// What the host tells the plugin beside the settings.
    pub options: BTreeMap<String, String>,
    /// What its connections may do beyond the ordinary.
    pub reach: Reach,
    /// How often its settings were saved.
    pub version: i64,
    /// Every field that has a value.
    pub values: BTreeMap<String, String>,
    /// Where it stands.
    pub standing: Standing,
    /// The servers that it may reach.
    pub authorities: Vec<Authority>,
    /// The certificate that it proves who it is with.
    pub thumbprint: Option<Thumbprint>,
    /// When it was made, in milliseconds.
    pub created_at_ms: i64,
}

/// What one save did to one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The value before. None: it had none.
    pub old: Option<String>,
    /// The value since. None: it has none.
    pub new: Option<String>,
}

/// One save of an instance's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsVersion {
    /// The instance's version since.
    pub version: i64,
    /// Who saved.
    pub changed_by: Actor,
    /// When, in milliseconds.
    pub changed_at_ms: i64,
    /// Where the instance stood since.
    pub standing: Standing,
    /// The fields that changed.
    pub changes: BTreeMap<String, Change>,
}
