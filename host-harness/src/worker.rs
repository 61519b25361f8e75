//! The worker: buys waiting order lines, makes returns, sends e-mails, executes runs of Get Services Definition and
//! refreshes licenses, until it is told to stop.
//!
//! The queue is the record itself. A job library beside it would be a second truth: apalis, for one, writes and takes
//! its jobs through its own storage (<https://docs.rs/apalis-sqlite>), and not in the transactions that place an order
//! and that put an attempt on record.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bss_model::clock::{millis, now_ms};
use bss_model::purchase_rule::VendorSignal;
use bss_model::{AssetSelection, overdue_since_ms, with_causes};
use bss_record::{Record, RecordError, Worker};
use bss_sandbox::call_event::CallListener;
use tokio::sync::watch;
use tokio::task::{self, JoinError, JoinSet};
use uuid::Uuid;

use crate::breaker::{Breakers, Ended};
use crate::host::Host;
use crate::mail::MailRound;
use crate::pause::LONGEST_WAIT;
use crate::services_worker::{RunListener, until_stopped};

/// The default number of lines that are attempted at once. An answer takes some tens of milliseconds, so that eight
/// make a few hundred licenses a second, as many as any platform sells.
pub const LINES_AT_ONCE: usize = 8;

/// The interval in which the record is asked for lines that another process has placed or left.
pub(crate) const LOOK: Duration = Duration::from_millis(250);

/// The part of a worker's slots that one instance leaves to the others: a quarter, so that neither a large order nor a slow
/// vendor keeps all of them waiting.
const LEFT_TO_OTHERS: usize = 4;

/// The interval in which the record is asked for lines that have become overdue.
const OVERDUE_LOOK: Duration = Duration::from_secs(10);

/// The age of a license's last news after which the vendor is asked again. A customer redeems a license once in its
/// life, and no decision depends on it within a day.
const NEWS_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// The interval in which the record is asked for licenses with old news; as many as fit are asked about then, which
/// makes 100,000 a day.
const NEWS_LOOK: Duration = Duration::from_secs(5);

/// The interval in which every instance is looked at: whether its plugin can be used, and whether its settings are new.
const INSTANCES_LOOK: Duration = Duration::from_secs(10);

/// The number of e-mails that are taken at once; a mail server takes them one after the other anyway.
const MAILS_AT_ONCE: u32 = 32;

/// A worker's options, and its listeners.
#[derive(Clone)]
pub struct WorkOptions {
    /// Lines, returns and refreshes that are attempted at once; at least 1. One instance leaves a quarter of them to the
    /// others, and one at least.
    pub lines_at_once: usize,
    /// The listener for calls of the plugin.
    pub calls: CallListener,
    /// The listener for each run of Get Services Definition that has ended.
    pub runs: RunListener,
}

impl Default for WorkOptions {
    /// [`LINES_AT_ONCE`] lines at once, and no listener.
    fn default() -> Self {
        Self {
            lines_at_once: LINES_AT_ONCE,
            calls: Arc::new(|_| ()),
            runs: Arc::new(|_| ()),
        }
    }
}

impl fmt::Debug for WorkOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkOptions")
            .field("lines_at_once", &self.lines_at_once)
            .finish_non_exhaustive()
    }
}

/// The counts of work that is left after a worker has done all it could.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unfinished {
    /// Licenses that are still to be bought or looked up.
    pub licenses: u64,
    /// Returns whose outcome is not known.
    pub returns: u64,
    /// E-mails that could be sent and are not. Zero without mail settings, because e-mails are meant to wait then.
    pub mails: u64,
}

impl Host {
    /// Buys licenses, makes returns, refreshes licenses, executes waiting runs of Get Services Definition, and sends
    /// e-mails, until `stop` ends; then takes no more, abandons a run that is under way, and ends when everything
    /// else that is under way has ended.
    ///
    /// # Errors
    /// When the record can't be read or written; all of it ends then, not only what failed.
    pub async fn work(
        &self,
        options: &WorkOptions,
        stop: impl Future<Output = ()>,
    ) -> Result<(), RecordError> {
        let (stopping, stopped) = watch::channel(false);
        // A silent mail server or a long catalog must not keep licenses from being bought.
        let mut beside = JoinSet::new();
        beside.spawn(self.clone().work_on_mails(stopped.clone()));
        let (calls, runs) = (options.calls.clone(), options.runs.clone());
        beside.spawn(self.clone().work_on_services(calls, runs, stopped));
        let mut ended = None;
        let stop = async {
            tokio::select! {
                () = stop => {}
                // A part that ends by itself has failed. Going on without it would look as if all was well.
                early = beside.join_next() => ended = early,
            }
        };
        let mut worked = self.work_with_vendors(options, stop).await;
        let _ = stopping.send(true);
        while let Some(part) = match ended.take() {
            Some(early) => Some(early),
            None => beside.join_next().await,
        } {
            worked = worked.and(joined(part).unwrap_or(Ok(())));
        }
        worked
    }

    /// Works until nothing is left that can be done now: order lines like [`Host::settle_orders`], returns and
    /// e-mails that are due, and waiting runs of Get Services Definition. Takes no more once `stop` ends. Returns the
    /// counts of what is left.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn work_once(
        &self,
        options: &WorkOptions,
        stop: impl Future<Output = ()>,
    ) -> Result<Unfinished, RecordError> {
        let (stopping, stopped) = watch::channel(false);
        let worked = self.work_once_until(options, stopped);
        let mut worked = std::pin::pin!(worked);
        tokio::select! {
            worked = &mut worked => return worked,
            () = stop => {}
        }
        let _ = stopping.send(true);
        worked.await
    }

    async fn work_once_until(
        &self,
        options: &WorkOptions,
        stopped: watch::Receiver<bool>,
    ) -> Result<Unfinished, RecordError> {
        let mut runs_stopped = stopped.clone();
        let runs = self.execute_waiting_runs(&options.calls, &options.runs, &mut runs_stopped);
        let (ran, worked) = tokio::join!(runs, self.work_once_with_vendors(options, &stopped));
        ran?;
        worked?;
        self.unfinished().await
    }

    async fn work_once_with_vendors(
        &self,
        options: &WorkOptions,
        stopped: &watch::Receiver<bool>,
    ) -> Result<(), RecordError> {
        let all = AssetSelection::default();
        self.settle_until(all.clone(), options.lines_at_once, options.calls.clone(), stopped)
            .await?;
        let mut work = Work::start(self, all, options.lines_at_once, options.calls.clone()).await?;
        loop {
            if !*stopped.borrow() {
                work.take_returns().await?;
            }
            if work.ended().await?.is_none() {
                break;
            }
        }
        while !*stopped.borrow()
            && self.send_mails(work.worker.id(), MAILS_AT_ONCE).await? != MailRound::default()
        {}
        work.end().await
    }

    /// The counts of licenses, returns and e-mails that are not settled.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn unfinished(&self) -> Result<Unfinished, RecordError> {
        let record = self.record();
        let open = record.outstanding(&AssetSelection::default()).await?;
        let mails = match record.mail_settings().await? {
            Some(_) => record.pending_mails().await?,
            None => 0,
        };
        Ok(Unfinished {
            licenses: open.assets,
            returns: record.open_returns().await?,
            mails,
        })
    }

    async fn work_with_vendors(
        &self,
        options: &WorkOptions,
        stop: impl Future<Output = ()>,
    ) -> Result<(), RecordError> {
        let (all, calls) = (AssetSelection::default(), options.calls.clone());
        let mut work = Work::start(self, all, options.lines_at_once, calls).await?;
        let mut stop = std::pin::pin!(stop);
        let (mut overdue, mut news) = (Rounds::every(OVERDUE_LOOK), Rounds::every(NEWS_LOOK));
        loop {
            if overdue.is_due() {
                tell_overdue(self.record()).await?;
            }
            work.take().await?;
            work.take_returns().await?;
            if news.is_due() {
                work.refresh().await?;
            }
            tokio::select! {
                () = &mut stop => break,
                ended = work.ended(), if !work.running.is_empty() => {
                    ended?;
                }
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        work.end().await
    }

    async fn work_on_mails(self, mut stopped: watch::Receiver<bool>) -> Result<(), RecordError> {
        let worker = self.record().start_worker().await?;
        loop {
            let round = self.send_mails(worker.id(), MAILS_AT_ONCE).await?;
            let pause = match round == MailRound::default() {
                true => LOOK,
                false => Duration::ZERO,
            };
            tokio::select! {
                () = until_stopped(&mut stopped) => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.record().end_worker(worker).await
    }
}

/// Warns the operator, once, of lines whose outcome has been open for too long. The lines stay as they are.
async fn tell_overdue(record: &Record) -> Result<(), RecordError> {
    for asset in record.newly_overdue(overdue_since_ms(now_ms())).await? {
        tracing::warn!(
            %asset,
            "whether this asset's license was bought has been unknown for two hours; the worker keeps looking the purchase up"
        );
    }
    Ok(())
}

/// The result of one of the worker's tasks; a panic in the task continues here. `None`: the runtime is shutting down.
fn joined<T>(task: Result<T, JoinError>) -> Option<T> {
    match task.map_err(JoinError::try_into_panic) {
        Ok(done) => Some(done),
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_)) => None,
    }
}

/// The most of a worker's slots that one instance may have.
fn share(at_once: usize) -> usize {
    at_once - (at_once / LEFT_TO_OTHERS).max(1).min(at_once.saturating_sub(1))
}

/// An act that is repeated at an interval.
struct Rounds {
    every: Duration,
    last: Option<Instant>,
}

impl Rounds {
    fn every(every: Duration) -> Self {
        Self { every, last: None }
    }

    /// Whether the act is due; if so, it counts as done.
    fn is_due(&mut self) -> bool {
        let is_due = self.last.is_none_or(|last| last.elapsed() >= self.every);
        if is_due {
            self.last = Some(Instant::now());
        }
        is_due
    }
}

/// The work that one worker has under way.
pub(crate) struct Work {
    host: Host,
    worker: Worker,
    pub(crate) taking: AssetSelection,
    at_once: usize,
    listener: CallListener,
    breakers: Breakers,
    /// Attempts under way. `None` when the outcome says nothing about the vendor.
    pub(crate) running: JoinSet<Result<Option<Ended>, RecordError>>,
    /// The instance of each attempt under way.
    slots: HashMap<task::Id, Uuid>,
    /// When lines of other instances are looked for again, while some have their share.
    next_look_for_others: Instant,
    /// The instances whose plugin can't be used: their lines are left alone.
    without_plugin: BTreeSet<Uuid>,
    /// The version of each instance's settings as last seen.
    versions: HashMap<Uuid, i64>,
    instances: Rounds,
}

impl Work {
    pub(crate) async fn start(
        host: &Host,
        taking: AssetSelection,
        at_once: usize,
        listener: CallListener,
    ) -> Result<Self, RecordError> {
        let mut work = Self {
            worker: host.record().start_worker().await?,
            host: host.clone(),
            taking,
            at_once: at_once.max(1),
            listener,
            breakers: Breakers::default(),
            running: JoinSet::new(),
            slots: HashMap::new(),
            next_look_for_others: Instant::now(),
            without_plugin: BTreeSet::new(),
            versions: HashMap::new(),
            instances: Rounds::every(INSTANCES_LOOK),
        };
        work.look_at_instances().await?;
        Ok(work)
    }

    /// Finds out which instances have no plugin that can be used, and says so of each once; and which have new settings, so
    /// that their trouble may be over.
    async fn look_at_instances(&mut self) -> Result<(), RecordError> {
        if !self.instances.is_due() {
            return Ok(());
        }
        let instances = self.host.record().instances().await?;
        let without = self.host.without_plugin(&instances).await?;
        for (instance, error) in &without {
            if !self.without_plugin.contains(&instance.id) {
                tracing::error!(
                    error = with_causes(error),
                    instance = instance.name,
                    "nothing is bought or returned for this instance, because its plugin can't be used"
                );
            }
        }
        for instance in &instances {
            let before = self.versions.insert(instance.id, instance.version);
            if before.is_some_and(|before| before != instance.version) {
                self.breakers.forget(instance.id);
            }
        }
        self.without_plugin = without.into_iter().map(|(instance, _)| instance.id).collect();
        Ok(())
    }

    /// Takes as many lines as may be attempted now, and begins them.
    pub(crate) async fn take(&mut self) -> Result<(), RecordError> {
        self.look_at_instances().await?;
        // In rounds, because one that takes lines of several instances may fill none of their shares.
        while self.take_round().await? > 0 {}
        for instance in self.to_probe() {
            let probe = self.probing(instance);
            if self.begin(&probe).await? > 0 {
                self.breakers.probing(instance);
            }
        }
        Ok(())
    }

    async fn take_round(&mut self) -> Result<usize, RecordError> {
        let taking = self.taking();
        // Lines of an instance that has its share may be many, and each look passes over all of them.
        let passes_over = self.full().next().is_some();
        if passes_over && Instant::now() < self.next_look_for_others {
            return Ok(0);
        }
        let begun = self.begin(&taking).await?;
        if passes_over && begun == 0 {
            self.next_look_for_others = Instant::now() + LOOK;
        }
        Ok(begun)
    }

    /// Takes as many returns as may be attempted now, and begins them. A return can wait for a purchase.
    async fn take_returns(&mut self) -> Result<(), RecordError> {
        let taking = self.taking();
        self.begin_returns(&taking).await?;
        // A return probes the vendor where no purchase waits that could.
        for instance in self.to_probe() {
            let probe = self.probing(instance);
            if self.begin_returns(&probe).await? > 0 {
                self.breakers.probing(instance);
            }
        }
        Ok(())
    }

    async fn begin_returns(&mut self, taking: &AssetSelection) -> Result<usize, RecordError> {
        if taking.limit == 0 {
            return Ok(0);
        }
        let (instance, without) = (taking.instance, &taking.without_instances);
        let record = self.host.record();
        let taken = record
            .take_returns(self.worker.id(), taking.limit, instance, without)
            .await?;
        let count = taken.len();
        for taken in taken {
            let (host, listener) = (self.host.clone(), self.listener.clone());
            self.spawn(taken.instance_id, async move {
                let attempted = host.attempt_return(&taken, listener).await;
                if let Err(error) = &attempted {
                    tracing::error!(%error, asset = %taken.asset_id, "the return of this asset's license could not be attempted");
                }
                let attempted = attempted.ok();
                let settled = attempted.as_ref().is_some_and(|attempted| !attempted.is_outage());
                Ok(Some(Ended {
                    instance_id: taken.instance_id,
                    asset_id: taken.asset_id,
                    settled,
                    signal: match attempted.and_then(|attempted| attempted.retry_after) {
                        None if settled => VendorSignal::Answered,
                        pause => VendorSignal::without_answer(pause),
                    },
                    settings_version: None,
                }))
            });
        }
        Ok(count)
    }

    /// Asks about licenses whose last news is old.
    async fn refresh(&mut self) -> Result<(), RecordError> {
        let age = millis(NEWS_AGE);
        let taking = self.taking();
        let old = self
            .host
            .record()
            .assets_to_refresh(
                now_ms().saturating_sub(age),
                taking.limit,
                &taking.without_instances,
            )
            .await?;
        for (asset_id, instance_id) in old {
            let (host, listener) = (self.host.clone(), self.listener.clone());
            self.spawn(instance_id, async move {
                match host.refresh_of_any(asset_id, listener).await {
                    Ok(refreshed) if refreshed.returned_elsewhere => {
                        tracing::warn!(
                            asset = %asset_id,
                            "the vendor has taken back this asset's license, but the asset is neither cancelled nor credited"
                        );
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(%error, asset = %asset_id, "this asset's license could not be refreshed");
                    }
                }
                // A failure is not held against the vendor: nothing waits for the answer.
                Ok(None)
            });
        }
        Ok(())
    }

    /// What may be taken now: nothing of instances that rest or have their share, and no more than leaves each of the others
    /// within its share.
    fn taking(&self) -> AssetSelection {
        let share = self.share();
        let room = self.under_way().into_values().filter(|count| *count < share);
        let room = room.map(|count| share - count).min().unwrap_or(share);
        let mut without_instances = self.breakers.resting();
        without_instances.extend(self.full());
        without_instances.extend(&self.without_plugin);
        AssetSelection {
            without_instances,
            limit: u32::try_from(self.free().min(room)).unwrap_or(u32::MAX),
            ..self.taking.clone()
        }
    }

    /// The instances whose rest is over, and whose plugin can be used.
    fn to_probe(&self) -> Vec<Uuid> {
        let mut to_probe = self.breakers.to_probe(Instant::now());
        to_probe.retain(|instance| !self.without_plugin.contains(instance));
        to_probe
    }

    /// All that may be taken within the time that a person waits: nothing of instances whose plugin can't be used, or that
    /// rest for longer.
    pub(crate) fn workable(&self) -> AssetSelection {
        let resting = self.breakers.resting_beyond(LONGEST_WAIT, Instant::now());
        AssetSelection {
            without_instances: self.without_plugin.iter().copied().chain(resting).collect(),
            ..self.taking.clone()
        }
    }

    /// A selection of one line or return of an instance, which finds out whether its vendor is back.
    fn probing(&self, instance: Uuid) -> AssetSelection {
        AssetSelection {
            instance: Some(instance),
            limit: u32::from(self.free() > 0),
            ..self.taking.clone()
        }
    }

    fn free(&self) -> usize {
        self.at_once.saturating_sub(self.running.len())
    }

    /// The most slots that an instance may have. Where only one is worked for, nothing is left to others.
    fn share(&self) -> usize {
        let AssetSelection {
            order,
            asset,
            instance,
            ..
        } = &self.taking;
        match order.or(*asset).or(*instance) {
            Some(_) => self.at_once,
            None => share(self.at_once),
        }
    }

    /// The number of attempts under way for each instance that has any.
    fn under_way(&self) -> HashMap<Uuid, usize> {
        let mut counts = HashMap::new();
        for instance in self.slots.values() {
            *counts.entry(*instance).or_default() += 1;
        }
        counts
    }

    /// The instances that have their share.
    fn full(&self) -> impl Iterator<Item = Uuid> {
        let share = self.share();
        let under_way = self.under_way().into_iter();
        under_way
            .filter(move |(_, count)| *count >= share)
            .map(|(instance, _)| instance)
    }

    fn spawn(
        &mut self,
        instance: Uuid,
        attempt: impl Future<Output = Result<Option<Ended>, RecordError>> + Send + 'static,
    ) {
        let task = self.running.spawn(attempt);
        self.slots.insert(task.id(), instance);
    }

    async fn begin(&mut self, taking: &AssetSelection) -> Result<usize, RecordError> {
        if taking.limit == 0 {
            return Ok(0);
        }
        let taken = self.host.record().take_assets(self.worker.id(), taking).await?;
        let count = taken.len();
        for asset in taken {
            let (host, listener) = (self.host.clone(), self.listener.clone());
            self.spawn(asset.instance_id, async move {
                host.attempt_purchase(&asset, listener).await.map(Some)
            });
        }
        Ok(count)
    }

    /// The attempts that have ended, at least one. `None`: none is under way.
    ///
    /// # Errors
    /// When the end of one could not be written down. Its line is this worker's until it ends, so it has to.
    pub(crate) async fn ended(&mut self) -> Result<Option<Vec<Ended>>, RecordError> {
        let Some(first) = self.running.join_next_with_id().await else {
            return Ok(None);
        };
        let mut ended = Vec::new();
        let mut next = Some(first);
        while let Some(result) = next {
            let (task, result) = match result {
                Ok((task, attempted)) => (task, Ok(attempted)),
                Err(error) => (error.id(), Err(error)),
            };
            self.slots.remove(&task);
            if let Some(attempt) = joined(result).transpose()?.flatten() {
                if !self.is_of_former_settings(&attempt) {
                    self.breakers
                        .note(attempt.instance_id, attempt.signal, Instant::now());
                }
                ended.push(attempt);
            }
            next = self.running.try_join_next_with_id();
        }
        Ok(Some(ended))
    }

    /// Whether an attempt says what was wrong with settings that were corrected since.
    fn is_of_former_settings(&self, attempt: &Ended) -> bool {
        let now = self.versions.get(&attempt.instance_id);
        attempt.signal == VendorSignal::Misconfigured
            && attempt
                .settings_version
                .zip(now)
                .is_some_and(|(then, now)| then < *now)
    }

    /// How long to wait until something can be done.
    pub(crate) fn pause(&self, next_due_at_ms: Option<i64>) -> Duration {
        let due = next_due_at_ms.unwrap_or_default().saturating_sub(now_ms());
        let due = Duration::from_millis(u64::try_from(due).unwrap_or_default());
        let rest = self.breakers.next().map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        });
        match rest > LONGEST_WAIT {
            // Lines of an instance that rests for so long are not waited for.
            true => due,
            false => due.max(rest),
        }
    }

    pub(crate) async fn end(mut self) -> Result<(), RecordError> {
        while self.ended().await?.is_some() {}
        self.host.record().end_worker(self.worker).await
    }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn an_instance_leaves_a_quarter_of_the_slots_and_one_at_least_to_the_others() {
        let shares = [1, 2, 3, 4, 8, 16].map(share);
        assert_eq!(shares, [1, 1, 2, 3, 6, 12]);
    }
}
