//! A license that was ordered: its product, its state, and the id of its purchase.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use uuid::Uuid;
use uuid::uuid;

use crate::attempt::AttemptResult;
use crate::clock::millis;
use crate::license::LicenseTokenStatus;
use crate::license::ReturnStatus;
use crate::order::Settlement;
use crate::price::Price;
use crate::problem::Problem;
use crate::words::stored_enum;

/// The name space of client transaction ids (RFC 9562, version 5). Never change it: an id that is computed again must
/// come out the same.
const CLIENT_TRANSACTION_IDS: Uuid = uuid!("6f0d3f0e-6a0c-4f0b-9c53-2b8f5c0a7e41");

/// The host's name for a purchase: the same for every attempt at an asset's `generation`, and for no other. An instance
/// that was made again after a loss has another id, so that its id is no part of the name.
pub fn client_transaction_id(asset_id: Uuid, generation: u32) -> Uuid {
    let name = format!("{asset_id}/{generation}");
    Uuid::new_v5(&CLIENT_TRANSACTION_IDS, name.as_bytes())
}

/// The platform's state of an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssetStatus {
    /// The asset is in use.
    Active,
    /// The platform has cancelled the asset.
    Cancelled,
    /// The line was withdrawn before its license was bought.
    Withdrawn,
}

stored_enum!(AssetStatus {
    Active = "active", "active";
    Cancelled = "cancelled", "cancelled";
    Withdrawn = "withdrawn", "withdrawn";
});

/// Whether an asset has its license, as the platform spells it; what is withdrawn is this host's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncStatus {
    /// No license yet, or the outcome is unknown.
    Unsynchronised,
    /// The asset has its license.
    Synchronized,
    /// The asset definitely has no license.
    Failed,
    /// The asset definitely has no license, and none is bought for it any more. Its status is withdrawn, too.
    Withdrawn,
}

stored_enum!(SyncStatus {
    Unsynchronised = "unsynchronised", "Unsynchronised";
    Synchronized = "synchronized", "Synchronized";
    Failed = "failed", "Failed";
    Withdrawn = "withdrawn", "Withdrawn";
});

/// Why an asset has no license.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The result of the last attempt.
    pub result: AttemptResult,
    /// The problem.
    pub problem: Problem,
}

/// A license that was ordered: one unit of an order, or all units of a line that is not split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Stable and unique.
    pub id: Uuid,
    /// The instance that it was ordered at.
    pub instance_id: Uuid,
    /// The order.
    pub order_id: Uuid,
    /// The order line, from 1.
    pub position: u32,
    /// The product's code.
    pub product_code: String,
    /// The product's name when it was ordered.
    pub product_name: String,
    /// The units that the license is for: 1 where the product's type splits quantities.
    pub quantity: u32,
    /// How often its purchase was started afresh after a definitive refusal.
    pub generation: u32,
    /// The host's name for its purchase.
    pub client_transaction_id: Uuid,
    /// The platform's state of the asset.
    pub status: AssetStatus,
    /// Whether it has its license.
    pub sync_status: SyncStatus,
    /// Why it has no license. `None`: it has one, or nothing was tried yet.
    pub reason: Option<Reason>,
    /// The vendor's name for its purchase.
    pub transaction_id: Option<String>,
    /// The vendor's name for its license token.
    pub license_token_id: Option<String>,
    /// The product key, with all but its last group hidden. `None`: no license. The whole key is in
    /// [`LicenseSecrets`](crate::LicenseSecrets).
    pub masked_product_key: Option<String>,
    /// The host of the activation link; `*****` for a license from before hosts were on record. `None`: no license, or
    /// none with a link.
    pub activation_link_host: Option<String>,
    /// The vendor's last word on the license.
    pub license_token_status: Option<LicenseTokenStatus>,
    /// The outcome of a return.
    pub return_status: ReturnStatus,
    /// When the vendor issued the license, in milliseconds.
    pub purchased_at_ms: Option<i64>,
    /// Until when it can be returned, in milliseconds.
    pub returnable_until_ms: Option<i64>,
    /// When it was ordered, in milliseconds.
    pub created_at_ms: i64,
    /// The earliest time of the next attempt, in milliseconds.
    pub due_at_ms: i64,
    /// Since when its license is being bought, in milliseconds: when it was ordered, or tried again.
    pub wanted_since_ms: i64,
    /// The price at which it was sold, all of its units together. `None`: it was ordered before products had prices.
    pub price: Option<Price>,
    /// When the vendor last said what became of the license, in milliseconds.
    pub refreshed_at_ms: Option<i64>,
    /// When it was asked to be withdrawn while it was in doubt, in milliseconds. `None`: it was not, or was tried again since.
    pub withdrawal_asked_at_ms: Option<i64>,
}

/// The state of a license in a word: what the platform, the vendor and this host say of it together. Those of an order as a
/// whole have the same words ([`Settlement`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LicenseState {
    /// Not bought yet, or not known to be bought.
    Open,
    /// Bought, and in use.
    Licensed,
    /// Refused for good.
    Refused,
    /// Withdrawn before it was bought.
    Withdrawn,
    /// Taken back by the vendor while the asset is active: see [`is_returned_but_active`].
    Returned,
    /// Cancelled after it was bought.
    Cancelled,
}

stored_enum!(LicenseState {
    Open = "open", "open";
    Licensed = "licensed", "licensed";
    Refused = "refused", "refused";
    Withdrawn = "withdrawn", "withdrawn";
    Returned = "returned", "returned";
    Cancelled = "cancelled", "cancelled";
});

/// The state of an asset's license.
pub fn license_state(asset: &Asset) -> LicenseState {
    match (asset.sync_status, asset.status) {
        (SyncStatus::Unsynchronised, _) => LicenseState::Open,
        (SyncStatus::Failed, _) => LicenseState::Refused,
        (SyncStatus::Withdrawn, _) => LicenseState::Withdrawn,
        (SyncStatus::Synchronized, AssetStatus::Cancelled) => LicenseState::Cancelled,
        (SyncStatus::Synchronized, _) if is_returned_but_active(asset) => LicenseState::Returned,
        (SyncStatus::Synchronized, _) => LicenseState::Licensed,
    }
}

/// Filter of assets: those that match every given field.
#[derive(Clone, Debug, Default)]
pub struct AssetFilter {
    /// Assets of an instance.
    pub instance: Option<Uuid>,
    /// Assets of an order.
    pub order: Option<Uuid>,
    /// Assets of a customer, by the platform's own name for it.
    pub customer: Option<String>,
    /// Assets of a product, by its code.
    pub product: Option<String>,
    /// Assets with this provisioning sync status.
    pub sync_status: Option<SyncStatus>,
    /// Assets whose license is in this state.
    pub state: Option<LicenseState>,
    /// Assets ordered at this time or later, in milliseconds.
    pub since_ms: Option<i64>,
    /// Assets ordered before this time, in milliseconds.
    pub until_ms: Option<i64>,
    /// Assets whose purchase has been open since this time or longer, in milliseconds.
    pub open_since_ms: Option<i64>,
}

/// Whether the vendor shows the license of an asset as returned that is not cancelled: somebody else returned the
/// license, or its return from here is not settled yet. By itself this credits nothing. Where somebody else returned it,
/// an operator decides; cancelling the asset credits it.
pub fn is_returned_but_active(asset: &Asset) -> bool {
    asset.status == AssetStatus::Active && asset.return_status == ReturnStatus::Successful
}

/// How long an asset's license may be open before the operator is told: as long as the platform itself waits.
pub const OVERDUE: Duration = Duration::from_secs(120 * 60);

/// The time in milliseconds by which a license must have been wanted to be overdue at `now_ms`.
pub fn overdue_since_ms(now_ms: i64) -> i64 {
    now_ms.saturating_sub(millis(OVERDUE))
}

/// Whether an asset's license has been open for [`OVERDUE`] at `now_ms`, in milliseconds.
pub fn is_overdue(asset: &Asset, now_ms: i64) -> bool {
    asset.sync_status == SyncStatus::Unsynchronised && asset.wanted_since_ms <= overdue_since_ms(now_ms)
}

/// Sums up a set of assets: all licensed, all refused, some of each, or some still open. Those that are withdrawn count only
/// where all are.
pub fn settlement(assets: &[Asset]) -> Settlement {
    let any = |status| assets.iter().any(|asset| asset.sync_status == status);
    let (licensed, refused) = (any(SyncStatus::Synchronized), any(SyncStatus::Failed));
    if any(SyncStatus::Unsynchronised) {
        Settlement::Open
    } else if licensed && refused {
        Settlement::Partly
    } else if refused {
        Settlement::Refused
    } else if !licensed && any(SyncStatus::Withdrawn) {
        Settlement::Withdrawn
    } else {
        Settlement::Licensed
    }
}
