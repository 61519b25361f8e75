//! Attempts at a purchase: which are made, with what, and how each ended.

use serde::Deserialize;
use serde::Serialize;
use uuid::Uuid;

use crate::license::License;
use crate::order::Party;
use crate::problem::Problem;
use crate::words::stored_enum;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptResult {
    /// With a license.
    Licensed,
    /// Definitely not done; a retry can't help.
    Refused,
    /// Definitely not done; a retry can help.
    Unavailable,
    /// May have been done.
    Unknown,
    /// With a license, where the asset has another one already.
    SecondLicense,
    /// It only looked up what those before it may have bought, and found nothing yet.
    LookedUp,
}

stored_enum!(AttemptResult {
    Licensed = "licensed", "licensed";
    Refused = "refused", "refused";
    Unavailable = "unavailable", "unavailable";
    Unknown = "unknown", "unknown";
    SecondLicense = "second_license", "second license";
    LookedUp = "looked_up", "looked up";
});

/// What is known of the attempts before one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlierAttempts {
    /// There was none.
    None,
    /// Each of them has ended, and definitely bought nothing.
    NotDone,
    /// One of them may have bought: its outcome is unknown, or it has not ended, as after a crash.
    Unknown,
}

/// Whether earlier attempts have bought a license is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// When the last of them had ended, in milliseconds.
    pub since_ms: i64,
    /// The version of their instance's settings when the first of them was made, or when an operator tried again since.
    /// None: it is not known.
    pub settings_version: Option<i64>,
}

/// An attempt that is on record before the vendor is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BegunAttempt {
    /// From 1.
    pub number: u32,
    /// What is known of those before it.
    pub earlier: EarlierAttempts,
    /// What is in doubt about them. None: nothing.
    pub in_doubt: Option<Doubt>,
    /// The version of its instance's settings.
    pub settings_version: i64,
    /// What the vendor is to know the purchase by.
    pub client_transaction_id: Uuid,
}

/// What an attempt brought.
#[derive(Clone, Debug)]
pub enum AttemptOutcome {
    /// A license.
    Licensed(License),
    /// Definitely not done; a retry can't help.
    Refused(Problem),
    /// Definitely not done; a retry can help.
    Unavailable(Problem),
    /// May have been done.
    Unknown(Problem),
    /// Nothing was asked for but what those before it may have bought, and that was not found yet.
    LookedUp(Problem),
}

/// An attempt as it is on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// What the vendor was to know the purchase by.
    pub client_transaction_id: Uuid,
    /// When it was begun, in milliseconds.
    pub begun_at_ms: i64,
    /// When it ended, in milliseconds. None: it has not, or the host stopped meanwhile.
    pub finished_at_ms: Option<i64>,
    /// How it ended. None: it has not.
    pub result: Option<AttemptResult>,
    /// What was wrong. None: nothing, or it has not ended.
    pub problem: Option<Problem>,
}

/// Which assets to take; all that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct AssetSelection {
    /// Of an order.
    pub order: Option<Uuid>,
    /// This one.
    pub asset: Option<Uuid>,
    /// Of an instance.
    pub instance: Option<Uuid>,
    /// Of no instance of these.
    pub without_instances: Vec<Uuid>,
    /// At most so many.
    pub limit: u32,
}

/// An asset that is a worker's to attempt, with what its purchase needs. The attempt is on record.
#[derive(Clone, Debug)]
pub struct TakenAsset {
    /// The asset.
    pub asset_id: Uuid,
    /// Where it was ordered.
    pub instance_id: Uuid,
    /// The product's code.
    pub product_code: String,
    /// Who gets the license.
    pub customer: Party,
    /// Who sells, where a reseller stands between.
    pub reseller: Option<Party>,
    /// What was begun.
    pub attempt: BegunAttempt,
}

/// What of a set of assets is still to be done, and by whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outstanding {
    /// Assets that have no license and have not definitively failed.
    pub assets: u64,
    /// Those of them that a worker attempts now.
    pub taken: u64,
    /// When the next of the others may be attempted, in milliseconds.
    pub next_due_at_ms: Option<i64>,
}
