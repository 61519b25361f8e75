//! The `tracing` spans of a call, and their fields.
//!
//! All spans have the target [`TARGET`]. They never hold a query string, a body, a header other than the names of
//! exchanges (the header fields that the plugin describes), an access token, a product key or a link; what the plugin
//! writes itself is searched for their shapes.
//!
//! | span | in | fields |
//! |---|---|---|
//! | `attempt` | | `purpose`: `purchase`, `return`, `refresh`; `asset`; `attempt`: its number in the asset's history |
//! | `call` | `attempt` or nothing | `call`, `instance` (ids), `function`; at the end `outcome`, `problem`, `correlation_id`, `memory_bytes`, `left_out`, `log_lines_left_out`, `last_words` |
//! | `log` | `call` | a line that the plugin has written: `level`, `subject`, `message` |
//! | `access-token` | `call` | `kept`: whether there was one |
//! | `sign` | `call` | `algorithm` |
//! | `exchange` | `call` | `instance`, `method`, `authority`, `path`, `correlation_id`, `request_bytes`, `reused`; `address`: what was connected to; `proxy`: the proxy on the way, where there is one; `version`, `status`, `response_bytes` (bodies), `error`; `cause`: why no connection could be opened; `repeated_after`: the status after which it was sent once more, on a new connection |
//! | `turn` | `exchange` | waiting because too many requests are under way |
//! | `connection` | `exchange` | getting a connection, kept or new; once more for each further try |
//! | `resolve`, `connect`, `tunnel`, `tls` | `connection` | `address` of each `connect`, several where addresses are raced; `proxy` of `tunnel`, which only a connection through a proxy has; none of the four where the connection is a kept one |
//! | `answer` | `exchange` | sending the request, and waiting for the head of the answer |
//! | `body` | `exchange` | `end`: `complete`, `given up` by the plugin, or an error |
//!
//! A call has at most [`SPANS`](crate::limits::SPANS) spans, and the end of `call` tells in `left_out` how many more there were; a text in
//! a field has at most [`SPAN_TEXT_CHARS`](crate::limits::SPAN_TEXT_CHARS) characters. Its log lines are counted apart, in
//! `log_lines_left_out`, and `last_words` has the last ones of a call that got no answer.
//!
//! `call` is at level error, so that every log line of a call names it whatever the level; the others are at info.
//! With the feature `trace-files`, [`TraceLayer`] keeps them for [`Traces`], and sends them to an OpenTelemetry
//! [`Collector`].

mod body;
#[cfg(feature = "trace-files")]
mod files;
mod names;

use std::sync::Arc;

use bytes::Bytes;
use tracing::{Instrument, Span, field};
use uuid::Uuid;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::exchange_recording::{CallRecording, ExchangeRecording};
use crate::outbound_https::Way;
use crate::plugin_call::{CallOutcome, PluginAnswer, PluginCall};

#[cfg(feature = "trace-files")]
pub use files::{
    CallTrace, Collector, CollectorError, TRACES_DIRECTORY, TraceGuard, TraceLayer, TraceSpan, Traces,
};
pub use names::TARGET;

pub use crate::plugin_call::FUNCTIONS;

use names::LAST_WORDS;

/// The longest correlation id; a GUID has 36 characters.
const CORRELATION_ID_LENGTH_MAX: usize = 100;

/// The span around the calls of one purchase, return or refresh, from which the calls take their asset. `number` is
/// the attempt's in the history of the asset; a refresh has none.
pub fn attempt(purpose: &str, asset: Uuid, number: Option<u32>) -> Span {
    tracing::info_span!(target: TARGET, "attempt", purpose, %asset, attempt = number)
}

/// The span of a call, with its recording where calls are recorded. Cloning shares both. The default notes nothing.
#[derive(Clone, Debug)]
pub(crate) struct CallSpan {
    span: Span,
    recording: Option<CallRecording>,
    /// Header fields by which the vendor and its customers name an exchange; the first that a request or its answer
    /// has is taken.
    correlation_headers: Arc<[String]>,
}

impl Default for CallSpan {
    fn default() -> Self {
        Self {
            span: Span::none(),
            recording: None,
            correlation_headers: Arc::default(),
        }
    }
}

impl CallSpan {
    /// Opens the span of a call that begins.
    pub(crate) fn begin(
        call: Uuid,
        asked: &PluginCall<'_>,
        instance_id: &str,
        recording: Option<CallRecording>,
    ) -> Self {
        let span = tracing::error_span!(
            target: TARGET,
            "call",
            %call,
            instance = instance_id,
            function = asked.function(),
            outcome = field::Empty,
            problem = field::Empty,
            correlation_id = field::Empty,
            memory_bytes = field::Empty,
            log_lines_left_out = field::Empty,
            last_words = field::Empty,
        );
        Self {
            span,
            recording,
            correlation_headers: Arc::default(),
        }
    }

    /// Names exchanges by these header fields.
    pub(crate) fn naming_exchanges_by(self, correlation_headers: Arc<[String]>) -> Self {
        Self {
            correlation_headers,
            ..self
        }
    }

    /// Notes how the call ended: on its span, in its recording and in the log. Only a recording asks for the answer.
    pub(crate) fn end(
        &self,
        outcome: &CallOutcome,
        memory_bytes: u64,
        answer: impl FnOnce() -> Option<PluginAnswer>,
    ) {
        if let Some(recording) = &self.recording {
            recording.end(outcome, answer());
        }
        tracing::record_all!(self.span, outcome = outcome.outcome, memory_bytes);
        if let Some(problem) = &outcome.problem {
            self.span.record("problem", problem.as_str());
        }
        if let Some(correlation_id) = &outcome.correlation_id {
            self.span.record("correlation_id", correlation_id.as_str());
        }
        self.span
            .in_scope(|| tracing::info!(outcome = outcome.outcome, "the call has ended"));
        // After the line of the log, which has had the words already.
        if !outcome.last_words.is_empty() {
            self.span.record(LAST_WORDS, outcome.last_words.sentence());
        }
    }

    /// Notes a line that the plugin has written, which is filtered already.
    pub(crate) fn log(&self, level: &str, subject: &str, message: &str) {
        let subject = (!subject.is_empty()).then_some(subject);
        tracing::info_span!(target: TARGET, parent: &self.span, "log", level, subject, message);
    }

    /// Notes how many of the plugin's lines were not noted.
    pub(crate) fn log_left_out(&self, lines: u32) {
        self.span.record("log_lines_left_out", lines);
    }

    /// The call's own span.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Waits for the access token kept under a name, or for the turn to get one.
    pub(crate) async fn access_token<T, E>(
        &self,
        look_up: impl Future<Output = Result<Option<T>, E>>,
    ) -> Result<Option<T>, E> {
        let span =
            tracing::info_span!(target: TARGET, parent: &self.span, "access-token", kept = field::Empty);
        let found = look_up.instrument(span.clone()).await?;
        span.record("kept", found.is_some());
        if let Some(recording) = &self.recording {
            recording.access_token(found.is_some());
        }
        Ok(found)
    }

    /// Runs a signing operation in a span of its own.
    pub(crate) fn sign<T>(&self, algorithm: &str, sign: impl FnOnce() -> T) -> T {
        tracing::info_span!(target: TARGET, parent: &self.span, "sign", algorithm).in_scope(sign)
    }

    /// Opens the span of an exchange for a request that the plugin sends.
    pub(crate) fn exchange<B>(&self, instance_id: &str, request: &http::Request<B>) -> ExchangeSpan {
        let uri = request.uri();
        let span = tracing::info_span!(
            target: TARGET,
            parent: &self.span,
            "exchange",
            instance = instance_id,
            method = %request.method(),
            authority = uri.authority().map(|authority| host_and_port(authority.as_str())),
            path = uri.path(),
            correlation_id = correlation_id(&self.correlation_headers, request.headers()),
            request_bytes = field::Empty,
            reused = field::Empty,
            address = field::Empty,
            proxy = field::Empty,
            repeated_after = field::Empty,
            version = field::Empty,
            status = field::Empty,
            response_bytes = field::Empty,
            error = field::Empty,
            cause = field::Empty,
        );
        let recording = self.recording.as_ref().map(|call| call.exchange(request));
        let is_named = correlation_id(&self.correlation_headers, request.headers()).is_some();
        ExchangeSpan {
            span,
            recording,
            unnamed_by: (!is_named).then(|| Arc::clone(&self.correlation_headers)),
        }
    }
}

/// The span of an exchange, with its recording where calls are recorded.
#[derive(Debug)]
pub(crate) struct ExchangeSpan {
    span: Span,
    recording: Option<ExchangeRecording>,
    /// The header fields by which the answer may name the exchange, where its request does not.
    unnamed_by: Option<Arc<[String]>>,
}

impl ExchangeSpan {
    /// The span of the exchange, which lasts until its answer's body is read or dropped.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Notes a permitted request, as it will be sent.
    pub(crate) fn sends(&self, request: &http::Request<Bytes>) {
        self.span.record("request_bytes", request.body().len());
        if let Some(recording) = &self.recording {
            recording.sends(request);
        }
    }

    /// Notes whether the connection for the exchange had been used before, and which way it takes.
    pub(crate) fn connected(&self, reused: bool, way: &Way) {
        self.span.record("reused", reused);
        self.span.record("address", field::display(way.address));
        if let Some(proxy) = &way.proxy {
            self.span.record("proxy", proxy.as_str());
        }
    }

    /// Notes that the request is sent once more, because of an answer that says that it was not processed.
    pub(crate) fn repeated(&self, after: http::StatusCode) {
        self.span.record("repeated_after", after.as_u16());
    }

    /// Notes why no connection could be opened, for which wasi:http's codes have no room.
    pub(crate) fn not_connected(&self, cause: &str) {
        self.span.record("cause", cause);
    }

    /// Notes the head of the answer, or why there is none. The body notes its own end.
    pub(crate) fn answered(
        mut self,
        answer: Result<http::Response<WasiBody>, Error>,
    ) -> Result<http::Response<WasiBody>, Error> {
        match answer {
            Ok(response) => {
                self.span.record("status", response.status().as_u16());
                let names = self.unnamed_by.take();
                if let Some(id) =
                    names.and_then(|names| correlation_id(&names, response.headers()).map(str::to_owned))
                {
                    self.span.record("correlation_id", id);
                }
                self.span.record("version", field::debug(response.version()));
                let recording = self.recording.take();
                let (head, body) = response.into_parts();
                let recorded = recording.map(|recording| body::RecordedBody::new(recording, &head));
                let body = body::BodySpan::boxed(body, self.span, recorded);
                Ok(http::Response::from_parts(head, body))
            }
            Err(error) => {
                self.span.record("error", field::display(&error));
                if let Some(recording) = self.recording.take() {
                    recording.failed(&error);
                }
                Err(error)
            }
        }
    }
}

/// The span of a step of an exchange.
macro_rules! step {
    ($name:literal $(, $field:ident = $value:expr)?) => {
        tracing::info_span!(target: $crate::call_trace::TARGET, $name $(, $field = %$value)?)
    };
}
pub(crate) use step;

/// An authority without user information, which the policy refuses and which may be a secret.
fn host_and_port(authority: &str) -> &str {
    authority.rsplit('@').next().unwrap_or_default()
}

fn correlation_id<'a>(names: &[String], headers: &'a http::HeaderMap) -> Option<&'a str> {
    let value = names.iter().find_map(|name| headers.get(name.as_str()))?;
    let text = value.to_str().ok()?;
    let is_name = (1..=CORRELATION_ID_LENGTH_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_name.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_is_named_by_a_header_that_can_be_a_name() {
        let named = |name: &'static str, value: &str| {
            let mut headers = http::HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            let names = ["x-correlation-id", "client-request-id"].map(str::to_owned);
            correlation_id(&names, &headers).map(str::to_owned)
        };
        assert_eq!(named("client-request-id", "a-b").as_deref(), Some("a-b"));
        assert_eq!(named("x-correlation-id", ""), None);
        assert_eq!(named("x-correlation-id", "two words"), None);
        assert_eq!(named("x-correlation-id", &"a".repeat(101)), None);
        assert_eq!(named("authorization", "Bearer"), None);
    }

    #[test]
    fn what_stands_before_a_host_is_not_shown() {
        assert_eq!(host_and_port("user:code@host:1"), "host:1");
        assert_eq!(host_and_port("host:1"), "host:1");
    }
}
