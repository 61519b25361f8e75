//! Webhooks: receivers that are told of outcomes over HTTPS, and what each was told.

use ipnet::IpNet;
use uuid::Uuid;

use crate::outcome::{Outcome, OutcomeKind};
use crate::owner::Owner;
use crate::problem::Problem;
use crate::secret::Secret;
use crate::words::stored_enum;

/// Whether a receiver is told of outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookState {
    /// The receiver is told.
    On,
    /// The receiver is told nothing until it is enabled: an operator says so, or it was gone for days.
    Off,
}

stored_enum!(WebhookState {
    On = "on", "on";
    Off = "off", "off";
});

/// A receiver that is to be told of outcomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewWebhook {
    /// The address, `https://…`.
    pub url: String,
    /// The owner of whose instances it is told. `None`: of all instances.
    pub owner: Option<Owner>,
    /// The outcomes that it is told of. Empty: all.
    pub kinds: Vec<OutcomeKind>,
    /// Networks that may be reached although they are not public.
    pub allowed_networks: Vec<IpNet>,
    /// Certificate authorities to trust instead of the system's, as PEM. `None`: the system's.
    pub trusted_authorities_pem: Option<String>,
}

/// A receiver of outcomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Stable and unique.
    pub id: Uuid,
    /// What it is told, and where.
    pub of: NewWebhook,
    /// Whether it is told.
    pub state: WebhookState,
    /// Why it is off, where nobody has said so. `None`: it is on, or an operator has switched it off.
    pub problem: Option<Problem>,
    /// The end of the time in which the former keys sign as well, in milliseconds since 1970. `None`: there are none.
    pub former_keys_until_ms: Option<i64>,
    /// When it last took something, in milliseconds. `None`: it never has.
    pub delivered_at_ms: Option<i64>,
    /// When it was put on record, in milliseconds.
    pub created_at_ms: i64,
}

/// The keys that sign what a receiver is told, in the forms of Standard Webhooks 1.0.0.
#[derive(Clone, Debug)]
pub struct WebhookKeys {
    /// The secret of HMAC-SHA256, which the receiver has too: `whsec_` and 32 bytes in Base64.
    pub secret: Secret,
    /// The seed of the Ed25519 key, whose public key the receiver has: `whsk_` and 32 bytes in Base64.
    pub signing_key: Secret,
}

/// The state of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// The receiver has not taken it yet.
    Pending,
    /// The receiver has taken it.
    Delivered,
    /// The receiver has not taken it for days. It is delivered once somebody asks for that.
    Failed,
}

stored_enum!(DeliveryState {
    Pending = "pending", "pending";
    Delivered = "delivered", "delivered";
    Failed = "failed", "failed";
});

/// An outcome on its way to a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Stable and unique.
    pub id: Uuid,
    /// The receiver.
    pub webhook_id: Uuid,
    /// The id of the event, the same however often and to whomever it is sent.
    pub event_id: Uuid,
    /// What it tells.
    pub outcome: Outcome,
    /// The state.
    pub state: DeliveryState,
    /// The number of attempts.
    pub attempts: u32,
    /// The earliest time of the next attempt, in milliseconds.
    pub due_at_ms: i64,
    /// When the receiver took it, in milliseconds. `None`: it has not.
    pub delivered_at_ms: Option<i64>,
}

/// An attempt at telling a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// A delivery that a worker has taken, with all that sending needs.
#[derive(Clone, Debug)]
pub struct DeliveryToSend {
    /// The delivery; the attempt that begins is counted.
    pub delivery: Delivery,
    /// The number of attempts since somebody asked for it, or since it was made, this one included. What was broken off is none.
    pub tries: u32,
    /// How often somebody has asked for it.
    pub generation: i64,
    /// The receiver.
    pub webhook: Webhook,
    /// The keys that sign, the present ones first.
    pub keys: Vec<WebhookKeys>,
}

/// What came of an attempt at telling a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The receiver has taken it.
    Taken(u16),
    /// The receiver has not taken it, for that reason and with that status, and is asked again at a time in milliseconds.
    Later(Problem, Option<u16>, i64),
    /// The receiver has not taken it, and is not asked again.
    Failed(Problem, Option<u16>),
    /// The receiver is gone for good, and is told nothing any more.
    Gone(Problem),
}

/// The status with which a receiver says that it is gone for good (RFC 9110 section 15.5.11).
pub const GONE: u16 = 410;

impl DeliveryOutcome {
    /// The HTTP status of the answer. `None`: there was none.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Taken(status) => Some(*status),
            Self::Later(_, status, _) | Self::Failed(_, status) => *status,
            Self::Gone(_) => Some(GONE),
        }
    }

    /// Why the receiver has not taken it. `None`: it has.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Taken(_) => None,
            Self::Later(problem, ..) | Self::Failed(problem, _) | Self::Gone(problem) => Some(problem),
        }
    }
}

/// The type of the event that tells an outcome, in the form of Standard Webhooks 1.0.0, such as `asset.second_license`.
pub fn event_type(kind: OutcomeKind) -> String {
    format!("asset.{}", kind.word().replace('-', "_"))
}

/// Filter of deliveries: those that match every given field.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// Deliveries to a receiver.
    pub webhook: Option<Uuid>,
    /// Deliveries in this state.
    pub state: Option<DeliveryState>,
}
