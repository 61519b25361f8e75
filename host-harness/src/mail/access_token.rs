//! Access tokens for the mail server, in place of a password: got from a token endpoint with a client assertion (RFC 7523
//! section 2.2) that an installed certificate signs, and kept until shortly before they expire.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use bss_keys::signing_input::{self, Claimant};
use bss_keys::{Identity, SignatureAlgorithm};
use bss_model::clock::now_ms;
use bss_model::moment::Moment;
use bss_model::{AccessTokenLogin, Problem, with_causes};
use bss_record::CertificateStore;
use bss_sandbox::access_token_cache::{AccessTokenCache, CallAccessTokens};
use bss_sandbox::outbound_https::{Egress, OutboundHttps};
use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http::header::{ACCEPT, CONTENT_TYPE};
use ipnet::{Ipv4Net, Ipv6Net};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::text::one_line;
use crate::host::Host;

/// The name under which access tokens are kept, in place of an instance's id.
const OWNER: &str = "mail";

/// The type of a client assertion that is a JWT (RFC 7523 section 2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How far this machine's clock may be ahead of the server's.
const CLOCK_AHEAD_S: i64 = 60;

/// The time for which an assertion is good.
const ASSERTION_S: i64 = 10 * 60;

/// The last part of an access token's life in which it is not used, so that it outlives the session it is used in.
const UNUSED_S: i64 = 5 * 60;

/// The longest life of an access token that is believed.
const LONGEST_LIFE_S: i64 = 24 * 60 * 60;

/// The time limit for getting one.
const ASK: Duration = Duration::from_secs(60);

/// The most characters of a server's words that are kept.
const WORDS: usize = 300;

/// The way to the access tokens of one login.
pub(super) struct AccessTokens {
    login: AccessTokenLogin,
    certificates: CertificateStore,
    cache: AccessTokenCache,
}

impl AccessTokens {
    pub(super) fn new(host: &Host, login: AccessTokenLogin) -> Self {
        Self {
            login,
            certificates: host.record().certificates(),
            cache: host.access_tokens().clone(),
        }
    }

    /// The access token that is kept, or a new one. Whoever else needs one meanwhile waits for it.
    pub(super) async fn get(&self) -> Result<Zeroizing<String>, Problem> {
        let (mut kept, name) = (self.kept(), self.name());
        let found = kept.get(&name, Moment::now()).await;
        if let Some(access_token) = found.map_err(|error| none(&error.to_string()))? {
            return Ok(access_token);
        }
        let asked = tokio::time::timeout(ASK, self.ask()).await;
        let granted = asked.map_err(|_| none(&format!("it took longer than {} s", ASK.as_secs())))??;
        let expires_at_ms = now_ms().saturating_add(granted.usable_s().saturating_mul(1_000));
        let access_token = granted.access_token;
        let put = kept
            .put(&name, access_token.to_string(), expires_at_ms, Moment::now())
            .await;
        put.map_err(|error| none(&error.to_string()))?;
        Ok(access_token)
    }

    /// Forgets an access token that the mail server has refused.
    pub(super) async fn refused(&self, access_token: &str) {
        // A name that is too long was refused when the access token was got.
        let _ = self.kept().drop_refused(&self.name(), access_token).await;
    }

    fn kept(&self) -> CallAccessTokens {
        CallAccessTokens::new(self.cache.clone(), OWNER.to_owned(), 0)
    }

    /// Everything that an access token depends on.
    fn name(&self) -> String {
        let login = &self.login;
        format!(
            "{} {} {} {}",
            login.token_endpoint, login.client_id, login.certificate, login.scope
        )
    }

    /// Asks the token endpoint, on a connection of its own: it is asked once an hour.
    async fn ask(&self) -> Result<Granted, Problem> {
        let identity = self.certificates.identity(&self.login.certificate).await;
        let identity = identity.map_err(|error| none(&with_causes(&error)))?;
        let assertion = self
            .assertion(&identity, now_ms())
            .map_err(|error| none(&error))?;
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &self.login.client_id)
            .append_pair("scope", &self.login.scope)
            .append_pair("client_assertion_type", ASSERTION_TYPE)
            .append_pair("client_assertion", &assertion)
            .finish();
        let request = http::Request::post(&self.login.token_endpoint)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(Bytes::from(body));
        let request = request.map_err(|error| none(&error.to_string()))?;
        let answer = OutboundHttps::default().ask(&self.egress()?, request).await;
        let answer = answer.map_err(|error| none(&format!("`{}`: {error}", self.login.token_endpoint)))?;
        read(answer.status().as_u16(), answer.body())
            .map_err(|refusal| none(&format!("`{}` {refusal}", self.login.token_endpoint)))
    }

    /// The token endpoint is reached wherever it is: the operator alone has named it.
    fn egress(&self) -> Result<Egress, Problem> {
        let (url, trusted) = (&self.login.token_endpoint, &self.login.trusted_authorities_pem);
        let egress = Egress::to(OWNER, url, trusted.as_deref());
        Ok(Egress {
            allowed_networks: vec![Ipv4Net::default().into(), Ipv6Net::default().into()],
            ..egress.map_err(|error| none(&format!("`{url}`: {error}")))?
        })
    }

    /// A client assertion (RFC 7523 section 3) that is good once.
    fn assertion(&self, identity: &Identity, now_ms: i64) -> Result<Zeroizing<String>, String> {
        let algorithm = SignatureAlgorithm::Ps256;
        let certificate = identity
            .certificates()
            .first()
            .ok_or("the certificate is missing")?;
        let begins_s = now_ms.div_euclid(1_000) - CLOCK_AHEAD_S;
        let header = json!({
            "alg": algorithm.name(),
            "typ": "JWT",
            "x5t#S256": BASE64URL_NOPAD.encode(digest(&SHA256, certificate).as_ref()),
        });
        let claims = json!({
            "aud": self.login.token_endpoint,
            "iss": self.login.client_id,
            "sub": self.login.client_id,
            "jti": Uuid::new_v4().to_string(),
            "nbf": begins_s,
            "iat": begins_s,
            "exp": begins_s + ASSERTION_S,
        });
        let part = |json: &serde_json::Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
        let message = format!("{}.{}", part(&header), part(&claims));
        // As for a plugin: what is signed can be nothing else than an assertion of this client to this server.
        let claimant = Claimant {
            certificate,
            saved_values: std::slice::from_ref(&self.login.client_id),
            is_own_server: &|url| url == self.login.token_endpoint,
            now_ms,
        };
        signing_input::check(algorithm, message.as_bytes(), &claimant).map_err(|error| error.to_string())?;
        let signature = identity
            .sign(algorithm, message.as_bytes())
            .map_err(|error| error.to_string())?;
        Ok(Zeroizing::new(format!(
            "{message}.{}",
            BASE64URL_NOPAD.encode(&signature)
        )))
    }
}

/// The problem where there is no access token.
fn none(why: &str) -> Problem {
    let message = format!("there is no access token for the mail server: {}", one_line(why));
    Problem::new(
        "mail-no-access-token",
        message,
        "check the client, its certificate and where its access tokens come from in the mail settings",
    )
}

/// An access token, and how long it is good.
struct Granted {
    access_token: Zeroizing<String>,
    expires_in_s: i64,
}

impl Granted {
    fn usable_s(&self) -> i64 {
        self.expires_in_s
            .clamp(0, LONGEST_LIFE_S)
            .saturating_sub(UNUSED_S)
            .max(0)
    }
}

/// RFC 6749 section 5.1. Its `expires_in` is only recommended, and some servers write it as a text.
#[derive(Deserialize)]
struct GrantedWire {
    access_token: String,
    #[serde(default)]
    expires_in: serde_json::Value,
}

/// RFC 6749 section 5.2. Members of any type, so that one that is strange does not hide the others.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RefusedWire {
    error: serde_json::Value,
    error_description: serde_json::Value,
}

/// Reads a token endpoint's answer. The error is what it did, as the rest of a sentence.
fn read(status: u16, body: &[u8]) -> Result<Granted, String> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if status != 200 {
        let wire: RefusedWire = serde_json::from_slice(body).unwrap_or_default();
        let words = [&wire.error, &wire.error_description]
            .into_iter()
            .filter_map(|word| word.as_str());
        let words: Vec<&str> = words.collect();
        let words: String = words.join(": ").chars().take(WORDS).collect();
        return Err(match words.is_empty() {
            true => format!("answered with HTTP {status}, and not as a token endpoint does"),
            false => format!("refused with HTTP {status}: {words}"),
        });
    }
    let not_one = || "answered with something else than an access token".to_owned();
    let wire: GrantedWire = serde_json::from_slice(body).map_err(|_| not_one())?;
    let access_token = Zeroizing::new(wire.access_token);
    let is_usable = !access_token.is_empty() && access_token.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_usable {
        return Err(not_one());
    }
    let expires_in_s = match &wire.expires_in {
        serde_json::Value::String(text) => text.parse().ok(),
        value => value.as_f64().map(|seconds| seconds as i64),
    };
    Ok(Granted {
        access_token,
        // Without one, the access token is used this once.
        expires_in_s: expires_in_s.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usable_s(body: &str) -> i64 {
        read(200, body.as_bytes()).unwrap().usable_s()
    }

    #[test]
    fn an_access_token_is_kept_until_shortly_before_it_expires() {
        for (expires_in, expected) in [
            ("3600", 3_300),
            ("\"3600\"", 3_300),
            ("3600.5", 3_300),
            ("60", 0),
            ("-1", 0),
            ("1e30", LONGEST_LIFE_S - UNUSED_S),
            ("null", 0),
            ("{}", 0),
        ] {
            let body = format!(r#"{{"access_token":"a","expires_in":{expires_in}}}"#);
            assert_eq!(usable_s(&body), expected, "{expires_in}");
        }
        assert_eq!(usable_s(r#"{"access_token":"a"}"#), 0);
        assert_eq!(
            usable_s("\u{feff}{\"access_token\":\"a\",\"expires_in\":3600}"),
            3_300
        );
    }

    #[test]
    fn a_refusal_is_told_in_the_server_s_words_and_a_page_of_somebody_else_as_such() {
        let of = |status, body: &str| read(status, body.as_bytes()).err().unwrap();
        let refused =
            r#"{"error":"invalid_client","error_description":"AADSTS700027: no","error_codes":null}"#;
        assert_eq!(
            of(401, refused),
            "refused with HTTP 401: invalid_client: AADSTS700027: no"
        );
        for page in ["<html>", "", "{}", "[]", r#"{"error":1}"#] {
            assert_eq!(
                of(403, page),
                "answered with HTTP 403, and not as a token endpoint does"
            );
        }
        for strange in [
            "<html>",
            "{}",
            r#"{"access_token":""}"#,
            r#"{"access_token":"a b"}"#,
            r#"{"access_token":1}"#,
        ] {
            assert_eq!(
                of(200, strange),
                "answered with something else than an access token"
            );
        }
    }
}
