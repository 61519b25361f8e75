//! Cancellations: who wants a license to be given back, who decided, and why.

use serde::Deserialize;
use serde::Serialize;
use uuid::Uuid;
use uuid::uuid;

use crate::diagnosis::{Diagnose, Diagnosis, ErrorKind};
use crate::license_return::ReturnResult;
use crate::problem::Problem;
use crate::words::stored_enum;

/// The name space of the client transaction ids of returns (RFC 9562, version 5). It must never change: an id that
/// is asked for again must come out the same. It is not that of purchases, so that no id is ever both.
const RETURN_CLIENT_TRANSACTION_IDS: Uuid = uuid!("3a1c7b52-7f0e-4c0a-9d5e-0e9f6d6b8a14");

/// The longest comment, in Unicode scalar values: a few paragraphs. What is longer is a document, and belongs
/// elsewhere.
pub const COMMENT_LENGTH_MAX: usize = 2_000;

/// The host's name for a return: the same for every attempt at an asset's cancellation `number`, and for no other.
pub fn return_client_transaction_id(asset_id: Uuid, number: u32) -> Uuid {
    let name = format!("{asset_id}/{number}");
    Uuid::new_v5(&RETURN_CLIENT_TRANSACTION_IDS, name.as_bytes())
}

/// Where a cancellation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancellationState {
    /// It waits for the operator, and can be withdrawn.
    Requested,
    /// It was taken back before the operator decided.
    Withdrawn,
    /// The operator said no.
    Declined,
    /// The operator said yes; the vendor has not settled yet whether it takes the license back.
    Returning,
    /// The vendor took the license back; the asset is cancelled and its price credited.
    Done,
    /// The vendor did not take the license back; the asset is what it was.
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
    /// Whether something is still to come of it. An asset has at most one such cancellation.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Requested | Self::Returning)
    }
}

/// What somebody who asks for a cancellation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequesterKind {
    /// Who has the license.
    Customer,
    /// Who sold it, where a reseller stands between.
    Reseller,
    /// Who runs the platform.
    Operator,
}

stored_enum!(RequesterKind {
    Customer = "customer", "customer";
    Reseller = "reseller", "reseller";
    Operator = "operator", "operator";
});

/// Who asks for a cancellation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requester {
    /// What they are.
    pub kind: RequesterKind,
    /// Their name.
    pub name: String,
}

/// Who decided, and what they said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancellationDecision {
    /// Their name.
    pub by: String,
    /// In their words. Empty: they gave none.
    pub comment: String,
    /// When, in milliseconds.
    pub at_ms: i64,
}

/// How the last attempt at a return ended, where it did not bring it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnReason {
    /// How it ended.
    pub result: ReturnResult,
    /// What was wrong.
    pub problem: Problem,
}

/// A cancellation of an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancellation {
    /// Stable and unique.
    pub id: Uuid,
    /// The asset.
    pub asset_id: Uuid,
    /// From 1 in each asset.
    pub number: u32,
    /// Where it stands.
    pub state: CancellationState,
    /// Who asked for it.
    pub requester: Requester,
    /// Why, in the requester's words. Empty: none were given.
    pub comment: String,
    /// When it was asked for, in milliseconds.
    pub requested_at_ms: i64,
    /// Who withdrew, declined or confirmed it. None: nobody has.
    pub decision: Option<CancellationDecision>,
    /// The host's name for the return.
    pub return_client_transaction_id: Uuid,
    /// Why the license is not returned. None: it is, or nothing was tried yet.
    pub reason: Option<ReturnReason>,
    /// When it came to its end, in milliseconds. None: it is open.
    pub ended_at_ms: Option<i64>,
    /// The return is not to be attempted before, in milliseconds.
    pub due_at_ms: i64,
}

/// Which cancellations to show; all that is given must hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct CancellationFilter {
    /// Of an asset.
    pub asset: Option<Uuid>,
    /// That stand so.
    pub state: Option<CancellationState>,
    /// Only those of which something is still to come.
    pub open: bool,
}

/// A comment is longer than a record takes.
#[derive(Debug, thiserror::Error)]
#[error("the comment has {length} characters, and {COMMENT_LENGTH_MAX} are the most")]
pub struct CommentTooLong {
    /// How many it has.
    pub length: usize,
}

impl Diagnose for CommentTooLong {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Invalid, "comment-too-long").say("make it shorter")
    }
}

/// A comment without the white space around it.
pub fn short_enough(comment: &str) -> Result<&str, CommentTooLong> {
    let comment = comment.trim();
    let length = comment.chars().count();
    if length > COMMENT_LENGTH_MAX {
        return Err(CommentTooLong { length });
    }
    Ok(comment)
}
