//! Every way in which an exchange fails, mapped once to what the guest is told.
//!
//! The guest needs to know whether the request can have been carried out. A failure to connect, a refusal of our
//! certificate, and a server that says it has not looked at the request mean that the request was not carried out;
//! after any other failure once the first byte has left, that is unknown. No text here names a file or a key.

#[cfg(test)]
mod table;

use std::io;

use h2::Reason;
use rustls::{AlertDescription, Error as TlsError};
use wasmtime_wasi_http::Error;

use super::causes::find;
use super::connector::ConnectFailure;
use super::link::History;
use super::names::NotResolved;
use crate::limits;

/// Every way in which an exchange fails.
#[derive(Debug)]
pub(super) enum Failure {
    /// The policy does not permit the request.
    Denied,
    /// The guest's body is longer than is allowed.
    RequestTooLarge,
    /// The guest's body did not come, or not as long as it said.
    RequestBroken,
    /// The permitted URL can't be written as a request target.
    TargetUnwritable,
    /// The request can't be written as HTTP.
    Unsendable,
    /// The instance's certificate can't be used for TLS.
    IdentityUnusable,
    NotConnected(ConnectFailure),
    /// The server refused our certificate before it sent anything else.
    OurCertificateRefused(AlertDescription),
    /// The server has certainly not looked at the request.
    Untouched,
    /// The connection, or the stream, ended without an answer.
    CutOff,
    /// The head of the answer did not come in time.
    NoAnswerInTime,
    HeadTooLarge,
    /// The answer is compressed, although it was not to be.
    AnswerCompressed,
    NotHttp,
    BodyCutOff,
    BodyNotInTime,
    BodyTooLarge,
}

impl Failure {
    /// The error code that the guest gets; no other place decides it.
    pub(super) fn error_code(&self) -> Error {
        match self {
            Self::Denied | Self::RequestBroken | Self::Unsendable => Error::HttpRequestDenied,
            Self::RequestTooLarge => Error::HttpRequestBodySize(Some(limits::REQUEST_BODY_BYTES as u64)),
            Self::TargetUnwritable => Error::HttpRequestUriInvalid,
            // Not `configuration-error`, which does not say that nothing was sent.
            Self::IdentityUnusable => Error::TlsProtocolError,
            Self::NotConnected(failure) => of_connecting(failure),
            Self::OurCertificateRefused(alert) => alert_received(*alert),
            // `destination-unavailable` is the only code that says "not sent" and nothing else.
            Self::Untouched => Error::DestinationUnavailable,
            Self::CutOff => Error::ConnectionTerminated,
            Self::NoAnswerInTime => Error::HttpResponseTimeout,
            Self::HeadTooLarge => Error::HttpResponseHeaderSectionSize(None),
            Self::AnswerCompressed => Error::HttpResponseContentCoding(None),
            Self::NotHttp => Error::HttpProtocolError,
            Self::BodyCutOff => Error::HttpResponseIncomplete,
            Self::BodyNotInTime => Error::ConnectionReadTimeout,
            Self::BodyTooLarge => Error::HttpResponseBodySize(Some(limits::RESPONSE_BODY_BYTES)),
        }
    }
}

/// The failure of a request that has no answer.
#[derive(Debug)]
pub(super) struct Unanswered {
    pub(super) failure: Failure,
    /// Whether the server wants HTTP/1.1 from now on.
    pub(super) http1_required: bool,
}

impl From<Failure> for Unanswered {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            http1_required: false,
        }
    }
}

/// The failure of a connection that ended before a request could be sent on it.
pub(super) fn closed_at_once(history: &History) -> ConnectFailure {
    match refusal_of_our_certificate(history) {
        Some(alert) => ConnectFailure::CertificateRefused(alert),
        None => ConnectFailure::ClosedAtOnce,
    }
}

/// The failure of a request over HTTP/1.1. hyper gives a request back that it has not begun to write.
pub(super) fn over_http1(error: &hyper::Error, written: bool, history: &History) -> Unanswered {
    let failure = if let Some(alert) = refusal_of_our_certificate(history) {
        Failure::OurCertificateRefused(alert)
    } else if !written {
        Failure::Untouched
    } else if error.is_parse_too_large() {
        Failure::HeadTooLarge
    } else if error.is_parse() {
        Failure::NotHttp
    } else {
        Failure::CutOff
    };
    failure.into()
}

/// The failure of a request that h2 did not take.
pub(super) fn before_http2(error: &h2::Error, history: &History) -> Unanswered {
    if let Some(alert) = refusal_of_our_certificate(history) {
        return Failure::OurCertificateRefused(alert).into();
    }
    if !error.is_io() && !error.is_go_away() {
        return Failure::Unsendable.into();
    }
    Unanswered {
        failure: Failure::Untouched,
        http1_required: error.reason() == Some(Reason::HTTP_1_1_REQUIRED),
    }
}

/// The failure of a request that h2 took. A stream ends with a server's GOAWAY only if its number is above the last
/// one that the server may have processed; that and REFUSED_STREAM promise that nothing was done (RFC 9113, section
/// 8.7).
pub(super) fn over_http2(error: &h2::Error, history: &History) -> Unanswered {
    if let Some(alert) = refusal_of_our_certificate(history) {
        return Failure::OurCertificateRefused(alert).into();
    }
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    let failure = if error.is_remote() && (error.is_go_away() || refused) {
        Failure::Untouched
    } else if error.is_library() {
        Failure::NotHttp
    } else {
        Failure::CutOff
    };
    Unanswered {
        failure,
        // HTTP_1_1_REQUIRED is not among the promises of section 8.7: only the next request goes by it.
        http1_required: error.reason() == Some(Reason::HTTP_1_1_REQUIRED),
    }
}

/// The alert by which the server refused our certificate. In TLS 1.3 a client learns of that only from its first read;
/// the server has not looked at the request then. The history has the alert even where the error came up elsewhere.
fn refusal_of_our_certificate(history: &History) -> Option<AlertDescription> {
    history
        .first_word()
        .filter(|alert| is_about_our_certificate(*alert))
}

/// The failure of an answer's body that breaks off over HTTP/1.1.
pub(super) fn of_http1_body(error: &hyper::Error) -> Failure {
    if error.is_incomplete_message() || find::<io::Error>(error).is_some() {
        Failure::BodyCutOff
    } else {
        Failure::NotHttp
    }
}

/// The failure of an answer's body that breaks off over HTTP/2.
pub(super) fn of_http2_body(error: &h2::Error) -> Failure {
    if error.is_library() {
        Failure::NotHttp
    } else {
        Failure::BodyCutOff
    }
}

fn of_connecting(failure: &ConnectFailure) -> Error {
    match failure {
        ConnectFailure::LimitReached => Error::ConnectionLimitReached,
        ConnectFailure::NoServer => Error::HttpRequestUriInvalid,
        ConnectFailure::Resolve(NotResolved::NotInTime { .. }) => Error::DnsTimeout,
        ConnectFailure::Resolve(failure) => Error::DnsError {
            rcode: failure.rcode().map(str::to_owned),
            info_code: None,
        },
        ConnectFailure::AddressProhibited(_) => Error::DestinationIpProhibited,
        ConnectFailure::ConnectTimeout | ConnectFailure::HandshakeTimeout => Error::ConnectionTimeout,
        ConnectFailure::Connect(failure) => match failure.kind() {
            io::ErrorKind::TimedOut => Error::ConnectionTimeout,
            io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
            _ => Error::DestinationUnavailable,
        },
        // No code says more of a proxy and that nothing was sent; the host tells the rest beside it.
        ConnectFailure::Proxy { .. } | ConnectFailure::ClosedAtOnce | ConnectFailure::NotPermitted(_) => {
            Error::DestinationUnavailable
        }
        ConnectFailure::CertificateRefused(alert) => alert_received(*alert),
        ConnectFailure::Handshake(error) => match find::<TlsError>(error) {
            Some(TlsError::AlertReceived(alert)) => alert_received(*alert),
            Some(TlsError::InvalidCertificate(_)) => Error::TlsCertificateError,
            _ => Error::TlsProtocolError,
        },
    }
}

fn alert_received(alert: AlertDescription) -> Error {
    Error::TlsAlertReceived {
        alert_id: Some(alert.into()),
        alert_message: Some(format!("{alert:?}")),
    }
}

/// Alerts by which a server refuses a client's certificate (RFC 8446, section 6.2): 42 to 49 and 116.
fn is_about_our_certificate(alert: AlertDescription) -> bool {
    let id = u8::from(alert);
    (42..=49).contains(&id) || id == 116
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::super::tunnel::NoTunnel;
    use super::*;
    use crate::address_race::NoConnection;
    use crate::exchange_recording::failure_word;

    /// A failure of each kind, in the order of the table. A kind that is missing here does not compile.
    macro_rules! every_failure {
        ($($pattern:pat => $failure:expr,)*) => {
            #[expect(unreachable_patterns, reason = "a kind may have several rows")]
            fn is_here(failure: &Failure) {
                use {ConnectFailure as C, Failure as F, NotResolved as N};
                match failure {
                    $($pattern => {})*
                }
            }

            fn every_failure() -> Vec<Failure> {
                use {ConnectFailure as C, Failure as F, NotResolved as N};
                vec![$({
                    let failure = $failure;
                    assert!(matches!(failure, $pattern), "{failure:?}");
                    failure
                }),*]
            }
        };
    }

    every_failure! {
        F::Denied => F::Denied,
        F::RequestTooLarge => F::RequestTooLarge,
        F::RequestBroken => F::RequestBroken,
        F::TargetUnwritable => F::TargetUnwritable,
        F::Unsendable => F::Unsendable,
        F::IdentityUnusable => F::IdentityUnusable,
        F::NotConnected(C::LimitReached) => F::NotConnected(C::LimitReached),
        F::NotConnected(C::NoServer) => F::NotConnected(C::NoServer),
        F::NotConnected(C::Resolve(N::NoSuchName(_))) => resolving(N::NoSuchName(name())),
        F::NotConnected(C::Resolve(N::NoAddress(_))) => resolving(N::NoAddress(name())),
        F::NotConnected(C::Resolve(N::NotNow(_))) => resolving(N::NotNow(name())),
        F::NotConnected(C::Resolve(N::Failed { .. })) => {
            resolving(N::Failed { name: name(), cause: io::ErrorKind::Other.into() })
        },
        F::NotConnected(C::Resolve(N::NotInTime { .. })) => {
            resolving(N::NotInTime { name: name(), within: Duration::ZERO })
        },
        F::NotConnected(C::AddressProhibited(_)) => {
            F::NotConnected(C::AddressProhibited(Ipv4Addr::LOCALHOST.into()))
        },
        F::NotConnected(C::ConnectTimeout) => F::NotConnected(C::ConnectTimeout),
        F::NotConnected(C::Connect(_)) => connecting(io::ErrorKind::TimedOut),
        F::NotConnected(C::Connect(_)) => connecting(io::ErrorKind::ConnectionRefused),
        F::NotConnected(C::Connect(_)) => connecting(io::ErrorKind::HostUnreachable),
        F::NotConnected(C::Proxy { .. }) => F::NotConnected(C::Proxy {
            proxy: "http://proxy.test:3128".parse().unwrap(),
            cause: Box::new(NoTunnel::NotInTime),
        }),
        F::NotConnected(C::HandshakeTimeout) => F::NotConnected(C::HandshakeTimeout),
        F::NotConnected(C::Handshake(_)) => {
            handshake(TlsError::InvalidCertificate(rustls::CertificateError::Expired))
        },
        F::NotConnected(C::Handshake(_)) => {
            handshake(TlsError::AlertReceived(AlertDescription::BadCertificate))
        },
        F::NotConnected(C::Handshake(_)) => {
            handshake(TlsError::AlertReceived(AlertDescription::HandshakeFailure))
        },
        F::NotConnected(C::Handshake(_)) => handshake(TlsError::DecryptError),
        F::NotConnected(C::ClosedAtOnce) => F::NotConnected(C::ClosedAtOnce),
        F::NotConnected(C::NotPermitted(_)) => F::NotConnected(C::NotPermitted(String::new())),
        F::NotConnected(C::CertificateRefused(_)) => {
            F::NotConnected(C::CertificateRefused(AlertDescription::UnknownCA))
        },
        F::OurCertificateRefused(_) => {
            F::OurCertificateRefused(AlertDescription::CertificateRequired)
        },
        F::Untouched => F::Untouched,
        F::CutOff => F::CutOff,
        F::NoAnswerInTime => F::NoAnswerInTime,
        F::HeadTooLarge => F::HeadTooLarge,
        F::AnswerCompressed => F::AnswerCompressed,
        F::NotHttp => F::NotHttp,
        F::BodyCutOff => F::BodyCutOff,
        F::BodyNotInTime => F::BodyNotInTime,
        F::BodyTooLarge => F::BodyTooLarge,
    }

    fn name() -> String {
        "x.example".to_owned()
    }

    fn resolving(failure: NotResolved) -> Failure {
        Failure::NotConnected(failure.into())
    }

    fn connecting(kind: io::ErrorKind) -> Failure {
        let address = (Ipv4Addr::LOCALHOST, 443).into();
        Failure::NotConnected(ConnectFailure::Connect(NoConnection::to([(
            address,
            kind.into(),
        )])))
    }

    fn handshake(error: TlsError) -> Failure {
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        Failure::NotConnected(ConnectFailure::Handshake(error))
    }

    #[test]
    fn every_way_to_fail_has_the_code_that_the_table_gives_it() {
        let failures = every_failure();
        assert_eq!(failures.len(), table::ROWS.len());
        for (failure, (what, word, class)) in failures.iter().zip(table::ROWS) {
            is_here(failure);
            assert_eq!(failure_word(&failure.error_code()), word, "{what}: {failure:?}");
            // A request is sent again only where the server has not looked at it, and never where that is unknown.
            let sent_again = matches!(failure, Failure::Untouched);
            assert!(!sent_again || class == table::Class::Unavailable, "{what}");
            let not_connected = matches!(failure, Failure::NotConnected(_));
            assert!(
                !not_connected || class != table::Class::Unknown,
                "{what}: nothing was sent"
            );
        }
    }

    #[test]
    fn only_certificate_alerts_say_that_nothing_was_done() {
        for about_it in [42, 43, 44, 45, 46, 47, 48, 49, 116] {
            assert!(
                is_about_our_certificate(AlertDescription::from(about_it)),
                "{about_it}"
            );
        }
        for other in [0, 10, 20, 40, 50, 51, 70, 80, 90, 112, 120] {
            assert!(
                !is_about_our_certificate(AlertDescription::from(other)),
                "{other}"
            );
        }
    }

    #[test]
    fn a_tls_error_is_found_inside_nested_io_errors() {
        let inner = io::Error::new(
            io::ErrorKind::InvalidData,
            TlsError::AlertReceived(AlertDescription::UnknownCA),
        );
        let outer = io::Error::other(inner);
        assert!(matches!(
            find::<TlsError>(&outer),
            Some(TlsError::AlertReceived(AlertDescription::UnknownCA))
        ));
    }
}
