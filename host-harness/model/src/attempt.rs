//! Attempts at a purchase: which are made, with what data, and how each ended.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use uuid::Uuid;

use crate::license::License;
use crate::moment::Moment;
use crate::order::Party;
use crate::problem::Problem;
use crate::words::stored_enum;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptResult {
    /// The vendor issued the license.
    Licensed,
    /// Definitely not bought; a retry can't help.
    Refused,
    /// Definitely not bought; a retry can help.
    Unavailable,
    /// Possibly bought.
    Unknown,
    /// The vendor issued a license, but the asset already has another one.
    SecondLicense,
    /// The vendor has taken the order, and issues the license later.
    Accepted,
    /// The attempt only looked up what earlier ones may have bought, and found nothing yet.
    LookedUp,
    /// Definitely not bought: a line that is to be withdrawn was looked up, and was not found once it could not be under way.
    NotBought,
    /// No attempt: the record was restored or copied, and what was done since the copy was made is not known.
    Restored,
}

stored_enum!(AttemptResult {
    Licensed = "licensed", "licensed";
    Refused = "refused", "refused";
    Unavailable = "unavailable", "unavailable";
    Unknown = "unknown", "unknown";
    SecondLicense = "second_license", "second license";
    Accepted = "accepted", "accepted";
    LookedUp = "looked_up", "looked up";
    NotBought = "not_bought", "not bought";
    Restored = "restored", "restored";
});

/// The sum of what is known of an asset's earlier attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlierAttempts {
    /// There were no earlier attempts.
    None,
    /// Every earlier attempt has ended, and definitely achieved nothing; or none is on record, and the record can't
    /// vouch for it.
    NotDone,
    /// An earlier attempt may have succeeded: its outcome is unknown, or it has not ended, as after a crash.
    Unknown,
}

/// The doubt that earlier attempts have bought a license.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The moment at which the last of them had ended, or from which on time could be told since.
    pub since: Moment,
    /// The version of their instance's settings when the first of them was made, or when an operator tried again
    /// since. `None`: it is not known.
    pub settings_version: Option<i64>,
    /// Whether the vendor has taken the order and issues the license later.
    pub is_accepted: bool,
}

/// An attempt that is on record before the vendor is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BegunAttempt {
    /// The attempt's number, from 1.
    pub number: u32,
    /// The sum of what is known of the earlier attempts.
    pub earlier: EarlierAttempts,
    /// The doubt about earlier attempts. `None`: there is none.
    pub in_doubt: Option<Doubt>,
    /// Whether another copy of the record may go on with the line, because this one was restored and not adopted since.
    pub awaits_adoption: bool,
    /// How long a purchase in doubt is only looked up, as on record.
    pub look_up_only: Duration,
    /// Whether the line is to be withdrawn, so that it is only looked up.
    pub is_to_be_withdrawn: bool,
    /// Whether the instance is disabled, so that the line is only looked up.
    pub is_disabled: bool,
    /// The version of its instance's settings.
    pub settings_version: i64,
    /// The id by which the vendor knows the purchase.
    pub client_transaction_id: Uuid,
}

/// The outcome of an attempt.
#[derive(Clone, Debug)]
pub enum AttemptOutcome {
    /// A license.
    Licensed(License),
    /// Definitely not bought; a retry can't help.
    Refused(Problem),
    /// Definitely not bought; a retry can help.
    Unavailable(Problem),
    /// Possibly bought.
    Unknown(Problem),
    /// The vendor has taken the order, and issues the license later.
    Accepted(Problem),
    /// The attempt only looked up what earlier ones may have bought, and found nothing yet.
    LookedUp(Problem),
    /// The attempt only looked up a line that is to be withdrawn, and it is definitely not bought.
    NotBought(Problem),
}

impl AttemptOutcome {
    /// Why the attempt brought no license. `None`: it brought one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Licensed(_) => None,
            Self::Refused(problem)
            | Self::Unavailable(problem)
            | Self::Unknown(problem)
            | Self::Accepted(problem)
            | Self::LookedUp(problem)
            | Self::NotBought(problem) => Some(problem),
        }
    }
}

/// An attempt on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The attempt's number, from 1.
    pub number: u32,
    /// The id by which the vendor knows the purchase.
    pub client_transaction_id: Uuid,
    /// When it was begun, in milliseconds.
    pub begun_at_ms: i64,
    /// When it ended, in milliseconds. `None`: it has not, or the host stopped meanwhile.
    pub finished_at_ms: Option<i64>,
    /// How it ended. `None`: it has not.
    pub result: Option<AttemptResult>,
    /// The problem. `None`: there was none, or it has not ended.
    pub problem: Option<Problem>,
}

/// Selection of assets to take: those that match every given field.
#[derive(Clone, Debug, Default)]
pub struct AssetSelection {
    /// Assets of an order.
    pub order: Option<Uuid>,
    /// The asset with this id only.
    pub asset: Option<Uuid>,
    /// Assets of an instance.
    pub instance: Option<Uuid>,
    /// Only assets that are to be withdrawn.
    pub to_be_withdrawn: bool,
    /// Instances whose assets are left out.
    pub without_instances: Vec<Uuid>,
    /// The most assets to take.
    pub limit: u32,
}

/// An asset that a worker may attempt, with all that its purchase needs. The attempt is on record.
#[derive(Clone, Debug)]
pub struct TakenAsset {
    /// The asset.
    pub asset_id: Uuid,
    /// The instance that it was ordered at.
    pub instance_id: Uuid,
    /// The product's code.
    pub product_code: String,
    /// The units that the license is for.
    pub quantity: u32,
    /// The party that gets the license.
    pub customer: Party,
    /// The party that sells, if a reseller is involved.
    pub reseller: Option<Party>,
    /// The attempt that was begun.
    pub attempt: BegunAttempt,
}

/// The work still to be done on a set of assets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outstanding {
    /// Assets that have no license and have not definitively failed.
    pub assets: u64,
    /// The part of these assets that a worker is attempting now.
    pub taken: u64,
    /// When the next of the remaining assets may be attempted, in milliseconds.
    pub next_due_at_ms: Option<i64>,
}

/// A day in UTC: what became of the attempts at purchases that were begun on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PurchaseDay {
    /// When the day began, in milliseconds.
    pub at_ms: i64,
    /// Attempts by which the vendor issued a license.
    pub licensed: u64,
    /// Attempts that the vendor or its plugin refused for good.
    pub refused: u64,
    /// All others: tried again, looked up, or under way.
    pub unsettled: u64,
    /// The time that half of the attempts took at most, in milliseconds. `None`: none was timed.
    pub median_ms: Option<i64>,
    /// The time that 19 of 20 attempts took at most, in milliseconds.
    pub slow_ms: Option<i64>,
}

impl PurchaseDay {
    /// A day on which nothing was tried.
    pub fn empty(at_ms: i64) -> Self {
        Self {
            at_ms,
            licensed: 0,
            refused: 0,
            unsettled: 0,
            median_ms: None,
            slow_ms: None,
        }
    }
}
