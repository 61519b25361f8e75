//! The options that a simulator starts with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::catalog::Catalog;

/// How long an access token lasts by default: Entra's shortest life.
const ACCESS_TOKEN_LIFE: Duration = Duration::from_secs(60 * 60);

/// The versions of TLS that both listeners speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    #[default]
    Both,
    /// 1.2 only.
    Tls12,
    /// 1.3 only.
    Tls13,
}

/// The versions of HTTP that both listeners offer by ALPN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpVersions {
    /// HTTP/2, and HTTP/1.1 for those that don't speak it.
    #[default]
    Both,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only.
    Http2,
}

/// The options that a simulator starts with.
#[derive(Clone, Debug)]
pub struct SimulatorOptions {
    /// Keeps the authority, the applications and the ledger: a restart on the same directory is the same Microsoft, but
    /// for its access tokens and, where a port is 0, its addresses. Made if it is not there.
    pub directory: PathBuf,
    /// The address on which CIS listens. Port 0 stands for any free one.
    pub service_address: SocketAddr,
    /// The address on which Entra listens. Port 0 stands for any free one.
    pub login_address: SocketAddr,
    /// The versions of TLS.
    pub tls: TlsVersions,
    /// The versions of HTTP.
    pub http: HttpVersions,
    /// The offers that are sold until `Simulator::set_catalog` replaces them.
    pub catalog: Catalog,
    /// How long an access token lasts.
    pub access_token_life: Duration,
    /// How long after its request a purchase is answered. The purchase is carried out half-way through, whether its
    /// caller still waits or has gone.
    pub answer_after: Duration,
    /// Whether the client transaction id is not treated as idempotent: the same purchase sent twice then issues two
    /// licenses. A look-up by client transaction id answers with the first.
    pub forgets_purchases: bool,
}

impl SimulatorOptions {
    /// Options for the standard catalog on free ports of the loopback interface.
    pub fn new(directory: impl Into<PathBuf>) -> SimulatorOptions {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        SimulatorOptions {
            directory: directory.into(),
            service_address: any_port,
            login_address: any_port,
            tls: TlsVersions::default(),
            http: HttpVersions::default(),
            catalog: Catalog::default(),
            access_token_life: ACCESS_TOKEN_LIFE,
            answer_after: Duration::ZERO,
            forgets_purchases: false,
        }
    }
}
