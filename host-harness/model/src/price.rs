//! Prices in the smallest unit of their currency.

use std::collections::BTreeMap;
use std::fmt;

use crate::actor::Actor;
use crate::currency::{decimals, is_currency};

/// A price, as a whole number of the currency's smallest unit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Price {
    /// The currency, ISO 4217 in three capital letters.
    pub currency: String,
    /// The amount in the smallest unit, such as cents. Not negative.
    pub minor_units: i64,
}

impl Price {
    /// Reads an amount as people write it, as `5000` or `5000.00`, with no more decimals than the currency has. `None`: the text
    /// is no such amount, or too large.
    ///
    /// ```
    /// use bss_model::Price;
    ///
    /// let price = Price::from_amount("5000.5", "EUR").map(|price| price.to_string());
    /// assert_eq!(price.as_deref(), Some("5000.50 EUR"));
    /// assert_eq!(Price::from_amount("5000.5", "JPY"), None);
    /// ```
    pub fn from_amount(amount: &str, currency: &str) -> Option<Self> {
        let (whole, part) = amount.split_once('.').unwrap_or((amount, ""));
        let decimals = decimals(currency);
        let is_number = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
        if whole.is_empty() || part.len() > decimals || !is_number(whole) || !is_number(part) {
            return None;
        }
        if amount.ends_with('.') || !is_currency(currency) {
            return None;
        }
        Some(Self {
            currency: currency.to_owned(),
            minor_units: format!("{whole}{part:0<decimals$}").parse().ok()?,
        })
    }

    /// The amount with the currency's decimals and a point, without the currency, as in `249.00`.
    pub fn decimal(&self) -> String {
        let decimals = decimals(&self.currency);
        let sign = if self.minor_units < 0 { "-" } else { "" };
        let digits = format!(
            "{:0>width$}",
            self.minor_units.unsigned_abs(),
            width = decimals + 1
        );
        let (whole, part) = digits.split_at(digits.len().saturating_sub(decimals));
        let point = if part.is_empty() { "" } else { "." };
        format!("{sign}{whole}{point}{part}")
    }
}

/// How many times larger or smaller than the last price a new one is, from which on it is probably a mistake: as an amount in the
/// smallest unit is that was typed in the currency's, or one with a digit too many.
const FAR: i128 = 10;

/// Why a new price may be a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PriceDoubt {
    /// The product would be free.
    Zero,
    /// The price is far from the last one.
    FarFromLast {
        /// The last price.
        last: Price,
    },
    /// The instance sells in another currency, so that the price counts for nothing.
    OtherCurrency {
        /// The currency in which the instance sells.
        sells_in: String,
    },
}

impl PriceDoubt {
    /// The reasons to ask before a price takes the place of the last one in its currency, at an instance that sells in a
    /// currency.
    pub fn about(price: &Price, last: Option<&Price>, sells_in: &str) -> Vec<Self> {
        let is_far = |last: &&Price| {
            let [old, new] = [last.minor_units, price.minor_units].map(i128::from);
            old > 0 && new > 0 && (new >= old * FAR || old >= new * FAR)
        };
        let zero =
            (price.minor_units == 0 && last.is_none_or(|last| last.minor_units != 0)).then_some(Self::Zero);
        let far = last
            .filter(is_far)
            .map(|last| Self::FarFromLast { last: last.clone() });
        let other = (price.currency != sells_in).then(|| Self::OtherCurrency {
            sells_in: sells_in.to_owned(),
        });
        [zero, far, other].into_iter().flatten().collect()
    }

    /// The prices that may be a mistake, each with its reasons: those of `prices` that take the place of `before` (by the products'
    /// codes), at an instance that sells in a currency.
    pub fn about_each<'a>(
        prices: &'a [NewPrice],
        before: &BTreeMap<String, Vec<Price>>,
        sells_in: &str,
    ) -> Vec<(&'a NewPrice, Vec<Self>)> {
        let doubts = prices.iter().map(|new| {
            let last = new.present(before);
            (new, Self::about(&new.price, last, sells_in))
        });
        doubts.filter(|(_, about)| !about.is_empty()).collect()
    }

    /// A stable word for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::FarFromLast { .. } => "far-from-last",
            Self::OtherCurrency { .. } => "other-currency",
        }
    }
}

impl fmt::Display for PriceDoubt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero => formatter.write_str("it would be free"),
            Self::FarFromLast { last } => write!(formatter, "the last price was {last}"),
            Self::OtherCurrency { sells_in } => write!(formatter, "the instance sells in {sells_in}"),
        }
    }
}

/// The price that a product is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPrice {
    /// The product's code.
    pub code: String,
    /// The price.
    pub price: Price,
}

impl NewPrice {
    /// The price that it takes the place of, among those of all products by their codes.
    pub fn present<'a>(&self, before: &'a BTreeMap<String, Vec<Price>>) -> Option<&'a Price> {
        let mut prices = before.get(&self.code)?.iter();
        prices.find(|price| price.currency == self.price.currency)
    }
}

/// The change of a product's price in one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceChange {
    /// The product's code.
    pub code: String,
    /// The price before. `None`: the product had none in that currency.
    pub before: Option<Price>,
    /// The price since. `None`: the product has none in that currency.
    pub after: Option<Price>,
}

/// The change of a price as it is on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedPriceChange {
    /// The change.
    pub change: PriceChange,
    /// Who changed it.
    pub changed_by: Actor,
    /// When, in milliseconds.
    pub changed_at_ms: i64,
}

impl fmt::Display for Price {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&format!("{} {}", self.decimal(), self.currency))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_that_is_free_far_from_the_last_or_in_another_currency_is_asked_about_and_no_other() {
        let euros = |minor_units| Price {
            currency: "EUR".to_owned(),
            minor_units,
        };
        let doubts =
            |new: i64, last: Option<i64>| PriceDoubt::about(&euros(new), last.map(euros).as_ref(), "EUR");
        let far = |last| vec![PriceDoubt::FarFromLast { last: euros(last) }];
        for (new, last) in [
            (24_900, None),
            (24_900, Some(24_900)),
            (2_491, Some(24_900)),
            (248_999, Some(24_900)),
            (1, Some(0)),
            (0, Some(0)),
        ] {
            assert_eq!(doubts(new, last), [], "{new} after {last:?}");
        }
        assert_eq!(doubts(0, Some(24_900)), [PriceDoubt::Zero]);
        assert_eq!(doubts(0, None), [PriceDoubt::Zero]);
        assert_eq!(doubts(249, Some(24_900)), far(24_900));
        assert_eq!(doubts(2_490, Some(24_900)), far(24_900));
        assert_eq!(doubts(249_000, Some(24_900)), far(24_900));
        assert_eq!(doubts(i64::MAX, Some(i64::MAX - 1)), []);
        let other = PriceDoubt::about(&euros(1), None, "USD");
        assert_eq!(
            other,
            [PriceDoubt::OtherCurrency {
                sells_in: "USD".to_owned()
            }]
        );
    }

    #[test]
    fn an_amount_has_the_decimals_of_its_currency_and_its_sign() {
        for (minor_units, currency, shown) in [
            (24_900, "EUR", "249.00 EUR"),
            (-24_900, "EUR", "-249.00 EUR"),
            (-5, "EUR", "-0.05 EUR"),
            (0, "JPY", "0 JPY"),
            (-7, "JPY", "-7 JPY"),
            (1, "KWD", "0.001 KWD"),
        ] {
            let currency = currency.to_owned();
            assert_eq!(
                Price {
                    currency,
                    minor_units
                }
                .to_string(),
                shown
            );
        }
    }
}
