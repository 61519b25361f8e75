//! Sends an HTTP request through waki's wasi:http, and tells by the failure whether it may have been sent.
//!
//! waki's own client is not used: a fresh sandbox pays for every host function that it calls, and a request takes 29 of
//! them this way, 38 with the client (docs/performance.md).

use std::time::Duration;

use waki::ErrorCode;
use waki::bindings::wasi::http::outgoing_handler;
use waki::bindings::wasi::http::types::{
    Fields, FutureIncomingResponse, IncomingResponse, InputStream, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme,
};
use waki::bindings::wasi::io::streams::StreamError;
use zeroize::{Zeroize as _, Zeroizing};

use crate::content::shows_its_end;
use crate::http::{HttpRequest, HttpResponse, Method, SendFailure};

/// The time-out that the guest asks for; the host may allow less, and sets the other time-outs.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// The most bytes that `blocking-write-and-flush` of wasi:io/streams takes at once.
const WRITE_BYTES: usize = 4096;
/// The most bytes that are read at once.
const READ_BYTES: u64 = 256 * 1024;

/// Sends the request and reads the answer to its end, or to the limit that the request sets.
pub(crate) fn send(request: &HttpRequest) -> Result<HttpResponse, SendFailure> {
    let outgoing = outgoing(request)?;
    let body = match request.body.is_empty() {
        true => None,
        false => Some(
            outgoing
                .body()
                .map_err(|()| invalid("the host does not take a body"))?,
        ),
    };
    let options = RequestOptions::new();
    options
        .set_connect_timeout(u64::try_from(CONNECT_TIMEOUT.as_nanos()).ok())
        .map_err(|()| invalid("the host can't set a time-out"))?;
    let answer = outgoing_handler::handle(outgoing, Some(options)).map_err(|code| of_code(&code))?;
    if let Some(body) = body {
        write(body, &request.body)?;
    }
    let response = wait(&answer)?;
    let status = response.status();
    let headers = headers(&response);
    Ok(HttpResponse {
        status,
        body: read(&response, &headers, request.response_bytes_max)?,
        headers,
    })
}

fn invalid(what: &str) -> SendFailure {
    SendFailure::InvalidRequest(what.to_owned())
}

/// The request without its body.
fn outgoing(request: &HttpRequest) -> Result<OutgoingRequest, SendFailure> {
    let no_url = |()| invalid("the URL is not valid");
    let url: http::Uri = request.url.parse().map_err(|_error| no_url(()))?;
    let outgoing = OutgoingRequest::new(fields(request)?);
    // A new request is a GET already.
    let method = match request.method {
        Method::Get => None,
        Method::Post => Some(waki::Method::Post),
        Method::Delete => Some(waki::Method::Delete),
    };
    if let Some(method) = method {
        outgoing
            .set_method(&method)
            .map_err(|()| invalid("the host does not know the method"))?;
    }
    let scheme = match url.scheme_str() {
        Some("https") => Scheme::Https,
        Some("http") => Scheme::Http,
        other => Scheme::Other(other.unwrap_or_default().to_owned()),
    };
    outgoing.set_scheme(Some(&scheme)).map_err(no_url)?;
    let authority = url.authority().map(http::uri::Authority::as_str);
    outgoing.set_authority(authority).map_err(no_url)?;
    let path = url.path_and_query().map(http::uri::PathAndQuery::as_str);
    outgoing.set_path_with_query(path).map_err(no_url)?;
    Ok(outgoing)
}

fn fields(request: &HttpRequest) -> Result<Fields, SendFailure> {
    let mut list = Vec::with_capacity(request.headers.len());
    for (name, value) in &request.headers {
        let value = value.expose();
        if !is_text(value.as_bytes()) {
            return Err(invalid(&format!(
                "the value of the header `{name}` is not printable ASCII"
            )));
        }
        list.push(((*name).to_owned(), value.as_bytes().to_vec()));
    }
    let fields = Fields::from_list(&list);
    for (_, value) in &mut list {
        value.zeroize();
    }
    fields.map_err(|error| invalid(&format!("the host does not take the headers: {error}")))
}

/// Writes all of the body. A host that stops taking it may have sent some of it.
fn write(body: OutgoingBody, bytes: &[u8]) -> Result<(), SendFailure> {
    let stream = body
        .write()
        .map_err(|()| SendFailure::BrokenOff("the host does not take the body of the request".to_owned()))?;
    for piece in bytes.chunks(WRITE_BYTES) {
        stream
            .blocking_write_and_flush(piece)
            .map_err(|error| of_stream(&error))?;
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(|code| of_code(&code))
}

/// Waits for the head of the answer.
fn wait(answer: &FutureIncomingResponse) -> Result<IncomingResponse, SendFailure> {
    answer.subscribe().block();
    match answer.get() {
        Some(Ok(response)) => response.map_err(|code| of_code(&code)),
        Some(Err(())) | None => Err(SendFailure::BrokenOff("the host gave no answer".to_owned())),
    }
}

/// The answer's headers whose values are text.
fn headers(response: &IncomingResponse) -> Vec<(String, String)> {
    let entries = response.headers().entries().into_iter();
    entries
        .filter(|(_, value)| is_text(value))
        .filter_map(|(name, value)| Some((name, String::from_utf8(value).ok()?)))
        .collect()
}

/// Whether the value is beyond doubt one that a field may have (RFC 9110 section 5.5).
fn is_text(value: &[u8]) -> bool {
    value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'))
}

/// Reads the body, and asks for no more once it has the length that was announced.
fn read(
    response: &IncomingResponse,
    headers: &[(String, String)],
    bytes_max: usize,
) -> Result<Zeroizing<Vec<u8>>, SendFailure> {
    let taken = |()| SendFailure::BrokenOff("the host does not give the body of the answer".to_owned());
    let incoming = response.consume().map_err(taken)?;
    let stream: InputStream = incoming.stream().map_err(taken)?;
    let announced = headers.iter().find(|(name, _)| name == "content-length");
    let announced: Option<usize> = announced.and_then(|(_, length)| length.parse().ok());
    // A wrong length costs only memory, and not more of it than the answer may take anyway.
    let mut body = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(0).min(bytes_max)));
    while announced != Some(body.len()) {
        match stream.blocking_read(READ_BYTES).map(Zeroizing::new) {
            Ok(piece) if body.len() + piece.len() > bytes_max => return Err(SendFailure::ResponseTooLarge),
            Ok(piece) => body.extend_from_slice(&piece),
            Err(StreamError::Closed) => break,
            // A server that closes the connection without TLS's goodbye may still have sent all that it had to send.
            Err(_) if announced.is_none() && shows_its_end(&body) => break,
            Err(error) => return Err(of_stream(&error)),
        }
    }
    Ok(body)
}

/// Translates wasi:http's errors; no other place knows what they mean.
fn of_code(code: &ErrorCode) -> SendFailure {
    use SendFailure as F;
    let not_sent = |what: &str| F::InvalidRequest(format!("the host says {what}"));
    let unreadable = |what: &str| F::ResponseUnreadable(what.to_owned());
    match code {
        ErrorCode::DnsTimeout | ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => F::NameNotResolved,
        ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpUnroutable
        | ErrorCode::ConnectionRefused => F::Unreachable,
        ErrorCode::DestinationIpProhibited => F::AddressProhibited,
        ErrorCode::HttpRequestDenied => F::Denied,
        ErrorCode::ConnectionTimeout => F::ConnectTimeout,
        ErrorCode::ConnectionLimitReached => F::TooManyConnections,
        ErrorCode::TlsProtocolError => F::TlsFailed,
        ErrorCode::TlsCertificateError => F::ServerNotTrusted,
        ErrorCode::TlsAlertReceived(alert) => F::TlsAlert(alert.alert_id),
        ErrorCode::HttpRequestLengthRequired => not_sent("that the length is required"),
        ErrorCode::HttpRequestBodySize(_) => not_sent("that the body is too large"),
        ErrorCode::HttpRequestMethodInvalid => not_sent("that the method is invalid"),
        ErrorCode::HttpRequestUriInvalid => not_sent("that the URL is invalid"),
        ErrorCode::HttpRequestUriTooLong => not_sent("that the URL is too long"),
        ErrorCode::HttpRequestHeaderSectionSize(_)
        | ErrorCode::HttpRequestHeaderSize(_)
        | ErrorCode::HttpRequestTrailerSectionSize(_)
        | ErrorCode::HttpRequestTrailerSize(_) => not_sent("that the headers are too large"),
        ErrorCode::ConnectionTerminated => F::BrokenOff("the connection was closed".to_owned()),
        ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => F::ResponseTimeout,
        ErrorCode::HttpResponseBodySize(_)
        | ErrorCode::HttpResponseHeaderSectionSize(_)
        | ErrorCode::HttpResponseHeaderSize(_)
        | ErrorCode::HttpResponseTrailerSectionSize(_)
        | ErrorCode::HttpResponseTrailerSize(_) => F::ResponseTooLarge,
        ErrorCode::HttpResponseIncomplete => unreadable("the answer ends early"),
        ErrorCode::HttpResponseTransferCoding(_) => unreadable("the host can't decode the transfer coding"),
        ErrorCode::HttpResponseContentCoding(_) => unreadable("the host can't decode the content coding"),
        ErrorCode::HttpUpgradeFailed => unreadable("the upgrade of the connection failed"),
        ErrorCode::HttpProtocolError => unreadable("the answer is not HTTP"),
        ErrorCode::LoopDetected => F::BrokenOff("a proxy detected a loop".to_owned()),
        ErrorCode::ConfigurationError => F::BrokenOff("the configuration of the host is wrong".to_owned()),
        ErrorCode::InternalError(why) => F::BrokenOff(format!(
            "the host failed: {}",
            crate::text::one_line(why.as_deref().unwrap_or("the host gives no reason"), 200)
        )),
    }
}

/// The failure of a body's stream. The request may have been sent by then. wasmtime has a code of wasi:http for it, and its
/// `http-error-code` does not find that (48.0): what the host says in words is told.
fn of_stream(error: &StreamError) -> SendFailure {
    let words = match error {
        StreamError::Closed => "the host has closed the stream".to_owned(),
        StreamError::LastOperationFailed(error) => error.to_debug_string(),
    };
    // A host may show where in its own code the error arose, on the lines after the first.
    let words = words.lines().next().unwrap_or_default();
    SendFailure::BrokenOff(crate::text::one_line(words, 200))
}
