//! Checks that a plugin has only client assertions of its own instance signed, so that no signature proves anything else.
//!
//! A TLS client proves who it is by a signature of the same algorithms. A plugin that could have any message signed
//! could have the message of a handshake with any server signed, and be the customer there. Such a message is never
//! the signing input of a JWS: in TLS 1.3 it begins with 64 spaces (RFC 8446, section 4.4.3), in TLS 1.2 with the
//! byte 1 (RFC 5246, sections 7.4 and 7.4.8).
//!
//! A JWS alone proves too much still: it could speak for another client that the same certificate is registered for,
//! to a server that the operator has never heard of, and for years. So its payload is read too (RFC 7523, section 3).

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use bss_model::{Diagnose, Diagnosis, ErrorKind, Thumbprint};
use data_encoding::BASE64URL_NOPAD;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use crate::identity::SignatureAlgorithm;

/// The longest message that is signed. A client assertion is below one kilobyte.
pub const SIGNED_MESSAGE_BYTES: usize = 8 * 1024;

/// The longest time for which an assertion may be good: servers advise five to ten minutes.
const LIFETIME_SECONDS: i64 = 10 * 60;
/// How far in the future an assertion may begin: clocks differ, and an assertion for later could be kept for later.
const AHEAD_SECONDS: i64 = 5 * 60;
/// The members that a header may have. Every other one is refused, because several choose the key that a server checks
/// the signature with (`jku`, `jwk`, `x5u`, `x5c`), and nobody knows the rest (`crit`).
const HEADER_MEMBERS: [&str; 5] = ["alg", "typ", "x5t", "x5t#S256", "kid"];

/// The claims that a payload may have: those of a client assertion (RFC 7523, section 3).
const CLAIMS: [&str; 7] = ["aud", "iss", "sub", "exp", "nbf", "iat", "jti"];

/// The instance that a client assertion has to be about.
#[derive(Clone, Copy)]
pub struct Claimant<'a> {
    /// The instance's certificate, in DER form.
    pub certificate: &'a [u8],
    /// The values that were saved with the instance. The client that it is at the vendor is one of them.
    pub saved_values: &'a [String],
    /// Tells whether a URL is an https address of a server that the instance may reach.
    pub is_own_server: &'a dyn Fn(&str) -> bool,
    /// The time, in milliseconds.
    pub now_ms: i64,
}

/// Why a message is not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// The message is longer than a client assertion ever is.
    #[error("a message of {0} bytes is too long to be signed: the limit is {limit}", limit = SIGNED_MESSAGE_BYTES)]
    TooLong(usize),
    /// The message is no signing input of a JWS that can be judged.
    #[error(
        "the message is not the signing input of a JWS, which is a JSON header and a payload, both in base64url without \
         padding, with a period between them (RFC 7515, section 5.1); both have to be a JSON object of texts and numbers \
         with no name twice"
    )]
    NotJws,
    /// The header promises another signature than the one asked for.
    #[error("the header of the JWS names another `alg` than the requested signature algorithm")]
    OtherAlgorithm,
    /// The header has a member that is not signed.
    #[error(
        "the header of the JWS has `{member}`: it may have {allowed}, and a `typ` of `JWT`",
        allowed = HEADER_MEMBERS.join(", ")
    )]
    HeaderMember {
        /// The member's name, shortened.
        member: String,
    },
    /// The payload has a claim that a client assertion does not need.
    #[error("the payload of the JWS has `{claim}`: it may have {allowed}", allowed = CLAIMS.join(", "))]
    Claim {
        /// The claim's name, shortened.
        claim: String,
    },
    /// The header names a certificate that is not the instance's.
    #[error("the header of the JWS names a certificate that is not the instance's")]
    OtherCertificate,
    /// The payload is meant for a server that is not the instance's.
    #[error("`aud` of the JWS is no https address of a server that the instance may reach")]
    Audience,
    /// The payload speaks for somebody who is not the instance.
    #[error("`iss` and `sub` of the JWS are not one saved value of the instance")]
    Issuer,
    /// The payload is good for too long, or at another time than now.
    #[error(
        "`exp` of the JWS is not within {LIFETIME_SECONDS} seconds from now, or `nbf` or `iat` is more than \
         {AHEAD_SECONDS} seconds ahead"
    )]
    Lifetime,
}

impl Diagnose for NotSigned {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::TooLong(_) => Diagnosis::new(ErrorKind::Invalid, "message-too-long"),
            Self::NotJws => Diagnosis::new(ErrorKind::Invalid, "not-a-jws"),
            Self::OtherAlgorithm => Diagnosis::new(ErrorKind::Invalid, "other-algorithm"),
            Self::HeaderMember { .. } => Diagnosis::new(ErrorKind::Invalid, "header-not-signed"),
            Self::Claim { .. } => Diagnosis::new(ErrorKind::Invalid, "claim-not-signed"),
            Self::OtherCertificate => Diagnosis::new(ErrorKind::Invalid, "other-certificate"),
            Self::Audience => Diagnosis::new(ErrorKind::Invalid, "other-audience"),
            Self::Issuer => Diagnosis::new(ErrorKind::Invalid, "other-issuer"),
            Self::Lifetime => Diagnosis::new(ErrorKind::Invalid, "other-lifetime"),
        }
    }
}

/// Checks that a message is a client assertion of an instance, to be signed with that algorithm.
///
/// # Errors
/// When the message is none, or says something that the instance may not have signed.
pub fn check(
    algorithm: SignatureAlgorithm,
    message: &[u8],
    claimant: &Claimant<'_>,
) -> Result<(), NotSigned> {
    if message.len() > SIGNED_MESSAGE_BYTES {
        return Err(NotSigned::TooLong(message.len()));
    }
    let mut parts = message.split(|byte| *byte == b'.');
    let (Some(header), Some(payload), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(NotSigned::NotJws);
    };
    check_header(algorithm, &Members::of(header)?, claimant)?;
    check_claims(&Members::of(payload)?, claimant)
}

fn check_header(
    algorithm: SignatureAlgorithm,
    header: &Members,
    claimant: &Claimant<'_>,
) -> Result<(), NotSigned> {
    // The header must name the algorithm (RFC 7515, section 4.1.1).
    match header.text("alg") {
        Some(named) if named == algorithm.name() => {}
        Some(_) => return Err(NotSigned::OtherAlgorithm),
        None => return Err(NotSigned::NotJws),
    }
    // Another `typ` makes the same bytes another kind of token (RFC 8725, section 3.11).
    let is_jwt = |typ: &str| typ.eq_ignore_ascii_case("JWT");
    let is_allowed = |(name, value): (&String, &Value)| match name.as_str() {
        "typ" => value.as_str().is_some_and(is_jwt),
        name => HEADER_MEMBERS.contains(&name) && value.is_string(),
    };
    if let Some((member, _)) = header.0.iter().find(|member| !is_allowed(*member)) {
        let member = shortened(member);
        return Err(NotSigned::HeaderMember { member });
    }
    let sha1 = BASE64URL_NOPAD.encode(Thumbprint::of(claimant.certificate).as_bytes());
    let sha256 = BASE64URL_NOPAD.encode(digest(&SHA256, claimant.certificate).as_ref());
    for (name, own) in [("x5t", sha1), ("x5t#S256", sha256)] {
        if header.text(name).is_some_and(|named| named != own) {
            return Err(NotSigned::OtherCertificate);
        }
    }
    Ok(())
}

/// A name as a message can hold it.
fn shortened(name: &str) -> String {
    name.chars().take(40).flat_map(char::escape_debug).collect()
}

fn check_claims(claims: &Members, claimant: &Claimant<'_>) -> Result<(), NotSigned> {
    // Some readers take names in any case, and would read `AUD` in place of `aud`.
    if let Some(claim) = claims.0.keys().find(|name| !CLAIMS.contains(&name.as_str())) {
        let claim = shortened(claim);
        return Err(NotSigned::Claim { claim });
    }
    if !claims
        .text("aud")
        .is_some_and(|url| (claimant.is_own_server)(url))
    {
        return Err(NotSigned::Audience);
    }
    // A GUID is the same in either case.
    let is_saved = |name: &str| {
        let mut values = claimant.saved_values.iter();
        !name.is_empty() && values.any(|saved| saved.eq_ignore_ascii_case(name))
    };
    match (claims.text("iss"), claims.text("sub")) {
        (Some(issuer), Some(subject)) if issuer == subject && is_saved(issuer) => {}
        _ => return Err(NotSigned::Issuer),
    }
    let now = claimant.now_ms.div_euclid(1_000);
    let ends = claims.0.get("exp").and_then(Value::as_i64);
    let ends_soon = ends.is_some_and(|at| (now..=now.saturating_add(LIFETIME_SECONDS)).contains(&at));
    let is_ahead = |name: &str| {
        let begins = claims.0.get(name);
        begins.is_some_and(|at| {
            at.as_i64()
                .is_none_or(|at| at > now.saturating_add(AHEAD_SECONDS))
        })
    };
    if !ends_soon || is_ahead("nbf") || is_ahead("iat") {
        return Err(NotSigned::Lifetime);
    }
    Ok(())
}

/// The members of a JSON object without objects and lists in it, so that no reader takes it for another one.
struct Members(BTreeMap<String, Value>);

impl Members {
    /// Reads a part of a JWS.
    fn of(part: &[u8]) -> Result<Self, NotSigned> {
        let json = BASE64URL_NOPAD.decode(part).map_err(|_| NotSigned::NotJws)?;
        serde_json::from_slice(&json).map_err(|_| NotSigned::NotJws)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EachOnce)
    }
}

/// Reads members, and refuses a name that is there twice: which of the two counts is each reader's own choice.
struct EachOnce;

impl<'de> Visitor<'de> for EachOnce {
    type Value = Members;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, value)) = access.next_entry::<String, Value>()? {
            let is_plain = !value.is_object() && !value.is_array();
            if !is_plain || members.insert(name, value).is_some() {
                return Err(A::Error::custom(
                    "a list, an object, or a name that is there twice",
                ));
            }
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::SignatureAlgorithm::{Ps256, Rs256};
    use super::*;

    const CERTIFICATE: &[u8] = b"a certificate";
    const CLIENT: &str = "11111111-2222-3333-4444-55555555aaaa";
    /// 2026-11-22T15:04:05Z, and a little.
    const NOW_MS: i64 = 1_795_359_845_678;
    const NOW: i64 = NOW_MS / 1_000;

    fn part(json: &str) -> String {
        BASE64URL_NOPAD.encode(json.as_bytes())
    }

    fn jws(header: &str, payload: &str) -> Vec<u8> {
        format!("{}.{}", part(header), part(payload)).into_bytes()
    }

    /// Judges a message of an instance that has one value and may reach one server.
    fn judge(algorithm: SignatureAlgorithm, message: &[u8]) -> Result<(), NotSigned> {
        let claimant = Claimant {
            certificate: CERTIFICATE,
            saved_values: &["EUR".to_owned(), CLIENT.to_owned()],
            is_own_server: &|url| url.starts_with("https://login.example.com/"),
            now_ms: NOW_MS,
        };
        check(algorithm, message, &claimant)
    }

    const HEADER: &str = r#"{"alg":"PS256"}"#;

    /// The claims of a client assertion, the last ones as given.
    fn claims_with(rest: &str) -> String {
        format!(r#"{{"aud":"https://login.example.com/t/token","jti":"1",{rest}}}"#)
    }

    fn good_claims() -> String {
        claims_with(&format!(
            r#""iss":"{CLIENT}","sub":"{CLIENT}","exp":{},"nbf":{NOW},"iat":{NOW}"#,
            NOW + 540
        ))
    }

    fn with_header(header: &str) -> Result<(), NotSigned> {
        judge(Ps256, &jws(header, &good_claims()))
    }

    fn with_claims(claims: &str) -> Result<(), NotSigned> {
        judge(Ps256, &jws(HEADER, claims))
    }

    #[test]
    fn a_client_assertion_is_signed_with_the_algorithm_that_its_header_names() {
        let assertion = jws(r#"{"alg":"PS256","typ":"JWT","kid":"a"}"#, &good_claims());
        assert_eq!(judge(Ps256, &assertion), Ok(()));
        assert_eq!(judge(Rs256, &assertion), Err(NotSigned::OtherAlgorithm));
        assert_eq!(judge(Rs256, &jws(r#"{"alg":"RS256"}"#, &good_claims())), Ok(()));
        let unsigned = jws(r#"{"alg":"none"}"#, &good_claims());
        assert_eq!(judge(Ps256, &unsigned), Err(NotSigned::OtherAlgorithm));
    }

    #[test]
    fn a_claim_that_a_client_assertion_does_not_need_is_not_signed() {
        for claim in [
            r#""AUD":"https://evil.example.com""#,
            r#""Exp":9999999999"#,
            r#""scope":"all""#,
        ] {
            let claims = format!("{},{claim}}}", good_claims().trim_end_matches('}'));
            assert!(
                matches!(with_claims(&claims), Err(NotSigned::Claim { .. })),
                "{claim}"
            );
        }
        assert_eq!(with_claims(&good_claims()), Ok(()));
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
            assert_eq!(judge(Ps256, &handshake), Err(NotSigned::NotJws));
            // A handshake's message is not signed either behind the header of a JWS, or in place of one.
            for (before, after) in [
                (jws(HEADER, ""), Vec::new()),
                (Vec::new(), format!(".{}", part(&good_claims())).into_bytes()),
            ] {
                let hidden = [before, handshake.clone(), after].concat();
                assert_eq!(judge(Ps256, &hidden), Err(NotSigned::NotJws));
            }
        }
    }

    #[test]
    fn what_is_not_quite_a_jws_is_not_signed() {
        let (header, claims) = (part(HEADER), part(&good_claims()));
        for message in [
            String::new(),
            ".".to_owned(),
            header.clone(),
            format!("{header}.{claims}.{claims}"),
            format!("{header}.{claims}="),
            format!("{header}.e3+/"),
            format!("{header}. {claims}"),
            format!("{}.{claims}", part("{}")),
            format!("{}.{claims}", part(r#"{"alg":256}"#)),
            format!("{}.{claims}", part(r#"["PS256"]"#)),
            format!("{header}.{}", part("")),
            format!("{header}.{}", part("a text")),
            format!("{header}.{}", part(r#"["aud"]"#)),
        ] {
            assert_eq!(
                judge(Ps256, message.as_bytes()),
                Err(NotSigned::NotJws),
                "{message}"
            );
        }
    }

    #[test]
    fn a_name_that_is_there_twice_or_a_value_that_holds_others_is_not_signed() {
        let good = good_claims();
        let more = |claim: &str| good.replacen('{', &format!("{{{claim},"), 1);
        assert_eq!(with_claims(&good), Ok(()));
        for claim in [
            r#""exp":1"#,
            r#""jti":"1""#,
            r#""aud":"https://login.example.com/t/token""#,
            r#""cnf":{"jwk":{}}"#,
            r#""amr":["mfa"]"#,
        ] {
            assert_eq!(with_claims(&more(claim)), Err(NotSigned::NotJws), "{claim}");
        }
        assert_eq!(
            with_header(r#"{"alg":"PS256","alg":"PS256"}"#),
            Err(NotSigned::NotJws)
        );
    }

    #[test]
    fn a_header_that_names_another_key_or_kind_of_token_is_not_signed() {
        for member in [
            r#""jku":"https://evil.example.com/keys""#,
            r#""jwk":"a""#,
            r#""x5u":"https://evil.example.com/certificate""#,
            r#""x5c":"a""#,
            r#""crit":"exp""#,
            r#""b64":false"#,
            r#""X5T":"a""#,
            r#""kid":1"#,
            r#""typ":"at+jwt""#,
            r#""typ":1"#,
        ] {
            let refused = with_header(&format!(r#"{{"alg":"PS256",{member}}}"#));
            assert!(matches!(refused, Err(NotSigned::HeaderMember { .. })), "{member}");
        }
        assert_eq!(with_header(r#"{"alg":"PS256","typ":"jwt","kid":"a"}"#), Ok(()));
    }

    #[test]
    fn a_header_names_the_instance_s_own_certificate_or_none() {
        let sha1 = BASE64URL_NOPAD.encode(Thumbprint::of(CERTIFICATE).as_bytes());
        let sha256 = BASE64URL_NOPAD.encode(digest(&SHA256, CERTIFICATE).as_ref());
        let both = format!(r#"{{"alg":"PS256","x5t":"{sha1}","x5t#S256":"{sha256}"}}"#);
        assert_eq!(with_header(&both), Ok(()));
        for other in [
            format!(r#""x5t":"{sha256}""#),
            format!(r#""x5t#S256":"{sha1}""#),
            format!(r#""x5t":"{sha1}","x5t#S256":"""#),
        ] {
            let refused = with_header(&format!(r#"{{"alg":"PS256",{other}}}"#));
            assert_eq!(refused, Err(NotSigned::OtherCertificate), "{other}");
        }
    }

    #[test]
    fn an_assertion_for_another_server_is_not_signed() {
        let good = good_claims();
        let to = |audience: &str| good.replace(r#""https://login.example.com/t/token""#, audience);
        assert_eq!(with_claims(&to(r#""https://login.example.com/other""#)), Ok(()));
        for audience in [
            r#""https://evil.example.com/t/token""#,
            r#""login.example.com""#,
            r#""""#,
            "1",
            "null",
        ] {
            assert_eq!(with_claims(&to(audience)), Err(NotSigned::Audience), "{audience}");
        }
        assert_eq!(with_claims("{}"), Err(NotSigned::Audience));
    }

    #[test]
    fn an_assertion_for_another_client_is_not_signed() {
        let speaks_for = |claims: &str| with_claims(&claims_with(&format!(r#"{claims}"exp":{NOW}"#)));
        let of = |client: &str| format!(r#""iss":"{client}","sub":"{client}","#);
        assert_eq!(speaks_for(&of(CLIENT)), Ok(()));
        assert_eq!(speaks_for(&of(&CLIENT.to_uppercase())), Ok(()));
        for claims in [
            of("99999999-2222-3333-4444-55555555aaaa"),
            of(""),
            format!(r#""iss":"{CLIENT}","sub":"EUR","#),
            format!(r#""iss":"{CLIENT}","#),
            format!(r#""sub":"{CLIENT}","#),
            r#""iss":1,"sub":1,"#.to_owned(),
            String::new(),
        ] {
            assert_eq!(speaks_for(&claims), Err(NotSigned::Issuer), "{claims}");
        }
    }

    #[test]
    fn an_assertion_is_good_for_ten_minutes_from_now_and_no_longer() {
        let lasts = |claims: &str| {
            with_claims(&claims_with(&format!(
                r#""iss":"{CLIENT}","sub":"{CLIENT}"{claims}"#
            )))
        };
        for good in [
            format!(r#","exp":{}"#, NOW + LIFETIME_SECONDS),
            format!(r#","exp":{NOW},"nbf":0,"iat":-1"#),
            format!(
                r#","exp":{NOW},"nbf":{},"iat":{}"#,
                NOW + AHEAD_SECONDS,
                NOW + AHEAD_SECONDS
            ),
        ] {
            assert_eq!(lasts(&good), Ok(()), "{good}");
        }
        for wrong in [
            String::new(),
            format!(r#","exp":{}"#, NOW + LIFETIME_SECONDS + 1),
            // The year 2099.
            r#","exp":4070908800"#.to_owned(),
            format!(r#","exp":{}"#, NOW - 1),
            format!(r#","exp":"{NOW}""#),
            format!(r#","exp":{NOW}.5"#),
            r#","exp":18446744073709551615"#.to_owned(),
            format!(r#","exp":{NOW},"nbf":{}"#, NOW + AHEAD_SECONDS + 1),
            format!(r#","exp":{NOW},"iat":{}"#, NOW + AHEAD_SECONDS + 1),
            format!(r#","exp":{NOW},"nbf":"{NOW}""#),
        ] {
            assert_eq!(lasts(&wrong), Err(NotSigned::Lifetime), "{wrong}");
        }
    }

    #[test]
    fn a_message_within_the_limit_is_signed_and_one_beyond_it_is_not() {
        let of_length = |bytes: usize| {
            let empty = jws(HEADER, &good_claims().replace(r#""jti":"1""#, r#""jti":"""#)).len();
            // Three bytes are four characters.
            let filling = "A".repeat((bytes - empty) / 4 * 3);
            jws(
                HEADER,
                &good_claims().replace(r#""jti":"1""#, &format!(r#""jti":"{filling}""#)),
            )
        };
        let longest = of_length(SIGNED_MESSAGE_BYTES);
        assert!(longest.len() > SIGNED_MESSAGE_BYTES - 4 && longest.len() <= SIGNED_MESSAGE_BYTES);
        assert_eq!(judge(Ps256, &longest), Ok(()));
        let beyond = of_length(SIGNED_MESSAGE_BYTES + 8);
        assert_eq!(judge(Ps256, &beyond), Err(NotSigned::TooLong(beyond.len())));
    }
}
