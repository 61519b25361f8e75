//! One message for the licenses of an order, where the instance has chosen that: its e-mails wait for each other, and a worker takes
//! them together. Each stays an e-mail of its own on record, and is sent once: those that may have been handed over in one message
//! are that message for good, and no other joins it.

use bss_model::{MailKind, MailState};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::RecordError;
use super::stored::id;

/// The most licenses of a message. Longer ones are cut off by mail programs; a larger order gets several.
const LICENSES_MAX: i64 = 50;

/// Lets the e-mails of an asset's order go that waited for it, if nothing of the order is being bought any more. Call it in the
/// transaction in which it is known what becomes of the asset.
pub(super) async fn release_settled(
    transaction: &mut SqliteConnection,
    asset_id: Uuid,
    now_ms: i64,
) -> Result<(), RecordError> {
    sqlx::query(
        "UPDATE mails SET waits_for_order = FALSE, due_at_ms = MIN(due_at_ms, $2)
         WHERE order_id = (SELECT order_id FROM assets WHERE id = $1) AND waits_for_order
           AND NOT EXISTS (SELECT 1 FROM assets WHERE order_id = (SELECT order_id FROM assets WHERE id = $1)
                           AND sync_status = 'unsynchronised')",
    )
    .bind(asset_id.to_string())
    .bind(now_ms)
    .execute(transaction)
    .await?;
    Ok(())
}

/// The e-mails of one message: those that a worker has just taken, and those that go with them, which it takes as well. The first
/// one of each message is its name.
pub(super) async fn take_together(
    transaction: &mut SqliteConnection,
    worker_id: Uuid,
    taken: &[Uuid],
) -> Result<Vec<Vec<Uuid>>, RecordError> {
    // Most records have none of that.
    let has_any: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM mail_choices WHERE per_order) OR EXISTS (SELECT 1 FROM mails WHERE sent_with IS NOT NULL)",
    )
    .fetch_one(&mut *transaction)
    .await?;
    if !has_any {
        return Ok(taken.iter().map(|mail| vec![*mail]).collect());
    }
    let mut messages = Vec::<Vec<Uuid>>::new();
    for mail in taken {
        if messages.iter().any(|message| message.contains(mail)) {
            continue;
        }
        join(transaction, worker_id, *mail).await?;
        messages.push(message_of(transaction, worker_id, *mail).await?);
    }
    Ok(messages)
}

/// Makes one message of an e-mail that was never handed over and the others of its order that were not either.
async fn join(transaction: &mut SqliteConnection, worker_id: Uuid, mail: Uuid) -> Result<(), RecordError> {
    sqlx::query(
        "UPDATE mails SET sent_with = $1, attempts = CASE WHEN worker IS NULL THEN attempts + 1 ELSE attempts END, worker = $2
         WHERE id IN (SELECT other.id FROM mails other JOIN mails mine ON mine.order_id = other.order_id
                      JOIN assets ON assets.id = mine.asset_id
                      JOIN mail_choices ON mail_choices.instance_id = assets.instance_id AND mail_choices.per_order
                      WHERE mine.id = $1 AND mine.sent_with IS NULL AND mine.message_id_domain IS NULL
                        AND mine.kind = $3 AND mine.copy_of IS NULL
                        AND other.kind = $3 AND other.copy_of IS NULL AND other.state = $4
                        AND other.sent_with IS NULL AND other.message_id_domain IS NULL
                        AND (other.worker IS NULL OR other.worker = $2)
                      ORDER BY other.id <> $1, other.position LIMIT $5)",
    )
    .bind(mail.to_string())
    .bind(worker_id.to_string())
    .bind(MailKind::Welcome.word())
    .bind(MailState::Pending.word())
    .bind(LICENSES_MAX)
    .execute(&mut *transaction)
    .await?;
    // A message of one is one like any other.
    sqlx::query(
        "UPDATE mails SET sent_with = NULL
         WHERE sent_with = $1 AND message_id_domain IS NULL
           AND (SELECT COUNT(*) FROM mails all_of_it WHERE all_of_it.sent_with = $1) = 1",
    )
    .bind(mail.to_string())
    .execute(transaction)
    .await?;
    Ok(())
}

/// The e-mails of a message, by position. Those of it that no worker has are taken.
async fn message_of(
    transaction: &mut SqliteConnection,
    worker_id: Uuid,
    mail: Uuid,
) -> Result<Vec<Uuid>, RecordError> {
    sqlx::query(
        "UPDATE mails SET worker = $2, attempts = attempts + 1
         WHERE sent_with = (SELECT sent_with FROM mails WHERE id = $1) AND state = $3 AND worker IS NULL",
    )
    .bind(mail.to_string())
    .bind(worker_id.to_string())
    .bind(MailState::Pending.word())
    .execute(&mut *transaction)
    .await?;
    let rows = sqlx::query(
        "SELECT id FROM mails
         WHERE (id = $1 OR sent_with = (SELECT sent_with FROM mails WHERE id = $1)) AND state = $3 AND worker = $2
         ORDER BY position",
    )
    .bind(mail.to_string())
    .bind(worker_id.to_string())
    .bind(MailState::Pending.word())
    .fetch_all(transaction)
    .await?;
    rows.iter().map(|row| id(row, "id")).collect()
}
