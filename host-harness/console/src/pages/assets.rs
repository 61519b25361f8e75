//! Licenses: the list of them, one with all that happened to it, its key, and what can be done about it.

use std::num::NonZeroU32;

use axum::extract::Path;
use bss_model::{
    ActFilter, ApiScope, AssetFilter, CancellationFilter, CancellationState, ChargeFilter, LicenseState,
    MailFilter, Page, Requester, RequesterKind, Secret, SortOrder, SyncStatus, overdue_since_ms,
};
use host_harness::view::{self, Keys};
use host_harness::{AssetHandle, Error};
use minijinja::{Value, context};

use super::audit::sentences;
use super::house;
use crate::answer::{Answer, done};
use crate::failure::Failure;
use crate::form::Form;
use crate::me::Me;
use crate::query::Query;

/// The most rows of each kind that the page of a license has.
const SHOWN_MAX: u32 = 50;

/// The acts that the page of a license has: the latest.
const ACTS_MAX: NonZeroU32 = NonZeroU32::new(50).expect("not 0");

/// The licenses, the latest first.
pub(crate) async fn list(me: Me, query: Query) -> Answer {
    let is_overdue = query.text("overdue").is_some();
    let filter = AssetFilter {
        instance: house::asked_instance(&me, &query).await?,
        customer: query.text("customer"),
        product: query.text("product"),
        sync_status: query.word("syncStatus", SyncStatus::ALL, SyncStatus::word)?,
        state: query.word("state", LicenseState::ALL, LicenseState::word)?,
        open_since_ms: is_overdue.then(|| overdue_since_ms(me.host().record().now_ms())),
        ..AssetFilter::default()
    };
    let assets = me.host().record().assets(&filter, &query.page()).await?;
    let rows = me.host().asset_views(&assets.rows, Keys::Masked).await?;
    let shown = context! {
        rows,
        states => house::words(LicenseState::ALL, LicenseState::word),
        sync_statuses => house::words(SyncStatus::ALL, SyncStatus::word),
        instances => house::instances(&me).await?,
        asked => query.shown(),
        is_overdue,
        next => query.next(assets.next.as_ref()),
    };
    me.page("assets.html", shown).await
}

/// A license with all that happened to it.
pub(crate) async fn show(me: Me, Path(asset): Path<String>) -> Answer {
    shown(&me, &named(&me, &asset).await?, None).await
}

/// The page of a license, and above all else why something was not done with it.
pub(super) async fn shown(me: &Me, handle: &AssetHandle, failed: Option<Failure>) -> Answer {
    let (host, record, id) = (me.host(), me.host().record(), handle.id().into());
    let asset = handle.read().await?;
    let of_asset = CancellationFilter {
        asset: Some(id),
        ..CancellationFilter::default()
    };
    let latest = Page::first(SHOWN_MAX).in_order(SortOrder::Descending);
    let cancellations = record.cancellations(&of_asset, &latest).await?.rows;
    let cancellations = host.cancellation_views(&cancellations).await?;
    let mut attempted = Vec::with_capacity(cancellations.len());
    for cancellation in cancellations {
        let attempts = record.return_attempts(cancellation.id).await?;
        attempted.push(cancellation.with_return_attempts(&attempts));
    }
    let waiting = attempted
        .iter()
        .find(|cancellation| cancellation.state == "requested");
    let is_settling = attempted
        .iter()
        .any(|cancellation| cancellation.state == "returning");
    let mails = MailFilter {
        asset: Some(id),
        ..MailFilter::default()
    };
    let mails = record.mails(&mails, &latest).await?.rows;
    let is_bought = matches!(asset.state.as_str(), "licensed" | "returned");
    let acts = match me.may(ApiScope::Administer) {
        true => Some(acts(me, id.to_string()).await?),
        false => None,
    };
    let status = failed.as_ref().map(Failure::status);
    let page = context! {
        is_moving => is_moving(&asset, is_settling),
        failed,
        waiting,
        can_cancel => is_bought && waiting.is_none() && !is_settling,
        charges => charged(me, &asset).await?,
        attempts => handle.attempts().await?,
        mails => host.mail_views(&mails).await?,
        acts,
        cancellations => attempted,
        asset,
    };
    me.page_with(status.unwrap_or_default(), "asset.html", page).await
}

/// Whether something is under way with a license that ends by itself.
fn is_moving(asset: &view::Asset, is_settling: bool) -> bool {
    asset.state == "open" || is_settling
}

/// How far a license is: the part of its page that is asked for again and again while something is under way.
pub(crate) async fn progress(me: Me, Path(asset): Path<String>) -> Answer {
    let handle = named(&me, &asset).await?;
    let asset = handle.read().await?;
    let filter = CancellationFilter {
        asset: Some(handle.id().into()),
        state: Some(CancellationState::Returning),
        ..CancellationFilter::default()
    };
    let returning = me.host().record().cancellations(&filter, &Page::first(1)).await?;
    let is_over = !is_moving(&asset, !returning.rows.is_empty());
    me.part("asset_progress.html", context! { asset }, is_over)
}

/// Who did what with a license.
async fn acts(me: &Me, subject: String) -> Result<Vec<Value>, Failure> {
    let filter = ActFilter {
        subject: Some(subject),
        ..ActFilter::default()
    };
    let acts = me.host().record().latest_acts(&filter, ACTS_MAX).await?;
    sentences::told(me, &acts).await
}

/// What was charged for a license, and credited: the number of each charge, its line, and the credit of that.
pub(super) async fn charged(me: &Me, asset: &view::Asset) -> Result<Vec<Value>, Failure> {
    let filter = ChargeFilter {
        order: Some(asset.order_id),
        ..ChargeFilter::default()
    };
    let charges = me.host().record().charges(&filter, &Page::all()).await?.rows;
    let charges = me.host().credited_charge_views(&charges).await?;
    let of_asset = charges.into_iter().filter_map(|charge| {
        let line = charge.lines.into_iter().find(|line| line.asset_id == asset.id)?;
        let credit = charge
            .credits
            .into_iter()
            .find(|credit| credit.asset_id == asset.id);
        Some(context! { number => charge.number, line, credit })
    });
    Ok(of_asset.collect())
}

/// Shows the product key and the activation link whole, which is an act on record.
pub(crate) async fn key(me: Me, Path(asset): Path<String>) -> Answer {
    let handle = named(&me, &asset).await?;
    let asset = handle.read().await?;
    let license = handle.license(&me.actor()).await?;
    let license = license.as_ref().map(|license| {
        let link = license.activation_link.as_ref().map(Secret::expose);
        context! { key => license.product_key.expose(), link }
    });
    me.page("asset_key.html", context! { asset, license }).await
}

/// Makes the purchase of a license that was refused due again, once it was confirmed.
pub(crate) async fn retry(me: Me, Path(asset): Path<String>, form: Form) -> Answer {
    let handle = named(&me, &asset).await?;
    if !form.has("confirmed") {
        let asset = handle.read().await?;
        return me.page("asset_retry.html", context! { asset }).await;
    }
    match handle.retry_refused(&me.actor()).await {
        Ok(()) => Ok(done(&path(&handle), "license-retried")),
        Err(error) => shown(&me, &handle, Some(error.into())).await,
    }
}

/// Asks the vendor how a license stands.
pub(crate) async fn refresh(me: Me, Path(asset): Path<String>) -> Answer {
    let handle = named(&me, &asset).await?;
    match handle.refresh().await {
        Ok(_) => Ok(done(&path(&handle), "license-refreshed")),
        Err(error) => shown(&me, &handle, Some(error.into())).await,
    }
}

/// Says what it means to cancel a license, and asks.
pub(crate) async fn ask_to_cancel(me: Me, Path(asset): Path<String>) -> Answer {
    let handle = named(&me, &asset).await?;
    asked_to_cancel(&me, &handle).await
}

async fn asked_to_cancel(me: &Me, handle: &AssetHandle) -> Answer {
    let asset = handle.read().await?;
    let charges = charged(me, &asset).await?;
    me.page("asset_cancellation.html", context! { asset, charges })
        .await
}

/// Cancels a license, or only asks for it.
pub(crate) async fn cancel(me: Me, Path(asset): Path<String>, form: Form) -> Answer {
    let handle = named(&me, &asset).await?;
    let how = form.text("how");
    if !form.has("confirmed") || !["now", "request"].contains(&how.as_str()) {
        return asked_to_cancel(&me, &handle).await;
    }
    let (host, actor, id) = (me.host(), me.actor(), handle.id().into());
    let (comment, requester) = (form.text("comment"), requester(&me, &handle, &form).await?);
    let (what, cancelled) = match how.as_str() {
        "now" => {
            let cancelled = host.cancel_now(id, &requester, &comment, &actor).await;
            ("license-cancelled", cancelled.map_err(Error::from))
        }
        _ => {
            let record = host.record();
            let requested = record
                .request_cancellation(id, &requester, &comment, &actor)
                .await;
            ("cancellation-requested", requested.map_err(Error::from))
        }
    };
    match cancelled {
        Ok(_) => Ok(done(&path(&handle), what)),
        Err(error) => shown(&me, &handle, Some(error.into())).await,
    }
}

/// Who asks for a cancellation: the operator, or the party for whom the operator says it.
async fn requester(me: &Me, handle: &AssetHandle, form: &Form) -> Result<Requester, Failure> {
    let parties = handle.read().await?.parties;
    Ok(match form.text("requester").as_str() {
        "customer" => Requester {
            kind: RequesterKind::Customer,
            name: parties.customer.name,
        },
        "reseller" => Requester {
            kind: RequesterKind::Reseller,
            name: parties.billing_to.name,
        },
        _ => Requester {
            kind: RequesterKind::Operator,
            name: me.actor().name,
        },
    })
}

async fn named(me: &Me, asset: &str) -> Result<AssetHandle, Failure> {
    Ok(me.host().asset(house::id(asset)?.into()).await?)
}

/// The path of the page of a license.
pub(super) fn path(asset: &AssetHandle) -> String {
    format!("/console/assets/{}", asset.id())
}
