//! E-mails to customers: what became of each, what it says, sent again, and made due.

use axum::extract::Path;
use bss_model::{AssetId, LicenseState, Mail, MailFilter, MailKind, MailState, OrderId, license_state};
use host_harness::view;
use minijinja::{Value, context};

use crate::answer::{Answer, done};
use crate::failure::Failure;
use crate::form::Form;
use crate::me::Me;
use crate::pages::house;
use crate::query::Query;

/// Shows e-mails, the latest first.
pub(crate) async fn list(me: Me, query: Query) -> Answer {
    let filter = MailFilter {
        instance: house::asked_instance(&me, &query).await?,
        state: query.word("state", MailState::ALL, MailState::word)?,
        kind: query.word("kind", MailKind::ALL, MailKind::word)?,
        order: house::parsed::<OrderId>(&query, "order")?.map(Into::into),
        asset: house::parsed::<AssetId>(&query, "asset")?.map(Into::into),
        customer: query.text("customer"),
    };
    let record = me.host().record();
    let mails = record.mails(&filter, &query.page()).await?;
    let rows = me.host().mail_views(&mails.rows).await?;
    let stop = record.mail_stop().await?;
    let shown = context! {
        rows,
        stop => stop.as_ref().map(view::MailStop::from),
        has_settings => record.mail_settings().await?.is_some(),
        next => query.next(mails.next.as_ref()),
        instances => house::instances(&me).await?,
        states => house::words(MailState::ALL, MailState::word),
        kinds => house::words(MailKind::ALL, MailKind::word),
        asked => query.shown(),
    };
    me.page("mails.html", shown).await
}

/// Shows an e-mail.
pub(crate) async fn show(me: Me, Path(id): Path<String>) -> Answer {
    let mail = found(&me, &id).await?;
    let shown = shown(&me, &mail).await?;
    me.page("mail.html", shown).await
}

/// Shows what an e-mail would say if it were sent now. Keys in it are masked, and nothing is sent.
pub(crate) async fn preview(me: Me, Path(id): Path<String>) -> Answer {
    let mail = found(&me, &id).await?;
    let preview = me.host().preview_mail(&mail).await;
    let preview = preview.map_err(|error| Failure::of(&error))?;
    let shown = context! { id => mail.id, preview => view::MailPreview::from(&preview) };
    me.page("mail_preview.html", shown).await
}

/// Makes an e-mail due now that waits or was refused.
pub(crate) async fn retry(me: Me, Path(id): Path<String>) -> Answer {
    let mail = found(&me, &id).await?.id;
    let record = me.host().record();
    record.retry_unheld_mail(mail, &me.actor()).await?;
    Ok(done(&format!("/console/mails/{mail}"), "mail-retried"))
}

/// Releases an e-mail that is held back, once that was confirmed: the customer may get it twice.
pub(crate) async fn release(me: Me, Path(id): Path<String>, form: Form) -> Answer {
    let mail = found(&me, &id).await?;
    if !form.has("confirmed") {
        return me.page("mail_release.html", shown(&me, &mail).await?).await;
    }
    me.host().record().retry_mail(mail.id, &me.actor()).await?;
    Ok(done(&format!("/console/mails/{}", mail.id), "mail-released"))
}

/// Has a copy of an e-mail sent, to the contact of its order or to another address, once that was confirmed.
pub(crate) async fn resend(me: Me, Path(id): Path<String>, form: Form) -> Answer {
    let mail = found(&me, &id).await?;
    let to = form.filled("to");
    if !form.has("confirmed") {
        let shown = context! { to => to.unwrap_or_default(), ..shown(&me, &mail).await? };
        return me.page("mail_resend.html", shown).await;
    }
    let record = me.host().record();
    match record.resend_mails(&[mail.id], to.as_deref(), &me.actor()).await {
        Ok(copies) => {
            let copy = copies.first().map_or(mail.id, |copy| copy.id);
            Ok(done(&format!("/console/mails/{copy}"), "mail-resent"))
        }
        Err(error) => {
            let problem = house::problem("to", Failure::of(&error))?;
            let typed = Value::from_serialize(house::typed(&form));
            let shown = context! { problem, typed, ..shown(&me, &mail).await? };
            me.corrected("mail.html", shown).await
        }
    }
}

async fn found(me: &Me, id: &str) -> Result<Mail, Failure> {
    let found = me.host().mail(house::id(id)?).await?;
    found.map(|(mail, _)| mail).ok_or_else(Failure::no_page)
}

async fn shown(me: &Me, about: &Mail) -> Result<Value, Failure> {
    let views = me.host().mail_views(std::slice::from_ref(about)).await?;
    // A view for the one e-mail that was asked about.
    let mail = views.first().ok_or_else(Failure::no_page)?;
    let asset = me.host().record().asset(about.asset_id).await?;
    let is_returned = asset.as_ref().is_some_and(|asset| {
        matches!(
            license_state(asset),
            LicenseState::Cancelled | LicenseState::Returned
        )
    });
    Ok(context! { mail, is_dead => is_returned && about.kind != MailKind::Return })
}
