//! Faults that a test orders for the next requests of a route.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// A page of the catalog.
    Catalog,
    /// A license.
    Purchase,
    /// A license that was bought, by its id or the client id.
    LookUp,
    /// The return of a license.
    Return,
}

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed before anything is done.
    LoseRequest,
    /// The request is carried out, and the connection closed without an answer.
    LoseAnswer,
    /// The request is carried out, and the answer can't be read.
    GarbleAnswer,
    /// Nothing is done, and the answer is an error of Acme's with this status, such as 429, 500 or 503, and with so many
    /// seconds in its `Retry-After`.
    Status(u16, Option<u64>),
    /// The answer is an HTML page with this status, as of a server on the way. Nothing is done.
    Html(u16),
    /// The purchase is answered with 202, and so are so many look-ups of it; then the license is issued. No fault elsewhere.
    Pending(u32),
    /// The purchase is answered with 202, and so are so many look-ups of it; then the order is declined. No fault elsewhere.
    Decline(u32),
    /// Nothing is done, and the answer, a 422, repeats the request's `authorization` in its message and in its
    /// `x-request-id`, which are what plugins show.
    EchoApiKey,
}

/// The faults on order: each is for one request, and those of a route come in the order in which they were ordered.
#[derive(Debug, Default)]
pub struct Faults(Mutex<BTreeMap<Route, VecDeque<Fault>>>);

impl Faults {
    /// Orders a fault for one more request of a route.
    pub fn order(&self, route: Route, fault: Fault) {
        let mut orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        orders.entry(route).or_default().push_back(fault);
    }

    /// Cancels all faults on order.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn next(&self, route: Route) -> Option<Fault> {
        let mut orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        orders.get_mut(&route)?.pop_front()
    }
}
