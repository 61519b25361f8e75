//! An answer's body on its way to the plugin, counted.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use tracing::{Span, field};
use wasmtime_wasi_http::{Error, WasiBody};
use zeroize::Zeroizing;

use super::names::TARGET;
use crate::exchange_recording::{ExchangeRecording, failure_word};

/// A body that notes how it ended when it is dropped.
pub(super) struct BodySpan {
    inner: WasiBody,
    exchange: Span,
    span: Span,
    recorded: Option<RecordedBody>,
    bytes: u64,
    /// How the body ended. `None` until it has been read that far.
    end: Option<Result<(), Failure>>,
}

/// How a body broke off.
struct Failure {
    text: String,
    word: String,
}

/// An answer that is kept until its body has ended, to be recorded.
pub(super) struct RecordedBody {
    recording: ExchangeRecording,
    head: http::response::Parts,
    bytes: Zeroizing<Vec<u8>>,
}

impl RecordedBody {
    pub(super) fn new(recording: ExchangeRecording, head: &http::response::Parts) -> Self {
        Self {
            recording,
            head: head.clone(),
            bytes: Zeroizing::default(),
        }
    }
}

impl BodySpan {
    pub(super) fn boxed(inner: WasiBody, exchange: Span, recorded: Option<RecordedBody>) -> WasiBody {
        let span = tracing::info_span!(target: TARGET, parent: &exchange, "body", end = field::Empty);
        Self {
            inner,
            exchange,
            span,
            recorded,
            bytes: 0,
            end: None,
        }
        .boxed_unsync()
    }
}

impl Body for BodySpan {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    self.bytes += data.len() as u64;
                    if let Some(recorded) = &mut self.recorded {
                        recorded.bytes.extend_from_slice(data);
                    }
                }
            }
            Poll::Ready(Some(Err(error))) => {
                self.end = Some(Err(Failure {
                    text: error.to_string(),
                    word: failure_word(error),
                }));
            }
            Poll::Ready(None) => self.end = Some(Ok(())),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for BodySpan {
    fn drop(&mut self) {
        self.exchange.record("response_bytes", self.bytes);
        match &self.end {
            Some(Err(failure)) => self.span.record("end", failure.text.as_str()),
            Some(Ok(())) => self.span.record("end", "complete"),
            None if self.inner.is_end_stream() => self.span.record("end", "complete"),
            None => self.span.record("end", "given up"),
        };
        if let Some(RecordedBody {
            recording,
            head,
            bytes,
        }) = self.recorded.take()
        {
            let failure = self.end.take().and_then(Result::err);
            recording.answered(&head, &bytes, failure.map(|failure| failure.word));
        }
    }
}
