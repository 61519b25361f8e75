//! Keys that open nothing: counted by the address that they come from, and slowed down. A key that opens something is never held
//! up, whoever shares its address: behind a proxy all clients have one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failed tries of one address that are answered at once. A client whose key was changed has a few before somebody looks.
const AT_ONCE: u32 = 10;

/// The time after which an address has one more try.
const ONE_MORE_AFTER: Duration = Duration::from_secs(6);

/// The time for which the answer to a try beyond [`AT_ONCE`] is held back.
pub(crate) const HELD_BACK: Duration = Duration::from_secs(1);

/// Addresses that are told apart. Those beyond share one count, so that nobody can fill the memory.
const ADDRESSES_MAX: usize = 4_096;

/// The time between two alerts: one says that it goes on, ten thousand say nothing more.
const ALERT_EVERY: Duration = Duration::from_secs(60);

/// How a failed try is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// At once.
    AtOnce,
    /// Later, because there were too many. `alert`: somebody has to be told.
    Later { alert: bool },
}

/// The failed tries of all addresses.
#[derive(Debug, Default)]
pub(crate) struct FailedTries {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    by_address: HashMap<IpAddr, Allowance>,
    others: Allowance,
    alerted_at: Option<Instant>,
}

/// How many more tries an address has, at a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Allowance {
    used: u32,
    at: Option<Instant>,
}

impl Allowance {
    /// Gives back what time has given back.
    fn refresh(&mut self, now: Instant) {
        let since = self
            .at
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let more = u32::try_from(since.as_secs() / ONE_MORE_AFTER.as_secs()).unwrap_or(u32::MAX);
        self.used = self.used.saturating_sub(more);
        self.at = match self.at {
            // What is left of the time counts for the next one.
            Some(at) if self.used > 0 => Some(at + ONE_MORE_AFTER * more),
            _ => Some(now),
        };
    }

    /// Uses one. Whether there was one.
    fn take(&mut self, now: Instant) -> bool {
        self.refresh(now);
        let is_left = self.used < AT_ONCE;
        self.used += u32::from(is_left);
        is_left
    }
}

impl FailedTries {
    /// Counts a failed try of an address.
    pub(crate) fn count(&self, address: IpAddr, now: Instant) -> Failed {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = &mut *counts;
        let address = network_of(address);
        if counts.by_address.len() >= ADDRESSES_MAX && !counts.by_address.contains_key(&address) {
            counts.by_address.retain(|_, allowance| {
                allowance.refresh(now);
                allowance.used > 0
            });
        }
        let is_full = counts.by_address.len() >= ADDRESSES_MAX;
        let allowance = match is_full && !counts.by_address.contains_key(&address) {
            true => &mut counts.others,
            false => counts.by_address.entry(address).or_default(),
        };
        if allowance.take(now) {
            return Failed::AtOnce;
        }
        let is_told = counts
            .alerted_at
            .is_some_and(|at| now.saturating_duration_since(at) < ALERT_EVERY);
        if !is_told {
            counts.alerted_at = Some(now);
        }
        Failed::Later { alert: !is_told }
    }
}

/// The network that one person has: an IPv4 address, or the first half of an IPv6 one.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let half = u128::from(address) & !u128::from(u64::MAX);
            Ipv6Addr::from(half).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(last: u32) -> IpAddr {
        Ipv4Addr::from(0x0a00_0000 + last).into()
    }

    #[test]
    fn a_few_failed_tries_are_answered_at_once_and_more_are_held_back_with_one_alert() {
        let (tries, now) = (FailedTries::default(), Instant::now());
        let count = |number: u32| {
            (0..number)
                .map(|_| tries.count(address(1), now))
                .collect::<Vec<_>>()
        };
        assert_eq!(count(AT_ONCE), vec![Failed::AtOnce; AT_ONCE as usize]);
        assert_eq!(count(1), [Failed::Later { alert: true }]);
        assert!(
            count(10_000)
                .iter()
                .all(|failed| *failed == Failed::Later { alert: false })
        );
        assert_eq!(
            tries.count(address(2), now),
            Failed::AtOnce,
            "another address has its own"
        );
        let later = now + ONE_MORE_AFTER;
        assert_eq!(tries.count(address(1), later), Failed::AtOnce);
        assert_eq!(tries.count(address(1), later), Failed::Later { alert: false });
        let much_later = now + ALERT_EVERY;
        let last: Vec<_> = (0..=AT_ONCE)
            .map(|_| tries.count(address(1), much_later))
            .collect();
        assert!(
            last.contains(&Failed::Later { alert: true }),
            "it goes on, and is told again"
        );
    }

    #[test]
    fn however_many_addresses_try_the_memory_stays_small_and_they_are_held_back_together() {
        let (tries, now) = (FailedTries::default(), Instant::now());
        let answers: Vec<_> = (0..20_000).map(|last| tries.count(address(last), now)).collect();
        assert_eq!(tries.counts.lock().unwrap().by_address.len(), ADDRESSES_MAX);
        let at_once = answers.iter().filter(|failed| **failed == Failed::AtOnce).count();
        assert_eq!(at_once, ADDRESSES_MAX + AT_ONCE as usize);
        // Those that have been quiet make room.
        let later = now + ONE_MORE_AFTER;
        assert_eq!(tries.count(address(30_000), later), Failed::AtOnce);
        assert_eq!(tries.counts.lock().unwrap().by_address.len(), 1);
    }

    #[test]
    fn addresses_of_one_network_are_one_who_tries() {
        let of = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:9::"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:203.0.113.7"), of("203.0.113.7"));
        assert_ne!(of("203.0.113.7"), of("203.0.113.8"));
    }
}
