//! A TCP stream that can be told how to end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Ends a connection from outside, by a close or a reset. Clones are about the same connection.
#[derive(Clone, Default)]
pub(super) struct Ending(Arc<Asked>);

#[derive(Default)]
struct Asked {
    reset: AtomicBool,
    asked: Notify,
}

impl Ending {
    /// Asks for the connection to be closed, with nothing more sent on it.
    pub(super) fn close(&self) {
        self.0.asked.notify_one();
    }

    /// Asks for a TCP reset: the client loses what it has not read yet.
    pub(super) fn reset(&self) {
        self.0.reset.store(true, Ordering::Release);
        self.0.asked.notify_one();
    }

    /// Returns when a close or a reset was asked for.
    pub(super) async fn asked_for(&self) {
        self.0.asked.notified().await;
    }
}

/// The TCP stream below TLS, which ends in a reset where one was asked for.
pub(super) struct EndingTcp {
    tcp: TcpStream,
    ending: Ending,
}

impl EndingTcp {
    pub(super) fn new(tcp: TcpStream, ending: Ending) -> EndingTcp {
        EndingTcp { tcp, ending }
    }
}

impl Drop for EndingTcp {
    fn drop(&mut self) {
        if self.ending.0.reset.load(Ordering::Acquire) {
            // Without a linger time, closing a socket resets the connection.
            let _ = self.tcp.set_zero_linger();
        }
    }
}

impl AsyncRead for EndingTcp {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_read(context, into)
    }
}

impl AsyncWrite for EndingTcp {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(context)
    }
}
