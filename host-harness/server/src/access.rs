//! Access: who asks, by the key that is shown, and whether that client may.

use std::net::IpAddr;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State as Shared};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bss_model::{
    Actor, ApiClient, ApiScope, Diagnose as _, ErrorKind, Instance, InstanceId, Platform,
    Problem as RecordedProblem,
};
use host_harness::{
    AssetHandle, ConfigureError, DecideError, Host, InstanceHandle, OrderHandle, PlaceError, RetryError,
    RetryMailError,
};
use http::header::{ALLOW, AUTHORIZATION, CONNECTION};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use percent_encoding::percent_decode_str;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use crate::failed_tries::{Failed, HELD_BACK};
use crate::interworks::Credentials;
use crate::listener::Peer;
use crate::problem::Problem;
use crate::request_error::RequestError;
use crate::routes::{OpenTo, ROUTES, Route};
use crate::state::State;

/// The client that asks, and the host as it is given it.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    host: Host,
    client: ApiClient,
}

/// A platform that calls, and the host as of its owner.
#[derive(Clone, Debug)]
pub(crate) struct PlatformCaller {
    pub(crate) host: Host,
    pub(crate) platform: Platform,
}

/// Lets a request to its handler if its client may make it. Only what the table of routes names is let through at all.
pub(crate) async fn guard(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>();
    let of_path: Vec<&Route> = ROUTES
        .iter()
        .filter(|route| path.is_some_and(|path| path.as_str() == route.path))
        .collect();
    if of_path.is_empty() {
        return Problem::from(RequestError::NoRoute).into_response();
    }
    // Parameters of a path are texts.
    if percent_decode_str(request.uri().path()).decode_utf8().is_err() {
        return Problem::from(RequestError::NoRoute).into_response();
    }
    let method = request.method().as_str();
    let route = of_path
        .iter()
        .find(|route| route.methods().any(|known| known == method));
    let Some(route) = route else {
        return not_allowed(&of_path);
    };
    // A body can't be shared between threads, which a request that is looked at meanwhile would have to be.
    let (mut parts, body) = request.into_parts();
    let let_in = match route.open_to {
        OpenTo::All => Ok(()),
        OpenTo::Clients(scope) => caller(&state, &parts, scope).await.map(|caller| {
            tracing::debug!(client = caller.client.name, "a client asks");
            parts.extensions.insert(caller);
        }),
        OpenTo::Platforms => platform_caller(&state, &parts).await.map(|caller| {
            tracing::debug!(platform = caller.platform.name, "a platform calls");
            parts.extensions.insert(caller);
        }),
    };
    let answered = match let_in {
        Ok(()) => next.run(Request::from_parts(parts, body)),
        Err(problem) => return problem,
    };
    // A platform calls again until it is told, and what goes on without it would take the one notice that it owes its customer.
    if route.method == "GET" || matches!(route.open_to, OpenTo::Platforms) {
        return answered.await;
    }
    let Ok(place) = Arc::clone(&state.changes).try_acquire_owned() else {
        return Problem::from(RequestError::TooManyChanges).into_response();
    };
    // What is changed is changed to its end, whether its client waits or not: the files that a key was in are emptied after it is gone
    // from the record.
    let change = async move {
        let _place = place;
        answered.await
    };
    match tokio::spawn(change.instrument(Span::current())).await {
        Ok(response) => response,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The process ends.
            Err(_) => Problem::from(RequestError::Stopping).into_response(),
        },
    }
}

/// The answer to a method that the address has not.
fn not_allowed(of_path: &[&Route]) -> Response {
    let methods: Vec<_> = of_path.iter().flat_map(|route| route.methods()).collect();
    let mut response = Problem::from(RequestError::Method).into_response();
    // Methods are ASCII.
    let allow = HeaderValue::from_str(&methods.join(", "));
    response
        .headers_mut()
        .extend(allow.map(|methods| (ALLOW, methods)));
    response
}

async fn caller(state: &State, request: &Parts, scope: ApiScope) -> Result<Caller, Response> {
    let refused = |error: RequestError| Problem::from(error).into_response();
    let key = shown_key(&request.headers).map_err(refused)?;
    let known = state.host.for_api_key(key).await;
    match known.map_err(|error| Problem::of(&error).into_response())? {
        None => Err(failed(state, request, RequestError::WrongKey).await),
        Some((_, client)) if !client.may(scope) => Err(refused(RequestError::Scope { scope })),
        Some((host, client)) => Ok(Caller { host, client }),
    }
}

/// The platform whose application id and key a request shows, at an address of its own.
async fn platform_caller(state: &State, request: &Parts) -> Result<PlatformCaller, Response> {
    let Some(shown) = Credentials::of(&request.headers) else {
        return Err(Problem::from(RequestError::PlatformKey).into_response());
    };
    let addressed = addressed_application(request.uri.path());
    for key in &shown.keys {
        let known = state.host.for_platform(shown.application_id, key.expose()).await;
        let known = known.map_err(|error| Problem::of(&error).into_response())?;
        if let Some((host, platform)) = known
            && addressed.is_some_and(|name| name.eq_ignore_ascii_case(&platform.name))
        {
            return Ok(PlatformCaller { host, platform });
        }
    }
    Err(failed(state, request, RequestError::PlatformKey).await)
}

/// The name of the application in an address. Names are plain, so that one with an escape in it is nobody's.
fn addressed_application(path: &str) -> Option<&str> {
    path.strip_prefix("/interworks/")?.split('/').next()
}

/// The key of a request.
fn shown_key(headers: &HeaderMap) -> Result<&str, RequestError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(RequestError::NoKey);
    };
    let value = value.to_str().map_err(|_| RequestError::NoKey)?;
    let (scheme, key) = value.split_once(' ').ok_or(RequestError::NoKey)?;
    match scheme.eq_ignore_ascii_case("Bearer") {
        true => Ok(key.trim()),
        false => Err(RequestError::NoKey),
    }
}

/// The answer to a key that opens nothing. After many from one address it is held back, and somebody is told.
async fn failed(state: &State, request: &Parts, refused: RequestError) -> Response {
    let peer = request.extensions.get::<Peer>().map(|peer| peer.0.ip());
    let Some(peer) = peer else {
        return Problem::from(refused).into_response();
    };
    match state.failed_tries.count(peer, Instant::now()) {
        Failed::AtOnce => Problem::from(refused).into_response(),
        Failed::Later { alert } => {
            if alert {
                tell(state, peer).await;
            }
            tokio::time::sleep(HELD_BACK).await;
            let mut response = Problem::from(RequestError::TooManyTries).into_response();
            if request.version < http::Version::HTTP_2 {
                response
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    }
}

async fn tell(state: &State, peer: IpAddr) {
    let problem = RecordedProblem::new(
        RequestError::TooManyTries.diagnosis().code,
        format!("many keys that open nothing were tried from {peer}"),
        "find out who asks from there: a client or a platform whose key was changed, or somebody who guesses",
    );
    tracing::warn!(%peer, "many keys that open nothing are tried from this address");
    if let Err(error) = state.host.record().raise_api_keys_tried(&problem).await {
        tracing::error!(%error, "the alert about keys can't be put on record");
    }
}

/// The problem of an e-mail that is not there.
pub(crate) fn no_mail(id: Uuid) -> Problem {
    Problem::of(&RetryMailError::NoMail { id })
}

impl Caller {
    /// The client in the acts that it makes.
    pub(crate) fn actor(&self) -> Actor {
        self.client.actor()
    }

    /// The host as the client is given it. What instance is asked for has to be one that the client is bound to.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// The instance of a name, or else of an id: a tenant's may have the name of one of the operator's. One that the client is not
    /// bound to is answered as if it were not there.
    pub(crate) async fn instance(&self, named: &str) -> Result<InstanceHandle, Problem> {
        let absent = || Problem::of(&ConfigureError::NoInstance(named.to_owned()));
        let instance = match (self.host.instance(named).await, Uuid::try_parse(named)) {
            (Err(error), Ok(id)) if error.kind() == ErrorKind::NotFound => {
                let of_id = self.host.instance_of_id(id.into()).await;
                of_id.map_err(|error| match error.kind() {
                    ErrorKind::NotFound => absent(),
                    _ => error.into(),
                })?
            }
            (found, _) => found?,
        };
        match self.client.is_bound_to(instance.id().into()) {
            true => Ok(instance),
            false => Err(absent()),
        }
    }

    /// The instances that the client may use, by name.
    pub(crate) async fn instances(&self) -> Result<Vec<Instance>, Problem> {
        let mut instances = self.host.instances().await?;
        instances.retain(|instance| self.client.is_bound_to(instance.id));
        Ok(instances)
    }

    /// Fails for a client that is bound to instances. What concerns all instances of its owner is not for it: a form, for example, is
    /// judged beside them, and names them and their certificates.
    pub(crate) fn check_unbound(&self) -> Result<(), RequestError> {
        match self.client.instances {
            None => Ok(()),
            Some(_) => Err(RequestError::Bound),
        }
    }

    /// The order of an id.
    pub(crate) async fn order(&self, id: Uuid) -> Result<OrderHandle, Problem> {
        let order = self.host.order(id.into()).await?;
        match self.client.is_bound_to(order.instance_id().into()) {
            true => Ok(order),
            false => Err(Problem::of(&PlaceError::NoOrder(id))),
        }
    }

    /// The asset of an id.
    pub(crate) async fn asset(&self, id: Uuid) -> Result<AssetHandle, Problem> {
        let asset = self.host.asset(id.into()).await?;
        match self.client.is_bound_to(asset.instance_id().into()) {
            true => Ok(asset),
            false => Err(Problem::of(&RetryError::NoAsset { id })),
        }
    }

    /// The cancellation of an id, by that of its asset.
    pub(crate) async fn cancellation(&self, id: Uuid) -> Result<bss_model::Cancellation, Problem> {
        let absent = || Problem::of(&DecideError::NoCancellation { id });
        let cancellation = self.host.record().cancellation(id).await?.ok_or_else(absent)?;
        match self.asset(cancellation.asset_id).await {
            Ok(_) => Ok(cancellation),
            Err(problem) if problem.status() == http::StatusCode::NOT_FOUND => Err(absent()),
            Err(problem) => Err(problem),
        }
    }

    /// The e-mail of an id, by the instance of its order.
    pub(crate) async fn mail(&self, id: Uuid) -> Result<bss_model::Mail, Problem> {
        let found = self.host.mail(id).await?;
        let own = found.filter(|(_, instance)| self.client.is_bound_to((*instance).into()));
        own.map(|(mail, _)| mail).ok_or_else(|| no_mail(id))
    }

    /// Whether the client is the operator's, and bound to no instance.
    pub(crate) fn is_of_the_whole_host(&self) -> bool {
        self.client.owner.is_none() && self.client.instances.is_none()
    }

    /// The instance that a query names.
    async fn named(&self, name: &str) -> Result<Uuid, Problem> {
        let instance = self.instance(name).await;
        let instance = instance.map_err(|problem| problem.in_field("instance"))?;
        Ok(instance.id().into())
    }

    /// The instance whose rows a list shows. `None`: those of all. A client that may not see all names one, unless it has only one.
    pub(crate) async fn listed(&self, name: Option<&str>) -> Result<Option<Uuid>, Problem> {
        if let Some(name) = name {
            return Ok(Some(self.named(name).await?));
        }
        let bound = match &self.client.instances {
            Some(instances) => instances.iter().copied().collect(),
            None if self.client.owner.is_none() => return Ok(None),
            None => {
                let instances = self.instances().await?;
                instances.iter().map(|instance| instance.id).collect::<Vec<_>>()
            }
        };
        match bound.as_slice() {
            [only] => Ok(Some(*only)),
            _ => Err(Problem::from(RequestError::InstanceNeeded).in_field("instance")),
        }
    }

    /// The instances that the client is told of: one that it names, or all that it is bound to. `None`: all of the host as it is
    /// given it.
    pub(crate) async fn told_of(&self, name: Option<&str>) -> Result<Option<Vec<InstanceId>>, Problem> {
        if let Some(name) = name {
            return Ok(Some(vec![InstanceId(self.named(name).await?)]));
        }
        let bound = self.client.instances.as_ref();
        Ok(bound.map(|instances| instances.iter().copied().map(InstanceId).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_one_application() {
        assert_eq!(addressed_application("/interworks/esd/Fields/Get"), Some("esd"));
        assert_eq!(addressed_application("/interworks/esd"), Some("esd"));
        assert_eq!(addressed_application("/interworks//esd/Fields/Get"), Some(""));
        assert_eq!(addressed_application("/v1/orders"), None);
    }

    #[test]
    fn a_key_is_shown_as_a_bearer_token_once() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            shown_key(&headers).map(ToOwned::to_owned).ok()
        };
        for value in ["Bearer bsk_1", "bearer bsk_1", "BEARER  bsk_1"] {
            assert_eq!(of(&[value]).as_deref(), Some("bsk_1"), "{value}");
        }
        for values in [
            &[][..],
            &["bsk_1"],
            &["Basic bsk_1"],
            &["Bearer"],
            &["Bearer ä"],
            &["Bearer a", "Bearer a"],
        ] {
            assert_eq!(of(values), None, "{values:?}");
        }
    }
}
