//! The listener: connections, TLS, HTTP/1.1 and HTTP/2, each within its limits, until it is stopped.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower_service::Service as _;

use crate::certificate::ShownCertificate;
use crate::limits::Limits;

const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// Requests at once on one HTTP/2 connection, as browsers and proxies expect to have.
const STREAMS_MAX: u32 = 100;

/// The time between two signs of life that an HTTP/2 client is asked for, and for its answer.
const PING: Duration = Duration::from_secs(20);

/// How long a connection without a request is kept once the server stops: a client may not answer that it is to end.
const STOPPED_IDLE: Duration = Duration::from_secs(2);

/// How long to wait when the system can't accept a connection, as when it is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How much more of a head is read than is taken, so that the client is told in the same words as of everything else.
const HEAD_MARGIN: usize = 32 * 1024;

/// The address of the client at the other end of a request's connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// A bound listener.
pub(crate) struct Listener {
    pub(crate) tcp: TcpListener,
    /// `None`: plain HTTP.
    pub(crate) certificate: Option<Arc<ShownCertificate>>,
    pub(crate) limits: Limits,
}

/// All that a connection needs.
#[derive(Clone)]
struct Connecting {
    tls: Option<(TlsAcceptor, Arc<ShownCertificate>)>,
    router: Router,
    limits: Limits,
    stopped: watch::Receiver<bool>,
}

impl Listener {
    /// Serves until `stop` is done; then takes no more connections, and lets the requests under way end, and what goes on without
    /// a connection (`detached`). Returns whether all of it did in time.
    pub(crate) async fn serve(
        self,
        router: Router,
        stop: impl Future<Output = ()>,
        detached: impl Future<Output = ()>,
    ) -> Result<bool, rustls::Error> {
        let (stopping, stopped) = watch::channel(false);
        let within = self.limits.stop;
        let places = Arc::new(Semaphore::new(self.limits.connections));
        let tls = match self.certificate {
            None => None,
            Some(certificate) => Some((TlsAcceptor::from(tls(&certificate)?), certificate)),
        };
        let connecting = Connecting {
            tls,
            router,
            limits: self.limits,
            stopped,
        };
        let (tcp, mut connections) = (self.tcp, JoinSet::new());
        let accept = async {
            loop {
                // The semaphore is never closed.
                let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                    return;
                };
                let accepted = tokio::select! {
                    accepted = tcp.accept() => accepted,
                    Some(_) = connections.join_next() => continue,
                };
                match accepted {
                    Ok((stream, peer)) => {
                        let connection = connection(connecting.clone(), stream, Peer(peer));
                        connections.spawn(async move {
                            let _place = place;
                            connection.await;
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection can't be accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            () = accept => {}
            () = stop => {}
        }
        drop(tcp);
        let _ = stopping.send(true);
        let ended = async {
            while connections.join_next().await.is_some() {}
            detached.await;
        };
        // What does not end in time is cut off when the set is dropped.
        Ok(timeout(within, ended).await.is_ok())
    }
}

fn tls(certificate: &Arc<ShownCertificate>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&versions)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::<ShownCertificate>::clone(certificate));
    config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
    Ok(Arc::new(config))
}

async fn connection(connecting: Connecting, tcp: TcpStream, peer: Peer) {
    // Answers are small and written whole: waiting for more to send would only make them late.
    let _ = tcp.set_nodelay(true);
    let Some((acceptor, certificate)) = connecting.tls.clone() else {
        return http_1(connecting, tcp, peer).await;
    };
    certificate.look_again().await;
    let mut stopped = connecting.stopped.clone();
    let stopped = async {
        // The listener outlives its connections.
        let _ = stopped.wait_for(|stopped| *stopped).await;
        sleep(STOPPED_IDLE).await;
    };
    let shaken = tokio::select! {
        shaken = timeout(connecting.limits.handshake, acceptor.accept(tcp)) => shaken,
        () = stopped => return,
    };
    let stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, peer = %peer.0, "a TLS handshake failed"),
        Err(_) => return tracing::debug!(peer = %peer.0, "a TLS handshake took too long"),
    };
    match stream.get_ref().1.alpn_protocol() {
        Some(HTTP_2) => http_2(connecting, stream, peer).await,
        _ => http_1(connecting, stream, peer).await,
    }
}

async fn http_1<S>(connecting: Connecting, stream: S, peer: Peer)
where
    TokioIo<S>: Read + Write + Unpin + 'static,
{
    let activity = Arc::new(Activity::default());
    let service = Requests::new(&connecting, &activity, peer);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(connecting.limits.head)
        .max_buf_size(connecting.limits.head_bytes + HEAD_MARGIN)
        .serve_connection(TokioIo::new(stream), service);
    run(connection, &activity, connecting).await;
}

async fn http_2<S>(connecting: Connecting, stream: S, peer: Peer)
where
    TokioIo<S>: Read + Write + Unpin + 'static,
{
    let activity = Arc::new(Activity::default());
    let service = Requests::new(&connecting, &activity, peer);
    let header_list = connecting.limits.head_bytes + HEAD_MARGIN;
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(header_list).unwrap_or(u32::MAX))
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .serve_connection(TokioIo::new(stream), service);
    run(connection, &activity, connecting).await;
}

/// Drives a connection to its end. It is asked to end when the server stops or nothing was asked for long, and is cut off where
/// it does not heed that: a client that reads no answer would keep it for ever.
async fn run<C>(connection: C, activity: &Activity, mut connecting: Connecting)
where
    C: GracefulConnection,
    C::Error: std::fmt::Display,
{
    let mut connection = pin!(connection);
    let looks = |idle: Duration| interval((idle / 4).max(Duration::from_millis(1)));
    let mut idle = connecting.limits.idle;
    let mut look = looks(idle);
    let mut asked_to_end: Option<Instant> = None;
    let mut is_stopped = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            _ = connecting.stopped.changed(), if !is_stopped => {
                is_stopped = true;
                connection.as_mut().graceful_shutdown();
                asked_to_end = Some(Instant::now());
                idle = idle.min(STOPPED_IDLE);
                look = looks(idle);
            }
            _ = look.tick() => match asked_to_end {
                None if activity.idle_for() >= idle => {
                    connection.as_mut().graceful_shutdown();
                    asked_to_end = Some(Instant::now());
                }
                Some(at) if at.elapsed() >= idle && activity.idle_for() >= idle => return,
                _ => {}
            },
        }
    }
}

/// The requests of a connection that are under way, and when the last one began or was answered.
struct Activity {
    since: Instant,
    under_way: AtomicUsize,
    last_ms: AtomicU64,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            under_way: AtomicUsize::new(0),
            last_ms: AtomicU64::new(0),
        }
    }
}

impl Activity {
    fn touch(&self) {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(now, Ordering::Relaxed);
    }

    /// How long no request has been under way. Zero while one is.
    fn idle_for(&self) -> Duration {
        if self.under_way.load(Ordering::Relaxed) > 0 {
            return Duration::ZERO;
        }
        let last = Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
        self.since.elapsed().saturating_sub(last)
    }
}

/// A request under way. Dropped, it is not any more.
struct UnderWay(Arc<Activity>);

impl UnderWay {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.under_way.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.touch();
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Hands the requests of a connection to the router.
struct Requests {
    router: Router,
    activity: Arc<Activity>,
    peer: Peer,
}

impl Requests {
    fn new(connecting: &Connecting, activity: &Arc<Activity>, peer: Peer) -> Self {
        Self {
            router: connecting.router.clone(),
            activity: Arc::clone(activity),
            peer,
        }
    }
}

impl hyper::service::Service<Request<Incoming>> for Requests {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let under_way = UnderWay::begin(&self.activity);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer);
        let answer = self.router.clone().call(request);
        Box::pin(async move {
            let answered = answer.await;
            drop(under_way);
            answered
        })
    }
}

/// Binds an address.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}
