//! Settling orders while a caller waits: line after line is attempted, as long as that helps.

use std::collections::HashMap;

use bss_model::{Actor, Asset, AssetFilter, AssetSelection, Page};
use bss_record::{RecordError, RetryError};
use bss_sandbox::CallListener;
use tokio::sync::watch;
use uuid::Uuid;

use crate::host::Host;
use crate::license_order::PlaceError;
use crate::own_task::{in_own_task, until_stopped};
use crate::pause::{ATTEMPTS_WAITED_FOR, LONGEST_WAIT};
use crate::ready_instances::PrepareError;
use crate::worker::{LINES_AT_ONCE, LOOK, Work};

impl Host {
    /// Buys the licenses of an order's unsettled assets, as far as that is possible now, and returns all of its
    /// assets. Can be called again for the same order at any time, also after a crash or beside a worker: it never
    /// buys a second license for an asset. A caller that is dropped stops it; purchases that are under way then go on to
    /// their end.
    ///
    /// # Errors
    /// When there is no such order, calls for its instance can't be made, or the record fails.
    pub async fn run_order(&self, order_id: Uuid, listener: CallListener) -> Result<Vec<Asset>, PlaceError> {
        let order = self.own_order(order_id).await?;
        let order = order.ok_or(PlaceError::NoOrder(order_id))?;
        let instance = self.instance_on_record(order.instance_id).await?;
        // Find anything that would make every attempt fail before attempting any.
        self.ready_call(&instance, listener.clone()).await?;
        self.plugin_of(&instance).await.map_err(PrepareError::from)?;
        let taking = AssetSelection {
            order: Some(order_id),
            ..AssetSelection::default()
        };
        self.settle(taking, LINES_AT_ONCE, listener).await?;
        let filter = AssetFilter {
            order: Some(order_id),
            ..AssetFilter::default()
        };
        Ok(self.record().assets(&filter, &Page::all()).await?.rows)
    }

    /// Tries an asset again that has failed or waits, and returns it as it stands then. A license that an earlier
    /// attempt may have bought is looked up first.
    ///
    /// # Errors
    /// When there is no such asset, it has its license already, its instance is disabled, calls can't be made, or the record
    /// fails.
    pub async fn retry_asset(
        &self,
        asset_id: Uuid,
        actor: &Actor,
        listener: CallListener,
    ) -> Result<Asset, PlaceError> {
        self.check_retry(asset_id).await?;
        self.record().retry_asset(asset_id, actor).await?;
        let taking = AssetSelection {
            asset: Some(asset_id),
            ..AssetSelection::default()
        };
        self.settle(taking, 1, listener).await?;
        let asset = self.record().asset(asset_id).await?;
        Ok(asset.ok_or(RetryError::NoAsset { id: asset_id })?)
    }

    /// Makes the purchase of a refused asset due again, for a worker; see [`AssetHandle::retry_refused`](crate::AssetHandle::retry_refused).
    pub(crate) async fn retry_refused(&self, asset_id: Uuid, actor: &Actor) -> Result<(), PlaceError> {
        self.check_retry(asset_id).await?;
        Ok(self.record().retry_refused(asset_id, actor).await?)
    }

    /// Finds anything that would make another attempt fail before something is changed.
    async fn check_retry(&self, asset_id: Uuid) -> Result<(), PlaceError> {
        let asset = self.own_asset(asset_id).await?;
        let asset = asset.ok_or(RetryError::NoAsset { id: asset_id })?;
        let instance = self.instance_on_record(asset.instance_id).await?;
        if instance.is_disabled() {
            return Err(PrepareError::Disabled(instance.name).into());
        }
        self.plugin_of(&instance).await.map_err(PrepareError::from)?;
        Ok(())
    }

    /// Works on chosen order lines while that helps: until all are settled, or each has been attempted a few times,
    /// or the rest has to wait longer than a person would. Lines that another process works on are waited for. Lines of another
    /// owner's than [the host's](Host::for_owner) are not chosen. A caller that is dropped stops it; purchases that are under
    /// way then go on to their end.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn settle_orders(
        &self,
        taking: AssetSelection,
        at_once: usize,
        listener: CallListener,
    ) -> Result<(), RecordError> {
        for taking in self.own_selections(taking).await? {
            self.settle(taking, at_once, listener.clone()).await?;
        }
        Ok(())
    }

    async fn settle(
        &self,
        taking: AssetSelection,
        at_once: usize,
        listener: CallListener,
    ) -> Result<(), RecordError> {
        let host = self.clone();
        let settled = in_own_task(std::future::pending(), |stopped| async move {
            host.settle_until(taking, at_once, listener, stopped).await
        });
        settled.await.unwrap_or(Err(RecordError::TaskEnded))
    }

    /// Settles like [`Self::settle_orders`], and takes no more once `stopped` is set.
    pub(crate) async fn settle_until(
        &self,
        taking: AssetSelection,
        at_once: usize,
        listener: CallListener,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<(), RecordError> {
        let mut work = Work::start(self, taking, at_once, listener).await?;
        let mut tries = HashMap::<Uuid, u32>::new();
        while !*stopped.borrow() {
            work.take().await?;
            let mut pause = LOOK;
            if work.running.is_empty() {
                let open = self.record().outstanding(&work.workable()).await?;
                if open.assets == 0 {
                    break;
                }
                let tried = tries
                    .values()
                    .filter(|&&tries| tries >= ATTEMPTS_WAITED_FOR)
                    .count();
                // A line that another process has taken ends there, or is free when that process is dead.
                if open.taken == 0 {
                    pause = work.pause(open.next_due_at_ms);
                    if tried as u64 >= open.assets || pause > LONGEST_WAIT {
                        break;
                    }
                }
            }
            let ended = tokio::select! {
                ended = work.ended(), if !work.running.is_empty() => ended?,
                () = until_stopped(&mut stopped) => break,
                () = tokio::time::sleep(pause) => continue,
            };
            for ended in ended.into_iter().flatten() {
                if ended.settled {
                    tries.remove(&ended.asset_id);
                } else {
                    *tries.entry(ended.asset_id).or_default() += 1;
                }
            }
        }
        work.end().await
    }
}
