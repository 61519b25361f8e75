//! The outbox: e-mails to be sent once each, written in the transaction that makes them necessary.

use std::time::Duration;

use bss_model::clock::millis;
use bss_model::{
    Act, Actor, Advice, AlertKind, AttemptResult, Contact, Diagnose, Diagnosis, ErrorKind, LicenseSecrets,
    Mail, MailFilter, MailKind, MailOutcome, MailState, MailToSend, OVERDUE, Page, ReturnResult,
    ReturnStatus, Rows, Sold, Subject,
};
use serde_json::Value;
use uuid::Uuid;

use super::acts::write_act;
use super::alerts;
use super::assets::read_asset_of;
use super::charges::credit_of;
use super::mail_stop::{self, Gate, put_off, read_gate};
use super::order_mails::take_together;
use super::paging::KeyColumn::{Integer, Text};
use super::paging::List;
use super::stored::{count, from_json, id, optional, to_json};
use super::{Record, RecordError};
use crate::database::{Builder, Connection, Row};

/// Why an e-mail is not tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetryMailError {
    /// The e-mail does not exist.
    #[error("there is no e-mail `{id}`")]
    NoMail {
        /// The id that was asked for.
        id: Uuid,
    },
    /// The e-mail was sent, and must not be sent twice.
    #[error("e-mail `{id}` was sent already, and an e-mail is sent only once")]
    Sent {
        /// The e-mail.
        id: Uuid,
    },
    /// The e-mail is held back, and may have been sent by another copy of the record.
    #[error("e-mail `{id}` is held back, because it may have been sent before the record was restored")]
    Held {
        /// The e-mail.
        id: Uuid,
    },
    /// The e-mail was withdrawn: its license was returned, its customer erased, or mailing taken over from the host.
    #[error(
        "e-mail `{id}` is not sent, because its license was returned, its customer erased, mailing taken over from this host, or a copy has taken its place"
    )]
    Withdrawn {
        /// The e-mail.
        id: Uuid,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for RetryMailError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NoMail { .. } => Diagnosis::new(ErrorKind::NotFound, "no-mail").advise(Advice::ListMails),
            Self::Sent { .. } => Diagnosis::new(ErrorKind::Conflict, "mail-sent"),
            Self::Held { .. } => Diagnosis::new(ErrorKind::Conflict, "mail-held")
                .say("whoever operates the host releases it, once it is certain that it was not sent"),
            Self::Withdrawn { .. } => Diagnosis::new(ErrorKind::Conflict, "mail-withdrawn"),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// How far the vendor's clock and this machine's can be apart: nearly as far as vendors let them, which take no
/// assertion of a clock that is wrong by five minutes. What is bought after the usual time of looking up only is bought later than
/// that, so that its e-mail is not held.
const CLOCKS_DIFFER: Duration = Duration::from_secs(4 * 60);

/// How long the one e-mail that is tried while all are stopped can take; a worker that died with it has been noticed by
/// then.
const ONE_TRY: Duration = Duration::from_secs(15 * 60);

/// E-mails by the time at which they were written.
pub(super) const MAILS: List = List {
    name: "mails",
    key: &[
        Integer("created_at_ms"),
        Text("order_id"),
        Integer("position"),
        Text("kind"),
        Text("id"),
    ],
};

/// E-mails with what is known of their recipients.
pub(super) const MAILS_WITH_CONTACT: &str =
    "SELECT mails.*, (SELECT contact FROM orders WHERE orders.id = mails.order_id) AS contact FROM mails";

pub(super) fn mails_query(filter: &MailFilter) -> Builder {
    let mut query = Builder::new(MAILS_WITH_CONTACT);
    query.push(" WHERE 1 = 1");
    if let Some(state) = filter.state {
        query.push(" AND state = ").push_bind(state.word());
    }
    if let Some(instance) = filter.instance {
        // A look at each e-mail's order, in place of a list of all orders of the instance that has to be sorted.
        query
            .push(" AND EXISTS (SELECT 1 FROM orders WHERE orders.id = mails.order_id AND orders.instance_id = ")
            .push_bind(instance.to_string())
            .push(")");
    }
    if let Some(order) = filter.order {
        query.push(" AND order_id = ").push_bind(order.to_string());
    }
    if let Some(asset) = filter.asset {
        query.push(" AND asset_id = ").push_bind(asset.to_string());
    }
    if let Some(customer) = &filter.customer {
        query.push(" AND customer_id = ").push_bind(customer.clone());
    }
    if let Some(kind) = filter.kind {
        let is_alone = filter.state.is_none()
            && filter.instance.is_none()
            && filter.order.is_none()
            && filter.asset.is_none()
            && filter.customer.is_none();
        // Beside another condition, whose index has the kind in its order, SQLite would sort what is in order already.
        query.push(if is_alone {
            " AND kind = "
        } else {
            " AND kind || '' = "
        });
        query.push_bind(kind.word());
    }
    query
}

/// Withdraws unsent e-mails about an asset, because its key is dead. Call it in the transaction that shows the
/// license as returned. An e-mail that is being sent at this moment may still end as sent.
pub(super) async fn withdraw(transaction: &mut Connection, asset_id: Uuid) -> Result<(), RecordError> {
    transaction
        .sql("UPDATE mails SET state = $2, worker = NULL WHERE asset_id = $1 AND state <> $3 AND kind = $4")
        .bind(asset_id.to_string())
        .bind(MailState::Withdrawn.word())
        .bind(MailState::Sent.word())
        .bind(MailKind::Welcome.word())
        .execute()
        .await?;
    alerts::end_of_withdrawn_mails(transaction).await
}

/// Writes the e-mail about an asset's license, in the transaction that makes it necessary. Does nothing if it exists, or if the
/// order has no contact because it is older than contacts, if its customer was erased, if a platform ordered, which writes to its
/// customers itself, or if e-mails are not the host's duty. Holds it back where another copy of the record may have sent
/// it: the license was bought before the record was restored or adopted, or while another copy may go on, or before its
/// order was placed.
pub(super) async fn enqueue(
    transaction: &mut Connection,
    asset_id: Uuid,
    now_ms: i64,
) -> Result<(), RecordError> {
    transaction.sql(
        "INSERT INTO mails (id, kind, asset_id, order_id, position, customer_id, state, attempts, due_at_ms, created_at_ms,
                            waits_for_order)
         SELECT $1, $2, assets.id, assets.order_id, assets.position, assets.customer_id,
                CASE WHEN assets.purchased_at_ms < orders.placed_at_ms - $6
                       OR EXISTS (SELECT 1 FROM attempts
                                  WHERE asset_id = assets.id AND result = $7
                                    AND (assets.purchased_at_ms < attempts.finished_at_ms + $6
                                         OR (SELECT awaits_adoption FROM provenance)))
                     THEN $8 ELSE $3 END,
                0, CASE WHEN mail_choices.per_order THEN $9 ELSE $4 END, $4, COALESCE(mail_choices.per_order, FALSE)
         FROM assets LEFT JOIN mail_choices ON mail_choices.instance_id = assets.instance_id JOIN orders ON orders.id = assets.order_id
         WHERE assets.id = $5 AND orders.contact IS NOT NULL AND orders.customer_erased_at_ms IS NULL
           AND orders.platform_id IS NULL AND (SELECT mails FROM duties)
         ON CONFLICT (kind, asset_id) WHERE copy_of IS NULL DO NOTHING",
    )
    .bind(Uuid::new_v4().to_string())
    .bind(MailKind::Welcome.word())
    .bind(MailState::Pending.word())
    .bind(now_ms)
    .bind(asset_id.to_string())
    .bind(millis(CLOCKS_DIFFER))
    .bind(AttemptResult::Restored.word())
    .bind(MailState::Held.word())
    .bind(now_ms.saturating_add(millis(OVERDUE)))
    .execute()
    .await?;
    Ok(())
}

/// Writes the e-mail about a return and its credit, in the transaction that makes them, if the instance has chosen that and no platform
/// ordered, which writes to its customers itself. Call it before the asset shows its license as returned: it is held back where another copy of the record may have made the return and
/// mailed it, which is so unless the license was not returned yet after that copy had ended.
pub(super) async fn enqueue_return(
    transaction: &mut Connection,
    asset_id: Uuid,
    cancellation_id: Uuid,
    now_ms: i64,
) -> Result<(), RecordError> {
    transaction.sql(
        "INSERT INTO mails (id, kind, asset_id, order_id, position, customer_id, state, attempts, due_at_ms, created_at_ms)
         SELECT $1, $2, assets.id, assets.order_id, assets.position, assets.customer_id,
                CASE WHEN (SELECT awaits_adoption FROM provenance)
                       OR EXISTS (SELECT 1 FROM return_attempts WHERE cancellation_id = $6 AND result = $7)
                       OR EXISTS (SELECT 1 FROM restorations WHERE noticed_at_ms >= assets.created_at_ms)
                          AND (assets.return_status <> $8 OR COALESCE(assets.refreshed_at_ms, 0)
                               <= (SELECT MAX(at_ms) FROM acts WHERE act IN ($9, $10)))
                     THEN $11 ELSE $3 END,
                0, $4, $4
         FROM assets JOIN orders ON orders.id = assets.order_id
         JOIN mail_choices ON mail_choices.instance_id = assets.instance_id AND mail_choices.on_return
         WHERE assets.id = $5 AND orders.contact IS NOT NULL AND orders.customer_erased_at_ms IS NULL
           AND orders.platform_id IS NULL AND (SELECT mails FROM duties)
         ON CONFLICT (kind, asset_id) WHERE copy_of IS NULL DO NOTHING",
    )
    .bind(Uuid::new_v4().to_string())
    .bind(MailKind::Return.word())
    .bind(MailState::Pending.word())
    .bind(now_ms)
    .bind(asset_id.to_string())
    .bind(cancellation_id.to_string())
    .bind(ReturnResult::Restored.word())
    .bind(ReturnStatus::None.word())
    .bind(Act::NoticeRestoration.word())
    .bind(Act::AdoptRecord.word())
    .bind(MailState::Held.word())
    .execute()
    .await?;
    Ok(())
}

impl Record {
    /// Takes up to `limit` due e-mails for a worker of [`Record::start_worker`]. No other worker gets them while that
    /// worker lives and has not finished them; a dead worker gets nothing. While e-mails are [stopped](Record::stop_mails),
    /// one is taken when it is time to try, and none else.
    ///
    /// # Errors
    /// When the record can't be read or written, or the host key does not open a secret.
    pub async fn take_mails(&self, worker_id: Uuid, limit: u32) -> Result<Vec<MailToSend>, RecordError> {
        // A read blocks no writer, and nearly always nothing is due.
        let due: i64 = self
            .readers
            .sql(
                "SELECT COUNT(*) FROM (SELECT 1 AS one FROM mails
             WHERE state = $1 AND due_at_ms <= $2 AND (worker IS NULL OR worker <> $3) LIMIT 1) AS due",
            )
            .bind(MailState::Pending.word())
            .bind_now()
            .bind(worker_id.to_string())
            .scalar()
            .await?;
        if due == 0 || read_gate(&self.readers).await? == Gate::Closed {
            return Ok(Vec::new());
        }
        let Some(mut transaction) = self.begin_taking(worker_id).await? else {
            return Ok(Vec::new());
        };
        let gate = read_gate(&mut *transaction).await?;
        let limit = match gate {
            Gate::Open => limit,
            Gate::OneTry => limit.min(1),
            Gate::Closed => 0,
        };
        // The try is an e-mail that was tried the least: one that alone is not taken keeps no other one waiting.
        let taken = transaction
            .sql(
                "UPDATE mails SET worker = $1, attempts = attempts + 1, waits_for_order = FALSE
             WHERE id IN (SELECT id FROM mails WHERE state = $2 AND due_at_ms <= $3 AND worker IS NULL
                          ORDER BY CASE WHEN $5 THEN attempts ELSE 0 END, due_at_ms, id LIMIT $4)
             RETURNING id",
            )
            .bind(worker_id.to_string())
            .bind(MailState::Pending.word())
            .bind_now()
            .bind(i64::from(limit))
            .bind(gate == Gate::OneTry)
            .fetch_all()
            .await?;
        if taken.is_empty() {
            transaction.commit().await?;
            return Ok(Vec::new());
        }
        let is_try = gate == Gate::OneTry;
        if is_try {
            put_off(&mut *transaction, self.now_ms().saturating_add(millis(ONE_TRY))).await?;
        }
        let taken = taken.iter().map(|row| id(row, "id"));
        let taken = taken.collect::<Result<Vec<_>, _>>()?;
        let mut mails = Vec::with_capacity(taken.len());
        for message in take_together(&mut transaction, worker_id, &taken).await? {
            let mut others = Vec::with_capacity(message.len());
            for mail in message {
                others.push(self.read_mail_to_send(&mut transaction, mail).await?);
            }
            if others.is_empty() {
                continue;
            }
            let first = others.remove(0);
            mails.push(MailToSend {
                is_try,
                others,
                ..first
            });
        }
        let dispatch = self.begin_dispatch(&mut transaction).await?;
        transaction.commit().await?;
        self.testify(dispatch);
        Ok(mails)
    }

    /// Checks that a worker may still send an e-mail that it has taken, and returns the right part of its Message-ID:
    /// `domain` the first time, the same ever after. `None`: don't send it; the license may have been returned
    /// meanwhile.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn begin_mail(
        &self,
        worker_id: Uuid,
        mail_id: Uuid,
        domain: &str,
    ) -> Result<Option<String>, RecordError> {
        let domain = self
            .writer
            .sql(
                "UPDATE mails SET message_id_domain = COALESCE(message_id_domain, $3)
             WHERE id = $1 AND worker = $2 AND state = $4
             RETURNING message_id_domain",
            )
            .bind(mail_id.to_string())
            .bind(worker_id.to_string())
            .bind(domain)
            .bind(MailState::Pending.word())
            .scalar_optional()
            .await?;
        Ok(domain)
    }

    async fn read_mail_to_send(
        &self,
        connection: &mut Connection,
        mail_id: Uuid,
    ) -> Result<MailToSend, RecordError> {
        let row = connection
            .sql(
                "SELECT kind, asset_id, attempts, recipient, sent_with, copy_of IS NOT NULL AS is_copy,
                    (SELECT sent_at_ms FROM mails former WHERE former.id = mails.copy_of) AS first_sent_at_ms
             FROM mails WHERE id = $1",
            )
            .bind(mail_id.to_string())
            .fetch_one()
            .await?;
        let asset_id = id(&row, "asset_id")?;
        let mut secrets = self.read_license_secrets(connection, &[asset_id]).await?;
        let (_, secrets) = secrets.remove(&asset_id).ok_or_else(|| RecordError::Damaged {
            what: format!("e-mail `{mail_id}` is about asset `{asset_id}`, which has no license"),
        })?;
        let about = mail_about(connection, asset_id, secrets).await?;
        Ok(MailToSend {
            id: mail_id,
            kind: MailKind::from_word(row.try_get("kind")?)?,
            contact: at_recipient(about.contact, &row)?,
            is_copy: row.try_get("is_copy")?,
            first_sent_at_ms: row.try_get("first_sent_at_ms")?,
            attempts: count(&row, "attempts")?,
            sent_with: optional(&row, "sent_with", id)?,
            ..about
        })
    }

    /// The e-mail about an asset as it would be sent now, with this key and link in it. It is on no record, and not sent.
    /// `None`: there is no such asset.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn mail_to_preview(
        &self,
        asset_id: Uuid,
        secrets: LicenseSecrets,
    ) -> Result<Option<MailToSend>, RecordError> {
        let mut connection = self.readers.acquire().await?;
        let found = connection
            .sql("SELECT 1 FROM assets WHERE id = $1")
            .bind(asset_id.to_string())
            .fetch_optional()
            .await?;
        match found {
            None => Ok(None),
            Some(_) => mail_about(&mut connection, asset_id, secrets).await.map(Some),
        }
    }

    /// Records the outcome of sending an e-mail, and releases it. A later retry is due at `due_at_ms`. Success counts
    /// from any worker, other outcomes only from the worker that holds the e-mail.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn finish_mail(
        &self,
        worker_id: Uuid,
        mail: &MailToSend,
        outcome: MailOutcome,
        due_at_ms: i64,
    ) -> Result<(), RecordError> {
        // What was sent and is not on record is sent again.
        let mut patience = self.patience();
        loop {
            let finished = self.try_to_finish_mail(worker_id, mail, outcome.clone(), due_at_ms);
            match finished.await {
                Err(error) if patience.allows(&error).await => {}
                finished => return finished,
            }
        }
    }

    async fn try_to_finish_mail(
        &self,
        worker_id: Uuid,
        mail: &MailToSend,
        outcome: MailOutcome,
        due_at_ms: i64,
    ) -> Result<(), RecordError> {
        let now = self.now_ms();
        let tries = i64::from(!matches!(outcome, MailOutcome::Waits(_)));
        let (state, problem, due_at_ms, sent_at_ms) = match outcome {
            MailOutcome::Sent(problem) => (MailState::Sent, problem, now, Some(now)),
            MailOutcome::Later(problem) => (MailState::Pending, Some(problem), due_at_ms, None),
            // The stop of all e-mails alone puts it off.
            MailOutcome::Waits(problem) => (MailState::Pending, Some(problem), now, None),
            MailOutcome::Refused(problem) => (MailState::Failed, Some(problem), now, None),
        };
        let problem_text = problem.as_ref().map(to_json).transpose()?;
        let mut transaction = self.begin_write().await?;
        for mail in std::iter::once(mail).chain(&mail.others) {
            let finished = transaction.sql(
                "UPDATE mails SET state = $3, problem = $4, due_at_ms = $5, sent_at_ms = $6, worker = NULL,
                        attempts = attempts - 1 + $8, sent_to = CASE WHEN $3 = $7 THEN $9 ELSE sent_to END
                 WHERE id = $1 AND state <> $7 AND (worker = $2 OR $3 = $7)
                 RETURNING asset_id",
            )
            .bind(mail.id.to_string())
            .bind(worker_id.to_string())
            .bind(state.word())
            .bind(&problem_text)
            .bind(due_at_ms)
            .bind(sent_at_ms)
            .bind(MailState::Sent.word())
            .bind(tries)
            .bind(&mail.contact.email)
            .fetch_optional()
            .await?;
            let Some(row) = finished else { continue };
            let kind = AlertKind::MailFailed;
            let asset_id = id(&row, "asset_id")?;
            match state {
                MailState::Failed => {
                    let problem = problem.as_ref();
                    alerts::raise_about_asset(&mut transaction, kind, mail.id, asset_id, problem, now)
                        .await?;
                }
                MailState::Sent => alerts::end(&mut transaction, kind, mail.id, now).await?,
                MailState::Pending | MailState::Withdrawn | MailState::Held => {}
            }
        }
        transaction.commit().await?;
        Ok(())
    }

    /// The number of e-mails that wait to be sent.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn pending_mails(&self) -> Result<u64, RecordError> {
        let pending: i64 = self
            .readers
            .sql("SELECT COUNT(*) FROM mails WHERE state = $1")
            .bind(MailState::Pending.word())
            .scalar()
            .await?;
        Ok(pending.unsigned_abs())
    }

    /// The number of e-mails that are held back.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn held_mails(&self) -> Result<u64, RecordError> {
        let held: i64 = self
            .readers
            .sql("SELECT COUNT(*) FROM mails WHERE state = $1")
            .bind(MailState::Held.word())
            .scalar()
            .await?;
        Ok(held.unsigned_abs())
    }

    /// E-mails that match a filter, by the time at which they were written.
    ///
    /// # Errors
    /// When the record can't be read, or the page is not of this list.
    pub async fn mails(&self, filter: &MailFilter, page: &Page) -> Result<Rows<Mail>, RecordError> {
        self.page(&MAILS, mails_query(filter), page, read_mail).await
    }

    /// The e-mail of an id, and the instance of its order. `None`: there is none.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn mail(&self, mail_id: Uuid) -> Result<Option<(Mail, Uuid)>, RecordError> {
        let row = self
            .readers
            .sql(
                "SELECT mails.*, orders.contact, orders.instance_id
             FROM mails JOIN orders ON orders.id = mails.order_id WHERE mails.id = $1",
            )
            .bind(mail_id.to_string())
            .fetch_optional()
            .await?;
        row.map(|row| Ok((read_mail(&row)?, id(&row, "instance_id")?)))
            .transpose()
    }

    /// Makes an unsent e-mail due now, even one that was refused for good or is held back, and ends the
    /// [stop](Self::mail_stop) of all e-mails if there is one.
    ///
    /// # Errors
    /// When the e-mail does not exist, was sent or was withdrawn, and when the record can't be written.
    pub async fn retry_mail(&self, mail_id: Uuid, actor: &Actor) -> Result<(), RetryMailError> {
        self.make_one_due(mail_id, MadeDue::One(mail_id), actor).await
    }

    /// Makes an e-mail due now that waits or was refused for good. Without an operator's word, so that a program may ask for it: what
    /// is held back stays so (`mail-held`), and a [stop](Self::mail_stop) of all e-mails goes on.
    ///
    /// # Errors
    /// As [`Self::retry_mail`], and when the e-mail is held back.
    pub async fn retry_unheld_mail(&self, mail_id: Uuid, actor: &Actor) -> Result<(), RetryMailError> {
        self.make_one_due(mail_id, MadeDue::Unheld(mail_id), actor).await
    }

    async fn make_one_due(&self, mail_id: Uuid, which: MadeDue, actor: &Actor) -> Result<(), RetryMailError> {
        let mut transaction = self.begin_write().await?;
        let state: Option<String> = transaction
            .sql("SELECT state FROM mails WHERE id = $1")
            .bind(mail_id.to_string())
            .scalar_optional()
            .await?;
        let state = state.ok_or(RetryMailError::NoMail { id: mail_id })?;
        match MailState::from_word(&state).map_err(RecordError::from)? {
            MailState::Sent => return Err(RetryMailError::Sent { id: mail_id }),
            MailState::Withdrawn => return Err(RetryMailError::Withdrawn { id: mail_id }),
            MailState::Held if matches!(which, MadeDue::Unheld(_)) => {
                return Err(RetryMailError::Held { id: mail_id });
            }
            MailState::Pending | MailState::Failed | MailState::Held => {}
        }
        make_due(&mut transaction, which, actor).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Makes every e-mail that waits due now, ends the [stop](Self::mail_stop) of all e-mails if there is one, and returns the
    /// number of e-mails. Those that were refused for good or are held back stay so.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn retry_mails(&self, actor: &Actor) -> Result<u64, RecordError> {
        self.make_all_due(MadeDue::Waiting, actor).await
    }

    /// Makes every e-mail due now that was refused for good, ends the [stop](Self::mail_stop) of all e-mails if there is one,
    /// and returns the number of e-mails. Each goes to the contact that its order has by now.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn retry_refused_mails(&self, actor: &Actor) -> Result<u64, RecordError> {
        self.make_all_due(MadeDue::Refused, actor).await
    }

    /// Releases every e-mail that is held back, and returns their number. Call it when it is certain that no other copy
    /// of the record has sent them, or that customers may get them twice.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn release_mails(&self, actor: &Actor) -> Result<u64, RecordError> {
        self.make_all_due(MadeDue::Held, actor).await
    }

    async fn make_all_due(&self, which: MadeDue, actor: &Actor) -> Result<u64, RecordError> {
        let mut transaction = self.begin_write().await?;
        let due = make_due(&mut transaction, which, actor).await?;
        transaction.commit().await?;
        Ok(due)
    }
}

/// The e-mails that are made due.
#[derive(Clone, Copy)]
enum MadeDue {
    /// An e-mail, even one that is held back, with those that are one message with it.
    One(Uuid),
    /// An e-mail, with those that are one message with it, but for what is held back. A stop of all e-mails goes on.
    Unheld(Uuid),
    /// All that wait.
    Waiting,
    /// All that were refused for good.
    Refused,
    /// All that are held back.
    Held,
}

async fn make_due(transaction: &mut Connection, which: MadeDue, actor: &Actor) -> Result<u64, RecordError> {
    let states: &[MailState] = match which {
        MadeDue::One(_) => &[MailState::Pending, MailState::Failed, MailState::Held],
        MadeDue::Unheld(_) => &[MailState::Pending, MailState::Failed],
        MadeDue::Waiting => &[MailState::Pending],
        MadeDue::Refused => &[MailState::Failed],
        MadeDue::Held => &[MailState::Held],
    };
    let mut query = Builder::new("UPDATE mails SET state = ");
    query.push_bind(MailState::Pending.word());
    query.push(", due_at_ms = ").push_bind(transaction.now_ms());
    query.push(" WHERE state IN (");
    let mut list = query.separated(", ");
    for state in states {
        list.push_bind(state.word());
    }
    query.push(")");
    if let MadeDue::One(mail_id) | MadeDue::Unheld(mail_id) = which {
        // E-mails that are one message go together: a part of it would be taken for all of it.
        query.push(" AND (id = ").push_bind(mail_id.to_string());
        query.push(" OR sent_with = (SELECT sent_with FROM mails WHERE id = ");
        query.push_bind(mail_id.to_string()).push("))");
    }
    query.push(" RETURNING id, (SELECT instance_id FROM assets WHERE assets.id = asset_id) AS instance_id");
    let rows = transaction.build(&mut query).fetch_all().await?;
    if !matches!(which, MadeDue::Unheld(_)) {
        mail_stop::end(transaction).await?;
    }
    for row in &rows {
        let (act, subject) = (Act::RetryMail, Subject::mail(id(row, "id")?));
        let instance_id = Some(id(row, "instance_id")?);
        write_act(transaction, actor, act, &subject, instance_id, Value::Null).await?;
    }
    Ok(rows.len() as u64)
}

/// The e-mail about an asset's license, as a first one that was never tried.
async fn mail_about(
    connection: &mut Connection,
    asset_id: Uuid,
    secrets: LicenseSecrets,
) -> Result<MailToSend, RecordError> {
    let row = connection.sql(
        "SELECT orders.customer, orders.reseller, orders.contact, plugins.vendor, plugins.offering, sellers.seller
         FROM assets JOIN orders ON orders.id = assets.order_id
         JOIN instances ON instances.id = assets.instance_id
         LEFT JOIN plugins ON plugins.sha256 = instances.plugin
         LEFT JOIN sellers ON sellers.instance_id = instances.id
         WHERE assets.id = $1",
    )
    .bind(asset_id.to_string())
    .fetch_one()
    .await?;
    Ok(MailToSend {
        id: Uuid::nil(),
        kind: MailKind::Welcome,
        asset: read_asset_of(&mut *connection, asset_id).await?,
        credit: credit_of(connection, asset_id).await?,
        others: Vec::new(),
        sent_with: None,
        secrets,
        customer: from_json(&row, "customer")?,
        reseller: optional(&row, "reseller", from_json)?,
        // Orders from before orders had contacts are mailed to nobody.
        contact: optional(&row, "contact", from_json)?.unwrap_or_else(|| Contact {
            email: String::new(),
            language: String::new(),
        }),
        is_copy: false,
        first_sent_at_ms: None,
        seller: optional(&row, "seller", from_json)?,
        sold: match row.try_get("vendor")? {
            None => None,
            Some(vendor) => Some(Sold {
                vendor,
                offering: row.try_get("offering")?,
            }),
        },
        attempts: 0,
        is_try: false,
    })
}

/// The recipient of an e-mail: the address that it was sent to, or else the contact of its order.
fn read_contact(row: &Row) -> Result<Contact, RecordError> {
    let contact = at_recipient(from_json(row, "contact")?, row)?;
    let sent_to: Option<String> = row.try_get("sent_to")?;
    Ok(match sent_to {
        Some(email) => Contact { email, ..contact },
        None => contact,
    })
}

/// A contact at another address, where the operator has named one for the e-mail.
fn at_recipient(contact: Contact, row: &Row) -> Result<Contact, RecordError> {
    let recipient: Option<String> = row.try_get("recipient")?;
    Ok(match recipient {
        Some(email) => Contact { email, ..contact },
        None => contact,
    })
}

pub(super) fn read_mail(row: &Row) -> Result<Mail, RecordError> {
    Ok(Mail {
        id: id(row, "id")?,
        kind: MailKind::from_word(row.try_get("kind")?)?,
        asset_id: id(row, "asset_id")?,
        order_id: id(row, "order_id")?,
        contact: read_contact(row)?,
        state: MailState::from_word(row.try_get("state")?)?,
        attempts: count(row, "attempts")?,
        due_at_ms: row.try_get("due_at_ms")?,
        problem: optional(row, "problem", from_json)?,
        created_at_ms: row.try_get("created_at_ms")?,
        sent_at_ms: row.try_get("sent_at_ms")?,
        copy_of: optional(row, "copy_of", id)?,
        sent_with: optional(row, "sent_with", id)?,
    })
}
