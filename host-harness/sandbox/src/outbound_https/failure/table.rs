//! Every way in which an exchange fails, wasi:http's code for it, and what the plugin makes of that code. The host's tests
//! read the second column, the plugin's the third.

/// Whether the request can have been carried out, and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    /// The request was not carried out, and will be tried again.
    Unavailable,
    /// The request was not carried out, and another try with the same input would not be either.
    Refused,
    /// The request was not carried out, and none of the instance will be until its settings are corrected.
    Misconfigured,
    /// Whether the request was carried out is unknown.
    Unknown,
}

use Class::{Misconfigured, Refused, Unavailable, Unknown};

/// The failures, each with its code as a recording has it and its class.
pub(crate) const ROWS: [(&str, &str, Class); 37] = [
    (
        "the policy does not permit it",
        "HTTP-request-denied",
        Unavailable,
    ),
    ("the guest's body is too long", "HTTP-request-body-size", Refused),
    (
        "the guest's body is not as announced",
        "HTTP-request-denied",
        Unavailable,
    ),
    ("the target can't be written", "HTTP-request-URI-invalid", Refused),
    (
        "the request has no form on the wire",
        "HTTP-request-denied",
        Unavailable,
    ),
    (
        "our certificate is none for TLS",
        "TLS-protocol-error",
        Unavailable,
    ),
    (
        "no turn, or no connection free, in time",
        "connection-limit-reached",
        Unavailable,
    ),
    ("the target names no server", "HTTP-request-URI-invalid", Refused),
    ("the name does not exist", "DNS-error NXDOMAIN", Unavailable),
    ("the name has no address", "DNS-error NODATA", Unavailable),
    ("no name server has an answer", "DNS-error", Unavailable),
    ("the resolver fails", "DNS-error", Unavailable),
    ("the resolver takes too long", "DNS-timeout", Unavailable),
    (
        "an address is not allowed",
        "destination-IP-prohibited",
        Unavailable,
    ),
    ("no connection in time", "connection-timeout", Unavailable),
    ("no address answers", "connection-timeout", Unavailable),
    ("nobody listens", "connection-refused", Unavailable),
    ("no way there", "destination-unavailable", Unavailable),
    (
        "no tunnel through a proxy",
        "destination-unavailable",
        Unavailable,
    ),
    ("no TLS handshake in time", "connection-timeout", Unavailable),
    (
        "the server's certificate is not trusted",
        "TLS-certificate-error",
        Unavailable,
    ),
    (
        "an alert about our certificate in the handshake",
        "TLS-alert-received 42",
        Misconfigured,
    ),
    (
        "another alert in the handshake",
        "TLS-alert-received 40",
        Unavailable,
    ),
    ("the handshake is no TLS", "TLS-protocol-error", Unavailable),
    (
        "closed before a request could be sent",
        "destination-unavailable",
        Unavailable,
    ),
    ("no permit any more", "destination-unavailable", Unavailable),
    (
        "an alert about our certificate before a request could be sent",
        "TLS-alert-received 48",
        Misconfigured,
    ),
    (
        "an alert about our certificate instead of an answer",
        "TLS-alert-received 116",
        Misconfigured,
    ),
    (
        "certainly looked at by nobody",
        "destination-unavailable",
        Unavailable,
    ),
    ("cut off without an answer", "connection-terminated", Unknown),
    ("no head of an answer in time", "HTTP-response-timeout", Unknown),
    (
        "the head is too long",
        "HTTP-response-header-section-size",
        Unknown,
    ),
    (
        "the answer is compressed, and was not to be",
        "HTTP-response-content-coding",
        Unknown,
    ),
    ("the answer is not HTTP", "HTTP-protocol-error", Unknown),
    ("the body is cut off", "HTTP-response-incomplete", Unknown),
    ("the body stops", "connection-read-timeout", Unknown),
    ("the body is too long", "HTTP-response-body-size", Unknown),
];
