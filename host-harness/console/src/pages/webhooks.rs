//! Webhooks: receivers that are told of outcomes over HTTPS, and what each was told.

use axum::extract::Path;
use bss_model::{DeliveryFilter, DeliveryState, NewWebhook, OutcomeKind, WebhookState, event_type};
use host_harness::{IpNet, view};
use minijinja::{Value, context};
use uuid::Uuid;

use crate::answer::{Answer, done};
use crate::failure::Failure;
use crate::form::Form;
use crate::me::Me;
use crate::pages::{house, platforms};
use crate::query::Query;

/// Puts a receiver on record, and shows its secret this once.
pub(crate) async fn create(me: Me, form: Form) -> Answer {
    let types = form.texts("webhook-type");
    let kinds = types.iter().map(|name| {
        let mut all = OutcomeKind::ALL.iter().copied();
        all.find(|kind| event_type(*kind) == *name)
    });
    let Some(kinds) = kinds.collect() else {
        return Err(Failure::broken_form());
    };
    let networks = form.text("webhook-networks");
    let networks = networks
        .split([',', ' ', '\r', '\n'])
        .filter(|network| !network.is_empty());
    let networks: Result<Vec<IpNet>, _> = networks.map(str::parse).collect();
    let Ok(allowed_networks) = networks else {
        let problem = house::unread("webhook-networks", "wrong-networks");
        return platforms::refused(&me, &form, problem).await;
    };
    let new = NewWebhook {
        url: form.text("webhook-url"),
        owner: None,
        kinds,
        allowed_networks,
        trusted_authorities_pem: form.filled("webhook-authorities"),
    };
    match me.host().create_webhook(new, &me.actor()).await {
        Ok(created) => show_secret(&me, &created).await,
        Err(error) => {
            let field = match error.code() {
                "webhook-authorities-invalid" => "webhook-authorities",
                _ => "webhook-url",
            };
            platforms::refused(&me, &form, house::problem(field, Failure::of(&error))?).await
        }
    }
}

/// Shows a receiver, and what it was told, the latest first.
pub(crate) async fn show(me: Me, Path(id): Path<String>, query: Query) -> Answer {
    let shown = shown(&me, house::id(&id)?, &query).await?;
    me.page("webhook.html", shown).await
}

async fn shown(me: &Me, id: Uuid, query: &Query) -> Result<Value, Failure> {
    let webhook = me.host().webhook(id).await?;
    let filter = DeliveryFilter {
        webhook: Some(id),
        state: query.word("state", DeliveryState::ALL, DeliveryState::word)?,
    };
    let deliveries = me.host().deliveries(&filter, &query.page()).await?;
    Ok(context! {
        webhook,
        deliveries => deliveries.rows,
        next => query.next(deliveries.next.as_ref()),
        states => house::words(DeliveryState::ALL, DeliveryState::word),
        asked => query.shown(),
    })
}

/// Shows every attempt at a delivery.
pub(crate) async fn attempts(me: Me, Path((webhook, delivery)): Path<(String, String)>) -> Answer {
    let (webhook, delivery) = (house::id(&webhook)?, house::id(&delivery)?);
    let attempts = me.host().delivery_attempts(delivery).await?;
    let webhook = me.host().webhook(webhook).await?;
    let shown = context! { webhook, delivery, attempts };
    me.page("webhook_attempts.html", shown).await
}

/// Sends a receiver an event that tells nothing, and shows what it answers.
pub(crate) async fn test(me: Me, Path(id): Path<String>) -> Answer {
    let webhook = me.host().webhook(house::id(&id)?).await?;
    let answer = me.host().test_webhook(webhook.id).await?;
    me.page("webhook_test.html", context! { webhook, answer }).await
}

/// Has a receiver be told, or not.
pub(crate) async fn switch(me: Me, Path(id): Path<String>, form: Form) -> Answer {
    let id = house::id(&id)?;
    let state = form.text("state");
    let state = house::of_word(WebhookState::ALL, WebhookState::word, &state);
    let state = state.ok_or_else(Failure::broken_form)?;
    me.host().set_webhook_state(id, state, &me.actor()).await?;
    Ok(done(&format!("/console/webhooks/{id}"), "webhook-changed"))
}

/// Has a delivery be sent again; or all that have failed, once that was confirmed.
pub(crate) async fn redeliver(me: Me, Path(id): Path<String>, form: Form) -> Answer {
    let id = house::id(&id)?;
    if let Some(delivery) = form.filled("delivery") {
        let delivery = house::id(&delivery)?;
        me.host().redeliver(id, delivery, &me.actor()).await?;
    } else if form.has("confirmed") {
        me.host().redeliver_failed(id, &me.actor()).await?;
    } else {
        let webhook = me.host().webhook(id).await?;
        return me.page("webhook_redeliver.html", context! { webhook }).await;
    }
    Ok(done(&format!("/console/webhooks/{id}"), "redelivery-asked"))
}

/// Gives a receiver another secret, once that was confirmed, and shows it this once.
pub(crate) async fn rotate(me: Me, Path(id): Path<String>, form: Form) -> Answer {
    let id = house::id(&id)?;
    let Some(keep_former) = house::keep_former(&form) else {
        let problem = house::unread("keep-former-hours", "wrong-hours");
        let shown = shown(&me, id, &Query::default()).await?;
        return me.corrected("webhook.html", context! { problem, ..shown }).await;
    };
    if !form.has("confirmed") {
        let webhook = me.host().webhook(id).await?;
        let hours = form.text("keep-former-hours");
        return me.page("webhook_rotate.html", context! { webhook, hours }).await;
    }
    let rotated = me.host().rotate_webhook(id, keep_former, &me.actor()).await?;
    show_secret(&me, &rotated).await
}

/// Removes a receiver with all that it was told, once that was confirmed.
pub(crate) async fn remove(me: Me, Path(id): Path<String>, form: Form) -> Answer {
    let id = house::id(&id)?;
    if !form.has("confirmed") {
        let webhook = me.host().webhook(id).await?;
        return me.page("webhook_remove.html", context! { webhook }).await;
    }
    me.host().remove_webhook(id, &me.actor()).await?;
    Ok(done("/console/platforms", "webhook-removed"))
}

async fn show_secret(me: &Me, shown: &view::WebhookWithSecret) -> Answer {
    let secret = shown.signing_secret.expose();
    let shown = context! { webhook => &shown.webhook, secret };
    me.page("webhook_secret.html", shown).await
}
