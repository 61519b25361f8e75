//! The simulated CIS: checks the caller and answers its requests. The wire form is in `docs/cis-openapi.yaml`.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use rustls::ProtocolVersion;
use serde::de::DeserializeOwned;
use tokio::time::sleep;
use uuid::Uuid;

use super::access_tokens::AccessTokens;
use super::answer::{self, Answer, Outcome};
use super::applications::{Application, Applications};
use super::authority::thumbprint;
use super::catalog::PublishedCatalog;
use super::clock::Clock;
use super::connections::{ConnectionSeen, Connections, Counted, TlsVersion};
use super::faults::{Fault, Faults, Operation};
use super::ledger::{Ledger, LedgerEntry};
use super::server::{Site, allowing};
use super::tls::HTTP_2;
use errors::Refusal;
use license_return::LicenseReturn;
use purchase::{Purchase, Purchased};
use query::Query;

mod catalog_pages;
mod errors;
mod license;
mod license_return;
mod purchase;
mod query;

/// The path below which the API is.
pub(super) const BASE_PATH: &str = "/cis";

/// The header with the caller's name for a request, for traces; a UUID.
const CORRELATION_ID: &str = "ms-correlationid";

/// CIS, for one tenant.
#[derive(Clone)]
pub(super) struct Cis {
    pub(super) applications: Arc<Applications>,
    pub(super) access_tokens: Arc<AccessTokens>,
    pub(super) ledger: Ledger,
    pub(super) catalog: Arc<RwLock<Arc<PublishedCatalog>>>,
    pub(super) connections: Arc<Connections>,
    pub(super) clock: Arc<Clock>,
    pub(super) faults: Arc<Faults>,
    pub(super) answer_after: Duration,
    pub(super) forgets_purchases: bool,
}

#[derive(Clone, Copy)]
enum Route<'a> {
    Offers,
    Tokens,
    Token(&'a str),
    Return(&'a str),
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Route<'a>> {
        let path = path.strip_prefix(BASE_PATH)?;
        match path {
            "/catalog/offers" => return Some(Route::Offers),
            "/tokens" => return Some(Route::Tokens),
            _ => {}
        }
        let token = path.strip_prefix("/tokens/")?;
        match token.split_once('/') {
            None => Some(Route::Token(token)),
            Some((token, "return")) => Some(Route::Return(token)),
            Some(_) => None,
        }
    }

    /// The operation of a method on this route. `None` when the method is not one of `methods`.
    fn operation(self, method: &Method) -> Option<Operation> {
        match (self, method) {
            (Route::Offers, &Method::GET) => Some(Operation::Catalog),
            (Route::Tokens | Route::Token(_), &Method::GET) => Some(Operation::LookUp),
            (Route::Tokens, &Method::POST) => Some(Operation::Purchase),
            (Route::Return(_), &Method::POST) => Some(Operation::Return),
            _ => None,
        }
    }

    fn methods(self) -> &'static str {
        match self {
            Route::Offers | Route::Token(_) => "GET",
            Route::Tokens => "GET, POST",
            Route::Return(_) => "POST",
        }
    }
}

impl Site for Cis {
    type Connection = Arc<Counted>;

    fn connected(&self, tls: &rustls::ServerConnection) -> io::Result<Arc<Counted>> {
        let certificate = tls.peer_certificates().and_then(<[_]>::first);
        let certificate =
            certificate.ok_or_else(|| io::Error::other("the client presented no certificate"))?;
        let tls_version = match tls.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => TlsVersion::Tls12,
            _ => TlsVersion::Tls13,
        };
        Ok(self.connections.accepted(ConnectionSeen {
            client_certificate_thumbprint: thumbprint(certificate),
            tls_version,
            http2: tls.alpn_protocol() == Some(HTTP_2),
            resumed: tls.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
            requests: 0,
        }))
    }

    fn not_connected(&self, why: &io::Error) {
        self.connections.refused(why.to_string());
    }

    async fn answer(&self, request: Request<Bytes>, connection: &Arc<Counted>) -> Outcome {
        connection.count_request();
        let correlation_id = correlation_id(request.headers());
        let route = Route::of(request.uri().path());
        let operation = route.and_then(|route| Some((route, route.operation(request.method())?)));
        let Some((route, operation)) = operation else {
            return answer::whole(correlated(unrouted(route, correlation_id), correlation_id));
        };
        let fault = self.faults.next(operation);
        let repeat_continuation = fault == Some(Fault::RepeatContinuation);
        let act = async {
            let done = self
                .act(
                    &request,
                    route,
                    operation,
                    connection.thumbprint(),
                    repeat_continuation,
                )
                .await;
            correlated(
                done.unwrap_or_else(|refusal| refusal.answer(correlation_id)),
                correlation_id,
            )
        };
        let refuse = |status, code: &str, retry_after| {
            let refusal = Refusal::new(status, code, "the refusal was ordered").retry_after(retry_after);
            correlated(refusal.answer(correlation_id), correlation_id)
        };
        answer::answer(fault, act, refuse).await
    }

    fn unreadable(&self, status: StatusCode) -> Answer {
        let code = if status == StatusCode::PAYLOAD_TOO_LARGE {
            "RequestTooLarge"
        } else {
            "InvalidRequest"
        };
        let correlation_id = correlation_id(&HeaderMap::new());
        correlated(
            Refusal::new(status, code, "the body can't be read").answer(correlation_id),
            correlation_id,
        )
    }
}

impl Cis {
    async fn act(
        &self,
        request: &Request<Bytes>,
        route: Route<'_>,
        operation: Operation,
        thumbprint: &str,
        repeat_continuation: bool,
    ) -> Result<Answer, Refusal> {
        let caller = self.caller(request.headers(), thumbprint)?;
        let query = Query::read(request.uri().query())?;
        match (route, operation) {
            (Route::Offers, _) => {
                check_channel(&caller, query.required("channelId")?)?;
                let published = Arc::clone(&self.catalog.read().unwrap_or_else(PoisonError::into_inner));
                catalog_pages::page(&published, &query, request.headers(), repeat_continuation)
            }
            (Route::Tokens, Operation::Purchase) if self.answer_after.is_zero() => {
                self.buy(request, &caller).await
            }
            (Route::Tokens, Operation::Purchase) => self.buy_in_its_time(request, caller).await,
            (Route::Tokens, _) => {
                let id = query::uuid("clientTransactionId", query.required("clientTransactionId")?)?;
                let entry = self.ledger.by_client_transaction_id(&id.to_string()).await;
                found(entry.map_err(|error| Refusal::internal(&error))?, &caller)
            }
            (Route::Token(id), _) => self
                .license(id, &caller)
                .await
                .map(|entry| license::answer(StatusCode::OK, &entry)),
            (Route::Return(id), _) => {
                let asked: LicenseReturn = body(request)?;
                let asked = asked.checked()?;
                let entry = self.license(id, &caller).await?;
                asked
                    .take_back(&entry.license_token_id, &self.ledger, self.clock.now())
                    .await
            }
        }
    }

    /// The calling application: the one that the access token was granted to, if the TLS certificate is its own (in
    /// the manner of RFC 8705 section 3).
    fn caller(&self, headers: &HeaderMap, thumbprint: &str) -> Result<Application, Refusal> {
        let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = bearer.and_then(|value| value.split_once(' '));
        let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"));
        let (_, access_token) = bearer.ok_or_else(|| Refusal::unauthenticated("there is no access token"))?;
        let client_id = self.access_tokens.granted_to(access_token.trim());
        let client_id = client_id
            .ok_or_else(|| Refusal::unauthenticated("the access token is unknown or has expired"))?;
        let certificate = self
            .applications
            .certificate(|known| known.thumbprint == thumbprint);
        let Some(certificate) = certificate else {
            let message = format!("client certificate `{thumbprint}` is not registered with any application");
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "CertificateNotRegistered",
                message,
            ));
        };
        if certificate.client_id != client_id {
            return Err(Refusal::unauthenticated(
                "the access token was granted to another application than the client certificate's",
            ));
        }
        self.applications
            .application(client_id)
            .ok_or_else(|| Refusal::unauthenticated("the application of the access token is gone"))
    }

    /// Buys half-way through the time to the answer. A purchase that was read is carried out even if its caller hangs
    /// up.
    async fn buy_in_its_time(
        &self,
        request: &Request<Bytes>,
        caller: Application,
    ) -> Result<Answer, Refusal> {
        let half = self.answer_after / 2;
        let (cis, request) = (self.clone(), request.clone());
        let bought = tokio::spawn(async move {
            sleep(half).await;
            cis.buy(&request, &caller).await
        });
        let bought = bought.await.map_err(|error| Refusal::internal(&error))?;
        sleep(half).await;
        bought
    }

    async fn buy(&self, request: &Request<Bytes>, caller: &Application) -> Result<Answer, Refusal> {
        let asked: Purchase = body(request)?;
        let published = Arc::clone(&self.catalog.read().unwrap_or_else(PoisonError::into_inner));
        let asked = asked.checked()?;
        match asked
            .buy(
                caller,
                &published.catalog,
                &self.ledger,
                self.clock.now(),
                self.forgets_purchases,
            )
            .await?
        {
            Purchased::Now(entry) => Ok(license::answer(StatusCode::CREATED, &entry)),
            Purchased::Before(entry) => Ok(license::answer(StatusCode::OK, &entry)),
        }
    }

    async fn license(&self, license_token_id: &str, caller: &Application) -> Result<LedgerEntry, Refusal> {
        let id = query::uuid("tokenId", license_token_id)?;
        let entry = self.ledger.by_license_token_id(&id.to_string()).await;
        owned(entry.map_err(|error| Refusal::internal(&error))?, caller)
    }
}

fn found(entry: Option<LedgerEntry>, caller: &Application) -> Result<Answer, Refusal> {
    owned(entry, caller).map(|entry| license::answer(StatusCode::OK, &entry))
}

fn owned(entry: Option<LedgerEntry>, caller: &Application) -> Result<LedgerEntry, Refusal> {
    entry
        .filter(|entry| purchase::is_owned_by(entry, caller.client_id))
        .ok_or_else(Refusal::no_such_license)
}

fn check_channel(caller: &Application, channel_id: &str) -> Result<(), Refusal> {
    if caller.channel_id == channel_id {
        return Ok(());
    }
    let message = format!("the application has no access to channel `{channel_id}`");
    Err(Refusal::new(StatusCode::FORBIDDEN, "ChannelNotAuthorized", message).about("channelId"))
}

fn body<T: DeserializeOwned>(request: &Request<Bytes>) -> Result<T, Refusal> {
    let content_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let message = "the body must be `application/json`";
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            message,
        ));
    }
    serde_json::from_slice(request.body()).map_err(|error| Refusal::invalid("body", error.to_string()))
}

fn unrouted(route: Option<Route<'_>>, correlation_id: Uuid) -> Answer {
    match route {
        Some(route) => {
            let message = format!("the methods here are {}", route.methods());
            let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message);
            allowing(refusal.answer(correlation_id), route.methods())
        }
        None => Refusal::new(
            StatusCode::NOT_FOUND,
            "ResourceNotFound",
            "there is nothing at this address",
        )
        .answer(correlation_id),
    }
}

/// The caller's correlation id, or a new one.
fn correlation_id(headers: &HeaderMap) -> Uuid {
    let given = headers.get(CORRELATION_ID).and_then(|value| value.to_str().ok());
    given
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| super::random::uuid().unwrap_or_default())
}

fn correlated(mut answer: Answer, correlation_id: Uuid) -> Answer {
    if let Ok(value) = HeaderValue::from_str(&correlation_id.to_string()) {
        answer.headers_mut().insert(CORRELATION_ID, value);
    }
    answer
}
