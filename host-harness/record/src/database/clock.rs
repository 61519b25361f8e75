//! The clock by which the record decides: the machine's where one machine alone has the record, the database's where many have it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bss_model::clock::millis;
use bss_model::moment::{Boot, Moment, Uptime, uptime};
use uuid::Uuid;

use super::turn_times::Counts;

/// The boot of moments by a database's clock: it goes on whichever machine the database is on.
const DATABASES: Boot = Boot(Uuid::from_u128(0x8f0c_93a1_58a6_4a4b_9d0c_5a43_2f87_6e11));

/// A clock.
#[derive(Clone, Debug)]
pub(crate) enum Clock {
    /// That of this machine.
    Machine,
    /// That of the database, as it was last told.
    Database(Arc<Told>),
    /// That of the database, stopped: a transaction happens at one moment.
    Stopped(i64),
}

/// What the database has told of itself: its time, and its epoch.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Whether a pooler is in between, which gives each transaction another connection: none keeps a prepared statement.
    pub(super) forgets_statements: bool,
    last: Mutex<Option<(i64, Instant)>>,
    /// The turns that this program has had.
    pub(super) turns: Counts,
    /// The epoch in which this program goes on. `None`: it has not written yet.
    epoch: Mutex<Option<String>>,
    /// Whether nobody waits for a turn, which tests show to be needed.
    #[cfg(test)]
    pub(crate) is_turn_skipped: std::sync::atomic::AtomicBool,
}

impl Told {
    pub(super) fn new(forgets_statements: bool) -> Self {
        Self {
            forgets_statements,
            ..Self::default()
        }
    }

    /// Notes what the database has just told. Its answer was under way meanwhile, so that no time that is reckoned from it is ahead of
    /// the database's.
    pub(super) fn note(&self, now_ms: i64) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((now_ms, Instant::now()));
    }

    /// Notes the epoch in which this program goes on.
    pub(super) fn note_epoch(&self, epoch: String) {
        *self.epoch.lock().unwrap_or_else(PoisonError::into_inner) = Some(epoch);
    }

    /// The epoch in which this program goes on. `None`: it has not written yet.
    pub(super) fn epoch(&self) -> Option<String> {
        self.epoch.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn now_ms(&self) -> i64 {
        let told = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        told.map_or(0, |(ms, at)| ms.saturating_add(millis(at.elapsed())))
    }
}

impl Clock {
    /// The present, in milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> i64 {
        match self {
            Self::Machine => bss_model::clock::now_ms(),
            Self::Database(told) => told.now_ms(),
            Self::Stopped(now_ms) => *now_ms,
        }
    }

    /// The present on the clock that counts how much time has passed.
    pub(crate) fn uptime(&self) -> Uptime {
        match self {
            Self::Machine => uptime(),
            Self::Database(_) | Self::Stopped(_) => on_database(self.now_ms()),
        }
    }

    /// The present.
    pub(crate) fn now(&self) -> Moment {
        match self {
            Self::Machine => Moment::now(),
            Self::Database(_) | Self::Stopped(_) => {
                let wall_ms = self.now_ms();
                Moment {
                    wall_ms,
                    uptime: Some(on_database(wall_ms)),
                }
            }
        }
    }
}

/// Whether a boot, as a column has it, is that of moments by a database's clock.
pub(crate) fn is_of_a_database(boot: &str) -> bool {
    Uuid::try_parse(boot).is_ok_and(|boot| boot == DATABASES.0)
}

fn on_database(ms: i64) -> Uptime {
    Uptime { boot: DATABASES, ms }
}
