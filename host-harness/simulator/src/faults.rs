//! Faults that a test orders, per operation and for a number of requests.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

/// An operation that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// An access token, from either version of the token endpoint.
    AccessToken,
    /// A page of the catalog.
    Catalog,
    /// A license.
    Purchase,
    /// A license that was bought, by its license token id or its client transaction id.
    LookUp,
    /// The return of a license.
    Return,
}

/// A listener of the simulator, which has two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listener {
    /// Entra's.
    Login,
    /// CIS's, which requires a client certificate.
    Service,
}

/// Whether a fault comes before or after the request is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The request was read and nothing was done.
    BeforeActing,
    /// The request was carried out, and committed.
    AfterActing,
}

/// A fault in answering a request. `When` says whether the request is carried out before; with `Refusal` and
/// `RefuseStream` it never is, with the others it always is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed without an answer.
    Close(When),
    /// The connection is reset (a TCP RST) without an answer.
    Reset(When),
    /// Nothing is done, and a REFUSED_STREAM of HTTP/2 says so. Over HTTP/1.1, which has no word for it, the
    /// connection is closed.
    RefuseStream,
    /// The answer's second half is missing: its Content-Length promises more than is sent before the connection ends.
    CutAnswer,
    /// The request is carried out at once, and answered this much later.
    DelayAnswer(Duration),
    /// The answer is this status with a page of HTML, as a proxy in front of the service sends.
    Html(u16, When),
    /// The answer is status 200 with a body that is not JSON.
    NotJson(When),
    /// The answer is a refusal in the API's own form. On the token endpoint `code` is the AADSTS number.
    Refusal {
        /// The answer's status.
        status: u16,
        /// The error's code; `Throttled` and `Unavailable` are the documented ones.
        code: String,
        /// Seconds to wait, for the `Retry-After` header.
        retry_after: Option<u32>,
    },
    /// The answer is status 200 with a body of that many bytes that never becomes whole JSON.
    HugeAnswer(u64),
    /// The answer is the real one, one byte at a time with that pause between them.
    SlowAnswer(Duration),
    /// The answer is the real one, as another server would write it.
    Rewritten(Rewriting),
    /// The continuation of a catalog page leads to that page itself. On other operations nothing goes wrong.
    RepeatContinuation,
}

/// What another server writes differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rewriting {
    /// A member of the answer's object has that value, and its own where there is none.
    Member(&'static str, Value),
    /// The body is compressed with gzip, for which nobody asks.
    Gzip,
    /// A byte order mark of UTF-8 stands before the body.
    ByteOrderMark,
}

/// A fault of a connection, before a request is read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFault {
    /// The connection is closed where the TLS handshake should begin.
    CloseBeforeHandshake,
    /// The connection is closed once the TLS handshake is done.
    CloseAfterHandshake,
    /// The connection is kept open, and nothing is ever sent on it.
    Silent,
}

/// The number of requests or connections that a fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// The next so many requests or connections.
    Times(u32),
    /// Every request or connection, until `Faults::clear`.
    Always,
}

/// The ordered faults. Those of one operation come in the order in which they were ordered, each until it is used up.
#[derive(Debug, Default)]
pub struct Faults {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    requests: BTreeMap<Operation, Orders<Fault>>,
    connections: BTreeMap<Listener, Orders<ConnectionFault>>,
    seen: BTreeMap<Operation, u64>,
}

type Orders<F> = VecDeque<(F, Repeat)>;

impl Faults {
    /// Orders a fault for the coming requests of an operation.
    pub fn order(&self, operation: Operation, fault: Fault, repeat: Repeat) {
        self.state()
            .requests
            .entry(operation)
            .or_default()
            .push_back((fault, repeat));
    }

    /// Orders a fault for the coming connections of a listener.
    pub fn order_connection(&self, listener: Listener, fault: ConnectionFault, repeat: Repeat) {
        self.state()
            .connections
            .entry(listener)
            .or_default()
            .push_back((fault, repeat));
    }

    /// Cancels all ordered faults.
    pub fn clear(&self) {
        let mut state = self.state();
        state.requests.clear();
        state.connections.clear();
    }

    /// How many requests of an operation have been read since the start, those that went wrong included.
    pub fn requests_seen(&self, operation: Operation) -> u64 {
        self.state().seen.get(&operation).copied().unwrap_or(0)
    }

    /// Counts a request, and returns the fault that was ordered for it.
    pub(super) fn next(&self, operation: Operation) -> Option<Fault> {
        let mut state = self.state();
        *state.seen.entry(operation).or_default() += 1;
        take(state.requests.get_mut(&operation)?)
    }

    /// The fault that was ordered for the connection that was just accepted.
    pub(super) fn next_connection(&self, listener: Listener) -> Option<ConnectionFault> {
        take(self.state().connections.get_mut(&listener)?)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take<F: Clone>(orders: &mut Orders<F>) -> Option<F> {
    while let Some((fault, repeat)) = orders.front_mut() {
        match repeat {
            Repeat::Always => return Some(fault.clone()),
            Repeat::Times(0) => {
                orders.pop_front();
            }
            Repeat::Times(left) => {
                *left -= 1;
                return Some(fault.clone());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_in_the_order_they_were_ordered_and_run_out() {
        let faults = Faults::default();
        faults.order(Operation::Purchase, Fault::CutAnswer, Repeat::Times(2));
        faults.order(
            Operation::Purchase,
            Fault::Close(When::BeforeActing),
            Repeat::Times(1),
        );
        let met: Vec<_> = (0..4).map(|_| faults.next(Operation::Purchase)).collect();
        let close = Some(Fault::Close(When::BeforeActing));
        assert_eq!(met, [Some(Fault::CutAnswer), Some(Fault::CutAnswer), close, None]);
        assert_eq!(faults.next(Operation::LookUp), None);
        assert_eq!(faults.requests_seen(Operation::Purchase), 4);
    }

    #[test]
    fn a_fault_for_all_requests_stays_until_it_is_cleared() {
        let faults = Faults::default();
        faults.order(Operation::Catalog, Fault::CutAnswer, Repeat::Always);
        assert!((0..100).all(|_| faults.next(Operation::Catalog).is_some()));
        faults.clear();
        assert_eq!(faults.next(Operation::Catalog), None);
    }
}
