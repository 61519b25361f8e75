//! Failed tries to sign in: few in a minute, for a name and from an address, so that nobody guesses a password.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Failed tries in a minute, for one name and from one address each.
const TRIES: u32 = 5;

/// The time in which tries are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// Names and addresses that are remembered: what somebody makes up takes no memory without end.
const REMEMBERED_MAX: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Of {
    Name(String),
    Address(IpAddr),
}

#[derive(Debug)]
struct Tries {
    since: Instant,
    count: u32,
}

/// The failed tries of the last minute.
#[derive(Debug, Default)]
pub(crate) struct SignInTries(Mutex<HashMap<Of, Tries>>);

impl SignInTries {
    /// Counts a try before it is made, so that many at once are counted too. The time to wait where there were too many.
    pub(crate) fn begin(&self, name: &str, address: Option<IpAddr>, now: Instant) -> Result<(), Duration> {
        let mut tries = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        tries.retain(|_, tries| now.saturating_duration_since(tries.since) < WINDOW);
        let of = Self::of(name, address);
        let wait = of.iter().filter_map(|of| {
            let tries = tries.get(of).filter(|tries| tries.count >= TRIES)?;
            Some(WINDOW.saturating_sub(now.saturating_duration_since(tries.since)))
        });
        if let Some(wait) = wait.max() {
            return Err(wait);
        }
        if tries.len() + of.len() > REMEMBERED_MAX {
            return Err(WINDOW);
        }
        for of in of {
            let tries = tries.entry(of).or_insert(Tries { since: now, count: 0 });
            tries.count += 1;
        }
        Ok(())
    }

    /// Takes a try back that was none: the password was right.
    pub(crate) fn succeeded(&self, name: &str, address: Option<IpAddr>) {
        let mut tries = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for of in Self::of(name, address) {
            tries.remove(&of);
        }
    }

    fn of(name: &str, address: Option<IpAddr>) -> Vec<Of> {
        let name = Of::Name(name.chars().take(64).collect());
        [Some(name), address.map(Of::Address)]
            .into_iter()
            .flatten()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const AWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn a_sixth_try_in_a_minute_waits_for_the_name_and_for_the_address() {
        let (tries, now) = (SignInTries::default(), Instant::now());
        for _ in 0..TRIES {
            assert_eq!(tries.begin("maria", Some(HOME), now), Ok(()));
        }
        let later = now + Duration::from_secs(20);
        let wait = Err(Duration::from_secs(40));
        assert_eq!(tries.begin("maria", Some(AWAY), later), wait);
        assert_eq!(tries.begin("paul", Some(HOME), later), wait);
        assert_eq!(tries.begin("paul", Some(AWAY), later), Ok(()));
        assert_eq!(tries.begin("maria", Some(HOME), now + WINDOW), Ok(()));
    }

    #[test]
    fn a_right_password_counts_for_nothing() {
        let (tries, now) = (SignInTries::default(), Instant::now());
        for _ in 0..20 {
            assert_eq!(tries.begin("maria", Some(HOME), now), Ok(()));
            tries.succeeded("maria", Some(HOME));
        }
    }

    #[test]
    fn names_that_somebody_makes_up_take_no_memory_without_end() {
        let (tries, now) = (SignInTries::default(), Instant::now());
        for number in 0..2 * REMEMBERED_MAX {
            let _ = tries.begin(&number.to_string(), None, now);
        }
        assert!(tries.0.lock().unwrap().len() <= REMEMBERED_MAX);
    }
}
