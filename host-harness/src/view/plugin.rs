//! Plugins as views show them.

use std::path::Path;

use serde::Serialize;

/// A plugin that was let run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustedPlugin {
    /// The SHA-256 of the plugin's file.
    pub sha256: String,
    /// The file that the plugin was read from when it was trusted.
    pub path: String,
    /// The actor that trusted the plugin.
    pub trusted_by: String,
    /// When the plugin was trusted, in milliseconds.
    pub trusted_at_ms: i64,
}

/// The file of a plugin, and whether it may run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginFile {
    /// The file.
    pub path: String,
    /// The SHA-256 of the file.
    pub sha256: String,
    /// Whether the file is the plugin that may run. `false` also where none has been trusted yet.
    pub trusted: bool,
    /// The plugin that may run. `None`: the first one that is used.
    pub trusted_plugin: Option<TrustedPlugin>,
}

impl From<&bss_model::TrustedPlugin> for TrustedPlugin {
    fn from(trusted: &bss_model::TrustedPlugin) -> Self {
        Self {
            sha256: trusted.digest.to_string(),
            path: trusted.path.clone(),
            trusted_by: trusted.trusted_by.name.clone(),
            trusted_at_ms: trusted.trusted_at_ms,
        }
    }
}

impl PluginFile {
    /// The view of a file, beside the plugin that may run.
    pub fn new(
        path: &Path,
        digest: &bss_model::PluginDigest,
        trusted: Option<&bss_model::TrustedPlugin>,
    ) -> Self {
        Self {
            path: path.display().to_string(),
            sha256: digest.to_string(),
            trusted: trusted.is_some_and(|trusted| trusted.digest == *digest),
            trusted_plugin: trusted.map(TrustedPlugin::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use bss_model::{Actor, PluginDigest};

    use super::super::examples::assert_json;
    use super::*;

    #[test]
    fn a_file_that_may_not_run_beside_the_plugin_that_may() {
        let trusted = bss_model::TrustedPlugin {
            digest: PluginDigest::new([0xa5; 32]),
            path: "/opt/esd.wasm".to_owned(),
            trusted_by: Actor::operator("maria"),
            trusted_at_ms: 1_000,
        };
        let digest = PluginDigest::new([0; 32]);
        assert_json(
            &PluginFile::new(Path::new("other.wasm"), &digest, Some(&trusted)),
            r#"
{
  "path": "other.wasm",
  "sha256": "0000000000000000000000000000000000000000000000000000000000000000",
  "trusted": false,
  "trustedPlugin": {
    "sha256": "a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5",
    "path": "/opt/esd.wasm",
    "trustedBy": "maria",
    "trustedAtMs": 1000
  }
}"#,
        );
        assert!(PluginFile::new(Path::new("a"), &trusted.digest, Some(&trusted)).trusted);
        assert!(!PluginFile::new(Path::new("a"), &digest, None).trusted);
    }
}
