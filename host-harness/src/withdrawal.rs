//! Orders that are called back: what is certainly not bought is withdrawn, and what may be bought is looked up at once.

use std::collections::HashMap;

use bss_model::{Actor, AssetSelection, LineWithdrawal, WithdrawalEnd, with_causes};
use bss_record::WithdrawError;
use bss_sandbox::CallListener;
use uuid::Uuid;

use crate::host::Host;
use crate::worker::LINES_AT_ONCE;

impl Host {
    /// Withdraws lines of an order, or all of them. What is certainly not bought, refused lines included, is withdrawn in one
    /// transaction. What may be bought is looked up while the caller waits, and is withdrawn, or turns out to be bought; what
    /// stays in doubt is only looked up by workers from now on, until that is certain. Bought licenses stay as they are.
    ///
    /// # Errors
    /// When there is no such order, or an asset is not one of it; nothing is withdrawn then.
    pub async fn withdraw_order(
        &self,
        order_id: Uuid,
        assets: &[Uuid],
        actor: &Actor,
        listener: CallListener,
    ) -> Result<Vec<LineWithdrawal>, WithdrawError> {
        let no_order = WithdrawError::NoOrder { order: order_id };
        self.own_order(order_id).await?.ok_or(no_order)?;
        let mut lines = self.record().withdraw_order(order_id, assets, actor).await?;
        if lines.iter().all(|line| line.end != WithdrawalEnd::InDoubt) {
            return Ok(lines);
        }
        let taking = AssetSelection {
            order: Some(order_id),
            to_be_withdrawn: true,
            ..AssetSelection::default()
        };
        let looked_up = async {
            self.settle_orders(taking, LINES_AT_ONCE, listener).await?;
            self.record().withdrawal_of_order(order_id, assets).await
        };
        match looked_up.await {
            Ok(now) => clear_up(&mut lines, &now),
            // The withdrawal is on record: workers look these lines up, too.
            Err(error) => {
                let error = with_causes(&error);
                tracing::warn!(error, order = %order_id, "withdrawn lines can't be looked up now, and are by a worker");
            }
        }
        Ok(lines)
    }

    /// Withdraws lines of an order as [`Host::withdraw_order`] does, and then those of them that no look-up can tell of, on the
    /// actor's word that the vendor has not sold them: what the vendor answers comes first. What may be under way, and what the
    /// vendor has accepted, stays in doubt all the same.
    ///
    /// # Errors
    /// As [`Host::withdraw_order`], and when no line is named.
    pub async fn withdraw_on_word(
        &self,
        order_id: Uuid,
        assets: &[Uuid],
        actor: &Actor,
        listener: CallListener,
    ) -> Result<Vec<LineWithdrawal>, WithdrawError> {
        if assets.is_empty() {
            return Err(WithdrawError::NoneNamed { order: order_id });
        }
        let mut lines = self.withdraw_order(order_id, assets, actor, listener).await?;
        let in_doubt = lines.iter().filter(|line| line.end == WithdrawalEnd::InDoubt);
        let in_doubt: Vec<Uuid> = in_doubt.map(|line| line.asset_id).collect();
        if !in_doubt.is_empty() {
            let now = self.record().withdraw_on_word(order_id, &in_doubt, actor).await?;
            clear_up(&mut lines, &now);
        }
        Ok(lines)
    }
}

/// Has lines that were in doubt end as they stand now.
fn clear_up(lines: &mut [LineWithdrawal], now: &[LineWithdrawal]) {
    let now: HashMap<Uuid, WithdrawalEnd> = now.iter().map(|line| (line.asset_id, line.end)).collect();
    for line in lines.iter_mut().filter(|line| line.end == WithdrawalEnd::InDoubt) {
        line.end = match now.get(&line.asset_id) {
            Some(WithdrawalEnd::WithdrawnBefore) => WithdrawalEnd::Withdrawn,
            Some(end) => *end,
            None => line.end,
        };
    }
}
