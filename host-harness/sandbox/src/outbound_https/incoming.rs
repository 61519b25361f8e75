//! An answer's body as it comes in, over either protocol.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};

use super::failure::{self, Failure};

/// A body as it comes from a connection.
pub(super) enum Incoming {
    Http1(hyper::body::Incoming),
    Http2(h2::RecvStream),
}

impl Incoming {
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match self {
            Self::Http1(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|error| failure::of_http1_body(&error)),
            Self::Http2(body) => {
                let polled = body.poll_data(cx).map_err(|error| failure::of_http2_body(&error));
                if let Poll::Ready(Some(Ok(data))) = &polled {
                    // The guest has this piece or has dropped it before there is more: the server may send as much
                    // again.
                    let _ = body.flow_control().release_capacity(data.len());
                }
                polled.map_ok(Frame::data)
            }
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(_) => SizeHint::default(),
        }
    }
}
