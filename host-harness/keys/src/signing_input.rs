//! Checks that a plugin has only the signing input of a JWS signed, so that no signature proves anything else.
//!
//! A TLS client proves who it is by a signature of the same algorithms. A plugin that could have any message signed
//! could have the message of a handshake with any server signed, and be the customer there. Such a message is never
//! the signing input of a JWS: in TLS 1.3 it begins with 64 spaces (RFC 8446, section 4.4.3), in TLS 1.2 with the
//! byte 1 (RFC 5246, sections 7.4 and 7.4.8).

use bss_model::{Diagnose, Diagnosis, ErrorKind};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

/// The longest message that is signed. A client assertion is below one kilobyte.
pub const SIGNED_MESSAGE_BYTES: usize = 8 * 1024;

/// Why a message is not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// The message is longer than a client assertion ever is.
    #[error("a message of {0} bytes is too long to be signed: the limit is {limit}", limit = SIGNED_MESSAGE_BYTES)]
    TooLong(usize),
    /// The message is no signing input of a JWS.
    #[error(
        "the message is not the signing input of a JWS, which is a JSON header and a payload, both in base64url \
         without padding, with a period between them (RFC 7515, section 5.1)"
    )]
    NotJws,
    /// The header promises another signature than the one asked for.
    #[error("the header of the JWS names another `alg` than the requested signature algorithm")]
    OtherAlgorithm,
}

impl Diagnose for NotSigned {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::TooLong(_) => Diagnosis::new(ErrorKind::Invalid, "message-too-long"),
            Self::NotJws => Diagnosis::new(ErrorKind::Invalid, "not-a-jws"),
            Self::OtherAlgorithm => Diagnosis::new(ErrorKind::Invalid, "other-algorithm"),
        }
    }
}

/// Checks a message that is to be signed with the algorithm of that name, such as `PS256`.
///
/// # Errors
/// When the message is not the signing input of a JWS with that algorithm, or too long.
pub fn check(algorithm: &str, message: &[u8]) -> Result<(), NotSigned> {
    if message.len() > SIGNED_MESSAGE_BYTES {
        return Err(NotSigned::TooLong(message.len()));
    }
    let mut parts = message.split(|byte| *byte == b'.');
    let (Some(header), Some(payload), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(NotSigned::NotJws);
    };
    let decoded = |part: &[u8]| BASE64URL_NOPAD.decode(part).map_err(|_| NotSigned::NotJws);
    decoded(payload)?;
    let header = decoded(header)?;
    let header: Map<String, Value> = serde_json::from_slice(&header).map_err(|_| NotSigned::NotJws)?;
    // The header must name the algorithm (RFC 7515, section 4.1.1).
    match header.get("alg").and_then(Value::as_str) {
        Some(named) if named == algorithm => Ok(()),
        Some(_) => Err(NotSigned::OtherAlgorithm),
        None => Err(NotSigned::NotJws),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jws(header: &str, payload: &[u8]) -> Vec<u8> {
        let [header, payload] = [header.as_bytes(), payload].map(|part| BASE64URL_NOPAD.encode(part));
        format!("{header}.{payload}").into_bytes()
    }

    #[test]
    fn a_client_assertion_is_signed_with_the_algorithm_that_its_header_names() {
        let assertion = jws(
            r#"{"alg":"PS256","typ":"JWT","x5t#S256":"abc"}"#,
            br#"{"aud":"https://login"}"#,
        );
        assert_eq!(check("PS256", &assertion), Ok(()));
        assert_eq!(check("RS256", &assertion), Err(NotSigned::OtherAlgorithm));
        assert_eq!(
            check("none", &jws(r#"{"alg":"none"}"#, b"{}")),
            Ok(()),
            "the caller names its own"
        );
    }

    #[test]
    fn what_a_tls_client_signs_is_not() {
        // RFC 8446, section 4.4.3: 64 spaces, the context, a zero byte and the hash of the transcript.
        let mut tls13 = vec![b' '; 64];
        tls13.extend_from_slice(b"TLS 1.3, client CertificateVerify\0");
        tls13.extend_from_slice(&[0x5a; 32]);
        // RFC 5246, section 7.4.8: all handshake messages, of which the first is the client's hello.
        let mut tls12 = vec![1, 0, 1, 252, 3, 3];
        tls12.extend_from_slice(&[0x5a; 500]);
        for handshake in [tls13, tls12] {
            assert_eq!(check("PS256", &handshake), Err(NotSigned::NotJws));
            // A handshake's message is not signed either behind the header of a JWS, or in place of one.
            for (before, after) in [
                (jws(r#"{"alg":"PS256"}"#, b""), Vec::new()),
                (Vec::new(), b".e30".to_vec()),
            ] {
                let hidden = [before, handshake.clone(), after].concat();
                assert_eq!(check("PS256", &hidden), Err(NotSigned::NotJws));
            }
        }
    }

    #[test]
    fn what_is_not_quite_a_jws_is_not_signed() {
        let header = BASE64URL_NOPAD.encode(br#"{"alg":"PS256"}"#);
        for message in [
            String::new(),
            ".".to_owned(),
            header.clone(),
            format!("{header}.e30.e30"),
            format!("{header}.e30="),
            format!("{header}.e3+/"),
            format!("{header}. e30"),
            format!("{}.e30", BASE64URL_NOPAD.encode(b"{}")),
            format!("{}.e30", BASE64URL_NOPAD.encode(br#"{"alg":256}"#)),
            format!("{}.e30", BASE64URL_NOPAD.encode(br#"["PS256"]"#)),
        ] {
            assert_eq!(
                check("PS256", message.as_bytes()),
                Err(NotSigned::NotJws),
                "{message}"
            );
        }
    }

    #[test]
    fn a_message_within_the_limit_is_signed_and_one_beyond_it_is_not() {
        let of_length = |bytes: usize| {
            let mut message = jws(r#"{"alg":"RS256"}"#, b"");
            message.resize(bytes, b'A');
            message
        };
        let longest = (SIGNED_MESSAGE_BYTES - 3..=SIGNED_MESSAGE_BYTES)
            .filter(|bytes| check("RS256", &of_length(*bytes)).is_ok());
        assert!(longest.count() >= 2);
        let beyond = SIGNED_MESSAGE_BYTES + 1;
        assert_eq!(
            check("RS256", &of_length(beyond)),
            Err(NotSigned::TooLong(beyond))
        );
    }
}
