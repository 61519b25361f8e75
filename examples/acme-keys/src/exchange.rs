//! HTTPS exchanges through wasi:http, whose errors say whether the request may have been sent. Of Acme's API, only the form of
//! an error is known here.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::bindings::wasi::http::outgoing_handler;
use crate::bindings::wasi::http::types::{
    ErrorCode, Fields, IncomingResponse, OutgoingBody, OutgoingRequest, Scheme,
};
use crate::bindings::wasi::io::streams::StreamError;

pub(crate) use crate::bindings::wasi::http::types::Method;

/// The header field of every answer that names the exchange.
pub(crate) const CORRELATION_HEADER: &str = "x-request-id";

/// The most bytes that `blocking-write-and-flush` of wasi:io takes at once.
const WRITE_BYTES: usize = 4_096;
/// The most bytes that are read at once.
const READ_BYTES: u64 = 64 * 1_024;

/// A request. The host adds the API key to it.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) authority: &'a str,
    pub(crate) path_with_query: &'a str,
    pub(crate) headers: Vec<(&'static str, &'a str)>,
    pub(crate) body: Vec<u8>,
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// An error in Acme's own form, which no other server has.
#[derive(Deserialize)]
pub(crate) struct AcmeError {
    #[serde(rename = "error")]
    pub(crate) code: String,
    pub(crate) message: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// The server has definitely not seen the request.
    NotSent(String),
    /// The server may have carried the request out.
    MaybeSent(String),
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let header = self
            .headers
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    }

    pub(crate) fn correlation_id(&self) -> String {
        self.header(CORRELATION_HEADER).unwrap_or_default().to_owned()
    }

    /// The pause that Acme asks for. It names seconds, never a date.
    pub(crate) fn retry_after_ms(&self) -> Option<u64> {
        let seconds: u64 = self.header("retry-after")?.trim().parse().ok()?;
        Some(seconds.saturating_mul(1_000))
    }

    pub(crate) fn json<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.body)
    }

    pub(crate) fn error(&self) -> Option<AcmeError> {
        self.json().ok()
    }

    pub(crate) fn has_code(&self, code: &str) -> bool {
        self.error().is_some_and(|error| error.code == code)
    }
}

/// Sends a request and reads the answer.
#[cfg_attr(test, expect(dead_code, reason = "tests write the answers down beforehand"))]
pub(crate) fn send(request: &Request<'_>) -> Result<Answer, NoAnswer> {
    let maybe_sent = |what: &str| NoAnswer::MaybeSent(what.to_owned());
    let outgoing = outgoing(request)?;
    let body = outgoing.body().map_err(|()| not_sent("the host takes no body"))?;
    let answer = outgoing_handler::handle(outgoing, None).map_err(no_answer)?;
    // From here on, nothing but a code of the host's shows that the request was not sent.
    write(body, &request.body)?;
    answer.subscribe().block();
    let response = answer
        .get()
        .and_then(Result::ok)
        .ok_or_else(|| maybe_sent("the host has no answer"))?
        .map_err(no_answer)?;
    let text = |(name, value)| Some((name, String::from_utf8(value).ok()?));
    Ok(Answer {
        status: response.status(),
        headers: response
            .headers()
            .entries()
            .into_iter()
            .filter_map(text)
            .collect(),
        body: read(&response).ok_or_else(|| maybe_sent("the answer broke off"))?,
    })
}

fn outgoing(request: &Request<'_>) -> Result<OutgoingRequest, NoAnswer> {
    let headers = request.headers.iter();
    let headers: Vec<_> = headers
        .map(|&(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
        .collect();
    let headers = Fields::from_list(&headers).map_err(|_| not_sent("a header can't be sent"))?;
    let outgoing = OutgoingRequest::new(headers);
    outgoing
        .set_method(&request.method)
        .and_then(|()| outgoing.set_scheme(Some(&Scheme::Https)))
        .and_then(|()| outgoing.set_authority(Some(request.authority)))
        .and_then(|()| outgoing.set_path_with_query(Some(request.path_with_query)))
        .map_err(|()| not_sent("the host does not take the request"))?;
    Ok(outgoing)
}

fn write(body: OutgoingBody, bytes: &[u8]) -> Result<(), NoAnswer> {
    let broken_off = || NoAnswer::MaybeSent("the host took only a part of the request".to_owned());
    let stream = body.write().map_err(|()| broken_off())?;
    for piece in bytes.chunks(WRITE_BYTES) {
        stream.blocking_write_and_flush(piece).map_err(|_| broken_off())?;
    }
    // A body can't be finished while it has a stream.
    drop(stream);
    OutgoingBody::finish(body, None).map_err(no_answer)
}

/// The whole body. `None`: it ended early. The host keeps it from growing without end.
fn read(response: &IncomingResponse) -> Option<Vec<u8>> {
    let incoming = response.consume().ok()?;
    let stream = incoming.stream().ok()?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(READ_BYTES) {
            Ok(piece) => body.extend(piece),
            Err(StreamError::Closed) => return Some(body),
            Err(StreamError::LastOperationFailed(_)) => return None,
        }
    }
}

fn not_sent(what: &str) -> NoAnswer {
    NoAnswer::NotSent(what.to_owned())
}

/// Sorts the codes of wasi:http: "not sent" are only those after which no server can have seen the request.
fn no_answer(code: ErrorCode) -> NoAnswer {
    let why = format!("{code:?}");
    match code {
        ErrorCode::DnsTimeout
        | ErrorCode::DnsError(_)
        | ErrorCode::DestinationNotFound
        | ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpProhibited
        | ErrorCode::DestinationIpUnroutable
        | ErrorCode::ConnectionRefused
        | ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionLimitReached
        | ErrorCode::TlsProtocolError
        | ErrorCode::TlsCertificateError
        | ErrorCode::TlsAlertReceived(_)
        | ErrorCode::HttpRequestDenied
        | ErrorCode::HttpRequestLengthRequired
        | ErrorCode::HttpRequestBodySize(_)
        | ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::HttpRequestUriInvalid
        | ErrorCode::HttpRequestUriTooLong
        | ErrorCode::HttpRequestHeaderSectionSize(_)
        | ErrorCode::HttpRequestHeaderSize(_)
        | ErrorCode::HttpRequestTrailerSectionSize(_)
        | ErrorCode::HttpRequestTrailerSize(_) => NoAnswer::NotSent(why),
        _ => NoAnswer::MaybeSent(why),
    }
}
