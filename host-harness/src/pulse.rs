//! The pulse of a worker: when it last went through its loop.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A worker's sign of life. The worker beats each time that it looks for work, four times a second, and whatever it has under
/// way; one that hangs, or waits for its record for long, does not.
#[derive(Debug)]
pub struct Pulse {
    since: Instant,
    last_ms: AtomicU64,
}

impl Pulse {
    /// Beats.
    pub(crate) fn beat(&self) {
        self.last_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// The time since the last beat, or since the pulse was made.
    pub fn silent_for(&self) -> Duration {
        let last = self.last_ms.load(Ordering::Relaxed);
        Duration::from_millis(self.now_ms().saturating_sub(last))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Default for Pulse {
    /// Begins now.
    fn default() -> Self {
        Self {
            since: Instant::now(),
            last_ms: AtomicU64::new(0),
        }
    }
}
