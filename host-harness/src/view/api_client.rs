//! API clients as views show them.

use bss_model::Secret;
use serde::Serialize;
use uuid::Uuid;

use super::keys::serialize_whole;
use super::word;

/// A client of the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiClient {
    /// Stable and unique; a part of the client's keys.
    pub id: Uuid,
    /// The name, by which acts on record name the client.
    pub name: String,
    /// The tenant whose client it is. `None`: the operator's.
    pub owner: Option<String>,
    /// What the client may do: `read`, `order`, `cancel`, `configure`, `reveal`, `administer`.
    pub scopes: Vec<String>,
    /// The instances that the client may use. `None`: all of its owner's.
    pub instances: Option<Vec<BoundInstance>>,
    /// When the client was made, in milliseconds.
    pub created_at_ms: i64,
    /// When the client got its present key, in milliseconds. `None`: it has its first one.
    pub rotated_at_ms: Option<i64>,
    /// Until when the key before is taken too, in milliseconds.
    pub former_key_until_ms: Option<i64>,
    /// When the client was revoked, in milliseconds.
    pub revoked_at_ms: Option<i64>,
}

/// An instance that a client may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BoundInstance {
    /// The instance.
    pub instance_id: Uuid,
    /// The instance's name. `None`: it was removed.
    pub instance: Option<String>,
}

/// A client with a new key, which is shown this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewApiKey {
    /// The client.
    #[serde(flatten)]
    pub client: ApiClient,
    /// The key.
    #[serde(serialize_with = "serialize_whole")]
    pub key: Secret,
}

impl ApiClient {
    /// The view of a client with the instances that it is bound to, and their names.
    pub fn new(client: &bss_model::ApiClient, bound: Vec<(Uuid, Option<String>)>) -> Self {
        let instances = bound.into_iter().map(|(instance_id, instance)| BoundInstance {
            instance_id,
            instance,
        });
        Self {
            id: client.id,
            name: client.name.clone(),
            owner: client.owner.as_ref().map(ToString::to_string),
            scopes: client.scopes.iter().map(|scope| word(scope.word())).collect(),
            instances: client.instances.as_ref().map(|_| instances.collect()),
            created_at_ms: client.created_at_ms,
            rotated_at_ms: client.rotated_at_ms,
            former_key_until_ms: client.former_key_until_ms,
            revoked_at_ms: client.revoked_at_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use bss_model::ApiScope;

    use super::super::examples::{assert_json, id};
    use super::*;

    fn client() -> bss_model::ApiClient {
        bss_model::ApiClient {
            id: id(1),
            name: "shop".to_owned(),
            owner: None,
            scopes: [ApiScope::Order, ApiScope::Read].into(),
            instances: Some([id(9)].into()),
            created_at_ms: 1_000,
            rotated_at_ms: None,
            former_key_until_ms: None,
            revoked_at_ms: None,
        }
    }

    #[test]
    fn a_client_with_its_key() {
        let new = NewApiKey {
            client: ApiClient::new(&client(), vec![(id(9), Some("esd".to_owned()))]),
            key: Secret::new("bsk_1_2"),
        };
        assert!(!format!("{new:?}").contains("bsk_1_2"));
        assert_json(
            &new,
            r#"
{
  "id": "00000000-0000-0000-0000-000000000001",
  "name": "shop",
  "owner": null,
  "scopes": [
    "read",
    "order"
  ],
  "instances": [
    {
      "instanceId": "00000000-0000-0000-0000-000000000009",
      "instance": "esd"
    }
  ],
  "createdAtMs": 1000,
  "rotatedAtMs": null,
  "formerKeyUntilMs": null,
  "revokedAtMs": null,
  "key": "bsk_1_2"
}"#,
        );
    }

    #[test]
    fn a_client_of_all_instances_names_none() {
        let all = bss_model::ApiClient {
            instances: None,
            ..client()
        };
        assert_eq!(ApiClient::new(&all, Vec::new()).instances, None);
    }
}
