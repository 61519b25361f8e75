//! Platforms as views show them.

use serde::Serialize;
use uuid::Uuid;

/// A platform: a billing platform that buys for one instance by its own contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Platform {
    /// Stable and unique.
    pub id: Uuid,
    /// The name, by which acts on record name the platform, and a part of its addresses.
    pub name: String,
    /// The tenant whose platform it is. `None`: the operator's.
    pub owner: Option<String>,
    /// The name of the instance that the platform buys at. `None`: it was removed.
    pub instance: Option<String>,
    /// The instance that the platform buys at.
    pub instance_id: Uuid,
    /// The id that the platform made for this application. `None`: it is not known yet, nor is a key.
    pub application_id: Option<Uuid>,
    /// When the platform was registered, in milliseconds.
    pub created_at_ms: i64,
    /// When the present key was put on record, in milliseconds. `None`: with the platform, or there is no key.
    pub rotated_at_ms: Option<i64>,
    /// Until when the key before is taken too, in milliseconds.
    pub former_key_until_ms: Option<i64>,
    /// When the platform was revoked, in milliseconds.
    pub revoked_at_ms: Option<i64>,
    /// The state: `waiting-for-key` (it opens nothing yet), `usable`, or `revoked` (it opens nothing any more).
    pub state: &'static str,
}

/// A platform and the addresses of its contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlatformAddresses {
    /// The platform.
    #[serde(flatten)]
    pub platform: Platform,
    /// The addresses, in the order in which a platform asks for them.
    pub addresses: Vec<PlatformAddress>,
}

/// An address that a platform is given where this application is registered in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlatformAddress {
    /// The function of the contract, such as `Assets/Create`.
    pub name: &'static str,
    /// The HTTP method that the platform uses for it.
    pub method: &'static str,
    /// The address.
    pub url: String,
}

impl Platform {
    /// The view of a platform that buys at an instance of that name.
    pub fn new(platform: &bss_model::Platform, instance: Option<String>) -> Self {
        Self {
            id: platform.id,
            name: platform.name.clone(),
            owner: platform.owner.as_ref().map(ToString::to_string),
            instance,
            instance_id: platform.instance_id,
            application_id: platform.application_id,
            created_at_ms: platform.created_at_ms,
            rotated_at_ms: platform.rotated_at_ms,
            former_key_until_ms: platform.former_key_until_ms,
            revoked_at_ms: platform.revoked_at_ms,
            state: match (platform.revoked_at_ms, platform.application_id) {
                (Some(_), _) => "revoked",
                (None, None) => "waiting-for-key",
                (None, Some(_)) => "usable",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::{assert_json, id};
    use super::*;

    fn platform() -> bss_model::Platform {
        bss_model::Platform {
            id: id(1),
            name: "shop".to_owned(),
            owner: None,
            instance_id: id(9),
            application_id: Some(id(7)),
            created_at_ms: 1_000,
            rotated_at_ms: None,
            former_key_until_ms: None,
            revoked_at_ms: None,
        }
    }

    #[test]
    fn a_platform_with_its_addresses() {
        let shown = PlatformAddresses {
            platform: Platform::new(&platform(), Some("esd".to_owned())),
            addresses: vec![PlatformAddress {
                name: "Fields/Get",
                method: "GET",
                url: "https://host.example/interworks/shop/Fields/Get".to_owned(),
            }],
        };
        assert_json(
            &shown,
            r#"
{
  "id": "00000000-0000-0000-0000-000000000001",
  "name": "shop",
  "owner": null,
  "instance": "esd",
  "instanceId": "00000000-0000-0000-0000-000000000009",
  "applicationId": "00000000-0000-0000-0000-000000000007",
  "createdAtMs": 1000,
  "rotatedAtMs": null,
  "formerKeyUntilMs": null,
  "revokedAtMs": null,
  "state": "usable",
  "addresses": [
    {
      "name": "Fields/Get",
      "method": "GET",
      "url": "https://host.example/interworks/shop/Fields/Get"
    }
  ]
}"#,
        );
    }

    #[test]
    fn a_platform_waits_for_its_key_and_is_usable_until_it_is_revoked() {
        let state = |application_id, revoked_at_ms| {
            let platform = bss_model::Platform {
                application_id,
                revoked_at_ms,
                ..platform()
            };
            Platform::new(&platform, None).state
        };
        assert_eq!(state(None, None), "waiting-for-key");
        assert_eq!(state(Some(id(7)), None), "usable");
        assert_eq!(state(Some(id(7)), Some(1)), "revoked");
        assert_eq!(state(None, Some(1)), "revoked");
    }
}
