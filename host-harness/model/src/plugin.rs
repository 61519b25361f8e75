//! Plugins by their content, and which of them an operator trusts.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Serialize};

use crate::actor::Actor;
use crate::diagnosis::{Diagnose, Diagnosis, ErrorKind};

/// The length of a SHA-256 digest: 256 bits.
const SHA256_BYTES: usize = 32;

/// The SHA-256 of a plugin's file, shown as 64 lower-case hexadecimal digits, as `sha256sum` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PluginDigest([u8; SHA256_BYTES]);

/// Error of a text that is no digest of a plugin.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a SHA-256 digest of 64 hexadecimal digits")]
pub struct NotADigest;

impl Diagnose for NotADigest {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Invalid, "not-a-digest")
    }
}

impl PluginDigest {
    /// The digest of these 32 bytes.
    pub const fn new(sha256: [u8; SHA256_BYTES]) -> Self {
        Self(sha256)
    }
}

impl fmt::Display for PluginDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&HEXLOWER.encode(&self.0))
    }
}

impl FromStr for PluginDigest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let bytes = HEXLOWER_PERMISSIVE
            .decode(text.as_bytes())
            .map_err(|_| NotADigest)?;
        bytes.try_into().map(Self).map_err(|_| NotADigest)
    }
}

/// What a plugin says of itself: the contract's `description`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginDescription {
    /// The plugin's name among all, the same in all its versions.
    pub id: String,
    /// Whose licenses these are, as operators read it.
    pub vendor: String,
    /// What is sold, as customers read it.
    pub offering: String,
    /// The plugin's version.
    pub version: String,
    /// The options that the plugin reads.
    pub options: Vec<String>,
    /// The header fields by which the vendor and its customers name an exchange.
    pub correlation_headers: Vec<String>,
    /// The fields whose values may stand in a recording.
    pub harmless: HarmlessFields,
}

/// The names of fields whose values tell nothing of a customer and open nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HarmlessFields {
    /// Query fields, and members of JSON bodies, of requests.
    pub requests: BTreeSet<String>,
    /// Members of JSON bodies of answers.
    pub answers: BTreeSet<String>,
}

/// Somebody's trust in a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginTrust {
    /// The actor that trusted it.
    pub by: Actor,
    /// The time, in milliseconds.
    pub at_ms: i64,
}

/// A plugin on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedPlugin {
    /// The digest of the content.
    pub digest: PluginDigest,
    /// The file that it was read from.
    pub path: String,
    /// What it says of itself.
    pub description: PluginDescription,
    /// When it was added, in milliseconds.
    pub added_at_ms: i64,
    /// Who trusted it. `None`: nobody has yet, and it runs for no instance.
    pub trust: Option<PluginTrust>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_as_it_is_shown() {
        let digest = PluginDigest::new([0xa5; SHA256_BYTES]);
        assert_eq!(digest.to_string(), "a5".repeat(SHA256_BYTES));
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(digest.to_string().to_uppercase().parse(), Ok(digest));
        for wrong in ["", "a5", &"a5".repeat(33), &"g0".repeat(SHA256_BYTES)] {
            assert_eq!(wrong.parse::<PluginDigest>(), Err(NotADigest), "{wrong}");
        }
    }
}
