//! An answer's body, bounded in size and in the time between two pieces.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::Error;

use super::failure::Failure;
use super::incoming::Incoming;
use super::pool::Lease;
use crate::limits;

/// A body that ends in an error rather than be longer, or slower, than is allowed.
pub(super) struct Bounded {
    incoming: Incoming,
    /// The connection that the body comes from, until it is given back.
    lease: Option<Lease>,
    left: u64,
    between_bytes: Duration,
    deadline: Pin<Box<Sleep>>,
}

impl Bounded {
    pub(super) fn new(incoming: Incoming, lease: Lease, between_bytes: Duration) -> Self {
        let mut body = Self {
            incoming,
            lease: Some(lease),
            left: limits::RESPONSE_BODY_BYTES,
            between_bytes,
            deadline: Box::pin(tokio::time::sleep(between_bytes)),
        };
        body.return_connection_at_the_end();
        body
    }

    /// Returns the connection as soon as the body is complete: a reader need not poll for the final `None`.
    fn return_connection_at_the_end(&mut self) {
        if self.incoming.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Poll::Ready(frame) = self.incoming.poll_frame(cx) else {
            ready!(self.deadline.as_mut().poll(cx));
            if let Some(mut lease) = self.lease.take() {
                lease.retire();
            }
            return Poll::Ready(Some(Err(Failure::BodyNotInTime.error_code())));
        };
        let frame = match frame {
            None => {
                if let Some(lease) = self.lease.take() {
                    lease.give_back();
                }
                return Poll::Ready(None);
            }
            Some(Err(failure)) => return Poll::Ready(Some(Err(failure.error_code()))),
            Some(Ok(frame)) => frame,
        };
        let size = frame.data_ref().map_or(0, |data| data.len() as u64);
        let Some(left) = self.left.checked_sub(size) else {
            return Poll::Ready(Some(Err(Failure::BodyTooLarge.error_code())));
        };
        self.left = left;
        let next = Instant::now() + self.between_bytes;
        self.deadline.as_mut().reset(next);
        self.return_connection_at_the_end();
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
