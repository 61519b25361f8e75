//! A vendor that costs as little as possible: mutual TLS, HTTP, and a license that is made up.
//!
//! The simulator can't be used: it writes every license to its ledger on the disk, which takes longer than all that is
//! to be measured.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bss_model::Thumbprint;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs as crypto;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use uuid::Uuid;

use super::BenchError;
use super::certificates::ServerIdentity;

/// The longest body of a request. A purchase has about 1 KiB, an assertion about 2.
const BODY_MAX: usize = 64 * 1024;

/// The path under which an answer takes so many milliseconds, such as `/after/20/cis`.
const AFTER: &str = "/after/";

/// The ports of an upstream, on `localhost`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Ports {
    /// The license API, which asks for a client certificate.
    pub service: u16,
    /// The server of access tokens, which asks for no certificate.
    pub login: u16,
}

/// The connections and requests that the license API has seen with one client certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// TLS handshakes.
    pub connections: u64,
    /// Requests on these connections.
    pub requests: u64,
}

/// The connections and requests by the thumbprint of the client certificate that a connection was opened with.
pub type SeenByCertificate = BTreeMap<String, Seen>;

/// A running upstream; dropped, it is gone.
pub struct Upstream {
    ports: Ports,
    shared: Arc<Shared>,
    _servers: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    connections: Mutex<Vec<Arc<Connection>>>,
    closes: AtomicBool,
}

/// A TLS connection to the license API.
struct Connection {
    thumbprint: String,
    requests: AtomicU64,
}

impl Upstream {
    /// Listens on two free ports of the loopback interface.
    ///
    /// # Errors
    /// When no port is free, or the certificate can't be used.
    pub async fn start(identity: &ServerIdentity) -> Result<Self, BenchError> {
        let shared = Arc::new(Shared::default());
        let mut servers = JoinSet::new();
        let (service, service_port) = listen().await?;
        let tls = tls(identity, true)?;
        servers.spawn(serve(service, tls, Arc::clone(&shared)));
        let (login, login_port) = listen().await?;
        let tls = self::tls(identity, false)?;
        servers.spawn(serve(login, tls, Arc::clone(&shared)));
        Ok(Self {
            ports: Ports {
                service: service_port,
                login: login_port,
            },
            shared,
            _servers: servers,
        })
    }

    /// The upstream's ports.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// The connections and requests since the upstream was started.
    pub fn seen(&self) -> SeenByCertificate {
        let mut seen = SeenByCertificate::new();
        for connection in self.shared.lock().iter() {
            let of_certificate = seen.entry(connection.thumbprint.clone()).or_default();
            of_certificate.connections += 1;
            of_certificate.requests += connection.requests.load(Ordering::Relaxed);
        }
        seen
    }

    /// Sets whether connections are closed after each answer from now on.
    pub fn close_after_answers(&self, closes: bool) {
        self.shared.closes.store(closes, Ordering::Relaxed);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Connection>>> {
        // Nothing panics while the lock is held.
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connected(&self, certificate: &CertificateDer<'_>) -> Arc<Connection> {
        let connection = Arc::new(Connection {
            thumbprint: Thumbprint::of(certificate).to_string(),
            requests: AtomicU64::new(0),
        });
        self.lock().push(Arc::clone(&connection));
        connection
    }
}

async fn listen() -> Result<(TcpListener, u16), BenchError> {
    let cannot = "the upstream can't listen";
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = TcpListener::bind(any_port)
        .await
        .map_err(BenchError::when(cannot))?;
    let port = listener.local_addr().map_err(BenchError::when(cannot))?.port();
    Ok((listener, port))
}

fn tls(identity: &ServerIdentity, asks_for_certificate: bool) -> Result<TlsAcceptor, BenchError> {
    let unusable = "the upstream's certificate can't be used";
    let certificate = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes())
        .map_err(BenchError::when(unusable))?;
    let key = PrivateKeyDer::from_pem_slice(identity.private_key_pem.as_bytes())
        .map_err(BenchError::when(unusable))?;
    let provider = Arc::new(crypto::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(BenchError::when(unusable))?;
    let config = if asks_for_certificate {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(identity.authority_pem.as_bytes())
            .map_err(BenchError::when(unusable))?;
        roots.add(authority).map_err(BenchError::when(unusable))?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(BenchError::when(unusable))?;
        config.with_client_cert_verifier(verifier)
    } else {
        config.with_no_client_auth()
    };
    let mut config = config
        .with_single_cert(vec![certificate], key)
        .map_err(BenchError::when(unusable))?;
    // All that are compared speak the same protocol.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => {
                    // Answers are written whole.
                    let _ = tcp.set_nodelay(true);
                    connections.spawn(serve_connection(tls.accept(tcp), Arc::clone(&shared)));
                }
                Err(error) => return tracing::error!(%error, "the upstream stopped because it can't accept a connection"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(handshake: tokio_rustls::Accept<tokio::net::TcpStream>, shared: Arc<Shared>) {
    let stream = match handshake.await {
        Ok(stream) => stream,
        Err(error) => return tracing::warn!(%error, "a TLS handshake with the upstream failed"),
    };
    let certificates = stream.get_ref().1.peer_certificates();
    let connection = certificates
        .and_then(<[_]>::first)
        .map(|certificate| shared.connected(certificate));
    let answering = service_fn(|request: Request<Incoming>| {
        let (connection, closes) = (connection.clone(), shared.closes.load(Ordering::Relaxed));
        async move {
            let mut answer = match &connection {
                Some(connection) => license(request, connection).await,
                None => Ok(access_token()),
            }
            .unwrap_or_else(refusal);
            if closes {
                answer
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answering);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection to the upstream ended with an error");
    }
}

/// The part of a purchase that is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Purchase {
    client_transaction_id: Uuid,
}

/// Answers a purchase with a license whose product key is the thumbprint of the connection's client certificate.
async fn license(
    request: Request<Incoming>,
    connection: &Connection,
) -> Result<Response<Full<Bytes>>, StatusCode> {
    connection.requests.fetch_add(1, Ordering::Relaxed);
    if let Some(path) = request.uri().path().strip_prefix(AFTER) {
        let milliseconds = path.split('/').next().and_then(|text| text.parse().ok());
        let milliseconds = milliseconds.ok_or(StatusCode::NOT_FOUND)?;
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
    let body = Limited::new(request.into_body(), BODY_MAX).collect().await;
    let body = body.map_err(|_| StatusCode::BAD_REQUEST)?.to_bytes();
    let purchase: Purchase = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let id = purchase.client_transaction_id;
    Ok(json_answer(&json!({
        "transactionId": id,
        "clientTransactionId": id,
        "tokenId": id,
        "productKey": connection.thumbprint,
        "redemptionUrl": "https://upstream.example/redeem",
        "tokenStatus": "Activated",
        "returnStatus": "NONE",
        "purchasedAt": "2026-01-01T00:00:00Z",
        "returnableUntil": "2026-01-31T00:00:00Z",
    })))
}

fn access_token() -> Response<Full<Bytes>> {
    json_answer(&json!({ "token_type": "Bearer", "expires_in": 3_599, "access_token": "x".repeat(1_500) }))
}

fn json_answer(body: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn refusal(status: StatusCode) -> Response<Full<Bytes>> {
    let mut refusal = Response::default();
    *refusal.status_mut() = status;
    refusal
}
