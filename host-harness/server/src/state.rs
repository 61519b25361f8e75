//! What all requests share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use host_harness::{Host, Pulse};

use crate::failed_tries::FailedTries;
use crate::limits::Limits;
use crate::measures::SharedMeasures;

/// The state behind all routes. Cloning it shares it.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) host: Host,
    /// The pulse of the worker in this process. `None`: another process works.
    pub(crate) worker: Option<Arc<Pulse>>,
    pub(crate) limits: Limits,
    pub(crate) measures: SharedMeasures,
    pub(crate) failed_tries: Arc<FailedTries>,
    pub(crate) is_stopping: Arc<AtomicBool>,
}
