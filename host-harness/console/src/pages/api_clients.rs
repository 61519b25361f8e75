//! API clients: programs that may ask this host over HTTP, and their keys, each of which is shown once.

use std::collections::BTreeSet;

use axum::extract::Path;
use bss_model::ApiScope;
use host_harness::{ApiClientRequest, view};
use minijinja::context;

use crate::answer::{Answer, done};
use crate::failure::Failure;
use crate::form::Form;
use crate::me::Me;
use crate::pages::{house, platforms};

/// Makes a client, and shows its key this once.
pub(crate) async fn create(me: Me, form: Form) -> Answer {
    let scopes = form.texts("client-scope");
    let scopes = scopes
        .iter()
        .map(|scope| house::of_word(ApiScope::ALL, ApiScope::word, scope));
    let Some(scopes) = scopes.collect() else {
        return Err(Failure::broken_form());
    };
    // An operator gives a program no right that he or she has not.
    let scopes: BTreeSet<ApiScope> = scopes;
    if let Some(scope) = scopes.iter().find(|scope| !me.may(**scope)) {
        return Err(Failure::not_allowed(scope.word()));
    }
    let request = ApiClientRequest {
        name: form.text("client-name"),
        scopes,
        instances: Some(form.texts("client-instance")).filter(|instances| !instances.is_empty()),
    };
    match me.host().create_api_client(request, &me.actor()).await {
        Ok(new) => show_key(&me, &new).await,
        Err(error) => {
            let field = match error.code() {
                "no-instance" | "no-bound-instance" | "administers-part" => "client-instance",
                "no-scope" => "client-scope",
                _ => "client-name",
            };
            platforms::refused(&me, &form, house::problem(field, Failure::of(&error))?).await
        }
    }
}

/// Shows a client, never a key.
pub(crate) async fn show(me: Me, Path(name): Path<String>) -> Answer {
    let client = of_name(&me, &name).await?;
    me.page("api_client.html", context! { client }).await
}

/// Gives a client another key, once that was confirmed, and shows it this once.
pub(crate) async fn rotate(me: Me, Path(name): Path<String>, form: Form) -> Answer {
    let Some(keep_former) = house::keep_former(&form) else {
        let problem = house::unread("keep-former-hours", "wrong-hours");
        let client = of_name(&me, &name).await?;
        return me
            .corrected("api_client.html", context! { client, problem })
            .await;
    };
    if !form.has("confirmed") {
        let client = of_name(&me, &name).await?;
        let hours = form.text("keep-former-hours");
        return me
            .page("api_client_rotate.html", context! { client, hours })
            .await;
    }
    let new = me.host().rotate_api_key(&name, keep_former, &me.actor()).await?;
    show_key(&me, &new).await
}

/// Revokes a client for good, once that was confirmed.
pub(crate) async fn revoke(me: Me, Path(name): Path<String>, form: Form) -> Answer {
    if !form.has("confirmed") {
        let client = of_name(&me, &name).await?;
        return me.page("api_client_revoke.html", context! { client }).await;
    }
    me.host().revoke_api_client(&name, &me.actor()).await?;
    Ok(done("/console/platforms", "client-revoked"))
}

async fn show_key(me: &Me, new: &view::NewApiKey) -> Answer {
    let shown = context! { client => &new.client, key => new.key.expose() };
    me.page("api_client_key.html", shown).await
}

async fn of_name(me: &Me, name: &str) -> Result<view::ApiClient, Failure> {
    let clients = me.host().api_clients().await?;
    let found = clients.into_iter().find(|client| client.name == name);
    found.ok_or_else(Failure::no_page)
}
