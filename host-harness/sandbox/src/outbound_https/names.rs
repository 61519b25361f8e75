//! Finds the addresses of a name by the system's own resolver, so that its hosts file and `nsswitch.conf` count.
//!
//! Failures are told apart by the number that `getaddrinfo` gives (RFC 3493, section 6.1), never by its text, which is
//! the C library's to word. glibc's numbers tell a name that does not exist from one without an address; macOS has one
//! for both. A name server that fails (SERVFAIL), one that refuses, and none that can be reached are one number
//! everywhere, so nothing more is said of them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dns_lookup::{AddrInfoHints, LookupError, LookupErrorKind, SockType};
use tokio::time::{Instant, timeout_at};

use crate::limits;

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotResolved {
    #[error("host name `{0}` does not exist")]
    NoSuchName(String),
    #[error("host name `{0}` exists, but has no address")]
    NoAddress(String),
    #[error("the resolver did not answer for host name `{name}` within {within:.0?}")]
    NotInTime { name: String, within: Duration },
    #[error(
        "no name server resolved host name `{0}`: each failed (SERVFAIL), refused, or could not be reached"
    )]
    NotNow(String),
    #[error("the resolver failed for host name `{name}`")]
    Failed {
        name: String,
        #[source]
        cause: io::Error,
    },
}

impl NotResolved {
    /// The response code of DNS, where it is known; NODATA is what RFC 8499, section 3, calls a pseudo-code.
    pub(super) fn rcode(&self) -> Option<&'static str> {
        match self {
            Self::NoSuchName(_) => Some("NXDOMAIN"),
            Self::NoAddress(_) => Some("NODATA"),
            Self::NotInTime { .. } | Self::NotNow(_) | Self::Failed { .. } => None,
        }
    }

    fn of(name: &str, error: LookupError) -> Self {
        let name = name.to_owned();
        match error.kind() {
            LookupErrorKind::NoName => Self::NoSuchName(name),
            LookupErrorKind::NoData => Self::NoAddress(name),
            LookupErrorKind::Again => Self::NotNow(name),
            _ => Self::Failed {
                name,
                cause: error.into(),
            },
        }
    }
}

/// All addresses of a name, at least one, in the resolver's order. An address in place of a name stands for itself.
///
/// # Errors
/// When there is none by the deadline, or within [`limits::RESOLVE`].
pub(super) async fn addresses(
    name: &str,
    port: u16,
    deadline: Instant,
) -> Result<Vec<SocketAddr>, NotResolved> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let within = limits::RESOLVE.min(deadline.saturating_duration_since(Instant::now()));
    let asked = name.to_owned();
    // When the time is over, a thread is left behind until the resolver gives up; it can't be interrupted.
    let asking = tokio::task::spawn_blocking(move || ask(&asked, port));
    match timeout_at(Instant::now() + within, asking).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(ended)) => Err(NotResolved::Failed {
            name: name.to_owned(),
            cause: ended.into(),
        }),
        Err(_) => Err(NotResolved::NotInTime {
            name: name.to_owned(),
            within,
        }),
    }
}

fn ask(name: &str, port: u16) -> Result<Vec<SocketAddr>, NotResolved> {
    let hints = AddrInfoHints {
        socktype: SockType::Stream.into(),
        ..AddrInfoHints::default()
    };
    let found = dns_lookup::getaddrinfo(Some(name), None, Some(hints));
    let found: Vec<SocketAddr> = found
        .map_err(|error| NotResolved::of(name, error))?
        // A result that is no internet address can't be connected to.
        .filter_map(|info| Some(info.ok()?.sockaddr))
        .map(|mut address| {
            address.set_port(port);
            address
        })
        .collect();
    if found.is_empty() {
        return Err(NotResolved::NoAddress(name.to_owned()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn found(name: &str) -> Result<Vec<SocketAddr>, NotResolved> {
        addresses(name, 443, Instant::now() + limits::RESOLVE).await
    }

    #[tokio::test]
    async fn an_address_is_its_own_and_a_name_of_the_hosts_file_has_its_own_once_for_each() {
        for address in ["192.0.2.1", "2001:db8::1"] {
            let itself = SocketAddr::new(address.parse().unwrap(), 443);
            assert_eq!(found(address).await.unwrap(), [itself]);
        }
        let mut local = found("localhost").await.unwrap();
        assert!(!local.is_empty());
        assert!(
            local
                .iter()
                .all(|address| address.ip().is_loopback() && address.port() == 443)
        );
        let all = local.len();
        local.dedup();
        assert_eq!(local.len(), all, "{local:?}");
    }

    #[tokio::test]
    async fn a_name_that_can_t_exist_does_not_exist() {
        // No name server is asked: a label has 63 characters at most (RFC 1035, section 2.3.4).
        let name = format!("{}.test", "x".repeat(64));
        let failure = found(&name).await.unwrap_err();
        assert!(matches!(failure, NotResolved::NoSuchName(_)), "{failure:?}");
        assert_eq!(failure.rcode(), Some("NXDOMAIN"));
        assert_eq!(failure.to_string(), format!("host name `{name}` does not exist"));
    }
}
