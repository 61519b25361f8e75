//! Spending limits: the most that an instance sells in a day.

use std::fmt;

use crate::price::Price;

/// A day of the limit in milliseconds. Days are those of UTC, so that every process means the same one.
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// The part of a limit, in hundredths, from which on the operator is told.
const NEAR: i128 = 80;

/// What is spent, or may be: an amount, or units of products where there are no prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spending {
    /// An amount.
    Amount(Price),
    /// Units of products.
    Units(u64),
}

impl fmt::Display for Spending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amount(price) => price.fmt(f),
            Self::Units(1) => f.write_str("1 unit"),
            Self::Units(units) => write!(f, "{units} units"),
        }
    }
}

/// What an instance has sold today, and may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendingToday {
    /// The most of a day. `None`: there is no limit.
    pub limit: Option<Spending>,
    /// The price of all that was ordered today and is not withdrawn, in the instance's currency.
    pub used: Price,
    /// The units of it.
    pub used_units: u64,
}

impl SpendingToday {
    /// What is used, in the measure of a limit.
    pub fn used_of(&self, limit: &Spending) -> Spending {
        match limit {
            Spending::Amount(_) => Spending::Amount(self.used.clone()),
            Spending::Units(_) => Spending::Units(self.used_units),
        }
    }

    /// Whether this is no more than the limit. An amount of another currency than the limit's is never within it.
    pub fn is_within_limit(&self) -> bool {
        self.limit.as_ref().is_none_or(|limit| match limit {
            Spending::Amount(limit) => {
                self.used.currency == limit.currency && self.used.minor_units <= limit.minor_units
            }
            Spending::Units(limit) => self.used_units <= *limit,
        })
    }

    /// Whether four fifths of the limit are used, or more.
    pub fn is_near_limit(&self) -> bool {
        self.limit.as_ref().is_some_and(|limit| {
            let (used, limit) = match limit {
                Spending::Amount(limit) => (self.used.minor_units.into(), limit.minor_units.into()),
                Spending::Units(limit) => (i128::from(self.used_units), i128::from(*limit)),
            };
            used > 0 && used * 100 >= limit * NEAR
        })
    }
}

/// When the day of a time began, in milliseconds since 1970.
pub fn day_began_at_ms(now_ms: i64) -> i64 {
    now_ms.saturating_sub(now_ms.rem_euclid(DAY_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn today(limit: Option<Spending>, minor_units: i64, used_units: u64) -> SpendingToday {
        SpendingToday {
            limit,
            used: euros(minor_units),
            used_units,
        }
    }

    fn euros(minor_units: i64) -> Price {
        Price {
            currency: "EUR".to_owned(),
            minor_units,
        }
    }

    #[test]
    fn a_limit_is_reached_to_the_cent_and_near_from_four_fifths_on() {
        let of = |used| today(Some(Spending::Amount(euros(1_000))), used, 7);
        let seen =
            [0, 799, 800, 1_000, 1_001].map(|used| (of(used).is_near_limit(), of(used).is_within_limit()));
        assert_eq!(
            seen,
            [
                (false, true),
                (false, true),
                (true, true),
                (true, true),
                (true, false)
            ]
        );
        let units = |used| today(Some(Spending::Units(10)), 1, used);
        assert!(units(10).is_within_limit() && !units(11).is_within_limit());
        assert!(!units(7).is_near_limit() && units(8).is_near_limit());
        assert_eq!(units(8).used_of(&Spending::Units(10)).to_string(), "8 units");
    }

    #[test]
    fn without_a_limit_there_is_none_and_one_in_another_currency_lets_nothing_through() {
        let free = today(None, i64::MAX, u64::MAX);
        assert!(free.is_within_limit() && !free.is_near_limit());
        let dollars = Price {
            currency: "USD".to_owned(),
            minor_units: 1_000,
        };
        assert!(!today(Some(Spending::Amount(dollars)), 1, 1).is_within_limit());
    }

    #[test]
    fn a_day_begins_at_midnight_utc() {
        assert_eq!(day_began_at_ms(DAY_MS * 3 + 5), DAY_MS * 3);
        assert_eq!(day_began_at_ms(DAY_MS * 3), DAY_MS * 3);
        assert_eq!(day_began_at_ms(-1), -DAY_MS);
    }
}
