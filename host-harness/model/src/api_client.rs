//! API clients: programs that ask this host for something over HTTP, each by a key of its own.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::actor::Actor;
use crate::diagnosis::{Diagnose, Diagnosis, ErrorKind};
use crate::owner::Owner;
use crate::words::stored_enum;

/// The longest name of a client.
const NAME_LENGTH_MAX: usize = 64;

/// What a client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApiScope {
    /// See everything but product keys and activation links, forms and certificates, and who did what.
    Read,
    /// Place and check orders, have refused licenses tried again, and e-mails that were not sent.
    Order,
    /// Withdraw and cancel what was ordered, and decide about requests for that.
    Cancel,
    /// Change settings, products and prices of instances, and have their catalogs read; without bounds, make and remove instances and
    /// certificates.
    Configure,
    /// Be shown product keys and activation links, and have them mailed again, to any address.
    Reveal,
    /// See metrics and who did what, and take note of alerts: for the operator's clients that are bound to no instance alone.
    Administer,
}

stored_enum!(ApiScope {
    Read = "read", "read";
    Order = "order", "order";
    Cancel = "cancel", "cancel";
    Configure = "configure", "configure";
    Reveal = "reveal", "reveal";
    Administer = "administer", "administer";
});

/// A client to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApiClient {
    /// The name, which no other client has or had: acts on record name a client by it.
    pub name: String,
    /// The tenant whose instances the client may use. `None`: the operator's client.
    pub owner: Option<Owner>,
    /// What the client may do.
    pub scopes: BTreeSet<ApiScope>,
    /// The instances that the client may use. `None`: all of its owner's.
    pub instances: Option<BTreeSet<Uuid>>,
}

/// A client on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiClient {
    /// Stable and unique; a part of its keys.
    pub id: Uuid,
    /// The name.
    pub name: String,
    /// The tenant whose instances the client may use. `None`: the operator's client.
    pub owner: Option<Owner>,
    /// What the client may do.
    pub scopes: BTreeSet<ApiScope>,
    /// The instances that the client may use. `None`: all of its owner's, or all there are.
    pub instances: Option<BTreeSet<Uuid>>,
    /// When the client was made, in milliseconds.
    pub created_at_ms: i64,
    /// When the client got its present key, in milliseconds. `None`: it has its first one.
    pub rotated_at_ms: Option<i64>,
    /// Until when the key before the present one is taken too, in milliseconds. `None`: there is none.
    pub former_key_until_ms: Option<i64>,
    /// When the client was revoked, in milliseconds. `None`: it was not.
    pub revoked_at_ms: Option<i64>,
}

impl ApiClient {
    /// Whether the client may do that.
    pub fn may(&self, scope: ApiScope) -> bool {
        let is_of_whole_host = self.owner.is_none() && self.instances.is_none();
        self.scopes.contains(&scope) && (scope != ApiScope::Administer || is_of_whole_host)
    }

    /// The client in the acts that it makes.
    pub fn actor(&self) -> Actor {
        Actor::platform(&self.name)
    }

    /// Whether the client may use an instance.
    pub fn is_bound_to(&self, instance: Uuid) -> bool {
        self.instances
            .as_ref()
            .is_none_or(|instances| instances.contains(&instance))
    }
}

/// Error of a client that can't be made as it was asked for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidApiClient {
    /// The name can't be one.
    #[error("`{}` can't be the name of an API client or a platform", name.escape_debug())]
    Name {
        /// The name.
        name: String,
    },
    /// The client could do nothing.
    #[error("an API client needs a scope")]
    NoScope,
    /// The client could use no instance.
    #[error("an API client that is bound to instances needs one")]
    NoInstance,
    /// The client could do what concerns the whole host, of which it may see a part alone.
    #[error("an API client with the scope `administer` can't be a tenant's, or bound to instances")]
    AdministersPart,
}

impl Diagnose for InvalidApiClient {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Name { .. } => Diagnosis::new(ErrorKind::Invalid, "api-client-name-invalid").say(
                "a name has up to 64 letters, digits, `-`, `_` and `.`, and begins with a letter or a digit",
            ),
            Self::NoScope => Diagnosis::new(ErrorKind::Invalid, "no-scope")
                .say("name one or more of read, order, cancel, configure, reveal, administer"),
            Self::NoInstance => Diagnosis::new(ErrorKind::Invalid, "no-bound-instance"),
            Self::AdministersPart => Diagnosis::new(ErrorKind::Invalid, "administers-part")
                .say("make a client of its own for `administer`, without `--owner` and `--instance`"),
        }
    }
}

/// Checks that a text can be the name of a client, or of a platform: one that logs, shells and addresses take as it is.
///
/// # Errors
/// When it can't.
pub fn check_client_name(name: &str) -> Result<(), InvalidApiClient> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let begins_well = name
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    match begins_well && name.len() <= NAME_LENGTH_MAX && name.bytes().all(is_plain) {
        true => Ok(()),
        false => Err(InvalidApiClient::Name {
            name: name.chars().take(NAME_LENGTH_MAX).collect(),
        }),
    }
}

impl NewApiClient {
    /// Checks that the client can be made so.
    ///
    /// # Errors
    /// When its name is none, it could do nothing, or it could administer a part alone.
    pub fn check(&self) -> Result<(), InvalidApiClient> {
        check_client_name(&self.name)?;
        if self.scopes.is_empty() {
            return Err(InvalidApiClient::NoScope);
        }
        if self.instances.as_ref().is_some_and(BTreeSet::is_empty) {
            return Err(InvalidApiClient::NoInstance);
        }
        let is_of_part = self.owner.is_some() || self.instances.is_some();
        match is_of_part && self.scopes.contains(&ApiScope::Administer) {
            true => Err(InvalidApiClient::AdministersPart),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> NewApiClient {
        NewApiClient {
            name: name.to_owned(),
            owner: None,
            scopes: [ApiScope::Read].into(),
            instances: None,
        }
    }

    #[test]
    fn a_client_has_a_name_that_logs_and_shells_take_as_it_is() {
        for name in ["shop", "shop-2", "9", "a.b_c", &"x".repeat(NAME_LENGTH_MAX)] {
            assert_eq!(named(name).check(), Ok(()), "{name}");
        }
        for name in [
            "",
            " ",
            "-a",
            ".a",
            "a b",
            "ä",
            "a\n",
            &"x".repeat(NAME_LENGTH_MAX + 1),
        ] {
            assert!(
                matches!(named(name).check(), Err(InvalidApiClient::Name { .. })),
                "{name}"
            );
        }
    }

    #[test]
    fn a_client_that_could_do_nothing_is_refused() {
        let none = NewApiClient {
            scopes: BTreeSet::new(),
            ..named("shop")
        };
        assert_eq!(none.check(), Err(InvalidApiClient::NoScope));
        let nowhere = NewApiClient {
            instances: Some(BTreeSet::new()),
            ..named("shop")
        };
        assert_eq!(nowhere.check(), Err(InvalidApiClient::NoInstance));
    }

    #[test]
    fn the_whole_host_is_administered_by_a_client_of_all_of_it_alone() {
        let owner: Owner = "reseller-7".parse().unwrap();
        let administer = |owner, instances| NewApiClient {
            scopes: [ApiScope::Read, ApiScope::Administer].into(),
            owner,
            instances,
            ..named("watcher")
        };
        let bound = Some(BTreeSet::from([Uuid::from_u128(1)]));
        assert_eq!(administer(None, None).check(), Ok(()));
        for part in [
            administer(Some(owner.clone()), None),
            administer(None, bound.clone()),
        ] {
            assert_eq!(part.check(), Err(InvalidApiClient::AdministersPart));
        }
        let client = |owner, instances| ApiClient {
            owner,
            scopes: [ApiScope::Read, ApiScope::Administer].into(),
            ..made(instances)
        };
        assert!(client(None, None).may(ApiScope::Administer));
        for part in [client(Some(owner), None), client(None, bound)] {
            assert!(!part.may(ApiScope::Administer) && part.may(ApiScope::Read));
            assert!(!part.may(ApiScope::Order));
        }
    }

    fn made(instances: Option<BTreeSet<Uuid>>) -> ApiClient {
        ApiClient {
            id: Uuid::nil(),
            name: "shop".to_owned(),
            owner: None,
            scopes: BTreeSet::new(),
            instances,
            created_at_ms: 0,
            rotated_at_ms: None,
            former_key_until_ms: None,
            revoked_at_ms: None,
        }
    }

    #[test]
    fn a_client_is_bound_to_its_instances_or_to_all() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert!(made(None).is_bound_to(other));
        assert!(made(Some([one].into())).is_bound_to(one));
        assert!(!made(Some([one].into())).is_bound_to(other));
    }
}
