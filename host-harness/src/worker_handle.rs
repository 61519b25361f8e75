//! A worker in the background: it goes on after an error, and ends within a given time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bss_model::with_causes;
use bss_record::RecordError;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::host::Host;
use crate::own_task::until_stopped;
use crate::worker::WorkOptions;

/// The pause before a worker that failed begins again; it doubles with each failure after the other.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause before a worker that failed begins again. What ails a record is a full disk, or an operator at work.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A worker that works without failing for so long has recovered: its next failure is a first one.
const RECOVERED_AFTER: Duration = Duration::from_secs(60);

/// A worker in the background, from [`Host::start_worker`]. Several of a record, in one process or more, share its work.
///
/// Where this is dropped, or the host is closed, the worker stops by itself like one that is told to, and nothing waits for it.
pub struct Worker {
    stopping: watch::Sender<bool>,
    supervisor: JoinHandle<()>,
    failures: Arc<AtomicU64>,
}

/// How a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// Everything that it had under way has ended and is on record.
    Done,
    /// Something is still under way, and goes on as long as the runtime does. Where that ends before, another worker takes over
    /// half a minute later, and looks up first what may have been bought.
    UnderWay,
}

impl Worker {
    /// The number of times that the worker failed and began again.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Whether the worker has ended by itself, because its host is closed or its runtime shuts down.
    pub fn has_ended(&self) -> bool {
        self.supervisor.is_finished()
    }

    /// Stops taking work, and waits until what is under way has ended, at most for a given time. Purchases, returns and
    /// refreshes take as long as their vendor; a run of Get Services Definition is abandoned; e-mails that a server has not
    /// confirmed are left after a second, and sent again later under the same Message-ID.
    pub async fn stop(self, within: Duration) -> Stopped {
        let _ = self.stopping.send(true);
        match tokio::time::timeout(within, self.supervisor).await {
            Ok(_) => Stopped::Done,
            Err(_) => Stopped::UnderWay,
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("failures", &self.failures())
            .finish_non_exhaustive()
    }
}

impl Host {
    /// Starts a worker that does all there is to do: buys, returns, refreshes, reads catalogs, sends e-mails. It begins again
    /// after an error or a panic, with a pause of a second that doubles up to half a minute, and logs each at ERROR. Returns
    /// at once; what came of the work is in [`Host::outcomes`].
    pub fn start_worker(&self, options: WorkOptions) -> Worker {
        let (stopping, stopped) = watch::channel(false);
        let failures = Arc::<AtomicU64>::default();
        let supervisor = tokio::spawn(supervise(self.clone(), options, stopped, Arc::clone(&failures)));
        Worker {
            stopping,
            supervisor,
            failures,
        }
    }
}

/// Works until told to stop, and begins again after each failure.
async fn supervise(
    host: Host,
    options: WorkOptions,
    mut stopped: watch::Receiver<bool>,
    failures: Arc<AtomicU64>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = tokio::time::Instant::now();
        let (worker, its_options, mut its_end) = (host.clone(), options.clone(), stopped.clone());
        // In a task of its own, so that a panic ends it and not the supervisor.
        let work = tokio::spawn(async move { worker.work(&its_options, until_stopped(&mut its_end)).await });
        match work.await {
            Ok(Ok(())) => return,
            // A closed host has nothing that could be tried again.
            Ok(Err(_)) if host.record().is_closed() => return,
            Ok(Err(error)) => tell(&error),
            Err(panic) if panic.is_panic() => {
                tracing::error!("the worker panicked, which is a defect of the host; it begins again");
            }
            // The runtime is shutting down.
            Err(_) => return,
        }
        failures.fetch_add(1, Ordering::Relaxed);
        options.pulse.beat();
        if begun.elapsed() > RECOVERED_AFTER {
            pause = FIRST_PAUSE;
        }
        tokio::select! {
            () = until_stopped(&mut stopped) => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

fn tell(error: &RecordError) {
    let error = with_causes(error);
    tracing::error!(error, "the worker failed; it begins again");
}
