//! The rule of doubt: whether what was attempted before may have bought a license.

use crate::attempt::{AttemptResult, Doubt};

/// One earlier attempt at a purchase, as far as the rule asks for it.
#[derive(Clone, Debug)]
pub struct EarlierAttempt {
    /// Its number, from 1.
    pub number: u32,
    /// When it was begun, in milliseconds since 1970.
    pub begun_at_ms: i64,
    /// When it ended, in milliseconds since 1970. `None`: it has not.
    pub finished_at_ms: Option<i64>,
    /// How it ended. `None`: it has not.
    pub result: Option<AttemptResult>,
    /// The version of its instance's settings. `None`: it is not known.
    pub settings_version: Option<i64>,
}

/// What the attempts of an asset say together. They are added in the order in which they were begun.
#[derive(Debug, Default)]
pub struct Earlier {
    /// The number of the last attempt; 0 before the first.
    pub last: u32,
    last_settings_version: Option<i64>,
    /// The last one has not ended: its worker died at a time that is not known.
    is_cut_off: bool,
    in_doubt: Option<Doubt>,
}

impl Earlier {
    /// Adds the next attempt.
    pub fn add(&mut self, attempt: &EarlierAttempt) {
        self.in_doubt = self.in_doubt(attempt.begun_at_ms);
        self.is_cut_off = attempt.result.is_none();
        self.last = attempt.number;
        self.last_settings_version = attempt.settings_version;
        let bought_nothing = matches!(
            attempt.result,
            None | Some(AttemptResult::Refused | AttemptResult::Unavailable | AttemptResult::LookedUp)
        );
        if !bought_nothing {
            self.in_doubt = Some(self.last_in_doubt(attempt.finished_at_ms.unwrap_or(attempt.begun_at_ms)));
        }
    }

    /// What is in doubt for an attempt that is begun at that time. An attempt that was cut off had ended by then: the next one
    /// is begun only once its worker is dead.
    pub fn in_doubt(&self, next_begun_at_ms: i64) -> Option<Doubt> {
        match self.is_cut_off {
            true => Some(self.last_in_doubt(next_begun_at_ms)),
            false => self.in_doubt,
        }
    }

    /// The doubt that includes the last attempt. All attempts that may have bought were made with the same settings, or with
    /// settings that mean the same to the vendor: with others a purchase is only looked up.
    fn last_in_doubt(&self, ended_at_ms: i64) -> Doubt {
        match self.in_doubt {
            Some(doubt) => Doubt {
                since_ms: doubt.since_ms.max(ended_at_ms),
                settings_version: doubt.settings_version.or(self.last_settings_version),
            },
            None => Doubt {
                since_ms: ended_at_ms,
                settings_version: self.last_settings_version,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What attempts say together, each begun at a time with settings of its number, and ended at another time with a result.
    fn in_doubt(attempts: &[(i64, Option<(i64, AttemptResult)>)], next_begun_at_ms: i64) -> Option<Doubt> {
        let mut earlier = Earlier::default();
        for (number, (begun_at_ms, end)) in (1..).zip(attempts) {
            earlier.add(&EarlierAttempt {
                number,
                begun_at_ms: *begun_at_ms,
                finished_at_ms: end.map(|(finished_at_ms, _)| finished_at_ms),
                result: end.map(|(_, result)| result),
                settings_version: Some(i64::from(number)),
            });
        }
        earlier.in_doubt(next_begun_at_ms)
    }

    fn doubt(since_ms: i64, settings_version: i64) -> Option<Doubt> {
        Some(Doubt {
            since_ms,
            settings_version: Some(settings_version),
        })
    }

    #[test]
    fn what_definitely_bought_nothing_leaves_no_doubt() {
        use AttemptResult::{Refused, Unavailable};
        let attempts = [(1, Some((2, Unavailable))), (3, Some((4, Refused)))];
        assert_eq!(in_doubt(&attempts, 5), None);
        assert_eq!(in_doubt(&[], 5), None);
    }

    #[test]
    fn a_purchase_is_in_doubt_since_the_end_of_the_last_attempt_that_may_have_bought() {
        use AttemptResult::{LookedUp, Refused, SecondLicense, Unavailable, Unknown};
        for doubtful in [Unknown, SecondLicense, AttemptResult::Licensed] {
            for later in [LookedUp, Unavailable, Refused] {
                let attempts = [(1, Some((10, doubtful))), (20, Some((30, later)))];
                assert_eq!(in_doubt(&attempts, 40), doubt(10, 1), "{doubtful:?}, {later:?}");
            }
            let attempts = [(1, Some((10, doubtful))), (20, Some((30, Unknown)))];
            assert_eq!(in_doubt(&attempts, 40), doubt(30, 1), "{doubtful:?}");
        }
    }

    #[test]
    fn an_attempt_that_was_cut_off_may_have_bought_until_the_next_one_began() {
        use AttemptResult::{LookedUp, Unavailable, Unknown};
        assert_eq!(in_doubt(&[(1, None)], 40), doubt(40, 1));
        let unavailable = [(1, Some((10, Unavailable))), (20, None)];
        assert_eq!(in_doubt(&unavailable, 40), doubt(40, 2));
        let looked_up = [(1, None), (40, Some((50, LookedUp)))];
        assert_eq!(in_doubt(&looked_up, 60), doubt(40, 1));
        // It may have been one that only looked up, with other settings: those of the first one count.
        assert_eq!(
            in_doubt(&[(1, Some((10, Unknown))), (20, None)], 40),
            doubt(40, 1)
        );
    }
}
