//! The JSON Web Token by which a client proves who it is
//! (learn.microsoft.com/entra/identity-platform/certificate-credentials).

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::Serialize;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::version::Version;
use crate::platform::{Platform, SignatureAlgorithm, SigningFailure};
use bss_plugin::secret::Secret;

/// How far our clock may be ahead of Entra's.
const CLOCK_SKEW_SECONDS: i64 = 60;
/// The lifetime of an assertion: Entra advises five to ten minutes after `nbf`.
const LIFETIME_SECONDS: i64 = 600;

#[derive(Serialize)]
struct Header {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    x5t: Option<String>,
    #[serde(rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    x5t_s256: Option<String>,
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    iss: Uuid,
    sub: Uuid,
    jti: String,
    nbf: i64,
    iat: i64,
    exp: i64,
}

/// Signs an assertion that is good once.
pub(super) fn signed(
    platform: &impl Platform,
    version: Version,
    endpoint: &str,
    client_id: Uuid,
    certificate: &[u8],
) -> Result<Secret, SigningFailure> {
    let (algorithm, header) = match version {
        Version::V1 => (
            SignatureAlgorithm::Rs256,
            Header {
                alg: "RS256",
                typ: "JWT",
                x5t: Some(Base64UrlUnpadded::encode_string(&Sha1::digest(certificate))),
                x5t_s256: None,
            },
        ),
        Version::V2 => (
            SignatureAlgorithm::Ps256,
            Header {
                alg: "PS256",
                typ: "JWT",
                x5t: None,
                x5t_s256: Some(Base64UrlUnpadded::encode_string(&Sha256::digest(certificate))),
            },
        ),
    };
    let now = platform.now_ms() / 1_000;
    let claims = Claims {
        aud: endpoint,
        iss: client_id,
        sub: client_id,
        jti: crate::exchange::fresh_guid(platform),
        nbf: now - CLOCK_SKEW_SECONDS,
        iat: now - CLOCK_SKEW_SECONDS,
        exp: now - CLOCK_SKEW_SECONDS + LIFETIME_SECONDS,
    };
    let message = format!("{}.{}", encoded(&header)?, encoded(&claims)?);
    let signature = platform.sign(algorithm, message.as_bytes())?;
    Ok(Secret::new(format!(
        "{message}.{}",
        Base64UrlUnpadded::encode_string(&signature)
    )))
}

fn encoded(part: &impl Serialize) -> Result<String, SigningFailure> {
    serde_json::to_vec(part)
        .map(|json| Base64UrlUnpadded::encode_string(&json))
        .map_err(|error| SigningFailure::Unusable(error.to_string()))
}
