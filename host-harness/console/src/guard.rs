//! What every request goes through: from where it was sent, who is signed in, whether the operator may, and what a browser is told.

use std::panic::resume_unwind;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use minijinja::context;
use tracing::{Instrument as _, Span};

use crate::answer::{self, see};
use crate::console::Console;
use crate::failure::Failure;
use crate::form::Form;
use crate::me::Me;
use crate::pages::sign_in;
use crate::pages::{OpenTo, PAGES};
use crate::same_origin::is_same_origin;
use crate::session_cookie;

/// Lets a request to its page if its operator may ask for it. Only what the table of pages names is let through at all.
pub(crate) async fn guard(State(console): State<Console>, request: Request, next: Next) -> Response {
    let mut response = guarded(&console, request, next).await;
    answer::secure(response.headers_mut());
    response
}

async fn guarded(console: &Console, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let method = match parts.method {
        Method::HEAD => &Method::GET,
        ref method => method,
    };
    let path = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
    let page = PAGES
        .iter()
        .find(|page| path == Some(page.path) && page.method == method.as_str());
    let changes = *method != Method::GET;
    if changes && !is_same_origin(&parts.headers, &parts.uri) {
        return shown_to_nobody(console, &Failure::other_origin());
    }
    let open_to = page.map(|page| page.open_to);
    if open_to == Some(OpenTo::All) {
        let response = changed(console, changes, next.run(Request::from_parts(parts, body))).await;
        return match response.extensions().get::<Failure>() {
            Some(failure) => shown_to_nobody(console, failure),
            None => response,
        };
    }
    let session = match session_cookie::shown(&parts.headers) {
        Some(code) => console.host.operator_session(&code).await,
        None => Ok(None),
    };
    let (session, operator) = match session {
        Ok(Some(found)) => found,
        Ok(None) => return asked_to_sign_in(console, Request::from_parts(parts, body), changes).await,
        Err(error) => return shown_to_nobody(console, &Failure::of(&error)),
    };
    let me = Me::new(console.clone(), operator, session, parts.uri.path());
    let scope = match open_to {
        Some(OpenTo::Operators(scope)) => scope,
        _ => return me.failed(&Failure::no_page()).await,
    };
    if !me.may(scope) {
        return me.failed(&Failure::not_allowed(scope.word())).await;
    }
    parts.extensions.insert(me.clone());
    let response = changed(console, changes, next.run(Request::from_parts(parts, body))).await;
    match response.extensions().get::<Failure>() {
        Some(failure) => me.failed(failure).await,
        None => response,
    }
}

/// Carries a request out. What is changed is changed to its end, whether the browser waits or not.
async fn changed(
    console: &Console,
    changes: bool,
    answered: impl Future<Output = Response> + Send + 'static,
) -> Response {
    use axum::response::IntoResponse as _;
    if !changes {
        return answered.await;
    }
    let Ok(turn) = Arc::clone(&console.options.changes).try_acquire_owned() else {
        return Failure::too_many_changes().into_response();
    };
    let change = async move {
        let _turn = turn;
        answered.await
    };
    match tokio::spawn(change.instrument(Span::current())).await {
        Ok(response) => response,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The process ends.
            Err(_) => Failure::too_many_changes().into_response(),
        },
    }
}

/// Asks whoever has no session to sign in. What a form had is kept on that page, but for secrets and files, and is sent once somebody has
/// signed in and says so.
async fn asked_to_sign_in(console: &Console, request: Request, changes: bool) -> Response {
    use axum::extract::FromRequest as _;
    let to = request
        .uri()
        .path_and_query()
        .map_or("/console/", http::uri::PathAndQuery::as_str)
        .to_owned();
    if !changes {
        return see(&sign_in::path_to(&to));
    }
    match Form::from_request(request, console).await {
        Ok(form) => sign_in::with_kept(console, &to, &form),
        Err(failure) => shown_to_nobody(console, &failure),
    }
}

/// The page of a failure for whoever is not signed in.
pub(crate) fn shown_to_nobody(console: &Console, failure: &Failure) -> Response {
    let html = console.templates.render("failure.html", context! { failure });
    answer::page(
        failure.status(),
        html.unwrap_or_else(|_| failure.code().to_owned()),
    )
}
