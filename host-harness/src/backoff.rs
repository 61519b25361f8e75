//! The pause before another attempt: longer each time, and random, so that attempts that failed together do not come
//! back together.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};

/// The number of attempts after which the pause grows no more: a second doubled so often is longer than a day.
const GROWING: u32 = 20;

/// The pause after an attempt, counted from 1: `first` at the beginning, twice as long each time up to `longest`,
/// plus a random part of up to as much again.
pub(crate) fn pause(first: Duration, longest: Duration, attempt: u32) -> Duration {
    let pauses = ExponentialBuilder::new()
        .with_min_delay(first)
        .with_max_delay(longest)
        .with_jitter()
        .without_max_times();
    let nth = usize::try_from(attempt.clamp(1, GROWING) - 1).unwrap_or_default();
    pauses.build().nth(nth).unwrap_or(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_the_longest_and_never_overflows() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(60));
        for (attempt, least) in [(0, 1), (1, 1), (2, 2), (3, 4), (7, 60), (u32::MAX, 60)] {
            let pause = pause(first, longest, attempt);
            let least = Duration::from_secs(least);
            assert!((least..=least * 2).contains(&pause), "{attempt}: {pause:?}");
        }
    }
}
