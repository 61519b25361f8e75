//! A listener: TLS, HTTP and the end of connections, for the site behind it.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::ALLOW;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::answer::{Answer, AnswerBody, Outcome, whole};
use super::faults::{ConnectionFault, Faults, Listener};
use super::tcp::{Ending, EndingTcp};
use super::tls::HTTP_2;

/// How long a client may take over its TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// How long a connection may stay idle, or take to send the head of a request.
const HEAD_MAX: Duration = Duration::from_secs(120);

/// Requests at once on one HTTP/2 connection: about as many as Azure's front ends allow.
const STREAMS_MAX: u32 = 100;

/// The longest body of a request. A purchase has about 1 KiB, an assertion about 2.
const BODY_MAX: usize = 64 * 1024;

/// How long running requests may take to end after `stop`.
const STOP_MAX: Duration = Duration::from_secs(2);

/// How long to wait when the system can't accept a connection, as when it is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The site behind a listener, which answers its requests.
pub(super) trait Site: Send + Sync + 'static {
    /// The site's state for a connection.
    type Connection: Send + Sync + 'static;

    /// Called for a connection whose TLS handshake is done.
    fn connected(&self, tls: &rustls::ServerConnection) -> io::Result<Self::Connection>;

    /// Called for a connection whose TLS handshake failed.
    fn not_connected(&self, _why: &io::Error) {}

    /// Answers a request, or says how its connection or stream ends.
    fn answer(
        &self,
        request: Request<Bytes>,
        connection: &Self::Connection,
    ) -> impl Future<Output = Outcome> + Send;

    /// An answer in the site's own form to a request that can't be read.
    fn unreadable(&self, status: StatusCode) -> Answer;
}

/// A bound listener with its site and its TLS.
pub(super) struct Server<S> {
    pub(super) listener: TcpListener,
    pub(super) name: Listener,
    pub(super) tls: Arc<ServerConfig>,
    pub(super) site: Arc<S>,
    pub(super) faults: Arc<Faults>,
}

/// Binds the address, and returns the listener and its port.
pub(super) async fn bind(address: SocketAddr) -> io::Result<(TcpListener, u16)> {
    let listener = TcpListener::bind(address).await?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

/// Logs that the system could not accept a connection, and waits before the next try.
pub(super) async fn not_accepted(error: &io::Error) {
    tracing::warn!(%error, "the simulator can't accept a connection");
    sleep(ACCEPT_PAUSE).await;
}

impl<S: Site> Server<S> {
    /// Serves until `stopped` changes or its sender is gone, then lets running requests end.
    pub(super) async fn run(self, mut stopped: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stopped.changed() => break,
                Some(_) = connections.join_next() => continue,
            };
            match accepted {
                Ok((tcp, _)) => {
                    let fault = self.faults.next_connection(self.name);
                    let tls = TlsAcceptor::from(Arc::clone(&self.tls));
                    connections.spawn(connection(
                        tcp,
                        fault,
                        tls,
                        Arc::clone(&self.site),
                        stopped.clone(),
                    ));
                }
                Err(error) => {
                    not_accepted(&error).await;
                }
            }
        }
        drop(self.listener);
        let all_ended = async { while connections.join_next().await.is_some() {} };
        // Connections that don't end in time are cut off when the set is dropped.
        let _ = timeout(STOP_MAX, all_ended).await;
    }
}

async fn connection<S: Site>(
    tcp: TcpStream,
    fault: Option<ConnectionFault>,
    tls: TlsAcceptor,
    site: Arc<S>,
    mut stopped: watch::Receiver<bool>,
) {
    match fault {
        Some(ConnectionFault::CloseBeforeHandshake) => return,
        Some(ConnectionFault::Silent) => {
            let _ = stopped.changed().await;
            return;
        }
        Some(ConnectionFault::CloseAfterHandshake) | None => {}
    }
    // Answers are small and written whole: waiting for more to send would only make them late.
    let _ = tcp.set_nodelay(true);
    let ending = Ending::default();
    let handshake = timeout(HANDSHAKE_MAX, tls.accept(EndingTcp::new(tcp, ending.clone())));
    let stream = match handshake.await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake with the simulator failed");
            return site.not_connected(&error);
        }
        Err(_) => {
            return tracing::debug!("a TLS handshake with the simulator did not finish in time");
        }
    };
    if fault.is_some() {
        return;
    }
    match site.connected(stream.get_ref().1) {
        Ok(connection) => serve(stream, site, connection, ending, stopped).await,
        Err(error) => tracing::debug!(%error, "the simulator can't identify the client of a connection"),
    }
}

/// Serves HTTP on one connection, in the version that ALPN agreed on.
async fn serve<S: Site>(
    stream: tokio_rustls::server::TlsStream<EndingTcp>,
    site: Arc<S>,
    connection: S::Connection,
    ending: Ending,
    stopped: watch::Receiver<bool>,
) {
    let shared = Arc::new((site, connection, ending.clone()));
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move {
            let (site, connection, ending) = &*shared;
            let outcome = match read(request).await {
                Ok(request) => site.answer(request, connection).await,
                Err(status) => whole(site.unreadable(status)),
            };
            match outcome {
                Outcome::Answer(answer) => return Ok::<Response<AnswerBody>, h2::Error>(answer),
                // hyper resets the stream with this error, or closes a connection of HTTP/1.1.
                Outcome::Refuse => return Err(h2::Reason::REFUSED_STREAM.into()),
                Outcome::Close => ending.close(),
                Outcome::Reset => ending.reset(),
            }
            // The connection is dropped from outside while this waits.
            std::future::pending().await
        }
    });
    let http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP_2);
    let io = TokioIo::new(stream);
    if http2 {
        let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .keep_alive_interval(HEAD_MAX);
        let served = http.serve_connection(io, service);
        until_ended(served, |served| served.graceful_shutdown(), &ending, stopped).await;
    } else {
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
        let served = http.serve_connection(io, service);
        until_ended(served, |served| served.graceful_shutdown(), &ending, stopped).await;
    }
}

/// Drives a connection to its end, or to the end that was asked for.
async fn until_ended<C: Future<Output = hyper::Result<()>>>(
    connection: C,
    shut_down: impl Fn(Pin<&mut C>),
    ending: &Ending,
    mut stopped: watch::Receiver<bool>,
) {
    let mut served = pin!(connection);
    let mut stopping = false;
    loop {
        tokio::select! {
            result = served.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%error, "a connection to the simulator ended with an error");
                }
                return;
            }
            () = ending.asked_for() => return,
            _ = stopped.changed(), if !stopping => {
                stopping = true;
                shut_down(served.as_mut());
            }
        }
    }
}

async fn read(request: Request<Incoming>) -> Result<Request<Bytes>, StatusCode> {
    let (head, body) = request.into_parts();
    match Limited::new(body, BODY_MAX).collect().await {
        Ok(body) => Ok(Request::from_parts(head, body.to_bytes())),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::BAD_REQUEST),
    }
}

/// Adds the header that a 405 must have (RFC 9110 section 15.5.6).
pub(super) fn allowing(mut answer: Answer, methods: &'static str) -> Answer {
    answer
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(methods));
    answer
}
