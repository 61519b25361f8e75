//! Failed tries to sign in: few in a minute, for a name and from an address, so that nobody guesses a password.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failed tries in a minute for a name from one address: nobody who mistypes has more.
const TRIES: u32 = 5;

/// Failed tries in a minute for a name from all addresses together, and from an address for all names: so that many of one don't guess
/// on, and one doesn't keep the others out by a handful of tries.
const TRIES_OF_ALL: u32 = 50;

/// The time in which tries are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// What is remembered at most: what somebody makes up takes no memory without end, and the oldest is forgotten first.
const REMEMBERED_MAX: usize = 10_000;

/// What a try is counted for. An address of IPv6 is that of its network of 64 bits, which one subscriber has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Of {
    Both(String, Option<IpAddr>),
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
        let mut tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tries.retain(|_, tries| now.saturating_duration_since(tries.since) < WINDOW);
        let of = counted_for(name, address);
        let wait = of.iter().filter_map(|(of, most)| {
            let tries = tries.get(of).filter(|tries| tries.count >= *most)?;
            Some(WINDOW.saturating_sub(now.saturating_duration_since(tries.since)))
        });
        if let Some(wait) = wait.max() {
            return Err(wait);
        }
        for (of, _) in of {
            if tries.len() >= REMEMBERED_MAX && !tries.contains_key(&of) {
                let oldest = tries.iter().min_by_key(|(_, tries)| tries.since);
                let oldest = oldest.map(|(of, _)| of.clone());
                oldest.and_then(|oldest| tries.remove(&oldest));
            }
            let tries = tries.entry(of).or_insert(Tries { since: now, count: 0 });
            tries.count += 1;
        }
        Ok(())
    }

    /// Takes a try back that was none: the password was right.
    pub(crate) fn succeeded(&self, name: &str, address: Option<IpAddr>) {
        let mut tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (of, _) in counted_for(name, address) {
            if let Some(tries) = tries.get_mut(&of) {
                tries.count = tries.count.saturating_sub(1);
            }
        }
    }
}

/// What a try is counted for, each with the most tries.
fn counted_for(name: &str, address: Option<IpAddr>) -> Vec<(Of, u32)> {
    let name: String = name.chars().take(64).collect();
    let network = address.map(network);
    let mut of = vec![
        (Of::Both(name.clone(), network), TRIES),
        (Of::Name(name), TRIES_OF_ALL),
    ];
    of.extend(network.map(|network| (Of::Address(network), TRIES_OF_ALL)));
    of
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let mut octets = address.octets();
            octets[8..].fill(0);
            IpAddr::from(octets)
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const AWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn a_sixth_try_in_a_minute_waits_where_it_was_made_and_keeps_nobody_else_out() {
        let (tries, now) = (SignInTries::default(), Instant::now());
        for _ in 0..TRIES {
            assert_eq!(tries.begin("maria", Some(HOME), now), Ok(()));
        }
        let later = now + Duration::from_secs(20);
        assert_eq!(
            tries.begin("maria", Some(HOME), later),
            Err(Duration::from_secs(40))
        );
        assert_eq!(tries.begin("maria", Some(AWAY), later), Ok(()));
        assert_eq!(tries.begin("paul", Some(HOME), later), Ok(()));
        assert_eq!(tries.begin("maria", Some(HOME), now + WINDOW), Ok(()));
    }

    #[test]
    fn many_addresses_don_t_guess_at_one_name_and_one_network_not_at_many() {
        let (tries, now) = (SignInTries::default(), Instant::now());
        let mut of_name = 0;
        for last in 1..=255 {
            let address = IpAddr::from([192, 0, 2, last]);
            of_name += u32::from(tries.begin("maria", Some(address), now).is_ok());
        }
        assert_eq!(of_name, TRIES_OF_ALL);
        let address = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
        let mut of_network = 0;
        for number in 0..255_u16 {
            let name = number.to_string();
            of_network += u32::from(tries.begin(&name, Some(address(number)), now).is_ok());
        }
        assert_eq!(of_network, TRIES_OF_ALL);
    }

    #[test]
    fn a_right_password_counts_for_nothing_and_takes_no_other_try_back() {
        let (tries, now) = (SignInTries::default(), Instant::now());
        let mut guesses = 0;
        for number in 0..200 {
            if tries.begin("maria", Some(HOME), now).is_ok() {
                tries.succeeded("maria", Some(HOME));
            }
            let name = format!("p{number}");
            guesses += u32::from(tries.begin(&name, Some(HOME), now).is_ok());
        }
        assert_eq!(guesses, TRIES_OF_ALL);
        assert_eq!(tries.begin("maria", Some(AWAY), now), Ok(()));
    }

    #[test]
    fn names_that_somebody_makes_up_take_no_memory_without_end_and_keep_nobody_out() {
        let (tries, now) = (SignInTries::default(), Instant::now());
        for number in 0..REMEMBERED_MAX {
            let _ = tries.begin(&number.to_string(), None, now);
        }
        assert!(tries.0.lock().unwrap().len() <= REMEMBERED_MAX);
        assert_eq!(tries.begin("maria", Some(HOME), now), Ok(()));
    }
}
