//! The TLS connections that the CIS listener has accepted, and why it has not accepted others.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How many connections are remembered; older ones are forgotten. A client without a pool makes one per request, and a
/// benchmark makes a great many.
const CONNECTIONS_MAX: usize = 100_000;

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum TlsVersion {
    /// 1.2.
    #[serde(rename = "1.2")]
    Tls12,
    /// 1.3.
    #[serde(rename = "1.3")]
    Tls13,
}

/// An accepted connection.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionSeen {
    /// SHA-1 of the client certificate, 40 upper-case hex digits.
    pub client_certificate_thumbprint: String,
    /// The version of TLS on the connection.
    pub tls_version: TlsVersion,
    /// Whether HTTP/2 is spoken on the connection.
    pub http2: bool,
    /// Whether the TLS session of an earlier connection was resumed.
    pub resumed: bool,
    /// How many requests have been read from the connection.
    pub requests: u64,
}

/// A connection whose requests are counted.
pub(super) struct Counted {
    seen: ConnectionSeen,
    requests: AtomicU64,
}

impl Counted {
    pub(super) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn thumbprint(&self) -> &str {
        &self.seen.client_certificate_thumbprint
    }
}

#[derive(Default)]
pub(super) struct Connections {
    accepted: Mutex<VecDeque<Arc<Counted>>>,
    refused: Mutex<VecDeque<String>>,
}

impl Connections {
    pub(super) fn accepted(&self, seen: ConnectionSeen) -> Arc<Counted> {
        let counted = Arc::new(Counted {
            seen,
            requests: AtomicU64::new(0),
        });
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        if accepted.len() == CONNECTIONS_MAX {
            accepted.pop_front();
        }
        accepted.push_back(Arc::clone(&counted));
        counted
    }

    pub(super) fn refused(&self, why: String) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() == CONNECTIONS_MAX {
            refused.pop_front();
        }
        refused.push_back(why);
    }

    pub(super) fn all_refused(&self) -> Vec<String> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.iter().cloned().collect()
    }

    pub(super) fn all(&self) -> Vec<ConnectionSeen> {
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let now = |counted: &Arc<Counted>| ConnectionSeen {
            requests: counted.requests.load(Ordering::Relaxed),
            ..counted.seen.clone()
        };
        accepted.iter().map(now).collect()
    }
}
