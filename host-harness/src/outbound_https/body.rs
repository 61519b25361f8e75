//! An answer's body, bounded in size and in the time between two pieces.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::Error;

use super::failure;
use crate::limits;

/// A body that ends in an error rather than be longer, or slower, than is allowed.
pub(super) struct Bounded {
    incoming: Incoming,
    left: u64,
    between_bytes: Duration,
    deadline: Pin<Box<Sleep>>,
}

impl Bounded {
    pub(super) fn new(incoming: Incoming, between_bytes: Duration) -> Self {
        Self {
            incoming,
            left: limits::RESPONSE_BODY_BYTES,
            between_bytes,
            deadline: Box::pin(tokio::time::sleep(between_bytes)),
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
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            return self.deadline.as_mut().poll(cx).map(|()| Some(Err(Error::ConnectionReadTimeout)));
        };
        let frame = match frame {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(failure::of_body(&error)))),
            Some(Ok(frame)) => frame,
        };
        let size = frame.data_ref().map_or(0, |data| data.len() as u64);
        let Some(left) = self.left.checked_sub(size) else {
            return Poll::Ready(Some(Err(Error::HttpResponseBodySize(Some(limits::RESPONSE_BODY_BYTES)))));
        };
        self.left = left;
        let next = Instant::now() + self.between_bytes;
        self.deadline.as_mut().reset(next);
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
