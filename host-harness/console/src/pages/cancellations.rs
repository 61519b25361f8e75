//! Cancellations: those that wait for a decision, those before, and the decisions.

use axum::extract::Path;
use bss_model::{Cancellation, CancellationFilter, CancellationState, Page, SortOrder};
use host_harness::{AssetHandle, DecideError, Error, view};
use minijinja::{Value, context};
use uuid::Uuid;

use super::{assets, house, sales};
use crate::answer::{Answer, done, see};
use crate::failure::Failure;
use crate::form::Form;
use crate::me::Me;
use crate::query::Query;

/// The decided cancellations that stand below those that wait.
const RECENT: u32 = 20;

/// The cancellations that wait for a decision, the oldest first, and the latest others; or those of a state, where one is asked for.
pub(crate) async fn list(me: Me, query: Query) -> Answer {
    let record = me.host().record();
    let state = query.word("state", CancellationState::ALL, CancellationState::word)?;
    let filter = CancellationFilter {
        instance: house::asked_instance(&me, &query).await?,
        state: Some(state.unwrap_or(CancellationState::Requested)),
        ..CancellationFilter::default()
    };
    // Requests that wait come oldest first, those that are over latest first.
    let page = match filter.state {
        Some(CancellationState::Requested) => query.page_in(SortOrder::Ascending),
        _ => query.page(),
    };
    let asked = record.cancellations(&filter, &page).await?;
    let recent = match state {
        Some(_) => Vec::new(),
        None => latest_others(&me, filter.instance).await?,
    };
    let of_instance = match filter.instance {
        Some(instance) => format!("?instance={instance}"),
        None => String::new(),
    };
    let shown = context! {
        rows => rows(&me, &asked.rows).await?,
        is_queue => filter.state == Some(CancellationState::Requested),
        is_moving => is_moving(&recent),
        of_instance,
        recent => rows(&me, &recent).await?,
        states => house::words(CancellationState::ALL, CancellationState::word),
        instances => house::instances(&me).await?,
        asked => query.shown(),
        next => query.next(asked.next.as_ref()),
    };
    me.page("cancellations.html", shown).await
}

/// The latest cancellations that do not wait for a decision, for a page that shows them while licenses are returned.
pub(crate) async fn recent(me: Me, query: Query) -> Answer {
    let instance = house::asked_instance(&me, &query).await?;
    let recent = latest_others(&me, instance).await?;
    let shown = context! { recent => rows(&me, &recent).await? };
    me.part("cancellations_recent.html", shown, !is_moving(&recent))
}

/// The cancellations whose license is being returned, at an instance or at all of them, and then the latest others that do not wait for a
/// decision.
async fn latest_others(me: &Me, instance: Option<Uuid>) -> Result<Vec<Cancellation>, Failure> {
    let record = me.host().record();
    let latest = Page::first(RECENT).in_order(SortOrder::Descending);
    let mut filter = CancellationFilter {
        instance,
        state: Some(CancellationState::Returning),
        ..CancellationFilter::default()
    };
    let mut recent = record.cancellations(&filter, &latest).await?.rows;
    filter.state = None;
    let mut others = record.cancellations(&filter, &latest).await?.rows;
    others.retain(|cancellation| !cancellation.state.is_open());
    recent.append(&mut others);
    Ok(recent)
}

/// Whether a license is being returned.
fn is_moving(cancellations: &[Cancellation]) -> bool {
    let mut states = cancellations.iter().map(|cancellation| cancellation.state);
    states.any(|state| state == CancellationState::Returning)
}

/// The cancellations, each with its license.
async fn rows(me: &Me, cancellations: &[Cancellation]) -> Result<Vec<Value>, Failure> {
    let assets = sales::assets_of(me, cancellations).await?;
    let views = me.host().cancellation_views(cancellations).await?;
    let row = |cancellation: &view::Cancellation| {
        let asset = assets.get(&cancellation.asset_id);
        context! { cancellation, asset }
    };
    Ok(views.iter().map(row).collect())
}

/// Leads to the license of a cancellation, whose page has it.
pub(crate) async fn show(me: Me, Path(cancellation): Path<String>) -> Answer {
    let (_, asset) = named(&me, &cancellation).await?;
    Ok(see(&format!("{}#cancellations", assets::path(&asset))))
}

/// Confirms a request, once the operator has been told what is returned and credited.
pub(crate) async fn confirm(me: Me, Path(cancellation): Path<String>, form: Form) -> Answer {
    let (cancellation, asset) = named(&me, &cancellation).await?;
    if form.has("confirmed") {
        let confirmed = me
            .host()
            .confirm_cancellation(cancellation.id, &form.text("comment"), &me.actor())
            .await;
        let decision = confirmed.map_err(Error::from);
        return decided(&me, &asset, &form, decision, "cancellation-confirmed").await;
    }
    let views = me
        .host()
        .cancellation_views(std::slice::from_ref(&cancellation))
        .await?;
    let asset = asset.read().await?;
    let shown = context! {
        cancellation => views.first(),
        charges => assets::charged(&me, &asset).await?,
        asset,
        comment => form.text("comment"),
        from => form.text("from"),
    };
    me.page("cancellation_confirm.html", shown).await
}

/// Declines a request: the license stays.
pub(crate) async fn decline(me: Me, Path(cancellation): Path<String>, form: Form) -> Answer {
    let (cancellation, asset) = named(&me, &cancellation).await?;
    let declined = me
        .host()
        .record()
        .decline_cancellation(cancellation.id, &form.text("comment"), &me.actor())
        .await;
    let decision = declined.map_err(Error::from);
    decided(&me, &asset, &form, decision, "cancellation-declined").await
}

/// Withdraws a request, for whoever made it.
pub(crate) async fn withdraw(me: Me, Path(cancellation): Path<String>, form: Form) -> Answer {
    let (cancellation, asset) = named(&me, &cancellation).await?;
    let withdrawn = me
        .host()
        .record()
        .withdraw_cancellation(cancellation.id, &form.text("comment"), &me.actor())
        .await;
    let decision = withdrawn.map_err(Error::from);
    decided(&me, &asset, &form, decision, "cancellation-withdrawn").await
}

/// Leads to where the decision was made, or says on the page of the license why it was not.
async fn decided(
    me: &Me,
    asset: &AssetHandle,
    form: &Form,
    decided: Result<Cancellation, Error>,
    what: &str,
) -> Answer {
    match decided {
        Ok(_) if form.text("from") == "queue" => Ok(done("/console/cancellations", what)),
        Ok(_) => Ok(done(&assets::path(asset), what)),
        Err(error) => assets::shown(me, asset, Some(error.into())).await,
    }
}

async fn named(me: &Me, cancellation: &str) -> Result<(Cancellation, AssetHandle), Failure> {
    let id = house::id(cancellation)?;
    let cancellation = me.host().record().cancellation(id).await?;
    let cancellation = cancellation.ok_or(DecideError::NoCancellation { id })?;
    let asset = me.host().asset(cancellation.asset_id.into()).await?;
    Ok((cancellation, asset))
}
