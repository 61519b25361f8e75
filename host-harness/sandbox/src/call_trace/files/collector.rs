//! The spans of calls for an OpenTelemetry collector: OTLP over HTTP, in JSON
//! (opentelemetry.io/docs/specs/otlp, sections "OTLP/HTTP" and "JSON Protobuf Encoding").
//!
//! Written here because it is one small document in one direction: OpenTelemetry's own libraries bring ten crates, and
//! their code generator has wasmtime compiled another time. Spans are sent in batches by a thread of their own; a
//! collector that is slow or not there costs no call anything.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use bss_model::{Diagnose, Diagnosis, ErrorKind};
use bytes::Bytes;
use data_encoding::BASE64;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, InvalidHeaderValue};
use http::{HeaderValue, Request, Uri};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::span::Span;
use crate::call_trace::names::TARGET;
use crate::outbound_https::Authority;
use crate::system_roots::system_roots;

/// The path below a collector's address at which it takes traces.
const PATH: &str = "/v1/traces";

/// How long spans are gathered for a batch: a watcher sees what the program did seconds ago.
const GATHER: Duration = Duration::from_secs(2);

/// Spans of one batch, the number that OpenTelemetry's specification has as its default; some 300 KB.
const BATCH: usize = 512;

/// Spans that may wait, by that specification's default too. Further ones are dropped, so that no call waits.
const WAITING: usize = 2_048;

/// How long a batch may take to send, by OpenTelemetry's default too.
const SEND: Duration = Duration::from_secs(10);

/// How long the end of a program waits for the last batch: no longer, because the collector may be gone.
const FLUSH: Duration = Duration::from_secs(3);

/// Why spans can't be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectorError {
    /// The collector's address is invalid.
    #[error("the given text is not the address of a trace collector")]
    Endpoint,
    /// TLS can't be set up.
    #[error("TLS for the connection to the trace collector can't be set up")]
    Tls(#[from] rustls::Error),
}

impl Diagnose for CollectorError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Endpoint => Diagnosis::new(ErrorKind::Invalid, "invalid-collector")
                .say("use an address such as `http://localhost:4318`, without a query; what is special in a password is percent-encoded"),
            Self::Tls(_) => Diagnosis::new(ErrorKind::Unavailable, "collector-tls"),
        }
    }
}

enum Order {
    Span(Value),
    /// Answers when everything before it is sent or given up.
    Flush(SyncSender<()>),
}

/// An OpenTelemetry collector. Cloning shares it.
#[derive(Clone)]
pub struct Collector(SyncSender<Order>);

impl fmt::Debug for Collector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Collector")
    }
}

impl Collector {
    /// The collector at an address such as `http://localhost:4318`.
    ///
    /// # Errors
    /// When the address is invalid, or TLS can't be set up.
    pub fn new(endpoint: &str) -> Result<Self, CollectorError> {
        let (endpoint, login) = split_login(endpoint).ok_or(CollectorError::Endpoint)?;
        let authorization = login.map(authorization).transpose();
        let authorization = authorization.map_err(|_| CollectorError::Endpoint)?;
        let target = format!("{}{PATH}", endpoint.trim_end_matches('/'));
        let uri: Uri = target.parse().map_err(|_| CollectorError::Endpoint)?;
        let tls = match (uri.scheme_str(), uri.host()) {
            (Some("http"), Some(_)) => None,
            (Some("https"), Some(_)) => Some(tls()?),
            _ => return Err(CollectorError::Endpoint),
        };
        let (orders, received) = sync_channel(WAITING);
        let sender = Sender {
            uri,
            authorization,
            tls,
            has_failed: false,
        };
        std::thread::spawn(move || sender.run(&received));
        Ok(Self(orders))
    }

    /// Queues a span to be sent soon, or drops it when too many wait.
    pub(super) fn export(&self, span: &Span, took_us: u64) {
        let _ = self.0.try_send(Order::Span(span_json(span, took_us)));
    }

    /// Waits until the exported spans are sent, but not for long.
    pub(super) fn flush(&self) {
        let (sent, wait) = sync_channel(1);
        if self.0.try_send(Order::Flush(sent)).is_ok() {
            let _ = wait.recv_timeout(FLUSH);
        }
    }
}

/// Takes the user and the password out of an address, so that neither is logged; the second is `None` where the address has
/// none. `None`: the text is no address, or has a query or an `@` in its path, which may be a part of a password.
fn split_login(endpoint: &str) -> Option<(String, Option<&str>)> {
    let (scheme, rest) = endpoint.split_once("://")?;
    let (authority, path) = match rest.find('/') {
        Some(end) => rest.split_at_checked(end)?,
        None => (rest, ""),
    };
    let (login, server) = match authority.rsplit_once('@') {
        Some((login, server)) => (Some(login), server),
        None => (None, authority),
    };
    let is_whole = server.parse::<Authority>().is_ok() && !path.contains(['@', '?', '#']);
    is_whole.then(|| (format!("{scheme}://{server}{path}"), login))
}

/// The header field for a user and a password (RFC 7617).
fn authorization(login: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let login: Cow<'_, [u8]> = percent_encoding::percent_decode_str(login).into();
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64.encode(&login)))?;
    value.set_sensitive(true);
    Ok(value)
}

fn tls() -> Result<TlsConnector, rustls::Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(system_roots())
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A span as OTLP has it. The trace is the call, under the call's id.
fn span_json(span: &Span, took_us: u64) -> Value {
    let nanos = |us: u64| us.saturating_mul(1_000).to_string();
    let mut value = json!({
        "traceId": span.call.replace('-', ""),
        "spanId": format!("{:016x}", span.number),
        "name": span.name,
        // 3 is a client's span, 1 an internal one.
        "kind": if span.name == "exchange" { 3 } else { 1 },
        "startTimeUnixNano": nanos(span.begun_us),
        "endTimeUnixNano": nanos(span.begun_us.saturating_add(took_us)),
        "attributes": span.fields.iter().map(|(name, value)| attribute(name, value)).collect::<Value>(),
    });
    if let Some(parent) = span.parent {
        value["parentSpanId"] = format!("{parent:016x}").into();
    }
    if let Some(error) = span.fields.get("error").or(span.fields.get("problem")) {
        value["status"] = json!({ "code": 2, "message": error });
    }
    value
}

fn attribute(name: &str, value: &Value) -> Value {
    let value = match value {
        Value::Bool(value) => json!({ "boolValue": value }),
        // 64-bit integers are text in JSON.
        Value::Number(value) => json!({ "intValue": value.to_string() }),
        Value::String(value) => json!({ "stringValue": value }),
        other => json!({ "stringValue": other.to_string() }),
    };
    json!({ "key": name, "value": value })
}

struct Sender {
    uri: Uri,
    /// The user and the password, as a header field. Its `Debug` shows nothing.
    authorization: Option<HeaderValue>,
    tls: Option<TlsConnector>,
    has_failed: bool,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Sender {
    fn run(mut self, orders: &Receiver<Order>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        while let Ok(first) = orders.recv() {
            let (spans, flushed) = batch(first, orders);
            if !spans.is_empty() {
                let sent = runtime.block_on(async {
                    tokio::time::timeout(SEND, self.send(spans))
                        .await
                        .map_err(Failure::from)
                        .flatten()
                });
                self.tell(sent);
            }
            if let Some(sent) = flushed {
                let _ = sent.send(());
            }
        }
    }

    /// Logs once that spans don't arrive, and again only after some did.
    fn tell(&mut self, sent: Result<(), Failure>) {
        match sent {
            Ok(()) => self.has_failed = false,
            Err(error) if !std::mem::replace(&mut self.has_failed, true) => {
                tracing::warn!(%error, collector = %self.uri, "traces can't be sent to the collector; calls are not affected");
            }
            Err(_) => {}
        }
    }

    /// Sends a batch, on a connection of its own: there is one every few seconds.
    async fn send(&self, spans: Vec<Value>) -> Result<(), Failure> {
        let host = self
            .uri
            .host()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_owned();
        let port = self
            .uri
            .port_u16()
            .unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        match &self.tls {
            None => self.exchange(stream, spans).await,
            Some(tls) => {
                let stream = tls.connect(ServerName::try_from(host)?, stream).await?;
                self.exchange(stream, spans).await
            }
        }
    }

    async fn exchange<S>(&self, stream: S, spans: Vec<Value>) -> Result<(), Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let body = Bytes::from(
            json!({ "resourceSpans": [{
                "resource": { "attributes": [
                    attribute("service.name", &"bss-host".into()),
                    attribute("service.version", &env!("CARGO_PKG_VERSION").into()),
                ] },
                "scopeSpans": [{ "scope": { "name": TARGET }, "spans": spans }],
            }] })
            .to_string(),
        );
        let mut request = Request::post(self.uri.path_and_query().map_or(PATH, |path| path.as_str()))
            .header(
                HOST,
                self.uri.authority().map_or("", |authority| authority.as_str()),
            )
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_LENGTH, body.len());
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Full::new(body))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driven = tokio::spawn(connection);
        let answer = sender.send_request(request).await;
        driven.abort();
        match answer?.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("the collector answered {status}").into()),
        }
    }
}

/// The spans that arrive within the time to gather, and the sender to tell when they are sent, if a flush ended the
/// batch.
fn batch(first: Order, orders: &Receiver<Order>) -> (Vec<Value>, Option<SyncSender<()>>) {
    let until = Instant::now() + GATHER;
    let mut spans = Vec::new();
    let mut next = Ok(first);
    loop {
        match next {
            Ok(Order::Span(span)) => spans.push(span),
            Ok(Order::Flush(sent)) => return (spans, Some(sent)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return (spans, None),
        }
        if spans.len() == BATCH {
            return (spans, None);
        }
        next = orders.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    #[test]
    fn a_span_is_written_as_otlp_has_it() {
        let mut fields = Map::new();
        fields.insert("status".to_owned(), 201.into());
        fields.insert("reused".to_owned(), true.into());
        fields.insert("error".to_owned(), "connection refused".into());
        let span = Span {
            call: "0190a1b2-0000-4000-8000-0000000000ff".to_owned(),
            number: 31,
            parent: Some(30),
            name: "exchange",
            begun_us: 7,
            fields,
        };
        assert_eq!(
            span_json(&span, 3),
            json!({
                "traceId": "0190a1b20000400080000000000000ff",
                "spanId": "000000000000001f",
                "parentSpanId": "000000000000001e",
                "name": "exchange",
                "kind": 3,
                "startTimeUnixNano": "7000",
                "endTimeUnixNano": "10000",
                "attributes": [
                    { "key": "error", "value": { "stringValue": "connection refused" } },
                    { "key": "reused", "value": { "boolValue": true } },
                    { "key": "status", "value": { "intValue": "201" } },
                ],
                "status": { "code": 2, "message": "connection refused" },
            })
        );
    }

    #[test]
    fn a_user_and_a_password_are_sent_as_a_header_field_and_told_to_nobody() {
        let (endpoint, login) = split_login("https://shop:p%40ss@otel.example:4318/x").unwrap();
        assert_eq!(endpoint, "https://otel.example:4318/x");
        let value = authorization(login.unwrap()).unwrap();
        assert_eq!(value, "Basic c2hvcDpwQHNz");
        assert_eq!(format!("{value:?}"), "Sensitive");
        // A password that is not encoded is taken for one all the same.
        assert_eq!(
            split_login("http://joe:p?s#s@localhost:4318"),
            Some(("http://localhost:4318".to_owned(), Some("joe:p?s#s")))
        );
        assert_eq!(
            split_login("http://localhost:4318/a"),
            Some(("http://localhost:4318/a".to_owned(), None))
        );
    }

    #[test]
    fn an_address_that_is_none_is_refused() {
        for none in [
            "",
            "localhost:4318",
            "ftp://joe:geheim@localhost",
            "http://",
            "http://localhost?key=geheim",
            "joe:geheim@localhost",
            "http://joe:geh/eim@localhost:4318",
        ] {
            let refused = Collector::new(none).unwrap_err();
            assert!(matches!(refused, CollectorError::Endpoint), "{none}");
            assert!(!format!("{refused} {refused:?}").contains("geheim"), "{refused}");
        }
        assert!(Collector::new("http://localhost:4318/").is_ok());
    }
}
