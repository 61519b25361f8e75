//! Why an exchange failed, as one word in a file, by the names that wasi:http has for it.

use wasmtime_wasi_http::Error;

/// Gives each failure without a value of its own a word.
macro_rules! words {
    ($($case:ident = $word:literal,)*) => {
        /// The word for a failure.
        pub(crate) fn word(error: &Error) -> String {
            match error {
                $(Error::$case => $word.to_owned(),)*
                Error::DnsError { .. } => "DNS-error".to_owned(),
                Error::HttpRequestBodySize(_) => "HTTP-request-body-size".to_owned(),
                Error::HttpResponseBodySize(_) => "HTTP-response-body-size".to_owned(),
                Error::TlsAlertReceived { alert_id, .. } => match alert_id {
                    Some(alert) => format!("TLS-alert-received {alert}"),
                    None => "TLS-alert-received".to_owned(),
                },
                _ => "internal-error".to_owned(),
            }
        }

        /// The failure that a word stands for.
        pub(super) fn of_word(word: &str) -> Error {
            match word {
                $($word => Error::$case,)*
                "DNS-error" => Error::DnsError { rcode: None, info_code: None },
                "HTTP-request-body-size" => Error::HttpRequestBodySize(None),
                "HTTP-response-body-size" => Error::HttpResponseBodySize(None),
                _ => match word.strip_prefix("TLS-alert-received") {
                    Some(alert) => Error::TlsAlertReceived {
                        alert_id: alert.trim().parse().ok(),
                        alert_message: None,
                    },
                    None => Error::InternalError(Some("as recorded".to_owned())),
                },
            }
        }

        #[cfg(test)]
        const WORDS: &[&str] = &[$($word,)* "DNS-error", "HTTP-request-body-size", "HTTP-response-body-size"];
    };
}

words! {
    DnsTimeout = "DNS-timeout",
    DestinationNotFound = "destination-not-found",
    DestinationUnavailable = "destination-unavailable",
    DestinationIpProhibited = "destination-IP-prohibited",
    DestinationIpUnroutable = "destination-IP-unroutable",
    ConnectionRefused = "connection-refused",
    ConnectionTerminated = "connection-terminated",
    ConnectionTimeout = "connection-timeout",
    ConnectionReadTimeout = "connection-read-timeout",
    ConnectionWriteTimeout = "connection-write-timeout",
    ConnectionLimitReached = "connection-limit-reached",
    TlsProtocolError = "TLS-protocol-error",
    TlsCertificateError = "TLS-certificate-error",
    HttpRequestDenied = "HTTP-request-denied",
    HttpRequestLengthRequired = "HTTP-request-length-required",
    HttpRequestMethodInvalid = "HTTP-request-method-invalid",
    HttpRequestUriInvalid = "HTTP-request-URI-invalid",
    HttpRequestUriTooLong = "HTTP-request-URI-too-long",
    HttpResponseIncomplete = "HTTP-response-incomplete",
    HttpResponseTimeout = "HTTP-response-timeout",
    HttpUpgradeFailed = "HTTP-upgrade-failed",
    HttpProtocolError = "HTTP-protocol-error",
    LoopDetected = "loop-detected",
    ConfigurationError = "configuration-error",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_stands_for_the_failure_that_it_came_from() {
        for text in WORDS {
            assert_eq!(word(&of_word(text)), *text);
        }
        let alert = of_word("TLS-alert-received 45");
        assert!(matches!(
            alert,
            Error::TlsAlertReceived {
                alert_id: Some(45),
                ..
            }
        ));
        assert_eq!(word(&alert), "TLS-alert-received 45");
        assert_eq!(word(&of_word("something new")), "internal-error");
    }
}
