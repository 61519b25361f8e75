//! The feed of outcomes: each entry written in the transaction of what it tells, and read in that order.

use std::collections::BTreeMap;

use bss_model::clock::now_ms;
use bss_model::{
    AssetId, Diagnose, Diagnosis, ErrorKind, InstanceId, OrderId, Outcome, OutcomeCursor, OutcomeKind, Owner,
    Problem, RecordLives,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use uuid::Uuid;

use super::alerts;
use super::stored::{count, from_json, id, optional, to_json};
use super::{Record, RecordError};

/// The columns of an outcome `o` and of what it is about.
macro_rules! outcome_columns {
    () => {
        "o.number, o.kind, o.problem, o.happened_at_ms, a.id AS asset_id, a.order_id, a.instance_id,
         a.position, a.product_code, a.quantity, orders.idempotency_key"
    };
}
pub(super) use outcome_columns;

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

impl From<sqlx::Error> for OutcomesError {
    fn from(source: sqlx::Error) -> Self {
        Self::Record(source.into())
    }
}

/// Writes an outcome down, in the transaction of what it tells.
pub(super) async fn tell(
    transaction: &mut SqliteConnection,
    kind: OutcomeKind,
    asset_id: Uuid,
    problem: Option<&Problem>,
) -> Result<(), RecordError> {
    sqlx::query("INSERT INTO outcomes (kind, asset_id, problem, happened_at_ms) VALUES ($1, $2, $3, $4)")
        .bind(kind.word())
        .bind(asset_id.to_string())
        .bind(problem.map(to_json).transpose()?)
        .bind(now_ms())
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "INSERT INTO outcome_counts (kind, outcomes) VALUES ($1, 1)
         ON CONFLICT (kind) DO UPDATE SET outcomes = outcome_counts.outcomes + 1",
    )
    .bind(kind.word())
    .execute(&mut *transaction)
    .await?;
    alerts::follow(transaction, kind, asset_id, problem).await
}

/// The number of the last outcome. 0: there is none.
pub(super) async fn last_number(connection: &mut SqliteConnection) -> Result<i64, RecordError> {
    let last = sqlx::query_scalar("SELECT COALESCE(MAX(number), 0) FROM outcomes");
    Ok(last.fetch_one(connection).await?)
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
        let mut connection = self.readers.acquire().await?;
        let lives = lives(&mut connection).await?;
        let last = last_number(&mut connection).await?;
        let unknown = || OutcomesError::UnknownCursor { cursor: after };
        let number = lives.number_after(after, last).ok_or_else(unknown)?;
        let life = lives.present().ok_or_else(unknown)?;
        let rows = sqlx::query(concat!(
            "SELECT ",
            outcome_columns!(),
            " FROM outcomes o ",
            outcome_tables!(),
            " WHERE o.number > $1 AND ($3 IS NULL OR instances.owner = $3) ORDER BY o.number LIMIT $2"
        ))
        .bind(number)
        .bind(i64::from(limit))
        .bind(of.map(Owner::as_str))
        .fetch_all(&mut *connection)
        .await?;
        let outcomes = rows.iter().map(|row| read_outcome(row, life));
        Ok(outcomes.collect::<Result<_, RecordError>>()?)
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
        let rows = sqlx::query("SELECT kind, outcomes FROM outcome_counts")
            .fetch_all(&self.readers)
            .await?;
        let read = |row: &SqliteRow| {
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
pub(super) async fn present_life(connection: &mut SqliteConnection) -> Result<Uuid, RecordError> {
    let present = lives(connection).await?.present();
    present.ok_or_else(|| RecordError::Damaged {
        what: "the record has no id".to_owned(),
    })
}

/// The lives of the record. The first one has the record's own id, which all of its copies have.
async fn lives(connection: &mut SqliteConnection) -> Result<RecordLives, RecordError> {
    let rows = sqlx::query(
        "SELECT record AS life, 0 AS last_outcome, 0 AS number FROM provenance
         UNION ALL SELECT life, last_outcome, number FROM restorations WHERE life IS NOT NULL
         ORDER BY number",
    )
    .fetch_all(connection)
    .await?;
    let read = |row: &SqliteRow| Ok((id(row, "life")?, row.try_get("last_outcome")?));
    Ok(RecordLives(
        rows.iter().map(read).collect::<Result<_, RecordError>>()?,
    ))
}

pub(super) fn read_outcome(row: &SqliteRow, life: Uuid) -> Result<Outcome, RecordError> {
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
