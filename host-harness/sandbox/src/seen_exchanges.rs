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
    /// All requests, to whatever server, whose end was not seen.
    open_anywhere: u32,
    /// Why the last exchange got no connection, where the plugin can't be told in a code.
    explanation: Option<Explanation>,
}

/// Why an exchange got no connection, in words for an operator that a plugin can't have: wasi:http has no code for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Explanation {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) advice: String,
}

impl SeenExchanges {
    /// What was seen until now.
    pub fn so_far(&self) -> Seen {
        let state = self.state();
        Seen {
            has_sent: state.seen.has_sent || state.open_anywhere > 0,
            may_have_changed: state.seen.may_have_changed || state.open > 0,
            ..state.seen
        }
    }

    /// Notes why the exchange got no connection; `None` where a code says it all.
    pub(crate) fn explain(&self, explanation: Option<Explanation>) {
        self.state().explanation = explanation;
    }

    /// Notes that a request has left, which the end of its exchange may not tell: its repetition may get no connection.
    pub(crate) fn left(&self) {
        self.state().seen.has_sent = true;
    }

    /// Why the last exchange got no connection, where there is more to say than a code.
    pub(crate) fn explanation(&self) -> Option<Explanation> {
        self.state().explanation.clone()
    }

    /// Notes a request that is about to be sent, to the vendor's API or to another server that the call may reach.
    pub(crate) fn begin(&self, method: &Method, to_vendor: bool) -> WatchedExchange {
        // What a safe method asks for changes nothing (RFC 9110, section 9.2.1).
        let changes = to_vendor && !method.is_safe();
        let mut state = self.state();
        state.explanation = None;
        state.open = state.open.saturating_add(u32::from(changes));
        state.open_anywhere = state.open_anywhere.saturating_add(1);
        WatchedExchange {
            seen: self.clone(),
            changes,
            to_vendor,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An exchange that has begun. One that is dropped before its end stays open.
pub(crate) struct WatchedExchange {
    seen: SeenExchanges,
    changes: bool,
    to_vendor: bool,
}

impl WatchedExchange {
    /// Notes how the exchange ended.
    pub(crate) fn end<B>(self, answer: &Result<http::Response<B>, Error>) {
        let seen = match answer {
            Ok(response) => Seen::answered(self.changes, response.status().as_u16()),
            Err(error) => Seen::unanswered(self.changes, was_sent(error)),
        };
        let mut state = self.seen.state();
        state.open = state.open.saturating_sub(u32::from(self.changes));
        state.open_anywhere = state.open_anywhere.saturating_sub(1);
        state.seen = state.seen
            | match self.to_vendor {
                true => seen,
                false => seen.elsewhere(),
            };
    }
}

/// Whether an exchange with a server counts: the vendor's API is where a credential is shown, a certificate or a secret.
/// Where none is shown anywhere, every server may be the vendor's.
pub(crate) fn counts(egress: &Egress, permitted: &PermittedAuthority) -> bool {
    let mut servers = egress.authorities.iter();
    permitted.has_credential() || !servers.any(PermittedAuthority::has_credential)
}

/// Whether a request may have reached the server, given the error that it ended with.
fn was_sent(error: &Error) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Result<http::Response<()>, Error> {
        Err(Error::ConnectionRefused)
    }

    #[test]
    fn a_request_that_left_has_left_although_its_repetition_got_no_connection() {
        let seen = SeenExchanges::default();
        let exchange = seen.begin(&Method::POST, true);
        seen.left();
        exchange.end(&refused());
        assert!(seen.so_far().has_sent && !seen.so_far().may_have_changed);

        let seen = SeenExchanges::default();
        seen.begin(&Method::POST, true).end(&refused());
        assert!(!seen.so_far().has_sent, "nothing has left");
    }

    #[test]
    fn an_explanation_is_of_the_last_exchange_alone() {
        let seen = SeenExchanges::default();
        let explanation = Explanation {
            code: "proxy-refused",
            message: "the proxy refused".to_owned(),
            advice: "Ask.".to_owned(),
        };
        let first = seen.begin(&Method::GET, true);
        seen.explain(Some(explanation.clone()));
        first.end(&refused());
        assert_eq!(seen.explanation(), Some(explanation));
        seen.begin(&Method::GET, true).end(&refused());
        assert_eq!(
            seen.explanation(),
            None,
            "the second ended for a reason of its own"
        );
    }
}
