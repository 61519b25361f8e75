//! What every request goes through: from where it was sent, who is signed in, whether the operator may, and what a browser is told.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest as _, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::uri::PathAndQuery;
use http::{Method, Uri};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
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

/// The time for the body of a form.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// Bytes of a form of somebody who is not signed in. A longer one is not kept until somebody is.
const STRANGERS_BODY_MAX: usize = 64 * 1024;

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
        return console.failed(&Failure::other_origin());
    }
    let open_to = page.map(|page| page.open_to);
    if open_to == Some(OpenTo::All) {
        let request = Request::from_parts(parts, body);
        let response = match changes {
            false => next.run(request).await,
            true => match of_strangers(console, request).await {
                Ok((turn, request)) => changed(turn, next.run(request)).await,
                Err(failure) => return console.failed(&failure),
            },
        };
        return match response.extensions().get::<Failure>() {
            Some(failure) => console.failed(failure),
            None => response,
        };
    }
    let session = match session_cookie::shown(&parts.headers) {
        // What a page asks for by itself is no use of it.
        Some(code) => {
            let is_use =
                !page.is_some_and(|page| page.path.ends_with("/progress") || page.path.ends_with("/lines"));
            console.host.operator_session(&code, is_use).await
        }
        None => Ok(None),
    };
    let (session, operator) = match session {
        Ok(Some(found)) => found,
        Ok(None) if !changes => return see(&sign_in::path_to(&target(&parts.uri))),
        Ok(None) => {
            return match of_strangers(console, Request::from_parts(parts, body)).await {
                Ok((_turn, request)) => asked_to_sign_in(console, request).await,
                Err(failure) => console.failed(&failure),
            };
        }
        Err(error) => return console.failed(&Failure::of(&error)),
    };
    let me = Me::new(console.clone(), operator, session, &parts.uri);
    let scope = match open_to {
        Some(OpenTo::Operators(scope)) => scope,
        _ => return me.failed(&Failure::no_page()).await,
    };
    if !me.may(scope) {
        return me.failed(&Failure::not_allowed(scope.word())).await;
    }
    parts.extensions.insert(me.clone());
    let response = match changes {
        false => next.run(Request::from_parts(parts, body)).await,
        true => {
            let body = match arrived(body, console.options.body_bytes).await {
                Ok(body) => body,
                Err(failure) => return me.failed(&failure).await,
            };
            let Ok(turn) = Arc::clone(&console.options.changes).try_acquire_owned() else {
                return me.failed(&Failure::too_many_changes()).await;
            };
            changed(turn, next.run(Request::from_parts(parts, body))).await
        }
    };
    match response.extensions().get::<Failure>() {
        Some(failure) => me.failed(failure).await,
        None => response,
    }
}

/// Takes the form of somebody who is not signed in, of whom few are heard at once, and none for long. The turn is held until it is
/// answered; it is none of those that changes have.
async fn of_strangers(
    console: &Console,
    request: Request,
) -> Result<(OwnedSemaphorePermit, Request), Failure> {
    let turn = Arc::clone(&console.strangers)
        .try_acquire_owned()
        .map_err(|_| Failure::too_many_changes())?;
    let (parts, body) = request.into_parts();
    let body = arrived(body, STRANGERS_BODY_MAX).await?;
    Ok((turn, Request::from_parts(parts, body)))
}

/// The body of a request once all of it is here.
async fn arrived(body: Body, max: usize) -> Result<Body, Failure> {
    let read = timeout(BODY_WITHIN, Limited::new(body, max).collect()).await;
    match read.map_err(|_| Failure::broken_form())? {
        Ok(collected) => Ok(Body::from(collected.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::form_too_large(max)),
        Err(_) => Err(Failure::broken_form()),
    }
}

/// Carries a request out to its end, whether the browser waits or not, and holds its turn until then.
async fn changed(
    turn: OwnedSemaphorePermit,
    answered: impl Future<Output = Response> + Send + 'static,
) -> Response {
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
async fn asked_to_sign_in(console: &Console, request: Request) -> Response {
    let to = target(request.uri());
    match Form::from_request(request, console).await {
        Ok(form) => sign_in::with_kept(console, &to, &form),
        Err(failure) => console.failed(&failure),
    }
}

/// The path of an address, with its query.
fn target(uri: &Uri) -> String {
    let target = uri.path_and_query();
    target.map_or("/console/", PathAndQuery::as_str).to_owned()
}
