//! Cancellations: requests to give a license back, and the operator's decisions on them.

use serde::Deserialize;
use serde::Serialize;
use uuid::Uuid;
use uuid::uuid;

use crate::diagnosis::{Diagnose, Diagnosis, ErrorKind};
use crate::license_return::ReturnResult;
use crate::problem::Problem;
use crate::words::stored_enum;

/// The name space of the client transaction ids of returns (RFC 9562, version 5). Never change it: an id that is
/// computed again must come out the same. It differs from that of purchases, so that no id is ever both.
const RETURN_CLIENT_TRANSACTION_IDS: Uuid = uuid!("3a1c7b52-7f0e-4c0a-9d5e-0e9f6d6b8a14");

/// The longest comment, in Unicode scalar values: a few paragraphs. A longer text is a document, and belongs
/// elsewhere.
pub const COMMENT_LENGTH_MAX: usize = 2_000;

/// The host's name for a return: the same for every attempt at an asset's cancellation `number`, and for no other.
pub fn return_client_transaction_id(asset_id: Uuid, number: u32) -> Uuid {
    let name = format!("{asset_id}/{number}");
    Uuid::new_v5(&RETURN_CLIENT_TRANSACTION_IDS, name.as_bytes())
}

/// The state of a cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancellationState {
    /// The request waits for the operator, and can be withdrawn.
    Requested,
    /// The request was withdrawn before the operator decided.
    Withdrawn,
    /// The operator declined.
    Declined,
    /// The operator confirmed; the vendor has not settled yet whether it takes the license back.
    Returning,
    /// The vendor took the license back; the asset is cancelled and its price credited.
    Done,
    /// The vendor did not take the license back; the asset stays as it was.
    Refused,
}

stored_enum!(CancellationState {
    Requested = "requested", "requested";
    Withdrawn = "withdrawn", "withdrawn";
    Declined = "declined", "declined";
    Returning = "returning", "returning";
    Done = "done", "done";
    Refused = "refused", "refused";
});

impl CancellationState {
    /// Whether the cancellation is still to be settled. An asset has at most one such cancellation.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Requested | Self::Returning)
    }
}

/// The kind of person who asks for a cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequesterKind {
    /// The customer, who has the license.
    Customer,
    /// The reseller, who sold it.
    Reseller,
    /// The operator, who runs the platform.
    Operator,
}

stored_enum!(RequesterKind {
    Customer = "customer", "customer";
    Reseller = "reseller", "reseller";
    Operator = "operator", "operator";
});

/// The person who asks for a cancellation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requester {
    /// The kind.
    pub kind: RequesterKind,
    /// The name.
    pub name: String,
}

/// The decision on a cancellation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancellationDecision {
    /// The name of the person who decided.
    pub by: String,
    /// The comment, in their words. Empty: they gave none.
    pub comment: String,
    /// The time, in milliseconds.
    pub at_ms: i64,
}

/// Why the last attempt did not return the license.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnReason {
    /// The result of the attempt.
    pub result: ReturnResult,
    /// The problem.
    pub problem: Problem,
}

/// A cancellation of an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancellation {
    /// Stable and unique.
    pub id: Uuid,
    /// The asset.
    pub asset_id: Uuid,
    /// The number, from 1 in each asset.
    pub number: u32,
    /// The state.
    pub state: CancellationState,
    /// The person who asked for it.
    pub requester: Requester,
    /// The reason, in the requester's words. Empty: none was given.
    pub comment: String,
    /// When it was asked for, in milliseconds.
    pub requested_at_ms: i64,
    /// The operator's decision, or the withdrawal. `None`: neither yet.
    pub decision: Option<CancellationDecision>,
    /// The host's name for the return.
    pub return_client_transaction_id: Uuid,
    /// Why the license is not returned. `None`: it is, or nothing was tried yet.
    pub reason: Option<ReturnReason>,
    /// When it ended, in milliseconds. `None`: it is open.
    pub ended_at_ms: Option<i64>,
    /// The earliest time of the next attempt at the return, in milliseconds.
    pub due_at_ms: i64,
}

/// Filter of cancellations: those that match every given field.
#[derive(Clone, Copy, Debug, Default)]
pub struct CancellationFilter {
    /// Cancellations of an asset.
    pub asset: Option<Uuid>,
    /// Cancellations in this state.
    pub state: Option<CancellationState>,
    /// Only cancellations that are still to be settled.
    pub open: bool,
    /// Cancellations of licenses of an instance.
    pub instance: Option<Uuid>,
}

/// Requests for cancellations about which nobody has decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestedCancellations {
    /// How many there are.
    pub count: u64,
    /// When the oldest of them was made, in milliseconds. `None`: there is none.
    pub oldest_at_ms: Option<i64>,
}

/// Error of a comment that is longer than the record allows.
#[derive(Debug, thiserror::Error)]
#[error("the comment has {length} characters, but at most {COMMENT_LENGTH_MAX} are allowed")]
pub struct CommentTooLong {
    /// The number of Unicode scalar values it has.
    pub length: usize,
}

impl Diagnose for CommentTooLong {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Invalid, "comment-too-long").say("shorten the comment")
    }
}

/// Trims white space around a comment, and checks its length.
pub fn short_enough(comment: &str) -> Result<&str, CommentTooLong> {
    let comment = comment.trim();
    let length = comment.chars().count();
    if length > COMMENT_LENGTH_MAX {
        return Err(CommentTooLong { length });
    }
    Ok(comment)
}
