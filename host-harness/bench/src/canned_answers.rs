//! A vendor's answers, taken down once and given from memory afterwards.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use wasmtime_wasi_http::{Error, WasiBody};

/// The most bytes of a TLS record (RFC 8446 section 5.1), and so the most that hyper hands on at once.
const PIECE_BYTES: usize = 16 * 1024;

/// Answers by method and address. Cloning shares them.
#[derive(Clone, Default)]
pub struct CannedAnswers {
    answers: Arc<Mutex<HashMap<(Method, Uri), CannedAnswer>>>,
}

#[derive(Clone)]
struct CannedAnswer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// The bytes that a server sent, in HTTP/1.1 inside the TLS connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// The number of answers.
    pub answers: usize,
    /// Status lines and header fields.
    pub head_bytes: usize,
    /// Bodies, without the framing of chunks.
    pub body_bytes: usize,
}

impl fmt::Debug for CannedAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The answers are not shown: an access token is among them.
        f.debug_struct("CannedAnswers")
            .field("answers", &self.lock().len())
            .finish()
    }
}

impl CannedAnswers {
    /// Keeps the answer to a method and address.
    pub(super) fn take_down(&self, method: Method, uri: Uri, head: &http::response::Parts, body: Bytes) {
        let answer = CannedAnswer {
            status: head.status,
            headers: head.headers.clone(),
            body,
        };
        self.lock().insert((method, uri), answer);
    }

    /// The answer to a request, whatever its headers and body.
    pub(crate) fn answer<B>(&self, request: &http::Request<B>) -> Result<http::Response<WasiBody>, Error> {
        let asked = (request.method().clone(), request.uri().clone());
        let answer = self.lock().get(&asked).cloned();
        let Some(CannedAnswer {
            status,
            headers,
            body,
        }) = answer
        else {
            return Err(Error::InternalError(Some(format!(
                "no answer is stored for {} {}",
                asked.0,
                asked.1.path()
            ))));
        };
        let body = Pieces(body).map_err(|never| match never {}).boxed_unsync();
        let mut response = http::Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// A copy with other bodies, for answers that a simulator never sends.
    #[must_use]
    pub fn rewritten(&self, mut rewrite: impl FnMut(&Uri, &Bytes) -> Bytes) -> Self {
        let taken_down = self.lock();
        let rewritten = taken_down.iter().map(|((method, uri), answer)| {
            let answer = CannedAnswer {
                body: rewrite(uri, &answer.body),
                ..answer.clone()
            };
            ((method.clone(), uri.clone()), answer)
        });
        let answers = rewritten.collect();
        Self {
            answers: Arc::new(Mutex::new(answers)),
        }
    }

    /// The bytes of all answers, as they were sent.
    pub fn traffic(&self) -> Traffic {
        let mut traffic = Traffic::default();
        for answer in self.lock().values() {
            traffic.answers += 1;
            traffic.head_bytes += head_bytes(answer);
            traffic.body_bytes += answer.body.len();
        }
        traffic
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Method, Uri), CannedAnswer>> {
        // Nothing panics while the lock is held.
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The length of an answer's head as HTTP/1.1 writes it (RFC 9112 section 2.1).
fn head_bytes(answer: &CannedAnswer) -> usize {
    let reason = answer.status.canonical_reason().unwrap_or_default();
    let status_line = "HTTP/1.1 200 \r\n".len() + reason.len();
    let fields: usize = answer
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + ": \r\n".len() + value.len())
        .sum();
    status_line + fields + "\r\n".len()
}

/// A body that comes in pieces, as it would over a connection.
struct Pieces(Bytes);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.0.len().min(PIECE_BYTES);
        let piece = self.0.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, uri: &str) -> http::Request<()> {
        http::Request::builder().method(method).uri(uri).body(()).unwrap()
    }

    #[tokio::test]
    async fn an_answer_comes_back_whole_and_in_pieces_and_only_for_what_was_asked() {
        let canned = CannedAnswers::default();
        let body = Bytes::from(vec![7; PIECE_BYTES + 1]);
        let (head, ()) = http::Response::builder()
            .status(200)
            .header("etag", "\"1\"")
            .body(())
            .unwrap()
            .into_parts();
        let uri = "https://a.example/catalog?page=1";
        canned.take_down(Method::GET, uri.parse().unwrap(), &head, body.clone());

        let response = canned.answer(&request(Method::GET, uri)).unwrap();
        assert_eq!(response.headers()["etag"], "\"1\"");
        let mut answered = response.into_body();
        let first = answered.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first.len(), PIECE_BYTES);
        let rest = answered.collect().await.unwrap().to_bytes();
        assert_eq!(first.len() + rest.len(), body.len());

        for other in [
            request(Method::POST, uri),
            request(Method::GET, "https://a.example/catalog?page=2"),
        ] {
            assert!(canned.answer(&other).is_err());
        }
        let traffic = canned.traffic();
        assert_eq!((traffic.answers, traffic.body_bytes), (1, body.len()));
        assert_eq!(traffic.head_bytes, "HTTP/1.1 200 OK\r\netag: \"1\"\r\n\r\n".len());
    }
}
