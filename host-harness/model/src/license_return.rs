//! Returns of licenses to the vendor, one attempt after the other.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use uuid::Uuid;

use crate::attempt::EarlierAttempts;
use crate::license::LicenseNames;
use crate::moment::Moment;
use crate::problem::Problem;
use crate::words::stored_enum;

/// How an attempt at a return ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReturnResult {
    /// The vendor shows the license as returned.
    Returned,
    /// Definitely not returned; a retry can't help.
    Refused,
    /// Definitely not returned; a retry can help.
    Unavailable,
    /// Possibly returned.
    Unknown,
    /// No attempt: the record was restored or copied, and what was done since the copy was made is not known.
    Restored,
}

stored_enum!(ReturnResult {
    Returned = "returned", "returned";
    Refused = "refused", "refused";
    Unavailable = "unavailable", "unavailable";
    Unknown = "unknown", "unknown";
    Restored = "restored", "restored";
});

/// The outcome of an attempt at a return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReturnOutcome {
    /// The vendor shows the license as returned.
    Returned,
    /// Definitely not returned; a retry can't help.
    Refused(Problem),
    /// Definitely not returned; but an earlier attempt may still be under way, so that this settles nothing.
    RefusedForNow(Problem),
    /// Definitely not returned; a retry can help.
    Unavailable(Problem),
    /// Possibly returned.
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

    /// The problem. `None`: there was none.
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

/// A return that one worker may attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenReturn {
    /// The cancellation that asks for it.
    pub cancellation_id: Uuid,
    /// The asset.
    pub asset_id: Uuid,
    /// The instance that the license was bought with.
    pub instance_id: Uuid,
    /// The worker that has taken it.
    pub worker: Uuid,
}

/// An attempt at a return that is on record before the vendor is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BegunReturn {
    /// The number, from 1 in each cancellation.
    pub number: u32,
    /// The sum of what is known of the earlier attempts.
    pub earlier: EarlierAttempts,
    /// When the last of them that may have succeeded had ended. `None`: there is none.
    pub in_doubt_since: Option<Moment>,
    /// Whether another copy of the record may go on with the return, until this one is adopted.
    pub awaits_adoption: bool,
    /// How long a return in doubt is only looked up, as on record.
    pub look_up_only: Duration,
    /// The id by which the vendor is to know the return.
    pub client_transaction_id: Uuid,
    /// The names of the license.
    pub license: LicenseNames,
    /// The reason, in the requester's words. May be empty.
    pub comment: String,
}

/// An attempt at a return as it is on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnAttempt {
    /// The number, from 1 in each cancellation.
    pub number: u32,
    /// When it was begun, in milliseconds.
    pub begun_at_ms: i64,
    /// When it ended, in milliseconds. `None`: it has not, or the host stopped meanwhile.
    pub finished_at_ms: Option<i64>,
    /// How it ended. `None`: it has not.
    pub result: Option<ReturnResult>,
    /// The problem. `None`: there was none, or it has not ended.
    pub problem: Option<Problem>,
}
