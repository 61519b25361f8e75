//! A TCP connection to whichever address of a name answers first (RFC 8305): addresses that lead nowhere cost a quarter of
//! a second each, not a time limit each.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

/// The time after which the next address is tried beside those that have not answered ("Connection Attempt Delay",
/// RFC 8305 section 5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Connects to a host by its name or address, name resolution included, within a time limit.
///
/// # Errors
/// When the name has no address, none can be connected to, or the time is over.
pub(crate) async fn connect_to(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let deadline = Instant::now() + limit;
    let resolved = timeout_at(deadline, tokio::net::lookup_host((host, port))).await;
    let addresses = resolved.map_err(|_| late("the name was not resolved", limit))??;
    let addresses: Vec<SocketAddr> = addresses.collect();
    let connected = timeout_at(deadline, race(&addresses)).await;
    connected.map_err(|_| late("no address answered", limit))?
}

fn late(what: &str, limit: Duration) -> io::Error {
    let message = format!("{what} within {} s", limit.as_secs());
    io::Error::new(io::ErrorKind::TimedOut, message)
}

/// Connects to the first address that answers. Attempts that lose are dropped.
async fn race(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut waiting: VecDeque<_> = in_order(addresses).into();
    let mut attempts = JoinSet::new();
    let mut failure = io::Error::other("the name has no address");
    loop {
        if let Some(address) = waiting.pop_front() {
            attempts.spawn(async move { (address, TcpStream::connect(address).await) });
        }
        let next = Instant::now() + NEXT_ADDRESS;
        loop {
            tokio::select! {
                ended = attempts.join_next() => match ended {
                    Some(Ok((_, Ok(stream)))) => return Ok(stream),
                    Some(Ok((address, Err(error)))) => {
                        failure = io::Error::new(error.kind(), format!("{address}: {error}"));
                        if !waiting.is_empty() {
                            break;
                        }
                    }
                    Some(Err(error)) => failure = error.into(),
                    None => return Err(failure),
                },
                () = sleep_until(next), if !waiting.is_empty() => break,
            }
        }
    }
}

/// The order in which addresses are tried: that of the resolver, the families alternating (RFC 8305 section 4), each once.
fn in_order(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let Some(first) = addresses.first() else {
        return Vec::new();
    };
    let (mut of_first, mut of_other): (VecDeque<_>, VecDeque<_>) = addresses
        .iter()
        .partition(|address| address.is_ipv4() == first.is_ipv4());
    let mut ordered = Vec::with_capacity(addresses.len());
    while !(of_first.is_empty() && of_other.is_empty()) {
        for next in [of_first.pop_front(), of_other.pop_front()].into_iter().flatten() {
            if !ordered.contains(&next) {
                ordered.push(next);
            }
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_alternate_from_the_first_on_and_no_address_comes_twice() {
        for (resolved, expected) in [
            (&[][..], &[][..]),
            (&["192.0.2.1:1"], &["192.0.2.1:1"]),
            (
                &[
                    "[2001:db8::1]:1",
                    "[2001:db8::2]:1",
                    "[2001:db8::3]:1",
                    "192.0.2.1:1",
                    "192.0.2.2:1",
                ],
                &[
                    "[2001:db8::1]:1",
                    "192.0.2.1:1",
                    "[2001:db8::2]:1",
                    "192.0.2.2:1",
                    "[2001:db8::3]:1",
                ],
            ),
            (
                &["192.0.2.1:1", "192.0.2.1:1", "[2001:db8::1]:1"],
                &["192.0.2.1:1", "[2001:db8::1]:1"],
            ),
        ] {
            assert_eq!(in_order(&addresses(resolved)), addresses(expected));
        }
    }

    /// A listener whose queue is full, so that whoever connects hears nothing, and what fills it.
    async fn silent() -> (
        TcpListener,
        SocketAddr,
        JoinSet<io::Result<TcpStream>>,
        Vec<TcpStream>,
    ) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let (mut pending, mut kept) = (JoinSet::new(), Vec::new());
        loop {
            pending.spawn(TcpStream::connect(address));
            match tokio::time::timeout(Duration::from_millis(500), pending.join_next()).await {
                Ok(Some(Ok(Ok(stream)))) => kept.push(stream),
                Ok(other) => panic!("{other:?}"),
                Err(_) => return (listener, address, pending, kept),
            }
        }
    }

    async fn listening() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// An address that refuses connections.
    async fn closed() -> SocketAddr {
        listening().await.1
    }

    #[tokio::test]
    async fn an_address_that_is_silent_or_refuses_is_passed_over_and_the_first_that_answers_is_taken() {
        let (_queue, silent, _pending, _kept) = silent().await;
        let (_listener, live) = listening().await;
        let dead = closed().await;
        for addresses in [
            vec![live],
            vec![dead, live],
            vec![silent, dead, live],
            vec![silent, live],
        ] {
            let stream = tokio::time::timeout(LIMIT, race(&addresses))
                .await
                .unwrap()
                .unwrap();
            assert_eq!(stream.peer_addr().unwrap(), live, "{addresses:?}");
        }
    }

    #[tokio::test]
    async fn where_no_address_answers_the_last_failure_or_the_time_limit_is_told() {
        let dead = closed().await;
        let refused = race(&[dead, dead]).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(refused.to_string().contains(&dead.to_string()), "{refused}");
        assert!(race(&[]).await.is_err());
        let (_queue, silent, _pending, _kept) = silent().await;
        let limit = Duration::from_secs(1);
        let late = connect_to("127.0.0.1", silent.port(), limit).await.unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        assert_eq!(late.to_string(), "no address answered within 1 s");
    }
}
