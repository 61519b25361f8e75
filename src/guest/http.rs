//! One HTTP exchange through waki, and what its failures say about whether the request was sent.

use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use waki::{Client, ErrorCode, Response};
use zeroize::Zeroizing;

use crate::platform::{HttpRequest, HttpResponse, Method, SendFailure};

/// What the guest asks for; the host may allow less, and sets the other time-outs.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// The most that is read at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// Sends the request and reads the answer to its end, or to the limit that the request sets.
pub(super) fn send(request: &HttpRequest) -> Result<HttpResponse, SendFailure> {
    if request.url.parse::<http::Uri>().is_err() {
        return Err(SendFailure::InvalidRequest("its URL is none".to_owned()));
    }
    let method = match request.method {
        Method::Get => waki::Method::Get,
        Method::Post => waki::Method::Post,
    };
    let response = Client::new()
        .request(method, &request.url)
        .headers(headers(request)?)
        .body(request.body.to_vec())
        .connect_timeout(CONNECT_TIMEOUT)
        .send()
        .map_err(|error| {
            // Without an error code it came up between waki and the host, such as a body that the host
            // stopped to take in: the request may have gone out by then.
            error
                .downcast_ref::<ErrorCode>()
                .map_or_else(|| SendFailure::BrokenOff(text(&error)), of_code)
        })?;
    Ok(HttpResponse {
        status: response.status_code(),
        headers: response
            .headers()
            .iter()
            .filter_map(|(name, value)| {
                let value = value.to_str().ok()?;
                Some((name.as_str().to_owned(), value.to_owned()))
            })
            .collect(),
        body: body(&response, request.response_bytes_max)?,
    })
}

fn headers(request: &HttpRequest) -> Result<Vec<(HeaderName, HeaderValue)>, SendFailure> {
    request
        .headers
        .iter()
        .map(|(name, value)| {
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_error| {
                SendFailure::InvalidRequest(format!("its header `{name}` can't be sent"))
            })?;
            value.set_sensitive(true);
            Ok((HeaderName::from_static(name), value))
        })
        .collect()
}

fn body(response: &Response, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, SendFailure> {
    // A length that is not true costs nothing but memory, of which the answer may have so much anyway.
    let announced = response.headers().get(http::header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
    let capacity = announced.unwrap_or(0).min(bytes_max);
    let mut body = Zeroizing::new(Vec::with_capacity(capacity));
    loop {
        match response.chunk(CHUNK_BYTES as u64) {
            Ok(Some(chunk)) if body.len() + chunk.len() > bytes_max => {
                return Err(SendFailure::ResponseTooLarge);
            }
            Ok(Some(chunk)) => body.extend_from_slice(&Zeroizing::new(chunk)),
            Ok(None) => return Ok(body),
            Err(error) => return Err(SendFailure::BrokenOff(text(&error))),
        }
    }
}

/// The one place that knows what wasi:http's errors mean.
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
        ErrorCode::HttpRequestLengthRequired => not_sent("that its length is required"),
        ErrorCode::HttpRequestBodySize(_) => not_sent("that its body is too large"),
        ErrorCode::HttpRequestMethodInvalid => not_sent("that its method is invalid"),
        ErrorCode::HttpRequestUriInvalid => not_sent("that its URL is invalid"),
        ErrorCode::HttpRequestUriTooLong => not_sent("that its URL is too long"),
        ErrorCode::HttpRequestHeaderSectionSize(_)
        | ErrorCode::HttpRequestHeaderSize(_)
        | ErrorCode::HttpRequestTrailerSectionSize(_)
        | ErrorCode::HttpRequestTrailerSize(_) => not_sent("that its headers are too large"),
        ErrorCode::ConnectionTerminated => F::BrokenOff("it was closed".to_owned()),
        ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => F::ResponseTimeout,
        ErrorCode::HttpResponseBodySize(_)
        | ErrorCode::HttpResponseHeaderSectionSize(_)
        | ErrorCode::HttpResponseHeaderSize(_)
        | ErrorCode::HttpResponseTrailerSectionSize(_)
        | ErrorCode::HttpResponseTrailerSize(_) => F::ResponseTooLarge,
        ErrorCode::HttpResponseIncomplete => unreadable("it ends early"),
        ErrorCode::HttpResponseTransferCoding(_) => unreadable("its transfer coding"),
        ErrorCode::HttpResponseContentCoding(_) => unreadable("its content coding"),
        ErrorCode::HttpUpgradeFailed => unreadable("an upgrade failed"),
        ErrorCode::HttpProtocolError => unreadable("it is not HTTP"),
        ErrorCode::LoopDetected => F::BrokenOff("a proxy detected a loop".to_owned()),
        ErrorCode::ConfigurationError => F::BrokenOff("the host is not set up well".to_owned()),
        ErrorCode::InternalError(why) => F::BrokenOff(format!(
            "the host failed: {}",
            crate::text::one_line(why.as_deref().unwrap_or("it does not say why"), 200)
        )),
    }
}

fn text(error: &impl std::fmt::Display) -> String {
    crate::text::one_line(&error.to_string(), 200)
}
