//! HTTP as a plugin needs it: a request, an answer read to its end, and a failure that says whether the request may have been
//! carried out.

use std::fmt;
use std::time::UNIX_EPOCH;

use serde::de::DeserializeOwned;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The longest answer that is read where a request does not say: a license, or an error with details, has a few kilobytes.
const RESPONSE_BYTES_MAX: usize = 256 * 1024;
/// The longest pause that a server may ask for: one hour. A request an hour does no harm, and an order must
/// not wait for days because of one wrong header.
const RETRY_AFTER_MS_MAX: u64 = 60 * 60 * 1_000;

/// The methods of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Buys, returns, or asks for an access token.
    Post,
    /// Returns.
    Delete,
}

impl Method {
    /// The method as it is sent.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// An HTTP request.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// An absolute https URL.
    pub url: String,
    /// Names in lower case, with their values; the authorization among them.
    pub headers: Vec<(&'static str, Secret)>,
    /// The body; empty when there is none.
    pub body: Zeroizing<Vec<u8>>,
    /// The longest answer that is read, in bytes.
    pub response_bytes_max: usize,
}

/// A name as it can stand in a URL, as a part of its path or a value of its query.
pub fn escaped(name: &str) -> String {
    form_urlencoded::byte_serialize(name.as_bytes()).collect()
}

impl HttpRequest {
    /// A request for JSON without a body.
    pub fn new(method: Method, url: String) -> Self {
        Self {
            method,
            url,
            headers: Vec::new(),
            body: Zeroizing::default(),
            response_bytes_max: RESPONSE_BYTES_MAX,
        }
        .with_header("accept", "application/json")
    }

    /// Gives the request a body of JSON.
    #[must_use]
    pub fn with_json(mut self, body: Vec<u8>) -> Self {
        self.body = Zeroizing::new(body);
        self.with_header("content-type", "application/json")
    }

    /// Gives the request a header, by its name in lower case; an empty value gives none.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if !value.is_empty() {
            self.headers.push((name, Secret::new(value.to_owned())));
        }
        self
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| *header == name)
            .map(|(_, value)| value.expose())
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            method,
            url,
            headers,
            body: _,
            response_bytes_max,
        } = self;
        formatter
            .debug_struct("HttpRequest")
            .field("method", method)
            .field("url", url)
            .field("headers", headers)
            .field("body", &"[elided]")
            .field("response_bytes_max", response_bytes_max)
            .finish()
    }
}

/// An HTTP answer, whole.
#[derive(Clone)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Names in lower case, with their values; those that are not text are left out.
    pub headers: Vec<(String, String)>,
    /// The body as it came, which may hold a license or an access token.
    pub body: Zeroizing<Vec<u8>>,
}

impl HttpResponse {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON. The error's own words may quote the body, and so a product key: they are not for an operator.
    ///
    /// # Errors
    /// When the body is other JSON, or none.
    pub fn json<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.body)
    }

    /// The pause that the server asks for at that time, from a `Retry-After` in seconds or as a date (RFC 9110 section 10.2.3).
    /// `None` when there is no such header, or it can't be read.
    pub fn retry_after_ms(&self, now_ms: i64) -> Option<u64> {
        let value = self.header("retry-after")?.trim();
        let asked_ms = if let Ok(seconds) = value.parse::<u64>() {
            seconds.saturating_mul(1_000)
        } else {
            let moment = httpdate::parse_http_date(value).ok()?;
            let moment_ms = moment.duration_since(UNIX_EPOCH).ok()?.as_millis();
            let now_ms = u64::try_from(now_ms).ok()?;
            u64::try_from(moment_ms).ok()?.saturating_sub(now_ms)
        };
        Some(asked_ms.min(RETRY_AFTER_MS_MAX))
    }
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            status,
            headers,
            body: _,
        } = self;
        formatter
            .debug_struct("HttpResponse")
            .field("status", status)
            .field("headers", headers)
            .field("body", &"[elided]")
            .finish()
    }
}

/// Why a request got no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SendFailure {
    /// DNS knows no such name, or did not answer.
    #[error("the host name of the server can't be resolved")]
    NameNotResolved,
    /// Nothing listens at the address, or there is no way to it.
    #[error("the server can't be reached")]
    Unreachable,
    /// No connection in time.
    #[error("the server did not accept the connection in time")]
    ConnectTimeout,
    /// The server's certificate is not one to trust.
    #[error("the certificate of the server is not trusted")]
    ServerNotTrusted,
    /// The server ended the handshake with an alert (RFC 8446 section 6.2).
    #[error("the server ended the TLS connection with {}", alert_in_words(*.0))]
    TlsAlert(Option<u8>),
    /// There was no handshake.
    #[error("the TLS handshake with the server failed")]
    TlsFailed,
    /// The host does not let this instance send to the server.
    #[error("the host does not allow the instance to send requests to the server")]
    Denied,
    /// The server's name leads to an address that the host does not connect to.
    #[error("the address of the server is not public")]
    AddressProhibited,
    /// The host has no connection left.
    #[error("the host has too many connections open")]
    TooManyConnections,
    /// The request is not one that can be sent.
    #[error("the request can't be sent: {0}")]
    InvalidRequest(String),
    /// The connection ended after the request may have gone out.
    #[error("the connection ended before the answer was complete: {0}")]
    BrokenOff(String),
    /// No answer in time.
    #[error("the server did not answer in time")]
    ResponseTimeout,
    /// The answer is longer than the request allows.
    #[error("the answer is too large")]
    ResponseTooLarge,
    /// The answer is not HTTP, or ends early.
    #[error("the answer can't be read: {0}")]
    ResponseUnreadable(String),
}

impl SendFailure {
    /// Whether it is certain that the server has not seen the request.
    pub fn is_definitely_not_sent(&self) -> bool {
        match self {
            Self::NameNotResolved
            | Self::Unreachable
            | Self::ConnectTimeout
            | Self::ServerNotTrusted
            | Self::TlsAlert(_)
            | Self::TlsFailed
            | Self::Denied
            | Self::AddressProhibited
            | Self::TooManyConnections
            | Self::InvalidRequest(_) => true,
            Self::BrokenOff(_)
            | Self::ResponseTimeout
            | Self::ResponseTooLarge
            | Self::ResponseUnreadable(_) => false,
        }
    }

    /// Whether the server said, by a TLS alert, that it does not take the client's certificate
    /// (42 to 49 and 116: RFC 8446 section 6.2, RFC 5246 section 7.2).
    pub fn is_client_certificate_refused(&self) -> bool {
        matches!(self, Self::TlsAlert(Some(42..=49 | 116)))
    }

    /// Whether the request was definitely not sent, and a retry with the same settings would not be sent either:
    /// the server has refused the instance's certificate, or the request is invalid.
    pub fn is_refusal(&self) -> bool {
        self.is_client_certificate_refused() || matches!(self, Self::InvalidRequest(_))
    }

    /// The failure's stable name: lower case, words joined by `-`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NameNotResolved => "name-not-resolved",
            Self::Unreachable => "server-unreachable",
            Self::ConnectTimeout => "connect-timeout",
            Self::ServerNotTrusted => "server-not-trusted",
            Self::TlsAlert(_) if self.is_client_certificate_refused() => "certificate-refused",
            Self::TlsAlert(_) | Self::TlsFailed => "tls-failed",
            Self::Denied => "destination-not-allowed",
            Self::AddressProhibited => "address-prohibited",
            Self::TooManyConnections => "too-many-connections",
            Self::InvalidRequest(_) => "request-invalid",
            Self::BrokenOff(_) => "connection-broken-off",
            Self::ResponseTimeout => "response-timeout",
            Self::ResponseTooLarge => "response-too-large",
            Self::ResponseUnreadable(_) => "response-unreadable",
        }
    }

    /// The advice to an operator.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NameNotResolved => {
                "Check the host name in the settings, and the DNS that the host machine uses."
            }
            Self::Unreachable | Self::ConnectTimeout => {
                "Check the address and port in the settings, and check that the firewall lets the host machine connect to the server."
            }
            Self::ServerNotTrusted => {
                "Check that the settings name the vendor's server, and that no proxy replaces the certificate of that server."
            }
            Self::TlsAlert(_) if self.is_client_certificate_refused() => {
                "Register the certificate of the instance with the vendor, or choose the certificate that is registered."
            }
            Self::TlsAlert(Some(40 | 71)) => {
                "Ask who runs the server, or the proxy or firewall in front of it, for TLS 1.3, or for TLS 1.2 with ECDHE (P-256, P-384 or X25519) and AES-GCM or ChaCha20: what the server offers now, such as CBC, RSA key exchange, DHE, or the curve P-521 alone, is not secure enough, or not supported."
            }
            Self::TlsAlert(Some(70)) => {
                "Ask who runs the server, or the proxy or firewall in front of it, for TLS 1.2 or 1.3: the older versions that it speaks are not secure (RFC 8996)."
            }
            Self::TlsAlert(Some(112)) => {
                "Check the host name in the settings: at its address answers a server, or a proxy or firewall, that has no site of that name."
            }
            Self::TlsAlert(_) => {
                "Try again later; if the problem remains, tell who runs the server, or the proxy or firewall in front of it, the number of the alert."
            }
            Self::TlsFailed => {
                "Check the address and port in the settings: what answers there does not speak TLS 1.2 or 1.3, or closes the connection in the middle of the handshake."
            }
            Self::AddressProhibited => {
                "Check the host name in the settings; if the server is on a network of your own, allow that network for the instance."
            }
            Self::Denied => {
                "Save the settings of the instance again, so that the host learns which servers the instance may reach."
            }
            Self::TooManyConnections | Self::ResponseTimeout => "Try again later.",
            Self::BrokenOff(_) => {
                "Try again later; if the problem remains, tell the vendor that the server may ask for the client certificate only after the TLS handshake."
            }
            Self::InvalidRequest(_) => "Check the settings of the instance.",
            Self::ResponseTooLarge | Self::ResponseUnreadable(_) => {
                "Check that the settings name the vendor's server; if they do, a newer version of this plugin may help."
            }
        }
    }
}

/// A TLS alert with its name and its meaning (RFC 8446 section 6.2, RFC 5246 section 7.2, RFC 6066 section 9).
fn alert_in_words(alert: Option<u8>) -> String {
    let Some(id) = alert else {
        return "an unknown alert".to_owned();
    };
    let words = match id {
        40 => {
            "handshake_failure: the server and the host have no cipher suite, key exchange or curve in common"
        }
        42 => "bad_certificate: the server does not take the certificate of the instance",
        43 => "unsupported_certificate: the server does not take certificates of this kind",
        44 => "certificate_revoked: the certificate of the instance is revoked",
        45 => "certificate_expired: the certificate of the instance has expired, or is not valid yet",
        46 => "certificate_unknown: the server does not take the certificate of the instance",
        47 => "illegal_parameter: the server takes the handshake for wrong",
        48 => "unknown_ca: the server does not know who issued the certificate of the instance",
        49 => "access_denied: the server does not let the certificate of the instance in",
        70 => "protocol_version: the server speaks neither TLS 1.2 nor TLS 1.3",
        71 => "insufficient_security: the server wants stronger cipher suites than the host offers",
        80 => "internal_error: the server has failed",
        112 => "unrecognized_name: the server has no site of that name",
        116 => "certificate_required: the server wants a certificate, and got none",
        120 => "no_application_protocol: the server speaks neither HTTP/1.1 nor HTTP/2",
        _ => return format!("alert {id}"),
    };
    format!("alert {id} ({words})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_of_the_handshake_is_told_in_words_and_its_advice_blames_what_is_wrong() {
        for (alert, words, advice) in [
            (40, "no cipher suite, key exchange or curve in common", "ECDHE"),
            (70, "neither TLS 1.2 nor TLS 1.3", "not secure"),
            (112, "no site of that name", "Check the host name"),
            (116, "certificate_required", "certificate of the instance"),
            (48, "unknown_ca", "certificate of the instance"),
            (99, "alert 99", "the number of the alert"),
        ] {
            let failure = SendFailure::TlsAlert(Some(alert));
            assert!(failure.to_string().contains(words), "{failure}");
            assert!(failure.advice().contains(advice), "{}", failure.advice());
            let checks_version = failure.advice().contains("speaks TLS 1.2 or 1.3");
            assert!(!checks_version, "a server that sent an alert speaks TLS");
        }
        assert!(SendFailure::TlsFailed.advice().contains("does not speak TLS"));
    }

    #[test]
    fn a_refused_client_certificate_was_definitely_not_sent() {
        for alert in (42..=49).chain([116]) {
            let failure = SendFailure::TlsAlert(Some(alert));
            assert!(failure.is_definitely_not_sent() && failure.is_refusal());
            assert_eq!(failure.code(), "certificate-refused");
        }
        assert_eq!(SendFailure::TlsAlert(Some(40)).code(), "tls-failed");
    }

    #[test]
    fn a_connection_that_broke_off_may_have_sent() {
        assert!(!SendFailure::BrokenOff(String::new()).is_definitely_not_sent());
        assert!(!SendFailure::ResponseTimeout.is_definitely_not_sent());
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        assert_eq!(escaped("a/../b?c=d&e#f"), "a%2F..%2Fb%3Fc%3Dd%26e%23f");
        assert_eq!(escaped("LIC-1_2.3"), "LIC-1_2.3");
    }

    fn asking_for(value: &str) -> Option<u64> {
        let response = HttpResponse {
            status: 429,
            headers: vec![("retry-after".to_owned(), value.to_owned())],
            body: Zeroizing::default(),
        };
        response.retry_after_ms(784_111_770_000)
    }

    #[test]
    fn a_pause_is_read_in_seconds_and_as_a_date() {
        assert_eq!(asking_for("7"), Some(7_000));
        assert_eq!(asking_for("Sun, 06 Nov 1994 08:49:37 GMT"), Some(7_000));
        assert_eq!(asking_for("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
    }

    #[test]
    fn a_pause_without_measure_is_cut_and_a_senseless_one_ignored() {
        assert_eq!(asking_for("18446744073709551615"), Some(RETRY_AFTER_MS_MAX));
        assert_eq!(asking_for("-1"), None);
        assert_eq!(asking_for("soon"), None);
    }

    #[test]
    fn requests_and_responses_do_not_print_what_they_carry() {
        let request = HttpRequest {
            method: Method::Post,
            url: "https://a.example/".to_owned(),
            headers: vec![("authorization", Secret::new("Bearer hidden".to_owned()))],
            body: Zeroizing::new(b"hidden".to_vec()),
            response_bytes_max: 1,
        };
        let response = HttpResponse {
            status: 200,
            headers: Vec::new(),
            body: Zeroizing::new(b"hidden".to_vec()),
        };
        assert!(!format!("{request:?}{response:?}").contains("hidden"));
    }
}
