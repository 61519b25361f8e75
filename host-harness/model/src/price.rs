//! Prices in the smallest unit of their currency.

use std::fmt;

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

impl fmt::Display for Price {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&format!("{} {}", self.decimal(), self.currency))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
