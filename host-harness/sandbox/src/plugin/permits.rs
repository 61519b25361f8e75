//! Permits for sandboxes, handed out to calls in a fair order. A call waits while there is none for it.
//!
//! Tokio's semaphore serves who came first, so an instance with a thousand waiting calls would come before another's only
//! one. Here the next permit goes to the instance that holds the fewest, and among those to the call that came first:
//! however many calls an instance makes, another's first call waits for one sandbox to become free, and no longer.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::RecvError;

/// The permits of a process. Cloning shares them.
#[derive(Clone)]
pub(super) struct Permits(Arc<Shared>);

struct Shared {
    /// The most permits of one instance.
    per_instance: usize,
    state: Mutex<State>,
}

struct State {
    free: usize,
    in_use: usize,
    /// Calls that are in a queue, with those that have given up and were not noticed yet.
    waiting: usize,
    arrivals: u64,
    /// Instances that hold permits or wait for some.
    instances: HashMap<String, OfInstance>,
}

#[derive(Default)]
struct OfInstance {
    held: usize,
    queue: VecDeque<Waiting>,
}

/// A call that waits.
struct Waiting {
    arrival: u64,
    /// Where its permit goes. A permit that nobody receives any more is given back when it is dropped.
    call: oneshot::Sender<Permit>,
}

/// The right to one sandbox, until it is dropped.
pub(super) struct Permit {
    permits: Permits,
    instance: String,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.lock().give_back(&self.instance);
        self.permits.hand_out();
    }
}

impl Permits {
    /// As many permits as `in_all`, and for one instance `per_instance` of them at most.
    pub(super) fn new(in_all: usize, per_instance: usize) -> Self {
        Self(Arc::new(Shared {
            per_instance,
            state: Mutex::new(State {
                free: in_all,
                in_use: 0,
                waiting: 0,
                arrivals: 0,
                instances: HashMap::new(),
            }),
        }))
    }

    /// Takes a permit for a call of an instance, and waits for its turn where none is free.
    ///
    /// # Errors
    /// Never, as long as these permits are there.
    pub(super) async fn permit(&self, instance: &str) -> Result<Permit, RecvError> {
        let turn = {
            let mut state = self.lock();
            if state.take(instance, self.0.per_instance) {
                return Ok(self.of(instance.to_owned()));
            }
            state.queue(instance)
        };
        tracing::debug!("every sandbox that the call may have is in use, so it waits");
        turn.await
    }

    /// The number of permits that are held.
    pub(super) fn in_use(&self) -> usize {
        self.lock().in_use
    }

    /// The number of calls that wait.
    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// Hands free permits to calls that wait.
    fn hand_out(&self) {
        loop {
            let next = self.lock().next(self.0.per_instance);
            let Some((instance, call)) = next else { break };
            // A call that gave up just now drops its permit, which hands it to the next one.
            let _ = call.send(self.of(instance));
        }
    }

    fn of(&self, instance: String) -> Permit {
        Permit {
            permits: self.clone(),
            instance,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a free permit for an instance, if it may have one more. Nobody who waits is passed over: who waits while a
    /// permit is free waits for one of its own instance's.
    fn take(&mut self, instance: &str, per_instance: usize) -> bool {
        let held = self.instances.get(instance).map_or(0, |of| of.held);
        if self.free == 0 || held >= per_instance {
            return false;
        }
        self.free -= 1;
        self.in_use += 1;
        self.instances.entry(instance.to_owned()).or_default().held += 1;
        true
    }

    fn queue(&mut self, instance: &str) -> oneshot::Receiver<Permit> {
        let (call, turn) = oneshot::channel();
        let arrival = self.arrivals;
        self.arrivals += 1;
        self.waiting += 1;
        let of_instance = self.instances.entry(instance.to_owned()).or_default();
        of_instance.queue.push_back(Waiting { arrival, call });
        turn
    }

    /// Takes a free permit for the call whose turn it is, if there are both.
    fn next(&mut self, per_instance: usize) -> Option<(String, oneshot::Sender<Permit>)> {
        if self.free == 0 || self.waiting == 0 {
            return None;
        }
        self.forget_who_gave_up();
        let next = self
            .instances
            .iter()
            .filter(|(_, of)| of.held < per_instance)
            .filter_map(|(instance, of)| Some(((of.held, of.queue.front()?.arrival), instance)))
            .min();
        let instance = next?.1.clone();
        let of_instance = self.instances.get_mut(&instance)?;
        let next = of_instance.queue.pop_front()?;
        of_instance.held += 1;
        self.waiting -= 1;
        self.free -= 1;
        self.in_use += 1;
        Some((instance, next.call))
    }

    /// Removes calls that have given up from the heads of the queues.
    fn forget_who_gave_up(&mut self) {
        let waiting = &mut self.waiting;
        self.instances.retain(|_, of| {
            while of.queue.front().is_some_and(|waiting| waiting.call.is_closed()) {
                of.queue.pop_front();
                *waiting -= 1;
            }
            of.held > 0 || !of.queue.is_empty()
        });
    }

    fn give_back(&mut self, instance: &str) {
        self.free += 1;
        self.in_use -= 1;
        let Some(of_instance) = self.instances.get_mut(instance) else {
            return;
        };
        of_instance.held -= 1;
        if of_instance.held == 0 && of_instance.queue.is_empty() {
            self.instances.remove(instance);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// A call that may have its permit.
    type Call<'a> = Pin<Box<dyn Future<Output = Result<Permit, RecvError>> + 'a>>;

    /// The permit of a call, if it is its turn.
    fn turn(call: impl Future<Output = Result<Permit, RecvError>>) -> Option<Permit> {
        match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(permit) => Some(permit.unwrap()),
            Poll::Pending => None,
        }
    }

    /// A call that waits.
    fn waiting<'a>(permits: &'a Permits, instance: &'a str) -> Call<'a> {
        let mut call: Call<'a> = Box::pin(permits.permit(instance));
        assert!(turn(call.as_mut()).is_none(), "{instance} has to wait");
        call
    }

    fn taken(permits: &Permits, instance: &str, number: usize) -> Vec<Permit> {
        (0..number)
            .map(|_| turn(permits.permit(instance)).unwrap())
            .collect()
    }

    #[test]
    fn a_call_waits_while_all_permits_are_in_use_and_has_the_next_one() {
        let permits = Permits::new(2, 2);
        let mut held = taken(&permits, "one", 2);
        let mut first = waiting(&permits, "one");
        let mut second = waiting(&permits, "one");
        held.pop();
        assert!(turn(second.as_mut()).is_none(), "it came later");
        let first = turn(first.as_mut());
        assert!(first.is_some());
        assert!(turn(second.as_mut()).is_none());
        drop(first);
        assert!(turn(second.as_mut()).is_some());
    }

    #[test]
    fn an_instance_leaves_permits_to_the_others_whatever_it_asks_for() {
        let permits = Permits::new(4, 3);
        let mut held = taken(&permits, "greedy", 3);
        let mut more = waiting(&permits, "greedy");
        let others = taken(&permits, "modest", 1);
        assert_eq!(permits.in_use(), 4);
        drop(others);
        assert!(
            turn(more.as_mut()).is_none(),
            "the free permit is not for this instance"
        );
        held.pop();
        assert!(turn(more.as_mut()).is_some());
    }

    #[test]
    fn one_call_of_an_instance_comes_before_ten_thousand_of_another_that_came_earlier() {
        let permits = Permits::new(8, 8);
        let mut held = taken(&permits, "greedy", 8);
        let greedy: Vec<_> = (0..10_000).map(|_| waiting(&permits, "greedy")).collect();
        let mut modest = waiting(&permits, "modest");
        held.pop();
        assert!(turn(modest.as_mut()).is_some());
        drop(greedy);
    }

    #[test]
    fn many_instances_that_wait_have_a_permit_each_before_one_has_its_second() {
        let permits = Permits::new(6, 6);
        let mut held = taken(&permits, "first", 6);
        let names = ["a", "b", "c"];
        let mut waiting: Vec<_> = names
            .iter()
            .flat_map(|name| [(*name, waiting(&permits, name)), (*name, waiting(&permits, name))])
            .collect();
        let mut served = Vec::new();
        while held.pop().is_some() {
            waiting.retain_mut(|(name, call)| match turn(call.as_mut()) {
                Some(permit) => {
                    served.push((*name, permit));
                    false
                }
                None => true,
            });
        }
        let served: Vec<_> = served.iter().map(|(name, _)| *name).collect();
        assert_eq!(served, ["a", "b", "c", "a", "b", "c"]);
    }

    #[test]
    fn a_call_that_gives_up_takes_no_permit_along() {
        let permits = Permits::new(1, 1);
        let mut held = taken(&permits, "one", 1);
        let gone_before = waiting(&permits, "two");
        let gone_with_its_permit = waiting(&permits, "three");
        let mut left = waiting(&permits, "four");
        drop(gone_before);
        held.clear();
        assert!(turn(left.as_mut()).is_none(), "the permit is another's");
        drop(gone_with_its_permit);
        assert!(turn(left.as_mut()).is_some());
        drop(left);
        assert_eq!(permits.in_use(), 0);
        assert_eq!(permits.lock().waiting, 0);
        assert!(permits.lock().instances.is_empty(), "nothing is kept of them");
    }
}
