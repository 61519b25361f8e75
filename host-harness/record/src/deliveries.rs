//! Deliveries: outcomes on their way to receivers, each taken by one worker at a time and tried until it is taken or has failed
//! for days.

use std::time::Duration;

use bss_model::clock::millis;
use bss_model::{
    Act, Actor, Delivery, DeliveryAttempt, DeliveryFilter, DeliveryOutcome, DeliveryState, DeliveryToSend,
    Owner, Page, Problem, Rows, Subject,
};
use serde_json::json;
use uuid::Uuid;

use super::acts::write_act;
use super::outcomes::{event_columns, outcome_tables, present_life, read_event};
use super::paging::KeyColumn::{Integer, Text};
use super::paging::List;
use super::stored::{count, from_json, id, optional, push_ids, to_json};
use super::webhooks::{WebhookError, check_on, read_webhook, switch_off};
use super::{Record, RecordError};
use crate::database::{Builder, Connection, Row};

/// How long a worker has for one attempt, before another may think that it died.
const SENDING: Duration = Duration::from_secs(60);

/// The longest time for which a receiver rests after a failure.
const LONGEST_REST: Duration = Duration::from_secs(5 * 60);

/// How long a receiver fails without taking anything until it is switched off, and how often at least: a clock may step.
const GONE_AFTER: Duration = Duration::from_secs(72 * 60 * 60);
const FAILURES_MIN: i64 = 10;

/// The longest pause between two attempts. A delivery that seems to be due later was put off by another clock.
const LONGEST_PAUSE: Duration = Duration::from_secs(48 * 60 * 60);

/// The most outcomes that become deliveries in one transaction.
const OUTCOMES_AT_ONCE: i64 = 1_000;

/// Deliveries in the order of what they tell.
pub(super) const DELIVERIES: List = List {
    name: "deliveries",
    key: &[Integer("outcome"), Text("delivery_id")],
};

/// Deliveries that match a filter. Add conditions on what is selected.
pub(super) fn deliveries_query(filter: &DeliveryFilter, of: Option<&Owner>) -> Builder {
    let mut query = Builder::new(format!("SELECT * FROM ({DELIVERY}) AS listed WHERE 1 = 1"));
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
        let behind: Vec<String> = self.readers.sql(behind).scalars().await?;
        let mut has_more = false;
        for webhook in behind {
            let mut transaction = self.begin_write().await?;
            has_more |= make_of(&mut transaction, &webhook).await?;
            transaction.commit().await?;
        }
        Ok(has_more)
    }

    /// Makes deliveries due that seem to be due later than any is put off: another clock has written that.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn mend_due_times(&self) -> Result<(), RecordError> {
        let now = self.now_ms();
        let latest = now.saturating_add(millis(LONGEST_PAUSE));
        for statement in [
            "UPDATE deliveries SET due_at_ms = $1 WHERE state = 'pending' AND due_at_ms > $2",
            "UPDATE webhooks SET rest_until_ms = $1 WHERE rest_until_ms > $2",
        ] {
            self.writer
                .sql(statement)
                .bind(now)
                .bind(latest)
                .execute()
                .await?;
        }
        Ok(())
    }

    /// Takes a delivery that was due by a time, to a receiver that is on, does not rest and is not `busy`. Nobody else gets it for a
    /// minute. `None`: there is none, or another copy of the record may go on, which tells the receivers.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn take_delivery(
        &self,
        due_by_ms: i64,
        busy: &[Uuid],
    ) -> Result<Option<DeliveryToSend>, RecordError> {
        let mut look = due(due_by_ms, self.now_ms(), busy);
        let look = self.readers.build(&mut look);
        if look.fetch_optional().await?.is_none() {
            return Ok(None);
        }
        let mut transaction = self.begin_write().await?;
        let life = present_life(&mut transaction).await?;
        loop {
            let mut due = due(due_by_ms, self.now_ms(), busy);
            let due = transaction.build(&mut due).scalar_optional::<String>();
            let Some(delivery) = due.await? else {
                transaction.commit().await?;
                return Ok(None);
            };
            transaction
                .sql("UPDATE deliveries SET attempts = attempts + 1, due_at_ms = $2 WHERE id = $1")
                .bind(&delivery)
                .bind(self.now_ms().saturating_add(millis(SENDING)))
                .execute()
                .await?;
            let query = format!("{DELIVERY} WHERE deliveries.id = $1");
            let row = transaction.composed(query).bind(&delivery).fetch_one().await?;
            let (tries, generation) = (count(&row, "tries")?, row.try_get("generation")?);
            let delivery = read_delivery(&row, life)?;
            let row = transaction
                .sql("SELECT * FROM webhooks WHERE id = $1")
                .bind(delivery.webhook_id.to_string())
                .fetch_one()
                .await?;
            match self.keys_of(delivery.webhook_id, &row) {
                Ok(keys) => {
                    let webhook = read_webhook(&row)?;
                    transaction.commit().await?;
                    return Ok(Some(DeliveryToSend {
                        delivery,
                        tries: tries.saturating_add(1),
                        generation,
                        webhook,
                        keys,
                    }));
                }
                // A receiver whose keys are damaged keeps no other one waiting.
                Err(error) => {
                    let problem = Problem::new(
                        "webhook-keys-unreadable",
                        error.to_string(),
                        "rotate the webhook's keys",
                    );
                    switch_off(&mut transaction, delivery.webhook_id, &problem).await?;
                }
            }
        }
    }

    /// Writes down what came of an attempt. After a failure the receiver rests for a while. One that is gone, or that has failed
    /// again and again for days without taking anything, is switched off with an alert.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn finish_delivery(
        &self,
        sent: &DeliveryToSend,
        end: DeliveryOutcome,
    ) -> Result<(), RecordError> {
        let (delivery, now) = (&sent.delivery, self.now_ms());
        let mut transaction = self.begin_write().await?;
        transaction
            .sql(
                "INSERT INTO delivery_attempts (delivery_id, number, at_ms, status, problem)
             SELECT id, $2, $3, $4, $5 FROM deliveries WHERE id = $1
             ON CONFLICT (delivery_id, number) DO NOTHING",
            )
            .bind(delivery.id.to_string())
            .bind(i64::from(delivery.attempts))
            .bind(now)
            .bind(end.status().map(i64::from))
            .bind(end.problem().map(to_json).transpose()?)
            .execute()
            .await?;
        let (state, due_at_ms) = match &end {
            DeliveryOutcome::Taken(_) => (DeliveryState::Delivered, now),
            DeliveryOutcome::Later(_, _, due_at_ms) => (DeliveryState::Pending, *due_at_ms),
            DeliveryOutcome::Gone(_) => (DeliveryState::Pending, now),
            DeliveryOutcome::Failed(..) => (DeliveryState::Failed, now),
        };
        // What another worker has seen delivered meanwhile stays so, and what somebody asked for meanwhile is sent again.
        transaction.sql(
            "UPDATE deliveries SET state = $2, due_at_ms = $3, tries = tries + 1,
                                   delivered_at_ms = CASE WHEN $2 = 'delivered' THEN $4 END
             WHERE id = $1 AND state <> 'delivered' AND (attempts = $5 OR $2 = 'delivered') AND generation = $6",
        )
        .bind(delivery.id.to_string())
        .bind(state.word())
        .bind(due_at_ms)
        .bind(now)
        .bind(i64::from(delivery.attempts))
        .bind(sent.generation)
        .execute()
        .await?;
        match &end {
            DeliveryOutcome::Taken(_) => taken_by(&mut transaction, delivery.webhook_id, now).await?,
            DeliveryOutcome::Gone(problem) => {
                switch_off(&mut transaction, delivery.webhook_id, problem).await?
            }
            DeliveryOutcome::Later(problem, ..) | DeliveryOutcome::Failed(problem, _) => {
                if is_failing_for_days(&mut transaction, delivery.webhook_id, now).await? {
                    switch_off(&mut transaction, delivery.webhook_id, problem).await?;
                }
            }
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
        let life = present_life(&mut self.readers.acquire().await?).await?;
        let read = |row: &Row| read_delivery(row, life);
        self.page(&DELIVERIES, deliveries_query(filter, of), page, read)
            .await
    }

    /// The attempts of a delivery that have ended, by number.
    ///
    /// # Errors
    /// When there is no such delivery to a receiver of the owner, or the record can't be read.
    pub async fn delivery_attempts(
        &self,
        delivery: Uuid,
        of: Option<&Owner>,
    ) -> Result<Vec<DeliveryAttempt>, WebhookError> {
        let found = self
            .readers
            .sql(
                "SELECT 1 FROM deliveries JOIN webhooks ON webhooks.id = deliveries.webhook_id
             WHERE deliveries.id = $1 AND ($2 IS NULL OR webhooks.owner = $2)",
            )
            .bind(delivery.to_string())
            .bind(of.map(Owner::as_str))
            .fetch_optional()
            .await?;
        if found.is_none() {
            return Err(WebhookError::NoDelivery { id: delivery });
        }
        let rows = self
            .readers
            .sql("SELECT * FROM delivery_attempts WHERE delivery_id = $1 ORDER BY number")
            .bind(delivery.to_string())
            .fetch_all()
            .await?;
        Ok(rows
            .iter()
            .map(read_attempt)
            .collect::<Result<_, RecordError>>()?)
    }

    /// Has a delivery to a receiver be sent again now, whether it was taken, has failed or waits.
    ///
    /// # Errors
    /// When there is no such delivery, the receiver is off, or the record can't be written.
    pub async fn redeliver(&self, webhook: Uuid, delivery: Uuid, actor: &Actor) -> Result<(), WebhookError> {
        let mut transaction = self.begin_write().await?;
        check_on(&mut transaction, webhook).await?;
        let again = transaction.sql(
            "UPDATE deliveries SET state = 'pending', tries = 0, generation = generation + 1, due_at_ms = $3, delivered_at_ms = NULL
             WHERE id = $1 AND webhook_id = $2",
        )
        .bind(delivery.to_string())
        .bind(webhook.to_string())
        .bind_now()
        .execute()
        .await?;
        if again == 0 {
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
    /// When there is no such receiver, it is off, or the record can't be written.
    pub async fn redeliver_failed(&self, webhook: Uuid, actor: &Actor) -> Result<u64, WebhookError> {
        let mut transaction = self.begin_write().await?;
        check_on(&mut transaction, webhook).await?;
        let again = transaction.sql(
            "UPDATE deliveries SET state = 'pending', tries = 0, generation = generation + 1, due_at_ms = $2
             WHERE webhook_id = $1 AND state = 'failed'",
        )
        .bind(webhook.to_string())
        .bind_now()
        .execute()
        .await?;
        if again > 0 {
            let detail = json!({ "failed": again });
            let (act, subject) = (Act::Redeliver, Subject::webhook(webhook));
            write_act(&mut transaction, actor, act, &subject, None, detail).await?;
        }
        transaction.commit().await?;
        Ok(again)
    }
}

/// Selects deliveries with what they tell.
const DELIVERY: &str = concat!(
    "SELECT deliveries.id AS delivery_id, webhook_id, outcome, deliveries.state, deliveries.attempts,
            deliveries.tries, deliveries.generation, deliveries.due_at_ms, deliveries.delivered_at_ms,
            webhooks.owner AS webhook_owner, ",
    event_columns!(),
    " FROM deliveries JOIN webhooks ON webhooks.id = deliveries.webhook_id
      JOIN outcomes o ON o.number = deliveries.outcome ",
    outcome_tables!()
);

/// Selects the next delivery that was due by a time, of those to receivers that are on, do not rest and are not busy.
fn due(due_by_ms: i64, now: i64, busy: &[Uuid]) -> Builder {
    let mut query = Builder::new(
        "SELECT id FROM (
             SELECT (SELECT id FROM deliveries WHERE webhook_id = webhooks.id AND state = 'pending' AND due_at_ms <= ",
    );
    query.push_bind(due_by_ms.min(now));
    query.push(
        " ORDER BY due_at_ms LIMIT 1) AS id FROM webhooks
             WHERE state = 'on' AND NOT (SELECT awaits_adoption FROM provenance) AND rest_until_ms <= ",
    );
    query.push_bind(now);
    if !busy.is_empty() {
        query.push(" AND webhooks.id NOT IN (");
        push_ids(&mut query, busy);
        query.push(")");
    }
    query.push(") AS due WHERE id IS NOT NULL LIMIT 1");
    query
}

/// How long a receiver rests after so many failures in a row: not after the first, then a second, and twice as long each time.
fn rest(failures: i64) -> Duration {
    match failures {
        ..=1 => Duration::ZERO,
        2..=60 => Duration::from_secs(1 << (failures - 2)).min(LONGEST_REST),
        _ => LONGEST_REST,
    }
}

/// A receiver has taken something: whatever it refused before is over.
async fn taken_by(transaction: &mut Connection, webhook: Uuid, now_ms: i64) -> Result<(), RecordError> {
    transaction.sql(
        "UPDATE webhooks SET delivered_at_ms = $2, failing_since_ms = NULL, failures = 0, rest_until_ms = 0 WHERE id = $1",
    )
    .bind(webhook.to_string())
    .bind(now_ms)
    .execute()
    .await?;
    Ok(())
}

/// Counts a failure of a receiver, which rests from the second one on, and returns whether it has failed for days without taking
/// anything.
async fn is_failing_for_days(
    transaction: &mut Connection,
    webhook: Uuid,
    now_ms: i64,
) -> Result<bool, RecordError> {
    let row = transaction
        .sql(
            "UPDATE webhooks SET failing_since_ms = COALESCE(failing_since_ms, $2), failures = failures + 1
         WHERE id = $1 RETURNING failing_since_ms, failures",
        )
        .bind(webhook.to_string())
        .bind(now_ms)
        .fetch_optional()
        .await?;
    let Some(row) = row else { return Ok(false) };
    let (since, failures): (i64, i64) = (row.try_get("failing_since_ms")?, row.try_get("failures")?);
    transaction
        .sql("UPDATE webhooks SET rest_until_ms = $2 WHERE id = $1")
        .bind(webhook.to_string())
        .bind(now_ms.saturating_add(millis(rest(failures))))
        .execute()
        .await?;
    let is_long = now_ms.saturating_sub(since) >= millis(GONE_AFTER);
    Ok(is_long && failures >= FAILURES_MIN)
}

/// Makes the next deliveries of a receiver, and returns whether there may be more.
async fn make_of(transaction: &mut Connection, webhook: &str) -> Result<bool, RecordError> {
    let row = transaction.sql(
        "SELECT kinds, owner, last_outcome,
                (SELECT COALESCE(MAX(number), 0) FROM outcomes) AS last FROM webhooks WHERE id = $1 AND state = 'on'",
    )
    .bind(webhook)
    .fetch_optional()
    .await?;
    let Some(row) = row else { return Ok(false) };
    let (from, last): (i64, i64) = (row.try_get("last_outcome")?, row.try_get("last")?);
    let to = last.min(from.saturating_add(OUTCOMES_AT_ONCE));
    let owner: &str = row.try_get("owner")?;
    let kinds: Vec<String> = from_json(&row, "kinds")?;
    let outcomes = transaction.sql(
        "SELECT o.number, o.kind FROM outcomes o JOIN assets a ON a.id = o.asset_id JOIN instances ON instances.id = a.instance_id
         WHERE o.number > $1 AND o.number <= $2 AND ($3 = '' OR instances.owner = $3) ORDER BY o.number",
    )
    .bind(from)
    .bind(to)
    .bind(owner)
    .fetch_all()
    .await?;
    for outcome in &outcomes {
        let kind: &str = outcome.try_get("kind")?;
        if !kinds.is_empty() && !kinds.iter().any(|asked| asked == kind) {
            continue;
        }
        transaction.sql(
            "INSERT INTO deliveries (id, webhook_id, outcome, state, attempts, tries, generation, due_at_ms)
             VALUES ($1, $2, $3, 'pending', 0, 0, 0, $4)
             ON CONFLICT (webhook_id, outcome) DO NOTHING",
        )
        .bind(Uuid::new_v4().to_string())
        .bind(webhook)
        .bind(outcome.try_get::<i64, _>("number")?)
        .bind_now()
        .execute()
        .await?;
    }
    transaction
        .sql("UPDATE webhooks SET last_outcome = $2 WHERE id = $1")
        .bind(webhook)
        .bind(to)
        .execute()
        .await?;
    Ok(to < last)
}

fn read_delivery(row: &Row, life: Uuid) -> Result<Delivery, RecordError> {
    let event = read_event(row, life)?;
    Ok(Delivery {
        id: id(row, "delivery_id")?,
        webhook_id: id(row, "webhook_id")?,
        event_id: event.id,
        outcome: event.outcome,
        state: DeliveryState::from_word(row.try_get("state")?)?,
        attempts: count(row, "attempts")?,
        due_at_ms: row.try_get("due_at_ms")?,
        delivered_at_ms: row.try_get("delivered_at_ms")?,
    })
}

fn read_attempt(row: &Row) -> Result<DeliveryAttempt, RecordError> {
    let status: Option<i64> = row.try_get("status")?;
    let problem: Option<Problem> = optional(row, "problem", from_json)?;
    Ok(DeliveryAttempt {
        number: count(row, "number")?,
        at_ms: row.try_get("at_ms")?,
        status: status.and_then(|status| u16::try_from(status).ok()),
        problem,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_rests_from_the_second_failure_on_and_never_for_long() {
        for (failures, seconds) in [
            (0, 0),
            (1, 0),
            (2, 1),
            (3, 2),
            (5, 8),
            (11, 300),
            (100, 300),
            (i64::MAX, 300),
        ] {
            assert_eq!(rest(failures).as_secs(), seconds, "{failures}");
        }
    }
}
