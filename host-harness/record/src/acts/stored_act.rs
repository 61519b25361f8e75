//! An act as its row has it.

use bss_model::{Act, Actor, ActorKind, RecordedAct, Subject, SubjectKind};

use super::super::RecordError;
use super::super::stored::{id, optional};
use crate::database::Row;

pub(crate) fn read_act(row: &Row) -> Result<RecordedAct, RecordError> {
    Ok(RecordedAct {
        number: row.try_get("number")?,
        at_ms: row.try_get("at_ms")?,
        actor: Actor {
            kind: ActorKind::from_word(row.try_get("actor_kind")?)?,
            name: row.try_get("actor_name")?,
        },
        act: Act::from_word(row.try_get("act")?)?,
        subject: Subject {
            kind: SubjectKind::from_word(row.try_get("subject_kind")?)?,
            id: row.try_get("subject")?,
        },
        instance_id: optional(row, "instance_id", id)?,
        detail: row.try_get("detail")?,
    })
}
