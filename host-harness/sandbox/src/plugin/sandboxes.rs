//! The sandboxes of a process: one engine, one pool of memory, one clock, and one queue for the calls of all plugins and
//! hosts.
//!
//! A pool reserves 2.1 TB of addresses, of which a process has 128, so a pool for each plugin would end at some sixty of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;

use tokio::sync::oneshot::error::RecvError;
use wasmtime::Engine;

use super::engine;
use super::permits::{Permit, Permits};
use crate::limits;

/// The sandboxes of this process, made when the first plugin is loaded.
static OF_PROCESS: Mutex<Option<Arc<Sandboxes>>> = Mutex::new(None);

/// Calls of this process that have a sandbox, and that wait for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SandboxUse {
    /// Calls that have a sandbox.
    pub in_use: usize,
    /// Calls that wait for one, those that gave up just now included.
    pub waiting: usize,
}

impl SandboxUse {
    /// The use at this moment. Zero before the first plugin is loaded.
    pub fn now() -> Self {
        let of_process = OF_PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        let permits = of_process.as_ref().map(|sandboxes| &sandboxes.permits);
        permits.map_or_else(Self::default, |permits| Self {
            in_use: permits.in_use(),
            waiting: permits.waiting(),
        })
    }
}

/// The sandboxes that calls run in.
pub(super) struct Sandboxes {
    engine: Engine,
    permits: Permits,
    ticker: Thread,
}

impl Sandboxes {
    /// The sandboxes of this process. They stay until it ends.
    ///
    /// # Errors
    /// When the system gives neither addresses nor a thread. The next plugin that is loaded tries again.
    pub(super) fn of_process() -> wasmtime::Result<Arc<Self>> {
        // Nothing that panics is left half done.
        let mut of_process = OF_PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sandboxes) = &*of_process {
            return Ok(Arc::clone(sandboxes));
        }
        let sandboxes = Arc::new(Self::new()?);
        *of_process = Some(Arc::clone(&sandboxes));
        Ok(sandboxes)
    }

    fn new() -> wasmtime::Result<Self> {
        let engine = engine::engine()?;
        let permits = Permits::new(
            limits::CALLS_AT_ONCE as usize,
            limits::CALLS_PER_INSTANCE as usize,
        );
        let ticker = start_ticker(engine.clone(), permits.clone())?;
        Ok(Self {
            engine,
            permits,
            ticker,
        })
    }

    /// The engine that compiles and runs all plugins.
    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Waits until a call of an instance may have a sandbox. The pool has room for what every permit may use, so a call with
    /// a permit finds one.
    pub(super) async fn permit(&self, instance: &str) -> Result<Permit, RecvError> {
        let permit = self.permits.permit(instance).await;
        self.ticker.unpark();
        permit
    }
}

/// Starts the thread that advances the epoch, by which a running guest pauses. The thread rests while no call is under way.
fn start_ticker(engine: Engine, permits: Permits) -> wasmtime::Result<Thread> {
    let tick = move || {
        loop {
            while permits.in_use() == 0 {
                // Who takes a permit wakes this thread afterwards, also if that was just now.
                std::thread::park();
            }
            std::thread::sleep(limits::EPOCH_TICK);
            engine.increment_epoch();
        }
    };
    let ticker = std::thread::Builder::new().name("bss-ticker".to_owned());
    Ok(ticker.spawn(tick)?.thread().clone())
}
