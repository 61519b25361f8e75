//! The time that turns take: all hosts of a record share one row, and this says how near they are to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::clock::Told;

/// The turns of a record on a server that this process has had since it opened the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TurnTimes {
    /// How many they were.
    pub turns: u64,
    /// How long they were waited for, all together; the statements that begin a transaction are part of it.
    pub waited: Duration,
    /// How long they were held, all together: nobody else writes meanwhile.
    pub held: Duration,
}

/// The same as it is counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    turns: AtomicU64,
    waited_us: AtomicU64,
    held_us: AtomicU64,
}

/// A turn that is held until this is dropped.
#[derive(Debug)]
pub(super) struct HeldTurn {
    since: Instant,
    told: Arc<Told>,
}

impl Counts {
    pub(super) fn times(&self) -> TurnTimes {
        TurnTimes {
            turns: self.turns.load(Ordering::Relaxed),
            waited: Duration::from_micros(self.waited_us.load(Ordering::Relaxed)),
            held: Duration::from_micros(self.held_us.load(Ordering::Relaxed)),
        }
    }
}

impl HeldTurn {
    /// Counts a turn that has come, and the time since it was asked for.
    pub(super) fn taken(told: &Arc<Told>, asked: Instant) -> Self {
        let counts = &told.turns;
        counts.turns.fetch_add(1, Ordering::Relaxed);
        counts
            .waited_us
            .fetch_add(micros(asked.elapsed()), Ordering::Relaxed);
        Self {
            since: Instant::now(),
            told: told.clone(),
        }
    }
}

impl Drop for HeldTurn {
    fn drop(&mut self) {
        let held = micros(self.since.elapsed());
        self.told.turns.held_us.fetch_add(held, Ordering::Relaxed);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
