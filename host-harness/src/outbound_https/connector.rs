//! Connects: resolves a name once, checks every address, connects to one that was checked, and speaks TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{AlertDescription, ClientConfig, Error as TlsError};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use super::Egress;
use super::failure::find;
use super::policy::{Authority, address_is_allowed};
use crate::certificate_store::Identity;
use crate::limits;

/// Opens the connections of one instance and one identity.
#[derive(Clone)]
pub(super) struct Connector {
    /// Holds the TLS sessions too: another identity has another one, so no session can be resumed by it.
    tls: Arc<ClientConfig>,
    allowed_networks: Arc<[IpNet]>,
}

/// Why there is no connection. Nothing of the request has been written.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectFailure {
    #[error("the target names no server")]
    NoServer,
    #[error("the name was not resolved in time")]
    ResolveTimeout,
    #[error("the name was not resolved")]
    Resolve(#[source] io::Error),
    #[error("the name leads to `{0}`, which is not a public address and not in a network that is allowed")]
    AddressProhibited(IpAddr),
    #[error("no connection in time")]
    ConnectTimeout,
    #[error("no connection")]
    Connect(#[source] io::Error),
    #[error("no TLS handshake in time")]
    HandshakeTimeout,
    #[error("no TLS handshake")]
    Handshake(#[source] io::Error),
}

impl Connector {
    pub(super) fn new(egress: &Egress, identity: Option<&Arc<Identity>>) -> Result<Self, rustls::Error> {
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(egress.trust_roots.clone());
        let config = match identity {
            Some(identity) => {
                config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified_key())))
            }
            None => config.with_no_client_auth(),
        };
        Ok(Self {
            tls: Arc::new(config),
            allowed_networks: egress.allowed_networks.clone().into(),
        })
    }

    async fn connect(self, authority: Option<Authority>) -> Result<Link, ConnectFailure> {
        let authority = authority.ok_or(ConnectFailure::NoServer)?;
        let addresses = resolve(&authority, &self.allowed_networks).await?;
        let stream = connect_to_any(&addresses).await?;
        let name = ServerName::try_from(authority.host().trim_matches(['[', ']']).to_owned())
            .map_err(|_| ConnectFailure::NoServer)?;
        let handshake = TlsConnector::from(self.tls).connect(name, stream);
        let stream = timeout(limits::TLS_HANDSHAKE, handshake)
            .await
            .map_err(|_| ConnectFailure::HandshakeTimeout)?
            .map_err(ConnectFailure::Handshake)?;
        Ok(Link {
            stream: TokioIo::new(stream),
            history: History::default(),
        })
    }
}

/// All addresses of a name. One that is not allowed refuses the name as a whole: a name that leads to both
/// the public and the inside is not a mistake that should depend on which answers first.
async fn resolve(
    authority: &Authority,
    allowed_networks: &[IpNet],
) -> Result<Vec<SocketAddr>, ConnectFailure> {
    let host = authority.host().trim_matches(['[', ']']);
    let resolved: Vec<SocketAddr> =
        timeout(limits::RESOLVE, tokio::net::lookup_host((host, authority.port())))
            .await
            .map_err(|_| ConnectFailure::ResolveTimeout)?
            .map_err(ConnectFailure::Resolve)?
            .collect();
    match resolved
        .iter()
        .find(|address| !address_is_allowed(address.ip(), allowed_networks))
    {
        Some(prohibited) => Err(ConnectFailure::AddressProhibited(prohibited.ip())),
        None => Ok(resolved),
    }
}

async fn connect_to_any(addresses: &[SocketAddr]) -> Result<TcpStream, ConnectFailure> {
    let mut failure =
        ConnectFailure::Resolve(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    for address in addresses {
        match timeout(limits::CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Requests are written whole; waiting for more only delays the last segment.
                stream.set_nodelay(true).map_err(ConnectFailure::Connect)?;
                return Ok(stream);
            }
            Ok(Err(error)) => failure = ConnectFailure::Connect(error),
            Err(_) => failure = ConnectFailure::ConnectTimeout,
        }
    }
    Err(failure)
}

impl Service<http::Uri> for Connector {
    type Response = Link;
    type Error = ConnectFailure;
    type Future = Pin<Box<dyn Future<Output = Result<Link, ConnectFailure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: http::Uri) -> Self::Future {
        let authority = uri
            .authority()
            .and_then(|authority| authority.as_str().parse().ok());
        Box::pin(self.clone().connect(authority))
    }
}

/// A connection over TLS.
pub(super) struct Link {
    stream: TokioIo<TlsStream<TcpStream>>,
    history: History,
}

/// What has come from the server on a connection. Before it has sent anything, an alert about our certificate
/// means that no request was looked at; afterwards it means nothing of the kind.
#[derive(Clone, Debug, Default)]
pub(super) struct History(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    answered: AtomicBool,
    /// One more than the number of the alert; 0: none.
    alert: AtomicU16,
}

impl History {
    /// The alert by which the server ended the connection before it had sent anything.
    pub(super) fn first_word(&self) -> Option<AlertDescription> {
        let alert = self.0.alert.load(Ordering::Acquire).checked_sub(1)?;
        let answered = self.0.answered.load(Ordering::Acquire);
        u8::try_from(alert).ok().filter(|_| !answered).map(Into::into)
    }

    /// Whether the server has sent anything.
    pub(super) fn has_answer(&self) -> bool {
        self.0.answered.load(Ordering::Acquire)
    }

    fn read(&self, result: &io::Result<()>) {
        match result {
            Ok(()) => self.0.answered.store(true, Ordering::Release),
            Err(error) => {
                if let Some(TlsError::AlertReceived(alert)) = find(error) {
                    let alert = u16::from(u8::from(*alert)).saturating_add(1);
                    self.0.alert.store(alert, Ordering::Release);
                }
            }
        }
    }
}

impl Link {
    /// A server that refuses our certificate in TLS 1.3 sends its alert and closes. The next write then fails
    /// because of that, and what has arrived before would never be read: it says why.
    fn explained<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if !matches!(written, Poll::Ready(Err(_))) || self.history.has_answer() {
            return written;
        }
        // No room for what the server may have sent: only its TLS records are looked at.
        let mut nothing = ReadBuf::new(&mut []);
        match Pin::new(&mut self.stream).poll_read(cx, nothing.unfilled()) {
            Poll::Ready(Err(reason)) => {
                let reason = Err(reason);
                self.history.read(&reason);
                match reason {
                    Err(reason) if self.history.first_word().is_some() => Poll::Ready(Err(reason)),
                    _ => written,
                }
            }
            _ => written,
        }
    }
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.history.clone())
    }
}

impl Read for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Poll::Ready(result) = &polled {
            self.history.read(result);
        }
        polled
    }
}

impl Write for Link {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.explained(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.explained(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.explained(cx, written)
    }
}
