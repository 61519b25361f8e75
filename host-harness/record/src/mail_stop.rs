//! The stop of all e-mails: what is in the way on this host's side, and when one e-mail is tried again. On record, so that
//! every worker keeps to it and every process can end it.

use bss_model::{AlertKind, MailState, MailStop, Problem};

use super::stored::{count, from_json, to_json};
use super::{Record, RecordError};
use super::{alert_notices, alerts};
use crate::database::{Connection, On, Row};

/// The kind of the one stop that there is.
const ALL: &str = "all";

/// Whether a worker may take e-mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// E-mails may be taken: nothing is known to be in their way.
    Open,
    /// A single e-mail may be tried now.
    OneTry,
    /// No e-mail may be taken: the next try is later, or another worker's.
    Closed,
}

impl Record {
    /// What stops all e-mails. `None`: nothing is known to.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn mail_stop(&self) -> Result<Option<MailStop>, RecordError> {
        let row = self
            .readers
            .sql("SELECT problem, since_ms, tries, next_try_at_ms FROM mail_stop WHERE kind = $1")
            .bind(ALL)
            .fetch_optional()
            .await?;
        row.as_ref().map(read_stop).transpose()
    }

    /// Stops all e-mails, or says that the stop goes on: one e-mail was tried, and met this problem. `next_try_at_ms` is made
    /// from the number of tries in a row that have met one. Returns what was known before.
    ///
    /// An e-mail that was under way when the stop began says nothing new; `was_the_try` tells the one that was taken to find
    /// out.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn stop_mails(
        &self,
        problem: &Problem,
        was_the_try: bool,
        next_try_at_ms: impl Fn(u32) -> i64,
    ) -> Result<Option<MailStop>, RecordError> {
        let mut transaction = self.begin_write().await?;
        let row = transaction
            .sql("SELECT problem, since_ms, tries, next_try_at_ms FROM mail_stop WHERE kind = $1")
            .bind(ALL)
            .fetch_optional()
            .await?;
        let before = row.as_ref().map(read_stop).transpose()?;
        if before.is_none() || was_the_try {
            let tries = before.as_ref().map_or(0, |before| before.tries).saturating_add(1);
            transaction.sql(
                "INSERT INTO mail_stop (kind, problem, since_ms, tries, next_try_at_ms) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (kind) DO UPDATE SET problem = excluded.problem, tries = excluded.tries,
                     next_try_at_ms = excluded.next_try_at_ms",
            )
            .bind(ALL)
            .bind(to_json(problem)?)
            .bind_now()
            .bind(i64::from(tries))
            .bind(next_try_at_ms(tries))
            .execute()
            .await?;
            alerts::raise_lasting(&mut transaction, AlertKind::MailStopped, ALL, None, Some(problem)).await?;
        }
        transaction.commit().await?;
        Ok(before)
    }

    /// Says when the next e-mail is tried, where the last one has found out nothing. Does nothing if there is no stop.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn put_off_mail_try(&self, next_try_at_ms: i64) -> Result<(), RecordError> {
        put_off(&self.writer, next_try_at_ms).await
    }

    /// Ends the stop, because an e-mail was taken. Returns whether there was one. E-mails that had failed by then come when
    /// they are due.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn end_mail_stop(&self) -> Result<bool, RecordError> {
        let mut transaction = self.begin_write().await?;
        let was_there = end(&mut transaction).await?;
        transaction.commit().await?;
        Ok(was_there)
    }

    /// Ends the stop, because the operator has seen to it, and makes every e-mail that waits due now.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn resume_mails(&self) -> Result<(), RecordError> {
        let mut transaction = self.begin_write().await?;
        resume(&mut transaction).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Whether a worker may take e-mails.
pub(super) async fn read_gate<'c>(database: impl Into<On<'c>>) -> Result<Gate, RecordError> {
    let database = database.into();
    let now_ms = database.now_ms();
    let next: Option<i64> = database
        .sql("SELECT next_try_at_ms FROM mail_stop WHERE kind = $1")
        .bind(ALL)
        .scalar_optional()
        .await?;
    Ok(gate(next, now_ms))
}

/// Says when the next e-mail is tried, in the transaction in which one is taken for that, or when that one has found out
/// nothing.
pub(super) async fn put_off<'c>(database: impl Into<On<'c>>, next_try_at_ms: i64) -> Result<(), RecordError> {
    database
        .into()
        .sql("UPDATE mail_stop SET next_try_at_ms = $2 WHERE kind = $1")
        .bind(ALL)
        .bind(next_try_at_ms)
        .execute()
        .await?;
    Ok(())
}

fn gate(next_try_at_ms: Option<i64>, now_ms: i64) -> Gate {
    match next_try_at_ms {
        None => Gate::Open,
        Some(next) if next <= now_ms => Gate::OneTry,
        Some(_) => Gate::Closed,
    }
}

/// Ends the stop, and makes every e-mail that waits due now, those about alerts included: the operator has seen to what was in
/// the way.
pub(super) async fn resume(transaction: &mut Connection) -> Result<(), RecordError> {
    end(transaction).await?;
    alert_notices::end_rest(transaction).await?;
    transaction
        .sql("UPDATE mails SET due_at_ms = $2 WHERE state = $1 AND due_at_ms > $2 AND NOT waits_for_order")
        .bind(MailState::Pending.word())
        .bind_now()
        .execute()
        .await?;
    Ok(())
}

/// Ends the stop, and the alert about it: the operator wants e-mails tried, or one was taken. Returns whether there was a stop.
pub(super) async fn end(transaction: &mut Connection) -> Result<bool, RecordError> {
    let ended = transaction.sql("DELETE FROM mail_stop").execute().await?;
    let now_ms = transaction.now_ms();
    alerts::end(transaction, AlertKind::MailStopped, ALL, now_ms).await?;
    Ok(ended > 0)
}

fn read_stop(row: &Row) -> Result<MailStop, RecordError> {
    Ok(MailStop {
        problem: from_json(row, "problem")?,
        since_ms: row.try_get("since_ms")?,
        tries: count(row, "tries")?,
        next_try_at_ms: row.try_get("next_try_at_ms")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_e_mail_is_tried_when_its_time_has_come_and_none_before() {
        assert_eq!(gate(None, 0), Gate::Open);
        assert_eq!(gate(Some(10), 9), Gate::Closed);
        assert_eq!(gate(Some(10), 10), Gate::OneTry);
    }
}
