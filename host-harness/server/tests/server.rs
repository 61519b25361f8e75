//! The server as its clients find it: real sockets, real TLS, and what is wrong with them.
#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it expected")]

use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bss_model::{Actor, AlertFilter, ApiScope};
use bss_server::{
    CertificateFiles, Limits, OpenTo, ROUTES, Served, Server, ServerError, ServerOptions, Transport,
};
use bytes::Bytes;
use host_harness::{ApiClientRequest, Host, Pulse};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Longer than anything that is waited for takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Short enough that a test can wait for it to be over.
const SHORT: Duration = Duration::from_millis(300);

const HTTP_1: &[u8] = b"http/1.1";
const HTTP_2: &[u8] = b"h2";

/// A server of a host that knows nothing yet.
struct Running {
    folder: TempDir,
    host: Host,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Result<Served, ServerError>>,
}

/// An answer, read whole.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn header(&self, name: &str) -> &str {
        let value = self
            .headers
            .get(name)
            .unwrap_or_else(|| panic!("{name} in {self:?}"));
        value.to_str().expect("ASCII")
    }

    /// The code of a problem, whose shape is checked.
    fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["type"], "about:blank");
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(
            Some(problem["title"].as_str().expect("a title")),
            self.status.canonical_reason()
        );
        assert!(
            problem["detail"].is_string() && problem["isTransient"].is_boolean(),
            "{problem}"
        );
        problem["code"].as_str().expect("a code").to_owned()
    }
}

impl Running {
    async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    async fn with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data_dir = folder.path().join("bss");
        let host = Host::builder(&data_dir).create().await.expect("a host");
        let files = CertificateFiles::for_loopback(&data_dir).expect("a certificate");
        Self::of(folder, host, Transport::Tls(files), limits, None).await
    }

    async fn of(
        folder: TempDir,
        host: Host,
        transport: Transport,
        limits: Limits,
        worker: Option<Arc<Pulse>>,
    ) -> Self {
        let options = ServerOptions {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            transport,
            limits,
            worker,
            console: false,
        };
        let server = Server::bind(&host, options).await.expect("it is bound");
        let address = server.address();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.serve(async {
            let _ = stopped.await;
        }));
        Self {
            folder,
            host,
            address,
            stop: Some(stop),
            serving,
        }
    }

    fn certificate_file(&self) -> std::path::PathBuf {
        self.folder.path().join("bss/server/certificate.pem")
    }

    fn stop(&mut self) {
        self.stop
            .take()
            .expect("it is stopped once")
            .send(())
            .expect("it serves");
    }

    async fn ended(self) -> Served {
        let ended = timeout(PATIENCE, self.serving).await.expect("it ends");
        ended.expect("no panic").expect("it served")
    }

    async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    async fn tls(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        self.tls_of(protocol, rustls::ALL_VERSIONS).await
    }

    async fn tls_of(
        &self,
        protocol: &[u8],
        versions: &[&'static SupportedProtocolVersion],
    ) -> TlsStream<TcpStream> {
        let tcp = self.tcp().await;
        let stream = connector(&self.certificate_file(), protocol, versions).connect(localhost(), tcp);
        stream.await.expect("a handshake")
    }

    /// Asks on a connection of its own.
    async fn ask(&self, protocol: &[u8], request: Request<Full<Bytes>>) -> Answer {
        ask_on(self.tls(protocol).await, protocol, request).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(HTTP_1, get(path, None)).await
    }

    async fn key(&self, name: &str, scopes: &[ApiScope]) -> String {
        let request = ApiClientRequest {
            name: name.to_owned(),
            scopes: scopes.iter().copied().collect(),
            instances: None,
        };
        let made = self
            .host
            .create_api_client(request, &Actor::operator("test"))
            .await;
        made.expect("a client").key.expose().to_owned()
    }
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
}

fn connector(
    trusted: &std::path::Path,
    protocol: &[u8],
    versions: &[&'static SupportedProtocolVersion],
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let trusted = CertificateDer::from_pem_file(trusted).expect("a certificate");
    roots.add(trusted).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn ask_on(stream: TlsStream<TcpStream>, protocol: &[u8], request: Request<Full<Bytes>>) -> Answer {
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
    let io = TokioIo::new(stream);
    let response = if protocol == HTTP_2 {
        let made = http2::handshake(TokioExecutor::new(), io).await;
        let (mut sender, connection) = made.expect("HTTP/2");
        tokio::spawn(connection);
        sender.send_request(request).await.expect("an answer")
    } else {
        let (mut sender, connection) = http1::handshake(io).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        sender.send_request(request).await.expect("an answer")
    };
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("its body").to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    }
}

fn request(method: &str, path: &str, key: Option<&str>, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).expect("a method"))
        .uri(format!("https://localhost{path}"))
        .header("host", "localhost")
        .header("content-type", "application/json");
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    request.body(Full::new(body.into())).expect("a request")
}

fn get(path: &str, key: Option<&str>) -> Request<Full<Bytes>> {
    request("GET", path, key, Bytes::new())
}

/// What a server says on a connection before it closes it.
async fn until_closed(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut said = Vec::new();
    // A reset ends it as well.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut said))
        .await
        .expect("it is closed");
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn it_speaks_both_versions_of_http_over_both_of_tls() {
    let running = Running::start().await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for protocol in [HTTP_1, HTTP_2] {
            let stream = running.tls_of(protocol, &[version]).await;
            assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
            let answer = ask_on(stream, protocol, get("/healthz", None)).await;
            assert_eq!(answer.status, StatusCode::OK);
            assert_eq!(answer.json()["status"], "alive");
            assert_eq!(answer.header("cache-control"), "no-store");
        }
    }
}

#[tokio::test]
async fn a_request_is_named_by_its_client_or_by_the_server() {
    let running = Running::start().await;
    let ask = async |id: Option<&str>| {
        let mut request = get("/healthz", None);
        if let Some(id) = id {
            request
                .headers_mut()
                .insert("x-request-id", id.parse().expect("a value"));
        }
        running
            .ask(HTTP_1, request)
            .await
            .header("x-request-id")
            .to_owned()
    };
    assert_eq!(ask(Some("basket-7:1")).await, "basket-7:1");
    for id in [None, Some("a b"), Some("\"x\"")] {
        let made = ask(id).await;
        assert!(uuid::Uuid::try_parse(&made).is_ok(), "{made}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_with_a_code() {
    let running = Running::start().await;
    let absent = running.get("/v2/orders").await;
    assert_eq!(
        (absent.status, absent.code()),
        (StatusCode::NOT_FOUND, "no-route".to_owned())
    );
    let refused = running
        .ask(HTTP_2, request("DELETE", "/v1/orders", None, Bytes::new()))
        .await;
    assert_eq!(
        (refused.status, refused.code()),
        (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed".to_owned())
    );
    let allowed: BTreeSet<&str> = refused.header("allow").split(',').map(str::trim).collect();
    assert_eq!(allowed, BTreeSet::from(["GET", "HEAD", "POST"]));
    // A HEAD would put on record that a key was shown.
    let key = running.key("shop", &[ApiScope::Read, ApiScope::Reveal]).await;
    let asset = format!("/v1/assets/{}", uuid::Uuid::nil());
    let head = async |path: String| {
        running
            .ask(HTTP_2, request("HEAD", &path, Some(&key), Bytes::new()))
            .await
    };
    let refused = head(format!("{asset}/key")).await;
    assert_eq!(
        (refused.status, refused.header("allow")),
        (StatusCode::METHOD_NOT_ALLOWED, "GET")
    );
    assert_eq!(head(asset).await.status, StatusCode::NOT_FOUND);
    assert_eq!(head("/v1/orders".to_owned()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_head_that_comes_slowly_ends_its_connection() {
    let mut limits = Limits::default();
    (limits.head, limits.handshake) = (SHORT, SHORT);
    let running = Running::with(limits).await;
    let mut silent = running.tcp().await;
    assert_eq!(until_closed(&mut silent).await, "");
    let mut slow = running.tls(HTTP_1).await;
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: lo")
        .await
        .expect("it is sent");
    let said = until_closed(&mut slow).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
    // Others are served meanwhile and afterwards.
    assert_eq!(running.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_asked_is_closed_whatever_it_speaks() {
    let mut limits = Limits::default();
    limits.idle = SHORT;
    let running = Running::with(limits).await;
    let mut idle = running.tls(HTTP_1).await;
    assert_eq!(until_closed(&mut idle).await, "");
    let mut idle = running.tls(HTTP_2).await;
    // The preface, an empty SETTINGS frame, and nothing more.
    idle.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .expect("it is sent");
    until_closed(&mut idle).await;
    // A client that answers every sign of life that it is asked for.
    let io = TokioIo::new(running.tls(HTTP_2).await);
    let made = http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), io).await;
    let (sender, connection) = made.expect("HTTP/2");
    let ended = timeout(PATIENCE, connection).await;
    ended.expect("it is closed").expect("in order");
    drop(sender);
    // Half a frame of a head, which never goes on.
    let mut stuck = running.tls(HTTP_2).await;
    stuck
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\x40\0\x01\x04\0\0\0\x01")
        .await
        .expect("it is sent");
    until_closed(&mut stuck).await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_in_both_protocols() {
    let running = Running::start().await;
    let with = |bytes: usize| {
        let mut request = get("/healthz", None);
        for number in 0..4 {
            let name = http::HeaderName::try_from(format!("x-setting-{number}")).expect("a name");
            let value = "x".repeat(bytes / 4).parse().expect("a value");
            request.headers_mut().insert(name, value);
        }
        request
    };
    for protocol in [HTTP_1, HTTP_2] {
        assert_eq!(
            running.ask(protocol, with(60 * 1024)).await.status,
            StatusCode::OK
        );
        let refused = running.ask(protocol, with(70 * 1024)).await;
        assert_eq!(refused.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        assert_eq!(refused.code(), "head-too-large");
    }
    // What is beyond all measure is not even read.
    let mut flooding = running.tls(HTTP_1).await;
    let _ = flooding
        .write_all(format!("GET /healthz HTTP/1.1\r\nX: {}", "x".repeat(4 << 20)).as_bytes())
        .await;
    let said = until_closed(&mut flooding).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 431"), "{said}");
    assert_eq!(running.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_is_too_large_too_slow_no_json_or_broken_is_refused() {
    let mut limits = Limits::default();
    limits.body = SHORT;
    let running = Running::with(limits).await;
    let key = running.key("shop", &[ApiScope::Order]).await;
    let ask = async |protocol: &[u8], body: Bytes| {
        running
            .ask(protocol, request("POST", "/v1/order-checks", Some(&key), body))
            .await
    };
    for protocol in [HTTP_1, HTTP_2] {
        let large = ask(protocol, vec![b' '; 1024 * 1024 + 1].into()).await;
        assert_eq!(
            (large.status, large.code()),
            (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large".to_owned())
        );
        let broken = ask(protocol, "{".into()).await;
        assert_eq!(
            (broken.status, broken.code()),
            (StatusCode::BAD_REQUEST, "json-malformed".to_owned())
        );
        let list = ask(protocol, "[]".into()).await;
        assert_eq!(
            (list.status, list.code()),
            (StatusCode::UNPROCESSABLE_ENTITY, "request-invalid".to_owned())
        );
        let mut typed = request("POST", "/v1/order-checks", Some(&key), "<order/>");
        typed
            .headers_mut()
            .insert("content-type", "application/xml".parse().expect("a type"));
        let typed = running.ask(protocol, typed).await;
        assert_eq!(
            (typed.status, typed.code()),
            (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content-type-unknown".to_owned()
            )
        );
    }
    let mut slow = running.tls(HTTP_1).await;
    let head = begun_check(&key, 100);
    slow.write_all(head.as_bytes()).await.expect("it is sent");
    let said = until_closed(&mut slow).await;
    assert!(
        said.starts_with("HTTP/1.1 408") && said.contains("body-too-slow"),
        "{said}"
    );
}

/// The head of a check of an order, and the first byte of its body.
fn begun_check(key: &str, length: usize) -> String {
    format!(
        "POST /v1/order-checks HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{{"
    )
}

#[tokio::test]
async fn a_request_under_way_is_answered_before_the_server_ends_and_no_new_one_is_taken() {
    let mut running = Running::start().await;
    let key = running.key("shop", &[ApiScope::Order]).await;
    let mut under_way = running.tls(HTTP_1).await;
    under_way
        .write_all(begun_check(&key, 2).as_bytes())
        .await
        .expect("it is sent");
    wait_until_under_way(&running).await;
    running.stop();
    let address = running.address;
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(PATIENCE, refused).await.expect("nobody listens any more");
    under_way.write_all(b"}").await.expect("it is sent");
    let said = until_closed(&mut under_way).await;
    assert!(
        said.starts_with("HTTP/1.1 422") && said.contains("field-missing"),
        "{said}"
    );
    assert_eq!(running.ended().await, Served::Done);
}

#[tokio::test]
async fn a_connection_without_a_request_does_not_hold_up_the_end() {
    let mut running = Running::start().await;
    let mut idle = running.tls(HTTP_2).await;
    // The preface, an empty SETTINGS frame, and nothing more: the server's GOAWAY is not answered.
    idle.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .expect("it is sent");
    let _shaking = running.tcp().await;
    assert_eq!(running.get("/healthz").await.status, StatusCode::OK);
    running.stop();
    assert_eq!(running.ended().await, Served::Done);
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_off_in_the_end() {
    let mut limits = Limits::default();
    limits.stop = SHORT;
    let mut running = Running::with(limits).await;
    let key = running.key("shop", &[ApiScope::Order]).await;
    let mut endless = running.tls(HTTP_1).await;
    endless
        .write_all(begun_check(&key, 2).as_bytes())
        .await
        .expect("it is sent");
    wait_until_under_way(&running).await;
    running.stop();
    assert_eq!(until_closed(&mut endless).await, "");
    assert_eq!(running.ended().await, Served::CutOff);
}

/// Waits until a request beside the one that asks is under way.
async fn wait_until_under_way(running: &Running) {
    let key = running.key("watcher", &[ApiScope::Administer]).await;
    let seen = async {
        loop {
            let metrics = running.ask(HTTP_1, get("/metrics", Some(&key))).await;
            let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
            if metrics.contains("\nbss_http_requests_under_way 2\n") {
                return;
            }
        }
    };
    timeout(PATIENCE, seen).await.expect("it is under way");
}

#[tokio::test]
async fn a_certificate_that_is_replaced_on_disk_is_shown_from_then_on_and_a_broken_one_is_not() {
    let running = Running::start().await;
    assert_eq!(running.get("/healthz").await.status, StatusCode::OK);
    let shown = async || {
        let stream = running.tls(HTTP_1).await;
        let shown = stream.get_ref().1.peer_certificates().expect("certificates");
        shown.first().expect("one").to_vec()
    };
    let former = shown().await;
    let other = tempfile::tempdir().expect("a folder");
    let other = CertificateFiles::for_loopback(other.path())
        .map(|files| [files.certificate, files.key].map(|file| std::fs::read(file).expect("a file")));
    let [certificate, key] = other.expect("another certificate");
    let data_dir = running.folder.path().join("bss");
    // The key first: until the certificate follows, they don't belong together, and the former one stays.
    std::fs::write(data_dir.join("server/key.pem"), key).expect("it is written");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(shown().await, former);
    let trusted = running.folder.path().join("new.pem");
    std::fs::write(&trusted, &certificate).expect("it is written");
    std::fs::write(running.certificate_file(), certificate).expect("it is written");
    let replaced = async {
        loop {
            let tcp = running.tcp().await;
            let connector = connector(&trusted, HTTP_1, rustls::ALL_VERSIONS);
            if let Ok(stream) = connector.connect(localhost(), tcp).await {
                return ask_on(stream, HTTP_1, get("/healthz", None)).await;
            }
        }
    };
    let answer = timeout(PATIENCE, replaced).await.expect("it is shown");
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn plain_http_is_spoken_on_loopback_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let host = Host::builder(folder.path().join("bss"))
        .create()
        .await
        .expect("a host");
    let options = |listen: &str| ServerOptions {
        listen: listen.parse().expect("an address"),
        transport: Transport::PlainHttp,
        limits: Limits::default(),
        worker: None,
        console: false,
    };
    for exposed in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
        let refused = Server::bind(&host, options(exposed))
            .await
            .expect_err("others could read it");
        assert!(
            matches!(refused, ServerError::PlainHttpExposed { .. }),
            "{refused}"
        );
    }
    let running = Running::of(folder, host, Transport::PlainHttp, Limits::default(), None).await;
    let mut stream = running.tcp().await;
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .expect("it is sent");
    let said = until_closed(&mut stream).await;
    assert!(
        said.starts_with("HTTP/1.1 200") && said.ends_with(r#"{"status":"ready"}"#),
        "{said}"
    );
}

#[tokio::test]
async fn it_is_ready_while_its_record_can_be_read_and_its_worker_works() {
    let running = Running::start().await;
    let ready = running.get("/readyz").await;
    assert_eq!(
        (ready.status, &ready.json()["status"]),
        (StatusCode::OK, &"ready".into())
    );
    running.host.clone().close().await;
    let unready = running.get("/readyz").await;
    assert_eq!(
        (unready.status, unready.code()),
        (StatusCode::SERVICE_UNAVAILABLE, "record-unavailable".to_owned())
    );
    assert_eq!(unready.json()["isTransient"], true);
    // What went wrong is the operator's to know.
    let expected = "`record-unavailable` is in the way; the log has the causes, with the id of this request";
    assert_eq!(unready.json()["detail"], expected);
    assert!(unready.json().get("advice").is_none());
    assert!(unready.header("retry-after").parse::<u32>().is_ok());
    // The process is there all the same.
    assert_eq!(running.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_connection_beyond_the_most_waits_until_another_has_ended() {
    let mut limits = Limits::default();
    limits.connections = 1;
    let running = Running::with(limits).await;
    let first = running.tls(HTTP_1).await;
    let second = running.tcp().await;
    let connector = connector(&running.certificate_file(), HTTP_1, rustls::ALL_VERSIONS);
    let mut handshake = Box::pin(connector.connect(localhost(), second));
    assert!(timeout(SHORT, &mut handshake).await.is_err(), "there is no place");
    drop(first);
    let stream = timeout(PATIENCE, handshake)
        .await
        .expect("it has a place")
        .expect("a handshake");
    assert_eq!(
        ask_on(stream, HTTP_1, get("/healthz", None)).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn keys_that_open_nothing_are_slowed_down_and_told_and_hold_up_no_other() {
    let running = Running::start().await;
    let key = running.key("shop", &[ApiScope::Read]).await;
    let guessed = format!("{}A", &key[..key.len() - 1]);
    let guessed = if guessed == key {
        format!("{}E", &key[..key.len() - 1])
    } else {
        guessed
    };
    let ask = async |key: &str| running.ask(HTTP_1, get("/v1/orders", Some(key))).await;
    let mut statuses = HashMap::<StatusCode, u32>::new();
    for wrong in [&guessed, "bsk_", "secret", "x"].into_iter().cycle().take(12) {
        let answer = ask(wrong).await;
        *statuses.entry(answer.status).or_default() += 1;
        match answer.status {
            StatusCode::UNAUTHORIZED => assert_eq!(answer.header("www-authenticate"), "Bearer"),
            _ => {
                assert_eq!(answer.code(), "api-keys-tried");
                assert!(answer.header("retry-after").parse::<u32>().is_ok());
            }
        }
    }
    let expected = [(StatusCode::UNAUTHORIZED, 10), (StatusCode::TOO_MANY_REQUESTS, 2)];
    assert_eq!(statuses, HashMap::from(expected));
    assert_eq!(ask(&key).await.status, StatusCode::OK);
    let alerts = running
        .host
        .alerts(&AlertFilter::default(), 10)
        .await
        .expect("alerts");
    assert_eq!(
        alerts.iter().map(|alert| alert.kind.as_str()).collect::<Vec<_>>(),
        ["api-keys-tried"]
    );
    let told = alerts[0].problem.as_ref().expect("why");
    assert!(told.message.contains("127.0.0.1"), "{told:?}");
    assert!(!told.message.contains(&guessed));
}

/// Keys that are nearly one that opens: each with one other character, or with a part of it missing or repeated.
fn nearly(key: &str, count: usize) -> Vec<String> {
    const CHARACTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let nearly = (0..).map(|n: usize| {
        let place = n % key.len();
        let character = CHARACTERS[(n / key.len()) % CHARACTERS.len()];
        match n % 100 {
            97 => key[..place].to_owned(),
            98 => key[place..].to_owned(),
            99 => format!("{key}{}", &key[place..]),
            _ => format!("{}{}{}", &key[..place], char::from(character), &key[place + 1..]),
        }
    });
    let wrong = nearly.filter(|guess| guess != key && !guess.is_empty());
    wrong.take(count).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_thousand_wrong_keys_none_opens_and_the_right_one_is_answered_meanwhile() {
    let running = Running::start().await;
    let key = running.key("shop", &[ApiScope::Read]).await;
    // As many on each of many connections as one may carry at a time, so that the answers are held back together.
    let (connections, at_once) = (20, 100);
    let mut guessing = tokio::task::JoinSet::new();
    for guesses in nearly(&key, 10_000).chunks(10_000 / connections) {
        let io = TokioIo::new(running.tls(HTTP_2).await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
        tokio::spawn(connection);
        let guesses = guesses.to_vec();
        guessing.spawn(async move {
            let mut statuses = HashMap::<StatusCode, usize>::new();
            for some in guesses.chunks(at_once) {
                let mut asked = tokio::task::JoinSet::new();
                for guess in some {
                    let (mut sender, request) = (sender.clone(), get("/v1/orders", Some(guess)));
                    asked.spawn(async move { sender.send_request(request).await });
                }
                while let Some(answer) = asked.join_next().await {
                    let status = answer.expect("no panic").expect("an answer").status();
                    *statuses.entry(status).or_default() += 1;
                }
            }
            statuses
        });
    }
    let mut statuses = HashMap::<StatusCode, usize>::new();
    let mut right = 0;
    while let Some(told) = {
        let answer = running.ask(HTTP_1, get("/v1/orders", Some(&key))).await;
        assert_eq!(answer.status, StatusCode::OK);
        right += 1;
        guessing.join_next().await
    } {
        for (status, count) in told.expect("no panic") {
            *statuses.entry(status).or_default() += count;
        }
    }
    assert!(right > 1);
    assert_eq!(statuses.values().sum::<usize>(), 10_000);
    let refused = [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS];
    assert!(
        statuses.keys().all(|status| refused.contains(status)),
        "{statuses:?}"
    );
    // Ten at once, and one more for each six seconds that it took.
    assert!(
        (10..40).contains(&statuses[&StatusCode::UNAUTHORIZED]),
        "{statuses:?}"
    );
    let alerts = running.host.alerts(&AlertFilter::default(), 10).await;
    assert_eq!(alerts.expect("alerts").len(), 1);
}

#[tokio::test]
async fn every_route_is_there_and_opens_to_its_scope_alone() {
    let running = Running::start().await;
    let mut keys = Vec::new();
    for &scope in ApiScope::ALL {
        keys.push((scope, running.key(scope.word(), &[scope]).await));
    }
    let revoked = running.key("revoked", ApiScope::ALL).await;
    running
        .host
        .revoke_api_client("revoked", &Actor::operator("test"))
        .await
        .expect("it is revoked");
    let mut tried = 0;
    for route in ROUTES {
        let path = route.path.split('/').map(|part| match part.starts_with('{') {
            true => uuid::Uuid::nil().to_string(),
            false => part.to_owned(),
        });
        let path = path.collect::<Vec<_>>().join("/");
        let ask = async |key: Option<&str>| {
            running
                .ask(HTTP_2, request(route.method, &path, key, Bytes::new()))
                .await
        };
        let without = ask(None).await;
        let needed = match route.open_to {
            OpenTo::All => {
                assert_eq!(without.status, StatusCode::OK, "{route:?}");
                continue;
            }
            OpenTo::Platforms => {
                for key in keys.iter().map(|(_, key)| Some(key.as_str())).chain([None]) {
                    let answer = ask(key).await;
                    assert_eq!(
                        (answer.status, answer.code()),
                        (StatusCode::UNAUTHORIZED, "platform-key-refused".to_owned()),
                        "{route:?}"
                    );
                    // A bearer token would not help.
                    assert!(!answer.headers.contains_key("www-authenticate"), "{route:?}");
                }
                let mut paired = request(route.method, &path, None, Bytes::new());
                for (name, value) in [
                    ("x-cloudplatform-applicationid", uuid::Uuid::nil().to_string()),
                    ("x-cloudplatform-apikey", "secret".to_owned()),
                ] {
                    let value = value.parse().expect("a value");
                    paired.headers_mut().insert(name, value);
                }
                let answer = running.ask(HTTP_2, paired).await;
                assert_eq!(answer.code(), "platform-key-refused", "{route:?}");
                assert!(!answer.headers.contains_key("www-authenticate"), "{route:?}");
                continue;
            }
            OpenTo::Clients(needed) => needed,
        };
        assert_eq!(
            (without.status, without.code()),
            (StatusCode::UNAUTHORIZED, "api-key-missing".to_owned()),
            "{route:?}"
        );
        assert_eq!(without.header("www-authenticate"), "Bearer", "{route:?}");
        for (scope, key) in &keys {
            let answer = ask(Some(key)).await;
            if *scope == needed {
                let is_refused = [
                    StatusCode::UNAUTHORIZED,
                    StatusCode::FORBIDDEN,
                    StatusCode::METHOD_NOT_ALLOWED,
                ];
                assert!(!is_refused.contains(&answer.status), "{route:?}: {answer:?}");
                assert!(
                    answer.status.is_success() || answer.code() != "no-route",
                    "{route:?}"
                );
            } else {
                assert_eq!(
                    (answer.status, answer.code()),
                    (StatusCode::FORBIDDEN, "scope-missing".to_owned()),
                    "{route:?}"
                );
                assert!(
                    answer.json()["detail"]
                        .as_str()
                        .is_some_and(|detail| detail.contains(needed.word()))
                );
            }
            tried += 1;
        }
    }
    assert!(tried > 90, "{tried}");
    let gone = running.ask(HTTP_1, get("/v1/orders", Some(&revoked))).await;
    assert_eq!(
        (gone.status, gone.code()),
        (StatusCode::UNAUTHORIZED, "api-key-refused".to_owned())
    );
    assert_eq!(gone.header("www-authenticate"), "Bearer");
}

#[tokio::test]
async fn metrics_count_requests_by_route_and_never_by_what_a_client_typed() {
    let running = Running::start().await;
    let key = running.key("watcher", &[ApiScope::Administer]).await;
    running.get("/healthz").await;
    running.get("/v1/orders/secret-of-a-customer").await;
    running.get("/typed/by/a/client").await;
    let answer = running.ask(HTTP_2, get("/metrics", Some(&key))).await;
    assert_eq!(answer.status, StatusCode::OK);
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    for line in [
        r#"bss_http_requests_total{method="GET",route="/healthz",status="200"} 1"#,
        r#"bss_http_requests_total{method="GET",route="/v1/orders/{order}",status="401"} 1"#,
        r#"bss_http_requests_total{method="GET",route="none",status="404"} 1"#,
        r#"bss_http_request_seconds_count{method="GET",route="/healthz"} 1"#,
        "bss_open_licenses 0",
        "bss_open_alerts 0",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(!text.contains("typed") && !text.contains("secret"), "{text}");
}
