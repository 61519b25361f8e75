//! Instances as views show them.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use super::word;

/// A configured instance as it was last saved. None of its values is a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// Stable and unique.
    pub id: Uuid,
    /// The name that operators use. Unique among the instances of its owner.
    pub name: String,
    /// The name that the instance was made with, of which the ids of its orders are made. `None`: it still has that name.
    pub first_name: Option<String>,
    /// The instance's owner. `None`: the instance is the operator's own.
    pub owner: Option<String>,
    /// The instance's state: `needs-credentials`, `needs-selection`, `ready`.
    pub state: String,
    /// The currency in which the instance sells, ISO 4217.
    pub currency: String,
    /// The number of times the settings were saved.
    pub version: i64,
    /// Every field that has a value.
    pub values: BTreeMap<String, String>,
    /// The options that the host passes to the plugin beside the settings.
    pub options: BTreeMap<String, String>,
    /// The SHA-256 of the instance's plugin. `None`: the plugin that judges its settings first.
    pub plugin_sha256: Option<String>,
    /// The certificate that proves the instance's identity.
    pub certificate_thumbprint: Option<String>,
    /// The servers that the instance may reach.
    pub authorities: Vec<Authority>,
    /// Whether the instance trusts the authorities of a file instead of the system's.
    pub trusts_own_authorities: bool,
    /// Networks that the instance may reach although they are not public, such as `127.0.0.0/8`.
    pub allowed_networks: Vec<String>,
    /// Servers that the plugin may ask for although no setting and no option names them: `host` or `host:port`.
    pub allowed_hosts: Vec<String>,
    /// The proxy, without user and password; `none` for direct connections. `None`: as the host's environment says.
    pub proxy: Option<String>,
    /// When the instance was made, in milliseconds.
    pub created_at_ms: i64,
    /// Since when the instance takes no orders and buys nothing, in milliseconds. `None`: it sells.
    pub disabled_at_ms: Option<i64>,
}

/// A server that an instance may reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Authority {
    /// `host` or `host:port`, in lower case.
    pub name: String,
    /// Whether the instance's certificate is presented to the server.
    pub client_certificate: bool,
    /// The secrets that are sent to the server, each as a header field.
    pub secret_headers: Vec<SecretHeader>,
}

/// A header field with a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SecretHeader {
    /// The header field's name, in lower case.
    pub name: String,
    /// The field of the form that has the secret.
    pub field: String,
}

/// A save of an instance's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SettingsVersion {
    /// The instance's version since the save.
    pub version: i64,
    /// The actor that saved.
    pub changed_by: String,
    /// When the settings were saved, in milliseconds.
    pub changed_at_ms: i64,
    /// The instance's state since the save: that of the instance itself.
    pub state: String,
    /// The fields that changed.
    pub changes: BTreeMap<String, Change>,
    /// The secret fields that changed, and what became of each: `set`, `replaced`, `removed`.
    pub secret_changes: BTreeMap<String, String>,
    /// The options for the plugin that changed.
    pub option_changes: BTreeMap<String, Change>,
    /// What changed beside fields and options: `currency`, `trustedAuthorities` (their SHA-256; `None` are the system's) and
    /// `allowedNetworks`.
    pub other_changes: BTreeMap<&'static str, Change>,
    /// The servers that the instance may reach since the save. `None`: an earlier host did not write them down.
    pub authorities: Option<Vec<Authority>>,
    /// The certificate that proves the instance's identity since the save. `None`: none, or as above.
    pub certificate_thumbprint: Option<String>,
    /// The SHA-256 of the plugin that judged the settings. `None`: none, or as above.
    pub plugin_sha256: Option<String>,
}

/// The change of one field by one save.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = SettingsChange))]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The value before the save. `None`: the field had none.
    pub old: Option<String>,
    /// The value since the save. `None`: the field has none.
    pub new: Option<String>,
}

impl From<&bss_model::Instance> for Instance {
    fn from(instance: &bss_model::Instance) -> Self {
        let networks = instance.reach.allowed_networks.iter();
        Self {
            id: instance.id,
            name: instance.name.clone(),
            first_name: instance.first_name.clone(),
            owner: instance.owner.as_ref().map(ToString::to_string),
            state: word(instance.standing.word()),
            currency: instance.currency.clone(),
            version: instance.version,
            values: instance.values.clone(),
            options: instance.options.clone(),
            plugin_sha256: instance.plugin.map(|plugin| plugin.to_string()),
            certificate_thumbprint: instance.thumbprint.as_ref().map(ToString::to_string),
            authorities: instance.authorities.iter().map(Authority::from).collect(),
            trusts_own_authorities: instance.reach.trusted_authorities_pem.is_some(),
            allowed_networks: networks.map(ToString::to_string).collect(),
            allowed_hosts: instance.reach.allowed_hosts.clone(),
            proxy: instance.reach.proxy.as_ref().map(|proxy| proxy.word().to_owned()),
            created_at_ms: instance.created_at_ms,
            disabled_at_ms: instance.disabled_at_ms,
        }
    }
}

impl From<&bss_model::Authority> for Authority {
    fn from(authority: &bss_model::Authority) -> Self {
        Self {
            name: authority.name.clone(),
            client_certificate: authority.client_certificate,
            secret_headers: authority.secret_headers.iter().map(SecretHeader::from).collect(),
        }
    }
}

impl From<&bss_model::SecretHeader> for SecretHeader {
    fn from(header: &bss_model::SecretHeader) -> Self {
        Self {
            name: header.name.clone(),
            field: header.field.clone(),
        }
    }
}

impl From<&bss_model::SettingsVersion> for SettingsVersion {
    fn from(version: &bss_model::SettingsVersion) -> Self {
        let change = |(field, change): (&String, &bss_model::Change)| {
            let change = Change {
                old: change.old.clone(),
                new: change.new.clone(),
            };
            (field.clone(), change)
        };
        let secret_change = |(field, change): (&String, &bss_model::Change)| {
            let word = match (&change.old, &change.new) {
                (None, _) => "set",
                (Some(_), Some(_)) => "replaced",
                (Some(_), None) => "removed",
            };
            (field.clone(), word.to_owned())
        };
        let authorities = version.authorities.as_ref();
        let other = &version.other_changes;
        let others = [
            ("currency", &other.currency),
            ("trustedAuthorities", &other.trusted_authorities),
            ("allowedNetworks", &other.allowed_networks),
        ];
        let others = others
            .into_iter()
            .filter_map(|(what, changed)| Some((what, change((&String::new(), changed.as_ref()?)).1)));
        Self {
            version: version.version,
            changed_by: version.changed_by.name.clone(),
            changed_at_ms: version.changed_at_ms,
            state: word(version.standing.word()),
            changes: version.changes.iter().map(change).collect(),
            secret_changes: version.secret_changes.iter().map(secret_change).collect(),
            option_changes: other.options.iter().map(change).collect(),
            other_changes: others.collect(),
            authorities: authorities.map(|authorities| authorities.iter().map(Authority::from).collect()),
            certificate_thumbprint: version.thumbprint.as_ref().map(ToString::to_string),
            plugin_sha256: version.plugin.as_ref().map(ToString::to_string),
        }
    }
}

#[cfg(test)]
mod tests {
    use bss_model::Standing;

    use super::super::examples::{assert_json, instance};
    use super::*;

    #[test]
    fn an_instance_without_the_certificates_that_it_trusts() {
        assert_json(
            &Instance::from(&instance()),
            r#"
{
  "id": "00000000-0000-0000-0000-000000000009",
  "name": "esd",
  "firstName": "first",
  "owner": null,
  "state": "needs-selection",
  "currency": "EUR",
  "version": 2,
  "values": {
    "country": "DE"
  },
  "options": {
    "login-authority": "localhost:1"
  },
  "pluginSha256": null,
  "certificateThumbprint": "0123456789ABCDEF0123456789ABCDEF01234567",
  "authorities": [
    {
      "name": "api.example.com",
      "clientCertificate": true,
      "secretHeaders": []
    }
  ],
  "trustsOwnAuthorities": true,
  "allowedNetworks": [
    "127.0.0.0/8"
  ],
  "allowedHosts": [
    "login.example.com"
  ],
  "proxy": "http://proxy.example.com:3128",
  "createdAtMs": 1000,
  "disabledAtMs": 2000
}"#,
        );
    }

    #[test]
    fn a_save_of_settings() {
        let change = bss_model::Change {
            old: None,
            new: Some("DE".to_owned()),
        };
        let version = bss_model::SettingsVersion {
            version: 2,
            changed_by: bss_model::Actor::operator("maria"),
            changed_at_ms: 1_500,
            standing: Standing::Ready,
            secret_changes: [
                ("api-key", Some("digest 1"), Some("digest 2")),
                ("pin", None, Some("digest 3")),
                ("token-secret", Some("digest 4"), None),
            ]
            .map(|(field, old, new)| {
                let [old, new] = [old, new].map(|digest| digest.map(str::to_owned));
                (field.to_owned(), bss_model::Change { old, new })
            })
            .into(),
            other_changes: bss_model::OtherChanges {
                options: [("login-authority".to_owned(), change.clone())].into(),
                currency: Some(bss_model::Change {
                    old: Some("EUR".to_owned()),
                    new: Some("USD".to_owned()),
                }),
                ..bss_model::OtherChanges::default()
            },
            roles: None,
            changes: [("country".to_owned(), change)].into(),
            authorities: Some(instance().authorities),
            thumbprint: instance().thumbprint,
            plugin: Some(bss_model::PluginDigest::new([0xa5; 32])),
        };
        assert_json(
            &SettingsVersion::from(&version),
            r#"
{
  "version": 2,
  "changedBy": "maria",
  "changedAtMs": 1500,
  "state": "ready",
  "changes": {
    "country": {
      "old": null,
      "new": "DE"
    }
  },
  "secretChanges": {
    "api-key": "replaced",
    "pin": "set",
    "token-secret": "removed"
  },
  "optionChanges": {
    "login-authority": {
      "old": null,
      "new": "DE"
    }
  },
  "otherChanges": {
    "currency": {
      "old": "EUR",
      "new": "USD"
    }
  },
  "authorities": [
    {
      "name": "api.example.com",
      "clientCertificate": true,
      "secretHeaders": []
    }
  ],
  "certificateThumbprint": "0123456789ABCDEF0123456789ABCDEF01234567",
  "pluginSha256": "a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5"
}"#,
        );
    }
}
