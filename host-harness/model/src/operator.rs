//! Operators: people who sign in at the console, each with a role.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::actor::Actor;
use crate::api_client::{ApiScope, check_client_name};
use crate::diagnosis::{Diagnose, Diagnosis, ErrorKind};
use crate::words::stored_enum;

/// What an operator may do. Each role may do what the one before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperatorRole {
    /// See everything but product keys, forms and certificates, and who did what.
    Reader,
    /// Also order, withdraw, cancel, and decide about requests for that.
    Operator,
    /// Also set up instances, certificates, prices, platforms and other operators, and see who did what.
    Administrator,
}

stored_enum!(OperatorRole {
    Reader = "reader", "reader";
    Operator = "operator", "operator";
    Administrator = "administrator", "administrator";
});

/// An operator to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOperator {
    /// The name, which no other operator has or had: acts on record name an operator by it.
    pub name: String,
    /// What the operator may do.
    pub role: OperatorRole,
    /// Whether the operator may be shown product keys and activation links, one by one.
    pub may_reveal: bool,
}

/// An operator on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Stable and unique.
    pub id: Uuid,
    /// The name.
    pub name: String,
    /// What the operator may do.
    pub role: OperatorRole,
    /// Whether the operator may be shown product keys and activation links, one by one.
    pub may_reveal: bool,
    /// Whether the operator has chosen a password.
    pub has_password: bool,
    /// Until when the operator can choose a password by an invitation, in milliseconds. `None`: there is no invitation.
    pub invited_until_ms: Option<i64>,
    /// When the operator was made, in milliseconds.
    pub created_at_ms: i64,
    /// Since when the operator can't sign in, in milliseconds. `None`: the operator can.
    pub disabled_at_ms: Option<i64>,
}

impl Operator {
    /// Whether the operator may do that.
    pub fn may(&self, scope: ApiScope) -> bool {
        match scope {
            ApiScope::Read => true,
            ApiScope::Order | ApiScope::Cancel => self.role >= OperatorRole::Operator,
            ApiScope::Configure | ApiScope::Administer => self.role >= OperatorRole::Administrator,
            ApiScope::Reveal => self.may_reveal,
        }
    }

    /// The operator in the acts that he or she makes.
    pub fn actor(&self) -> Actor {
        Actor::operator(&self.name)
    }
}

/// A session: an operator who has signed in with a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorSession {
    /// Stable and unique. Opens nothing.
    pub id: Uuid,
    /// The operator.
    pub operator_id: Uuid,
    /// When the operator signed in, in milliseconds.
    pub begun_at_ms: i64,
    /// When the session was last used, to the minute, in milliseconds.
    pub used_at_ms: i64,
    /// The address that the operator signed in from.
    pub address: String,
    /// What the browser said of itself.
    pub agent: String,
}

/// Error of an operator that can't be made as asked for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{}` can't be the name of an operator", name.escape_debug())]
pub struct InvalidOperator {
    /// The name.
    pub name: String,
}

impl Diagnose for InvalidOperator {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Invalid, "operator-name-invalid")
            .say("a name has up to 64 letters, digits, `-`, `_` and `.`, and begins with a letter or a digit")
    }
}

impl NewOperator {
    /// Checks that there can be such an operator.
    ///
    /// # Errors
    /// When the name can't be one.
    pub fn check(&self) -> Result<(), InvalidOperator> {
        check_client_name(&self.name).map_err(|_| InvalidOperator {
            name: self.name.chars().take(64).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(role: OperatorRole, may_reveal: bool) -> Operator {
        Operator {
            id: Uuid::nil(),
            name: "olivia".to_owned(),
            role,
            may_reveal,
            has_password: true,
            invited_until_ms: None,
            created_at_ms: 0,
            disabled_at_ms: None,
        }
    }

    #[test]
    fn each_role_may_do_what_the_one_before_may_and_keys_are_a_right_of_their_own() {
        let may = |role: OperatorRole| {
            let may = |scope: &&ApiScope| operator(role, false).may(**scope);
            ApiScope::ALL.iter().filter(may).copied().collect::<Vec<_>>()
        };
        assert_eq!(may(OperatorRole::Reader), [ApiScope::Read]);
        assert_eq!(
            may(OperatorRole::Operator),
            [ApiScope::Read, ApiScope::Order, ApiScope::Cancel]
        );
        assert_eq!(
            may(OperatorRole::Administrator),
            [
                ApiScope::Read,
                ApiScope::Order,
                ApiScope::Cancel,
                ApiScope::Configure,
                ApiScope::Administer
            ]
        );
        assert!(operator(OperatorRole::Reader, true).may(ApiScope::Reveal));
    }

    #[test]
    fn a_name_is_one_that_logs_and_shells_take_as_it_is() {
        let new = |name: &str| NewOperator {
            name: name.to_owned(),
            role: OperatorRole::Reader,
            may_reveal: false,
        };
        assert_eq!(new("olivia.b-1").check(), Ok(()));
        for name in ["", ".olivia", "o livia", "ö", &"a".repeat(65)] {
            assert!(new(name).check().is_err(), "{name}");
        }
    }
}
