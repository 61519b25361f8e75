//! The worker of order lines: takes what is due, several at once, and keeps at it until every line is settled.
//!
//! The queue is the assets themselves. A job library beside them (apalis, for one) would be a second truth: its jobs
//! are not written in the transaction that places the order, and an attempt has to be on record in the transaction
//! that takes the line, which no library offers.

use std::collections::HashMap;
use std::future::Future;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use uuid::Uuid;

use crate::breaker::{Breakers, Sign};
use crate::call_state::{CallListener, now_ms};
use crate::host::Host;
use crate::record::{Record, RecordError, Taking, Worker};

/// Lines that are attempted at once, unless an operator says otherwise. An answer takes some tens of
/// milliseconds, so that eight make a few hundred licenses a second, as many as anybody sells.
pub const LINES_AT_ONCE: usize = 8;

/// How often the record is asked for lines that another process has placed or left.
const LOOK: Duration = Duration::from_millis(250);

/// How long a line's outcome may be open before its operator is told: what the platform itself waits.
pub const OVERDUE: Duration = Duration::from_secs(120 * 60);

/// How often it is looked whether a line has become overdue.
const OVERDUE_LOOK: Duration = Duration::from_secs(10);

/// How often a line is attempted while somebody waits for it. Three times within a few seconds outlasts a restart
/// of one server behind the vendor's front end; what is longer is left to the background.
const ATTEMPTS: u32 = 3;

/// The longest pause that somebody waits for.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// An attempt that has ended.
pub(crate) struct Ended {
    pub(crate) instance_id: Uuid,
    pub(crate) asset_id: Uuid,
    /// Whether there is nothing left to do for the line.
    pub(crate) settled: bool,
    pub(crate) sign: Sign,
}

impl Host {
    /// Works on order lines until `stop` ends; then takes no more, and ends when those under way have.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn work_on_orders(
        &self,
        at_once: usize,
        listener: CallListener,
        stop: impl Future<Output = ()>,
    ) -> Result<(), RecordError> {
        let mut worker = OrderWorker::start(self, Taking::default(), at_once, listener).await?;
        let mut stop = std::pin::pin!(stop);
        let mut looked = None::<Instant>;
        loop {
            if looked.is_none_or(|looked| looked.elapsed() >= OVERDUE_LOOK) {
                tell_overdue(self.record()).await?;
                looked = Some(Instant::now());
            }
            worker.take().await?;
            tokio::select! {
                () = &mut stop => break,
                _ = worker.ended() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        while worker.ended().await.is_some() {}
        worker.end().await
    }

    /// Works on chosen order lines while that helps: until all are settled, or each has been attempted a few times,
    /// or what is left has to wait longer than a person would. Lines that another process works on are waited for.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn settle_orders(
        &self,
        taking: Taking,
        at_once: usize,
        listener: CallListener,
    ) -> Result<(), RecordError> {
        let mut worker = OrderWorker::start(self, taking, at_once, listener).await?;
        let mut tries = HashMap::<Uuid, u32>::new();
        loop {
            worker.take().await?;
            let open = self.record().outstanding(&worker.taking).await?;
            if open.assets == 0 {
                break;
            }
            let mut pause = LOOK;
            if worker.running.is_empty() && open.taken == 0 {
                let tried = tries.values().filter(|&&tries| tries >= ATTEMPTS).count();
                pause = worker.pause(open.next_due_at_ms);
                if tried as u64 >= open.assets || pause > LONGEST_WAIT {
                    break;
                }
            }
            let ended = tokio::select! {
                Some(ended) = worker.ended() => ended,
                () = tokio::time::sleep(pause) => continue,
            };
            for ended in ended {
                if ended.settled {
                    tries.remove(&ended.asset_id);
                } else {
                    *tries.entry(ended.asset_id).or_default() += 1;
                }
            }
        }
        worker.end().await
    }
}

/// Tells the operator, once, of lines whose outcome has been open for too long. They stay what they are.
async fn tell_overdue(record: &Record) -> Result<(), RecordError> {
    let limit = i64::try_from(OVERDUE.as_millis()).unwrap_or(i64::MAX);
    for asset in record.newly_overdue(now_ms().saturating_sub(limit)).await? {
        tracing::warn!(
            %asset,
            "whether its license was bought has not been known for two hours; it is looked up on and on. \
             `bss-host asset history` shows every attempt, to quote to the vendor's support"
        );
    }
    Ok(())
}

struct OrderWorker {
    host: Host,
    worker: Worker,
    taking: Taking,
    at_once: usize,
    listener: CallListener,
    breakers: Breakers,
    running: JoinSet<Ended>,
}

impl OrderWorker {
    async fn start(
        host: &Host,
        taking: Taking,
        at_once: usize,
        listener: CallListener,
    ) -> Result<Self, RecordError> {
        Ok(Self {
            worker: host.record().start_worker().await?,
            host: host.clone(),
            taking,
            at_once: at_once.max(1),
            listener,
            breakers: Breakers::default(),
            running: JoinSet::new(),
        })
    }

    /// Takes as many lines as may be attempted now, and begins.
    async fn take(&mut self) -> Result<(), RecordError> {
        let rested = self.taking(self.breakers.resting(), None);
        self.begin(&rested).await?;
        for instance in self.breakers.to_probe(Instant::now()) {
            let probe = self.taking(Vec::new(), Some(instance));
            if self
                .begin(&Taking {
                    limit: probe.limit.min(1),
                    ..probe
                })
                .await?
                > 0
            {
                self.breakers.probing(instance);
            }
        }
        Ok(())
    }

    fn taking(&self, without_instances: Vec<Uuid>, instance: Option<Uuid>) -> Taking {
        let free = self.at_once.saturating_sub(self.running.len());
        Taking {
            without_instances,
            instance,
            limit: u32::try_from(free).unwrap_or(u32::MAX),
            ..self.taking.clone()
        }
    }

    async fn begin(&mut self, taking: &Taking) -> Result<usize, RecordError> {
        if taking.limit == 0 {
            return Ok(0);
        }
        let taken = self.host.record().take_assets(self.worker.id(), taking).await?;
        let count = taken.len();
        for asset in taken {
            let (host, listener) = (self.host.clone(), self.listener.clone());
            self.running
                .spawn(async move { host.attempt_purchase(&asset, listener).await });
        }
        Ok(count)
    }

    /// The attempts that have ended, at least one. None: none is under way.
    async fn ended(&mut self) -> Option<Vec<Ended>> {
        let first = self.running.join_next().await?;
        let mut ended = Vec::new();
        let mut next = Some(first);
        while let Some(result) = next {
            match result {
                Ok(attempt) => {
                    self.breakers
                        .note(attempt.instance_id, attempt.sign, Instant::now());
                    ended.push(attempt);
                }
                Err(error) => tracing::error!(%error, "an attempt broke off; its line is taken up again"),
            }
            next = self.running.try_join_next();
        }
        Some(ended)
    }

    /// How long nothing can be done.
    fn pause(&self, next_due_at_ms: Option<i64>) -> Duration {
        let due = next_due_at_ms.unwrap_or_default().saturating_sub(now_ms());
        let due = Duration::from_millis(u64::try_from(due).unwrap_or_default());
        let rest = self.breakers.next().map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        });
        due.max(rest)
    }

    async fn end(mut self) -> Result<(), RecordError> {
        while self.ended().await.is_some() {}
        self.host.record().end_worker(self.worker).await
    }
}
