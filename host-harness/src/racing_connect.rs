//! A TCP connection to whichever address of a name answers first (RFC 8305), within one time limit for all of them.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bss_sandbox::address_race::race;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

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
    let connected = connected.map_err(|_| late("no address answered", limit))?;
    let (stream, _) = connected.map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
    Ok(stream)
}

fn late(what: &str, limit: Duration) -> io::Error {
    let message = format!("{what} within {} s", limit.as_secs());
    io::Error::new(io::ErrorKind::TimedOut, message)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use tokio::net::{TcpListener, TcpSocket};
    use tokio::task::JoinSet;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

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
    async fn an_address_that_answers_is_connected_to_and_else_the_failure_or_the_time_limit_is_told() {
        let (_listener, live) = listening().await;
        let stream = connect_to("127.0.0.1", live.port(), LIMIT).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), live);
        let dead = closed().await;
        let refused = connect_to("127.0.0.1", dead.port(), LIMIT).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(refused.to_string().contains(&dead.to_string()), "{refused}");
        let (_queue, silent, _pending, _kept) = silent().await;
        let limit = Duration::from_secs(1);
        let late = connect_to("127.0.0.1", silent.port(), limit).await.unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        assert_eq!(late.to_string(), "no address answered within 1 s");
    }
}
