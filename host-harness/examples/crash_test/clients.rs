//! Clients of the server, a shop over the API and a billing platform over its contract: each repeats what it asked for until it hears
//! what came of it, whatever is killed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bss_model::Secret;
use data_encoding::BASE64;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// The name of the platform, and with it the address of its contract.
pub(crate) const PLATFORM: &str = "bss";

/// How many clients ask at once.
const AT_ONCE: usize = 48;

/// How long an answer is waited for: longer than the server waits for an outcome.
const ANSWER_MAX: Duration = Duration::from_secs(40);

/// How long a client waits that leaves before its first answer can be there, as one does that is killed itself.
const IMPATIENCE: Duration = Duration::from_millis(100);

/// How long a client asks before it is given up: longer than any pause between two attempts at a purchase.
const HEARD_WITHIN: Duration = Duration::from_secs(11 * 60);

/// The pause before a client asks again.
const PAUSE: Duration = Duration::from_millis(100);

/// Codes of the contract.
const DONE: i64 = 0;
const WITHDRAWN: i64 = -44;
const NOT_KNOWN_YET: i64 = -202;

/// What a client was told at last of its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The customer, who orders this once.
    pub(crate) customer: String,
    /// The product.
    pub(crate) product: String,
    /// The one asset of the order.
    pub(crate) asset_id: Uuid,
    /// The product key. `None`: the order was withdrawn.
    pub(crate) product_key: Option<Secret>,
    /// Whether the client had the license returned.
    pub(crate) is_returned: bool,
}

/// What all clients have heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answers {
    /// What each client was told.
    pub(crate) heard: Vec<Heard>,
    /// Clients that were told nothing to the end.
    pub(crate) unheard: usize,
    /// Clients that were told several things of one order.
    pub(crate) ambiguous: usize,
}

/// A product at an instance, which a client orders.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) instance: &'static str,
    pub(crate) product: String,
}

/// The keys by which clients are let in.
pub(crate) struct Keys {
    /// The key of the shop.
    pub(crate) api_key: Secret,
    /// The application id of the platform.
    pub(crate) application_id: Uuid,
    /// The key of the platform.
    pub(crate) platform_key: Secret,
}

/// The server as clients know it.
struct Door {
    address: SocketAddr,
    keys: Keys,
    at_once: Semaphore,
}

/// What became of a client.
enum End {
    Heard(Heard),
    Unheard,
    Ambiguous,
}

/// The clients that ask.
pub(crate) struct Clients {
    door: Arc<Door>,
    asking: JoinSet<Result<End>>,
}

impl Clients {
    pub(crate) fn new(address: SocketAddr, keys: Keys) -> Self {
        Self {
            door: Arc::new(Door {
                address,
                keys,
                at_once: Semaphore::new(AT_ONCE),
            }),
            asking: JoinSet::new(),
        }
    }

    /// Has a shop order a license over the API.
    pub(crate) fn order_by_api(&mut self, number: u32, wanted: Wanted) {
        let door = Arc::clone(&self.door);
        self.asking.spawn(async move { door.shop(number, &wanted).await });
    }

    /// Has a platform order a license over its contract, and return every fifth.
    pub(crate) fn order_by_contract(&mut self, number: u32, wanted: Wanted) {
        let door = Arc::clone(&self.door);
        self.asking
            .spawn(async move { door.platform(number, &wanted, number.is_multiple_of(5)).await });
    }

    /// Waits until every client has heard what came of its order, or is given up.
    ///
    /// # Errors
    /// When a client is refused what it asks for.
    pub(crate) async fn answers(mut self) -> Result<Answers> {
        let mut answers = Answers::default();
        while let Some(end) = self.asking.join_next().await {
            match end.context("a client has ended by itself")?? {
                End::Heard(heard) => answers.heard.push(heard),
                End::Unheard => answers.unheard += 1,
                End::Ambiguous => answers.ambiguous += 1,
            }
        }
        Ok(answers)
    }
}

impl Door {
    /// Orders over the API until the license is known, and asks for its key.
    async fn shop(&self, number: u32, wanted: &Wanted) -> Result<End> {
        let _turn = self.at_once.acquire().await?;
        let begin = Instant::now();
        let body = json!({
            "instance": wanted.instance,
            "customer": { "id": customer(number), "name": format!("Kunde {number} GmbH"), "country": "DE" },
            "contact": { "email": format!("kunde-{number}@example.com"), "language": "de-DE" },
            "lines": [{ "productCode": wanted.product, "quantity": 1 }],
        });
        let order = |patience| {
            let headers = [
                ("idempotency-key", number.to_string()),
                ("prefer", "wait=20".to_owned()),
            ];
            self.ask(
                patience,
                self.of_shop(Method::POST, "/v1/orders", &headers, Some(&body)),
            )
        };
        if number.is_multiple_of(3) {
            // The client dies while it waits, and a new one knows nothing but the key.
            self.listening(begin).await;
            let _ = order(IMPATIENCE).await;
        }
        let heard = |asset_id, product_key| {
            End::Heard(Heard {
                customer: customer(number),
                product: wanted.product.clone(),
                asset_id,
                product_key,
                is_returned: false,
            })
        };
        let mut known: Option<Value> = None;
        let (asset_id, state) = loop {
            if begin.elapsed() > HEARD_WITHIN {
                return Ok(End::Unheard);
            }
            let Some((status, answer)) = order(ANSWER_MAX).await? else {
                sleep(PAUSE).await;
                continue;
            };
            // An instance that is disabled takes no new orders, until it is enabled.
            if !status.is_success() && answer["code"] == "instance-disabled" {
                sleep(PAUSE).await;
                continue;
            }
            ensure!(
                status.is_success(),
                "an order is answered with {status}: {answer}"
            );
            if known.as_ref().is_some_and(|known| *known != answer["id"]) {
                return Ok(End::Ambiguous);
            }
            known = Some(answer["id"].clone());
            let Some([asset]) = answer["assets"].as_array().map(Vec::as_slice) else {
                // The order is placed, and can't be read at that moment.
                sleep(PAUSE).await;
                continue;
            };
            match asset["state"].as_str().context("an asset without a state")? {
                "open" => {}
                state => break (id(&asset["id"])?, state.to_owned()),
            }
        };
        if state == "withdrawn" {
            return Ok(heard(asset_id, None));
        }
        ensure!(
            ["licensed", "returned", "cancelled"].contains(&state.as_str()),
            "an order that can be bought is {state}"
        );
        let path = format!("/v1/assets/{asset_id}/key");
        loop {
            if begin.elapsed() > HEARD_WITHIN {
                return Ok(End::Unheard);
            }
            if let Some((status, answer)) = self
                .ask(ANSWER_MAX, self.of_shop(Method::GET, &path, &[], None))
                .await?
            {
                ensure!(
                    status.is_success(),
                    "a key is answered with {status}: {}",
                    answer["code"]
                );
                return Ok(heard(asset_id, Some(secret(&answer["productKey"])?)));
            }
            sleep(PAUSE).await;
        }
    }

    /// Orders over the contract until the license is known, and has it returned if it is to be.
    async fn platform(&self, number: u32, wanted: &Wanted, returns: bool) -> Result<End> {
        let _turn = self.at_once.acquire().await?;
        let begin = Instant::now();
        let mut message = json!({
            "ID": "",
            "SubscriptionID": number.to_string(),
            "Quantity": 1,
            "ProductID": wanted.product,
            "AttributeList": {},
            "CheckOnly": false,
            "Account": {
                "ID": customer(number),
                "Name": format!("Kunde {number} GmbH"),
                "IsTest": false,
                "Address": { "Country": { "Code": "DE" } },
            },
        });
        if number.is_multiple_of(3) {
            self.listening(begin).await;
            let _ = self
                .ask(IMPATIENCE, self.of_platform("Assets/Create", &message))
                .await;
        }
        let heard = |asset_id, product_key, is_returned| {
            End::Heard(Heard {
                customer: customer(number),
                product: wanted.product.clone(),
                asset_id,
                product_key,
                is_returned,
            })
        };
        let Some(created) = self.until_known("Assets/Create", &message, begin).await? else {
            return Ok(End::Unheard);
        };
        let asset_id = id(&created["Result"])?;
        if created["Code"] == WITHDRAWN {
            return Ok(heard(asset_id, None, false));
        }
        ensure!(
            created["Code"] == DONE,
            "a creation is answered with {}",
            created["Message"]
        );
        let product_key = secret(&created["CustomFieldValues"]["Token"])?;
        if returns {
            message["ID"] = json!(asset_id);
            let Some(cancelled) = self.until_known("Assets/Cancel", &message, begin).await? else {
                return Ok(End::Unheard);
            };
            let status = &cancelled["CustomFieldValues"]["ReturnStatus"];
            ensure!(
                cancelled["Code"] == DONE && status == "SUCCESSFUL",
                "a cancellation is answered with {} and {status}",
                cancelled["Message"]
            );
        }
        // What was bought is the answer to the same message again, as long as it is not returned.
        let Some(again) = self.until_known("Assets/Create", &message, begin).await? else {
            return Ok(End::Unheard);
        };
        let is_same = returns || secret(&again["CustomFieldValues"]["Token"])? == product_key;
        if !is_same || id(&again["Result"])? != asset_id {
            return Ok(End::Ambiguous);
        }
        Ok(heard(asset_id, Some(product_key), returns))
    }

    /// The answer to a call of the contract that says what came of it. `None`: there is none for long.
    async fn until_known(&self, call: &str, message: &Value, begin: Instant) -> Result<Option<Value>> {
        while begin.elapsed() <= HEARD_WITHIN {
            if let Some((status, answer)) = self.ask(ANSWER_MAX, self.of_platform(call, message)).await? {
                ensure!(status.is_success(), "{call} is answered with {status}: {answer}");
                if answer["Code"] != NOT_KNOWN_YET {
                    return Ok(Some(answer));
                }
            }
            sleep(PAUSE).await;
        }
        Ok(None)
    }

    fn of_shop(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.keys.api_key.expose()));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        with_body(request, body)
    }

    fn of_platform(&self, call: &str, message: &Value) -> Result<Request<Full<Bytes>>> {
        let key = BASE64.encode(self.keys.platform_key.expose().as_bytes());
        let request = Request::post(format!("/interworks/{PLATFORM}/{call}"))
            .header(
                "x-cloudplatform-applicationid",
                self.keys.application_id.to_string(),
            )
            .header("x-cloudplatform-apikey", key);
        with_body(request, Some(message))
    }

    /// Waits until the server listens.
    async fn listening(&self, begin: Instant) {
        while TcpStream::connect(self.address).await.is_err() && begin.elapsed() <= HEARD_WITHIN {
            sleep(PAUSE).await;
        }
    }

    /// Sends a request over a connection of its own. `None`: there is no answer, or one that says to come again.
    ///
    /// # Errors
    /// When the server answers that it has failed.
    async fn ask(
        &self,
        patience: Duration,
        request: Result<Request<Full<Bytes>>>,
    ) -> Result<Option<(StatusCode, Value)>> {
        let asked = async {
            let tcp = TcpStream::connect(self.address).await?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await?;
            let connection = tokio::spawn(connection);
            let answer = sender.send_request(request?).await?;
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes();
            connection.abort();
            if status == StatusCode::SERVICE_UNAVAILABLE {
                bail!("the server can't at this moment");
            }
            Ok((status, serde_json::from_slice(&body)?))
        };
        let answer: Option<(StatusCode, Value)> = timeout(patience, asked).await.ok().and_then(Result::ok);
        if let Some((status, answer)) = &answer {
            ensure!(
                !status.is_server_error(),
                "the server has failed with {status}: {answer}"
            );
        }
        Ok(answer)
    }
}

fn with_body(request: hyper::http::request::Builder, body: Option<&Value>) -> Result<Request<Full<Bytes>>> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = request
        .header("host", "localhost")
        .header("content-type", "application/json");
    Ok(request.body(Full::new(Bytes::from(body)))?)
}

/// The customer of an order.
pub(crate) fn customer(number: u32) -> String {
    format!("C-{number}")
}

fn id(value: &Value) -> Result<Uuid> {
    value
        .as_str()
        .and_then(|id| id.parse().ok())
        .context("an answer without the asset's id")
}

fn secret(value: &Value) -> Result<Secret> {
    Ok(Secret::new(
        value.as_str().context("an answer without a product key")?,
    ))
}
