//! The schedule of kills, which a seed determines so that a run can be repeated.

use std::time::Duration;

/// The length of a round of kills, of which one is the vendors' and the others are workers'.
const VENDORS_EVERY: usize = 4;

/// The shortest and the longest time from the moment when lines are worked on again to the kill, in milliseconds. The
/// shortest hits a worker that has just begun; the longest is as long as a purchase takes.
const DELAY_MS: (u64, u64) = (20, 1_000);

/// The process that is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    /// A worker, from 0.
    Worker(usize),
    /// The servers of both vendors.
    Vendors,
}

/// A kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kill {
    /// The process that is killed.
    pub(crate) victim: Victim,
    /// How long after the moment when lines are worked on again.
    pub(crate) delay: Duration,
}

/// The kills of a seed, in order, for so many workers.
pub(crate) fn kills(seed: u64, count: usize, workers: usize) -> Vec<Kill> {
    let mut random = Random(seed);
    let mut kills = Vec::with_capacity(count);
    while kills.len() < count {
        let vendors = random.below(VENDORS_EVERY as u64);
        for place in 0..VENDORS_EVERY as u64 {
            let victim = match place == vendors {
                true => Victim::Vendors,
                false => Victim::Worker(usize::try_from(random.below(workers as u64)).unwrap_or_default()),
            };
            let (least, most) = DELAY_MS;
            let delay = Duration::from_millis(least + random.below(most - least + 1));
            kills.push(Kill { victim, delay });
        }
    }
    kills.truncate(count);
    kills
}

/// Numbers that a seed determines (SplitMix64): a schedule needs no better ones, and no library's next version
/// changes them.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to one less than `end`; a bias of 2^-50 does no harm here.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_schedule_and_another_is_another() {
        assert_eq!(kills(7, 40, 2), kills(7, 40, 2));
        assert_ne!(kills(7, 40, 2), kills(8, 40, 2));
        assert_eq!(kills(7, 40, 2)[..20], kills(7, 20, 2));
    }

    #[test]
    fn every_fourth_kill_is_the_vendors_and_the_others_hit_every_worker() {
        let kills = kills(1, 400, 3);
        for four in kills.chunks(4) {
            let vendors = four.iter().filter(|kill| kill.victim == Victim::Vendors);
            assert_eq!(vendors.count(), 1);
        }
        for worker in 0..3 {
            let hits = kills.iter().filter(|kill| kill.victim == Victim::Worker(worker));
            assert!(hits.count() > 70);
        }
        let (least, most) = DELAY_MS;
        let delays = kills.iter().map(|kill| kill.delay.as_millis());
        assert!(
            delays
                .clone()
                .all(|delay| (u128::from(least)..=u128::from(most)).contains(&delay))
        );
        assert!(delays.clone().any(|delay| delay < 100) && delays.clone().any(|delay| delay > 900));
    }
}
