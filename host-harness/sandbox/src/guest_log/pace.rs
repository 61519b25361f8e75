//! A budget of lines that fills itself up again as time passes.

use std::time::Instant;

use crate::limits;

/// A budget of lines, and what is left of it.
pub(super) struct Pace {
    lines: f64,
    since: Instant,
    at_once: f64,
    per_second: f64,
}

impl Pace {
    pub(super) fn of_a_call(now: Instant) -> Self {
        Self::new(now, limits::LOG_LINES_AT_ONCE, limits::LOG_LINES_PER_SECOND)
    }

    pub(super) fn of_an_instance(now: Instant) -> Self {
        Self::new(
            now,
            limits::INSTANCE_LOG_LINES_AT_ONCE,
            limits::INSTANCE_LOG_LINES_PER_SECOND,
        )
    }

    fn new(now: Instant, at_once: u32, per_second: u32) -> Self {
        Self {
            lines: at_once.into(),
            since: now,
            at_once: at_once.into(),
            per_second: per_second.into(),
        }
    }

    /// Takes a line from the budget, where there is one.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
        self.fill(now);
        let admits = self.lines >= 1.0;
        if admits {
            self.lines -= 1.0;
        }
        admits
    }

    /// Whether the budget is full.
    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.lines >= self.at_once
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        self.since = now;
        self.lines = (self.lines + passed * self.per_second).min(self.at_once);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_budget_of_lines_fills_up_again_and_not_beyond_its_size() {
        let start = Instant::now();
        for (mut pace, at_once, per_second) in [
            (
                Pace::of_a_call(start),
                limits::LOG_LINES_AT_ONCE,
                limits::LOG_LINES_PER_SECOND,
            ),
            (
                Pace::of_an_instance(start),
                limits::INSTANCE_LOG_LINES_AT_ONCE,
                limits::INSTANCE_LOG_LINES_PER_SECOND,
            ),
        ] {
            assert!(pace.is_full(start));
            let taken = |pace: &mut Pace, now| (0..100_000).take_while(|_| pace.admits(now)).count() as u32;
            assert_eq!(taken(&mut pace, start), at_once);
            let second_later = start + Duration::from_secs(1);
            assert!(!pace.is_full(second_later));
            assert_eq!(taken(&mut pace, second_later), per_second);
            let day_later = start + Duration::from_secs(86_400);
            assert!(pace.is_full(day_later));
            assert_eq!(taken(&mut pace, day_later), at_once);
        }
    }
}
