//! Actors: who does something that is put on record.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::words::stored_enum;

/// The kind of an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActorKind {
    /// A person who operates the host.
    Operator,
    /// A program that orders on behalf of customers: an API client, or a billing platform. They share their names.
    Platform,
    /// The host itself, such as a worker.
    Host,
}

stored_enum!(ActorKind {
    Operator = "operator", "operator";
    Platform = "platform", "platform";
    Host = "host", "host";
});

/// The actor: a kind, and a name that is unique within it.
///
/// ```
/// use bss_model::Actor;
///
/// assert_eq!(Actor::operator("maria").to_string(), "operator maria");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// The kind.
    pub kind: ActorKind,
    /// The name of a user or a client.
    pub name: String,
}

impl Actor {
    /// A person who operates the host.
    pub fn operator(name: impl Into<String>) -> Self {
        Self {
            kind: ActorKind::Operator,
            name: name.into(),
        }
    }

    /// A program that orders on behalf of customers.
    pub fn platform(name: impl Into<String>) -> Self {
        Self {
            kind: ActorKind::Platform,
            name: name.into(),
        }
    }

    /// The host itself.
    pub fn host(name: impl Into<String>) -> Self {
        Self {
            kind: ActorKind::Host,
            name: name.into(),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind, self.name)
    }
}
