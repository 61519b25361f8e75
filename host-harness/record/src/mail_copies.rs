//! Copies of e-mails: a sent one is repeated as a row of its own, to the contact of its order or to another address.

use bss_model::{
    Act, Actor, Advice, AssetStatus, Diagnose, Diagnosis, ErrorKind, Mail, MailKind, MailState,
    MailsToResend, ReturnStatus, Subject, is_mailable,
};
use serde_json::json;
use uuid::Uuid;

use super::acts::write_act;
use super::alerts;
use super::outbox::{MAILS_WITH_CONTACT, read_mail};
use super::stored::id;
use super::{Record, RecordError};
use crate::database::{Connection, Row};

/// Why e-mails are not sent again. None is then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResendMailError {
    /// The e-mail does not exist.
    #[error("there is no e-mail `{id}` to send again")]
    NoMail {
        /// The id that was asked for.
        id: Uuid,
    },
    /// The e-mail was not sent yet.
    #[error("e-mail `{id}` was not sent yet ({state})")]
    NotSent {
        /// The e-mail.
        id: Uuid,
        /// The e-mail's state.
        state: MailState,
    },
    /// The license was returned: its key is dead.
    #[error("e-mail `{id}` is not sent again, because its license was returned")]
    Returned {
        /// The e-mail.
        id: Uuid,
    },
    /// The customer was erased.
    #[error("e-mail `{id}` is not sent again, because its customer was erased")]
    CustomerErased {
        /// The e-mail.
        id: Uuid,
    },
    /// The recipient is no e-mail address.
    #[error("`{address}` is not an e-mail address that can be mailed to")]
    Address {
        /// What was given.
        address: String,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for ResendMailError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NoMail { .. } => Diagnosis::new(ErrorKind::NotFound, "no-mail").advise(Advice::ListMails),
            Self::NotSent { .. } => Diagnosis::new(ErrorKind::Conflict, "mail-not-sent")
                .say("make it due instead: it is sent as soon as it can be"),
            Self::Returned { .. } => Diagnosis::new(ErrorKind::Conflict, "license-returned"),
            Self::CustomerErased { .. } => {
                Diagnosis::new(ErrorKind::Conflict, "customer-erased").say("nothing is known to send it to")
            }
            Self::Address { .. } => Diagnosis::new(ErrorKind::Invalid, "address-unusable"),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

impl Record {
    /// The e-mails of an order or a customer that can be sent again: the last one that was sent about each license that is not
    /// returned.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn mails_to_resend(&self, which: &MailsToResend) -> Result<Vec<Mail>, RecordError> {
        let (order, customer, instance) = match which {
            MailsToResend::Order(order) => (Some(order.to_string()), None, None),
            MailsToResend::Customer { id, instance } => {
                (None, Some(id.as_str()), instance.map(|id| id.to_string()))
            }
        };
        let query = format!(
            "{MAILS_WITH_CONTACT} JOIN assets ON assets.id = mails.asset_id JOIN orders ON orders.id = mails.order_id
             WHERE ($1 IS NULL OR mails.order_id = $1) AND ($2 IS NULL OR orders.customer_id = $2)
               AND ($3 IS NULL OR orders.instance_id = $3)
               AND mails.state = $4 AND assets.status = $5 AND assets.return_status <> $6
               AND orders.customer_erased_at_ms IS NULL
               AND NOT EXISTS (SELECT 1 FROM mails later
                               WHERE later.asset_id = mails.asset_id AND later.kind = mails.kind AND later.state = $4
                                 AND (later.sent_at_ms > mails.sent_at_ms
                                      OR (later.sent_at_ms = mails.sent_at_ms AND later.id > mails.id)))
             ORDER BY mails.created_at_ms, mails.order_id, mails.position, mails.kind, mails.id"
        );
        let rows = self
            .readers
            .composed(query)
            .bind(order)
            .bind(customer)
            .bind(instance)
            .bind(MailState::Sent.word())
            .bind(AssetStatus::Active.word())
            .bind(ReturnStatus::Successful.word())
            .fetch_all()
            .await?;
        rows.iter().map(read_mail).collect()
    }

    /// Writes copies of e-mails down, to be sent to the contacts of their orders, or all to another address. Each is an e-mail
    /// of its own that names the one it repeats, and brings the same key. A copy of one that was refused for good takes its
    /// place. One that waits already to be sent to the same address is not written again. Returns the copies.
    ///
    /// # Errors
    /// When an e-mail does not exist or waits still, its license was returned or its customer erased, or the address is none;
    /// none is sent then.
    pub async fn resend_mails(
        &self,
        mails: &[Uuid],
        to: Option<&str>,
        actor: &Actor,
    ) -> Result<Vec<Mail>, ResendMailError> {
        if let Some(address) = to.filter(|address| !is_mailable(address)) {
            return Err(ResendMailError::Address {
                address: address.to_owned(),
            });
        }
        let mut transaction = self.begin_write().await?;
        let mut copies = Vec::with_capacity(mails.len());
        for mail in mails {
            let (instance_id, state) = check(&mut transaction, *mail).await?;
            // Asked for again before it was sent, it is one copy: the first answer may have been lost.
            if let Some(waiting) = waiting(&mut transaction, *mail, to).await? {
                copies.push(waiting);
                continue;
            }
            if !matches!(state, MailState::Sent | MailState::Failed) {
                return Err(ResendMailError::NotSent { id: *mail, state });
            }
            let copy = copy(&mut transaction, *mail, to).await?;
            let (act, subject) = (Act::ResendMail, Subject::mail(copy.id));
            let detail =
                json!({ "copyOf": mail, "to": if to.is_some() { "another address" } else { "the contact" } });
            write_act(&mut transaction, actor, act, &subject, Some(instance_id), detail).await?;
            copies.push(copy);
        }
        transaction.commit().await?;
        Ok(copies)
    }
}

/// Checks that somebody may have an e-mail again, and returns its instance and its state.
async fn check(transaction: &mut Connection, mail: Uuid) -> Result<(Uuid, MailState), ResendMailError> {
    let row = transaction
        .sql(
            "SELECT mails.state, mails.kind, assets.instance_id, assets.status, assets.return_status,
                customer_erased_at_ms IS NOT NULL AS is_erased
         FROM mails JOIN assets ON assets.id = mails.asset_id JOIN orders ON orders.id = mails.order_id
         WHERE mails.id = $1",
        )
        .bind(mail.to_string())
        .fetch_optional()
        .await?;
    let row = row.ok_or(ResendMailError::NoMail { id: mail })?;
    if row.try_get("is_erased")? {
        return Err(ResendMailError::CustomerErased { id: mail });
    }
    let is_about_license = row.try_get::<&str, _>("kind")? == MailKind::Welcome.word();
    if is_about_license && is_returned(&row)? {
        return Err(ResendMailError::Returned { id: mail });
    }
    let state = MailState::from_word(row.try_get("state")?).map_err(RecordError::from)?;
    Ok((id(&row, "instance_id")?, state))
}

/// The copy of an e-mail to an address, or to the contact, that waits to be sent: it is due now.
async fn waiting(
    transaction: &mut Connection,
    mail: Uuid,
    to: Option<&str>,
) -> Result<Option<Mail>, RecordError> {
    const CONTACT: &str =
        "(SELECT json_extract(contact, '$.email') FROM orders WHERE orders.id = mails.order_id)";
    let due = format!(
        "UPDATE mails SET due_at_ms = CASE WHEN due_at_ms > $4 THEN $4 ELSE due_at_ms END
         WHERE id = (SELECT id FROM mails WHERE copy_of = $1 AND state = $3
                     AND COALESCE(recipient, {CONTACT}) IS NOT DISTINCT FROM COALESCE($2, {CONTACT}) LIMIT 1)
         RETURNING id"
    );
    let waits: Option<String> = transaction
        .composed(due)
        .bind(mail.to_string())
        .bind(to)
        .bind(MailState::Pending.word())
        .bind_now()
        .scalar_optional()
        .await?;
    let Some(waits) = waits else { return Ok(None) };
    let query = format!("{MAILS_WITH_CONTACT} WHERE mails.id = $1");
    let row = transaction.composed(query).bind(waits).fetch_one().await?;
    read_mail(&row).map(Some)
}

fn is_returned(row: &Row) -> Result<bool, RecordError> {
    let status = AssetStatus::from_word(row.try_get("status")?)?;
    let return_status = ReturnStatus::from_word(row.try_get("return_status")?)?;
    Ok(status != AssetStatus::Active || return_status == ReturnStatus::Successful)
}

async fn copy(transaction: &mut Connection, mail: Uuid, to: Option<&str>) -> Result<Mail, RecordError> {
    let copy = Uuid::new_v4();
    transaction.sql(
        "INSERT INTO mails (id, kind, asset_id, order_id, position, customer_id, state, attempts, due_at_ms, created_at_ms, copy_of,
                            recipient)
         SELECT $1, kind, asset_id, order_id, position, customer_id, $3, 0, $4, $4, id, $5
         FROM mails WHERE id = $2",
    )
    .bind(copy.to_string())
    .bind(mail.to_string())
    .bind(MailState::Pending.word())
    .bind_now()
    .bind(to)
    .execute()
    .await?;
    transaction
        .sql("UPDATE mails SET state = $2 WHERE id = $1 AND state = $3")
        .bind(mail.to_string())
        .bind(MailState::Withdrawn.word())
        .bind(MailState::Failed.word())
        .execute()
        .await?;
    alerts::end_of_withdrawn_mails(transaction).await?;
    let query = format!("{MAILS_WITH_CONTACT} WHERE mails.id = $1");
    let row = transaction
        .composed(query)
        .bind(copy.to_string())
        .fetch_one()
        .await?;
    read_mail(&row)
}
