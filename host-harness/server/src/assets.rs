//! `/v1/assets`: licenses that were ordered.

use axum::Extension;
use axum::extract::Path;
use axum::response::Response;
use bss_model::{
    AssetFilter, AssetId, LicenseState, OrderId, Rows, Secret, SyncStatus, overdue_since_ms, with_causes,
};
use host_harness::AssetHandle;
use host_harness::view::{self, Keys};
use http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Caller;
use crate::answer::ok;
use crate::fields::{Fields, Problems};
use crate::lists;
use crate::problem::Problem;
use crate::request_error::RequestError;

/// A product key and its activation link, whole.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LicenseKey<'a> {
    /// The asset.
    #[schema(value_type = Uuid)]
    asset_id: AssetId,
    /// The product key that the customer types in.
    product_key: &'a str,
    /// The link at which the customer redeems the license.
    activation_link: Option<&'a str>,
}

/// An asset that can't be read at this moment: ask for it by its id.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UnreadAsset {
    /// The id.
    #[schema(value_type = Uuid)]
    id: AssetId,
    /// `open`: whether its license is bought is not known yet.
    state: String,
}

/// Assets, the latest first.
pub(crate) async fn list(Extension(caller): Extension<Caller>, uri: Uri) -> Result<Response, Problem> {
    let mut problems = Problems::default();
    let mut query = Fields::of_query(uri.query(), &mut problems);
    let instance = query.text("instance", &mut problems);
    let order = query.parsed::<OrderId>("order", &mut problems);
    let is_overdue = query.flag("overdue", &mut problems).unwrap_or_default();
    let filter = AssetFilter {
        instance: None,
        order: order.map(Into::into),
        customer: query.text("customer", &mut problems),
        product: query.text("product", &mut problems),
        sync_status: query.word("syncStatus", SyncStatus::ALL, SyncStatus::word, &mut problems),
        state: query.word("state", LicenseState::ALL, LicenseState::word, &mut problems),
        since_ms: query.time_ms("sinceMs", &mut problems),
        until_ms: query.time_ms("untilMs", &mut problems),
        open_since_ms: is_overdue.then(|| overdue_since_ms(caller.host().record().now_ms())),
    };
    let page = lists::page(&mut query, &mut problems);
    query.end(&mut problems);
    problems.check()?;
    let filter = AssetFilter {
        instance: caller.listed(instance.as_deref()).await?,
        ..filter
    };
    let assets = caller.host().record().assets(&filter, &page).await?;
    let rows = caller.host().asset_views(&assets.rows, Keys::Masked).await?;
    let next = assets.next;
    Ok(lists::answer(&uri, &Rows { rows, next }))
}

/// Answers with an asset, its product key masked.
pub(crate) async fn show(
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    Ok(ok(&named(&caller, &id).await?.read().await?))
}

/// Every attempt at an asset's license.
pub(crate) async fn attempts(
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    Ok(ok(&named(&caller, &id).await?.attempts().await?))
}

/// The product key and the activation link of a license, whole. That they were shown, and to whom, is on record.
pub(crate) async fn key(
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let asset = named(&caller, &id).await?;
    let license = asset
        .license(&caller.actor())
        .await?
        .ok_or(RequestError::NoLicense)?;
    Ok(ok(&LicenseKey {
        asset_id: asset.id(),
        product_key: license.product_key.expose(),
        activation_link: license.activation_link.as_ref().map(Secret::expose),
    }))
}

/// Makes the purchase of a license that was refused due again, for a worker.
pub(crate) async fn retry(
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let asset = named(&caller, &id).await?;
    asset.retry_refused(&caller.actor()).await?;
    Ok(match asset.read().await {
        Ok(shown) => ok(&shown),
        // The purchase is due, whatever can't be read of it.
        Err(error) => {
            let causes = with_causes(&error);
            tracing::warn!(asset = %asset.id(), causes, "an asset whose purchase was made due can't be read");
            let state = view::word(LicenseState::Open.word());
            ok(&UnreadAsset {
                id: asset.id(),
                state,
            })
        }
    })
}

/// Asks the vendor how a license stands.
pub(crate) async fn refresh(
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    Ok(ok(&named(&caller, &id).await?.refresh().await?))
}

/// The asset of an id in an address.
pub(crate) async fn named(caller: &Caller, id: &str) -> Result<AssetHandle, Problem> {
    let id: AssetId = id.parse().map_err(|error| Problem::absent(&error))?;
    caller.asset(id.into()).await
}
