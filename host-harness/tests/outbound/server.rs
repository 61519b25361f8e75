//! A server on a real socket that does what a test says with each connection, bytes included.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub(crate) type Tls = tokio_rustls::server::TlsStream<TcpStream>;

pub(crate) const HTTP_2: &[u8] = b"h2";
pub(crate) const HTTP_1_1: &[u8] = b"http/1.1";

/// A server that stops when it is dropped.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) roots: Arc<RootCertStore>,
    accepted: Arc<AtomicUsize>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What is right or wrong with the server's certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certificate {
    Good,
    Expired,
    ForAnotherName,
    OfAnotherAuthority,
}

impl Server {
    /// A server whose connections are left to `serve`, with the number of each, beginning at 0.
    pub(crate) async fn tcp<F>(serve: impl Fn(TcpStream, usize) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start(Arc::new(RootCertStore::empty()), serve).await
    }

    /// A server that speaks TLS and offers these protocols, in this order.
    pub(crate) async fn tls<F>(
        protocols: &[&[u8]],
        serve: impl Fn(Tls, usize) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::with(Certificate::Good, protocols, serve).await
    }

    pub(crate) async fn with<F>(
        certificate: Certificate,
        protocols: &[&[u8]],
        serve: impl Fn(Tls, usize) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (config, roots) = tls_config(certificate, protocols);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let serve = Arc::new(serve);
        let serve = move |tcp, number| {
            let (acceptor, serve) = (acceptor.clone(), serve.clone());
            async move {
                if let Ok(tls) = acceptor.accept(tcp).await {
                    serve(tls, number).await;
                }
            }
        };
        Self::start(Arc::new(roots), serve).await
    }

    async fn start<F>(
        roots: Arc<RootCertStore>,
        serve: impl Fn(TcpStream, usize) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepted = Arc::new(AtomicUsize::new(0));
        let counted = accepted.clone();
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                tcp.set_nodelay(true).unwrap();
                connections.spawn(serve(tcp, counted.fetch_add(1, Ordering::AcqRel)));
            }
        });
        Self {
            port,
            roots,
            accepted,
            accepting,
        }
    }

    /// How many connections were accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Acquire)
    }
}

fn tls_config(certificate: Certificate, protocols: &[&[u8]]) -> (ServerConfig, RootCertStore) {
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let issuer = authority("An authority");
    let name = match certificate {
        Certificate::ForAnotherName => "another.test",
        _ => "localhost",
    };
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if certificate == Certificate::Expired {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    }
    let key = KeyPair::generate().unwrap();
    let issued = params.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let trusted = match certificate {
        Certificate::OfAnotherAuthority => authority("Another authority"),
        _ => issuer,
    };
    let mut roots = RootCertStore::empty();
    roots.add(trusted.der().clone()).unwrap();
    (config, roots)
}

/// Reads one HTTP/1.1 request. `None` at the end of the connection.
pub(crate) async fn read_request(tls: &mut Tls) -> Option<String> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        if tls.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}

/// Writes an answer of HTTP/1.1.
pub(crate) async fn write_answer(tls: &mut Tls, body: &str) {
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let _ = tls.write_all(answer.as_bytes()).await;
    let _ = tls.flush().await;
}

/// Answers every HTTP/1.1 request with the number of its connection, after a pause.
pub(crate) async fn answer_all_http1(mut tls: Tls, number: usize, pause: std::time::Duration) {
    while read_request(&mut tls).await.is_some() {
        tokio::time::sleep(pause).await;
        write_answer(&mut tls, &number.to_string()).await;
    }
}

/// Answers every HTTP/2 request as `answer` says, with at most so many streams at once.
pub(crate) async fn answer_all_http2<F>(
    tls: Tls,
    streams: u32,
    answer: impl Fn(http::Request<h2::RecvStream>, h2::server::SendResponse<bytes::Bytes>) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut server = h2::server::Builder::new()
        .max_concurrent_streams(streams)
        .handshake(tls)
        .await
        .unwrap();
    let mut answering = tokio::task::JoinSet::new();
    while let Some(Ok((request, respond))) = server.accept().await {
        answering.spawn(answer(request, respond));
    }
}

/// Answers one HTTP/2 request.
pub(crate) fn respond(mut respond: h2::server::SendResponse<bytes::Bytes>, body: &str) {
    let head = http::Response::new(());
    let mut sending = respond.send_response(head, false).unwrap();
    let _ = sending.send_data(bytes::Bytes::copy_from_slice(body.as_bytes()), true);
}

/// Does nothing, for as long as the test runs.
pub(crate) async fn forever<T>(_open: T) {
    std::future::pending().await
}
