//! The clock of a call: the machine's, or one that tells the time of a recording.

use std::time::Duration;

use bss_model::clock;
use bss_model::moment::Moment;
use wasmtime_wasi::HostWallClock;

/// The wall clock that a call goes by. The default is the machine's.
///
/// A call that is played back has the time at which it was recorded: a certificate that was good then is good now, and what a
/// plugin makes from the time of day comes out as it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallClock {
    /// How far ahead of the machine's clock.
    ahead_ms: i64,
}

impl CallClock {
    /// A clock on which it is that time now.
    pub(crate) fn at(now_ms: i64) -> Self {
        Self {
            ahead_ms: now_ms.saturating_sub(clock::now_ms()),
        }
    }

    /// The time, in milliseconds.
    pub(crate) fn now_ms(self) -> i64 {
        clock::now_ms().saturating_add(self.ahead_ms)
    }

    /// The moment by this clock and by the one that nobody can set.
    pub(crate) fn moment(self) -> Moment {
        let moment = Moment::now();
        Moment {
            wall_ms: moment.wall_ms.saturating_add(self.ahead_ms),
            ..moment
        }
    }
}

impl HostWallClock for CallClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        // A guest's clock knows no time before 1970.
        Duration::from_millis(u64::try_from(self.now_ms()).unwrap_or_default())
    }
}
