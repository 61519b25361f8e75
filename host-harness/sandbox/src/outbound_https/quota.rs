//! Limits the connections and exchanges of each instance, and of all instances together.
//!
//! Permits are of two kinds. A [`Slot`] is one exchange: waiting happens here, in turn, and no instance has more of
//! the host's slots, or more places in the queue for them, than its own share. A [`Permit`] is one open socket. Every
//! socket that is not idle belongs to an exchange, so an exchange with a slot has to close one idle connection at most.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::task::unconstrained;

use crate::limits;

/// How many connections there may be, and for how long without use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections of one instance, and its exchanges at once.
    pub per_instance: usize,
    /// Connections of all instances, and their exchanges at once.
    pub in_all: usize,
    /// How long an idle connection is kept.
    pub idle: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            per_instance: limits::CONNECTIONS_PER_INSTANCE,
            in_all: limits::CONNECTIONS,
            idle: limits::IDLE_CONNECTION,
        }
    }
}

/// Numbers of connections since the start, and of those that are open now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionCounts {
    /// Connections that were opened, with their TLS handshakes done.
    pub opened: u64,
    /// Requests that were sent on a connection that had been used before.
    pub reused: u64,
    /// Sockets that are open now.
    pub open: usize,
    /// Connections among the open ones that no exchange uses.
    pub idle: usize,
}

/// The two limits of one instance, or of all.
struct Share {
    exchanges: Arc<Semaphore>,
    connections: Arc<Semaphore>,
}

impl Share {
    fn of(size: usize) -> Self {
        let semaphore = || Arc::new(Semaphore::new(size.clamp(1, Semaphore::MAX_PERMITS)));
        Self {
            exchanges: semaphore(),
            connections: semaphore(),
        }
    }
}

/// Hands out slots and permits. An instance keeps its share whatever becomes of its settings.
pub(super) struct Quota {
    per_instance: usize,
    all: Share,
    instances: Mutex<HashMap<String, Weak<Share>>>,
    pub(super) counters: Arc<Counters>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) opened: AtomicU64,
    pub(super) reused: AtomicU64,
    pub(super) open: AtomicUsize,
}

/// The right to one exchange.
pub(super) struct Slot {
    share: Arc<Share>,
    _own: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// The right to one open socket, held by it.
pub(super) struct Permit {
    counters: Arc<Counters>,
    _own: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.counters.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Quota {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self {
            per_instance: limits.per_instance,
            all: Share::of(limits.in_all),
            instances: Mutex::default(),
            counters: Arc::default(),
        }
    }

    fn share(&self, instance_id: &str) -> Arc<Share> {
        // Nothing panics while the lock is held.
        let mut instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = instances.get(instance_id).and_then(Weak::upgrade) {
            return share;
        }
        // Only shares in use are kept, so looking through them is short, and so is the list.
        instances.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Share::of(self.per_instance));
        instances.insert(instance_id.to_owned(), Arc::downgrade(&share));
        share
    }

    /// Waits for a turn, in the instance's queue before the host's: an instance with a thousand calls has no more
    /// places in the queue for the host's slots than its share.
    pub(super) async fn slot(&self, instance_id: &str) -> Result<Slot, AcquireError> {
        let share = self.share(instance_id);
        Ok(Slot {
            _own: share.exchanges.clone().acquire_owned().await?,
            _of_all: self.all.exchanges.clone().acquire_owned().await?,
            share,
        })
    }

    /// Waits for room for one more socket. Where there is none, `close_idle` is asked to close an idle connection: of
    /// this instance (`true`), or of any.
    pub(super) async fn permit(
        &self,
        slot: &Slot,
        close_idle: impl Fn(bool),
    ) -> Result<Permit, AcquireError> {
        let own = permit_of(&slot.share, || close_idle(true)).await?;
        let of_all = permit_of(&self.all, || close_idle(false)).await?;
        self.counters.open.fetch_add(1, Ordering::Relaxed);
        Ok(Permit {
            counters: self.counters.clone(),
            _own: own,
            _of_all: of_all,
        })
    }
}

/// Queues for a permit, then has an idle connection closed to free one. In the other order a newcomer could take the
/// freed permit, and this task would wait while another connection stays idle. Each waiting exchange has a slot and
/// no socket, so there is a permit for it: a free one, that of an idle socket, or that of a socket that is being
/// closed.
async fn permit_of(share: &Share, close_idle: impl Fn()) -> Result<OwnedSemaphorePermit, AcquireError> {
    // Unconstrained, because a task that has used up its budget would not be queued.
    let mut queued = pin!(unconstrained(share.connections.clone().acquire_owned()));
    if let Poll::Ready(permit) = poll_fn(|cx| Poll::Ready(queued.as_mut().poll(cx))).await {
        return permit;
    }
    close_idle();
    // A closed connection gives its permit back when its socket is gone.
    queued.await
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::task::{Context, Waker};

    use super::*;

    fn polled_once<F: Future>(future: F) -> Option<F::Output> {
        let mut cx = Context::from_waker(Waker::noop());
        match pin!(future).poll(&mut cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn what_was_closed_for_somebody_is_not_taken_by_who_comes_in_between() {
        let quota = Quota::new(ConnectionLimits {
            per_instance: 2,
            in_all: 2,
            ..ConnectionLimits::default()
        });
        for level in ["own", "all"] {
            let others = if level == "own" { "one" } else { "two" };
            let idle = {
                let slot = quota.slot(others).await.unwrap();
                let first = quota.permit(&slot, |_| ()).await.unwrap();
                let second = quota.permit(&slot, |_| ()).await.unwrap();
                RefCell::new(vec![first, second])
            };
            let waiting = quota.slot("one").await.unwrap();
            let between = quota.slot("one").await.unwrap();
            let taken = RefCell::new(false);
            let close_idle = |_| {
                drop(idle.borrow_mut().pop());
                let permit = polled_once(quota.permit(&between, |_| ()));
                *taken.borrow_mut() |= permit.is_some();
                // Kept, as by a socket.
                idle.borrow_mut().extend(permit.into_iter().flatten());
            };
            let permit = polled_once(quota.permit(&waiting, close_idle));
            assert!(permit.is_some_and(|permit| permit.is_ok()), "{level}");
            assert!(!*taken.borrow(), "{level}");
        }
    }
}
