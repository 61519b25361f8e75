//! Receivers of outcomes, and what they were told, as views show them.

use bss_model::{DeliveryState, Secret, event_type};
use serde::Serialize;
use uuid::Uuid;

use super::keys::serialize_whole;
use super::{Problem, word};

/// A receiver of outcomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// The receiver's id.
    pub id: Uuid,
    /// The address.
    pub url: String,
    /// The types of events that it is told of. Empty: all.
    pub types: Vec<String>,
    /// The owner of whose instances it is told. `None`: of all instances.
    pub owner: Option<String>,
    /// `on` or `off`.
    pub state: String,
    /// Why it is off, where nobody has said so.
    pub problem: Option<Problem>,
    /// The key that verifies the signatures `v1a`: `whpk_` and Base64. `None`: the keys can't be read.
    pub public_key: Option<String>,
    /// The end of the time in which the former keys sign as well, in milliseconds. `None`: there are none.
    pub former_keys_until_ms: Option<i64>,
    /// Networks that may be reached although they are not public.
    pub allowed_networks: Vec<String>,
    /// When it last took something, in milliseconds. `None`: it never has.
    pub delivered_at_ms: Option<i64>,
    /// When it was put on record, in milliseconds.
    pub created_at_ms: i64,
}

/// A receiver of outcomes with its secret, which is shown once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookWithSecret {
    /// The receiver.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// The secret that verifies the signatures `v1`: `whsec_` and Base64.
    #[serde(serialize_with = "serialize_whole")]
    pub signing_secret: Secret,
}

/// An outcome on its way to a receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// The delivery's id.
    pub id: Uuid,
    /// The receiver.
    pub webhook_id: Uuid,
    /// The event's id (`webhook-id`), the same however often and to whomever it is sent.
    pub event_id: Uuid,
    /// The event's type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// `pending`, `delivered`, `failed`.
    pub state: String,
    /// The number of attempts.
    pub attempts: u32,
    /// The earliest time of the next attempt, in milliseconds. `None`: none is made.
    pub due_at_ms: Option<i64>,
    /// When the receiver took it, in milliseconds. `None`: it has not.
    pub delivered_at_ms: Option<i64>,
    /// When what it tells went on record, in milliseconds.
    pub happened_at_ms: i64,
    /// The order.
    pub order_id: Uuid,
    /// The asset.
    pub asset_id: Uuid,
}

/// Deliveries that were made due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DueDeliveries {
    /// The number of deliveries.
    pub due: u64,
}

/// An attempt at telling a receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryAttempt {
    /// The number, from 1.
    pub number: u32,
    /// When it ended, in milliseconds.
    pub at_ms: i64,
    /// The HTTP status of the answer. `None`: there was none.
    pub status: Option<u16>,
    /// Why the receiver has not taken it. `None`: it has.
    pub problem: Option<Problem>,
}

impl Webhook {
    /// The view of a receiver with that public key.
    pub fn new(webhook: &bss_model::Webhook, public_key: Option<String>) -> Self {
        let of = &webhook.of;
        Self {
            id: webhook.id,
            url: of.url.clone(),
            types: of.kinds.iter().map(|kind| event_type(*kind)).collect(),
            owner: of.owner.as_ref().map(ToString::to_string),
            state: word(webhook.state.word()),
            problem: webhook.problem.as_ref().map(Problem::from),
            public_key,
            former_keys_until_ms: webhook.former_keys_until_ms,
            allowed_networks: of.allowed_networks.iter().map(ToString::to_string).collect(),
            delivered_at_ms: webhook.delivered_at_ms,
            created_at_ms: webhook.created_at_ms,
        }
    }
}

impl From<&bss_model::Delivery> for Delivery {
    fn from(delivery: &bss_model::Delivery) -> Self {
        let outcome = &delivery.outcome;
        Self {
            id: delivery.id,
            webhook_id: delivery.webhook_id,
            event_id: delivery.event_id,
            event_type: event_type(outcome.kind),
            state: word(delivery.state.word()),
            attempts: delivery.attempts,
            due_at_ms: (delivery.state == DeliveryState::Pending).then_some(delivery.due_at_ms),
            delivered_at_ms: delivery.delivered_at_ms,
            happened_at_ms: outcome.happened_at_ms,
            order_id: outcome.order.into(),
            asset_id: outcome.asset.into(),
        }
    }
}

impl From<&bss_model::DeliveryAttempt> for DeliveryAttempt {
    fn from(attempt: &bss_model::DeliveryAttempt) -> Self {
        Self {
            number: attempt.number,
            at_ms: attempt.at_ms,
            status: attempt.status,
            problem: attempt.problem.as_ref().map(Problem::from),
        }
    }
}
