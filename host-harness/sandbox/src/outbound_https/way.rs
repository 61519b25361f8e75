//! The way that a connection takes to a server.

use std::fmt;
use std::net::SocketAddr;

/// The way that a connection takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The address that was connected to: the server's, or the proxy's.
    pub address: SocketAddr,
    /// The proxy, without user and password. `None`: the connection is direct.
    pub proxy: Option<String>,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.proxy {
            None => write!(f, "direct, to {}", self.address),
            Some(proxy) => write!(f, "through the proxy {proxy}, at {}", self.address),
        }
    }
}
