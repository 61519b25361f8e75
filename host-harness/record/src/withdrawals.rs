//! Withdrawals: what of an order is certainly not bought is called back, and what may be bought is looked up until that is
//! certain.

use std::collections::BTreeSet;
use std::time::Duration;

use bss_model::moment::Moment;
use bss_model::purchase_rule::{LineAge, is_certainly_not_bought, is_withdrawn_on_word, look_up_only_at};
use bss_model::{
    Act, Actor, Advice, AssetStatus, AttemptResult, Authority, Diagnose, Diagnosis, Doubt, ErrorKind,
    LineWithdrawal, OutcomeKind, Problem, Subject, SyncStatus, WithdrawalEnd,
};
use serde_json::json;
use uuid::Uuid;

use super::acts::write_act;
use super::earlier_attempts::earlier_of;
use super::line_age::{line_age, read_age};
use super::look_up_only::look_up_only;
use super::order_mails::release_settled;
use super::outcomes::tell;
use super::stored::{ROWS_PER_STATEMENT, count, from_json, id, optional};
use super::{Record, RecordError};
use crate::database::{Connection, Row};

/// Why nothing of an order is withdrawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WithdrawError {
    /// The order has no lines, because it does not exist.
    #[error("there is no order `{order}` to withdraw")]
    NoOrder {
        /// The id that was asked for.
        order: Uuid,
    },
    /// An asset is not the order's.
    #[error("asset `{asset}` is not one of order `{order}`")]
    NotOfOrder {
        /// The asset.
        asset: Uuid,
        /// The order.
        order: Uuid,
    },
    /// No line is named that somebody says was not bought.
    #[error("no line of order `{order}` is named that was not bought")]
    NoneNamed {
        /// The order.
        order: Uuid,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for WithdrawError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NoOrder { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "no-order").advise(Advice::ListOrders)
            }
            Self::NotOfOrder { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "not-of-order").say("look at the assets of the order")
            }
            Self::NoneNamed { .. } => Diagnosis::new(ErrorKind::Invalid, "no-line-named")
                .say("name the asset of each line that the vendor has not sold"),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// A line as it stands before it is withdrawn.
struct Line {
    asset_id: Uuid,
    position: u32,
    product_code: String,
    quantity: u32,
    status: AssetStatus,
    sync_status: SyncStatus,
    is_taken: bool,
    is_asked: bool,
    age: LineAge,
}

/// What tells that a line was not bought.
#[derive(Clone, Copy)]
enum Basis {
    /// The attempts on record.
    Record,
    /// The word of who withdraws it, beside them.
    Word,
}

/// What decides whether somebody's word counts for the lines of an order.
struct Word {
    awaits_adoption: bool,
    look_up_only: Duration,
}

impl Word {
    fn counts(&self, doubt: Option<Doubt>, last_look_up: Option<&str>, now: Moment) -> bool {
        is_withdrawn_on_word(doubt, last_look_up, self.awaits_adoption, self.look_up_only, now)
    }
}

/// The code of an asset's last attempt, where that was a look-up that has ended.
async fn last_look_up(connection: &mut Connection, asset_id: Uuid) -> Result<Option<String>, RecordError> {
    let row = connection
        .sql("SELECT result, problem FROM attempts WHERE asset_id = $1 ORDER BY number DESC LIMIT 1")
        .bind(asset_id.to_string())
        .fetch_optional()
        .await?;
    let Some(row) = row else { return Ok(None) };
    let result: Option<&str> = row.try_get("result")?;
    if result != Some(AttemptResult::LookedUp.word()) {
        return Ok(None);
    }
    let problem: Option<Problem> = optional(&row, "problem", from_json)?;
    Ok(problem.map(|problem| problem.code))
}

async fn word(connection: &mut Connection, instance_id: Uuid) -> Result<Word, WithdrawError> {
    let row = connection.sql(
        "SELECT look_up_only_ms, awaits_adoption, (SELECT authorities FROM instances WHERE id = $1) AS authorities
         FROM provenance",
    )
    .bind(instance_id.to_string())
    .fetch_one()
    .await?;
    let authorities: Vec<Authority> = from_json(&row, "authorities")?;
    Ok(Word {
        awaits_adoption: row.try_get("awaits_adoption")?,
        look_up_only: look_up_only_at(&authorities, look_up_only(&row)?),
    })
}

impl Record {
    /// Withdraws lines of an order, or all of them, in one transaction. What is certainly not bought, refused lines included,
    /// is withdrawn at once: no worker takes it any more. What may be bought is only looked up from now on, and withdrawn
    /// once it is certain that it was not. Bought licenses stay as they are. A second time changes nothing.
    ///
    /// # Errors
    /// When there is no such order, or an asset is not one of it; nothing is withdrawn then.
    pub async fn withdraw_order(
        &self,
        order: Uuid,
        assets: &[Uuid],
        actor: &Actor,
    ) -> Result<Vec<LineWithdrawal>, WithdrawError> {
        self.withdraw(order, assets, Basis::Record, actor).await
    }

    /// Withdraws lines as [`Record::withdraw_order`] does, and those that may have been bought too, on the actor's word that the
    /// vendor has not sold them. What may be under way, what the vendor has accepted, and what another copy of the record may
    /// buy stays in doubt all the same.
    ///
    /// # Errors
    /// As [`Record::withdraw_order`].
    pub async fn withdraw_on_word(
        &self,
        order: Uuid,
        assets: &[Uuid],
        actor: &Actor,
    ) -> Result<Vec<LineWithdrawal>, WithdrawError> {
        self.withdraw(order, assets, Basis::Word, actor).await
    }

    async fn withdraw(
        &self,
        order: Uuid,
        assets: &[Uuid],
        basis: Basis,
        actor: &Actor,
    ) -> Result<Vec<LineWithdrawal>, WithdrawError> {
        let mut transaction = self.begin_write().await?;
        self.release_dead_workers(&mut transaction).await?;
        let instance_id = instance_of(&mut transaction, order).await?;
        let word = match basis {
            Basis::Record => None,
            Basis::Word => Some(word(&mut transaction, instance_id).await?),
        };
        let lines = chosen(lines(&mut transaction, order).await?, order, assets)?;
        let mut withdrawn = Vec::with_capacity(lines.len());
        for some in lines.chunks(ROWS_PER_STATEMENT) {
            let ids: Vec<Uuid> = some.iter().map(|line| line.asset_id).collect();
            let earlier = earlier_of(&mut transaction, &ids).await?;
            let now = self.now();
            for line in some {
                let doubt = earlier
                    .get(&line.asset_id)
                    .and_then(|earlier| earlier.in_doubt(now));
                let was_refused = line.sync_status == SyncStatus::Failed;
                let is_certain = is_certainly_not_bought(doubt, was_refused, &line.age, now);
                let on_word = match &word {
                    Some(word) if !is_certain => {
                        let last = last_look_up(&mut transaction, line.asset_id).await?;
                        word.counts(doubt, last.as_deref(), now)
                    }
                    _ => false,
                };
                let end = end(line, is_certain || on_word);
                let mut detail = json!({ "sync_status": line.sync_status.word(), "end": end.word() });
                if end == WithdrawalEnd::Withdrawn && on_word {
                    detail["on_word"] = true.into();
                }
                let is_changed = match end {
                    WithdrawalEnd::Withdrawn => {
                        withdraw_line(&mut transaction, line.asset_id).await?;
                        true
                    }
                    WithdrawalEnd::InDoubt => {
                        ask(&mut transaction, line.asset_id).await?;
                        !line.is_asked
                    }
                    WithdrawalEnd::WithdrawnBefore | WithdrawalEnd::Bought | WithdrawalEnd::Cancelled => {
                        false
                    }
                };
                if is_changed {
                    let (act, subject) = (Act::WithdrawAsset, Subject::asset(line.asset_id));
                    write_act(&mut transaction, actor, act, &subject, Some(instance_id), detail).await?;
                }
                withdrawn.push(of_line(line, end));
            }
        }
        transaction.commit().await?;
        Ok(withdrawn)
    }

    /// How the withdrawal of lines of an order stands, or of all of them. Nothing is changed.
    ///
    /// # Errors
    /// When there is no such order, or an asset is not one of it.
    pub async fn withdrawal_of_order(
        &self,
        order: Uuid,
        assets: &[Uuid],
    ) -> Result<Vec<LineWithdrawal>, WithdrawError> {
        let mut connection = self.readers.acquire().await?;
        instance_of(&mut connection, order).await?;
        let lines = chosen(lines(&mut connection, order).await?, order, assets)?;
        Ok(lines.iter().map(|line| of_line(line, end(line, false))).collect())
    }
}

/// Whether a line that was asked to be withdrawn is certainly not bought, after an attempt with that result.
pub(super) async fn may_be_withdrawn(
    transaction: &mut Connection,
    asset_id: Uuid,
    result: AttemptResult,
) -> Result<bool, RecordError> {
    if result == AttemptResult::NotBought {
        return Ok(true);
    }
    let row = transaction
        .sql(concat!(
            "SELECT ",
            line_age!(),
            " FROM assets JOIN orders ON orders.id = assets.order_id WHERE assets.id = $1"
        ))
        .bind(asset_id.to_string())
        .fetch_one()
        .await?;
    let earlier = earlier_of(transaction, &[asset_id]).await?;
    let now = transaction.now();
    let doubt = earlier.get(&asset_id).and_then(|earlier| earlier.in_doubt(now));
    let was_refused = result == AttemptResult::Refused;
    Ok(is_certainly_not_bought(doubt, was_refused, &read_age(&row)?, now))
}

/// Withdraws a line that is certainly not bought: nothing is bought for it any more.
pub(super) async fn withdraw_line(transaction: &mut Connection, asset_id: Uuid) -> Result<(), RecordError> {
    transaction
        .sql("UPDATE assets SET status = $2, sync_status = $3, withdrawal_asked_at_ms = NULL WHERE id = $1")
        .bind(asset_id.to_string())
        .bind(AssetStatus::Withdrawn.word())
        .bind(SyncStatus::Withdrawn.word())
        .execute()
        .await?;
    let now_ms = transaction.now_ms();
    release_settled(transaction, asset_id, now_ms).await?;
    tell(transaction, OutcomeKind::Withdrawn, asset_id, None).await
}

/// Asks for a line in doubt to be withdrawn. It is due now, because only a look-up can tell.
async fn ask(transaction: &mut Connection, asset_id: Uuid) -> Result<(), RecordError> {
    transaction.sql(
        "UPDATE assets SET withdrawal_asked_at_ms = COALESCE(withdrawal_asked_at_ms, $2), 
                due_at_ms = CASE WHEN due_at_ms > $2 THEN $2 ELSE due_at_ms END,
                wanted_since_ms = CASE WHEN sync_status = $3 THEN $2 ELSE wanted_since_ms END, sync_status = $4
         WHERE id = $1",
    )
    .bind(asset_id.to_string())
    .bind_now()
    .bind(SyncStatus::Failed.word())
    .bind(SyncStatus::Unsynchronised.word())
    .execute()
    .await?;
    Ok(())
}

fn end(line: &Line, is_certainly_not_bought: bool) -> WithdrawalEnd {
    match (line.status, line.sync_status) {
        (AssetStatus::Cancelled, _) => WithdrawalEnd::Cancelled,
        (_, SyncStatus::Withdrawn) => WithdrawalEnd::WithdrawnBefore,
        (_, SyncStatus::Synchronized) => WithdrawalEnd::Bought,
        (_, SyncStatus::Unsynchronised | SyncStatus::Failed) if is_certainly_not_bought && !line.is_taken => {
            WithdrawalEnd::Withdrawn
        }
        (_, SyncStatus::Unsynchronised | SyncStatus::Failed) => WithdrawalEnd::InDoubt,
    }
}

fn of_line(line: &Line, end: WithdrawalEnd) -> LineWithdrawal {
    LineWithdrawal {
        asset_id: line.asset_id,
        position: line.position,
        product_code: line.product_code.clone(),
        quantity: line.quantity,
        end,
    }
}

async fn instance_of(connection: &mut Connection, order: Uuid) -> Result<Uuid, WithdrawError> {
    let row = connection
        .sql("SELECT instance_id FROM orders WHERE id = $1")
        .bind(order.to_string())
        .fetch_optional()
        .await?;
    let row = row.ok_or(WithdrawError::NoOrder { order })?;
    Ok(id(&row, "instance_id")?)
}

async fn lines(connection: &mut Connection, order: Uuid) -> Result<Vec<Line>, RecordError> {
    let rows = connection.sql(concat!(
        "SELECT assets.id, position, product_code, quantity, status, sync_status, worker IS NOT NULL AS is_taken,
                withdrawal_asked_at_ms IS NOT NULL AS is_asked, ",
        line_age!(),
        " FROM assets JOIN orders ON orders.id = assets.order_id WHERE order_id = $1 ORDER BY position"
    ))
    .bind(order.to_string())
    .fetch_all()
    .await?;
    rows.iter().map(read_line).collect()
}

/// The lines of assets, or all of them where no asset is named.
fn chosen(lines: Vec<Line>, order: Uuid, assets: &[Uuid]) -> Result<Vec<Line>, WithdrawError> {
    let known: BTreeSet<Uuid> = lines.iter().map(|line| line.asset_id).collect();
    if let Some(asset) = assets.iter().find(|asset| !known.contains(asset)) {
        return Err(WithdrawError::NotOfOrder { asset: *asset, order });
    }
    let asked: BTreeSet<Uuid> = assets.iter().copied().collect();
    let is_chosen = |line: &Line| asked.is_empty() || asked.contains(&line.asset_id);
    Ok(lines.into_iter().filter(is_chosen).collect())
}

fn read_line(row: &Row) -> Result<Line, RecordError> {
    Ok(Line {
        asset_id: id(row, "id")?,
        position: count(row, "position")?,
        product_code: row.try_get("product_code")?,
        quantity: count(row, "quantity")?,
        status: AssetStatus::from_word(row.try_get("status")?)?,
        sync_status: SyncStatus::from_word(row.try_get("sync_status")?)?,
        is_taken: row.try_get("is_taken")?,
        is_asked: row.try_get("is_asked")?,
        age: read_age(row)?,
    })
}
