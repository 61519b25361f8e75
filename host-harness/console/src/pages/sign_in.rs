//! Signing in, and out.

use std::net::IpAddr;
use std::time::Instant;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use bss_model::Secret;
use http::header::{SET_COOKIE, USER_AGENT};
use http::{HeaderMap, StatusCode};
use minijinja::{Value, context};
use uuid::Uuid;

use crate::answer::{self, Answer, see};
use crate::console::{Console, Peer};
use crate::failure::Failure;
use crate::form::Form;
use crate::me::Me;
use crate::query::Query;
use crate::session_cookie;

/// The longest name of an operator.
const NAME_CHARS_MAX: usize = 64;

/// What a kept field's name begins with, so that none is one of this page's own.
const KEPT: &str = "kept.";

/// The path of the page that leads to another once somebody has signed in.
pub(crate) fn path_to(to: &str) -> String {
    const PAGE: &str = "/console/sign-in?";
    let mut query = form_urlencoded::Serializer::for_suffix(PAGE.to_owned(), PAGE.len());
    query.append_pair("to", to);
    query.finish()
}

/// The page for whoever sent a form without a session: it has what the form had.
pub(crate) fn with_kept(console: &Console, to: &str, form: &Form) -> Response {
    let kept = form.kept();
    // A form without anything to keep leads to no page by itself.
    let to = if kept.is_empty() { "/console/" } else { to };
    let shown = context! { to => own(to), kept => kept, is_over => true };
    rendered(console, StatusCode::UNAUTHORIZED, shown)
}

/// Shows the page.
pub(crate) async fn show(State(console): State<Console>, query: Query) -> Response {
    let to = query.text("to").unwrap_or_default();
    rendered(&console, StatusCode::OK, context! { to => own(&to) })
}

/// Signs an operator in.
pub(crate) async fn sign_in(
    State(console): State<Console>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    form: Form,
) -> Answer {
    // No name is longer, and one that is would only be shown and counted at length.
    let name: String = form.text("name").chars().take(NAME_CHARS_MAX).collect();
    let to = own(&form.text("to"));
    let kept: Vec<(String, String)> = form
        .below(KEPT)
        .map(|(name, value)| (name.to_owned(), value.expose().to_owned()))
        .collect();
    let again = |status: StatusCode, problem: &str, wait: Option<u64>| {
        let shown = context! { to, kept, name, problem, wait };
        Ok(rendered(&console, status, shown))
    };
    let password = form.secret("password").unwrap_or_else(|| Secret::new(""));
    let address = peer.map(|Extension(peer)| peer.0);
    if let Err(wait) = console.tries.begin(&name, address, Instant::now()) {
        return again(StatusCode::TOO_MANY_REQUESTS, "slowed", Some(wait.as_secs() + 1));
    }
    let Some(code) = begun(&console, &name, &password, address, &headers).await? else {
        return again(StatusCode::UNAUTHORIZED, "wrong", None);
    };
    console.tries.succeeded(&name, address);
    // What a form had is sent by whoever reads it again and says so.
    let mut response = match kept.is_empty() {
        true => see(&to),
        false => {
            let shown = context! {
                to,
                fields => read_again(&console, &kept).await,
                leads_to_form => leads_to_form(&to),
                kept,
            };
            let html = console.templates.render("kept.html", shown);
            answer::page(StatusCode::OK, html.map_err(|error| Failure::template(&error))?)
        }
    };
    give(&mut response, &code);
    Ok(response)
}

/// Begins a session of whoever knows a password, and returns its code. The session that the browser had is over: nobody has two in one.
/// `None`: nobody has that name and that password.
pub(super) async fn begun(
    console: &Console,
    name: &str,
    password: &Secret,
    address: Option<IpAddr>,
    headers: &HeaderMap,
) -> Result<Option<Secret>, Failure> {
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    let from = address.map(|address| address.to_string()).unwrap_or_default();
    let begun = console
        .host
        .sign_in(name, password, &from, agent.unwrap_or_default())
        .await?;
    let Some((operator, code)) = begun else {
        // The name is not logged: the password may have been typed there.
        tracing::warn!(from, "a try to sign in failed");
        return Ok(None);
    };
    tracing::info!(operator = operator.name, from, "an operator signed in");
    if let Some(former) = session_cookie::shown(headers)
        && let Some((former, _)) = console.host.operator_session(&former, false).await?
    {
        let (of, actor) = (former.operator_id, operator.actor());
        console.host.end_operator_session(of, former.id, &actor).await?;
    }
    Ok(Some(code))
}

/// Gives a browser the code of its session.
pub(super) fn give(response: &mut Response, code: &Secret) {
    response
        .headers_mut()
        .extend(session_cookie::given(code).map(|cookie| (SET_COOKIE, cookie)));
}

/// Fields of forms that nobody has typed.
const UNTYPED: [&str; 13] = [
    "asset", "change", "decision", "install", "key", "number", "prices", "reasons", "rows", "run", "session",
    "stay", "version",
];

/// What was typed of the fields that were kept, for whoever typed it: with the name of an instance in the place of its id, and without
/// what the page put there itself.
async fn read_again(console: &Console, kept: &[(String, String)]) -> Vec<Value> {
    let mut fields = Vec::new();
    for (name, value) in kept {
        if value.trim().is_empty() || UNTYPED.contains(&name.as_str()) {
            continue;
        }
        let (name, number) = match row(name) {
            Some((name, number)) => (name.to_owned(), number),
            None => (readable(name), 0),
        };
        let value = match (name.as_str(), Uuid::try_parse(value)) {
            ("instance", Ok(id)) => {
                let instance = console.host.instance_of_id(id.into()).await;
                instance.map_or_else(|_| value.clone(), |instance| instance.name().to_owned())
            }
            _ => value.clone(),
        };
        fields.push(context! { name, number, value });
    }
    fields
}

/// The field of a row of an order, and the number of the row. `None`: it is of none.
fn row(name: &str) -> Option<(&'static str, usize)> {
    let (index, field) = name.strip_prefix("lines[")?.split_once("].")?;
    let field = match field {
        "productCode" => "product",
        _ => "quantity",
    };
    Some((field, index.parse::<usize>().ok()?.saturating_add(1)))
}

/// A field's name as words. Those of parties and contacts stay as they are: they have labels.
fn readable(name: &str) -> String {
    match name.starts_with("customer.") || name.starts_with("contact.") {
        true => name.to_owned(),
        false => name
            .strip_prefix("value.")
            .unwrap_or(name)
            .replace(['-', '.'], " "),
    }
}

/// Whether the page of a form shows the form again, with what was typed, if it is asked to with `change`.
fn leads_to_form(to: &str) -> bool {
    let path = to.split('?').next().unwrap_or_default();
    let is_of_instance = |page| path.starts_with("/console/instances/") && path.ends_with(page);
    ["/console/orders/new", "/console/prerequisites"].contains(&path)
        || is_of_instance("/price")
        || is_of_instance("/settings")
}

/// Ends the session.
pub(crate) async fn sign_out(me: Me) -> Answer {
    let session = me.session();
    me.host()
        .end_operator_session(session.operator_id, session.id, &me.actor())
        .await?;
    let mut response = see("/console/sign-in");
    response.headers_mut().insert(SET_COOKIE, session_cookie::taken());
    Ok(response)
}

/// A path of this console, or its first page for whatever else somebody put there.
fn own(to: &str) -> String {
    let is_own = to.starts_with("/console/")
        && !to.starts_with("/console/sign-")
        && !to.contains("//")
        && !to.contains('\\')
        && to.bytes().all(|byte| byte.is_ascii_graphic());
    match is_own {
        true => to.to_owned(),
        false => "/console/".to_owned(),
    }
}

fn rendered(console: &Console, status: StatusCode, shown: Value) -> Response {
    let nothing = context! { kept => Value::from(()), name => "", problem => "", is_over => false };
    match console
        .templates
        .render("sign_in.html", context! { ..shown, ..nothing })
    {
        Ok(html) => answer::page(status, html),
        Err(error) => console.failed(&Failure::template(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_named_as_a_person_reads_it() {
        assert_eq!(row("lines[1].productCode"), Some(("product", 2)));
        assert_eq!(row("lines[0].quantity"), Some(("quantity", 1)));
        assert_eq!(row("instance"), None);
        assert_eq!(readable("value.system-name"), "system name");
        assert_eq!(readable("customer.id"), "customer.id");
        assert!(leads_to_form("/console/orders/new?customer=C-1"));
        assert!(leads_to_form("/console/instances/esd/products/A/price"));
        assert!(leads_to_form("/console/instances/esd/settings"));
        assert!(leads_to_form("/console/prerequisites"));
        assert!(!leads_to_form("/console/instances/new"));
    }

    #[test]
    fn nobody_is_led_out_of_the_console() {
        for path in ["/console/", "/console/orders?customer=C-1&state=open"] {
            assert_eq!(own(path), path);
        }
        for path in [
            "",
            "/",
            "/v1/orders",
            "https://evil.example/console/",
            "//evil.example/console/",
            "/console//evil.example",
            "/console/\\evil.example",
            "/console/ä",
            "/console/a\r\nb",
            "/console/sign-out",
        ] {
            assert_eq!(own(path), "/console/", "{path}");
        }
        assert_eq!(
            path_to("/console/a?b=c&d"),
            "/console/sign-in?to=%2Fconsole%2Fa%3Fb%3Dc%26d"
        );
    }
}
