//! Receivers of outcomes: put on record with keys of their own, rotated, switched off and removed.

use std::time::Duration;

use aws_lc_rs::rand;
use bss_model::clock::millis;
use bss_model::text::without_secrets;
use bss_model::{
    Act, Actor, AlertKind, Diagnose, Diagnosis, ErrorKind, NewWebhook, OutcomeKind, Owner, Problem, Secret,
    Subject, Webhook, WebhookKeys, WebhookState,
};
use data_encoding::BASE64;
use serde_json::{Value, json};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::acts::write_act;
use super::alerts;
use super::outcomes::last_number;
use super::stored::{from_json, id, optional, owner, owner_column, to_json};
use super::{Record, RecordError};
use crate::database::{Connection, Row};

/// The bytes of each key of a receiver: Standard Webhooks 1.0.0 asks for 24 to 64 of a secret, and an Ed25519 seed has 32.
const KEY_BYTES: usize = 32;

/// The most receivers of a record.
const WEBHOOKS_MAX: i64 = 100;

/// Why a receiver is not put on record or changed. Nothing is changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// No receiver has the id.
    #[error("there is no webhook `{id}`")]
    NoWebhook {
        /// The id that was asked for.
        id: Uuid,
    },
    /// No delivery to the receiver has the id.
    #[error("there is no delivery `{id}`")]
    NoDelivery {
        /// The id that was asked for.
        id: Uuid,
    },
    /// The receiver is off, so that nothing is sent to it.
    #[error("webhook `{id}` is off, and nothing is sent to it")]
    Off {
        /// The receiver.
        id: Uuid,
    },
    /// The record has as many receivers as it may.
    #[error("there are {WEBHOOKS_MAX} webhooks already")]
    TooMany,
    /// No keys can be made.
    #[error("this machine gives no random numbers")]
    NoKeys,
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for WebhookError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NoWebhook { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "no-webhook").say("look at the list of webhooks")
            }
            Self::NoDelivery { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "no-delivery").say("look at the webhook's deliveries")
            }
            Self::Off { .. } => Diagnosis::new(ErrorKind::Conflict, "webhook-is-off")
                .say("enable it: that sends what waits, and what has failed"),
            Self::TooMany => {
                Diagnosis::new(ErrorKind::Conflict, "too-many-webhooks").say("remove one that is not needed")
            }
            Self::NoKeys => Diagnosis::new(ErrorKind::Unavailable, "no-random-numbers"),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

impl Record {
    /// Puts a receiver on record, which is told of the outcomes that come from now on. Returns its keys, too.
    ///
    /// # Errors
    /// When there are too many, or the record can't be written.
    pub async fn create_webhook(
        &self,
        new: NewWebhook,
        actor: &Actor,
    ) -> Result<(Webhook, WebhookKeys), WebhookError> {
        let keys = new_keys()?;
        let mut transaction = self.begin_write().await?;
        let known: i64 = transaction.sql("SELECT COUNT(*) FROM webhooks").scalar().await?;
        if known >= WEBHOOKS_MAX {
            return Err(WebhookError::TooMany);
        }
        let id = Uuid::new_v4();
        let last = last_number(&mut transaction).await?;
        let row = transaction.sql(
            "INSERT INTO webhooks (id, owner, url, kinds, allowed_networks, trusted_authorities_pem, sealed_keys, state,
                                   last_outcome, failures, rest_until_ms, created_at_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, $10) RETURNING *",
        )
        .bind(id.to_string())
        .bind(owner_column(new.owner.as_ref()))
        .bind(&new.url)
        .bind(to_json(&new.kinds)?)
        .bind(to_json(&new.allowed_networks)?)
        .bind(&new.trusted_authorities_pem)
        .bind(self.sealed(id, &keys)?)
        .bind(WebhookState::On.word())
        .bind(last)
        .bind_now()
        .fetch_one()
        .await?;
        let webhook = read_webhook(&row)?;
        let kinds: Vec<&str> = new.kinds.iter().map(|kind| kind.word()).collect();
        let detail = json!({ "url": without_secrets(&new.url), "kinds": kinds });
        write(&mut transaction, actor, Act::CreateWebhook, id, detail).await?;
        transaction.commit().await?;
        Ok((webhook, keys))
    }

    /// The receivers, those of an owner or all, the oldest first.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn webhooks(&self, of: Option<&Owner>) -> Result<Vec<Webhook>, RecordError> {
        let rows = self
            .readers
            .sql("SELECT * FROM webhooks WHERE $1 IS NULL OR owner = $1 ORDER BY created_at_ms, id")
            .bind(of.map(Owner::as_str))
            .fetch_all()
            .await?;
        rows.iter().map(read_webhook).collect()
    }

    /// A receiver. `None`: there is none of that id, or it is not the owner's.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn webhook(&self, webhook: Uuid, of: Option<&Owner>) -> Result<Option<Webhook>, RecordError> {
        let row = self
            .readers
            .sql("SELECT * FROM webhooks WHERE id = $1 AND ($2 IS NULL OR owner = $2)")
            .bind(webhook.to_string())
            .bind(of.map(Owner::as_str))
            .fetch_optional()
            .await?;
        row.as_ref().map(read_webhook).transpose()
    }

    /// The keys that sign for a receiver, the present ones first. Empty: there is no such receiver.
    ///
    /// # Errors
    /// When the record can't be read, or the host key does not open the keys.
    pub async fn webhook_keys(&self, webhook: Uuid) -> Result<Vec<WebhookKeys>, RecordError> {
        let row = self
            .readers
            .sql("SELECT * FROM webhooks WHERE id = $1")
            .bind(webhook.to_string())
            .fetch_optional()
            .await?;
        row.map_or(Ok(Vec::new()), |row| self.keys_of(webhook, &row))
    }

    /// Gives a receiver new keys, and returns them. The former ones sign as well for a time; of keys that were rotated before that
    /// time is over, the oldest ones do, which the receiver has for certain.
    ///
    /// # Errors
    /// When there is no such receiver, or the record can't be written.
    pub async fn rotate_webhook(
        &self,
        webhook: Uuid,
        keep_former: Duration,
        actor: &Actor,
    ) -> Result<(Webhook, WebhookKeys), WebhookError> {
        let keys = new_keys()?;
        let mut transaction = self.begin_write().await?;
        let until_ms = self.now_ms().saturating_add(millis(keep_former));
        let rotated = transaction.sql(
            "UPDATE webhooks SET sealed_former_keys = CASE WHEN $3 <= $4 THEN NULL
                                     WHEN sealed_former_keys IS NOT NULL AND former_keys_until_ms > $4 THEN sealed_former_keys
                                     ELSE sealed_keys END,
                                 former_keys_until_ms = CASE WHEN $3 > $4 THEN $3 END, sealed_keys = $2
             WHERE id = $1 RETURNING *",
        )
        .bind(webhook.to_string())
        .bind(self.sealed(webhook, &keys)?)
        .bind(until_ms)
        .bind_now()
        .fetch_optional()
        .await?;
        let rotated = read_webhook(&rotated.ok_or(WebhookError::NoWebhook { id: webhook })?)?;
        let detail = json!({ "formerKeysForMs": millis(keep_former) });
        write(&mut transaction, actor, Act::RotateWebhook, webhook, detail).await?;
        transaction.commit().await?;
        super::erasure::empty_log(&self.writer).await;
        Ok((rotated, keys))
    }

    /// Has a receiver be told of outcomes, or not. It is told later of what comes while it is off. A second time changes
    /// nothing.
    ///
    /// # Errors
    /// When there is no such receiver, or the record can't be written.
    pub async fn set_webhook_state(
        &self,
        webhook: Uuid,
        state: WebhookState,
        actor: &Actor,
    ) -> Result<Webhook, WebhookError> {
        let mut transaction = self.begin_write().await?;
        let row = found(&mut transaction, webhook).await?;
        let before = read_webhook(&row)?;
        if before.state == state {
            return Ok(before);
        }
        let row = transaction.sql(
            "UPDATE webhooks SET state = $2, problem = NULL, failing_since_ms = NULL, failures = 0, rest_until_ms = 0
             WHERE id = $1 RETURNING *",
        )
            .bind(webhook.to_string())
            .bind(state.word())
            .fetch_one()
            .await?;
        let act = match state {
            WebhookState::On => Act::EnableWebhook,
            WebhookState::Off => Act::DisableWebhook,
        };
        if state == WebhookState::On {
            // What it was not told, or has not taken, has waited long enough.
            transaction.sql(
                "UPDATE deliveries SET state = 'pending', tries = 0, generation = generation + 1, due_at_ms = $2
                 WHERE webhook_id = $1 AND state IN ('pending', 'failed')",
            )
            .bind(webhook.to_string())
            .bind_now()
            .execute()
            .await?;
        }
        alerts::end(&mut transaction, AlertKind::WebhookOff, webhook, self.now_ms()).await?;
        write(&mut transaction, actor, act, webhook, Value::Null).await?;
        transaction.commit().await?;
        read_webhook(&row).map_err(WebhookError::Record)
    }

    /// Removes a receiver with all that it was told.
    ///
    /// # Errors
    /// When there is no such receiver, or the record can't be written.
    pub async fn remove_webhook(&self, webhook: Uuid, actor: &Actor) -> Result<Webhook, WebhookError> {
        let mut transaction = self.begin_write().await?;
        let removed = read_webhook(&found(&mut transaction, webhook).await?)?;
        for statement in [
            "DELETE FROM delivery_attempts WHERE delivery_id IN (SELECT id FROM deliveries WHERE webhook_id = $1)",
            "DELETE FROM deliveries WHERE webhook_id = $1",
            "DELETE FROM webhooks WHERE id = $1",
        ] {
            transaction
                .sql(statement)
                .bind(webhook.to_string())
                .execute()
                .await?;
        }
        alerts::end(&mut transaction, AlertKind::WebhookOff, webhook, self.now_ms()).await?;
        let detail = json!({ "url": without_secrets(&removed.of.url) });
        write(&mut transaction, actor, Act::RemoveWebhook, webhook, detail).await?;
        transaction.commit().await?;
        super::erasure::empty_log(&self.writer).await;
        Ok(removed)
    }

    fn sealed(&self, webhook: Uuid, keys: &WebhookKeys) -> Result<Vec<u8>, RecordError> {
        let text = Zeroizing::new(format!("{} {}", keys.secret.expose(), keys.signing_key.expose()));
        Ok(self.host_key.seal(&purpose(webhook), text.as_bytes())?)
    }

    /// The keys that sign now for a receiver of a row, the present ones first.
    pub(super) fn keys_of(&self, webhook: Uuid, row: &Row) -> Result<Vec<WebhookKeys>, RecordError> {
        let mut keys = vec![self.opened(webhook, row.try_get("sealed_keys")?)?];
        let until_ms: Option<i64> = row.try_get("former_keys_until_ms")?;
        let former: Option<&[u8]> = row.try_get("sealed_former_keys")?;
        if let Some(former) = former.filter(|_| until_ms.is_some_and(|until_ms| self.now_ms() < until_ms)) {
            keys.push(self.opened(webhook, former)?);
        }
        Ok(keys)
    }

    fn opened(&self, webhook: Uuid, sealed: &[u8]) -> Result<WebhookKeys, RecordError> {
        let text = self.open_secret(&purpose(webhook), sealed)?;
        let (secret, signing_key) = text
            .expose()
            .split_once(' ')
            .ok_or_else(|| RecordError::Damaged {
                what: format!("the keys of webhook `{webhook}` are not two"),
            })?;
        Ok(WebhookKeys {
            secret: Secret::new(secret),
            signing_key: Secret::new(signing_key),
        })
    }
}

/// Switches a receiver off for a reason, with an alert. Nothing is changed where it is off already.
pub(super) async fn switch_off(
    transaction: &mut Connection,
    webhook: Uuid,
    problem: &Problem,
) -> Result<(), RecordError> {
    let switched = transaction
        .sql("UPDATE webhooks SET state = $2, problem = $3 WHERE id = $1 AND state <> $2")
        .bind(webhook.to_string())
        .bind(WebhookState::Off.word())
        .bind(to_json(problem)?)
        .execute()
        .await?;
    if switched == 0 {
        return Ok(());
    }
    let subject = webhook.to_string();
    alerts::raise_lasting(transaction, AlertKind::WebhookOff, &subject, None, Some(problem)).await
}

/// Switches all receivers off for a reason, each with an alert.
pub(super) async fn switch_all_off(
    transaction: &mut Connection,
    problem: &Problem,
) -> Result<(), RecordError> {
    let rows = transaction
        .sql("SELECT id FROM webhooks WHERE state = $1")
        .bind(WebhookState::On.word())
        .fetch_all()
        .await?;
    for row in &rows {
        switch_off(&mut *transaction, id(row, "id")?, problem).await?;
    }
    Ok(())
}

/// Fails where a receiver is off or does not exist.
pub(super) async fn check_on(transaction: &mut Connection, webhook: Uuid) -> Result<(), WebhookError> {
    match read_webhook(&found(transaction, webhook).await?)?.state {
        WebhookState::On => Ok(()),
        WebhookState::Off => Err(WebhookError::Off { id: webhook }),
    }
}

async fn found(transaction: &mut Connection, webhook: Uuid) -> Result<Row, WebhookError> {
    let row = transaction
        .sql("SELECT * FROM webhooks WHERE id = $1")
        .bind(webhook.to_string())
        .fetch_optional()
        .await?;
    row.ok_or(WebhookError::NoWebhook { id: webhook })
}

async fn write(
    transaction: &mut Connection,
    actor: &Actor,
    act: Act,
    webhook: Uuid,
    detail: Value,
) -> Result<(), RecordError> {
    write_act(transaction, actor, act, &Subject::webhook(webhook), None, detail).await
}

pub(super) fn purpose(webhook: Uuid) -> String {
    format!("keys of webhook {webhook}")
}

fn new_keys() -> Result<WebhookKeys, WebhookError> {
    let key = |prefix: &str| -> Result<Secret, WebhookError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        rand::fill(bytes.as_mut_slice()).map_err(|_| WebhookError::NoKeys)?;
        let text = Zeroizing::new(BASE64.encode(bytes.as_slice()));
        Ok(Secret::new(format!("{prefix}{}", *text)))
    };
    Ok(WebhookKeys {
        secret: key("whsec_")?,
        signing_key: key("whsk_")?,
    })
}

pub(super) fn read_webhook(row: &Row) -> Result<Webhook, RecordError> {
    let kinds: Vec<OutcomeKind> = from_json(row, "kinds")?;
    Ok(Webhook {
        id: id(row, "id")?,
        of: NewWebhook {
            url: row.try_get("url")?,
            owner: owner(row)?,
            kinds,
            allowed_networks: from_json(row, "allowed_networks")?,
            trusted_authorities_pem: row.try_get("trusted_authorities_pem")?,
        },
        state: WebhookState::from_word(row.try_get("state")?)?,
        problem: optional(row, "problem", from_json)?,
        former_keys_until_ms: row.try_get("former_keys_until_ms")?,
        delivered_at_ms: row.try_get("delivered_at_ms")?,
        created_at_ms: row.try_get("created_at_ms")?,
    })
}
