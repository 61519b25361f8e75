//! Every way in which an exchange fails, mapped once to what the guest is told.
//!
//! What matters to the guest is whether the request can have been carried out. A failure to connect, and a
//! refusal of our certificate, mean that it was not; everything else after the first byte left means that
//! nobody knows. No text here names a file or a key.

use std::error::Error as StdError;
use std::io;

use rustls::{AlertDescription, Error as TlsError};
use wasmtime_wasi_http::Error;

use super::connector::{ConnectFailure, History};

/// What the guest is told when there is no answer.
pub(super) fn of_exchange(error: &hyper_util::client::legacy::Error) -> Error {
    if let Some(failure) = find::<ConnectFailure>(error) {
        return of_connecting(failure);
    }
    // In TLS 1.3 a client learns only from its first read that its certificate was refused; the server has
    // not looked at the request then.
    if let Some(alert) = first_word(error)
        && is_about_our_certificate(alert)
    {
        return alert_received(alert);
    }
    match find::<hyper::Error>(error) {
        Some(cause) if cause.is_incomplete_message() => Error::ConnectionTerminated,
        Some(cause) if cause.is_parse() => Error::HttpProtocolError,
        _ => Error::ConnectionTerminated,
    }
}

/// The alert that is all a server ever sent on the connection that failed.
fn first_word(error: &hyper_util::client::legacy::Error) -> Option<AlertDescription> {
    let Some(connected) = error.connect_info() else {
        // The connection ended before the request was handed to it.
        return match find::<TlsError>(error) {
            Some(TlsError::AlertReceived(alert)) => Some(*alert),
            _ => None,
        };
    };
    let mut extras = http::Extensions::new();
    connected.get_extras(&mut extras);
    // The connection knows it even where the error came up elsewhere, because the request was too late.
    extras.get::<History>()?.first_word()
}

/// What the guest is told when an answer's body breaks off.
pub(super) fn of_body(error: &hyper::Error) -> Error {
    if error.is_incomplete_message() || find::<io::Error>(error).is_some() {
        Error::HttpResponseIncomplete
    } else {
        Error::HttpProtocolError
    }
}

fn of_connecting(failure: &ConnectFailure) -> Error {
    match failure {
        ConnectFailure::NoServer => Error::HttpRequestUriInvalid,
        ConnectFailure::ResolveTimeout => Error::DnsTimeout,
        ConnectFailure::Resolve(_) => Error::DnsError {
            rcode: Some("name not resolved".to_owned()),
            info_code: None,
        },
        ConnectFailure::AddressProhibited(_) => Error::DestinationIpProhibited,
        ConnectFailure::ConnectTimeout | ConnectFailure::HandshakeTimeout => Error::ConnectionTimeout,
        ConnectFailure::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Error::ConnectionRefused
        }
        ConnectFailure::Connect(_) => Error::DestinationUnavailable,
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

/// The first error of a kind in a chain of causes, looking into `io::Error`s, whose `source` skips their own inner error.
pub(super) fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

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
