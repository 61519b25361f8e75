//! Returns of licenses to the vendor, attempt by attempt.

use serde::Deserialize;
use serde::Serialize;
use uuid::Uuid;

use crate::attempt::EarlierAttempts;
use crate::problem::Problem;
use crate::words::stored_enum;

/// How an attempt at a return ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReturnResult {
    /// The vendor shows the license as returned.
    Returned,
    /// Definitely not done; a retry can't help.
    Refused,
    /// Definitely not done; a retry can help.
    Unavailable,
    /// May have been done.
    Unknown,
}

stored_enum!(ReturnResult {
    Returned = "returned", "returned";
    Refused = "refused", "refused";
    Unavailable = "unavailable", "unavailable";
    Unknown = "unknown", "unknown";
});

/// What an attempt at a return brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReturnOutcome {
    /// The vendor shows the license as returned.
    Returned,
    /// Definitely not done; a retry can't help.
    Refused(Problem),
    /// Definitely not done; but an earlier attempt may still be under way, so that this settles nothing.
    RefusedForNow(Problem),
    /// Definitely not done; a retry can help.
    Unavailable(Problem),
    /// May have been done.
    Unknown(Problem),
}

impl ReturnOutcome {
    /// How the attempt ended.
    pub fn result(&self) -> ReturnResult {
        match self {
            Self::Returned => ReturnResult::Returned,
            Self::Refused(_) | Self::RefusedForNow(_) => ReturnResult::Refused,
            Self::Unavailable(_) => ReturnResult::Unavailable,
            Self::Unknown(_) => ReturnResult::Unknown,
        }
    }

    /// What was wrong. None: nothing.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Returned => None,
            Self::Refused(problem)
            | Self::RefusedForNow(problem)
            | Self::Unavailable(problem)
            | Self::Unknown(problem) => Some(problem),
        }
    }
}

/// A return that is one worker's to attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenReturn {
    /// The cancellation that it is of.
    pub cancellation_id: Uuid,
    /// The asset.
    pub asset_id: Uuid,
    /// The instance that the license was bought with.
    pub instance_id: Uuid,
    /// Who has taken it.
    pub worker: Uuid,
}

/// An attempt at a return that is on record before the vendor is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BegunReturn {
    /// From 1 in each cancellation.
    pub number: u32,
    /// What is known of those before it.
    pub earlier: EarlierAttempts,
    /// When the last of them that may have been done had ended, in milliseconds. None: there is none.
    pub in_doubt_since_ms: Option<i64>,
    /// What the vendor is to know the return by.
    pub client_transaction_id: Uuid,
    /// The vendor's name for the license.
    pub license_token_id: String,
    /// Why, in the requester's words. May be empty.
    pub comment: String,
}

/// An attempt at a return as it is on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnAttempt {
    /// From 1 in each cancellation.
    pub number: u32,
    /// When it was begun, in milliseconds.
    pub begun_at_ms: i64,
    /// When it ended, in milliseconds. None: it has not, or the host stopped meanwhile.
    pub finished_at_ms: Option<i64>,
    /// How it ended. None: it has not.
    pub result: Option<ReturnResult>,
    /// What was wrong. None: nothing, or it has not ended.
    pub problem: Option<Problem>,
}
