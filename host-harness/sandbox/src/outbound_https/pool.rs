//! Connections that are kept between exchanges, each by the instance, settings, identity and authority it was opened
//! for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::ClientKey;
use super::channel::{self, Channel, Http1, Http2};
use super::connector::{ConnectFailure, Connector};
use super::policy::Authority;
use super::quota::{ConnectionCounts, ConnectionLimits, Quota, Slot};
use crate::limits;

/// The connections of all instances.
pub(super) struct Pool {
    limits: ConnectionLimits,
    quota: Quota,
    clients: Mutex<Clients>,
}

#[derive(Default)]
struct Clients {
    kept: HashMap<ClientKey, Arc<Client>>,
    /// Whether a task looks for connections that have been idle for too long.
    swept: bool,
}

/// The connector of one identity of an instance, and its connections.
pub(super) struct Client {
    instance_id: String,
    connector: Connector,
    places: Mutex<HashMap<Authority, OriginConnections>>,
    /// Whether connections are no longer kept, because the instance was forgotten or has a newer edition.
    closed: AtomicBool,
}

/// The connections to one authority.
#[derive(Default)]
struct OriginConnections {
    /// The protocol of the server. `None` until a connection was opened.
    speaks: Option<Protocol>,
    idle: Vec<Idle>,
    /// Connections whose last answer has been read but which hyper has not freed yet. `settled` wakes a task that
    /// waits for one.
    settling: usize,
    settled: Arc<Notify>,
    shared: Vec<Http2>,
    /// Held while a connection is opened that other exchanges could share.
    opening: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    /// The server offers HTTP/2, but has asked for HTTP/1.1 (RFC 9113, section 7).
    Http1Only,
    Http2,
}

struct Idle {
    http1: Http1,
    since: Instant,
}

/// The connection that a client has for an exchange, or how to get one.
enum Taken {
    Kept(Channel),
    /// No connection yet, but one whose answer was just read to its end is free in a moment.
    Settling(OwnedNotified),
    /// No connection. The one that is opened while this lock is held can be shared.
    Shareable(Arc<tokio::sync::Mutex<()>>),
    /// No connection. Each exchange opens its own.
    Nothing,
}

/// The connection that an exchange wants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A kept one, or a new one where none is kept.
    Any,
    /// A new one.
    Fresh,
}

/// A connection, or a place on one, for one exchange.
pub(super) struct Lease {
    pub(super) channel: Channel,
    /// Whether the connection has been used before.
    pub(super) reused: bool,
    /// Whether the connection serves no further exchange.
    retired: bool,
    slot: Slot,
    client: Arc<Client>,
    authority: Authority,
    pool: Arc<Pool>,
    runtime: Handle,
}

impl Pool {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            quota: Quota::new(limits),
            clients: Mutex::default(),
        }
    }

    /// The client under a key, made if there is none. A client of an edition that is not the newest any more keeps
    /// no connections: a call that began with that edition may still need it, and it goes with that call.
    ///
    /// # Errors
    /// When `make` fails.
    pub(super) fn client<E>(
        &self,
        key: &ClientKey,
        make: impl FnOnce() -> Result<Connector, E>,
    ) -> Result<Arc<Client>, E> {
        if let Some(client) = self.lock().kept.get(key) {
            return Ok(client.clone());
        }
        let client = Arc::new(Client {
            instance_id: key.instance_id.clone(),
            connector: make()?,
            places: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        let mut clients = self.lock();
        let edition_of = |other: &ClientKey| (other.instance_id == key.instance_id).then_some(other.edition);
        let mut editions = clients.kept.keys().filter_map(edition_of);
        if editions.any(|edition| edition > key.edition) {
            client.close();
            return Ok(client);
        }
        clients.forget(|other| edition_of(other).is_some_and(|edition| edition != key.edition));
        Ok(clients.kept.entry(key.clone()).or_insert(client).clone())
    }

    /// Closes an instance's idle connections, and those in use as soon as they are free.
    pub(super) fn forget_instance(&self, instance_id: &str) {
        self.lock().forget(|key| key.instance_id == instance_id);
    }

    pub(super) fn counts(&self) -> ConnectionCounts {
        let counters = &self.quota.counters;
        let clients = self.lock();
        let idle = clients.kept.values().map(|client| client.idle().len()).sum();
        ConnectionCounts {
            opened: counters.opened.load(Ordering::Relaxed),
            reused: counters.reused.load(Ordering::Relaxed),
            open: counters.open.load(Ordering::Relaxed),
            idle,
        }
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> Vec<ClientKey> {
        self.lock().kept.keys().cloned().collect()
    }

    /// Waits for a turn.
    pub(super) async fn slot(&self, client: &Client, deadline: Instant) -> Result<Slot, ConnectFailure> {
        match timeout_at(deadline, self.quota.slot(&client.instance_id)).await {
            Ok(Ok(slot)) => Ok(slot),
            _ => Err(ConnectFailure::LimitReached),
        }
    }

    /// Gets a connection for an exchange: a kept one, or a new one.
    pub(super) async fn lease(
        self: &Arc<Self>,
        client: &Arc<Client>,
        authority: &Authority,
        slot: Slot,
        wanted: Wanted,
        deadline: Instant,
    ) -> Result<Lease, ConnectFailure> {
        let lease = |channel, reused, slot| Lease {
            channel,
            reused,
            retired: false,
            slot,
            client: client.clone(),
            authority: authority.clone(),
            pool: self.clone(),
            runtime: Handle::current(),
        };
        let settle_by = deadline.min(Instant::now() + limits::SETTLE);
        let mut alone = None;
        loop {
            let taken = match wanted {
                Wanted::Any => client.take(authority, self.limits),
                Wanted::Fresh => Taken::Nothing,
            };
            match taken {
                Taken::Kept(kept) => {
                    self.quota.counters.reused.fetch_add(1, Ordering::Relaxed);
                    return Ok(lease(kept, true, slot));
                }
                Taken::Settling(settled) if Instant::now() < settle_by => {
                    let _ = timeout_at(settle_by, settled).await;
                }
                // Exchanges that could share a connection wait while the first opens it, then look for it again.
                Taken::Shareable(opening) if alone.is_none() => {
                    let held = timeout_at(deadline, opening.lock_owned()).await;
                    alone = Some(held.map_err(|_| ConnectFailure::ConnectTimeout)?);
                }
                _ => break,
            }
        }
        let channel = self.open(client, authority, &slot, deadline).await?;
        Ok(lease(channel, false, slot))
    }

    async fn open(
        self: &Arc<Self>,
        client: &Arc<Client>,
        authority: &Authority,
        slot: &Slot,
        deadline: Instant,
    ) -> Result<Channel, ConnectFailure> {
        let close_idle = |own: bool| self.close_oldest_idle(own.then_some(client.instance_id.as_str()));
        let permit = match timeout_at(deadline, self.quota.permit(slot, close_idle)).await {
            Ok(Ok(permit)) => permit,
            _ => return Err(ConnectFailure::LimitReached),
        };
        let http1_only = client.speaks(authority) == Some(Protocol::Http1Only);
        let link = client
            .connector
            .connect(authority, http1_only, permit, deadline)
            .await?;
        self.quota.counters.opened.fetch_add(1, Ordering::Relaxed);
        if !link.speaks_http2() {
            client.learn(
                authority,
                if http1_only {
                    Protocol::Http1Only
                } else {
                    Protocol::Http1
                },
            );
            return channel::http1(link).await.map(Channel::Http1);
        }
        client.learn(authority, Protocol::Http2);
        let http2 = channel::http2(link).await?;
        let stream = http2.stream().ok_or(ConnectFailure::ClosedAtOnce)?;
        client.keep_http2(authority, http2);
        self.sweep_from_time_to_time(&Handle::current());
        Ok(Channel::Http2(stream))
    }

    /// Closes the connection that has been idle for the longest time, of one instance or of any.
    fn close_oldest_idle(&self, instance_id: Option<&str>) {
        let clients = self.lock();
        let oldest = || {
            clients
                .kept
                .values()
                .filter(|client| instance_id.is_none_or(|id| client.instance_id == id))
                .filter_map(|client| Some((client.idle().into_iter().min()?, client)))
                .min_by_key(|(since, _)| *since)
        };
        while let Some((since, client)) = oldest() {
            // An exchange may have taken it meanwhile; then there is another, or one that is being closed.
            if client.close_idle_since(since) {
                return;
            }
        }
    }

    /// Starts the task that closes connections that are idle for too long, unless it runs. It ends when none is left.
    fn sweep_from_time_to_time(self: &Arc<Self>, runtime: &Handle) {
        let mut clients = self.lock();
        if std::mem::replace(&mut clients.swept, true) {
            return;
        }
        drop(clients);
        let (pool, idle) = (Arc::downgrade(self), self.limits.idle);
        runtime.spawn(async move {
            let _sweeping = Sweeping(pool.clone());
            loop {
                sleep((idle / 4).max(limits::SHORTEST)).await;
                if pool.upgrade().is_none_or(|pool| !pool.sweep()) {
                    return;
                }
            }
        });
    }

    /// Closes connections that are idle for too long, and returns whether any connection is left.
    fn sweep(&self) -> bool {
        let mut clients = self.lock();
        let expired = Instant::now().checked_sub(self.limits.idle);
        for client in clients.kept.values() {
            if let Some(expired) = expired {
                client.close_idle_since(expired);
            }
        }
        clients.swept = clients.kept.values().any(|client| client.keeps_any());
        clients.swept
    }

    fn lock(&self) -> MutexGuard<'_, Clients> {
        // Nothing panics while the lock is held.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes when it is dropped that the sweeping has ended, also where its runtime was shut down.
struct Sweeping(Weak<Pool>);

impl Drop for Sweeping {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.lock().swept = false;
        }
    }
}

impl Clients {
    fn forget(&mut self, which: impl Fn(&ClientKey) -> bool) {
        self.kept.retain(|key, client| {
            let forgotten = which(key);
            if forgotten {
                client.close();
            }
            !forgotten
        });
    }
}

impl Client {
    fn take(&self, authority: &Authority, limits: ConnectionLimits) -> Taken {
        let mut places = self.lock();
        let place = places.entry(authority.clone()).or_default();
        place.shared.retain(Http2::is_open);
        if let Some(stream) = place.shared.iter().find_map(Http2::stream) {
            return Taken::Kept(Channel::Http2(stream));
        }
        // The connection that was used last is taken, so that the others get to be closed.
        while let Some(Idle { http1, since }) = place.idle.pop() {
            if http1.is_ready() && since.elapsed() < limits.idle {
                return Taken::Kept(Channel::Http1(http1));
            }
        }
        if place.settling > 0 {
            return Taken::Settling(place.settled.clone().notified_owned());
        }
        match place.speaks {
            None | Some(Protocol::Http2) => Taken::Shareable(place.opening.clone()),
            Some(Protocol::Http1 | Protocol::Http1Only) => Taken::Nothing,
        }
    }

    fn speaks(&self, authority: &Authority) -> Option<Protocol> {
        self.lock().get(authority)?.speaks
    }

    fn learn(&self, authority: &Authority, speaks: Protocol) {
        self.lock().entry(authority.clone()).or_default().speaks = Some(speaks);
    }

    fn keep_http2(&self, authority: &Authority, http2: Http2) {
        let mut places = self.lock();
        if !self.closed.load(Ordering::Acquire) {
            places.entry(authority.clone()).or_default().shared.push(http2);
        }
    }

    fn keep_http1(&self, authority: &Authority, http1: Http1) {
        let mut places = self.lock();
        if !self.closed.load(Ordering::Acquire) {
            let since = Instant::now();
            let place = places.entry(authority.clone()).or_default();
            place.idle.push(Idle { http1, since });
        }
    }

    fn begin_settling(&self, authority: &Authority) {
        if let Some(place) = self.lock().get_mut(authority) {
            place.settling += 1;
        }
    }

    fn end_settling(&self, authority: &Authority) {
        if let Some(place) = self.lock().get_mut(authority) {
            place.settling = place.settling.saturating_sub(1);
            place.settled.notify_waiters();
        }
    }

    fn close(&self) {
        let mut places = self.lock();
        self.closed.store(true, Ordering::Release);
        places.clear();
    }

    /// The time since which each idle connection is idle.
    fn idle(&self) -> Vec<Instant> {
        let places = self.lock();
        let http1 = places.values().flat_map(|place| &place.idle);
        let http1 = http1.filter(|idle| idle.http1.is_ready()).map(|idle| idle.since);
        let http2 = places.values().flat_map(|place| &place.shared);
        let http2 = http2
            .filter(|http2| http2.is_open())
            .filter_map(Http2::idle_since);
        http1.chain(http2).collect()
    }

    /// Closes connections that have been idle since `then` or for longer, and forgets those that are closed already.
    /// Returns whether it has closed any.
    fn close_idle_since(&self, then: Instant) -> bool {
        let mut closed = false;
        for place in self.lock().values_mut() {
            place.idle.retain(|idle| idle.http1.is_ready());
            place.shared.retain(Http2::is_open);
            let before = place.idle.len() + place.shared.len();
            place.idle.retain(|idle| idle.since > then);
            place
                .shared
                .retain(|http2| http2.idle_since().is_none_or(|since| since > then));
            closed |= place.idle.len() + place.shared.len() < before;
        }
        closed
    }

    fn keeps_any(&self) -> bool {
        let places = self.lock();
        places
            .values()
            .any(|place| !place.idle.is_empty() || !place.shared.is_empty())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Authority, OriginConnections>> {
        // Nothing panics while the lock is held.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Returns the connection of an exchange whose answer has been read to the end, so that another can have it.
    pub(super) fn give_back(self) {
        if self.retired {
            return;
        }
        let Self {
            channel,
            slot,
            client,
            authority,
            pool,
            runtime,
            ..
        } = self;
        let mut http1 = match channel {
            Channel::Http1(http1) => http1,
            // The stream ends before the turn, so that the exchange that gets the turn finds the connection idle.
            Channel::Http2(stream) => return drop(stream),
        };
        if http1.is_ready() {
            client.keep_http1(&authority, http1);
            return pool.sweep_from_time_to_time(&runtime);
        }
        client.begin_settling(&authority);
        let on = runtime.clone();
        runtime.spawn(async move {
            match timeout(limits::CLOSE, http1.becomes_ready()).await {
                Ok(true) => {
                    client.keep_http1(&authority, http1);
                    pool.sweep_from_time_to_time(&on);
                }
                _ => drop(http1),
            }
            client.end_settling(&authority);
            // The turn ends last, so that the exchange that waits for it finds this connection.
            drop(slot);
        });
    }

    /// Has no further exchange begin on the connection; exchanges that wait on it may go on.
    pub(super) fn retire(&mut self) {
        self.retired = true;
        if let Channel::Http2(stream) = &self.channel {
            stream.retire();
            let mut places = self.client.lock();
            if let Some(place) = places.get_mut(&self.authority) {
                place.shared.retain(Http2::is_open);
            }
        }
    }

    pub(super) fn is_http1(&self) -> bool {
        matches!(self.channel, Channel::Http1(_))
    }

    /// Notes that the server wants HTTP/1.1, and forgets its HTTP/2 connections.
    pub(super) fn use_http1_from_now_on(&self) {
        let mut places = self.client.lock();
        let place = places.entry(self.authority.clone()).or_default();
        place.speaks = Some(Protocol::Http1Only);
        place.shared.clear();
    }

    /// Gives the connection up, and keeps the turn.
    pub(super) fn into_slot(self) -> Slot {
        self.slot
    }
}
