//! Charges and credits: what a customer owes for licenses, and what is given back. Neither ever changes.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::diagnosis::{Diagnose, Diagnosis, ErrorKind};
use crate::owner::Owner;
use crate::price::Price;
use crate::words::stored_enum;

/// The longest prefix, in characters.
const PREFIX_LENGTH_MAX: usize = 20;
/// The digits of a number, so that numbers sort as text too.
const DIGITS: usize = 6;
/// The end of the prefixes of credits, behind that of the instance's charges.
const OF_CREDITS: &str = "-CR";
/// The prefix of an instance whose name has neither a Latin letter nor a digit.
const NAMELESS: &str = "CHARGES";

/// The prefix of the numbers of an instance's charges: capital Latin letters and digits, in groups with a hyphen between.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChargePrefix(String);

/// A text is no prefix of charges.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` can't be a prefix of numbers: one has 1 to {PREFIX_LENGTH_MAX} capital letters (A to Z) and digits, with single hyphens between, and does not end in `{OF_CREDITS}`, which is for credits",
    text = text.escape_debug()
)]
pub struct NotAChargePrefix {
    /// The text.
    pub text: String,
}

impl Diagnose for NotAChargePrefix {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Invalid, "charge-prefix-invalid")
    }
}

impl ChargePrefix {
    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The prefix of the instance's credits.
    pub fn of_credits(&self) -> String {
        format!("{}{OF_CREDITS}", self.0)
    }

    /// The prefix of an instance for which nobody has chosen one: its name, with a number behind it where that is taken.
    pub fn of_instance(name: &str, taken: &BTreeSet<String>) -> Self {
        let letters = name.to_ascii_uppercase();
        let groups = letters.split(|letter: char| !letter.is_ascii_alphanumeric());
        let groups: Vec<&str> = groups.filter(|group| !group.is_empty()).collect();
        let name = if groups.is_empty() {
            NAMELESS.to_owned()
        } else {
            groups.join("-")
        };
        // One more candidate than are taken, and one for a name that is no prefix itself.
        let candidates = (1..=taken.len() + 2).map(|nth| {
            let behind = if nth == 1 {
                String::new()
            } else {
                format!("-{nth}")
            };
            let room = PREFIX_LENGTH_MAX.saturating_sub(behind.len());
            let name: String = name.chars().take(room).collect();
            format!("{}{behind}", name.trim_end_matches('-'))
        });
        let mut free = candidates.filter(|candidate| !taken.contains(candidate));
        free.find_map(|candidate| candidate.parse().ok())
            .unwrap_or_else(|| Self(NAMELESS.to_owned()))
    }
}

impl FromStr for ChargePrefix {
    type Err = NotAChargePrefix;

    fn from_str(text: &str) -> Result<Self, NotAChargePrefix> {
        let is_group = |group: &str| {
            let is_letter = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
            !group.is_empty() && group.bytes().all(is_letter)
        };
        let is_prefix =
            text.len() <= PREFIX_LENGTH_MAX && text.split('-').all(is_group) && !text.ends_with(OF_CREDITS);
        match is_prefix {
            true => Ok(Self(text.to_owned())),
            false => Err(NotAChargePrefix {
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for ChargePrefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The number of a charge or a credit, as in `ESD-000012` and `ESD-CR-000003`: from 1 without gaps under its prefix. Charges and
/// credits from before there were prefixes have the bare numbers that they were told with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SerialNumber {
    /// The prefix; empty for a bare number.
    pub prefix: String,
    /// The number under the prefix.
    pub number: u64,
}

/// A text is no number of a charge or a credit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no number of a charge or a credit, such as `ESD-000012`", text = text.escape_debug())]
pub struct NotASerialNumber {
    /// The text.
    pub text: String,
}

impl Diagnose for NotASerialNumber {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Invalid, "serial-number-invalid")
    }
}

impl FromStr for SerialNumber {
    type Err = NotASerialNumber;

    /// Reads a number in small or capital letters, with or without the zeros in front.
    fn from_str(text: &str) -> Result<Self, NotASerialNumber> {
        let (prefix, digits) = text.rsplit_once('-').unwrap_or(("", text));
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse().ok().filter(|_| is_number);
        // A bare number has no hyphen.
        let is_whole = !(prefix.is_empty() && text.contains('-'));
        let number = number.filter(|_| is_whole).ok_or_else(|| NotASerialNumber {
            text: text.to_owned(),
        })?;
        Ok(Self {
            prefix: prefix.to_ascii_uppercase(),
            number,
        })
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix.as_str() {
            "" => formatter.pad(&self.number.to_string()),
            prefix => formatter.pad(&format!("{prefix}-{:0DIGITS$}", self.number)),
        }
    }
}

/// The numbers of an instance: their prefix, and how many there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeSeries {
    /// The prefix that the next charge gets.
    pub prefix: ChargePrefix,
    /// The charges under the prefix.
    pub charges: u64,
    /// The credits under the prefix.
    pub credits: u64,
}

/// A charge for a license. It is written with the license and has one line; those from before there were prefixes, which were
/// called invoices, have a line for each license of their order that was bought then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The number, which no other charge of the instance has.
    pub number: SerialNumber,
    /// The instance.
    pub instance_id: Uuid,
    /// The order.
    pub order_id: Uuid,
    /// The platform's own name for the customer.
    pub customer_id: String,
    /// When it was made, in milliseconds.
    pub charged_at_ms: i64,
    /// A line per license, by position in the order.
    pub lines: Vec<ChargeLine>,
}

/// A license on a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeLine {
    /// The license.
    pub asset_id: Uuid,
    /// The order line, from 1.
    pub position: u32,
    /// The product's code.
    pub product_code: String,
    /// The product's name when it was ordered.
    pub product_name: String,
    /// The units of the license.
    pub quantity: u32,
    /// The price charged, all units together.
    pub price: Price,
    /// When the license was written down and charged, in milliseconds.
    pub charged_at_ms: i64,
}

impl Charge {
    /// The sum of its lines. `None`: they are in several currencies, or the sum is beyond 64 bits.
    pub fn total(&self) -> Option<Price> {
        sum(self.lines.iter().map(|line| &line.price))
    }

    /// The sum of its credits; without credits, zero in the currency of its lines. `None`: they are in several currencies, or the
    /// sum is beyond 64 bits.
    pub fn credited(&self, credits: &[&Credit]) -> Option<Price> {
        if credits.is_empty() {
            let currency = self.total()?.currency;
            return Some(Price {
                currency,
                minor_units: 0,
            });
        }
        sum(credits.iter().map(|credit| &credit.price))
    }
}

/// The sum of prices in one currency. `None`: there are none, they are in several, or the sum is beyond 64 bits.
fn sum<'a>(mut prices: impl Iterator<Item = &'a Price>) -> Option<Price> {
    let mut total = prices.next()?.clone();
    for price in prices {
        if price.currency != total.currency {
            return None;
        }
        total.minor_units = total.minor_units.checked_add(price.minor_units)?;
    }
    Some(total)
}

/// The reason for a credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreditReason {
    /// The vendor has taken the license back.
    Return,
}

stored_enum!(CreditReason {
    Return = "return", "return";
});

/// A credit of all that was charged for a license.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credit {
    /// The number, which no other credit of the instance has.
    pub number: SerialNumber,
    /// The charge that it credits a line of.
    pub charge: SerialNumber,
    /// The instance.
    pub instance_id: Uuid,
    /// The order that it was charged with.
    pub order_id: Uuid,
    /// The platform's own name for the customer.
    pub customer_id: String,
    /// The license of the line.
    pub asset_id: Uuid,
    /// The line's position in the order, from 1.
    pub position: u32,
    /// The product's code.
    pub product_code: String,
    /// The product's name when it was ordered.
    pub product_name: String,
    /// The units of the license.
    pub quantity: u32,
    /// The whole price that was charged.
    pub price: Price,
    /// Why it was made.
    pub reason: CreditReason,
    /// The cancellation that it belongs to. `None`: it was made without one.
    pub cancellation_id: Option<Uuid>,
    /// When it was made, in milliseconds.
    pub credited_at_ms: i64,
}

/// Filter of charges or credits: those that match every given field.
#[derive(Clone, Debug, Default)]
pub struct ChargeFilter {
    /// Charges of an instance.
    pub instance: Option<Uuid>,
    /// Charges at the instances of an owner.
    pub owner: Option<Owner>,
    /// Charges of an order.
    pub order: Option<Uuid>,
    /// Charges of a customer, by the platform's own name.
    pub customer: Option<String>,
    /// Charges with this number. Instances of several owners may have the same ones.
    pub number: Option<SerialNumber>,
    /// Charges made at this time or later, in milliseconds.
    pub since_ms: Option<i64>,
    /// Charges made before this time, in milliseconds.
    pub until_ms: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(prefix: &str, number: u64) -> SerialNumber {
        SerialNumber {
            prefix: prefix.to_owned(),
            number,
        }
    }

    #[test]
    fn a_number_is_read_as_it_is_shown_and_as_it_is_typed() {
        for (shown, typed, expected) in [
            ("ESD-000012", "esd-12", number("ESD", 12)),
            (
                "ESD-2-CR-1234567",
                "Esd-2-cr-1234567",
                number("ESD-2-CR", 1_234_567),
            ),
            ("6", "06", number("", 6)),
        ] {
            assert_eq!(expected.to_string(), shown);
            assert_eq!(shown.parse(), Ok(expected.clone()));
            assert_eq!(typed.parse(), Ok(expected));
        }
        for text in ["", "-6", "ESD", "ESD-", "ESD-+6", "ESD 6", "99999999999999999999"] {
            assert!(text.parse::<SerialNumber>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_prefix_is_made_of_capital_letters_digits_and_single_hyphens() {
        for good in ["A", "ESD", "DE-2", "0", "ABCDEFGHIJKLMNOPQRST", "CR"] {
            assert_eq!(good.parse::<ChargePrefix>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "esd",
            "-A",
            "A-",
            "A--B",
            "Ä",
            "A B",
            "ABCDEFGHIJKLMNOPQRSTU",
            "ESD-CR",
        ] {
            assert!(bad.parse::<ChargePrefix>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_instance_without_a_chosen_prefix_gets_one_from_its_name_that_no_other_has() {
        let taken = |taken: &[&str]| taken.iter().map(|prefix| (*prefix).to_owned()).collect();
        for (name, others, expected) in [
            ("esd", taken(&[]), "ESD"),
            ("ESD Deutschland (neu)", taken(&[]), "ESD-DEUTSCHLAND-NEU"),
            ("esd", taken(&["ESD"]), "ESD-2"),
            ("esd-us", taken(&["ESD-US", "ESD-US-2"]), "ESD-US-3"),
            ("Ελλάδα", taken(&[]), "CHARGES"),
            ("Ελλάδα", taken(&["CHARGES"]), "CHARGES-2"),
            ("esd cr", taken(&[]), "ESD-CR-2"),
            (
                "a-very-long-name-of-an-instance",
                taken(&[]),
                "A-VERY-LONG-NAME-OF",
            ),
            (
                "a-very-long-name-of-an-instance",
                taken(&["A-VERY-LONG-NAME-OF"]),
                "A-VERY-LONG-NAME-O-2",
            ),
        ] {
            assert_eq!(ChargePrefix::of_instance(name, &others).as_str(), expected);
        }
    }
}
