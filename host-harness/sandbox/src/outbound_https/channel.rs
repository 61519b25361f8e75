//! Sends requests over HTTP/1.1 or HTTP/2, and says exactly what is certain about one that gets no answer.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::connector::ConnectFailure;
use super::failure::{self, Failure, Unanswered};
use super::incoming::Incoming;
use super::link::{History, Link};
use super::way::Way;
use crate::limits;

/// How many streams h2 opens before it has read the server's settings: one, so that no limit of the server's is ever
/// overstepped. The others wait a round trip, on a new connection only.
const STREAMS_UNTIL_SETTINGS: usize = 1;

/// A connection with HTTP on it.
pub(super) enum Channel {
    Http1(Http1),
    Http2(Stream),
}

/// HTTP/1.1: one exchange after the other.
pub(super) struct Http1 {
    sender: http1::SendRequest<Full<Bytes>>,
    history: History,
    _used: InUse,
}

/// HTTP/2: many exchanges at once. Cloning shares the connection.
#[derive(Clone)]
pub(super) struct Http2(Arc<Multiplexed>);

struct Multiplexed {
    sender: h2::client::SendRequest<Bytes>,
    history: History,
    streams: AtomicUsize,
    streams_max: Arc<AtomicUsize>,
    idle_since: Mutex<Instant>,
    retired: AtomicBool,
    _used: InUse,
}

/// The place of one exchange on an HTTP/2 connection.
pub(super) struct Stream(Http2);

/// Keeps a connection. When this is dropped, the connection has `limits::CLOSE` to end.
struct InUse(#[expect(dead_code, reason = "dropping it is what counts")] oneshot::Sender<Infallible>);

impl InUse {
    /// Runs a connection until it has ended.
    fn drive(connection: impl Future<Output = ()> + Send + 'static) -> Self {
        let (used, unused) = oneshot::channel::<Infallible>();
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            tokio::select! {
                () = connection.as_mut() => return,
                _ = unused => {}
            }
            let _ = timeout(limits::CLOSE, connection).await;
        });
        Self(used)
    }
}

/// Starts HTTP/1.1.
///
/// # Errors
/// When the connection was closed meanwhile.
pub(super) async fn http1(link: Link) -> Result<Http1, ConnectFailure> {
    let history = link.history();
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(limits::HEADER_BYTES)
        .handshake(TokioIo::new(link))
        .await
        .map_err(|_| failure::closed_at_once(&history))?;
    let used = InUse::drive(async move {
        let _ = connection.await;
    });
    let ready = sender.ready().await;
    ready.map_err(|_| failure::closed_at_once(&history))?;
    Ok(Http1 {
        sender,
        history,
        _used: used,
    })
}

/// Starts HTTP/2.
///
/// # Errors
/// When the connection was closed meanwhile.
pub(super) async fn http2(link: Link) -> Result<Http2, ConnectFailure> {
    let history = link.history();
    let (sender, mut connection) = h2::client::Builder::new()
        .enable_push(false)
        .initial_max_send_streams(STREAMS_UNTIL_SETTINGS)
        .initial_window_size(limits::STREAM_WINDOW)
        .initial_connection_window_size(limits::CONNECTION_WINDOW)
        // With this h2 also limits how many CONTINUATION frames a header block may have.
        .max_header_list_size(limits::HEADER_BYTES as u32)
        .handshake(link)
        .await
        .map_err(|_| failure::closed_at_once(&history))?;
    let streams_max = Arc::new(AtomicUsize::new(limits::STREAMS_PER_CONNECTION));
    let said_by_server = streams_max.clone();
    let used = InUse::drive(poll_fn(move |cx| {
        let polled = Pin::new(&mut connection).poll(cx);
        let most = connection.max_concurrent_send_streams();
        if most != STREAMS_UNTIL_SETTINGS {
            said_by_server.store(most.min(limits::STREAMS_PER_CONNECTION), Ordering::Release);
        }
        polled.map(|_| ())
    }));
    Ok(Http2(Arc::new(Multiplexed {
        sender,
        history,
        streams: AtomicUsize::new(0),
        streams_max,
        idle_since: Mutex::new(Instant::now()),
        retired: AtomicBool::new(false),
        _used: used,
    })))
}

impl Http1 {
    /// Whether a request can be sent on it now.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Waits for the end of the last exchange. `false` when the connection is closed then.
    pub(super) async fn becomes_ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }
}

impl Http2 {
    /// Whether requests can be sent: the connection is not closed, and neither the server nor this host ends it.
    pub(super) fn is_open(&self) -> bool {
        if self.0.retired.load(Ordering::Acquire) {
            return false;
        }
        let polled = self
            .0
            .sender
            .clone()
            .poll_ready(&mut Context::from_waker(Waker::noop()));
        !matches!(polled, Poll::Ready(Err(_)))
    }

    /// A place for an exchange. `None` when there are as many as this host, or the server, allows on a connection.
    /// Two calls at the same time could exceed that.
    pub(super) fn stream(&self) -> Option<Stream> {
        if self.0.streams.load(Ordering::Acquire) >= self.0.streams_max.load(Ordering::Acquire) {
            return None;
        }
        self.0.streams.fetch_add(1, Ordering::AcqRel);
        Some(Stream(self.clone()))
    }

    /// The time since which the connection is idle. `None` when it is in use.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let unused = self.0.streams.load(Ordering::Acquire) == 0;
        unused.then(|| *self.0.idle_since.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Stream {
    /// Has no further requests sent on its connection.
    pub(super) fn retire(&self) {
        self.0.0.retired.store(true, Ordering::Release);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let shared = &self.0.0;
        *shared.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        shared.streams.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Channel {
    /// The way that the connection takes.
    pub(super) fn way(&self) -> &Way {
        match self {
            Self::Http1(http1) => http1.history.way(),
            Self::Http2(stream) => stream.0.0.history.way(),
        }
    }

    /// Sends a request, and waits for the head of its answer.
    pub(super) async fn send(&mut self, request: Request<Bytes>) -> Result<Response<Incoming>, Unanswered> {
        match self {
            Self::Http1(http1) => http1.send(request).await,
            Self::Http2(stream) => stream.send(request).await,
        }
    }
}

impl Http1 {
    async fn send(&mut self, mut request: Request<Bytes>) -> Result<Response<Incoming>, Unanswered> {
        // The target goes out in origin form with `Host`, as the policy has judged it (RFC 9112, section 3.2.1).
        let uri = std::mem::take(request.uri_mut());
        let target = uri.path_and_query().cloned().map(Uri::from);
        let host = uri
            .authority()
            .map(|authority| HeaderValue::from_str(authority.as_str()));
        let (Some(target), Some(Ok(host))) = (target, host) else {
            return Err(Failure::Unsendable.into());
        };
        *request.uri_mut() = target;
        request.headers_mut().insert(HOST, host);
        match self.sender.try_send_request(request.map(Full::new)).await {
            Ok(response) => Ok(response.map(Incoming::Http1)),
            Err(mut error) => {
                let written = error.take_message().is_none();
                Err(failure::over_http1(error.error(), written, &self.history))
            }
        }
    }
}

impl Stream {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Incoming>, Unanswered> {
        let shared = &self.0.0;
        let (head, body) = request.into_parts();
        let head = Request::from_parts(head, ());
        // The exchange has a clone of its own, asked once: what h2 says later about the whole connection is never
        // taken for a word about this stream.
        let mut sender = shared.sender.clone();
        let (answer, mut upload) = sender
            .send_request(head, body.is_empty())
            .map_err(|error| failure::before_http2(&error, &shared.history))?;
        if !body.is_empty() {
            // The body has at most 1 MiB, which h2 keeps until the server makes room. If this fails, the answer says
            // why.
            let _ = upload.send_data(body, true);
        }
        match answer.await {
            Ok(response) => Ok(response.map(Incoming::Http2)),
            Err(error) => Err(failure::over_http2(&error, &shared.history)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use rcgen::{CertificateParams, KeyPair};
    use rustls::crypto::aws_lc_rs;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::server::WebPkiClientVerifier;
    use rustls::{
        AlertDescription, ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    };
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;

    use super::super::quota::{ConnectionLimits, Quota};
    use super::*;

    /// A connection over TLS 1.3 that the server has ended already: with the alert that a certificate is required, or
    /// without an alert.
    async fn ended(with_alert: bool) -> Link {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let roots = Arc::new(roots);
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
        let server = match with_alert {
            true => server.with_client_cert_verifier(verifier.build().unwrap()),
            false => server.with_no_client_auth(),
        };
        let mut server = server
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        // Without tickets nothing comes but the alert, if there is one, and the end.
        server.send_tls13_tickets = 0;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (tcp, _) = listener.accept().unwrap();
            let connection = ServerConnection::new(Arc::new(server)).unwrap();
            let mut tls = StreamOwned::new(connection, tcp);
            while tls.conn.is_handshaking() && tls.conn.complete_io(&mut tls.sock).is_ok() {}
            while tls.conn.wants_write() && tls.conn.write_tls(&mut tls.sock).is_ok() {}
            tls.sock.shutdown(std::net::Shutdown::Write).unwrap();
            let _ = tls.sock.read_to_end(&mut Vec::new());
        });
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tcp = TcpStream::connect(address).await.unwrap();
        let tls = TlsConnector::from(Arc::new(client))
            .connect("localhost".try_into().unwrap(), tcp)
            .await
            .unwrap();
        let quota = Quota::new(ConnectionLimits::default());
        let slot = quota.slot("one").await.unwrap();
        let permit = quota.permit(&slot, |_| ()).await.unwrap();
        // The alert or the end has arrived once there is something to read.
        tls.get_ref().0.readable().await.unwrap();
        let way = Way { address, proxy: None };
        Link::new(tls, way, permit)
    }

    #[tokio::test]
    async fn an_alert_about_our_certificate_that_is_read_before_anything_is_sent_is_still_the_cause() {
        let failed = http1(ended(true).await).await.err();
        assert!(
            matches!(
                failed,
                Some(ConnectFailure::CertificateRefused(
                    AlertDescription::CertificateRequired
                ))
            ),
            "{failed:?}"
        );
        let failed = http1(ended(false).await).await.err();
        assert!(matches!(failed, Some(ConnectFailure::ClosedAtOnce)), "{failed:?}");
    }
}
