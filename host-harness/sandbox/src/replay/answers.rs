//! Answers a replayed call's requests with the recorded answers.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http_body_util::{BodyExt, Full};
use wasmtime_wasi_http::{Error, WasiBody};

use super::difference::Difference;
use super::sent::Sent;
use crate::exchange_recording::{RecordedExchange, RecordedRequest, Scrubber, differences, failure};
use crate::outbound_https::{Answering, Egress, PermittedAuthority, Transport};

/// How like the recorded request one has to be that gets its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Matching {
    /// Of the same address.
    Exactly,
    /// Of the same method: another purchase may have another address.
    Roughly,
}

/// Answers one call's requests in place of the network.
pub(super) struct Replay(Mutex<Answers>);

struct Answers {
    /// The recorded exchanges that the plugin has not asked for yet.
    left: Vec<RecordedExchange>,
    scrubber: Scrubber,
    matching: Matching,
    sent: Vec<Sent>,
    differences: Vec<Difference>,
}

impl Replay {
    pub(super) fn new(exchanges: Vec<RecordedExchange>, scrubber: Scrubber, matching: Matching) -> Self {
        Self(Mutex::new(Answers {
            left: exchanges,
            scrubber,
            matching,
            sent: Vec::new(),
            differences: Vec::new(),
        }))
    }

    /// The requests that were made, and all differences, among them the recorded requests that were not made.
    pub(super) fn end(&self) -> (Vec<Sent>, Vec<Difference>) {
        let mut answers = self.lock();
        let left = std::mem::take(&mut answers.left);
        answers.differences.extend(left.iter().map(|exchange| Difference {
            exchange: Some(exchange.number),
            what: "request".to_owned(),
            recorded: format!("{} {}", exchange.request.method, exchange.request.url),
            now: String::new(),
        }));
        let sent = std::mem::take(&mut answers.sent);
        (sent, std::mem::take(&mut answers.differences))
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for Replay {
    fn answer<'a>(
        &'a self,
        _: &'a Egress,
        _: &'a PermittedAuthority,
        request: http::Request<Bytes>,
    ) -> Answering<'a> {
        let mut answers = self.lock();
        let asked = answers.scrubber.request(&request);
        let exchange = answers.next(&asked);
        let number = exchange.as_ref().ok().map(|exchange| exchange.number);
        answers.sent.push(Sent::new(number, &request, &asked));
        Box::pin(std::future::ready(
            exchange.and_then(|exchange| response(&exchange)),
        ))
    }

    fn denied(&self, request: &http::Request<WasiBody>) {
        let mut answers = self.lock();
        let asked = answers.scrubber.denied(request.method(), request.uri());
        // The policy's answer stands; this one only notes differences.
        let _ = answers.next(&asked);
    }
}

impl Answers {
    /// The recorded exchange of a request. Notes the differences between the two.
    fn next(&mut self, asked: &RecordedRequest) -> Result<RecordedExchange, Error> {
        let Some(position) = self.position(asked) else {
            self.differences.push(Difference {
                exchange: None,
                what: "request".to_owned(),
                recorded: String::new(),
                now: format!("{} {}", asked.method, asked.url),
            });
            return Err(Error::InternalError(Some(
                "the recording has no answer to this request".to_owned(),
            )));
        };
        let exchange = self.left.remove(position);
        if position > 0 {
            self.differences.push(Difference {
                exchange: Some(exchange.number),
                what: "order".to_owned(),
                recorded: format!("after {position} other requests"),
                now: "before those requests".to_owned(),
            });
        }
        let differs = differences(&exchange.request, asked).into_iter();
        self.differences
            .extend(differs.map(|(what, recorded, now)| Difference {
                exchange: Some(exchange.number),
                what,
                recorded,
                now,
            }));
        Ok(exchange)
    }

    /// The exchange that a request is taken for: the next one of its address; else the next one, if only the query
    /// differs; else the next one that is like it as far as is asked for.
    fn position(&self, asked: &RecordedRequest) -> Option<usize> {
        let same = |exchange: &RecordedExchange| {
            exchange.request.method == asked.method && exchange.request.url == asked.url
        };
        let path = |url: &str| url.split('?').next().unwrap_or_default().to_owned();
        let alike = |exchange: &RecordedExchange| {
            exchange.request.method == asked.method && path(&exchange.request.url) == path(&asked.url)
        };
        let same_method = |exchange: &RecordedExchange| {
            self.matching == Matching::Roughly && exchange.request.method == asked.method
        };
        let mut left = self.left.iter();
        left.position(same)
            .or_else(|| self.left.first().is_some_and(alike).then_some(0))
            .or_else(|| self.left.iter().position(same_method))
    }
}

fn response(exchange: &RecordedExchange) -> Result<http::Response<WasiBody>, Error> {
    let failure = exchange.failure.as_deref().map(failure::of_word);
    let Some(recorded) = &exchange.response else {
        return Err(failure.unwrap_or(Error::ConnectionTerminated));
    };
    let whole = Full::new(recorded.body.bytes()).map_err(|never| match never {});
    let body = match failure {
        None => whole.boxed_unsync(),
        Some(failure) => whole
            .with_trailers(std::future::ready(Some(Err(failure))))
            .boxed_unsync(),
    };
    let mut response = http::Response::new(body);
    *response.status_mut() =
        http::StatusCode::from_u16(recorded.status).map_err(|_| Error::HttpProtocolError)?;
    for (name, value) in &recorded.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}
