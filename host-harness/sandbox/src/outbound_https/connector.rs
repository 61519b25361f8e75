//! Connects: directly (resolves a name once, leaves out the addresses that are not allowed, races the others) or through a
//! proxy, and speaks TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bss_keys::Identity;
use bss_model::{Proxy, ProxyRules, with_causes};
use ipnet::IpNet;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{AlertDescription, ClientConfig};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tracing::Instrument as _;

use super::Egress;
use super::link::{HTTP_2, Link};
use super::names::{self, NotResolved};
use super::policy::{Authority, address_is_allowed};
use super::quota::Permit;
use super::tunnel::{self, NoTunnel};
use super::way::Way;
use crate::address_race::{self, NoConnection};
use crate::seen_exchanges::Explanation;
use crate::{call_trace as trace, limits};

/// The name of HTTP/1.1 in ALPN (RFC 7301, section 6).
const HTTP_1_1: &[u8] = b"http/1.1";

/// Opens the connections of one instance and one identity.
pub(super) struct Connector {
    /// The TLS configuration, which holds the TLS sessions too: each identity has its own, so none resumes another's
    /// sessions.
    tls: Arc<ClientConfig>,
    /// The TLS configuration that offers HTTP/1.1 alone, for a server that asks for that.
    tls_http1: Arc<ClientConfig>,
    allowed_networks: Vec<IpNet>,
    proxies: ProxyRules,
}

/// Why a connection could not be opened. Nothing of the request has been written.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectFailure {
    #[error("too many connections are open, or too many requests are in progress")]
    LimitReached,
    #[error("the URL of the request has no valid host name")]
    NoServer,
    #[error(transparent)]
    Resolve(#[from] NotResolved),
    #[error("the host name resolves to `{0}`, and to no address that is public or in an allowed network")]
    AddressProhibited(IpAddr),
    #[error("a connection to the server could not be opened in time")]
    ConnectTimeout,
    #[error("a connection to the server could not be opened")]
    Connect(#[source] NoConnection),
    #[error("there is no tunnel through the proxy {proxy}")]
    Proxy {
        proxy: Proxy,
        #[source]
        cause: Box<NoTunnel>,
    },
    #[error("the TLS handshake with the server did not finish in time")]
    HandshakeTimeout,
    #[error("the TLS handshake with the server failed")]
    Handshake(#[source] io::Error),
    #[error("the connection to the server was closed before a request could be sent")]
    ClosedAtOnce,
    #[error(
        "the server refused the instance's certificate with the TLS alert {0:?} before a request could be sent"
    )]
    CertificateRefused(AlertDescription),
    #[error("the request may not leave any more: {0}")]
    NotPermitted(String),
}

impl ConnectFailure {
    /// What wasi:http's codes have no word for, in words for an operator. `repeats`: the request has left on another
    /// connection, whose server has not carried it out.
    pub(super) fn explanation(&self, repeats: bool) -> Option<Explanation> {
        let known = match repeats {
            false => "Nothing was sent to the server",
            true => "The server has not carried the request out",
        };
        let (code, advice) = match self {
            Self::Proxy { proxy, cause } => (cause.code(), cause.advice(proxy)),
            Self::NotPermitted(_) => (
                "worker-lost",
                "nothing needs to be done: whoever has taken over goes on with it".to_owned(),
            ),
            _ => return None,
        };
        Some(Explanation {
            code,
            message: format!("{}. {known}", with_causes(self)),
            advice,
        })
    }
}

impl Connector {
    pub(super) fn new(egress: &Egress, identity: Option<&Arc<Identity>>) -> Result<Self, rustls::Error> {
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(egress.trust_roots.clone());
        let mut config = match identity {
            Some(identity) => {
                config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified_key())))
            }
            None => config.with_no_client_auth(),
        };
        config.resumption = Resumption::in_memory_sessions(limits::TLS_SESSIONS);
        let offering = |protocols: &[&[u8]]| {
            // A clone shares the TLS sessions, and the certificate that they belong to.
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            Arc::new(config)
        };
        Ok(Self {
            tls: offering(&[HTTP_2, HTTP_1_1]),
            tls_http1: offering(&[HTTP_1_1]),
            allowed_networks: egress.allowed_networks.clone(),
            proxies: egress.proxies.clone(),
        })
    }

    /// Connects to an authority by the deadline; each step has a limit of its own as well.
    pub(super) async fn connect(
        &self,
        authority: &Authority,
        http1_only: bool,
        permit: Permit,
        deadline: Instant,
    ) -> Result<Link, ConnectFailure> {
        let (stream, way) = match self.proxies.proxy_for(bare_host(authority)) {
            None => self.directly(authority, deadline).await?,
            Some(proxy) => self.through(proxy, authority, deadline).await?,
        };
        let name =
            ServerName::try_from(bare_host(authority).to_owned()).map_err(|_| ConnectFailure::NoServer)?;
        let tls = if http1_only { &self.tls_http1 } else { &self.tls };
        let handshake = TlsConnector::from(tls.clone()).connect(name, stream);
        let stream = timeout_at(step(limits::TLS_HANDSHAKE, deadline), handshake)
            .instrument(trace::step!("tls"))
            .await
            .map_err(|_| ConnectFailure::HandshakeTimeout)?
            .map_err(ConnectFailure::Handshake)?;
        Ok(Link::new(stream, way, permit))
    }

    async fn directly(
        &self,
        authority: &Authority,
        deadline: Instant,
    ) -> Result<(TcpStream, Way), ConnectFailure> {
        let resolved = resolve(authority, &self.allowed_networks, deadline);
        let addresses = resolved.instrument(trace::step!("resolve")).await?;
        let raced = timeout_at(deadline, address_race::race(&addresses)).await;
        let (stream, address) = raced
            .map_err(|_| ConnectFailure::ConnectTimeout)?
            .map_err(ConnectFailure::Connect)?;
        Ok((stream, Way { address, proxy: None }))
    }

    /// Connects through a proxy. The proxy resolves the server's name, so its addresses are its operator's to judge; what is an
    /// address without being resolved is judged here. The proxy's own address is the operator's word.
    async fn through(
        &self,
        proxy: &Proxy,
        authority: &Authority,
        deadline: Instant,
    ) -> Result<(TcpStream, Way), ConnectFailure> {
        let host = bare_host(authority);
        if let Some(address) = tunnel::prohibited(host, &self.allowed_networks) {
            return Err(ConnectFailure::AddressProhibited(address));
        }
        if tunnel::is_spelled_oddly(host) {
            return Err(ConnectFailure::NoServer);
        }
        let opening = async {
            let resolved = names::addresses(proxy.host(), proxy.port(), deadline);
            let addresses = resolved.instrument(trace::step!("resolve")).await;
            let raced = address_race::race(&addresses.map_err(NoTunnel::Resolve)?).await;
            let (stream, address) = raced.map_err(NoTunnel::Connect)?;
            let opened = timeout(limits::TUNNEL, tunnel::open(stream, proxy, authority));
            let opened = opened.instrument(trace::step!("tunnel", proxy = proxy)).await;
            Ok((opened.map_err(|_| NoTunnel::NotInTime)??, address))
        };
        let opened = timeout_at(deadline, opening).await;
        match opened.unwrap_or(Err(NoTunnel::NotInTime)) {
            Ok((stream, address)) => {
                let proxy = Some(proxy.to_string());
                Ok((stream, Way { address, proxy }))
            }
            Err(cause) => Err(ConnectFailure::Proxy {
                proxy: proxy.clone(),
                cause: Box::new(cause),
            }),
        }
    }
}

/// An authority's host without the brackets of an IPv6 address.
fn bare_host(authority: &Authority) -> &str {
    authority.host().trim_matches(['[', ']'])
}

/// The time by which a step must be done: within its own limit, and by the deadline of all steps.
fn step(limit: Duration, deadline: Instant) -> Instant {
    deadline.min(Instant::now() + limit)
}

/// The addresses of a name that are allowed; those that are not are left out. Which of them answers first makes no
/// difference, since no address is connected to that is not allowed.
async fn resolve(
    authority: &Authority,
    allowed_networks: &[IpNet],
    deadline: Instant,
) -> Result<Vec<SocketAddr>, ConnectFailure> {
    let resolved = names::addresses(bare_host(authority), authority.port(), deadline).await?;
    let (allowed, prohibited): (Vec<_>, Vec<_>) = resolved
        .into_iter()
        .partition(|address| address_is_allowed(address.ip(), allowed_networks));
    match prohibited.first() {
        Some(first) if allowed.is_empty() => Err(ConnectFailure::AddressProhibited(first.ip())),
        Some(_) => {
            tracing::warn!(%authority, left_out = ?prohibited, "addresses that are not allowed were left out");
            Ok(allowed)
        }
        None => Ok(allowed),
    }
}
