//! Platforms and API: billing platforms that buy by their own contract, beside API clients and webhooks, and the keys of platforms.

use axum::extract::Path;
use bss_model::{ApiScope, OutcomeKind, Secret, event_type};
use host_harness::{PlatformRequest, platform_addresses};
use http::{HeaderMap, Uri};
use minijinja::{Value, context};
use uuid::Uuid;

use crate::answer::{Answer, done, see};
use crate::failure::Failure;
use crate::form::Form;
use crate::me::Me;
use crate::pages::house;
use crate::query::Query;

/// Shows the platforms, the API clients and the webhooks, and the forms for others.
pub(crate) async fn list(me: Me) -> Answer {
    me.page("platforms.html", shown(&me, None).await?).await
}

/// The list again, with what was typed into a form, and what is wrong with it.
pub(crate) async fn refused(me: &Me, form: &Form, problem: Value) -> Answer {
    let shown = shown(me, Some((form, problem))).await?;
    me.corrected("platforms.html", shown).await
}

async fn shown(me: &Me, refused: Option<(&Form, Value)>) -> Result<Value, Failure> {
    let host = me.host();
    let typed = refused.as_ref().map(|(form, _)| house::typed(form));
    let texts = |name| refused.as_ref().map(|(form, _)| form.texts(name));
    Ok(context! {
        platforms => host.platforms().await?,
        clients => host.api_clients().await?,
        webhooks => host.webhooks().await?,
        instances => house::instances(me).await?,
        scopes => house::words(ApiScope::ALL, ApiScope::word),
        types => OutcomeKind::ALL.iter().map(|kind| event_type(*kind)).collect::<Vec<_>>(),
        typed => Value::from_serialize(typed.unwrap_or_default()),
        ticked_scopes => texts("client-scope").unwrap_or_default(),
        ticked_instances => texts("client-instance").unwrap_or_default(),
        ticked_types => texts("webhook-type").unwrap_or_default(),
        problem => refused.as_ref().map(|(_, problem)| problem.clone()),
    })
}

/// Registers a platform, whose key is put on record on its own page once the platform has made it.
pub(crate) async fn register(me: Me, form: Form) -> Answer {
    let request = PlatformRequest {
        name: form.text("platform-name"),
        instance: form.text("platform-instance"),
        credentials: None,
    };
    match me.host().register_platform(request, &me.actor()).await {
        // A name has no character that means something in an address.
        Ok(platform) => Ok(see(&format!("/console/platforms/{}", platform.name))),
        Err(error) => {
            let field = match error.code() {
                "no-instance" => "platform-instance",
                _ => "platform-name",
            };
            refused(&me, &form, house::problem(field, Failure::of(&error))?).await
        }
    }
}

/// Shows a platform and the addresses to paste where this application is registered in it.
pub(crate) async fn show(
    me: Me,
    Path(name): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    query: Query,
) -> Answer {
    let own = house::base_url(&headers, &uri);
    let base = query.text("base").unwrap_or_else(|| own.clone());
    let is_elsewhere = base != own;
    let shown = context! { is_elsewhere, ..of_name(&me, &name, &base).await? };
    me.page("platform.html", shown).await
}

/// Puts the key on record that a platform shows now.
pub(crate) async fn set_key(
    me: Me,
    Path(name): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    form: Form,
) -> Answer {
    let again = async |problem: Value| {
        let base = house::base_url(&headers, &uri);
        let typed = Value::from_serialize(house::typed(&form));
        let shown = context! { problem, typed, ..of_name(&me, &name, &base).await? };
        me.corrected("platform.html", shown).await
    };
    let application_id = form.filled("application-id").map(|id| id.parse::<Uuid>());
    let Ok(application_id) = application_id.transpose() else {
        return again(house::unread("application-id", "wrong-guid")).await;
    };
    let Some(keep_former) = house::keep_former(&form) else {
        return again(house::unread("keep-former-hours", "wrong-hours")).await;
    };
    let key = form.secret("secret-key").unwrap_or_else(|| Secret::new(""));
    let set = me
        .host()
        .set_platform_key(&name, application_id, key, keep_former, &me.actor())
        .await;
    match set {
        Ok(platform) => Ok(done(
            &format!("/console/platforms/{}", platform.name),
            "platform-key-set",
        )),
        Err(error) => {
            let field = match error.code() {
                "platform-without-application" | "application-id-taken" => "application-id",
                _ => "secret-key",
            };
            again(house::problem(field, Failure::of(&error))?).await
        }
    }
}

/// Revokes a platform for good, once that was confirmed.
pub(crate) async fn revoke(me: Me, Path(name): Path<String>, form: Form) -> Answer {
    if !form.has("confirmed") {
        let platform = me.host().platform(&name).await?;
        return me.page("platform_revoke.html", context! { platform }).await;
    }
    me.host().revoke_platform(&name, &me.actor()).await?;
    Ok(done("/console/platforms", "platform-revoked"))
}

async fn of_name(me: &Me, name: &str, base: &str) -> Result<Value, Failure> {
    let platform = me.host().platform(name).await?;
    let addresses = platform_addresses(base, &platform.name);
    Ok(context! { platform, addresses, base })
}
