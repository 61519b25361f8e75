//! Requests to the API by many clients at once, and the same to an axum handler that only answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bss_model::{ApiScope, OrderFilter, Page, Secret, SortOrder};
use bss_server::{Limits, Server, ServerOptions, Transport};
use bytes::Bytes;
use host_harness::{ApiClientRequest, WorkOptions};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use super::orders::{customer, new_lines};
use super::{BenchError, Site, actor};

/// The media type of all answers and bodies.
const JSON: &str = "application/json";

/// How long each request took, and all of them together.
#[derive(Clone, Debug)]
pub struct Load {
    /// The time from the first request to the last answer.
    pub took: Duration,
    /// The time of each request.
    pub requests: Vec<Duration>,
}

/// The server of a site's API, and a handler beside it that answers the same bytes and does nothing else, both over plain HTTP/1.1 on
/// loopback.
pub struct ApiSite {
    address: SocketAddr,
    bare: SocketAddr,
    key: Secret,
    /// The path of an order.
    path: String,
    instance: String,
    stop: Option<oneshot::Sender<()>>,
    serving: [JoinHandle<()>; 2],
}

impl Drop for ApiSite {
    fn drop(&mut self) {
        // A server that has ended already is told nothing.
        let _ = self.stop.take().map(|stop| stop.send(()));
        self.serving.iter().for_each(JoinHandle::abort);
    }
}

impl Site {
    /// The directory of the site's record.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("bss")
    }

    /// The name of the instance.
    pub fn instance_name(&self) -> &str {
        &self.instance.name
    }

    /// Serves the API for a client that may read and order. One order is there to be read.
    ///
    /// # Errors
    /// When there is no order, and when a server can't be started.
    pub async fn serve(&self) -> Result<ApiSite, BenchError> {
        let latest = Page::first(1).in_order(SortOrder::Descending);
        let orders = self.host.record().orders(&OrderFilter::default(), &latest).await;
        let orders = orders.map_err(BenchError::when("the record can't be read"))?;
        let order = orders
            .rows
            .first()
            .ok_or_else(|| BenchError::unusable("there is no order"))?;
        let request = ApiClientRequest {
            name: "bench".to_owned(),
            scopes: [ApiScope::Read, ApiScope::Order].into(),
            instances: None,
        };
        let made = self.host.create_api_client(request, &actor()).await;
        let key = made.map_err(BenchError::when("the client can't be made"))?.key;
        let server = self.server(false).await?;
        let address = server.address();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(async move {
            let told = async {
                // A sender that is gone stops the server, too.
                let _ = stopped.await;
            };
            if let Err(error) = server.serve(told).await {
                tracing::error!(%error, "the server has ended");
            }
        });
        let path = format!("/v1/orders/{}", order.id);
        let mut site = ApiSite {
            address,
            bare: address,
            key,
            path,
            instance: self.instance.name.clone(),
            stop: Some(stop),
            serving: [serving, tokio::spawn(async {})],
        };
        let answer = site.read(1, 1).await?;
        let (bare, answering) = answer_only(answer.1).await?;
        site.bare = bare;
        site.serving[1] = answering;
        Ok(site)
    }

    /// A server of the site's host on loopback, over plain HTTP, without a worker.
    pub(crate) async fn server(&self, console: bool) -> Result<Server, BenchError> {
        let options = ServerOptions {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            transport: Transport::PlainHttp,
            limits: Limits::default(),
            worker: None,
            console,
        };
        let server = Server::bind(&self.host, options).await;
        server.map_err(BenchError::when("the server can't be started"))
    }

    /// Works on what is ordered while something else is done.
    ///
    /// # Errors
    /// What is done fails.
    pub async fn at_work<T>(
        &self,
        done: impl Future<Output = Result<T, BenchError>>,
    ) -> Result<T, BenchError> {
        let worker = self.host.start_worker(WorkOptions::default());
        let done = done.await;
        worker.stop(Duration::from_secs(30)).await;
        done
    }
}

impl ApiSite {
    /// Has so many clients read the order, each so often.
    ///
    /// # Errors
    /// When it is not answered.
    pub async fn reads(&self, clients: u32, each: u32) -> Result<Load, BenchError> {
        Ok(self.read(clients, each).await?.0)
    }

    async fn read(&self, clients: u32, each: u32) -> Result<(Load, Bytes), BenchError> {
        let request = |_| self.request(Method::GET, &self.path, "", Bytes::new());
        load(self.address, clients, each, StatusCode::OK, request).await
    }

    /// Has so many clients ask the handler that does nothing, each so often.
    ///
    /// # Errors
    /// When it is not answered.
    pub async fn bare_reads(&self, clients: u32, each: u32) -> Result<Load, BenchError> {
        let request = |_| self.request(Method::GET, &self.path, "", Bytes::new());
        let load = load(self.bare, clients, each, StatusCode::OK, request).await?;
        Ok(load.0)
    }

    /// Has so many clients place orders of one license, each so often. `series` tells their idempotency keys from those of other calls.
    ///
    /// # Errors
    /// When an order is not placed.
    pub async fn orders(&self, series: &str, clients: u32, each: u32) -> Result<Load, BenchError> {
        let lines = new_lines(1);
        let lines: Vec<_> = lines
            .iter()
            .map(|line| json!({ "productCode": line.product_code, "quantity": line.quantity }))
            .collect();
        let customer = customer();
        let body = json!({
            "instance": self.instance,
            "customer": { "id": customer.id, "name": customer.name, "country": customer.country },
            "contact": { "email": "customer@bench.test" },
            "lines": lines,
        });
        let body = Bytes::from(body.to_string());
        let request = |number| {
            let key = format!("{series}-{number}");
            self.request(Method::POST, "/v1/orders", &key, body.clone())
        };
        Ok(load(self.address, clients, each, StatusCode::CREATED, request)
            .await?
            .0)
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        idempotency_key: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, BenchError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "localhost")
            .header(AUTHORIZATION, format!("Bearer {}", self.key.expose()));
        if !idempotency_key.is_empty() {
            request = request
                .header("idempotency-key", idempotency_key)
                .header(CONTENT_TYPE, JSON);
        }
        let request = request.body(Full::new(body));
        request.map_err(BenchError::when("a request can't be made"))
    }
}

/// Has clients send requests, each over a connection of its own, the next one when the last is answered. Returns how long that took, and
/// the last answer.
async fn load(
    address: SocketAddr,
    clients: u32,
    each: u32,
    expected: StatusCode,
    request: impl Fn(u32) -> Result<Request<Full<Bytes>>, BenchError>,
) -> Result<(Load, Bytes), BenchError> {
    // The requests are made before the clock runs, and the connections are there.
    let together = Arc::new(Barrier::new(clients as usize + 1));
    let mut running = JoinSet::new();
    for number in 0..clients {
        let requests: Result<Vec<_>, _> = (0..each).map(|at| request(number * each + at)).collect();
        running.spawn(one_client(address, requests?, expected, Arc::clone(&together)));
    }
    together.wait().await;
    let begun = Instant::now();
    let (mut all, mut last) = (Vec::new(), Bytes::new());
    while let Some(ended) = running.join_next().await {
        let (times, answer) = ended.map_err(BenchError::when("a client was aborted"))??;
        all.extend(times);
        last = answer;
    }
    let load = Load {
        took: begun.elapsed(),
        requests: all,
    };
    Ok((load, last))
}

async fn one_client(
    address: SocketAddr,
    requests: Vec<Request<Full<Bytes>>>,
    expected: StatusCode,
    together: Arc<Barrier>,
) -> Result<(Vec<Duration>, Bytes), BenchError> {
    let connected = async {
        let tcp = TcpStream::connect(address)
            .await
            .map_err(BenchError::when("the server can't be reached"))?;
        tcp.set_nodelay(true)
            .map_err(BenchError::when("the connection can't be set up"))?;
        client::handshake(TokioIo::new(tcp))
            .await
            .map_err(BenchError::when("the connection can't be set up"))
    };
    let connected = connected.await;
    // Clients begin together, also with one that has no connection.
    together.wait().await;
    let (mut sender, connection) = connected?;
    let connection = tokio::spawn(connection);
    let (mut times, mut last) = (Vec::with_capacity(requests.len()), Bytes::new());
    for request in requests {
        let begun = Instant::now();
        let answer = sender
            .send_request(request)
            .await
            .map_err(BenchError::when("a request is not answered"))?;
        let status = answer.status();
        let body = answer.into_body().collect().await;
        last = body.map_err(BenchError::when("an answer breaks off"))?.to_bytes();
        times.push(begun.elapsed());
        if status != expected {
            let text = String::from_utf8_lossy(&last);
            return Err(BenchError::unusable(format!("{status}: {text:.500}")));
        }
    }
    connection.abort();
    Ok((times, last))
}

/// Starts a server with an axum handler that answers with these bytes, whatever order is asked for.
async fn answer_only(bytes: Bytes) -> Result<(SocketAddr, JoinHandle<()>), BenchError> {
    let listening = async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    let listening: std::io::Result<_> = listening.await;
    let (listener, address) = listening.map_err(BenchError::when("the server can't be started"))?;
    let answer = move || {
        let bytes = bytes.clone();
        async move { ([(CONTENT_TYPE, JSON)], Body::from(bytes)) }
    };
    let router = Router::new().route("/v1/orders/{order}", get(answer));
    let serving = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((tcp, _)) = listener.accept().await {
            // Small answers would wait without this; a connection that refuses it is measured as it is.
            let _ = tcp.set_nodelay(true);
            let service = TowerToHyperService::new(router.clone());
            connections.spawn(async move {
                // A client that has read its last answer goes away.
                let _ = server::Builder::new()
                    .serve_connection(TokioIo::new(tcp), service)
                    .await;
            });
            while connections.try_join_next().is_some() {}
        }
    });
    Ok((address, serving))
}
