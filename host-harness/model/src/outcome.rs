//! Outcomes: what came of licenses, in the order in which it went on record, for a platform that follows them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::diagnosis::{Diagnose, Diagnosis, ErrorKind};
use crate::ids::{AssetId, InstanceId, OrderId};
use crate::problem::Problem;
use crate::words::stored_enum;

/// What came of a license.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum OutcomeKind {
    /// The asset has its license.
    Licensed,
    /// The vendor or the plugin refused the purchase for good. A [retry](crate::Act::RetryAsset) may still be followed by
    /// another outcome.
    Refused,
    /// Whether the license was bought has been open for longer than the platform waits. The host goes on.
    Overdue,
    /// The vendor issued a second license for the asset, which the operator has to return. The asset keeps the first.
    SecondLicense,
    /// The license is returned, and the asset is cancelled and credited.
    Returned,
    /// The vendor refused to take the license back. The asset stays as it was.
    ReturnRefused,
    /// The vendor has taken back the license of an active asset without a return from here. The asset is neither cancelled
    /// nor credited.
    ReturnedElsewhere,
    /// The line was withdrawn before its license was bought, and none is bought for it any more.
    Withdrawn,
}

stored_enum!(OutcomeKind {
    Licensed = "licensed", "licensed";
    Refused = "refused", "refused";
    Overdue = "overdue", "overdue";
    SecondLicense = "second-license", "second license";
    Returned = "returned", "returned";
    ReturnRefused = "return-refused", "return refused";
    ReturnedElsewhere = "returned-elsewhere", "returned elsewhere";
    Withdrawn = "withdrawn", "withdrawn";
});

impl Serialize for OutcomeKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for OutcomeKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        word.parse().map_err(serde::de::Error::custom)
    }
}

/// An entry of the feed: what came of a license, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The place of the entry in the feed. Keep it in the transaction that keeps what was made of the entry, and go on
    /// after it.
    pub cursor: OutcomeCursor,
    /// What came of the license.
    pub kind: OutcomeKind,
    /// When it went on record, in milliseconds since 1970.
    pub happened_at_ms: i64,
    /// The instance at which the license was ordered.
    pub instance: InstanceId,
    /// The order.
    pub order: OrderId,
    /// The caller's own name for the order. `None`: it was placed without.
    pub idempotency_key: Option<String>,
    /// The asset.
    pub asset: AssetId,
    /// The line of the order, from 1.
    pub position: u32,
    /// The product's code.
    pub product_code: String,
    /// The units that the license is for.
    pub quantity: u32,
    /// Why there is no license, or no return. `None`: it is one of the outcomes that need no reason.
    pub problem: Option<Problem>,
}

/// An outcome as it is told: with an id that is the same however often, to whomever and by which way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The id, also in a restored record that learns of the outcome once more.
    pub id: Uuid,
    /// What is told.
    pub outcome: Outcome,
}

/// A place in the feed of outcomes, as a text to keep: `start`, or the life of the record and a number in it.
///
/// A record that was restored from a copy begins a new life. What the copy had is common to both; a cursor of the former
/// life that is beyond it goes back to where the copy was made, so that entries may come again and none is missed.
///
/// ```
/// use bss_model::OutcomeCursor;
///
/// let kept: OutcomeCursor = "start".parse()?;
/// assert_eq!(kept, OutcomeCursor::START);
/// # Ok::<(), bss_model::NotAnOutcomeCursor>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct OutcomeCursor(Option<(Uuid, i64)>);

impl OutcomeCursor {
    /// The place before the first outcome.
    pub const START: Self = Self(None);

    /// The place after an outcome of a life.
    pub fn after(life: Uuid, number: i64) -> Self {
        Self(Some((life, number)))
    }

    /// The life and the number of the outcome that the place is after. `None`: the start.
    pub fn place(self) -> Option<(Uuid, i64)> {
        self.0
    }
}

impl fmt::Display for OutcomeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("start"),
            Some((life, number)) => write!(f, "{}.{number}", life.simple()),
        }
    }
}

impl From<OutcomeCursor> for String {
    fn from(cursor: OutcomeCursor) -> Self {
        cursor.to_string()
    }
}

/// A text that is no cursor of the feed of outcomes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no cursor of the feed of outcomes")]
pub struct NotAnOutcomeCursor(pub String);

impl Diagnose for NotAnOutcomeCursor {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Invalid, "not-an-outcome-cursor")
            .say("go on with a cursor that the feed gave, or with `start`")
    }
}

impl FromStr for OutcomeCursor {
    type Err = NotAnOutcomeCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let not_one = || NotAnOutcomeCursor(text.chars().take(100).collect());
        if text == "start" {
            return Ok(Self::START);
        }
        let (life, number) = text.split_once('.').ok_or_else(not_one)?;
        let life = Uuid::try_parse(life).map_err(|_| not_one())?;
        let number = number.parse::<i64>().map_err(|_| not_one())?;
        let cursor = Self::after(life, number);
        // Another spelling of a place is refused, so that kept texts can be compared.
        match number > 0 && cursor.to_string() == text {
            true => Ok(cursor),
            false => Err(not_one()),
        }
    }
}

impl TryFrom<String> for OutcomeCursor {
    type Error = NotAnOutcomeCursor;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// The lives of a record, the first one first: its id, and the number of the last outcome that it shares with those before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordLives(pub Vec<(Uuid, i64)>);

impl RecordLives {
    /// The number of the outcome after which the feed goes on for a cursor. `last`: the number of the last outcome. `None`:
    /// the cursor is of a life that this record has not had, or beyond all that it has.
    pub fn number_after(&self, cursor: OutcomeCursor, last: i64) -> Option<i64> {
        let Some((life, number)) = cursor.place() else {
            return Some(0);
        };
        let of = self.0.iter().position(|(known, _)| *known == life)?;
        let shared = self.0.iter().skip(of + 1).map(|(_, shared)| *shared).min();
        match shared {
            Some(shared) => Some(number.min(shared)),
            None => (number <= last).then_some(number),
        }
    }

    /// The life that a record is in.
    pub fn present(&self) -> Option<Uuid> {
        self.0.last().map(|(life, _)| *life)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn life(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[test]
    fn a_cursor_is_one_text_and_back() {
        let after = OutcomeCursor::after(life(7), 12);
        for cursor in [OutcomeCursor::START, after] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
            let json = serde_json::to_string(&cursor).unwrap();
            assert_eq!(serde_json::from_str::<OutcomeCursor>(&json).unwrap(), cursor);
        }
        for text in [
            "",
            "START",
            "12",
            "x.12",
            "00000000000000000000000000000007.",
            "00000000000000000000000000000007.-1",
            "00000000000000000000000000000007.0",
            "00000000000000000000000000000007.012",
            "00000000-0000-0000-0000-000000000007.12",
            "00000000000000000000000000000007.99999999999999999999",
        ] {
            assert!(text.parse::<OutcomeCursor>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_outcome_is_one_text_and_back() {
        let outcome = Outcome {
            cursor: OutcomeCursor::after(life(7), 12),
            kind: OutcomeKind::ReturnedElsewhere,
            happened_at_ms: 1,
            instance: life(1).into(),
            order: life(2).into(),
            idempotency_key: Some("BASKET-7".to_owned()),
            asset: life(3).into(),
            position: 1,
            product_code: "a".to_owned(),
            quantity: 1,
            problem: None,
        };
        let json = serde_json::to_value(&outcome).unwrap();
        assert_eq!(json["kind"], "returned-elsewhere");
        assert_eq!(serde_json::from_value::<Outcome>(json).unwrap(), outcome);
    }

    #[test]
    fn a_cursor_of_a_former_life_goes_back_to_where_the_copy_was_made() {
        let lives = RecordLives(vec![(life(1), 0), (life(2), 80), (life(3), 60)]);
        let after = |of, number| lives.number_after(OutcomeCursor::after(life(of), number), 90);
        assert_eq!(after(1, 50), Some(50), "both lives have it");
        assert_eq!(after(1, 75), Some(60), "the last copy was made at 60");
        assert_eq!(after(2, 85), Some(60));
        assert_eq!(after(3, 85), Some(85));
        assert_eq!(after(3, 91), None, "the record has not come so far");
        assert_eq!(after(4, 1), None, "a life that was lost");
        assert_eq!(lives.number_after(OutcomeCursor::START, 90), Some(0));
    }

    proptest! {
        /// Whatever happened to the record, a cursor never leads past an outcome that its reader has not seen: what it has
        /// seen in its life and in this record alike ends where the lives part.
        #[test]
        fn no_outcome_is_missed(copies in proptest::collection::vec(0_i64..100, 0..6), of in 0_usize..6, number in 1_i64..100) {
            let mut lives = vec![(life(0), 0)];
            lives.extend((1..).zip(&copies).map(|(at, copy)| (life(at), *copy)));
            let of = of % lives.len();
            let parted = lives[of + 1..].iter().map(|(_, shared)| *shared).min().unwrap_or(i64::MAX);
            let (cursor, last) = (OutcomeCursor::after(lives[of].0, number), 1_000);
            let after = RecordLives(lives).number_after(cursor, last).unwrap();
            prop_assert!(after <= number && after <= parted);
            prop_assert_eq!(after, number.min(parted));
        }

        #[test]
        fn any_text_is_a_cursor_or_refused(text in ".{0,60}") {
            if let Ok(cursor) = text.parse::<OutcomeCursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }
}
