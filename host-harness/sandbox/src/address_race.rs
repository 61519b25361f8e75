//! Connects to one of a name's addresses: they are raced, so that dead ones cost next to nothing (RFC 8305).

use std::collections::VecDeque;
use std::fmt;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::Instrument as _;

use crate::{call_trace as trace, limits};

/// The longest time between the beginnings of two attempts: the "Connection Attempt Delay" (RFC 8305, section 5).
pub const NEXT_ATTEMPT: Duration = Duration::from_millis(250);

/// The shortest time between the beginnings of two attempts, which RFC 8305, section 5, never lets be shorter.
pub const NEXT_ATTEMPT_MIN: Duration = Duration::from_millis(10);

/// Time in which an attempt at every address has begun, however many there are: a name with many dead addresses is
/// connected to within a second as well.
pub const ALL_BEGUN: Duration = Duration::from_millis(900);

/// Attempts under way at once. Where there are more addresses, the oldest attempt is given up for another one.
pub const ATTEMPTS_AT_ONCE: usize = 16;

/// Attempts of all races of the process beyond the first of each, whose socket its exchange has a permit for: an eighth of the
/// 1,024 files that a process may commonly have open. In a race that finds none left, an attempt is given up for the next one.
pub const FURTHER_ATTEMPTS: usize = 128;

static FURTHER: Semaphore = Semaphore::const_new(FURTHER_ATTEMPTS);

/// The time that an attempt has at least before it is given up for another one.
const GIVEN_UP_AFTER: Duration = NEXT_ATTEMPT;

/// Why none of several addresses could be connected to.
#[derive(Debug)]
pub struct NoConnection(Vec<(SocketAddr, io::Error)>);

impl NoConnection {
    /// The failed attempts, in the order in which they ended.
    pub(crate) fn to(attempts: impl IntoIterator<Item = (SocketAddr, io::Error)>) -> Self {
        Self(attempts.into_iter().collect())
    }

    /// The kind that stands for all attempts: a time-out if there was one, else that of the last attempt.
    pub fn kind(&self) -> io::ErrorKind {
        let mut kinds = self.0.iter().map(|(_, error)| error.kind());
        match kinds.clone().any(|kind| kind == io::ErrorKind::TimedOut) {
            true => io::ErrorKind::TimedOut,
            false => kinds.next_back().unwrap_or(io::ErrorKind::AddrNotAvailable),
        }
    }
}

/// The most addresses that an error names.
const NAMED: usize = 4;

impl fmt::Display for NoConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no connection could be opened")?;
        for (number, (address, error)) in self.0.iter().take(NAMED).enumerate() {
            let before = if number == 0 { " (" } else { ", " };
            match error.kind() {
                io::ErrorKind::TimedOut => write!(f, "{before}{address}: no answer in time")?,
                _ => write!(f, "{before}{address}: {error}")?,
            }
        }
        match self.0.len() {
            0 => Ok(()),
            all if all > NAMED => write!(f, ", {} more)", all - NAMED),
            _ => f.write_str(")"),
        }
    }
}

impl std::error::Error for NoConnection {}

/// Connects to the first address that takes a connection; the attempts at the others are given up. Each attempt has
/// [`limits::CONNECT`].
///
/// # Errors
/// When no address takes a connection.
pub async fn race(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), NoConnection> {
    race_by(addresses, &FURTHER, |address| {
        let connecting = async move {
            let connected = timeout(limits::CONNECT, TcpStream::connect(address)).await;
            let stream = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
            // Requests are written whole; waiting for more only delays the last segment.
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        connecting.instrument(trace::step!("connect", address = address))
    })
    .await
}

/// An attempt under way.
struct Attempt {
    address: SocketAddr,
    begun_at: Instant,
    task: AbortHandle,
    /// The attempt's place among those of all races. `None`: it is the one that each race may have anyway.
    room: Option<SemaphorePermit<'static>>,
}

/// Races attempts of any kind.
async fn race_by<S: Send + 'static, F>(
    addresses: &[SocketAddr],
    further: &'static Semaphore,
    attempt: impl Fn(SocketAddr) -> F,
) -> Result<(S, SocketAddr), NoConnection>
where
    F: Future<Output = io::Result<S>> + Send + 'static,
{
    let mut waiting = families_alternating(addresses);
    let pause = pause_between(waiting.len());
    let mut running: JoinSet<(SocketAddr, io::Result<S>)> = JoinSet::new();
    let mut oldest: VecDeque<Attempt> = VecDeque::new();
    let mut failed = Vec::new();
    let mut next_at = Instant::now();
    loop {
        if waiting.is_empty() && running.is_empty() {
            return Err(NoConnection::to(failed));
        }
        let next = async {
            match waiting.is_empty() {
                true => pending().await,
                false => sleep_until(next_at).await,
            }
        };
        tokio::select! {
            biased;
            Some(ended) = running.join_next(), if !running.is_empty() => match ended {
                Ok((address, Ok(stream))) => return Ok((stream, address)),
                Ok((address, Err(error))) => {
                    oldest.retain(|attempt| attempt.address != address);
                    failed.push((address, error));
                    next_at = Instant::now();
                }
                // Given up, which is noted already.
                Err(_) => {}
            },
            () = next => {
                let mut room = match oldest.len() {
                    1..ATTEMPTS_AT_ONCE => further.try_acquire().ok(),
                    _ => None,
                };
                if room.is_none()
                    && let Some(first) = oldest.front()
                {
                    let until = first.begun_at + GIVEN_UP_AFTER;
                    if Instant::now() < until {
                        next_at = until;
                        continue;
                    }
                    if let Some(given_up) = oldest.pop_front() {
                        given_up.task.abort();
                        failed.push((given_up.address, io::ErrorKind::TimedOut.into()));
                        // The place passes to the next attempt, so that a race never has more than it was given.
                        room = given_up.room;
                    }
                }
                let Some(address) = waiting.pop_front() else { continue };
                let attempt = attempt(address);
                oldest.push_back(Attempt {
                    address,
                    begun_at: Instant::now(),
                    task: running.spawn(async move { (address, attempt.await) }),
                    room,
                });
                next_at = Instant::now() + pause;
            }
        }
    }
}

/// The time between the beginnings of two attempts.
fn pause_between(addresses: usize) -> Duration {
    let gaps = u32::try_from(addresses.saturating_sub(1).max(1)).unwrap_or(u32::MAX);
    (ALL_BEGUN / gaps).clamp(NEXT_ATTEMPT_MIN, NEXT_ATTEMPT)
}

/// The addresses, each once, with the families in turn, beginning with the first (RFC 8305, section 4).
fn families_alternating(addresses: &[SocketAddr]) -> VecDeque<SocketAddr> {
    let mut unique: Vec<SocketAddr> = Vec::with_capacity(addresses.len());
    for address in addresses {
        if !unique.contains(address) {
            unique.push(*address);
        }
    }
    let is_first_family = |address: &SocketAddr| address.is_ipv4() == unique[0].is_ipv4();
    let (mut first, mut second): (VecDeque<_>, VecDeque<_>) =
        unique.iter().copied().partition(is_first_family);
    let mut ordered = VecDeque::with_capacity(unique.len());
    while !(first.is_empty() && second.is_empty()) {
        ordered.extend(first.pop_front());
        ordered.extend(second.pop_front());
    }
    ordered
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    fn v6(count: usize) -> Vec<SocketAddr> {
        let numbered = |number| format!("[2001:db8::{number:x}]:443").parse().unwrap();
        (1..=count).map(numbered).collect()
    }

    fn v4(count: usize) -> Vec<SocketAddr> {
        let numbered = |number| SocketAddr::from(([192, 0, 2, u8::try_from(number).unwrap()], 443));
        (1..=count).map(numbered).collect()
    }

    /// How an address behaves.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Is {
        Live,
        Slow,
        Silent,
        Refusing,
    }

    /// Attempts that were begun, and how many were under way at once.
    #[derive(Clone, Default)]
    struct Attempts {
        begun: Arc<Mutex<Vec<SocketAddr>>>,
        now: Arc<AtomicUsize>,
        most: Arc<AtomicUsize>,
    }

    struct UnderWay(Attempts);

    impl Attempts {
        fn begin(&self, address: SocketAddr) -> UnderWay {
            self.begun.lock().unwrap().push(address);
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            UnderWay(self.clone())
        }

        fn begun(&self) -> Vec<SocketAddr> {
            self.begun.lock().unwrap().clone()
        }
    }

    impl Drop for UnderWay {
        fn drop(&mut self) {
            self.0.now.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Races addresses that behave as `is` says. A silent one stays silent for good, so that whoever waits for it never ends.
    async fn raced(
        all: &[SocketAddr],
        is: impl Fn(SocketAddr) -> Is,
    ) -> (Result<SocketAddr, NoConnection>, Attempts) {
        raced_with(&FURTHER, all, is).await
    }

    async fn raced_with(
        further: &'static Semaphore,
        all: &[SocketAddr],
        is: impl Fn(SocketAddr) -> Is,
    ) -> (Result<SocketAddr, NoConnection>, Attempts) {
        let attempts = Attempts::default();
        let racing = race_by(all, further, |address| {
            let (is, attempts) = (is(address), attempts.clone());
            async move {
                let _under_way = attempts.begin(address);
                match is {
                    Is::Live => Ok(()),
                    Is::Slow => {
                        tokio::time::sleep(ALL_BEGUN * 2).await;
                        Ok(())
                    }
                    Is::Silent => pending().await,
                    Is::Refusing => Err(io::ErrorKind::ConnectionRefused.into()),
                }
            }
        });
        let ended = timeout(Duration::from_secs(30), racing).await.expect("it ends");
        while attempts.now.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
        (ended.map(|((), address)| address), attempts)
    }

    #[tokio::test]
    async fn any_number_of_silent_addresses_lets_a_live_one_be_reached() {
        for dead in [1, 8, 60] {
            for (silent, live) in [(v6(dead), v4(1)[0]), (v4(dead), v4(dead + 1)[dead])] {
                let all = [silent, vec![live]].concat();
                let is = |address| if address == live { Is::Live } else { Is::Silent };
                let (won, attempts) = raced(&all, is).await;
                assert_eq!(won.unwrap(), live, "{dead}");
                let most = attempts.most.load(Ordering::SeqCst);
                assert!(most <= ATTEMPTS_AT_ONCE, "{dead}: {most}");
            }
        }
    }

    #[tokio::test]
    async fn where_too_many_are_under_way_elsewhere_one_attempt_takes_the_place_of_another() {
        static NONE: Semaphore = Semaphore::const_new(0);
        let all = v4(9);
        let is = |address| if address == all[8] { Is::Live } else { Is::Silent };
        let (won, attempts) = raced_with(&NONE, &all, is).await;
        assert_eq!(won.unwrap(), all[8]);
        assert_eq!(attempts.most.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn attempts_are_a_quarter_of_a_second_apart_and_many_of_them_begin_within_a_second() {
        for few in 0..=4 {
            assert_eq!(pause_between(few), NEXT_ATTEMPT, "{few}");
        }
        for many in [9, 20, 60] {
            let pause = pause_between(many);
            assert!(
                pause * (many as u32 - 1) <= ALL_BEGUN && pause >= NEXT_ATTEMPT_MIN,
                "{many}"
            );
        }
        assert_eq!(pause_between(10_000), NEXT_ATTEMPT_MIN);
    }

    #[tokio::test]
    async fn an_address_that_answers_is_the_only_one_that_is_tried() {
        let all = [v6(2), v4(2)].concat();
        let (won, attempts) = raced(&all, |_| Is::Live).await;
        assert_eq!(won.unwrap(), all[0]);
        assert_eq!(attempts.begun(), [all[0]]);
    }

    #[tokio::test]
    async fn the_other_family_comes_second() {
        let all = [v6(8), v4(1)].concat();
        let is = |address: SocketAddr| if address.is_ipv4() { Is::Live } else { Is::Silent };
        let (won, attempts) = raced(&all, is).await;
        assert_eq!(won.unwrap(), all[8]);
        assert_eq!(attempts.begun(), [all[0], all[8]]);
    }

    #[tokio::test]
    async fn an_address_that_refuses_lets_the_next_begin_at_once() {
        let all = v4(200);
        let began = Instant::now();
        let is = |address| {
            if address == all[199] {
                Is::Live
            } else {
                Is::Refusing
            }
        };
        let (won, attempts) = raced(&all, is).await;
        assert_eq!(won.unwrap(), all[199]);
        assert_eq!(attempts.begun(), all);
        // The pauses alone would be 2 s.
        assert!(began.elapsed() < NEXT_ATTEMPT_MIN * 199, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_slow_address_wins_where_the_others_are_silent_or_refuse() {
        let all = v4(6);
        let is = |address| match address {
            _ if address == all[1] => Is::Slow,
            _ if address == all[3] => Is::Refusing,
            _ => Is::Silent,
        };
        let (won, _) = raced(&all, is).await;
        assert_eq!(won.unwrap(), all[1]);
    }

    #[tokio::test]
    async fn where_none_answers_the_error_names_the_addresses_and_tells_silence_from_refusal() {
        let all = v4(6);
        let silence = |address: SocketAddr| async move {
            match address.ip().to_string().ends_with('2') {
                true => Err::<(), _>(io::ErrorKind::ConnectionRefused.into()),
                false => Err(io::ErrorKind::TimedOut.into()),
            }
        };
        let none = race_by(&all, &FURTHER, silence).await.unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::TimedOut);
        let said = none.to_string();
        for part in [
            "192.0.2.1:443: no answer in time",
            "192.0.2.2:443: connection refused",
            ", 2 more)",
        ] {
            assert!(said.contains(part), "{said}");
        }
        let (refused, _) = raced(&all[..1], |_| Is::Refusing).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let (nowhere, _) = raced(&[], |_| Is::Live).await;
        assert_eq!(nowhere.unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[tokio::test]
    async fn a_server_whose_queue_is_full_does_not_keep_another_waiting() {
        // Where the system leaves a connection waiting that finds no place in the queue, the address is silent.
        let full = TcpSocket::new_v4().unwrap();
        full.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let full = full.listen(1).unwrap();
        let silent = full.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(Ok(queued)) = timeout(Duration::from_millis(200), TcpStream::connect(silent)).await {
            queue.push(queued);
            assert!(queue.len() < 100, "the queue is never full");
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let live = listener.local_addr().unwrap();
        let began = Instant::now();
        let (stream, address) = race(&[silent, live]).await.unwrap();
        assert_eq!((address, stream.peer_addr().unwrap()), (live, live));
        assert!(began.elapsed() < limits::CONNECT);
    }

    proptest! {
        #[test]
        fn every_address_is_tried_once_and_no_family_waits_for_all_of_the_other(
            families in proptest::collection::vec(any::<bool>(), 0..30),
        ) {
            let all: Vec<SocketAddr> = families.iter().enumerate().map(|(number, is_v4)| match is_v4 {
                true => v4(number + 1)[number],
                false => v6(number + 1)[number],
            }).collect();
            let twice = [all.clone(), all.clone()].concat();
            let ordered: Vec<SocketAddr> = families_alternating(&twice).into();
            prop_assert_eq!(ordered.first(), all.first());
            if all.iter().any(SocketAddr::is_ipv4) && all.iter().any(SocketAddr::is_ipv6) {
                prop_assert_ne!(ordered[0].is_ipv4(), ordered[1].is_ipv4());
            }
            for family in [SocketAddr::is_ipv4, SocketAddr::is_ipv6] {
                let of = |list: &[SocketAddr]| -> Vec<SocketAddr> {
                    list.iter().filter(|address| family(address)).copied().collect()
                };
                prop_assert_eq!(of(&ordered), of(&all), "the resolver's order stays");
            }
        }
    }
}
