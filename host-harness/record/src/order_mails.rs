//! Messages for whole orders, where the instance has chosen that: the e-mails about an order's licenses wait for each other, and a
//! worker takes them together. Each stays an e-mail of its own on record, and is sent once: those that may have been handed over in
//! one message are that message for good, and no other joins it.

use std::collections::BTreeSet;

use bss_model::{MailKind, MailState};
use uuid::Uuid;

use super::RecordError;
use super::stored::{id, push_ids};
use crate::database::{Builder, Connection};

/// The most licenses of a message. Longer ones are cut off by mail programs; a larger order gets several.
pub const LICENSES_PER_MAIL_MAX: usize = 50;

/// Lets the e-mails of an asset's order go that waited for it, if nothing of the order is being bought any more. Call it in the
/// transaction in which it is known what becomes of the asset.
pub(super) async fn release_settled(
    transaction: &mut Connection,
    asset_id: Uuid,
    now_ms: i64,
) -> Result<(), RecordError> {
    transaction
        .sql(
            "UPDATE mails SET waits_for_order = FALSE, due_at_ms = CASE WHEN due_at_ms > $2 THEN $2 ELSE due_at_ms END
         WHERE order_id = (SELECT order_id FROM assets WHERE id = $1) AND waits_for_order
           AND NOT EXISTS (SELECT 1 FROM assets WHERE order_id = (SELECT order_id FROM assets WHERE id = $1)
                           AND sync_status = 'unsynchronised')",
        )
        .bind(asset_id.to_string())
        .bind(now_ms)
        .execute()
        .await?;
    Ok(())
}

/// The e-mails of one message: those that a worker has just taken, and those that go with them, which it takes as well. The first
/// one of each message is its name.
pub(super) async fn take_together(
    transaction: &mut Connection,
    worker_id: Uuid,
    taken: &[Uuid],
) -> Result<Vec<Vec<Uuid>>, RecordError> {
    // Most records have none of that.
    let has_any: bool = transaction.sql(
        "SELECT EXISTS (SELECT 1 FROM mail_choices WHERE per_order) OR EXISTS (SELECT 1 FROM mails WHERE sent_with IS NOT NULL)",
    )
    .scalar()
    .await?;
    if !has_any {
        return Ok(taken.iter().map(|mail| vec![*mail]).collect());
    }
    // A worker may have taken e-mails of the order before, and be about to send them: those are not this message's.
    let mut batch: BTreeSet<Uuid> = taken.iter().copied().collect();
    let mut messages = Vec::<Vec<Uuid>>::new();
    for mail in taken {
        if messages.iter().any(|message| message.contains(mail)) {
            continue;
        }
        batch.extend(join(transaction, worker_id, *mail, taken).await?);
        let mut message = message_of(transaction, worker_id, *mail, &mut batch).await?;
        message.retain(|mail| batch.contains(mail));
        messages.push(message);
    }
    Ok(messages)
}

/// Makes one message of an e-mail that was never handed over and the others of its order that were not either, and that nobody
/// had or were taken with it. Returns the e-mails of the message.
async fn join(
    transaction: &mut Connection,
    worker_id: Uuid,
    mail: Uuid,
    taken: &[Uuid],
) -> Result<Vec<Uuid>, RecordError> {
    let mut query = Builder::new("UPDATE mails SET sent_with = ");
    query.push_bind(mail.to_string());
    query.push(", attempts = CASE WHEN worker IS NULL THEN attempts + 1 ELSE attempts END, worker = ");
    query.push_bind(worker_id.to_string());
    query.push(
        " WHERE id IN (SELECT other.id FROM mails other JOIN mails mine ON mine.order_id = other.order_id
                       JOIN assets ON assets.id = mine.asset_id
                       JOIN mail_choices ON mail_choices.instance_id = assets.instance_id AND mail_choices.per_order
                       WHERE mine.sent_with IS NULL AND mine.message_id_domain IS NULL AND mine.copy_of IS NULL
                         AND mine.kind = other.kind AND other.copy_of IS NULL
                         AND other.sent_with IS NULL AND other.message_id_domain IS NULL AND mine.id = ",
    );
    query.push_bind(mail.to_string());
    query
        .push(" AND other.kind = ")
        .push_bind(MailKind::Welcome.word());
    query
        .push(" AND other.state = ")
        .push_bind(MailState::Pending.word());
    query.push(" AND (other.worker IS NULL OR other.id IN (");
    push_ids(&mut query, taken);
    query.push(")) ORDER BY other.id <> ").push_bind(mail.to_string());
    query
        .push(", other.position LIMIT ")
        .push_bind(i64::try_from(LICENSES_PER_MAIL_MAX).unwrap_or(i64::MAX));
    let query = transaction.build(query.push(") RETURNING id")).persistent(false);
    let joined = query.fetch_all().await?;
    let joined = joined.iter().map(|row| id(row, "id")).collect::<Result<_, _>>()?;
    // A message of one is one like any other.
    transaction
        .sql(
            "UPDATE mails SET sent_with = NULL
         WHERE sent_with = $1 AND message_id_domain IS NULL
           AND (SELECT COUNT(*) FROM mails all_of_it WHERE all_of_it.sent_with = $1) = 1",
        )
        .bind(mail.to_string())
        .execute()
        .await?;
    Ok(joined)
}

/// The e-mails of a message that a worker has, by position. Those of it that no worker has are taken, and told in `batch`.
async fn message_of(
    transaction: &mut Connection,
    worker_id: Uuid,
    mail: Uuid,
    batch: &mut BTreeSet<Uuid>,
) -> Result<Vec<Uuid>, RecordError> {
    let more = transaction.sql(
        "UPDATE mails SET worker = $2, attempts = attempts + 1
         WHERE sent_with = (SELECT sent_with FROM mails WHERE id = $1) AND state = $3 AND worker IS NULL RETURNING id",
    )
    .bind(mail.to_string())
    .bind(worker_id.to_string())
    .bind(MailState::Pending.word())
    .fetch_all()
    .await?;
    for row in &more {
        batch.insert(id(row, "id")?);
    }
    let rows = transaction.sql(
        "SELECT id FROM mails
         WHERE (id = $1 OR sent_with = (SELECT sent_with FROM mails WHERE id = $1)) AND state = $3 AND worker = $2
         ORDER BY position",
    )
    .bind(mail.to_string())
    .bind(worker_id.to_string())
    .bind(MailState::Pending.word())
    .fetch_all()
    .await?;
    rows.iter().map(|row| id(row, "id")).collect()
}
