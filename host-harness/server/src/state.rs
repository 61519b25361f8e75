//! What all requests share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use host_harness::{Host, Pulse};
use tokio::sync::Semaphore;

use crate::failed_tries::FailedTries;
use crate::limits::Limits;
use crate::measures::SharedMeasures;

/// The state behind all routes. Cloning it shares it.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) host: Host,
    /// The pulse of the worker in this process. `None`: another process works.
    pub(crate) worker: Option<Arc<Pulse>>,
    /// Whether operators can sign in at the console.
    pub(crate) has_console: bool,
    pub(crate) limits: Limits,
    pub(crate) measures: SharedMeasures,
    pub(crate) failed_tries: Arc<FailedTries>,
    pub(crate) is_stopping: Arc<AtomicBool>,
    /// What is left of [`CHANGES_MAX`]: each request that may change something holds one until its change is done.
    pub(crate) changes: Arc<Semaphore>,
    /// The turn at making or unlocking a key: each takes a processor for seconds, whoever asks.
    pub(crate) key_work: Arc<Semaphore>,
}

/// Requests at once that may change something. They go on where their clients leave, so that connections are no bound for them.
pub(crate) const CHANGES_MAX: u32 = 1_024;
