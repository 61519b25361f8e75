//! Checks whether a client assertion proves that its sender has an application's private key.

use data_encoding::{BASE64URL_NOPAD, HEXUPPER};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::Deserialize;
use uuid::Uuid;

use super::super::applications::{Applications, RegisteredCertificate};
use super::errors::Refusal;

/// How far the clocks of a client and of Entra may differ.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// How far ahead an assertion may expire. Microsoft advises 5 to 10 minutes.
const LIFE_MAX: SignedDuration = SignedDuration::from_mins(10);

/// The longest `jti` that is kept; a UUID has 36 characters.
const JTI_MAX: usize = 128;

#[derive(Deserialize)]
struct Claims {
    aud: String,
    iss: String,
    sub: String,
    jti: Option<String>,
    exp: i64,
    nbf: Option<i64>,
}

/// A valid assertion, of which only the `jti` is still to be checked for its first use.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verified {
    pub(super) jti: String,
    /// The second from which on the assertion is refused for its age.
    pub(super) refused_from_s: i64,
}

/// The latest expiry, in seconds, with which an assertion is refused for its age.
pub(super) fn too_old_s(now: Timestamp) -> i64 {
    now.as_second().saturating_sub(SKEW.as_secs())
}

pub(super) fn verify(
    assertion: &str,
    client_id: Uuid,
    audience: &str,
    applications: &Applications,
    now: Timestamp,
) -> Result<Verified, Refusal> {
    let header =
        jsonwebtoken::decode_header(assertion).map_err(|error| Refusal::Malformed(error.to_string()))?;
    let claims: Claims = jsonwebtoken::dangerous::insecure_decode_claims(assertion)
        .map_err(|error| Refusal::Malformed(error.to_string()))?;
    if !matches!(header.alg, Algorithm::PS256 | Algorithm::RS256) {
        return Err(Refusal::Malformed(format!(
            "algorithm {:?} is not supported, PS256 and RS256 are",
            header.alg
        )));
    }
    // Entra names a wrong client before it looks at the signature.
    let client = client_id.to_string();
    if claims.iss != claims.sub {
        return Err(Refusal::SubjectMismatch);
    }
    if !claims.iss.eq_ignore_ascii_case(&client) {
        return Err(Refusal::ClientIdMismatch);
    }
    let certificate = certificate(&header, client_id, applications)?;
    check_signature(assertion, header.alg, &certificate)?;
    if certificate.not_after < now {
        return Err(Refusal::Signature(format!(
            "The key used is expired, thumbprint {}",
            certificate.thumbprint
        )));
    }
    if claims.aud != audience {
        return Err(Refusal::Audience(audience.to_owned()));
    }
    check_times(&claims, now)?;
    let jti = claims.jti.filter(|jti| !jti.is_empty() && jti.len() <= JTI_MAX);
    let jti = jti.ok_or_else(|| Refusal::Malformed(format!("'jti' must have 1 to {JTI_MAX} characters")))?;
    Ok(Verified {
        jti,
        refused_from_s: claims.exp.saturating_add(SKEW.as_secs()),
    })
}

/// The registered certificate that the header's thumbprints name; all that are given must name the same one.
fn certificate(
    header: &Header,
    client_id: Uuid,
    applications: &Applications,
) -> Result<RegisteredCertificate, Refusal> {
    let not_found = |thumbprint: &str| {
        Refusal::Signature(format!(
            "The key was not found, thumbprint of key used by client: '{thumbprint}'"
        ))
    };
    if header.x5t.is_none() && header.x5t_s256.is_none() {
        return Err(not_found("none given"));
    }
    let given = header
        .x5t_s256
        .as_deref()
        .or(header.x5t.as_deref())
        .unwrap_or_default();
    let decode = |text: &Option<String>| {
        text.as_ref()
            .map(|text| {
                BASE64URL_NOPAD
                    .decode(text.as_bytes())
                    .map_err(|_| not_found(text))
            })
            .transpose()
    };
    let (sha1, sha256) = (decode(&header.x5t)?, decode(&header.x5t_s256)?);
    let sha1 = sha1.map(|sha1| HEXUPPER.encode(&sha1));
    applications
        .certificate(|known| {
            known.client_id == client_id
                && sha1.as_ref().is_none_or(|sha1| *sha1 == known.thumbprint)
                && sha256.as_ref().is_none_or(|sha256| *sha256 == known.sha256)
        })
        .ok_or_else(|| not_found(given))
}

fn check_signature(
    assertion: &str,
    algorithm: Algorithm,
    certificate: &RegisteredCertificate,
) -> Result<(), Refusal> {
    let mut signature_only = Validation::new(algorithm);
    signature_only.required_spec_claims.clear();
    signature_only.validate_exp = false;
    signature_only.validate_aud = false;
    let key = DecodingKey::from_rsa_der(&certificate.public_key);
    match jsonwebtoken::decode::<Claims>(assertion, &key, &signature_only) {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => {
            Err(Refusal::Signature(format!(
                "The key was found, but use of the key to verify the signature failed, thumbprint {}",
                certificate.thumbprint
            )))
        }
        Err(error) => Err(Refusal::Malformed(error.to_string())),
    }
}

fn check_times(claims: &Claims, now: Timestamp) -> Result<(), Refusal> {
    let now_s = now.as_second();
    let refused = |text: &str| {
        let (from, until) = (claims.nbf.unwrap_or_default(), claims.exp);
        Err(Refusal::TimeRange(format!(
            "{text}: current time {now_s}, assertion valid from {from}, expiry {until}"
        )))
    };
    if claims.exp <= too_old_s(now) {
        return refused("It has expired");
    }
    if claims
        .nbf
        .is_some_and(|nbf| nbf > now_s.saturating_add(SKEW.as_secs()))
    {
        return refused("It is not valid yet");
    }
    if claims.exp > now_s.saturating_add((LIFE_MAX + SKEW).as_secs()) {
        return refused("It lasts too long");
    }
    Ok(())
}
