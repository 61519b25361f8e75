//! Operators as views show them.

use bss_model::Secret;
use serde::Serialize;
use uuid::Uuid;

use super::keys::serialize_whole;
use super::word;

/// An operator of the console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Operator {
    /// Stable and unique.
    pub id: Uuid,
    /// The name, by which acts on record name the operator.
    pub name: String,
    /// What the operator may do: `reader`, `operator`, `administrator`.
    pub role: String,
    /// Whether the operator may be shown product keys and activation links, one by one.
    pub may_reveal: bool,
    /// Whether the operator has chosen a password.
    pub has_password: bool,
    /// Until when the operator can choose a password by an invitation, in milliseconds.
    pub invited_until_ms: Option<i64>,
    /// When the operator was made, in milliseconds.
    pub created_at_ms: i64,
    /// Since when the operator can't sign in, in milliseconds.
    pub disabled_at_ms: Option<i64>,
}

/// An operator with an invitation, which is shown this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InvitedOperator {
    /// The operator.
    #[serde(flatten)]
    pub operator: Operator,
    /// The path with which the operator chooses a password once, to be put behind the server's address. Who has it becomes the operator.
    #[serde(serialize_with = "serialize_whole")]
    pub invitation: Secret,
}

/// A session of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorSession {
    /// Stable and unique. Opens nothing.
    pub id: Uuid,
    /// When the operator signed in, in milliseconds.
    pub begun_at_ms: i64,
    /// When the session was last used, to the minute, in milliseconds.
    pub used_at_ms: i64,
    /// The address that the operator signed in from.
    pub address: String,
    /// What the browser said of itself.
    pub agent: String,
}

impl From<&bss_model::Operator> for Operator {
    fn from(operator: &bss_model::Operator) -> Self {
        Self {
            id: operator.id,
            name: operator.name.clone(),
            role: word(operator.role.word()),
            may_reveal: operator.may_reveal,
            has_password: operator.has_password,
            invited_until_ms: operator.invited_until_ms,
            created_at_ms: operator.created_at_ms,
            disabled_at_ms: operator.disabled_at_ms,
        }
    }
}

impl From<&bss_model::OperatorSession> for OperatorSession {
    fn from(session: &bss_model::OperatorSession) -> Self {
        Self {
            id: session.id,
            begun_at_ms: session.begun_at_ms,
            used_at_ms: session.used_at_ms,
            address: session.address.clone(),
            agent: session.agent.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bss_model::OperatorRole;

    use super::super::examples::{assert_json, id};
    use super::*;

    #[test]
    fn an_operator_with_an_invitation() {
        let operator = bss_model::Operator {
            id: id(1),
            name: "maria".to_owned(),
            role: OperatorRole::Operator,
            may_reveal: true,
            has_password: false,
            invited_until_ms: Some(2_000),
            created_at_ms: 1_000,
            disabled_at_ms: None,
        };
        let invited = InvitedOperator {
            operator: Operator::from(&operator),
            invitation: Secret::new("/console/welcome?code=abc"),
        };
        assert!(!format!("{invited:?}").contains("abc"));
        assert_json(
            &invited,
            r#"
{
  "id": "00000000-0000-0000-0000-000000000001",
  "name": "maria",
  "role": "operator",
  "mayReveal": true,
  "hasPassword": false,
  "invitedUntilMs": 2000,
  "createdAtMs": 1000,
  "disabledAtMs": null,
  "invitation": "/console/welcome?code=abc"
}"#,
        );
    }

    #[test]
    fn a_session() {
        let session = bss_model::OperatorSession {
            id: id(2),
            operator_id: id(1),
            begun_at_ms: 1_000,
            used_at_ms: 2_000,
            address: "192.0.2.1".to_owned(),
            agent: "Browser/1".to_owned(),
        };
        assert_json(
            &OperatorSession::from(&session),
            r#"
{
  "id": "00000000-0000-0000-0000-000000000002",
  "begunAtMs": 1000,
  "usedAtMs": 2000,
  "address": "192.0.2.1",
  "agent": "Browser/1"
}"#,
        );
    }
}
