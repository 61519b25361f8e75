//! Host keys as views show them: their ids, and never more of them.

use bss_record::{HostKeyRotation, HostKeyUse, HostKeyUses};
use serde::Serialize;

/// Host keys, and what the record needs them for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HostKeys {
    /// The keys that the host was given, the one that seals first, and then those that are needed and were not given.
    pub keys: Vec<HostKey>,
    /// The number of values that none of the keys opens, and that don't say which one does.
    pub unopened: u64,
}

/// A host key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HostKey {
    /// The key's id.
    pub id: String,
    /// Whether the host was given the key.
    pub is_there: bool,
    /// Whether it is the key that seals.
    pub seals: bool,
    /// The number of values on record that need it.
    pub values: u64,
}

/// What a rotation of the host key has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RotatedHostKey {
    /// The id of the key with which everything is sealed now.
    pub id: String,
    /// The number of values that were sealed again.
    pub values: u64,
}

impl From<&HostKeyUses> for HostKeys {
    fn from(uses: &HostKeyUses) -> Self {
        Self {
            keys: uses.keys.iter().map(HostKey::from).collect(),
            unopened: uses.unopened,
        }
    }
}

impl From<&HostKeyUse> for HostKey {
    fn from(host_key: &HostKeyUse) -> Self {
        Self {
            id: host_key.id.to_string(),
            is_there: host_key.is_there,
            seals: host_key.seals,
            values: host_key.values,
        }
    }
}

impl From<&HostKeyRotation> for RotatedHostKey {
    fn from(rotation: &HostKeyRotation) -> Self {
        Self {
            id: rotation.host_key.to_string(),
            values: rotation.values,
        }
    }
}
