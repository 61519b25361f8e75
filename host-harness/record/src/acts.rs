//! Acts: who changed what. An act is written in the transaction of the change, so that neither exists without the
//! other.

pub(super) mod chain;
pub(super) mod stored_act;

use std::num::NonZeroU32;

use bss_model::{Act, ActFilter, Actor, RecordedAct, SortOrder, Subject, SubjectKind};
use serde_json::Value;
use uuid::Uuid;

use self::chain::{AuditError, AuditedActs};
use self::stored_act::read_act;
use super::{Record, RecordError};
use crate::database::{Builder, Connection};

/// Writes an act in the transaction of the change. A change of many subjects writes an act for each of them. `detail`
/// holds no secret and nothing about a customer, because an act is kept for good. `Value::Null` means no detail.
pub(crate) async fn write_act(
    transaction: &mut Connection,
    actor: &Actor,
    act: Act,
    subject: &Subject,
    instance_id: Option<Uuid>,
    detail: Value,
) -> Result<(), RecordError> {
    let (last, before) = chain::last(transaction).await?;
    // Counted here: a database's own numbers have gaps where a transaction was undone. A program of an earlier version that has the
    // record open does not count, and numbers are never used again where acts were cut off.
    let number: i64 = transaction
        .sql("UPDATE turn SET acts = CASE WHEN acts < $1 THEN $1 ELSE acts END + 1 RETURNING acts")
        .bind(last)
        .scalar()
        .await?;
    let row = transaction.sql(
        "INSERT INTO acts (at_ms, actor_kind, actor_name, act, subject_kind, subject, instance_id, detail, number)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         RETURNING *",
    )
    .bind_now()
    .bind(actor.kind.word())
    .bind(&actor.name)
    .bind(act.word())
    .bind(subject.kind.word())
    .bind(&subject.id)
    .bind(instance_id.map(|id| id.to_string()))
    .bind((!detail.is_null()).then(|| detail.to_string()))
    .bind(number)
    .fetch_one()
    .await?;
    let act = read_act(&row)?;
    transaction
        .sql("UPDATE acts SET digest = $2 WHERE number = $1")
        .bind(act.number)
        .bind(chain::digest(&before, &act))
        .execute()
        .await?;
    Ok(())
}

impl Record {
    /// Verifies that no act was removed or altered since it was written, and returns the digest of them all. Keep the digest
    /// elsewhere: who can alter the database can also write a new chain, but not one with a digest that was noted before.
    ///
    /// # Errors
    /// When an act is missing or altered, or `noted`, a digest from an earlier time, is not in the chain.
    pub async fn verify_acts(&self, noted: Option<&str>) -> Result<AuditedActs, AuditError> {
        let mut connection = self.readers.acquire().await?;
        chain::verify(&mut connection, noted).await
    }

    /// Acts that match a filter, at most `limit`, oldest first. To read on, pass the number of the last one as the
    /// `after` of the next filter.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn acts(&self, filter: &ActFilter, limit: NonZeroU32) -> Result<Vec<RecordedAct>, RecordError> {
        self.acts_in(filter, SortOrder::Ascending, limit).await
    }

    /// Acts that match a filter, at most `limit`, latest first. To read on, pass the number of the last one as the
    /// `before` of the next filter.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn latest_acts(
        &self,
        filter: &ActFilter,
        limit: NonZeroU32,
    ) -> Result<Vec<RecordedAct>, RecordError> {
        self.acts_in(filter, SortOrder::Descending, limit).await
    }

    async fn acts_in(
        &self,
        filter: &ActFilter,
        order: SortOrder,
        limit: NonZeroU32,
    ) -> Result<Vec<RecordedAct>, RecordError> {
        let mut query = matching(filter);
        query.push(match order {
            SortOrder::Ascending => " ORDER BY number LIMIT ",
            SortOrder::Descending => " ORDER BY number DESC LIMIT ",
        });
        query.push_bind(limit.get());
        let rows = self.readers.build(&mut query).fetch_all().await?;
        rows.iter().map(read_act).collect()
    }
}

/// The query for the acts that match a filter.
fn matching(filter: &ActFilter) -> Builder {
    let ActFilter {
        subject,
        subject_kind,
        instance,
        owner,
        act,
        actor,
        since_ms,
        until_ms,
        after,
        before,
    } = filter;
    let mut query = Builder::new("SELECT * FROM acts WHERE 1 = 1");
    if let Some(subject) = subject {
        query.push(" AND subject = ").push_bind(subject.clone());
    }
    if let Some(kind) = subject_kind {
        query.push(" AND subject_kind = ").push_bind(kind.word());
    }
    if let Some(instance) = instance {
        query.push(" AND instance_id = ").push_bind(instance.to_string());
    }
    if let Some(owner) = owner {
        // A certificate belongs to no instance; the act says whose it is.
        query
            .push(" AND (instance_id IN (SELECT id FROM instances WHERE owner = ")
            .push_bind(owner.as_str().to_owned())
            .push(") OR (subject_kind = ")
            .push_bind(SubjectKind::Certificate.word())
            .push(" AND json_extract(detail, '$.owner') = ")
            .push_bind(owner.as_str().to_owned())
            .push("))");
    }
    if let Some(act) = act {
        query.push(" AND act = ").push_bind(act.word());
    }
    if let Some(actor) = actor {
        query.push(" AND actor_name = ").push_bind(actor.clone());
    }
    if let Some(since_ms) = since_ms {
        query.push(" AND at_ms >= ").push_bind(*since_ms);
    }
    if let Some(until_ms) = until_ms {
        query.push(" AND at_ms < ").push_bind(*until_ms);
    }
    if let Some(after) = after {
        query.push(" AND number > ").push_bind(*after);
    }
    if let Some(before) = before {
        query.push(" AND number < ").push_bind(*before);
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn acts_go_on_after_those_of_a_program_of_an_earlier_version_that_has_the_record_open() {
        let folder = tempfile::tempdir().unwrap();
        let record = crate::test_record::on_sqlite(folder.path()).await;
        let actor = Actor::operator("test");
        let minutes = |minutes: u64| std::time::Duration::from_secs(60 * minutes);
        record.set_look_up_only(minutes(6), &actor).await.unwrap();
        let of_earlier = "INSERT INTO acts (at_ms, actor_kind, actor_name, act, subject_kind, subject)
            SELECT at_ms, actor_kind, actor_name, act, subject_kind, subject FROM acts";
        record.writer.sql(of_earlier).execute().await.unwrap();
        for count in [7, 8] {
            record.set_look_up_only(minutes(count), &actor).await.unwrap();
        }
        let numbers = record.writer.sql("SELECT number FROM acts ORDER BY number");
        assert_eq!(numbers.scalars::<i64>().await.unwrap(), [1, 2, 3, 4]);
    }
}
