//! Attempts at returning a cancelled asset's license: taken by one worker at a time, on record before the vendor is
//! called, and closed with the outcome.

use bss_model::moment::Moment;
use bss_model::{
    AssetStatus, BegunReturn, Cancellation, CancellationState, Diagnose, Diagnosis, EarlierAttempts,
    ErrorKind, LicenseNames, LicenseTokenStatus, OutcomeKind, ReturnAttempt, ReturnOutcome, ReturnReason,
    ReturnResult, ReturnStatus, TakenReturn,
};
use uuid::Uuid;

use super::cancellations::existing;
use super::charges::credit;
use super::look_up_only::look_up_only;
use super::outbox::{enqueue_return, withdraw};
use super::outcomes::tell;
use super::stored::{
    boot, certain, count, from_json, id, moment, optional, to_json, uptime_ms, without_instances,
};
use super::{Record, RecordError};
use crate::database::{Builder, Connection, Row};

/// Why an attempt at a return was not begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BeginReturnError {
    /// The return is settled, or belongs to another worker.
    #[error(
        "worker `{worker}` can't attempt the return of asset `{asset}`, because the worker has not taken it"
    )]
    NotTaken {
        /// The asset.
        asset: Uuid,
        /// The worker that asked.
        worker: Uuid,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for BeginReturnError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NotTaken { .. } => Diagnosis::new(ErrorKind::Conflict, "return-not-taken"),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// Why the outcome of an attempt at a return was not recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FinishReturnError {
    /// The attempt does not exist, or has ended.
    #[error("the return of asset `{asset}` has no attempt {number} that is under way")]
    NoAttempt {
        /// The asset.
        asset: Uuid,
        /// The number that was asked for.
        number: u32,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for FinishReturnError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NoAttempt { .. } => Diagnosis::new(ErrorKind::NotFound, "no-attempt"),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

impl Record {
    /// The number of licenses to be returned that are not yet shown as returned.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn open_returns(&self) -> Result<u64, RecordError> {
        let open: i64 = self
            .readers
            .sql("SELECT COUNT(*) FROM cancellations WHERE state = $1")
            .bind(CancellationState::Returning.word())
            .scalar()
            .await?;
        Ok(open.unsigned_abs())
    }

    /// Takes due returns, the longest due first, for a worker that [has been started](Record::start_worker): no other
    /// worker gets them until they are attempted or the worker has ended. Takes those of `instance`, or of all
    /// instances but those in `without`.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn take_returns(
        &self,
        worker: Uuid,
        limit: u32,
        instance: Option<Uuid>,
        without: &[Uuid],
    ) -> Result<Vec<TakenReturn>, RecordError> {
        // A read blocks no writer, and nearly always nothing is to be returned.
        let due = self
            .readers
            .sql(
                "SELECT id FROM cancellations
             WHERE state = $1 AND due_at_ms <= $2 AND (worker IS NULL OR worker <> $3) LIMIT 1",
            )
            .bind(CancellationState::Returning.word())
            .bind_now()
            .bind(worker.to_string())
            .fetch_optional()
            .await?;
        if due.is_none() {
            return Ok(Vec::new());
        }
        let Some(mut transaction) = self.begin_taking(worker).await? else {
            return Ok(Vec::new());
        };
        let mut query = due_returns();
        query.push(" AND c.due_at_ms <= ").push_bind(self.now_ms());
        if let Some(instance) = instance {
            query
                .push(" AND a.instance_id = ")
                .push_bind(instance.to_string());
        }
        without_instances(&mut query, "a.instance_id", without);
        query
            .push(" ORDER BY c.due_at_ms LIMIT ")
            .push_bind(i64::from(limit));
        let rows = transaction.build(&mut query).fetch_all().await?;
        let mut taken = Vec::with_capacity(rows.len());
        for row in &rows {
            taken.push(take(&mut transaction, row, worker).await?);
        }
        transaction.commit().await?;
        Ok(taken)
    }

    /// Takes one return for a worker, due or not. `None`: it is settled, or another worker's.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn take_return(
        &self,
        worker: Uuid,
        cancellation_id: Uuid,
    ) -> Result<Option<TakenReturn>, RecordError> {
        let Some(mut transaction) = self.begin_taking(worker).await? else {
            return Ok(None);
        };
        let mut query = due_returns();
        query.push(" AND c.id = ").push_bind(cancellation_id.to_string());
        let row = transaction.build(&mut query).fetch_optional().await?;
        let Some(row) = row else { return Ok(None) };
        let taken = take(&mut transaction, &row, worker).await?;
        transaction.commit().await?;
        Ok(Some(taken))
    }

    /// Releases a return that could not be attempted, until it is due again.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn leave_return(&self, taken: &TakenReturn, due_at_ms: i64) -> Result<(), RecordError> {
        self.writer
            .sql("UPDATE cancellations SET worker = NULL, due_at_ms = $3 WHERE id = $1 AND worker = $2")
            .bind(taken.cancellation_id.to_string())
            .bind(taken.worker.to_string())
            .bind(due_at_ms)
            .execute()
            .await?;
        Ok(())
    }

    /// Records that a license is about to be returned. Call it before the plugin: a return that is not on record
    /// would never be followed up.
    ///
    /// # Errors
    /// When the worker has not taken the return, or it is settled.
    pub async fn begin_return(&self, taken: &TakenReturn) -> Result<BegunReturn, BeginReturnError> {
        let mut transaction = self.begin_write().await?;
        let row = transaction.sql(
            "SELECT c.return_client_transaction_id, c.comment, a.client_transaction_id, a.transaction_id, a.license_token_id,
                    (SELECT awaits_adoption FROM provenance) AS awaits_adoption,
                    (SELECT look_up_only_ms FROM provenance) AS look_up_only_ms
             FROM cancellations c JOIN assets a ON a.id = c.asset_id
             WHERE c.id = $1 AND c.worker = $2 AND c.state = $3",
        )
        .bind(taken.cancellation_id.to_string())
        .bind(taken.worker.to_string())
        .bind(CancellationState::Returning.word())
        .fetch_optional()
        .await?
        .ok_or(BeginReturnError::NotTaken {
            asset: taken.asset_id,
            worker: taken.worker,
        })?;
        let [transaction_id, license_token_id] =
            ["transaction_id", "license_token_id"].map(|name| row.try_get::<Option<String>, _>(name));
        let (Some(transaction_id), Some(license_token_id)) = (transaction_id?, license_token_id?) else {
            return Err(RecordError::Damaged {
                what: format!(
                    "asset `{}` has a license without the vendor's names",
                    taken.asset_id
                ),
            }
            .into());
        };
        let before = timed_attempts(&mut transaction, taken.cancellation_id).await?;
        let number = before
            .last()
            .map_or(0, |(last, ..)| last.number)
            .saturating_add(1);
        let now = self.now();
        transaction
            .sql(
                "INSERT INTO return_attempts (cancellation_id, number, begun_at_ms, boot, begun_uptime_ms)
             VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(taken.cancellation_id.to_string())
            .bind(i64::from(number))
            .bind(now.wall_ms)
            .bind(boot(now))
            .bind(uptime_ms(now))
            .execute()
            .await?;
        let dispatch = self.begin_dispatch(&mut transaction).await?;
        transaction.commit().await?;
        self.testify(dispatch);
        Ok(BegunReturn {
            number,
            earlier: earlier(&before),
            in_doubt_since: in_doubt_since(&before, now),
            awaits_adoption: row.try_get("awaits_adoption")?
                && before
                    .iter()
                    .any(|(attempt, ..)| attempt.result == Some(ReturnResult::Restored)),
            look_up_only: look_up_only(&row)?,
            client_transaction_id: id(&row, "return_client_transaction_id")?,
            license: LicenseNames {
                client_transaction_id: id(&row, "client_transaction_id")?,
                transaction_id,
                license_token_id,
            },
            comment: row.try_get("comment")?,
        })
    }

    /// Records the outcome of an attempt at a return, releases the return, and, all at once or not at all:
    ///
    /// - returned: the asset is cancelled, its license Return Accepted, its return Successful, its whole price
    ///   credited, and the cancellation done.
    /// - refused: the cancellation is refused, and the asset stays as it is.
    /// - refused for now, unavailable or unknown: the cancellation stays open, and is due again when told.
    ///
    /// # Errors
    /// When the attempt does not exist or is not under way.
    pub async fn finish_return(
        &self,
        taken: &TakenReturn,
        number: u32,
        outcome: &ReturnOutcome,
        due_at_ms: i64,
    ) -> Result<Cancellation, FinishReturnError> {
        let mut patience = self.patience();
        loop {
            match self.try_to_finish_return(taken, number, outcome, due_at_ms).await {
                Err(FinishReturnError::Record(error)) if patience.allows(&error).await => {}
                finished => return finished,
            }
        }
    }

    async fn try_to_finish_return(
        &self,
        taken: &TakenReturn,
        number: u32,
        outcome: &ReturnOutcome,
        due_at_ms: i64,
    ) -> Result<Cancellation, FinishReturnError> {
        let mut transaction = self.begin_write().await?;
        let (result, problem) = (outcome.result(), outcome.problem());
        let now = self.now();
        let finished = transaction.sql(
            "UPDATE return_attempts SET finished_at_ms = $3, finished_uptime_ms = $4, result = $5, problem = $6
             WHERE cancellation_id = $1 AND number = $2 AND finished_at_ms IS NULL",
        )
        .bind(taken.cancellation_id.to_string())
        .bind(i64::from(number))
        .bind(now.wall_ms)
        .bind(uptime_ms(now))
        .bind(result.word())
        .bind(problem.map(to_json).transpose()?)
        .execute()
        .await?;
        if finished == 0 {
            return Err(FinishReturnError::NoAttempt {
                asset: taken.asset_id,
                number,
            });
        }
        let reason = problem.map(|problem| ReturnReason {
            result,
            problem: problem.clone(),
        });
        let before = existing(&mut transaction, taken.cancellation_id).await?;
        let is_open = before.state == CancellationState::Returning;
        match result {
            ReturnResult::Returned if is_open => {
                settle(&mut transaction, taken, CancellationState::Done, None, due_at_ms).await?;
                cancel_asset(&mut transaction, taken).await?;
                tell(&mut transaction, OutcomeKind::Returned, taken.asset_id, None).await?;
            }
            ReturnResult::Returned if before.state == CancellationState::Refused => {
                tracing::error!(asset = %taken.asset_id, "the vendor has taken back this asset's license, although the return was recorded as refused");
                show_returned(&mut transaction, taken.asset_id).await?;
                tell(
                    &mut transaction,
                    OutcomeKind::ReturnedElsewhere,
                    taken.asset_id,
                    None,
                )
                .await?;
            }
            // The worker that has taken the return meanwhile decides its outcome.
            _ if !is_open || !is_taken(&mut transaction, taken).await? => {}
            ReturnResult::Refused if matches!(outcome, ReturnOutcome::Refused(_)) => {
                let state = CancellationState::Refused;
                settle(&mut transaction, taken, state, reason.as_ref(), due_at_ms).await?;
                tell(
                    &mut transaction,
                    OutcomeKind::ReturnRefused,
                    taken.asset_id,
                    problem,
                )
                .await?;
            }
            _ => settle(&mut transaction, taken, before.state, reason.as_ref(), due_at_ms).await?,
        }
        let cancellation = existing(&mut transaction, taken.cancellation_id).await?;
        transaction.commit().await?;
        Ok(cancellation)
    }

    /// Attempts at the return of a cancellation, oldest first. They are few: pauses between them grow.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn return_attempts(&self, cancellation_id: Uuid) -> Result<Vec<ReturnAttempt>, RecordError> {
        let mut connection = self.readers.acquire().await?;
        attempts(&mut connection, cancellation_id).await
    }
}

/// Returns that no worker has, with their assets.
fn due_returns() -> Builder {
    let mut query = Builder::new(
        "SELECT c.id, c.asset_id, a.instance_id FROM cancellations c JOIN assets a ON a.id = c.asset_id
         WHERE c.worker IS NULL AND c.state = ",
    );
    query.push_bind(CancellationState::Returning.word());
    query
}

async fn take(transaction: &mut Connection, row: &Row, worker: Uuid) -> Result<TakenReturn, RecordError> {
    let taken = TakenReturn {
        cancellation_id: id(row, "id")?,
        asset_id: id(row, "asset_id")?,
        instance_id: id(row, "instance_id")?,
        worker,
    };
    transaction
        .sql("UPDATE cancellations SET worker = $2 WHERE id = $1")
        .bind(taken.cancellation_id.to_string())
        .bind(worker.to_string())
        .execute()
        .await?;
    Ok(taken)
}

async fn is_taken(transaction: &mut Connection, taken: &TakenReturn) -> Result<bool, RecordError> {
    let row = transaction
        .sql("SELECT 1 FROM cancellations WHERE id = $1 AND worker = $2")
        .bind(taken.cancellation_id.to_string())
        .bind(taken.worker.to_string())
        .fetch_optional()
        .await?;
    Ok(row.is_some())
}

/// Writes the state of a cancellation, and releases it.
async fn settle(
    transaction: &mut Connection,
    taken: &TakenReturn,
    state: CancellationState,
    reason: Option<&ReturnReason>,
    due_at_ms: i64,
) -> Result<(), RecordError> {
    let ended_at_ms = (!state.is_open()).then(|| transaction.now_ms());
    transaction.sql(
        "UPDATE cancellations SET state = $2, reason = $3, ended_at_ms = $4, due_at_ms = $5, worker = NULL
         WHERE id = $1",
    )
    .bind(taken.cancellation_id.to_string())
    .bind(state.word())
    .bind(reason.map(to_json).transpose()?)
    .bind(ended_at_ms)
    .bind(due_at_ms)
    .execute()
    .await?;
    Ok(())
}

/// Cancels the asset of a return that the vendor has accepted, and credits it.
async fn cancel_asset(transaction: &mut Connection, taken: &TakenReturn) -> Result<(), RecordError> {
    let cancelled = transaction
        .sql("UPDATE assets SET status = $2 WHERE id = $1 AND status = $3")
        .bind(taken.asset_id.to_string())
        .bind(AssetStatus::Cancelled.word())
        .bind(AssetStatus::Active.word())
        .execute()
        .await?;
    if cancelled != 1 {
        return Err(RecordError::Damaged {
            what: format!("asset `{}` was cancelled twice", taken.asset_id),
        });
    }
    let now_ms = transaction.now_ms();
    enqueue_return(transaction, taken.asset_id, taken.cancellation_id, now_ms).await?;
    show_returned(transaction, taken.asset_id).await?;
    credit(transaction, taken.asset_id, taken.cancellation_id, now_ms).await?;
    Ok(())
}

/// Records that the vendor shows an asset's license as returned, and withdraws its unsent e-mails.
async fn show_returned(transaction: &mut Connection, asset_id: Uuid) -> Result<(), RecordError> {
    transaction.sql(
        "UPDATE assets SET license_token_status = $2, return_status = $3, refreshed_at_ms = $4 WHERE id = $1",
    )
    .bind(asset_id.to_string())
    .bind(LicenseTokenStatus::Returned.word())
    .bind(ReturnStatus::Successful.word())
    .bind_now()
    .execute()
    .await?;
    withdraw(transaction, asset_id).await
}

/// An attempt, when it was begun, and when it ended.
type TimedAttempt = (ReturnAttempt, Moment, Option<Moment>);

/// Sums up the attempts so far. An attempt without an end was broken off, and may have returned the license.
fn earlier(attempts: &[TimedAttempt]) -> EarlierAttempts {
    let is_not_done = |(attempt, ..): &TimedAttempt| {
        matches!(
            attempt.result,
            Some(ReturnResult::Refused | ReturnResult::Unavailable)
        )
    };
    if attempts.is_empty() {
        EarlierAttempts::None
    } else if attempts.iter().all(is_not_done) {
        EarlierAttempts::NotDone
    } else {
        EarlierAttempts::Unknown
    }
}

/// The moment since when the outcome of a return is unknown. An attempt that was cut off had ended when the next one
/// was begun: its worker was dead by then. What was done before the machine was started again counts as done when the
/// first attempt after that was begun.
fn in_doubt_since(attempts: &[TimedAttempt], next_begun: Moment) -> Option<Moment> {
    let next = attempts.iter().skip(1).map(|(_, begun, _)| *begun);
    let mut since = None::<Moment>;
    for ((attempt, begun, finished), next_begun) in attempts.iter().zip(next.chain([next_begun])) {
        let ended = match attempt.result {
            None => Some(next_begun),
            Some(ReturnResult::Unknown | ReturnResult::Restored) => Some(finished.unwrap_or(*begun)),
            Some(ReturnResult::Returned | ReturnResult::Refused | ReturnResult::Unavailable) => since,
        };
        since = ended.map(|ended| match ended.is_of_the_boot_of(next_begun) {
            true => ended,
            false => next_begun,
        });
    }
    since
}

async fn timed_attempts(
    connection: &mut Connection,
    cancellation_id: Uuid,
) -> Result<Vec<TimedAttempt>, RecordError> {
    let rows = connection
        .sql("SELECT * FROM return_attempts WHERE cancellation_id = $1 ORDER BY number")
        .bind(cancellation_id.to_string())
        .fetch_all()
        .await?;
    let timed = rows.iter().map(|row| {
        let begun = certain(moment(row, "begun_at_ms", "begun_uptime_ms")?, "begun_at_ms")?;
        let finished = moment(row, "finished_at_ms", "finished_uptime_ms")?;
        Ok((attempt(row)?, begun, finished))
    });
    timed.collect()
}

async fn attempts(
    connection: &mut Connection,
    cancellation_id: Uuid,
) -> Result<Vec<ReturnAttempt>, RecordError> {
    let timed = timed_attempts(connection, cancellation_id).await?;
    Ok(timed.into_iter().map(|(attempt, ..)| attempt).collect())
}

pub(super) fn attempt(row: &Row) -> Result<ReturnAttempt, RecordError> {
    let result: Option<&str> = row.try_get("result")?;
    Ok(ReturnAttempt {
        number: count(row, "number")?,
        begun_at_ms: row.try_get("begun_at_ms")?,
        finished_at_ms: row.try_get("finished_at_ms")?,
        result: result.map(ReturnResult::from_word).transpose()?,
        problem: optional(row, "problem", from_json)?,
    })
}

#[cfg(test)]
mod tests {
    use bss_model::moment::{Boot, Uptime};

    use super::*;

    #[test]
    fn a_return_is_in_doubt_since_the_end_of_the_last_attempt_that_may_have_been_done() {
        use ReturnResult::{Refused, Restored, Unavailable, Unknown};
        let since = |attempts: &[(i64, Option<(i64, ReturnResult)>)]| {
            let attempts: Vec<_> = attempts
                .iter()
                .map(|(begun_at_ms, end)| {
                    timed(at(1, *begun_at_ms), end.map(|(ms, result)| (at(1, ms), result)))
                })
                .collect();
            in_doubt_since(&attempts, at(1, 100)).map(|since| since.wall_ms)
        };
        assert_eq!(since(&[]), None);
        assert_eq!(
            since(&[(1, Some((2, Unavailable))), (3, Some((4, Refused)))]),
            None
        );
        assert_eq!(
            since(&[(1, Some((2, Unknown))), (3, Some((4, Refused)))]),
            Some(2)
        );
        assert_eq!(since(&[(1, None), (3, Some((4, Refused)))]), Some(3));
        assert_eq!(since(&[(1, Some((2, Unknown))), (3, None)]), Some(100));
        assert_eq!(since(&[(5, Some((5, Restored)))]), Some(5));
    }

    #[test]
    fn after_a_restart_of_the_machine_a_return_is_in_doubt_since_the_next_attempt() {
        let unknown = timed(at(1, 1), Some((at(1, 2), ReturnResult::Unknown)));
        let refused = timed(at(2, 50), Some((at(2, 60), ReturnResult::Refused)));
        assert_eq!(
            in_doubt_since(std::slice::from_ref(&unknown), at(2, 70)),
            Some(at(2, 70))
        );
        assert_eq!(in_doubt_since(&[unknown, refused], at(2, 70)), Some(at(2, 50)));
    }

    fn at(boot: u128, ms: i64) -> Moment {
        let uptime = Some(Uptime {
            boot: Boot(Uuid::from_u128(boot)),
            ms,
        });
        Moment { wall_ms: ms, uptime }
    }

    fn timed(begun: Moment, end: Option<(Moment, ReturnResult)>) -> TimedAttempt {
        let attempt = ReturnAttempt {
            number: 1,
            begun_at_ms: begun.wall_ms,
            finished_at_ms: end.map(|(finished, _)| finished.wall_ms),
            result: end.map(|(_, result)| result),
            problem: None,
        };
        (attempt, begun, end.map(|(finished, _)| finished))
    }
}
