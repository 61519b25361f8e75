//! Cancellations of assets: asked for, decided, and what became of them.

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, SqliteConnection};
use uuid::{Uuid, uuid};

use super::assets::{AssetStatus, Problem, SyncStatus};
use super::returns::ReturnResult;
use super::stored::{count, from_json, id, stored_enum};
use super::{Record, RecordError, begin_write};
use crate::clock::now_ms;

/// The name space of the client transaction ids of returns (RFC 9562, version 5). It must never change: an id that
/// is asked for again must come out the same. It is not that of purchases, so that no id is ever both.
const RETURN_CLIENT_TRANSACTION_IDS: Uuid = uuid!("3a1c7b52-7f0e-4c0a-9d5e-0e9f6d6b8a14");

/// The longest comment, in Unicode scalar values: a few paragraphs. What is longer is a document, and belongs
/// elsewhere.
const COMMENT_LENGTH_MAX: usize = 2_000;

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
    /// Only those of which something is still to come.
    pub open: bool,
}

/// A comment is longer than a record takes.
#[derive(Debug, thiserror::Error)]
#[error("the comment has {length} characters, and {COMMENT_LENGTH_MAX} are the most; hint: make it shorter")]
pub struct CommentTooLong {
    /// How many it has.
    pub length: usize,
}

/// Why a cancellation was not taken. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CancelError {
    /// No such asset.
    #[error("asset `{id}` does not exist; hint: `asset list` shows those that do")]
    NoAsset {
        /// What was asked for.
        id: Uuid,
    },
    /// There is nothing to cancel.
    #[error(
        "asset `{id}` is {status} and {sync_status}: only an active one that has its license can be cancelled"
    )]
    NotCancelable {
        /// The asset.
        id: Uuid,
        /// What the platform does with it.
        status: AssetStatus,
        /// Whether it has its license.
        sync_status: SyncStatus,
    },
    /// One at a time.
    #[error(
        "a cancellation of asset `{asset}` is {state} already; hint: `asset cancellations {asset}` shows it"
    )]
    Open {
        /// The asset.
        asset: Uuid,
        /// Where the other one stands.
        state: CancellationState,
    },
    /// Too much text.
    #[error(transparent)]
    Comment(#[from] CommentTooLong),
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Why a cancellation was not decided. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecideError {
    /// No such cancellation.
    #[error("cancellation `{id}` does not exist; hint: `asset cancellations` shows those that do")]
    NoCancellation {
        /// What was asked for.
        id: Uuid,
    },
    /// It has been decided.
    #[error("the cancellation of asset `{asset}` is {state}: there is nothing left to decide")]
    Decided {
        /// The asset.
        asset: Uuid,
        /// Where the cancellation stands.
        state: CancellationState,
    },
    /// Too much text.
    #[error(transparent)]
    Comment(#[from] CommentTooLong),
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl From<sqlx::Error> for CancelError {
    fn from(source: sqlx::Error) -> Self {
        Self::Record(source.into())
    }
}

impl From<sqlx::Error> for DecideError {
    fn from(source: sqlx::Error) -> Self {
        Self::Record(source.into())
    }
}

impl Record {
    /// Asks for an asset to be cancelled; an operator decides.
    ///
    /// # Errors
    /// When the asset is not an active one with a license, or a cancellation of it is open.
    pub async fn request_cancellation(
        &self,
        asset_id: Uuid,
        requester: &Requester,
        comment: &str,
    ) -> Result<Cancellation, CancelError> {
        self.new_cancellation(asset_id, requester, comment, None).await
    }

    /// Cancels an asset without a request to be decided: the return to the vendor is due at once.
    ///
    /// # Errors
    /// As [`Record::request_cancellation`].
    pub async fn cancel_now(
        &self,
        asset_id: Uuid,
        requester: &Requester,
        comment: &str,
        by: &str,
    ) -> Result<Cancellation, CancelError> {
        self.new_cancellation(asset_id, requester, comment, Some(by))
            .await
    }

    async fn new_cancellation(
        &self,
        asset_id: Uuid,
        requester: &Requester,
        comment: &str,
        confirmed_by: Option<&str>,
    ) -> Result<Cancellation, CancelError> {
        let comment = short_enough(comment)?;
        let mut transaction = begin_write(&self.writer).await?;
        cancelable(&mut transaction, asset_id).await?;
        if let Some(last) = last(&mut transaction, asset_id).await?
            && last.state.is_open()
        {
            return Err(CancelError::Open {
                asset: asset_id,
                state: last.state,
            });
        }
        let cancellation = insert(&mut transaction, asset_id, requester, comment, confirmed_by).await?;
        transaction.commit().await?;
        Ok(cancellation)
    }

    /// Takes a request back before it is decided.
    ///
    /// # Errors
    /// When there is no such cancellation, or it has been decided.
    pub async fn withdraw_cancellation(
        &self,
        cancellation_id: Uuid,
        by: &str,
        comment: &str,
    ) -> Result<Cancellation, DecideError> {
        self.decide(cancellation_id, CancellationState::Withdrawn, by, comment)
            .await
    }

    /// Says no to a request: nothing happens to the asset.
    ///
    /// # Errors
    /// When there is no such cancellation, or it has been decided.
    pub async fn decline_cancellation(
        &self,
        cancellation_id: Uuid,
        by: &str,
        comment: &str,
    ) -> Result<Cancellation, DecideError> {
        self.decide(cancellation_id, CancellationState::Declined, by, comment)
            .await
    }

    /// Says yes to a request: the return to the vendor is due at once.
    ///
    /// # Errors
    /// When there is no such cancellation, or it has been decided.
    pub async fn confirm_cancellation(
        &self,
        cancellation_id: Uuid,
        by: &str,
        comment: &str,
    ) -> Result<Cancellation, DecideError> {
        self.decide(cancellation_id, CancellationState::Returning, by, comment)
            .await
    }

    async fn decide(
        &self,
        cancellation_id: Uuid,
        state: CancellationState,
        by: &str,
        comment: &str,
    ) -> Result<Cancellation, DecideError> {
        let comment = short_enough(comment)?;
        let mut transaction = begin_write(&self.writer).await?;
        let before = read(&mut transaction, cancellation_id).await?;
        let before = before.ok_or(DecideError::NoCancellation { id: cancellation_id })?;
        if before.state != CancellationState::Requested {
            return Err(DecideError::Decided {
                asset: before.asset_id,
                state: before.state,
            });
        }
        let now = now_ms();
        sqlx::query(
            "UPDATE cancellations
             SET state = $2, decided_by = $3, decision_comment = $4, decided_at_ms = $5, ended_at_ms = $6, due_at_ms = $5
             WHERE id = $1",
        )
        .bind(cancellation_id.to_string())
        .bind(state.word())
        .bind(by)
        .bind(comment)
        .bind(now)
        .bind((!state.is_open()).then_some(now))
        .execute(&mut *transaction)
        .await?;
        let after = read(&mut transaction, cancellation_id).await?;
        transaction.commit().await?;
        after.ok_or(DecideError::NoCancellation { id: cancellation_id })
    }

    /// The cancellation of an id. None: there is none.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn cancellation(&self, cancellation_id: Uuid) -> Result<Option<Cancellation>, RecordError> {
        let mut connection = self.readers.acquire().await?;
        read(&mut connection, cancellation_id).await
    }

    /// The cancellations that a filter names, in the order in which they were asked for.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn cancellations(&self, filter: CancellationFilter) -> Result<Vec<Cancellation>, RecordError> {
        let mut query = QueryBuilder::new("SELECT * FROM cancellations WHERE 1 = 1");
        if let Some(asset) = filter.asset {
            query.push(" AND asset_id = ").push_bind(asset.to_string());
        }
        if filter.open {
            query.push(" AND state IN ('requested', 'returning')");
        }
        query.push(" ORDER BY requested_at_ms, asset_id, number");
        let rows = query.build().fetch_all(&self.readers).await?;
        rows.iter().map(cancellation).collect()
    }
}

/// A comment without the white space around it.
fn short_enough(comment: &str) -> Result<&str, CommentTooLong> {
    let comment = comment.trim();
    let length = comment.chars().count();
    if length > COMMENT_LENGTH_MAX {
        return Err(CommentTooLong { length });
    }
    Ok(comment)
}

async fn cancelable(transaction: &mut SqliteConnection, asset_id: Uuid) -> Result<(), CancelError> {
    let row = sqlx::query("SELECT status, sync_status FROM assets WHERE id = $1")
        .bind(asset_id.to_string())
        .fetch_optional(transaction)
        .await?
        .ok_or(CancelError::NoAsset { id: asset_id })?;
    let status = AssetStatus::from_word(row.try_get("status")?)?;
    let sync_status = SyncStatus::from_word(row.try_get("sync_status")?)?;
    if (status, sync_status) == (AssetStatus::Active, SyncStatus::Synchronized) {
        return Ok(());
    }
    Err(CancelError::NotCancelable {
        id: asset_id,
        status,
        sync_status,
    })
}

async fn last(
    transaction: &mut SqliteConnection,
    asset_id: Uuid,
) -> Result<Option<Cancellation>, RecordError> {
    let row = sqlx::query("SELECT * FROM cancellations WHERE asset_id = $1 ORDER BY number DESC LIMIT 1")
        .bind(asset_id.to_string())
        .fetch_optional(transaction)
        .await?;
    row.as_ref().map(cancellation).transpose()
}

async fn insert(
    transaction: &mut SqliteConnection,
    asset_id: Uuid,
    requester: &Requester,
    comment: &str,
    confirmed_by: Option<&str>,
) -> Result<Cancellation, RecordError> {
    let number = last(transaction, asset_id).await?.map_or(0, |last| last.number);
    let number = number.saturating_add(1);
    let state = match confirmed_by {
        Some(_) => CancellationState::Returning,
        None => CancellationState::Requested,
    };
    let cancellation_id = Uuid::new_v4();
    let now = now_ms();
    sqlx::query(
        "INSERT INTO cancellations (id, asset_id, number, state, requester_kind, requester_name, comment,
                                    requested_at_ms, decided_by, decision_comment, decided_at_ms,
                                    return_client_transaction_id, due_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $8)",
    )
    .bind(cancellation_id.to_string())
    .bind(asset_id.to_string())
    .bind(i64::from(number))
    .bind(state.word())
    .bind(requester.kind.word())
    .bind(&requester.name)
    .bind(comment)
    .bind(now)
    .bind(confirmed_by)
    .bind(confirmed_by.map(|_| ""))
    .bind(confirmed_by.map(|_| now))
    .bind(return_client_transaction_id(asset_id, number).to_string())
    .execute(&mut *transaction)
    .await?;
    existing(transaction, cancellation_id).await
}

pub(super) async fn read(
    connection: &mut SqliteConnection,
    cancellation_id: Uuid,
) -> Result<Option<Cancellation>, RecordError> {
    let row = sqlx::query("SELECT * FROM cancellations WHERE id = $1")
        .bind(cancellation_id.to_string())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(cancellation).transpose()
}

/// As [`read`], of one that must be there.
pub(super) async fn existing(
    connection: &mut SqliteConnection,
    cancellation_id: Uuid,
) -> Result<Cancellation, RecordError> {
    read(connection, cancellation_id)
        .await?
        .ok_or_else(|| RecordError::Damaged {
            what: format!("cancellation `{cancellation_id}` is missing"),
        })
}

pub(super) fn cancellation(row: &SqliteRow) -> Result<Cancellation, RecordError> {
    let reason: Option<&str> = row.try_get("reason")?;
    let by: Option<String> = row.try_get("decided_by")?;
    let comment: Option<String> = row.try_get("decision_comment")?;
    let at_ms: Option<i64> = row.try_get("decided_at_ms")?;
    Ok(Cancellation {
        id: id(row, "id")?,
        asset_id: id(row, "asset_id")?,
        number: count(row, "number")?,
        state: CancellationState::from_word(row.try_get("state")?)?,
        requester: Requester {
            kind: RequesterKind::from_word(row.try_get("requester_kind")?)?,
            name: row.try_get("requester_name")?,
        },
        comment: row.try_get("comment")?,
        requested_at_ms: row.try_get("requested_at_ms")?,
        decision: by.zip(at_ms).map(|(by, at_ms)| CancellationDecision {
            by,
            comment: comment.unwrap_or_default(),
            at_ms,
        }),
        return_client_transaction_id: id(row, "return_client_transaction_id")?,
        reason: reason.map(|_| from_json(row, "reason")).transpose()?,
        ended_at_ms: row.try_get("ended_at_ms")?,
        due_at_ms: row.try_get("due_at_ms")?,
    })
}
