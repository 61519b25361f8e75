//! A note of what the host saw of one call's exchanges with the vendor.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bss_model::Seen;
use http::Method;
use wasmtime_wasi_http::Error;

use crate::outbound_https::{Egress, PermittedAuthority};

/// What the host has seen of a call's exchanges so far. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct SeenExchanges(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    seen: Seen,
    /// Requests that may change something, and whose end was not seen. A plugin that drops one leaves it open for good.
    open: u32,
}

impl SeenExchanges {
    /// What was seen until now.
    pub fn so_far(&self) -> Seen {
        let state = self.state();
        Seen {
            may_have_changed: state.seen.may_have_changed || state.open > 0,
            ..state.seen
        }
    }

    /// Notes a request that is about to be sent.
    pub(crate) fn begin(&self, changes: bool) {
        let mut state = self.state();
        state.open = state.open.saturating_add(u32::from(changes));
    }

    /// Notes how a request ended that was noted before.
    pub(crate) fn end(&self, changes: bool, seen: Seen) {
        let mut state = self.state();
        state.open = state.open.saturating_sub(u32::from(changes));
        state.seen = state.seen | seen;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an exchange with a server counts: the vendor's API is where the certificate is presented. Where it is presented
/// nowhere, every server may be the vendor's.
pub(crate) fn counts(egress: &Egress, permitted: &PermittedAuthority) -> bool {
    let is_presented = egress.authorities.iter().any(|server| server.client_certificate);
    permitted.client_certificate || !is_presented
}

/// Whether a request with this method can change anything (RFC 9110, section 9.2.1).
pub(crate) fn changes(method: &Method) -> bool {
    !method.is_safe()
}

/// Whether a request may have reached the server, given the error that it ended with.
pub(crate) fn was_sent(error: &Error) -> bool {
    !matches!(
        error,
        Error::HttpRequestDenied
            | Error::HttpRequestBodySize(_)
            | Error::HttpRequestUriInvalid
            | Error::TlsProtocolError
            | Error::TlsCertificateError
            | Error::TlsAlertReceived { .. }
            | Error::DestinationUnavailable
            | Error::DestinationIpProhibited
            | Error::DnsError { .. }
            | Error::DnsTimeout
            | Error::ConnectionLimitReached
            | Error::ConnectionRefused
            | Error::ConnectionTimeout
    )
}
