//! Cancellations of assets: requested, decided, and carried out.

use std::collections::HashSet;

use bss_model::{
    Act, Actor, Advice, AssetStatus, Cancellation, CancellationDecision, CancellationFilter,
    CancellationState, CommentTooLong, Diagnose, Diagnosis, ErrorKind, Page, RequestedCancellations,
    Requester, RequesterKind, Rows, Subject, SyncStatus, return_client_transaction_id, short_enough,
};
use serde_json::json;
use uuid::Uuid;

use super::acts::write_act;
use super::paging::KeyColumn::{Integer, Text};
use super::paging::List;
use super::stored::{ROWS_PER_STATEMENT, count, from_json, id, optional, push_ids};
use super::{Record, RecordError};
use crate::database::{Builder, Connection, Row};

/// Why a cancellation was not recorded. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CancelError {
    /// The asset does not exist.
    #[error("asset `{id}` does not exist")]
    NoAsset {
        /// The id that was asked for.
        id: Uuid,
    },
    /// The asset has no license to return, or is cancelled already.
    #[error(
        "asset `{id}` is {status} and {sync_status}: only an active asset that has its license can be cancelled"
    )]
    NotCancelable {
        /// The asset.
        id: Uuid,
        /// Whether the platform has cancelled it.
        status: AssetStatus,
        /// Whether it has its license.
        sync_status: SyncStatus,
    },
    /// An asset has at most one open cancellation.
    #[error("asset `{asset}` has an open cancellation already, which is {state}")]
    Open {
        /// The asset.
        asset: Uuid,
        /// The state of the open cancellation.
        state: CancellationState,
    },
    /// The comment is too long.
    #[error(transparent)]
    Comment(#[from] CommentTooLong),
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for CancelError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NoAsset { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "no-asset").advise(Advice::ListAssets)
            }
            Self::NotCancelable { .. } => Diagnosis::new(ErrorKind::Conflict, "not-cancelable"),
            Self::Open { asset, .. } => Diagnosis::new(ErrorKind::Conflict, "cancellation-open")
                .advise(Advice::ShowCancellations { asset: *asset }),
            Self::Comment(error) => error.diagnosis(),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// Why a cancellation was not decided. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecideError {
    /// The cancellation does not exist.
    #[error("cancellation `{id}` does not exist")]
    NoCancellation {
        /// The id that was asked for.
        id: Uuid,
    },
    /// The cancellation has been decided.
    #[error("the cancellation of asset `{asset}` is decided already: it is {state}")]
    Decided {
        /// The asset.
        asset: Uuid,
        /// The state of the cancellation.
        state: CancellationState,
    },
    /// The comment is too long.
    #[error(transparent)]
    Comment(#[from] CommentTooLong),
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for DecideError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NoCancellation { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "no-cancellation").advise(Advice::ListCancellations)
            }
            Self::Decided { .. } => Diagnosis::new(ErrorKind::Conflict, "cancellation-decided"),
            Self::Comment(error) => error.diagnosis(),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// Cancellations by the time of their requests.
pub(super) const CANCELLATIONS: List = List {
    name: "cancellations",
    key: &[Integer("requested_at_ms"), Text("asset_id"), Integer("number")],
};

pub(super) fn cancellations_query(filter: &CancellationFilter) -> Builder {
    let mut query = Builder::new("SELECT * FROM cancellations WHERE 1 = 1");
    if let Some(asset) = filter.asset {
        query.push(" AND asset_id = ").push_bind(asset.to_string());
    }
    if let Some(state) = filter.state {
        query.push(" AND state = ").push_bind(state.word());
    }
    if filter.open {
        query.push(" AND ended_at_ms IS NULL");
    }
    if let Some(instance) = filter.instance {
        query
            .push(" AND EXISTS (SELECT 1 FROM assets WHERE assets.id = cancellations.asset_id AND instance_id = ")
            .push_bind(instance.to_string())
            .push(")");
    }
    query
}

impl Record {
    /// Requests the cancellation of an asset; an operator decides.
    ///
    /// # Errors
    /// When the asset is not an active one with a license, or a cancellation of it is open.
    pub async fn request_cancellation(
        &self,
        asset_id: Uuid,
        requester: &Requester,
        comment: &str,
        actor: &Actor,
    ) -> Result<Cancellation, CancelError> {
        let act = Act::RequestCancellation;
        self.new_cancellation(asset_id, requester, comment, act, actor)
            .await
    }

    /// Cancels an asset without a request: the return to the vendor is due at once.
    ///
    /// # Errors
    /// Like [`Record::request_cancellation`].
    pub async fn cancel_now(
        &self,
        asset_id: Uuid,
        requester: &Requester,
        comment: &str,
        actor: &Actor,
    ) -> Result<Cancellation, CancelError> {
        let act = Act::CancelAsset;
        self.new_cancellation(asset_id, requester, comment, act, actor)
            .await
    }

    async fn new_cancellation(
        &self,
        asset_id: Uuid,
        requester: &Requester,
        comment: &str,
        act: Act,
        actor: &Actor,
    ) -> Result<Cancellation, CancelError> {
        let comment = short_enough(comment)?;
        let mut transaction = self.begin_write().await?;
        cancelable(&mut transaction, asset_id).await?;
        if let Some(last) = last(&mut transaction, asset_id).await?
            && last.state.is_open()
        {
            return Err(CancelError::Open {
                asset: asset_id,
                state: last.state,
            });
        }
        let confirmed_by = (act == Act::CancelAsset).then_some(actor);
        let cancellation = insert(&mut transaction, asset_id, requester, comment, confirmed_by).await?;
        write_cancellation_act(&mut transaction, actor, act, &cancellation).await?;
        transaction.commit().await?;
        Ok(cancellation)
    }

    /// Withdraws a request before it is decided.
    ///
    /// # Errors
    /// When the cancellation does not exist, or has been decided.
    pub async fn withdraw_cancellation(
        &self,
        cancellation_id: Uuid,
        comment: &str,
        actor: &Actor,
    ) -> Result<Cancellation, DecideError> {
        let decision = (Act::WithdrawCancellation, CancellationState::Withdrawn);
        self.decide(cancellation_id, decision, comment, actor).await
    }

    /// Declines a request: the asset stays as it is.
    ///
    /// # Errors
    /// When the cancellation does not exist, or has been decided.
    pub async fn decline_cancellation(
        &self,
        cancellation_id: Uuid,
        comment: &str,
        actor: &Actor,
    ) -> Result<Cancellation, DecideError> {
        let decision = (Act::DeclineCancellation, CancellationState::Declined);
        self.decide(cancellation_id, decision, comment, actor).await
    }

    /// Confirms a request: the return to the vendor is due at once.
    ///
    /// # Errors
    /// When the cancellation does not exist, or has been decided.
    pub async fn confirm_cancellation(
        &self,
        cancellation_id: Uuid,
        comment: &str,
        actor: &Actor,
    ) -> Result<Cancellation, DecideError> {
        let decision = (Act::ConfirmCancellation, CancellationState::Returning);
        self.decide(cancellation_id, decision, comment, actor).await
    }

    async fn decide(
        &self,
        cancellation_id: Uuid,
        (act, state): (Act, CancellationState),
        comment: &str,
        actor: &Actor,
    ) -> Result<Cancellation, DecideError> {
        let comment = short_enough(comment)?;
        let mut transaction = self.begin_write().await?;
        let before = read(&mut transaction, cancellation_id).await?;
        let before = before.ok_or(DecideError::NoCancellation { id: cancellation_id })?;
        if before.state != CancellationState::Requested {
            return Err(DecideError::Decided {
                asset: before.asset_id,
                state: before.state,
            });
        }
        let now = self.now_ms();
        transaction.sql(
            "UPDATE cancellations
             SET state = $2, decided_by = $3, decision_comment = $4, decided_at_ms = $5, ended_at_ms = $6, due_at_ms = $5
             WHERE id = $1",
        )
        .bind(cancellation_id.to_string())
        .bind(state.word())
        .bind(&actor.name)
        .bind(comment)
        .bind(now)
        .bind((!state.is_open()).then_some(now))
        .execute()
        .await?;
        let after = existing(&mut transaction, cancellation_id).await?;
        write_cancellation_act(&mut transaction, actor, act, &after).await?;
        transaction.commit().await?;
        Ok(after)
    }

    /// Reads a cancellation by its id. `None`: it does not exist.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn cancellation(&self, cancellation_id: Uuid) -> Result<Option<Cancellation>, RecordError> {
        let mut connection = self.readers.acquire().await?;
        read(&mut connection, cancellation_id).await
    }

    /// The last cancellation of an asset. `None`: there was none.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn last_cancellation(&self, asset_id: Uuid) -> Result<Option<Cancellation>, RecordError> {
        let mut connection = self.readers.acquire().await?;
        last(&mut connection, asset_id).await
    }

    /// The requests for cancellations about which nobody has decided.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn requested_cancellations(&self) -> Result<RequestedCancellations, RecordError> {
        let row = self.readers.sql(
            "SELECT COUNT(*) AS requests, MIN(requested_at_ms) AS oldest_at_ms FROM cancellations WHERE state = $1",
        )
        .bind(CancellationState::Requested.word())
        .fetch_one()
        .await?;
        Ok(RequestedCancellations {
            count: row.try_get::<i64, _>("requests")?.unsigned_abs(),
            oldest_at_ms: row.try_get("oldest_at_ms")?,
        })
    }

    /// Those of some assets whose cancellation was requested, and about which nobody has decided.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn assets_to_decide(&self, assets: &[Uuid]) -> Result<HashSet<Uuid>, RecordError> {
        let mut to_decide = HashSet::new();
        for some in assets.chunks(ROWS_PER_STATEMENT) {
            let mut query = Builder::new("SELECT asset_id FROM cancellations WHERE state = ");
            query
                .push_bind(CancellationState::Requested.word())
                .push(" AND asset_id IN (");
            push_ids(&mut query, some);
            let rows = self.readers.build(query.push(")")).persistent(false);
            for row in &rows.fetch_all().await? {
                to_decide.insert(id(row, "asset_id")?);
            }
        }
        Ok(to_decide)
    }

    /// Cancellations that match a filter, by the time of their requests.
    ///
    /// # Errors
    /// When the record can't be read, or the page is not of this list.
    pub async fn cancellations(
        &self,
        filter: &CancellationFilter,
        page: &Page,
    ) -> Result<Rows<Cancellation>, RecordError> {
        let query = cancellations_query(filter);
        self.page(&CANCELLATIONS, query, page, cancellation).await
    }
}

async fn cancelable(transaction: &mut Connection, asset_id: Uuid) -> Result<(), CancelError> {
    let row = transaction
        .sql("SELECT status, sync_status FROM assets WHERE id = $1")
        .bind(asset_id.to_string())
        .fetch_optional()
        .await?
        .ok_or(CancelError::NoAsset { id: asset_id })?;
    let status = AssetStatus::from_word(row.try_get("status")?).map_err(RecordError::from)?;
    let sync_status = SyncStatus::from_word(row.try_get("sync_status")?).map_err(RecordError::from)?;
    if (status, sync_status) == (AssetStatus::Active, SyncStatus::Synchronized) {
        return Ok(());
    }
    Err(CancelError::NotCancelable {
        id: asset_id,
        status,
        sync_status,
    })
}

async fn last(transaction: &mut Connection, asset_id: Uuid) -> Result<Option<Cancellation>, RecordError> {
    let row = transaction
        .sql("SELECT * FROM cancellations WHERE asset_id = $1 ORDER BY number DESC LIMIT 1")
        .bind(asset_id.to_string())
        .fetch_optional()
        .await?;
    row.as_ref().map(cancellation).transpose()
}

async fn insert(
    transaction: &mut Connection,
    asset_id: Uuid,
    requester: &Requester,
    comment: &str,
    confirmed_by: Option<&Actor>,
) -> Result<Cancellation, RecordError> {
    let number = last(transaction, asset_id).await?.map_or(0, |last| last.number);
    let number = number.saturating_add(1);
    let state = match confirmed_by {
        Some(_) => CancellationState::Returning,
        None => CancellationState::Requested,
    };
    let cancellation_id = Uuid::new_v4();
    let now = transaction.now_ms();
    transaction
        .sql(
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
        .bind(confirmed_by.map(|actor| &actor.name))
        .bind(confirmed_by.map(|_| ""))
        .bind(confirmed_by.map(|_| now))
        .bind(return_client_transaction_id(asset_id, number).to_string())
        .execute()
        .await?;
    existing(transaction, cancellation_id).await
}

/// Writes an act on the asset of a cancellation. The comment is kept with the cancellation.
async fn write_cancellation_act(
    transaction: &mut Connection,
    actor: &Actor,
    act: Act,
    cancellation: &Cancellation,
) -> Result<(), RecordError> {
    let row = transaction
        .sql("SELECT instance_id FROM assets WHERE id = $1")
        .bind(cancellation.asset_id.to_string())
        .fetch_one()
        .await?;
    let instance_id = Some(id(&row, "instance_id")?);
    let subject = Subject::asset(cancellation.asset_id);
    let detail = json!({ "cancellation": cancellation.id, "requester": cancellation.requester.kind.word() });
    write_act(transaction, actor, act, &subject, instance_id, detail).await
}

pub(super) async fn read(
    connection: &mut Connection,
    cancellation_id: Uuid,
) -> Result<Option<Cancellation>, RecordError> {
    let row = connection
        .sql("SELECT * FROM cancellations WHERE id = $1")
        .bind(cancellation_id.to_string())
        .fetch_optional()
        .await?;
    row.as_ref().map(cancellation).transpose()
}

/// Like [`read`], for a cancellation that must exist.
pub(super) async fn existing(
    connection: &mut Connection,
    cancellation_id: Uuid,
) -> Result<Cancellation, RecordError> {
    read(connection, cancellation_id)
        .await?
        .ok_or_else(|| RecordError::Damaged {
            what: format!("cancellation `{cancellation_id}` is missing"),
        })
}

pub(super) fn cancellation(row: &Row) -> Result<Cancellation, RecordError> {
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
        reason: optional(row, "reason", from_json)?,
        ended_at_ms: row.try_get("ended_at_ms")?,
        due_at_ms: row.try_get("due_at_ms")?,
    })
}
