//! Plugins as views show them.

use std::path::Path;

use serde::Serialize;

/// A plugin on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plugin {
    /// The plugin's name among all, the same in all its versions.
    pub id: String,
    /// The plugin's version.
    pub version: String,
    /// Whose licenses these are.
    pub vendor: String,
    /// What is sold.
    pub offering: String,
    /// The options that the plugin reads.
    pub options: Vec<String>,
    /// The header fields by which the vendor and its customers name an exchange.
    pub correlation_headers: Vec<String>,
    /// The SHA-256 of the plugin's file.
    pub sha256: String,
    /// The file that the plugin was read from when it was added.
    pub path: String,
    /// When the plugin was added, in milliseconds.
    pub added_at_ms: i64,
    /// The actor that trusted the plugin. `None`: nobody has, and it runs for no instance.
    pub trusted_by: Option<String>,
    /// When the plugin was trusted, in milliseconds.
    pub trusted_at_ms: Option<i64>,
    /// The names of the instances that are worked on by it.
    pub instances: Vec<String>,
}

/// The file of a plugin, and what is on record of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginFile {
    /// The file.
    pub path: String,
    /// The SHA-256 of the file.
    pub sha256: String,
    /// Whether the file's content may run for instances.
    pub trusted: bool,
    /// The plugin of that content. `None`: it is not on record.
    pub plugin: Option<Plugin>,
}

/// A plugin that was taken off the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemovedPlugin {
    /// The SHA-256 of the plugin's file.
    pub sha256: String,
}

impl Plugin {
    /// The view of a plugin, with the instances that are worked on by it among all.
    pub fn new(plugin: &bss_model::AddedPlugin, instances: &[bss_model::Instance]) -> Self {
        let bss_model::PluginDescription {
            id,
            vendor,
            offering,
            version,
            options,
            correlation_headers,
            harmless: _,
        } = plugin.description.clone();
        let its = instances
            .iter()
            .filter(|instance| instance.plugin == Some(plugin.digest));
        Self {
            id,
            version,
            vendor,
            offering,
            options,
            correlation_headers,
            sha256: plugin.digest.to_string(),
            path: plugin.path.clone(),
            added_at_ms: plugin.added_at_ms,
            trusted_by: plugin.trust.as_ref().map(|trust| trust.by.name.clone()),
            trusted_at_ms: plugin.trust.as_ref().map(|trust| trust.at_ms),
            instances: its.map(|instance| instance.name.clone()).collect(),
        }
    }
}

impl PluginFile {
    /// The view of a file, with what is on record of its content.
    pub fn new(path: &Path, digest: &bss_model::PluginDigest, plugin: Option<Plugin>) -> Self {
        Self {
            path: path.display().to_string(),
            sha256: digest.to_string(),
            trusted: plugin.as_ref().is_some_and(|plugin| plugin.trusted_by.is_some()),
            plugin,
        }
    }
}

#[cfg(test)]
mod tests {
    use bss_model::{Actor, AddedPlugin, PluginDescription, PluginDigest, PluginTrust};

    use super::super::examples::{assert_json, instance};
    use super::*;

    #[test]
    fn a_plugin_is_shown_with_who_trusted_it_and_its_instances() {
        let digest = PluginDigest::new([0xa5; 32]);
        let added = AddedPlugin {
            digest,
            path: "/opt/esd.wasm".to_owned(),
            description: PluginDescription {
                id: "acme-keys".to_owned(),
                vendor: "Acme".to_owned(),
                offering: "Acme Keys".to_owned(),
                version: "1.2.3".to_owned(),
                options: vec!["region".to_owned()],
                correlation_headers: vec!["x-request-id".to_owned()],
                harmless: bss_model::HarmlessFields::default(),
            },
            added_at_ms: 900,
            trust: Some(PluginTrust {
                by: Actor::operator("maria"),
                at_ms: 1_000,
            }),
        };
        let its = bss_model::Instance {
            plugin: Some(digest),
            ..instance()
        };
        let plugin = Plugin::new(&added, &[its, instance()]);
        let file = PluginFile::new(Path::new("other.wasm"), &digest, Some(plugin));
        assert_json(
            &file,
            r#"
{
  "path": "other.wasm",
  "sha256": "a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5",
  "trusted": true,
  "plugin": {
    "id": "acme-keys",
    "version": "1.2.3",
    "vendor": "Acme",
    "offering": "Acme Keys",
    "options": [
      "region"
    ],
    "correlationHeaders": [
      "x-request-id"
    ],
    "sha256": "a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5",
    "path": "/opt/esd.wasm",
    "addedAtMs": 900,
    "trustedBy": "maria",
    "trustedAtMs": 1000,
    "instances": [
      "esd"
    ]
  }
}"#,
        );
        let sha256 = "a5".to_owned();
        assert_json(&RemovedPlugin { sha256 }, "{\n  \"sha256\": \"a5\"\n}");
        let untrusted = AddedPlugin { trust: None, ..added };
        let file = PluginFile::new(Path::new("a"), &digest, Some(Plugin::new(&untrusted, &[])));
        assert!(!file.trusted);
        assert!(!PluginFile::new(Path::new("a"), &digest, None).trusted);
    }
}
