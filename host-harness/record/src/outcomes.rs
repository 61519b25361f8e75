//! The feed of outcomes: each entry written in the transaction of what it tells, and read in that order.

use std::collections::BTreeMap;

use bss_model::{
    AssetId, Diagnose, Diagnosis, ErrorKind, Event, InstanceId, OrderId, Outcome, OutcomeCursor, OutcomeKind,
    Owner, Problem, RecordLives,
};
use uuid::Uuid;

use super::alerts;
use super::stored::{count, from_json, id, optional, push_ids, to_json};
use super::{Record, RecordError};
use crate::database::{Builder, Connection, Row};

/// The namespace of events' ids (RFC 9562, UUID version 5).
const EVENTS: Uuid = Uuid::from_u128(0x6f1b_7a0e_41c2_5b1d_9d64_2f8c_0e55_a3b7);

/// The columns of an outcome `o` and of what it is about, and which one of its kind it is of its asset.
macro_rules! event_columns {
    () => {
        "o.number, o.kind, o.problem, o.happened_at_ms, a.id AS asset_id, a.order_id, a.instance_id,
         a.position, a.product_code, a.quantity, orders.idempotency_key,
         (SELECT COUNT(*) FROM outcomes earlier
          WHERE earlier.asset_id = o.asset_id AND earlier.kind = o.kind AND earlier.number <= o.number) AS nth"
    };
}
pub(super) use event_columns;

/// The tables of what an outcome `o` is about.
macro_rules! outcome_tables {
    () => {
        "JOIN assets a ON a.id = o.asset_id JOIN orders ON orders.id = a.order_id
         JOIN instances ON instances.id = a.instance_id"
    };
}
pub(super) use outcome_tables;

/// Why the feed can't go on from a cursor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutcomesError {
    /// The cursor is of another record, or of a copy of this one that was lost.
    #[error("cursor `{cursor}` is not of this record, or of a copy of it that is lost")]
    UnknownCursor {
        /// The cursor.
        cursor: OutcomeCursor,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for OutcomesError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::UnknownCursor { .. } => Diagnosis::new(ErrorKind::Conflict, "outcome-cursor-unknown").say(
                "read from the start again: what was seen before comes once more, and nothing is missed",
            ),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// Writes an outcome down, in the transaction of what it tells.
pub(super) async fn tell(
    transaction: &mut Connection,
    kind: OutcomeKind,
    asset_id: Uuid,
    problem: Option<&Problem>,
) -> Result<(), RecordError> {
    transaction
        .sql("INSERT INTO outcomes (kind, asset_id, problem, happened_at_ms) VALUES ($1, $2, $3, $4)")
        .bind(kind.word())
        .bind(asset_id.to_string())
        .bind(problem.map(to_json).transpose()?)
        .bind_now()
        .execute()
        .await?;
    transaction
        .sql(
            "INSERT INTO outcome_counts (kind, outcomes) VALUES ($1, 1)
         ON CONFLICT (kind) DO UPDATE SET outcomes = outcome_counts.outcomes + 1",
        )
        .bind(kind.word())
        .execute()
        .await?;
    alerts::follow(transaction, kind, asset_id, problem).await
}

/// The number of the last outcome. 0: there is none.
pub(super) async fn last_number(connection: &mut Connection) -> Result<i64, RecordError> {
    let last = connection.sql("SELECT COALESCE(MAX(number), 0) FROM outcomes");
    last.scalar().await
}

impl Record {
    /// The outcomes after a cursor, the oldest first, at most `limit` of them. None: nothing has come since. `of`: only those of
    /// instances of an owner; without it, all.
    ///
    /// # Errors
    /// When the cursor is of another record, or the record can't be read.
    pub async fn outcomes(
        &self,
        after: OutcomeCursor,
        limit: u32,
        of: Option<&Owner>,
    ) -> Result<Vec<Outcome>, OutcomesError> {
        let events = self.events(after, limit, of, None).await?;
        Ok(events.into_iter().map(|event| event.outcome).collect())
    }

    /// The [outcomes](Self::outcomes) after a cursor with the ids of their events. `instances`: only those of some instances, of
    /// which there are fewer than `limit` only where no more has come.
    ///
    /// # Errors
    /// When the cursor is of another record, or the record can't be read.
    pub async fn events(
        &self,
        after: OutcomeCursor,
        limit: u32,
        of: Option<&Owner>,
        instances: Option<&[Uuid]>,
    ) -> Result<Vec<Event>, OutcomesError> {
        let mut connection = self.readers.acquire().await?;
        let lives = lives(&mut connection).await?;
        let last = last_number(&mut connection).await?;
        let unknown = || OutcomesError::UnknownCursor { cursor: after };
        let number = lives.number_after(after, last).ok_or_else(unknown)?;
        let life = lives.present().ok_or_else(unknown)?;
        let rows = connection
            .build(&mut events_query(number, limit, of, instances))
            .fetch_all()
            .await?;
        let events = rows.iter().map(|row| read_event(row, life));
        Ok(events.collect::<Result<_, RecordError>>()?)
    }

    /// The place after the last outcome: what comes after it has not happened yet.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn last_outcome(&self) -> Result<OutcomeCursor, RecordError> {
        let mut connection = self.readers.acquire().await?;
        let lives = lives(&mut connection).await?;
        let number = last_number(&mut connection).await?;
        Ok(lives
            .present()
            .map_or(OutcomeCursor::START, |life| OutcomeCursor::after(life, number)))
    }

    /// The numbers of outcomes that went on record, by kind. A kind that has not come yet is left out.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn outcome_counts(&self) -> Result<BTreeMap<OutcomeKind, u64>, RecordError> {
        let rows = self
            .readers
            .sql("SELECT kind, outcomes FROM outcome_counts")
            .fetch_all()
            .await?;
        let read = |row: &Row| {
            let outcomes: i64 = row.try_get("outcomes")?;
            Ok((
                OutcomeKind::from_word(row.try_get("kind")?)?,
                outcomes.unsigned_abs(),
            ))
        };
        rows.iter().map(read).collect()
    }
}

/// The present life of the record, which cursors name.
pub(super) async fn present_life(connection: &mut Connection) -> Result<Uuid, RecordError> {
    let present = lives(connection).await?.present();
    present.ok_or_else(|| RecordError::Damaged {
        what: "the record has no id".to_owned(),
    })
}

/// The lives of the record. The first one has the record's own id, which all of its copies have.
async fn lives(connection: &mut Connection) -> Result<RecordLives, RecordError> {
    let rows = connection
        .sql(
            "SELECT record AS life, 0 AS last_outcome, 0 AS number FROM provenance
         UNION ALL SELECT life, last_outcome, number FROM restorations WHERE life IS NOT NULL
         ORDER BY number",
        )
        .fetch_all()
        .await?;
    let read = |row: &Row| Ok((id(row, "life")?, row.try_get("last_outcome")?));
    Ok(RecordLives(
        rows.iter().map(read).collect::<Result<_, RecordError>>()?,
    ))
}

/// Selects the events after a number, read forward in their order until there are enough: of a few instances among many, that
/// passes over what is told of the others and sorts nothing.
pub(super) fn events_query(
    number: i64,
    limit: u32,
    of: Option<&Owner>,
    instances: Option<&[Uuid]>,
) -> Builder {
    let mut query = Builder::new(concat!(
        "SELECT ",
        event_columns!(),
        " FROM outcomes o ",
        outcome_tables!(),
        " WHERE o.number > "
    ));
    query.push_bind(number);
    // An expression keeps SQLite from beginning with all that an owner or an instance has ever had.
    if let Some(owner) = of {
        query
            .push(" AND instances.owner || '' = ")
            .push_bind(owner.as_str().to_owned());
    }
    if let Some(instances) = instances {
        query.push(" AND a.instance_id || '' IN (");
        push_ids(&mut query, instances);
        query.push(")");
    }
    query
        .push(" ORDER BY o.number LIMIT ")
        .push_bind(i64::from(limit));
    query
}

/// The event of a row that has the columns of one.
pub(super) fn read_event(row: &Row, life: Uuid) -> Result<Event, RecordError> {
    let outcome = read_outcome(row, life)?;
    // An event has the same id wherever and however often it is told, also by a restored record that learns of it once more.
    let nth: i64 = row.try_get("nth")?;
    let name = format!("{} {} {nth}", outcome.asset, outcome.kind.word());
    Ok(Event {
        id: Uuid::new_v5(&EVENTS, name.as_bytes()),
        outcome,
    })
}

fn read_outcome(row: &Row, life: Uuid) -> Result<Outcome, RecordError> {
    Ok(Outcome {
        cursor: OutcomeCursor::after(life, row.try_get("number")?),
        kind: OutcomeKind::from_word(row.try_get("kind")?)?,
        happened_at_ms: row.try_get("happened_at_ms")?,
        instance: InstanceId(id(row, "instance_id")?),
        order: OrderId(id(row, "order_id")?),
        idempotency_key: row.try_get("idempotency_key")?,
        asset: AssetId(id(row, "asset_id")?),
        position: count(row, "position")?,
        product_code: row.try_get("product_code")?,
        quantity: count(row, "quantity")?,
        problem: optional(row, "problem", from_json)?,
    })
}
