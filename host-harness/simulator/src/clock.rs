//! The simulator's date for licenses, which a test can move without touching the machine's clock.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// The simulated Microsoft's clock for licenses. TLS, assertions and access tokens go by the machine's clock: a client
/// signs by that one, and moving it would make every assertion look expired.
#[derive(Debug, Default)]
pub(super) struct Clock {
    ahead_ms: AtomicI64,
}

impl Clock {
    /// The simulated time, cut to whole milliseconds because the ledger keeps no more.
    pub(super) fn now(&self) -> Timestamp {
        let now_ms = Timestamp::now().as_millisecond();
        let moved = now_ms.saturating_add(self.ahead_ms.load(Ordering::Relaxed));
        Timestamp::from_millisecond(moved).unwrap_or(if moved < 0 { Timestamp::MIN } else { Timestamp::MAX })
    }

    /// Moves the clock, forward or back, on top of earlier moves.
    pub(super) fn move_by(&self, by: SignedDuration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.ahead_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}
