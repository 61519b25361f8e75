//! Deliveries: outcomes on their way to receivers, each taken by one worker at a time and tried until it is taken or has failed
//! for days.

use std::time::Duration;

use bss_model::clock::{millis, now_ms};
use bss_model::{
    Act, Actor, Delivered, Delivery, DeliveryAttempt, DeliveryFilter, DeliveryState, DeliveryToSend, Owner,
    Page, Problem, Rows, Subject,
};
use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection};
use uuid::Uuid;

use super::acts::write_act;
use super::outcomes::{outcome_columns, outcome_tables, present_life, read_outcome};
use super::paging::KeyColumn::{Integer, Text};
use super::paging::List;
use super::stored::{count, from_json, id, optional, push_ids, to_json};
use super::webhooks::{WebhookError, read_webhook, switch_off};
use super::{Record, RecordError, begin_write};

/// How long a worker has for one attempt, before another may think that it died.
const SENDING: Duration = Duration::from_secs(60);

/// The longest pause between two attempts. A delivery that seems to be due later was put off by another clock.
const LONGEST_PAUSE: Duration = Duration::from_secs(48 * 60 * 60);

/// The most outcomes that become deliveries in one transaction.
const OUTCOMES_AT_ONCE: i64 = 1_000;

/// The name of events' ids.
const EVENTS: Uuid = Uuid::from_u128(0x6f1b_7a0e_41c2_5b1d_9d64_2f8c_0e55_a3b7);

/// Deliveries in the order of what they tell.
pub(super) const DELIVERIES: List = List {
    name: "deliveries",
    key: &[Integer("outcome"), Text("delivery_id")],
};

/// Deliveries that match a filter. Add conditions on what is selected.
pub(super) fn deliveries_query(filter: &DeliveryFilter, of: Option<&Owner>) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(format!("SELECT * FROM ({DELIVERY}) WHERE 1 = 1"));
    if let Some(webhook) = filter.webhook {
        query.push(" AND webhook_id = ").push_bind(webhook.to_string());
    }
    if let Some(state) = filter.state {
        query.push(" AND state = ").push_bind(state.word());
    }
    if let Some(owner) = of {
        query
            .push(" AND webhook_owner = ")
            .push_bind(owner.as_str().to_owned());
    }
    query
}

impl Record {
    /// Makes deliveries of the outcomes that receivers are to be told of and that have none yet. Returns whether there may be
    /// more.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn make_deliveries(&self) -> Result<bool, RecordError> {
        // A read first: it blocks no writer, and nearly always there is nothing to do.
        let behind = "SELECT id FROM webhooks WHERE state = 'on' AND last_outcome < (SELECT MAX(number) FROM outcomes)";
        let behind: Vec<String> = sqlx::query_scalar(behind).fetch_all(&self.readers).await?;
        let mut has_more = false;
        for webhook in behind {
            let mut transaction = begin_write(&self.writer).await?;
            has_more |= make_of(&mut transaction, &webhook).await?;
            transaction.commit().await?;
        }
        Ok(has_more)
    }

    /// Takes deliveries that are due, at most `limit` of them, and none to receivers that are `busy`. Nobody else gets them for a
    /// minute. None while another copy of the record may go on: it tells the receivers.
    ///
    /// # Errors
    /// When the record can't be read or written, or the host key does not open a receiver's keys.
    pub async fn take_deliveries(
        &self,
        limit: u32,
        busy: &[Uuid],
    ) -> Result<Vec<DeliveryToSend>, RecordError> {
        let mut look = due(1, busy);
        let look = look.build_query_scalar::<String>();
        if look.fetch_optional(&self.readers).await?.is_none() {
            return Ok(Vec::new());
        }
        let mut transaction = begin_write(&self.writer).await?;
        let mut due = due(limit, busy);
        let ids: Vec<String> = due.build_query_scalar().fetch_all(&mut *transaction).await?;
        let mut taken = Vec::with_capacity(ids.len());
        let life = present_life(&mut transaction).await?;
        for delivery in ids {
            sqlx::query("UPDATE deliveries SET attempts = attempts + 1, tries = tries + 1, due_at_ms = $2 WHERE id = $1")
                .bind(&delivery)
                .bind(now_ms().saturating_add(millis(SENDING)))
                .execute(&mut *transaction)
                .await?;
            let row = sqlx::query(sqlx::AssertSqlSafe(format!(
                "{DELIVERY} WHERE deliveries.id = $1"
            )))
            .bind(&delivery)
            .fetch_one(&mut *transaction)
            .await?;
            let (delivery, tries) = (read_delivery(&row, life)?, count(&row, "tries")?);
            let row = sqlx::query("SELECT * FROM webhooks WHERE id = $1")
                .bind(delivery.webhook_id.to_string())
                .fetch_one(&mut *transaction)
                .await?;
            taken.push(DeliveryToSend {
                keys: self.keys_of(delivery.webhook_id, &row)?,
                webhook: read_webhook(&row)?,
                delivery,
                tries,
            });
        }
        transaction.commit().await?;
        Ok(taken)
    }

    /// Writes down what came of an attempt. A receiver that is gone, or that has taken nothing since this delivery was first
    /// tried and failed for good, is switched off with an alert.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn finish_delivery(&self, sent: &DeliveryToSend, end: Delivered) -> Result<(), RecordError> {
        let (delivery, now) = (&sent.delivery, now_ms());
        let mut transaction = begin_write(&self.writer).await?;
        let (status, problem) = match &end {
            Delivered::Taken(status) => (Some(*status), None),
            Delivered::Later(problem, status, _) | Delivered::Failed(problem, status) => {
                (*status, Some(problem))
            }
            Delivered::Gone(problem) => (Some(GONE), Some(problem)),
        };
        sqlx::query(
            "INSERT INTO delivery_attempts (delivery_id, number, at_ms, status, problem)
             SELECT id, $2, $3, $4, $5 FROM deliveries WHERE id = $1
             ON CONFLICT (delivery_id, number) DO NOTHING",
        )
        .bind(delivery.id.to_string())
        .bind(i64::from(delivery.attempts))
        .bind(now)
        .bind(status.map(i64::from))
        .bind(problem.map(to_json).transpose()?)
        .execute(&mut *transaction)
        .await?;
        let (state, due_at_ms) = match &end {
            Delivered::Taken(_) => (DeliveryState::Delivered, now),
            Delivered::Later(_, _, due_at_ms) => (DeliveryState::Pending, *due_at_ms),
            Delivered::Gone(_) => (DeliveryState::Pending, now),
            Delivered::Failed(..) => (DeliveryState::Failed, now),
        };
        // What another worker has seen delivered meanwhile stays so.
        sqlx::query(
            "UPDATE deliveries SET state = $2, due_at_ms = $3, delivered_at_ms = CASE WHEN $2 = 'delivered' THEN $4 END
             WHERE id = $1 AND state <> 'delivered' AND (attempts = $5 OR $2 = 'delivered')",
        )
        .bind(delivery.id.to_string())
        .bind(state.word())
        .bind(due_at_ms)
        .bind(now)
        .bind(i64::from(delivery.attempts))
        .execute(&mut *transaction)
        .await?;
        match &end {
            Delivered::Taken(_) => {
                sqlx::query("UPDATE webhooks SET delivered_at_ms = $2 WHERE id = $1")
                    .bind(delivery.webhook_id.to_string())
                    .bind(now)
                    .execute(&mut *transaction)
                    .await?;
            }
            Delivered::Gone(problem) => switch_off(&mut transaction, delivery.webhook_id, problem).await?,
            Delivered::Failed(problem, _) => {
                if !has_taken_since(&mut transaction, delivery).await? {
                    switch_off(&mut transaction, delivery.webhook_id, problem).await?;
                }
            }
            Delivered::Later(..) => {}
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Deliveries that match a filter, in the order of what they tell; only those to receivers of an owner where one is given.
    ///
    /// # Errors
    /// When the record can't be read, or the page is not of this list.
    pub async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        of: Option<&Owner>,
        page: &Page,
    ) -> Result<Rows<Delivery>, RecordError> {
        let life = present_life(&mut *self.readers.acquire().await?).await?;
        let read = |row: &SqliteRow| read_delivery(row, life);
        self.page(&DELIVERIES, deliveries_query(filter, of), page, read)
            .await
    }

    /// The attempts of a delivery that have ended, by number.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn delivery_attempts(&self, delivery: Uuid) -> Result<Vec<DeliveryAttempt>, RecordError> {
        let rows = sqlx::query("SELECT * FROM delivery_attempts WHERE delivery_id = $1 ORDER BY number")
            .bind(delivery.to_string())
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(read_attempt).collect()
    }

    /// Has a delivery to a receiver be sent again now, whether it was taken, has failed or waits.
    ///
    /// # Errors
    /// When there is no such delivery, or the record can't be written.
    pub async fn redeliver(&self, webhook: Uuid, delivery: Uuid, actor: &Actor) -> Result<(), WebhookError> {
        let mut transaction = begin_write(&self.writer).await?;
        let again = sqlx::query(
            "UPDATE deliveries SET state = 'pending', tries = 0, due_at_ms = $3, delivered_at_ms = NULL
             WHERE id = $1 AND webhook_id = $2",
        )
        .bind(delivery.to_string())
        .bind(webhook.to_string())
        .bind(now_ms())
        .execute(&mut *transaction)
        .await?;
        if again.rows_affected() == 0 {
            return Err(WebhookError::NoDelivery { id: delivery });
        }
        let detail = json!({ "delivery": delivery });
        let (act, subject) = (Act::Redeliver, Subject::webhook(webhook));
        write_act(&mut transaction, actor, act, &subject, None, detail).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Has all deliveries to a receiver that have failed be sent again now. Returns their number.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn redeliver_failed(&self, webhook: Uuid, actor: &Actor) -> Result<u64, RecordError> {
        let mut transaction = begin_write(&self.writer).await?;
        let again = sqlx::query(
            "UPDATE deliveries SET state = 'pending', tries = 0, due_at_ms = $2 WHERE webhook_id = $1 AND state = 'failed'",
        )
        .bind(webhook.to_string())
        .bind(now_ms())
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        if again > 0 {
            let detail = json!({ "failed": again });
            let (act, subject) = (Act::Redeliver, Subject::webhook(webhook));
            write_act(&mut transaction, actor, act, &subject, None, detail).await?;
        }
        transaction.commit().await?;
        Ok(again)
    }
}

/// The status with which a receiver says that it is gone for good (RFC 9110 section 15.5.11).
const GONE: u16 = 410;

/// Selects deliveries with what they tell.
const DELIVERY: &str = concat!(
    "SELECT deliveries.id AS delivery_id, webhook_id, outcome, deliveries.state, deliveries.attempts,
            deliveries.tries, deliveries.due_at_ms, deliveries.delivered_at_ms, webhooks.owner AS webhook_owner, ",
    outcome_columns!(),
    " FROM deliveries JOIN webhooks ON webhooks.id = deliveries.webhook_id
      JOIN outcomes o ON o.number = deliveries.outcome ",
    outcome_tables!()
);

/// Selects deliveries that are due, to receivers that are on and not busy.
fn due(limit: u32, busy: &[Uuid]) -> QueryBuilder<Sqlite> {
    let now = now_ms();
    let mut query = QueryBuilder::new(
        "SELECT deliveries.id FROM deliveries JOIN webhooks ON webhooks.id = deliveries.webhook_id
         WHERE deliveries.state = 'pending' AND webhooks.state = 'on'
           AND NOT (SELECT awaits_adoption FROM provenance) AND (due_at_ms <= ",
    );
    query.push_bind(now).push(" OR due_at_ms > ");
    query
        .push_bind(now.saturating_add(millis(LONGEST_PAUSE)))
        .push(")");
    if !busy.is_empty() {
        query.push(" AND webhook_id NOT IN (");
        push_ids(&mut query, busy);
        query.push(")");
    }
    query.push(" ORDER BY due_at_ms, deliveries.id LIMIT ");
    query.push_bind(i64::from(limit));
    query
}

/// Makes the next deliveries of a receiver, and returns whether there may be more.
async fn make_of(transaction: &mut SqliteConnection, webhook: &str) -> Result<bool, RecordError> {
    let row = sqlx::query(
        "SELECT kinds, owner, last_outcome,
                (SELECT COALESCE(MAX(number), 0) FROM outcomes) AS last FROM webhooks WHERE id = $1 AND state = 'on'",
    )
    .bind(webhook)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(row) = row else { return Ok(false) };
    let (from, last): (i64, i64) = (row.try_get("last_outcome")?, row.try_get("last")?);
    let to = last.min(from.saturating_add(OUTCOMES_AT_ONCE));
    let owner: &str = row.try_get("owner")?;
    let kinds: Vec<String> = from_json(&row, "kinds")?;
    let outcomes = sqlx::query(
        "SELECT o.number, o.kind FROM outcomes o JOIN assets a ON a.id = o.asset_id JOIN instances ON instances.id = a.instance_id
         WHERE o.number > $1 AND o.number <= $2 AND ($3 = '' OR instances.owner = $3) ORDER BY o.number",
    )
    .bind(from)
    .bind(to)
    .bind(owner)
    .fetch_all(&mut *transaction)
    .await?;
    for outcome in &outcomes {
        let kind: &str = outcome.try_get("kind")?;
        if !kinds.is_empty() && !kinds.iter().any(|asked| asked == kind) {
            continue;
        }
        sqlx::query(
            "INSERT INTO deliveries (id, webhook_id, outcome, state, attempts, tries, due_at_ms) VALUES ($1, $2, $3, 'pending', 0, 0, $4)
             ON CONFLICT (webhook_id, outcome) DO NOTHING",
        )
        .bind(Uuid::new_v4().to_string())
        .bind(webhook)
        .bind(outcome.try_get::<i64, _>("number")?)
        .bind(now_ms())
        .execute(&mut *transaction)
        .await?;
    }
    sqlx::query("UPDATE webhooks SET last_outcome = $2 WHERE id = $1")
        .bind(webhook)
        .bind(to)
        .execute(transaction)
        .await?;
    Ok(to < last)
}

/// Whether the receiver of a delivery has taken something since the delivery was first tried.
async fn has_taken_since(
    transaction: &mut SqliteConnection,
    delivery: &Delivery,
) -> Result<bool, RecordError> {
    let taken = sqlx::query_scalar(
        "SELECT COALESCE(delivered_at_ms > (SELECT MIN(at_ms) FROM delivery_attempts WHERE delivery_id = $2), FALSE)
         FROM webhooks WHERE id = $1",
    )
    .bind(delivery.webhook_id.to_string())
    .bind(delivery.id.to_string())
    .fetch_optional(transaction)
    .await?;
    Ok(taken.unwrap_or(false))
}

fn read_delivery(row: &SqliteRow, life: Uuid) -> Result<Delivery, RecordError> {
    let outcome = read_outcome(row, life)?;
    let number: i64 = row.try_get("outcome")?;
    // The same wherever and however often it is told, also by a record that was restored.
    let name = format!(
        "{number} {} {} {}",
        outcome.asset,
        outcome.kind.word(),
        outcome.happened_at_ms
    );
    Ok(Delivery {
        id: id(row, "delivery_id")?,
        webhook_id: id(row, "webhook_id")?,
        event_id: Uuid::new_v5(&EVENTS, name.as_bytes()),
        outcome,
        state: DeliveryState::from_word(row.try_get("state")?)?,
        attempts: count(row, "attempts")?,
        due_at_ms: row.try_get("due_at_ms")?,
        delivered_at_ms: row.try_get("delivered_at_ms")?,
    })
}

fn read_attempt(row: &SqliteRow) -> Result<DeliveryAttempt, RecordError> {
    let status: Option<i64> = row.try_get("status")?;
    let problem: Option<Problem> = optional(row, "problem", from_json)?;
    Ok(DeliveryAttempt {
        number: count(row, "number")?,
        at_ms: row.try_get("at_ms")?,
        status: status.and_then(|status| u16::try_from(status).ok()),
        problem,
    })
}
