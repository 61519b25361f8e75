//! What a client may use of the server, and why no more.

use std::time::Duration;

/// The limits of a server. The default ones are those of `bss-host serve`.
///
/// ```
/// use bss_server::Limits;
///
/// assert_eq!(Limits::default().head_bytes, 64 * 1024);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at once. One beyond waits in the queue of the operating system until another has ended. Each takes a file
    /// descriptor, of which a process has 1,024 by default: half of them are for the record and for vendors.
    pub connections: usize,
    /// The time for a TLS handshake.
    pub handshake: Duration,
    /// The time for the head of a request, from the first moment at which the connection could have had one.
    pub head: Duration,
    /// The time for the body of a request.
    pub body: Duration,
    /// The time for which a connection may have no request under way.
    pub idle: Duration,
    /// Bytes of the head of a request: method, target and header fields, counted as HTTP/2 counts them (RFC 9113, section
    /// 6.5.2), with 32 for each field. A certificate with its key, which platforms send in a header field, has 20 KiB in base64.
    pub head_bytes: usize,
    /// Bytes of the body of a request. The largest order has 10,000 lines of 60 bytes.
    pub body_bytes: usize,
    /// The time for which a client may have its request wait for an outcome (`Prefer: wait`). Proxies give up after a minute.
    pub wait: Duration,
    /// The time for which a call of a platform waits for an outcome. Nobody knows how long a platform waits for an answer; what is
    /// not known by then is answered so, and asked for again.
    pub platform_wait: Duration,
    /// The time that requests under way have to end once the server stops.
    pub stop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            head_bytes: 64 * 1024,
            body_bytes: 1024 * 1024,
            wait: Duration::from_secs(50),
            platform_wait: Duration::from_secs(25),
            stop: Duration::from_secs(20),
        }
    }
}
