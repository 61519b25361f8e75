//! An invitation: an operator chooses a password.

use axum::extract::{Extension, State};
use bss_model::Secret;
use http::{HeaderMap, StatusCode};
use minijinja::{Value, context};

use crate::answer::{self, Answer, done};
use crate::console::{Console, Peer};
use crate::failure::Failure;
use crate::form::Form;
use crate::pages::sign_in;
use crate::query::Query;

/// Shows the page. Nothing is used up by that.
pub(crate) async fn show(State(console): State<Console>, query: Query) -> Answer {
    let code = query.text("code").unwrap_or_default();
    let invited = console.host.invited_operator(&Secret::new(code.as_str())).await?;
    match invited {
        Some(operator) => rendered(&console, StatusCode::OK, context! { name => operator.name, code }),
        None => rendered(&console, StatusCode::NOT_FOUND, context! { is_over => true }),
    }
}

/// Gives the operator the password that was typed twice, and signs the operator in.
pub(crate) async fn choose(
    State(console): State<Console>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    form: Form,
) -> Answer {
    let code = Secret::new(form.text("code"));
    let Some(operator) = console.host.invited_operator(&code).await? else {
        return rendered(&console, StatusCode::NOT_FOUND, context! { is_over => true });
    };
    let again = |problem: Value| {
        let shown = context! { name => operator.name, code => code.expose(), problem };
        rendered(&console, StatusCode::UNPROCESSABLE_ENTITY, shown)
    };
    let typed = form.secret("password").unwrap_or_else(|| Secret::new(""));
    let repeated = form.secret("password-again").unwrap_or_else(|| Secret::new(""));
    if typed.expose() != repeated.expose() {
        return again(context! { differs => true });
    }
    match console.host.accept_invitation(&code, &typed).await {
        Ok(operator) => {
            let address = peer.map(|Extension(peer)| peer.0);
            let mut response = done("/console/", "signed-in");
            // Disabled in this moment, the operator reads on the page of signing in that nobody is.
            if let Some(code) = sign_in::begun(&console, &operator.name, &typed, address, &headers).await? {
                sign_in::give(&mut response, &code);
            }
            Ok(response)
        }
        Err(error) if error.code().starts_with("password-") => {
            let failure = Failure::of(&error);
            again(context! { failure })
        }
        Err(error) => Err(error.into()),
    }
}

fn rendered(console: &Console, status: StatusCode, shown: Value) -> Answer {
    let nothing = context! { problem => Value::from(()), is_over => false };
    let html = console
        .templates
        .render("welcome.html", context! { ..shown, ..nothing });
    let html = html.map_err(|error| Failure::template(&error))?;
    Ok(answer::page(status, html))
}
