//! Answers a request rightly, or wrongly with the fault that was ordered for it.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use serde_json::{Map, Value};
use tokio::time::{Sleep, sleep};

use super::faults::{Fault, Rewriting, When};

/// The part of a huge answer that is sent at once.
const HUGE_CHUNK: Bytes = Bytes::from_static(&[b' '; 16 * 1024]);

/// What happens to a request.
pub(super) enum Outcome {
    /// The request is answered.
    Answer(Response<AnswerBody>),
    /// The connection is closed.
    Close,
    /// The connection is reset.
    Reset,
    /// The stream is refused.
    Refuse,
}

/// A whole answer, as a site makes it.
pub(super) type Answer = Response<Bytes>;

/// A JSON answer. `T` is one of the simulator's own types, which all serialize.
pub(super) fn json<T: serde::Serialize>(status: StatusCode, body: &T) -> Answer {
    let Ok(body) = serde_json::to_vec(body) else {
        return with_body(
            StatusCode::INTERNAL_SERVER_ERROR,
            "text/plain",
            Bytes::from_static(b"not serializable"),
        );
    };
    with_body(status, "application/json", Bytes::from(body))
}

fn with_body(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// Answers a request: `act` does what was asked for, `refuse` words a refusal in the site's own form.
pub(super) async fn answer(
    fault: Option<Fault>,
    act: impl Future<Output = Answer>,
    refuse: impl FnOnce(StatusCode, &str, Option<u32>) -> Answer,
) -> Outcome {
    let Some(fault) = fault else {
        return whole(act.await);
    };
    let when = match fault {
        Fault::Close(when) | Fault::Reset(when) | Fault::Html(_, when) | Fault::NotJson(when) => when,
        Fault::Refusal { .. } | Fault::RefuseStream => When::BeforeActing,
        Fault::CutAnswer
        | Fault::DelayAnswer(_)
        | Fault::HugeAnswer(_)
        | Fault::SlowAnswer(_)
        | Fault::Rewritten(_)
        | Fault::RepeatContinuation => When::AfterActing,
    };
    let acted = match when {
        When::BeforeActing => Response::new(Bytes::new()),
        When::AfterActing => act.await,
    };
    match fault {
        Fault::Close(_) => Outcome::Close,
        Fault::Reset(_) => Outcome::Reset,
        Fault::RefuseStream => Outcome::Refuse,
        Fault::CutAnswer => cut(acted),
        Fault::DelayAnswer(delay) => {
            sleep(delay).await;
            whole(acted)
        }
        Fault::Html(status, _) => whole(html(status_or_500(status))),
        Fault::NotJson(_) => whole(with_body(
            StatusCode::OK,
            "application/json",
            Bytes::from_static(b"<not json at all>"),
        )),
        Fault::Refusal {
            status,
            code,
            retry_after,
        } => whole(refuse(status_or_500(status), &code, retry_after)),
        Fault::HugeAnswer(bytes) => huge(bytes),
        Fault::SlowAnswer(pause) => acted
            .map(|body| AnswerBody::Slow {
                left: body,
                pause,
                waiting: None,
            })
            .into(),
        Fault::Rewritten(rewriting) => whole(rewritten(acted, rewriting)),
        Fault::RepeatContinuation => whole(acted),
    }
}

impl From<Response<AnswerBody>> for Outcome {
    fn from(response: Response<AnswerBody>) -> Outcome {
        Outcome::Answer(response)
    }
}

pub(super) fn whole(answer: Answer) -> Outcome {
    answer.map(|body| AnswerBody::Whole(Some(body))).into()
}

fn status_or_500(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn html(status: StatusCode) -> Answer {
    let page = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>\n");
    with_body(status, "text/html", Bytes::from(page))
}

fn rewritten(mut acted: Answer, rewriting: Rewriting) -> Answer {
    let body = std::mem::take(acted.body_mut());
    let body = match rewriting {
        Rewriting::Member(name, value) => with_member(&body, name, value).unwrap_or(body),
        Rewriting::Gzip => {
            let coding = HeaderValue::from_static("gzip");
            acted.headers_mut().insert(CONTENT_ENCODING, coding);
            gzip(&body).unwrap_or(body)
        }
        Rewriting::ByteOrderMark => ["\u{FEFF}".as_bytes(), &body].concat().into(),
    };
    acted.map(|_| body)
}

/// An object with another value of a member. `None`: the body is no object.
fn with_member(body: &[u8], name: &str, value: Value) -> Option<Bytes> {
    let mut object: Map<String, Value> = serde_json::from_slice(body).ok()?;
    object.insert(name.to_owned(), value);
    Some(serde_json::to_vec(&object).ok()?.into())
}

fn gzip(body: &[u8]) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    Ok(encoder.finish()?.into())
}

fn cut(mut acted: Answer) -> Outcome {
    let length = HeaderValue::from(acted.body().len());
    acted.headers_mut().insert(CONTENT_LENGTH, length);
    acted
        .map(|mut body| AnswerBody::Cut {
            half: Some(body.split_to(body.len() / 2)),
            flushed: false,
        })
        .into()
}

fn huge(bytes: u64) -> Outcome {
    let answer = with_body(
        StatusCode::OK,
        "application/json",
        Bytes::from_static(b"{\"items\": ["),
    );
    answer
        .map(|start| AnswerBody::Huge {
            start: Some(start),
            left: bytes,
        })
        .into()
}

/// The body of an answer, and how it is spoilt.
pub(super) enum AnswerBody {
    Whole(Option<Bytes>),
    Cut {
        half: Option<Bytes>,
        flushed: bool,
    },
    Huge {
        start: Option<Bytes>,
        left: u64,
    },
    Slow {
        left: Bytes,
        pause: Duration,
        waiting: Option<Pin<Box<Sleep>>>,
    },
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let data = |bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        match self.get_mut() {
            AnswerBody::Whole(body) => body.take().map_or(Poll::Ready(None), data),
            AnswerBody::Cut { half, flushed } => match half.take() {
                Some(half) => data(half),
                // hyper writes out what it has when a body is not ready, and forgets it when a body fails.
                None if !*flushed => {
                    *flushed = true;
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                None => Poll::Ready(Some(Err(io::Error::other(
                    "the simulator cuts the answer off here",
                )))),
            },
            AnswerBody::Huge { start, left } => match start.take() {
                Some(start) => data(start),
                None if *left == 0 => Poll::Ready(None),
                None => {
                    *left = left.saturating_sub(HUGE_CHUNK.len() as u64);
                    data(HUGE_CHUNK)
                }
            },
            AnswerBody::Slow { left, pause, waiting } => {
                if left.is_empty() {
                    return Poll::Ready(None);
                }
                let wait = waiting.get_or_insert_with(|| Box::pin(sleep(*pause)));
                std::task::ready!(wait.as_mut().poll(context));
                *waiting = None;
                data(left.split_to(1))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, AnswerBody::Whole(body) if body.as_ref().is_none_or(Bytes::is_empty))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            AnswerBody::Whole(body) => {
                SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64))
            }
            AnswerBody::Slow { left, .. } => SizeHint::with_exact(left.len() as u64),
            AnswerBody::Cut { .. } | AnswerBody::Huge { .. } => SizeHint::default(),
        }
    }
}
