//! Assets as views show them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bss_model::clock::now_ms;
use bss_model::{LicenseSecrets, OrderParties, Secret, is_overdue, is_returned_but_active, license_state};
use bss_record::RecordError;
use serde::Serialize;
use uuid::Uuid;

use super::keys::serialize_shown;
use super::{Keys, Parties, Price, Reason, word};
use crate::host::Host;
use crate::license_refresh::{RefreshError, Refreshed};

/// A license that was ordered, and its state now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Asset {
    /// Stable and unique.
    pub id: Uuid,
    /// The order.
    pub order_id: Uuid,
    /// The parties to the order.
    #[serde(flatten)]
    pub parties: Parties,
    /// The product's code.
    pub product_code: String,
    /// The product's name when it was ordered.
    pub product_name: String,
    /// The units that the license is for: 1 where the product's type splits quantities.
    pub quantity: u32,
    /// The state of the license in a word: `open` (not bought yet, or not known to be), `licensed`, `refused`, `withdrawn`
    /// (before it was bought), `returned` (taken back by the vendor, and not cancelled here), `cancelled`.
    pub state: String,
    /// The asset's state on the platform: `active`, `cancelled`, `withdrawn` (before its license was bought).
    pub status: String,
    /// Whether the asset has its license: `unsynchronised` (not yet, or that is unknown), `synchronized` (it has),
    /// `failed`, `withdrawn` (and none is bought any more).
    pub sync_status: String,
    /// The state of the license that the vendor said last: `unused`, `used`, `ended`, `returned`.
    pub license_token_status: Option<String>,
    /// The state of a return: `none`, `successful`.
    pub return_status: String,
    /// Whether the license has been open for longer than the platform waits.
    pub is_overdue: bool,
    /// Whether the vendor has taken the license back and the asset is not cancelled: somebody else returned it, or its
    /// return from here is not settled yet.
    pub is_returned_but_active: bool,
    /// Whether the license's cancellation was requested, and nobody has decided.
    pub is_cancellation_requested: bool,
    /// The product key that the customer types in, as far as [`Keys`] shows it.
    #[serde(serialize_with = "serialize_shown")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub product_key: Option<Secret>,
    /// The link at which the customer redeems the license, as far as [`Keys`] shows it.
    #[serde(serialize_with = "serialize_shown")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub activation_link: Option<Secret>,
    /// The host's name for the purchase.
    pub client_transaction_id: Uuid,
    /// The vendor's name for the purchase.
    pub transaction_id: Option<String>,
    /// The vendor's name for the license token, to quote to its support.
    pub license_token_id: Option<String>,
    /// The price for which the license was sold, all of its units together.
    pub price: Option<Price>,
    /// When the license was ordered, in milliseconds.
    pub ordered_at_ms: i64,
    /// When the vendor issued the license, in milliseconds.
    pub purchased_at_ms: Option<i64>,
    /// Until when the license can be returned, in milliseconds.
    pub returnable_until_ms: Option<i64>,
    /// When the vendor last answered about the license, in milliseconds.
    pub refreshed_at_ms: Option<i64>,
    /// When the asset was asked to be withdrawn while its purchase was in doubt, in milliseconds: it is only looked up since.
    pub withdrawal_asked_at_ms: Option<i64>,
    /// Why the asset has no license.
    pub reason: Option<Reason>,
}

/// An asset whose license the vendor was asked about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefreshedLicense {
    /// The asset.
    pub asset_id: Uuid,
    /// The vendor's answer about the license, as in [`Asset`]. `None` in all four: there was no answer.
    pub license_token_status: Option<String>,
    /// The state of a return, as in [`Asset`].
    pub return_status: Option<String>,
    /// When the vendor answered, in milliseconds.
    pub refreshed_at_ms: Option<i64>,
    /// Whether somebody else returned the license: the vendor has taken it back, the asset is not cancelled, and no
    /// return from here is under way.
    pub is_returned_elsewhere: Option<bool>,
    /// Why there was no answer, as one sentence.
    pub error: Option<String>,
}

impl Asset {
    /// The view of an asset at `now_ms`, in milliseconds, whose cancellation nobody has requested. Without its secrets, key and link are
    /// masked.
    pub fn new(
        asset: &bss_model::Asset,
        parties: &OrderParties,
        secrets: Option<&LicenseSecrets>,
        now_ms: i64,
    ) -> Self {
        let license_token_status = asset.license_token_status.map(|status| word(status.word()));
        let (product_key, activation_link) = match secrets {
            Some(secrets) => (Some(secrets.product_key.clone()), secrets.activation_link.clone()),
            None => masked(asset),
        };
        Self {
            id: asset.id,
            order_id: asset.order_id,
            parties: parties.into(),
            product_code: asset.product_code.clone(),
            product_name: asset.product_name.clone(),
            quantity: asset.quantity,
            state: word(license_state(asset).word()),
            status: word(asset.status.word()),
            sync_status: word(asset.sync_status.word()),
            license_token_status,
            return_status: word(asset.return_status.word()),
            is_overdue: is_overdue(asset, now_ms),
            is_returned_but_active: is_returned_but_active(asset),
            is_cancellation_requested: false,
            product_key,
            activation_link,
            client_transaction_id: asset.client_transaction_id,
            transaction_id: asset.transaction_id.clone(),
            license_token_id: asset.license_token_id.clone(),
            price: asset.price.as_ref().map(Price::from),
            ordered_at_ms: asset.created_at_ms,
            purchased_at_ms: asset.purchased_at_ms,
            returnable_until_ms: asset.returnable_until_ms,
            refreshed_at_ms: asset.refreshed_at_ms,
            withdrawal_asked_at_ms: asset.withdrawal_asked_at_ms,
            reason: asset.reason.as_ref().map(Reason::from),
        }
    }
}

/// The last group of a product key, and the host of an activation link.
fn masked(asset: &bss_model::Asset) -> (Option<Secret>, Option<Secret>) {
    let (key, link) = (&asset.masked_product_key, &asset.activation_link_host);
    (key.clone().map(Secret::new), link.clone().map(Secret::new))
}

impl RefreshedLicense {
    /// The view of an answer about an asset's license, or of the lack of one.
    pub fn new(asset_id: Uuid, answer: &Result<Refreshed, RefreshError>) -> Self {
        let refreshed = answer.as_ref().ok();
        let asset = refreshed.map(|refreshed| &refreshed.asset);
        let license_token_status = asset.and_then(|asset| asset.license_token_status);
        Self {
            asset_id,
            license_token_status: license_token_status.map(|status| word(status.word())),
            return_status: asset.map(|asset| word(asset.return_status.word())),
            refreshed_at_ms: asset.and_then(|asset| asset.refreshed_at_ms),
            is_returned_elsewhere: refreshed.map(|refreshed| refreshed.returned_elsewhere),
            error: answer.as_ref().err().map(ToString::to_string),
        }
    }
}

impl Host {
    /// The views of assets, in their order.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn asset_views(
        &self,
        assets: &[bss_model::Asset],
        keys: Keys<'_>,
    ) -> Result<Vec<Asset>, RecordError> {
        let orders = assets.iter().map(|asset| asset.order_id);
        let parties = self.parties_of_orders(orders).await?;
        self.asset_views_of(assets, &parties, keys).await
    }

    /// The views of assets, in their order, whose orders have these parties.
    pub(super) async fn asset_views_of(
        &self,
        assets: &[bss_model::Asset],
        parties: &HashMap<Uuid, OrderParties>,
        keys: Keys<'_>,
    ) -> Result<Vec<Asset>, RecordError> {
        let ids: Vec<Uuid> = assets.iter().map(|asset| asset.id).collect();
        let secrets = match keys {
            Keys::Masked => BTreeMap::new(),
            Keys::ShownTo(actor) => self.record().show_license_secrets(&ids, actor).await?,
        };
        let to_decide = self.record().assets_to_decide(&ids).await?;
        let now_ms = now_ms();
        let view = |asset: &bss_model::Asset| {
            let parties = parties_of(parties, asset.order_id)?;
            Ok(Asset {
                is_cancellation_requested: to_decide.contains(&asset.id),
                ..Asset::new(asset, parties, secrets.get(&asset.id), now_ms)
            })
        };
        assets.iter().map(view).collect()
    }

    /// The view of an asset.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn asset_view(&self, asset: &bss_model::Asset, keys: Keys<'_>) -> Result<Asset, RecordError> {
        let views = self.asset_views(std::slice::from_ref(asset), keys).await?;
        views.into_iter().next().ok_or_else(|| RecordError::Damaged {
            what: format!("asset `{}` has no view", asset.id),
        })
    }

    pub(super) async fn parties_of_orders(
        &self,
        orders: impl IntoIterator<Item = Uuid>,
    ) -> Result<HashMap<Uuid, OrderParties>, RecordError> {
        let orders: BTreeSet<Uuid> = orders.into_iter().collect();
        self.record().parties_of_orders(&orders).await
    }
}

/// The parties to an order that must be there.
pub(super) fn parties_of(
    parties: &HashMap<Uuid, OrderParties>,
    order_id: Uuid,
) -> Result<&OrderParties, RecordError> {
    parties.get(&order_id).ok_or_else(|| RecordError::Damaged {
        what: format!("order `{order_id}` is missing"),
    })
}

#[cfg(test)]
mod tests {
    use bss_model::OVERDUE;
    use bss_model::clock::millis;

    use super::super::examples::{KEY, LINK, assert_json, licensed, open, parties, secrets};
    use super::*;

    #[test]
    fn an_asset_with_its_license() {
        assert_json(
            &Asset::new(&licensed(), &parties(), None, 2_000),
            r#"
{
  "id": "00000000-0000-0000-0000-000000000001",
  "orderId": "00000000-0000-0000-0000-000000000002",
  "instanceId": "00000000-0000-0000-0000-000000000009",
  "instance": "esd",
  "customer": {
    "id": "C-1",
    "name": "Beispiel GmbH",
    "country": "DE"
  },
  "billingTo": {
    "id": "R-1",
    "name": "Handel AG",
    "country": "DE"
  },
  "productCode": "EP2-06798",
  "productName": "Office",
  "quantity": 3,
  "state": "returned",
  "status": "active",
  "syncStatus": "synchronized",
  "licenseTokenStatus": "returned",
  "returnStatus": "successful",
  "isOverdue": false,
  "isReturnedButActive": true,
  "isCancellationRequested": false,
  "productKey": "*****-*****-*****-*****-EEEEE",
  "activationLink": "redeem.example.com",
  "clientTransactionId": "00000000-0000-0000-0000-000000000003",
  "transactionId": "t-1",
  "licenseTokenId": "l-1",
  "price": {
    "currency": "EUR",
    "minorUnits": 24900
  },
  "orderedAtMs": 1000,
  "purchasedAtMs": 1100,
  "returnableUntilMs": 9000,
  "refreshedAtMs": 1200,
  "withdrawalAskedAtMs": null,
  "reason": null
}"#,
        );
    }

    #[test]
    fn an_asset_without_one_says_why_and_when_it_is_overdue() {
        let at = |ms| serde_json::to_value(Asset::new(&open(), &parties(), None, ms)).unwrap();
        let overdue_at_ms = open().wanted_since_ms + millis(OVERDUE);
        assert_eq!(at(overdue_at_ms - 1)["isOverdue"], false);
        let view = at(overdue_at_ms);
        assert_eq!(view["isOverdue"], true);
        assert!(view["productKey"].is_null() && view["licenseTokenStatus"].is_null());
        assert_json(
            &view["reason"],
            r#"
{
  "advice": "Fetch the catalog again.",
  "code": "offer-unknown",
  "correlationId": "c-1",
  "message": "The offer is not known.",
  "result": "looked-up"
}"#,
        );
    }

    #[test]
    fn a_masked_view_holds_the_last_group_of_a_key_and_the_host_of_a_link_and_no_more_of_either() {
        let masked = Asset::new(&licensed(), &parties(), None, 2_000);
        let written = serde_json::to_string(&masked).unwrap();
        let (hidden, shown) = KEY.rsplit_once('-').unwrap();
        assert!(written.contains(shown));
        for group in hidden.split('-') {
            assert!(!written.contains(group), "{group} in {written}");
        }
        for part in ["activate", "token=", "wholly-secret"] {
            assert!(!written.contains(part), "{part} in {written}");
        }
    }

    #[test]
    fn a_view_with_keys_holds_them_whole_but_not_when_it_is_logged() {
        let shown = Asset::new(&licensed(), &parties(), Some(&secrets()), 2_000);
        let written = serde_json::to_value(&shown).unwrap();
        assert_eq!(written["productKey"], KEY);
        assert_eq!(written["activationLink"], LINK);
        assert!(!format!("{shown:?}").contains("EEEEE"));
    }

    #[test]
    fn a_license_that_was_asked_about() {
        let refreshed = Refreshed {
            asset: licensed(),
            returned_elsewhere: true,
        };
        assert_json(
            &RefreshedLicense::new(licensed().id, &Ok(refreshed)),
            r#"
{
  "assetId": "00000000-0000-0000-0000-000000000001",
  "licenseTokenStatus": "returned",
  "returnStatus": "successful",
  "refreshedAtMs": 1200,
  "isReturnedElsewhere": true,
  "error": null
}"#,
        );
        let silent = RefreshedLicense::new(licensed().id, &Err(RefreshError::NotAsked));
        assert_eq!(silent.license_token_status, None);
        assert_eq!(
            silent.error.as_deref(),
            Some(
                "the vendor was not asked about the license, because it did not answer about the ones before"
            )
        );
    }
}
