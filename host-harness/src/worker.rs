//! The worker: buys waiting order lines, makes returns, sends e-mails, executes runs of Get Services Definition and
//! refreshes licenses, until it is told to stop.
//!
//! The queue is the record itself. A job library beside it would be a second truth: apalis, for one, writes and takes
//! its jobs through its own storage (<https://docs.rs/apalis-sqlite>), and not in the transactions that place an order
//! and that put an attempt on record.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bss_model::clock::millis;
use bss_model::purchase_rule::VendorSignal;
use bss_model::{AssetSelection, Problem, overdue_since_ms, with_causes};
use bss_record::{Record, RecordError, Worker};
use bss_sandbox::call_event::CallListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{self, JoinSet};
use uuid::Uuid;

use crate::alert_telling::AlertListener;
use crate::breaker::{Breakers, Ended, Noted};
use crate::host::Host;
use crate::mail::MailRound;
use crate::own_task::{in_own_task, joined, nobody, until_stopped};
use crate::pause::LONGEST_WAIT;
use crate::plugins::PluginError;
use crate::pulse::Pulse;
use crate::services_worker::RunListener;

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

/// How long no license of an instance is refreshed after its vendor did not answer for one: nothing is urgent, and each would
/// be a line of the log.
const SILENT_FOR: Duration = Duration::from_secs(5 * 60);

/// The interval in which every instance is looked at: whether its plugin can be used, and whether its settings are new.
const INSTANCES_LOOK: Duration = Duration::from_secs(10);

/// The number of e-mails that are taken at once; a mail server takes them one after the other anyway.
const MAILS_AT_ONCE: u32 = 32;

/// How long e-mails that are under way are waited for once everything else has ended. A mail server that answers takes a
/// message in milliseconds.
const MAILS_LEFT_AFTER: Duration = Duration::from_secs(1);

/// A worker's options, and its listeners.
///
/// ```
/// use host_harness::WorkOptions;
///
/// let options = WorkOptions::default().at_once(16).per_instance(4);
/// assert_eq!(options.lines_at_once, 16);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct WorkOptions {
    /// Lines, returns and refreshes that are attempted at once; at least 1. All workers of a process have
    /// [`CALLS_AT_ONCE`](crate::CALLS_AT_ONCE) sandboxes together; a call beyond these waits.
    pub lines_at_once: usize,
    /// The most of them that are one instance's; at least 1. `None`: all but a quarter, and one at least.
    pub lines_per_instance: Option<usize>,
    /// The listener for calls of the plugin.
    pub calls: CallListener,
    /// The listener for each run of Get Services Definition that has ended.
    pub runs: RunListener,
    /// The listener for alerts. `None`: they are told by e-mail alone, where somebody's address is on record.
    pub alerts: Option<AlertListener>,
    /// What beats as long as the worker looks for work.
    pub pulse: Arc<Pulse>,
}

impl Default for WorkOptions {
    /// [`LINES_AT_ONCE`] lines at once, and no listener.
    fn default() -> Self {
        Self {
            lines_at_once: LINES_AT_ONCE,
            lines_per_instance: None,
            calls: nobody(),
            runs: Arc::new(|_| ()),
            alerts: None,
            pulse: Arc::default(),
        }
    }
}

impl WorkOptions {
    /// Sets how many lines, returns and refreshes are attempted at once.
    #[must_use]
    pub fn at_once(self, lines: usize) -> Self {
        Self {
            lines_at_once: lines,
            ..self
        }
    }

    /// Sets how many of them may be one instance's, so that no instance waits behind another's.
    #[must_use]
    pub fn per_instance(self, lines: usize) -> Self {
        Self {
            lines_per_instance: Some(lines),
            ..self
        }
    }

    /// Sets a listener for calls of the plugin: their progress and their log, as they go. What came of them is in
    /// [`Host::outcomes`].
    #[must_use]
    pub fn calls(self, calls: CallListener) -> Self {
        Self { calls, ..self }
    }

    /// Sets a listener for each run of Get Services Definition that has ended.
    #[must_use]
    pub fn runs(self, runs: RunListener) -> Self {
        Self { runs, ..self }
    }

    /// Sets a listener for alerts: what has ended badly or stands still.
    #[must_use]
    pub fn alerts(self, listener: AlertListener) -> Self {
        Self {
            alerts: Some(listener),
            ..self
        }
    }

    /// Sets what beats as long as [`Host::work`] looks for work, by which a watchdog knows that it is alive.
    #[must_use]
    pub fn pulse(self, pulse: Arc<Pulse>) -> Self {
        Self { pulse, ..self }
    }

    fn share(&self) -> usize {
        let all = self.lines_at_once.max(1);
        self.lines_per_instance
            .map_or_else(|| share(all), |lines| lines.clamp(1, all))
    }
}

impl fmt::Debug for WorkOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkOptions")
            .field("lines_at_once", &self.lines_at_once)
            .field("lines_per_instance", &self.lines_per_instance)
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
    /// e-mails, until `stop` ends; then takes no more, abandons a run that is under way, and ends when the purchases, returns
    /// and refreshes that are under way have ended. E-mails that are under way then have a second more. The same happens
    /// where this is dropped. [`Host::start_worker`] does this in the background, and goes on after an error.
    ///
    /// # Errors
    /// When the record can't be read or written. Purchases that are under way then go on to their end.
    pub async fn work(
        &self,
        options: &WorkOptions,
        stop: impl Future<Output = ()>,
    ) -> Result<(), RecordError> {
        let (host, options) = (self.clone(), options.clone());
        let worked = in_own_task(
            stop,
            |stopped| async move { host.work_until(options, stopped).await },
        );
        worked.await.unwrap_or(Err(RecordError::TaskEnded))
    }

    async fn work_until(
        self,
        options: WorkOptions,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<(), RecordError> {
        let (stopping, parts_stopped) = watch::channel(false);
        // A silent mail server or a long catalog must not keep licenses from being bought.
        let mut parts = JoinSet::new();
        parts.spawn(self.clone().work_on_mails(parts_stopped.clone()));
        let (calls, runs) = (options.calls.clone(), options.runs.clone());
        parts.spawn(self.clone().work_on_services(calls, runs, parts_stopped.clone()));
        parts.spawn(
            self.clone()
                .keep_telling(options.alerts.clone(), parts_stopped.clone()),
        );
        parts.spawn(self.clone().keep_delivering(parts_stopped));
        let mut first = None;
        let stop = async {
            tokio::select! {
                () = until_stopped(&mut stopped) => {}
                // A part that ends by itself has failed. Going on without it would look as if all was well.
                ended = parts.join_next() => first = ended,
            }
        };
        let mut worked = self.work_with_vendors(&options, stop).await;
        let _ = stopping.send(true);
        while let Some(ended) = match first.take() {
            Some(ended) => Some(ended),
            None => parts.join_next().await,
        } {
            worked = worked.and(joined(ended).unwrap_or(Ok(())));
        }
        worked
    }

    /// Works until nothing is left that can be done now: order lines like [`Host::settle_orders`], returns, refreshes and
    /// e-mails that are due, and waiting runs of Get Services Definition. Once the vendor of an instance does not answer a
    /// refresh, its other licenses are refreshed the next time. Takes no more once `stop` ends, or this is
    /// dropped. Returns the counts of what is left.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn work_once(
        &self,
        options: &WorkOptions,
        stop: impl Future<Output = ()>,
    ) -> Result<Unfinished, RecordError> {
        let (host, options) = (self.clone(), options.clone());
        let worked = in_own_task(stop, |stopped| async move {
            host.work_once_until(&options, stopped).await
        });
        worked.await.unwrap_or(Err(RecordError::TaskEnded))
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
        self.follow_expiring_certificates().await?;
        let mut stopped = stopped;
        self.deliver_due(&mut stopped).await?;
        self.tell_alerts(options.alerts.as_ref(), &mut stopped).await?;
        self.unfinished().await
    }

    async fn work_once_with_vendors(
        &self,
        options: &WorkOptions,
        stopped: &watch::Receiver<bool>,
    ) -> Result<(), RecordError> {
        let (all, at_once) = (AssetSelection::default(), options.lines_at_once);
        self.settle_until(all.clone(), at_once, options.calls.clone(), stopped.clone())
            .await?;
        let mut work = Work::start(self, all, at_once, options.calls.clone()).await?;
        work.share = options.share();
        loop {
            if !*stopped.borrow() {
                work.take_returns().await?;
            }
            if work.ended().await?.is_none() {
                break;
            }
        }
        while !*stopped.borrow() && work.refresh().await? > 0 {
            while work.ended().await?.is_some() {}
        }
        tell_overdue(self.record()).await?;
        self.send_all_mails(stopped.clone()).await?;
        work.end().await
    }

    /// Sends e-mails until none is due, or it is told to stop. A mail server that is silent is not waited for then.
    async fn send_all_mails(&self, mut stopped: watch::Receiver<bool>) -> Result<(), RecordError> {
        let worker = self.record().start_worker().await?;
        let asked = stopped.clone();
        let sending = async {
            while !*asked.borrow()
                && self.send_mails(worker.id(), MAILS_AT_ONCE).await? != MailRound::default()
            {}
            Ok::<(), RecordError>(())
        };
        let sent = tokio::select! {
            sent = sending => sent,
            () = given_up(&mut stopped) => Ok(()),
        };
        // What could not be written down is left to the lease.
        sent?;
        self.record().end_worker(worker).await
    }

    /// The counts of licenses, returns and e-mails that are not settled.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn unfinished(&self) -> Result<Unfinished, RecordError> {
        let record = self.record();
        let open = record.outstanding(&AssetSelection::default()).await?;
        let mails = match record.mail_settings().await? {
            // Without the feature, e-mails wait for a worker that has it.
            Some(_) if cfg!(feature = "mail") => record.pending_mails().await?,
            _ => 0,
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
        work.share = options.share();
        let mut stop = std::pin::pin!(stop);
        let (mut overdue, mut news) = (Rounds::every(OVERDUE_LOOK), Rounds::every(NEWS_LOOK));
        loop {
            options.pulse.beat();
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
        let sent = tokio::select! {
            sent = self.keep_sending(worker.id(), stopped.clone()) => sent,
            () = given_up(&mut stopped) => Ok(()),
            // Another worker sends them, and this one is given nothing more.
            () = taken_for_dead(&worker) => Err(RecordError::WorkerLost),
        };
        // What could not be written down is left to the lease.
        sent?;
        self.record().end_worker(worker).await
    }
}

/// Waits until e-mails that are under way are no longer waited for: a while after it is told to stop. What a silent mail
/// server has not confirmed by then is sent again, under the same Message-ID.
async fn given_up(stopped: &mut watch::Receiver<bool>) {
    until_stopped(stopped).await;
    tokio::time::sleep(MAILS_LEFT_AFTER).await;
}

/// Waits until others take a worker for dead.
async fn taken_for_dead(worker: &Worker) {
    while !worker.is_lost() {
        tokio::time::sleep(LOOK).await;
    }
}

/// Warns the operator, once, of lines whose outcome has been open for too long. The lines stay as they are. What is over with
/// a day ends then, too.
async fn tell_overdue(record: &Record) -> Result<(), RecordError> {
    record.end_past_spending_alerts().await?;
    for asset in record.newly_overdue(overdue_since_ms(record.now_ms())).await? {
        tracing::warn!(
            %asset,
            "whether this asset's license was bought has been unknown for two hours; the worker keeps looking the purchase up"
        );
    }
    Ok(())
}

/// The problem of a plugin that can't be used, as an alert tells it.
fn unusable_plugin(error: &PluginError) -> Problem {
    Problem::of(error, with_causes(error))
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
    /// `None`: the worker has ended.
    worker: Option<Worker>,
    worker_id: Uuid,
    pub(crate) taking: AssetSelection,
    at_once: usize,
    /// The most slots that one instance may have, where several are worked for.
    share: usize,
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
    /// The instances from which the vendor took nothing, so that an alert about them is to end.
    held: BTreeSet<Uuid>,
    /// The instances whose vendor did not answer a refresh, and until when it is not asked for one.
    silent: Arc<Mutex<HashMap<Uuid, Instant>>>,
    /// The names of instances, for whoever reads the log.
    names: HashMap<Uuid, String>,
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
        let worker = host.record().start_worker().await?;
        let mut work = Self {
            worker_id: worker.id(),
            host: host.permitted_by(worker.permit()),
            worker: Some(worker),
            taking,
            at_once: at_once.max(1),
            share: share(at_once.max(1)),
            listener,
            breakers: Breakers::default(),
            running: JoinSet::new(),
            slots: HashMap::new(),
            next_look_for_others: Instant::now(),
            without_plugin: BTreeSet::new(),
            held: BTreeSet::new(),
            silent: Arc::default(),
            names: HashMap::new(),
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
        // Read again, because another worker may have raised an alert.
        self.held = self.host.record().held_instances().await?;
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
            self.names.insert(instance.id, instance.name.clone());
            let before = self.versions.insert(instance.id, instance.version);
            if before.is_some_and(|before| before != instance.version) {
                self.breakers.forget(instance.id);
            }
        }
        let unusable = without
            .iter()
            .map(|(instance, error)| (instance.id, unusable_plugin(error)));
        let unusable: Vec<_> = unusable.collect();
        self.without_plugin = unusable.iter().map(|(instance, _)| *instance).collect();
        self.host.record().follow_unusable_plugins(&unusable).await
    }

    /// Takes as many lines as may be attempted now, and begins them.
    pub(crate) async fn take(&mut self) -> Result<(), RecordError> {
        if self.worker.as_ref().is_some_and(Worker::is_lost) {
            return Err(RecordError::WorkerLost);
        }
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
            .take_returns(self.worker_id, taking.limit, instance, without)
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
                    purchase_answered: false,
                    problem: None,
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

    /// Asks about licenses whose last news is old, and returns their number. Instances whose vendor did not answer such a
    /// question lately are left out.
    async fn refresh(&mut self) -> Result<usize, RecordError> {
        let age = millis(NEWS_AGE);
        let mut taking = self.taking();
        taking.without_instances.extend(self.silent_instances());
        let old = self
            .host
            .record()
            .assets_to_refresh(
                self.host.record().now_ms().saturating_sub(age),
                taking.limit,
                &taking.without_instances,
            )
            .await?;
        let count = old.len();
        for (asset_id, instance_id) in old {
            let (host, listener) = (self.host.clone(), self.listener.clone());
            let silent = Arc::clone(&self.silent);
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
                        if error.is_outage() {
                            let mut silent = silent.lock().unwrap_or_else(PoisonError::into_inner);
                            silent.insert(instance_id, Instant::now() + SILENT_FOR);
                        }
                    }
                }
                // A failure is not held against purchases: nothing waits for the answer.
                Ok(None)
            });
        }
        Ok(count)
    }

    /// The instances whose vendor did not answer a refresh lately.
    fn silent_instances(&self) -> Vec<Uuid> {
        let now = Instant::now();
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent.retain(|_, until| *until > now);
        silent.keys().copied().collect()
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
            None => self.share,
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
        let taken = self.host.record().take_assets(self.worker_id, taking).await?;
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
                    self.note(&attempt).await?;
                }
                ended.push(attempt);
            }
            next = self.running.try_join_next_with_id();
        }
        Ok(Some(ended))
    }

    /// Notes what an attempt says about its vendor, and tells the operator what is new.
    async fn note(&mut self, attempt: &Ended) -> Result<(), RecordError> {
        let (instance, problem) = (attempt.instance_id, attempt.problem.as_ref());
        let noted = self.breakers.note(instance, attempt.signal, Instant::now());
        let name = self.names.get(&instance).map_or("", String::as_str);
        match noted {
            Noted::Held(rest) if self.held.contains(&instance) => {
                tracing::info!(
                    instance = name,
                    rest_s = rest.as_secs(),
                    "the vendor still takes nothing from this instance"
                );
            }
            Noted::Held(rest) => {
                let said = |of: fn(&Problem) -> &str| problem.map_or("", of);
                tracing::error!(
                    instance = name,
                    rest_s = rest.as_secs(),
                    code = said(|problem| &problem.code),
                    reason = said(|problem| &problem.message),
                    advice = said(|problem| &problem.advice),
                    "the vendor takes nothing from this instance; its orders wait until that is corrected, here or at the vendor"
                );
                self.host.record().raise_instance_held(instance, problem).await?;
                self.held.insert(instance);
            }
            Noted::StillHeld(rest) => {
                tracing::info!(
                    instance = name,
                    rest_s = rest.as_secs(),
                    "the vendor still takes nothing from this instance"
                );
            }
            Noted::Silent(rest) => {
                tracing::warn!(
                    instance = name,
                    rest_s = rest.as_secs(),
                    "the vendor does not answer for this instance; no more attempts are made until the rest is over"
                );
            }
            // A look-up or a return that is answered does not say that the vendor sells again.
            Noted::Answered if attempt.purchase_answered && self.held.remove(&instance) => {
                self.host.record().end_instance_held(instance).await?;
            }
            Noted::Answered | Noted::Nothing => {}
        }
        Ok(())
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
        let due = next_due_at_ms
            .unwrap_or_default()
            .saturating_sub(self.host.record().now_ms());
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
        match self.worker.take() {
            Some(worker) => self.host.record().end_worker(worker).await,
            None => Ok(()),
        }
    }
}

impl Drop for Work {
    /// Lets attempts that are under way go on to their end, and their worker with them: a purchase that is cut off would be
    /// in doubt for minutes.
    fn drop(&mut self) {
        let (Some(worker), Ok(runtime)) = (self.worker.take(), Handle::try_current()) else {
            return;
        };
        let (record, mut running) = (self.host.record().clone(), mem::take(&mut self.running));
        runtime.spawn(async move {
            let mut are_written = true;
            while let Some(attempted) = running.join_next().await {
                are_written &= matches!(attempted, Ok(Ok(_)));
            }
            // What could not be written down is left to the lease.
            if are_written && let Err(error) = record.end_worker(worker).await {
                tracing::warn!(%error, "a worker can't be removed from the record; its lease will expire");
            }
        });
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
