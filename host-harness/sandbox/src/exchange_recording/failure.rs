//! Writes the failure of an exchange as one word, and reads it back, by the names that wasi:http has for failures.

use wasmtime_wasi_http::Error;

/// Gives each failure without a value of its own a word.
macro_rules! words {
    ($($case:ident = $word:literal,)*) => {
        /// The word for a failure.
        pub(crate) fn word(error: &Error) -> String {
            match error {
                $(Error::$case => $word.to_owned(),)*
                Error::DnsError { rcode, .. } => match rcode {
                    Some(rcode) => format!("DNS-error {rcode}"),
                    None => "DNS-error".to_owned(),
                },
                Error::HttpRequestBodySize(_) => "HTTP-request-body-size".to_owned(),
                Error::HttpResponseBodySize(_) => "HTTP-response-body-size".to_owned(),
                Error::HttpResponseHeaderSectionSize(_) => "HTTP-response-header-section-size".to_owned(),
                Error::TlsAlertReceived { alert_id, .. } => match alert_id {
                    Some(alert) => format!("TLS-alert-received {alert}"),
                    None => "TLS-alert-received".to_owned(),
                },
                Error::HttpResponseContentCoding(_) => "HTTP-response-content-coding".to_owned(),
                _ => "internal-error".to_owned(),
            }
        }

        /// The failure that a word stands for.
        pub(crate) fn of_word(word: &str) -> Error {
            match word {
                $($word => Error::$case,)*
                "HTTP-request-body-size" => Error::HttpRequestBodySize(None),
                "HTTP-response-body-size" => Error::HttpResponseBodySize(None),
                "HTTP-response-header-section-size" => Error::HttpResponseHeaderSectionSize(None),
                "HTTP-response-content-coding" => Error::HttpResponseContentCoding(None),
                _ => of_words(word),
            }
        }

        #[cfg(test)]
        const WORDS: &[&str] = &[
            $($word,)*
            "DNS-error",
            "DNS-error NXDOMAIN",
            "HTTP-request-body-size",
            "HTTP-response-body-size",
            "HTTP-response-header-section-size",
            "HTTP-response-content-coding",
            "TLS-alert-received",
            "TLS-alert-received 45",
        ];
    };
}

/// The failure that a word with a value of its own stands for.
fn of_words(words: &str) -> Error {
    let (word, value) = words.split_once(' ').unwrap_or((words, ""));
    match word {
        "DNS-error" => Error::DnsError {
            rcode: (!value.is_empty()).then(|| value.to_owned()),
            info_code: None,
        },
        "TLS-alert-received" => Error::TlsAlertReceived {
            alert_id: value.parse().ok(),
            alert_message: None,
        },
        _ => Error::InternalError(Some("as recorded".to_owned())),
    }
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
        assert!(matches!(
            of_word("TLS-alert-received 45"),
            Error::TlsAlertReceived {
                alert_id: Some(45),
                ..
            }
        ));
        assert_eq!(word(&of_word("something new")), "internal-error");
    }
}
