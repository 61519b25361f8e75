//! Acts as views show them.

use bss_model::RecordedAct;
use bss_record::{AuditedActs as Audited, RecordError};
use serde::Serialize;
use serde_json::Value;

use super::word;
use crate::host::Host;

/// An act on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Act {
    /// The act's number, from 1.
    pub number: i64,
    /// When it was done, in milliseconds.
    pub done_at_ms: i64,
    /// The actor.
    pub actor: Actor,
    /// What was done, such as `place-order`.
    pub act: String,
    /// What it was done to.
    pub subject: Subject,
    /// The name of the instance that the subject belongs to. `None`: the subject is the host's.
    pub instance: Option<String>,
    /// What is needed to understand the act, without secrets.
    pub detail: Option<Value>,
}

/// The actor of an act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Actor {
    /// The actor's kind: `operator`, `platform`, `host`.
    pub kind: String,
    /// The actor's name.
    pub name: String,
}

/// The subject of an act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// The subject's kind, such as `order`.
    pub kind: String,
    /// The subject's id.
    pub id: String,
}

/// All acts, found as they were written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct AuditedActs {
    /// The number of acts.
    pub acts: u64,
    /// The digest of all acts.
    pub digest: String,
}

impl From<&Audited> for AuditedActs {
    fn from(audited: &Audited) -> Self {
        Self {
            acts: audited.acts,
            digest: audited.digest.clone(),
        }
    }
}

impl Host {
    /// The views of acts, in their order.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn act_views(&self, acts: &[RecordedAct]) -> Result<Vec<Act>, RecordError> {
        let instances = self.instances().await?;
        let name = |id| instances.iter().find(|instance| instance.id == id);
        let view = |act: &RecordedAct| Act {
            number: act.number,
            done_at_ms: act.at_ms,
            actor: Actor {
                kind: word(act.actor.kind.word()),
                name: act.actor.name.clone(),
            },
            act: word(act.act.word()),
            subject: Subject {
                kind: word(act.subject.kind.word()),
                id: act.subject.id.clone(),
            },
            instance: act
                .instance_id
                .and_then(name)
                .map(|instance| instance.name.clone()),
            detail: act
                .detail
                .as_ref()
                .and_then(|detail| serde_json::from_str(detail).ok()),
        };
        Ok(acts.iter().map(view).collect())
    }
}
