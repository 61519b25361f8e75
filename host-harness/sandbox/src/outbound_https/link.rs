//! A connection over TLS, and what has come from the server on it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::task::{Context, Poll};

use rustls::{AlertDescription, Error as TlsError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::causes::find;
use super::quota::Permit;
use super::way::Way;

/// The name of HTTP/2 in ALPN (RFC 9113, section 3.1).
pub(super) const HTTP_2: &[u8] = b"h2";

/// A connection over TLS.
pub(super) struct Link {
    stream: TlsStream<TcpStream>,
    history: History,
    /// Given back when the socket is closed.
    _permit: Permit,
}

/// Notes what has come from the server on a connection. An alert about our certificate that comes before anything else
/// means that no request was looked at; later it means nothing of the kind.
#[derive(Clone, Debug)]
pub(super) struct History(Arc<Seen>);

#[derive(Debug)]
struct Seen {
    way: Way,
    answered: AtomicBool,
    /// The number of the alert plus one; 0 for none.
    alert: AtomicU16,
}

impl History {
    fn of(way: Way) -> Self {
        Self(Arc::new(Seen {
            way,
            answered: AtomicBool::default(),
            alert: AtomicU16::default(),
        }))
    }

    /// The way that the connection takes.
    pub(super) fn way(&self) -> &Way {
        &self.0.way
    }

    /// The alert by which the server ended the connection before it had sent anything.
    pub(super) fn first_word(&self) -> Option<AlertDescription> {
        let alert = self.0.alert.load(Ordering::Acquire).checked_sub(1)?;
        u8::try_from(alert)
            .ok()
            .filter(|_| !self.has_answer())
            .map(Into::into)
    }

    /// Whether the server has sent anything.
    pub(super) fn has_answer(&self) -> bool {
        self.0.answered.load(Ordering::Acquire)
    }

    fn failed(&self, error: &io::Error) {
        if let Some(TlsError::AlertReceived(alert)) = find(error) {
            let alert = u16::from(u8::from(*alert)).saturating_add(1);
            self.0.alert.store(alert, Ordering::Release);
        }
    }
}

impl Link {
    pub(super) fn new(stream: TlsStream<TcpStream>, way: Way, permit: Permit) -> Self {
        Self {
            stream,
            history: History::of(way),
            _permit: permit,
        }
    }

    /// The history of the connection, which goes on being written.
    pub(super) fn history(&self) -> History {
        self.history.clone()
    }

    /// Whether HTTP/2 was agreed on (RFC 7301).
    pub(super) fn speaks_http2(&self) -> bool {
        self.stream.get_ref().1.alpn_protocol() == Some(HTTP_2)
    }

    /// Reads the alert that explains a failed write, where there is one. A server that refuses our certificate in
    /// TLS 1.3 sends its alert and closes; the next write fails, and the alert would never be read.
    fn explained<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let Poll::Ready(Err(failure)) = &written else {
            return written;
        };
        if self.history.has_answer() {
            return written;
        }
        let closed_by_server = matches!(
            failure.kind(),
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted
        );
        // The buffer has no room for data of the server's: only its TLS records are looked at.
        let mut nothing = ReadBuf::new(&mut []);
        match Pin::new(&mut self.stream).poll_read(cx, &mut nothing) {
            Poll::Ready(Err(reason)) => {
                self.history.failed(&reason);
                match self.history.first_word() {
                    Some(_) => Poll::Ready(Err(reason)),
                    None => written,
                }
            }
            // A busy machine can report the failed write before it reports that there is something to read.
            _ if closed_by_server => match self.stream.get_ref().0.poll_read_ready(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(_) => written,
            },
            _ => written,
        }
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        match &polled {
            Poll::Ready(Ok(())) if buffer.filled().len() > filled => {
                self.history.0.answered.store(true, Ordering::Release);
            }
            Poll::Ready(Err(error)) => self.history.failed(error),
            _ => {}
        }
        polled
    }
}

impl AsyncWrite for Link {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.explained(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.explained(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.explained(cx, written)
    }
}
