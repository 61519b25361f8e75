//! Moments: a reading of the wall clock beside one of a clock that nobody can set.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::clock::{millis, now_ms};

/// A run of the operating system, from its start to its end. No two have the same id, on whatever machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot(pub Uuid);

/// A reading of the clock that counts from the start of the machine and goes on while it sleeps. Nobody can set it, but
/// it means nothing in another boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uptime {
    /// The boot that the clock belongs to.
    pub boot: Boot,
    /// The time since the boot began, in milliseconds.
    pub ms: i64,
}

/// A point in time, as two clocks show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock, in milliseconds since 1970. It can be set, and steps.
    pub wall_ms: i64,
    /// The clock that can't be set. `None`: the moment was recorded without it.
    pub uptime: Option<Uptime>,
}

impl Moment {
    /// The present.
    pub fn now() -> Self {
        Self {
            wall_ms: now_ms(),
            uptime: Some(uptime()),
        }
    }

    /// The time that has certainly passed since an earlier moment. Zero where nothing can show it, as after a restart of
    /// the machine; the wall clock shows nothing, since it may have been set.
    pub fn certainly_since(&self, earlier: Self) -> Duration {
        match (self.uptime, earlier.uptime) {
            (Some(now), Some(then)) if now.boot == then.boot => span(then.ms, now.ms),
            _ => Duration::ZERO,
        }
    }

    /// Whether a moment is certainly less than that long ago: both clocks say so. The wall clock alone shows that a
    /// machine was asleep in a snapshot.
    pub fn is_certainly_within(&self, length: Duration, earlier: Self) -> bool {
        let same_boot = match (self.uptime, earlier.uptime) {
            (Some(now), Some(then)) => now.boot == then.boot,
            _ => false,
        };
        let by_wall = Duration::from_millis(self.wall_ms.abs_diff(earlier.wall_ms));
        same_boot && self.certainly_since(earlier) < length && by_wall < length
    }

    /// Whether both were read in the same boot.
    pub fn is_of_the_boot_of(&self, other: Self) -> bool {
        match (self.uptime, other.uptime) {
            (Some(mine), Some(its)) => mine.boot == its.boot,
            _ => false,
        }
    }
}

/// The present on the clock that can't be set.
pub fn uptime() -> Uptime {
    static BOOT: OnceLock<(Boot, Instant)> = OnceLock::new();
    let (boot, first) = BOOT.get_or_init(|| {
        let boot = system_boot().unwrap_or_else(Uuid::new_v4);
        (Boot(boot), Instant::now())
    });
    let ms = match since_boot() {
        Some(ms) => ms,
        None => millis(first.elapsed()),
    };
    Uptime { boot: *boot, ms }
}

fn span(from_ms: i64, to_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(to_ms.saturating_sub(from_ms)).unwrap_or_default())
}

/// The id of this boot (Linux, `proc_sys_kernel(5)`).
#[cfg(target_os = "linux")]
fn system_boot() -> Option<Uuid> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Uuid::try_parse(id.trim()).ok()
}

/// No id: every process is a boot of its own, and what others saw is waited for anew.
#[cfg(not(target_os = "linux"))]
fn system_boot() -> Option<Uuid> {
    None
}

/// The time since the machine started, sleep included (Linux, `clock_gettime(2)`, `CLOCK_BOOTTIME`).
#[cfg(target_os = "linux")]
fn since_boot() -> Option<i64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let ms = time.tv_sec.checked_mul(1_000)?;
    ms.checked_add(time.tv_nsec / 1_000_000)
}

#[cfg(not(target_os = "linux"))]
fn since_boot() -> Option<i64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(wall_ms: i64, boot: u128, ms: i64) -> Moment {
        let uptime = Some(Uptime {
            boot: Boot(Uuid::from_u128(boot)),
            ms,
        });
        Moment { wall_ms, uptime }
    }

    #[test]
    fn only_the_clock_that_can_not_be_set_shows_that_time_has_passed() {
        let then = at(1_000, 1, 500);
        // The wall clock stepped forward by a day, and back by a day.
        for wall_ms in [86_400_000, -86_400_000] {
            assert_eq!(
                at(wall_ms, 1, 700).certainly_since(then),
                Duration::from_millis(200)
            );
        }
        assert_eq!(
            at(86_400_000, 2, 86_400_000).certainly_since(then),
            Duration::ZERO
        );
        let without = Moment {
            wall_ms: 0,
            uptime: None,
        };
        assert_eq!(then.certainly_since(without), Duration::ZERO);
        assert_eq!(without.certainly_since(then), Duration::ZERO);
    }

    #[test]
    fn a_moment_is_recent_only_where_both_clocks_say_so() {
        let then = at(1_000, 1, 500);
        assert!(at(2_000, 1, 1_500).is_certainly_within(MINUTE, then));
        assert!(
            !at(61_000, 1, 1_500).is_certainly_within(MINUTE, then),
            "a snapshot that was resumed"
        );
        assert!(!at(-61_000, 1, 1_500).is_certainly_within(MINUTE, then));
        assert!(
            !at(2_000, 1, 60_500).is_certainly_within(MINUTE, then),
            "the wall clock was set back"
        );
        assert!(
            !at(2_000, 2, 501).is_certainly_within(MINUTE, then),
            "another boot"
        );
    }

    #[test]
    fn the_clock_that_can_not_be_set_goes_forward_in_one_boot() {
        let (one, two) = (Moment::now(), Moment::now());
        assert!(one.is_of_the_boot_of(two));
        assert!(two.uptime.unwrap().ms >= one.uptime.unwrap().ms);
    }
}
