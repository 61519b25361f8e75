//! Acme's API: who asks, the routes, and their JSON.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow, bail};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::books::{Books, Sold, State, letters};
use crate::faults::{Fault, Faults, Route};

/// The path in front of every route.
pub(crate) const BASE: &str = "/v1";
/// The items of a catalog page: few, so that even a short catalog has several.
const PAGE_ITEMS: usize = 3;
/// The longest body of a request.
const BODY_MAX: usize = 64 * 1024;
/// How long a license can be returned: 30 days.
const RETURNABLE_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// A request as it was received. It holds an API key, so it has no `Debug`.
#[derive(Clone)]
pub struct Received {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// What stood in `authorization` after `Bearer `. `None`: there was no such header.
    pub api_key: Option<String>,
    /// All headers whose values are text, by their names in lower case.
    pub headers: Vec<(String, String)>,
}

/// What the server's connections and its owner share.
pub(crate) struct Site {
    pub(crate) books: Mutex<Books>,
    pub(crate) faults: Faults,
    pub(crate) received: Mutex<Vec<Received>>,
    pub(crate) catalog: Mutex<Vec<Value>>,
    pub(crate) idempotent: bool,
    /// How long purchases and returns take; they are carried out half-way through.
    pub(crate) answer_after: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Purchase {
    client_id: String,
    sku: String,
    quantity: u32,
}

/// Locks what a panicking test may have held.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Site {
    /// Answers a request. An error closes the connection without an answer.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, BODY_MAX).collect().await;
        let body = body.map_err(|error| anyhow!(error))?.to_bytes();
        let received = received(&head);
        let api_key = received.api_key.clone().unwrap_or_default();
        lock(&self.received).push(received);
        let Some(route) = route(&head) else {
            return Ok(Response::builder().status(404).body("<html>".into())?);
        };
        let fault = self.faults.next(route);
        let mut answer = match fault {
            Some(Fault::LoseRequest) => bail!("the request is lost"),
            Some(Fault::Html(status)) => {
                return Ok(Response::builder().status(status).body("<html>".into())?);
            }
            Some(Fault::Status(status, retry_after_s)) => {
                let answer = error(status, "busy", "Acme is busy.");
                match retry_after_s {
                    Some(seconds) => with(answer, "retry-after", &seconds.to_string())?,
                    None => answer,
                }
            }
            Some(Fault::EchoApiKey) => {
                let sent = format!("Bearer {api_key}");
                with(
                    error(422, "echo", &format!("You sent {sent}")),
                    "x-request-id",
                    &sent,
                )?
            }
            _ => {
                let half = match route {
                    Route::Purchase | Route::Return => self.answer_after / 2,
                    Route::Catalog | Route::LookUp => Duration::ZERO,
                };
                tokio::time::sleep(half).await;
                let answer = self.carry_out(route, &head, &body, &api_key, fault)?;
                tokio::time::sleep(half).await;
                answer
            }
        };
        match fault {
            Some(Fault::LoseAnswer) => bail!("the answer is lost"),
            Some(Fault::GarbleAnswer) => *answer.body_mut() = json!("no license"),
            _ => {}
        }
        if !answer.headers().contains_key("x-request-id") {
            answer = with(answer, "x-request-id", &format!("req-{}", letters(12)?))?;
        }
        Ok(answer.map(|body| body.to_string().into()))
    }

    fn carry_out(
        &self,
        route: Route,
        head: &Parts,
        body: &[u8],
        api_key: &str,
        fault: Option<Fault>,
    ) -> Result<Response<Value>> {
        let mut books = lock(&self.books);
        let Some((owner, _)) = books.keys.iter().find(|(_, key)| key == api_key) else {
            return Ok(error(401, "api-key-refused", "The API key is not known."));
        };
        let account = owner.clone();
        if head.headers.get("x-acme-account").map(HeaderValue::as_bytes) != Some(account.as_bytes()) {
            return Ok(error(403, "account-refused", "The API key is another account's."));
        }
        let query = head.uri.query().unwrap_or_default();
        let id = head.uri.path().rsplit('/').next();
        let client_id = query.strip_prefix("clientId=");
        let is_meant = |sold: &Sold| {
            let is_named = Some(&*sold.license_id) == id || Some(&*sold.client_id) == client_id;
            is_named && sold.account == account
        };
        match (route, books.sold.iter_mut().find(|sold| is_meant(sold))) {
            (Route::Catalog, _) => self.catalog_page(head, query.strip_prefix("cursor=")),
            (Route::Purchase, _) => self.sell(&mut books, account, body, fault),
            (_, None) => Ok(error(404, "license-not-found", "There is no such license.")),
            (Route::LookUp, Some(sold)) => {
                let answer = license(200, sold);
                if matches!(sold.state, State::Pending | State::Doomed) {
                    sold.pending_look_ups = sold.pending_look_ups.saturating_sub(1);
                    sold.state = match (sold.state, sold.pending_look_ups) {
                        (State::Pending, 0) => State::Unused,
                        (State::Doomed, 0) => State::Declined,
                        (pending, _) => pending,
                    };
                    books.save()?;
                }
                answer
            }
            (Route::Return, Some(sold)) => {
                sold.state = State::Returned;
                let answer = license(200, sold);
                books.save()?;
                answer
            }
        }
    }

    fn sell(
        &self,
        books: &mut Books,
        account: String,
        body: &[u8],
        fault: Option<Fault>,
    ) -> Result<Response<Value>> {
        let Ok(Purchase {
            client_id,
            sku,
            quantity,
        }) = serde_json::from_slice(body)
        else {
            return Ok(error(400, "order-unreadable", "The order can't be read."));
        };
        let catalog = lock(&self.catalog);
        let Some(item) = catalog.iter().find(|item| item["sku"] == sku.as_str()) else {
            return Ok(error(422, "sku-unknown", "Acme does not sell this."));
        };
        // A key is for one user; a team license, for no more seats than the catalog says.
        let most = if item["kind"] == "team" {
            item["maxQuantity"].as_u64()
        } else {
            Some(1)
        };
        if quantity == 0 || most.is_some_and(|most| u64::from(quantity) > most) {
            return Ok(error(
                422,
                "quantity-refused",
                "Acme does not sell so many on one license.",
            ));
        }
        let is_same = |sold: &&Sold| sold.client_id == client_id && sold.account == account;
        let before: Vec<_> = books.sold.iter().filter(is_same).collect();
        if let (true, Some(sold)) = (self.idempotent, before.first()) {
            return license(201, sold);
        }
        let (state, pending_look_ups) = match fault {
            Some(Fault::Pending(look_ups)) => (State::Pending, look_ups),
            Some(Fault::Decline(look_ups)) => (State::Doomed, look_ups),
            _ => (State::Unused, 0),
        };
        let product_key: Result<Vec<_>> = (0..5).map(|_| letters(5)).collect();
        let sold = Sold {
            times_bought: u32::try_from(before.len())? + 1,
            license_id: format!("LIC-{}", books.sold.len() + 1),
            product_key: product_key?.join("-"),
            state,
            bought_at_ms: u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?,
            client_id,
            account,
            sku,
            quantity,
            pending_look_ups,
        };
        let answer = license(201, &sold);
        books.sold.push(sold);
        books.save()?;
        answer
    }

    fn catalog_page(&self, head: &Parts, cursor: Option<&str>) -> Result<Response<Value>> {
        let catalog = lock(&self.catalog);
        let mut hasher = DefaultHasher::new();
        json!(*catalog).to_string().hash(&mut hasher);
        let entity_tag = format!("\"{:016x}\"", hasher.finish());
        if head.headers.get("if-none-match").map(HeaderValue::as_bytes) == Some(entity_tag.as_bytes()) {
            return Ok(answer(304, Value::Null));
        }
        let from: usize = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let items: Vec<_> = catalog.iter().skip(from).take(PAGE_ITEMS).collect();
        let next = from.saturating_add(PAGE_ITEMS);
        let next = (next < catalog.len()).then(|| next.to_string());
        with(
            answer(200, json!({"products": items, "next": next})),
            "etag",
            &entity_tag,
        )
    }
}

fn license(status: u16, sold: &Sold) -> Result<Response<Value>> {
    match sold.state {
        State::Pending | State::Doomed => {
            let body = json!({"clientId": sold.client_id, "state": State::Pending});
            return with(answer(202, body), "retry-after", "1");
        }
        State::Declined => return Ok(error(410, "order-declined", "Acme has declined the order.")),
        State::Unused | State::Returned => {}
    }
    let body = json!({
        "id": sold.license_id,
        "orderId": sold.license_id.replace("LIC", "ORD"),
        "clientId": sold.client_id,
        "sku": sold.sku,
        "quantity": sold.quantity,
        "state": sold.state,
        "productKey": sold.product_key,
        "boughtAtMs": sold.bought_at_ms,
        "returnableUntilMs": sold.bought_at_ms + RETURNABLE_MS,
    });
    Ok(answer(status, body))
}

fn answer(status: u16, body: Value) -> Response<Value> {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer
}

/// An error in Acme's own form.
fn error(status: u16, code: &str, message: &str) -> Response<Value> {
    answer(status, json!({"error": code, "message": message}))
}

fn with(mut answer: Response<Value>, name: &'static str, value: &str) -> Result<Response<Value>> {
    answer.headers_mut().insert(name, HeaderValue::from_str(value)?);
    Ok(answer)
}

fn route(head: &Parts) -> Option<Route> {
    match (head.method.as_str(), head.uri.path().strip_prefix(BASE)?) {
        ("GET", "/products") => Some(Route::Catalog),
        ("POST", "/licenses") => Some(Route::Purchase),
        ("GET", path) if path == "/licenses" || path.starts_with("/licenses/") => Some(Route::LookUp),
        ("DELETE", path) if path.starts_with("/licenses/") => Some(Route::Return),
        _ => None,
    }
}

fn received(head: &Parts) -> Received {
    let headers = head.headers.iter();
    let headers =
        headers.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let authorization = head
        .headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    let api_key = authorization.and_then(|value| value.strip_prefix("Bearer "));
    Received {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        api_key: api_key.map(str::to_owned),
        headers: headers.collect(),
    }
}
