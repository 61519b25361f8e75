//! A vendor's statement: its lines, and the amounts in them.

use std::fmt;

use crate::price::Price;

/// The decimals that an amount is read with.
const DECIMALS: usize = 6;
/// Characters that stand between groups of three digits, whatever the decimal mark.
const GROUP_MARKS: [char; 5] = ['\'', '’', ' ', '\u{a0}', '\u{202f}'];

/// An amount of a statement, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatementAmount(i128);

impl StatementAmount {
    /// Reads an amount as spreadsheets write it, with a decimal comma or a decimal point, and maybe with a currency beside it. The
    /// other of the two marks, an apostrophe or a blank may stand between groups of three digits. `None`: the text is no amount, or
    /// could mean two: `1,234` is a thousand and more, or a little more than one.
    pub fn parse(text: &str, decimal_comma: bool) -> Option<Self> {
        let is_beside =
            |letter: char| letter.is_alphabetic() || letter.is_whitespace() || "€$£¥".contains(letter);
        let text = text.trim_matches(is_beside);
        let (is_negative, digits) = signed(text);
        let digits = digits.trim_matches(is_beside);
        let (mark, other) = if decimal_comma { (',', '.') } else { ('.', ',') };
        let (whole, part) = match digits.split_once(mark) {
            Some((whole, part)) if !part.is_empty() => (whole, part),
            Some(_) => return None,
            None => (digits, ""),
        };
        let groups: Vec<&str> = whole
            .split(|letter| letter == other || GROUP_MARKS.contains(&letter))
            .collect();
        let are_groups = match groups.as_slice() {
            [_] => true,
            // A single group without decimals behind it may be the decimals themselves.
            [_, _] if part.is_empty() && whole.contains(other) => false,
            [first, others @ ..] => {
                (1..=3).contains(&first.len()) && others.iter().all(|group| group.len() == 3)
            }
            [] => false,
        };
        let all = groups.concat();
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !are_groups || all.is_empty() || part.len() > DECIMALS || !are_digits(&all) || !are_digits(part) {
            return None;
        }
        let millionths: i128 = format!("{all}{part:0<DECIMALS$}").parse().ok()?;
        Some(Self(if is_negative { -millionths } else { millionths }))
    }

    /// Whether the amount is given back.
    pub fn is_negative(self) -> bool {
        self.0 < 0
    }
}

/// Takes the sign off: in front, behind, or as brackets around.
fn signed(text: &str) -> (bool, &str) {
    let in_brackets = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    let negative = in_brackets
        .or_else(|| text.strip_prefix(['-', '−']))
        .or_else(|| text.strip_suffix('-'));
    match negative {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

impl fmt::Display for StatementAmount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:0>width$}", self.0.unsigned_abs(), width = DECIMALS + 1);
        let (whole, part) = digits.split_at(digits.len().saturating_sub(DECIMALS));
        let part = format!("{:0<2}", part.trim_end_matches('0'));
        let sign = if self.0 < 0 { "-" } else { "" };
        formatter.pad(&format!("{sign}{whole}.{part}"))
    }
}

/// The price of a line of a statement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatementPrice {
    /// The amount.
    pub amount: StatementAmount,
    /// The currency. `None`: the statement names none.
    pub currency: Option<String>,
}

impl StatementPrice {
    /// A price of this host as a statement says it. `None`: it is beyond what is read.
    pub fn of(price: &Price) -> Option<Self> {
        Some(Self {
            amount: StatementAmount::parse(&price.decimal(), false)?,
            currency: Some(price.currency.clone()),
        })
    }

    /// Whether two prices can't be the same one. A statement that names no currency does not contradict any.
    pub fn contradicts(&self, other: &Self) -> bool {
        let currencies = self.currency.as_ref().zip(other.currency.as_ref());
        self.amount != other.amount || currencies.is_some_and(|(one, other)| one != other)
    }
}

impl fmt::Display for StatementPrice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.amount)?;
        match &self.currency {
            Some(currency) => write!(formatter, " {currency}"),
            None => Ok(()),
        }
    }
}

/// A line of a vendor's statement: a license with its state, or its purchase or its return alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementLine {
    /// The line's number in the file, from 1.
    pub line: u64,
    /// The vendor's name for the license token.
    pub license_token: Option<String>,
    /// The vendor's or the host's name for the purchase.
    pub transaction: Option<String>,
    /// The product's code or name.
    pub product: Option<String>,
    /// The price.
    pub price: Option<StatementPrice>,
    /// When it was bought or returned, in milliseconds.
    pub at_ms: Option<i64>,
    /// Whether the license is returned.
    pub is_returned: bool,
}

/// What the prices of a statement are compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PricesAre {
    /// The vendor's own, which are on no record: compared with those of other licenses of the same product in the statement.
    #[default]
    TheVendors,
    /// Prices that customers were charged, which are on record.
    Charged,
}

/// A vendor's statement.
#[derive(Clone, Debug, Default)]
pub struct Statement {
    /// The lines.
    pub lines: Vec<StatementLine>,
    /// Whether the lines say what is returned.
    pub tells_returns: bool,
    /// What the prices are.
    pub prices: PricesAre,
    /// The first millisecond that it is about. `None`: it has no beginning.
    pub since_ms: Option<i64>,
    /// The first millisecond that it is not about any more. `None`: it has no end.
    pub until_ms: Option<i64>,
}

impl Statement {
    /// Whether the statement is about a time. What has no time is in a statement without bounds alone.
    pub fn covers(&self, at_ms: Option<i64>) -> bool {
        match at_ms {
            Some(at_ms) => {
                self.since_ms.is_none_or(|since_ms| at_ms >= since_ms)
                    && self.until_ms.is_none_or(|until_ms| at_ms < until_ms)
            }
            None => self.since_ms.is_none() && self.until_ms.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_amount_is_read_as_it_is_shown(millionths in -1_000_000_000_000_i64..1_000_000_000_000) {
            let amount = StatementAmount(i128::from(millionths));
            prop_assert_eq!(StatementAmount::parse(&amount.to_string(), false), Some(amount));
            let comma = amount.to_string().replace('.', ",");
            prop_assert_eq!(StatementAmount::parse(&comma, true), Some(amount));
        }

        #[test]
        fn no_text_is_too_strange_for_an_amount(text in ".*", comma in any::<bool>()) {
            let _ = StatementAmount::parse(&text, comma);
        }

        #[test]
        fn a_price_of_this_host_is_the_amount_that_it_shows(minor_units in any::<i64>(), yen in any::<bool>()) {
            let currency = if yen { "JPY" } else { "EUR" }.to_owned();
            let price = Price { currency, minor_units };
            let read = StatementPrice::of(&price).unwrap();
            let per_unit = if yen { 1_000_000 } else { 10_000 };
            prop_assert_eq!(read.amount, StatementAmount(i128::from(minor_units) * per_unit));
        }
    }

    #[test]
    fn amounts_are_read_as_spreadsheets_write_them_and_never_guessed() {
        let shown = |text: &str, comma| StatementAmount::parse(text, comma).map(|amount| amount.to_string());
        for (text, comma, expected) in [
            ("1,234.50", false, "1234.50"),
            ("1.234,5", true, "1234.50"),
            (" -0.005 ", false, "-0.005"),
            ("1 234 567,89", true, "1234567.89"),
            ("1,234,567", false, "1234567.00"),
            ("12 345", true, "12345.00"),
            ("+7", true, "7.00"),
            ("149,00 €", true, "149.00"),
            ("EUR -5", false, "-5.00"),
            ("(149.00)", false, "-149.00"),
            ("149,00-", true, "-149.00"),
            ("-$1,499.00", false, "-1499.00"),
        ] {
            assert_eq!(shown(text, comma).as_deref(), Some(expected), "{text}");
        }
        for (text, comma) in [
            ("12,50", false),
            ("12.50", true),
            ("1,234", false),
            ("1.234", true),
            ("1,23,456", false),
            ("", false),
            ("-", false),
            (".5", false),
            ("5.", false),
            ("1e3", false),
            ("EUR", false),
            ("0.1234567", false),
            ("--5", false),
        ] {
            assert_eq!(shown(text, comma), None, "{text}");
        }
    }
}
