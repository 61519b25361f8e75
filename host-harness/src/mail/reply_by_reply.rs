//! The connection below STARTTLS: it keeps what is said in clear from counting after TLS has begun.
//!
//! The SMTP library reads ahead, and keeps what it has read when TLS begins. Whoever sits on the way could add replies
//! to the one to STARTTLS, and the library would take them for the server's replies to the commands that follow over
//! TLS (CVE-2021-38371 is one of the many of this kind).

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The first byte of a TLS handshake (RFC 8446 section 5.1). A command begins with a letter.
const TLS_HANDSHAKE: u8 = 22;

/// The most bytes that are read ahead in clear, as many as a line of a reply can have (RFC 5321 section 4.5.3.1.5).
const AHEAD_BYTES: usize = 512;

/// What was in the way of a command: bytes of the server that no command had asked for.
#[derive(Debug, thiserror::Error)]
#[error("it said more than it was asked before TLS began, which somebody on the way may have added")]
struct SpokeEarly;

/// A TCP connection that hands the server's replies over line by line until TLS begins, and fails where there is one
/// too many.
pub(super) struct ReplyByReply {
    tcp: TcpStream,
    /// Read in clear and not handed over yet.
    ahead: Vec<u8>,
    has_tls_begun: bool,
}

impl ReplyByReply {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self {
            tcp,
            ahead: Vec::with_capacity(AHEAD_BYTES),
            has_tls_begun: false,
        }
    }

    /// Checks that every reply was handed over before the client says the next thing: it sends one command at a time.
    fn before_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.has_tls_begun {
            return Ok(());
        }
        if !self.ahead.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, SpokeEarly));
        }
        self.has_tls_begun = bytes.first() == Some(&TLS_HANDSHAKE);
        Ok(())
    }
}

/// Whether an error of the SMTP library comes from bytes that no command had asked for.
pub(super) fn spoke_early(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .filter_map(|error| error.downcast_ref::<io::Error>()?.get_ref())
        .any(|inner| inner.is::<SpokeEarly>())
}

impl AsyncRead for ReplyByReply {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.has_tls_begun {
            return Pin::new(&mut this.tcp).poll_read(context, buffer);
        }
        if this.ahead.is_empty() {
            let mut bytes = [0; AHEAD_BYTES];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.tcp).poll_read(context, &mut read))?;
            this.ahead.extend_from_slice(read.filled());
        }
        // To the end of the line and no further, so that the reader asks again only where a reply has another line.
        let line = match this.ahead.iter().position(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None => this.ahead.len(),
        };
        let handed_over = this.ahead.drain(..line.min(buffer.remaining()));
        buffer.put_slice(handed_over.as_slice());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReplyByReply {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.before_write(bytes)?;
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

impl AsyncTokioStream for ReplyByReply {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.peer_addr()
    }
}

impl fmt::Debug for ReplyByReply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ReplyByReply")
    }
}
