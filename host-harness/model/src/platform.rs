//! Platforms: billing platforms that buy by their own contract, each for one instance, with an application id and a key that they made.

use uuid::Uuid;

use crate::actor::Actor;
use crate::owner::Owner;

/// A platform to be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPlatform {
    /// The name, which no other platform or API client has or had, in any case of its letters: acts on record name both by it.
    pub name: String,
    /// The tenant whose platform it is. `None`: the operator's.
    pub owner: Option<Owner>,
    /// The instance that the platform buys at.
    pub instance_id: Uuid,
}

/// A platform on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Stable and unique.
    pub id: Uuid,
    /// The name, a part of its addresses and of the keys of its orders.
    pub name: String,
    /// The tenant whose platform it is. `None`: the operator's.
    pub owner: Option<Owner>,
    /// The instance that the platform buys at.
    pub instance_id: Uuid,
    /// The id that the platform made for this application. `None`: it is not known yet, nor is a key.
    pub application_id: Option<Uuid>,
    /// When the platform was registered, in milliseconds.
    pub created_at_ms: i64,
    /// When the present key was put on record, in milliseconds. `None`: when the platform was registered, or there is no key.
    pub rotated_at_ms: Option<i64>,
    /// Until when the key before the present one is taken too, in milliseconds. `None`: there is none.
    pub former_key_until_ms: Option<i64>,
    /// When the platform was revoked, in milliseconds. `None`: it was not.
    pub revoked_at_ms: Option<i64>,
}

impl Platform {
    /// The platform in the acts that it makes.
    pub fn actor(&self) -> Actor {
        Actor::platform(&self.name)
    }

    /// The idempotency key of the order for a subscription of the platform. Made of the name and not of the id, so that a platform
    /// that is registered anew, in a record restored from before its registration, finds what it has bought: ids of orders are made
    /// of the key. In lower case, because a name is the same in any case.
    pub fn order_key(&self, subscription: &str) -> String {
        let name = self.name.to_ascii_lowercase();
        format!("interworks/{name}/{subscription}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_named_by_the_platforms_name_and_its_subscription() {
        let platform = |id| Platform {
            id: Uuid::from_u128(id),
            name: "shop".to_owned(),
            owner: None,
            instance_id: Uuid::nil(),
            application_id: None,
            created_at_ms: 0,
            rotated_at_ms: None,
            former_key_until_ms: None,
            revoked_at_ms: None,
        };
        assert_eq!(platform(1).order_key("S/7"), "interworks/shop/S/7");
        assert_eq!(platform(1).order_key("S/7"), platform(2).order_key("S/7"));
        let shouted = Platform {
            name: "SHOP".to_owned(),
            ..platform(3)
        };
        assert_eq!(shouted.order_key("S/7"), platform(1).order_key("S/7"));
        assert_eq!(platform(1).actor(), Actor::platform("shop"));
    }
}
