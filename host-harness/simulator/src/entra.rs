//! The simulated Entra: its token endpoint, in the older and the newer version.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, PRAGMA, RETRY_AFTER};
use http::{HeaderValue, Method, Request, StatusCode};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::access_tokens::AccessTokens;
use super::answer::{self, Answer, Outcome};
use super::applications::Applications;
use super::faults::{Faults, Operation};
use super::ledger::Ledger;
use super::server::{Site, allowing};
use errors::Refusal;

mod assertion;
mod errors;

/// The type of a client assertion that is a JWT (RFC 7523 section 2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    /// `/{tenant}/oauth2/token`, with `resource`.
    V1,
    /// `/{tenant}/oauth2/v2.0/token`, with `scope`.
    V2,
}

impl Version {
    fn path(self) -> &'static str {
        match self {
            Version::V1 => "oauth2/token",
            Version::V2 => "oauth2/v2.0/token",
        }
    }
}

/// Entra, for one tenant.
pub(super) struct Entra {
    pub(super) login_authority: String,
    pub(super) resource: String,
    pub(super) applications: Arc<Applications>,
    pub(super) access_tokens: Arc<AccessTokens>,
    pub(super) ledger: Ledger,
    pub(super) faults: Arc<Faults>,
}

impl Site for Entra {
    type Connection = ();

    fn connected(&self, _: &rustls::ServerConnection) -> std::io::Result<()> {
        Ok(())
    }

    async fn answer(&self, request: Request<Bytes>, (): &()) -> Outcome {
        let Some((tenant, version)) = route(request.uri().path()) else {
            return answer::whole(answer::json(
                StatusCode::NOT_FOUND,
                &json!({ "error": "not_found" }),
            ));
        };
        let fault = self.faults.next(Operation::AccessToken);
        let act = async {
            match self.grant(&request, tenant, version).await {
                Ok(granted) => not_stored(answer::json(StatusCode::OK, &granted)),
                Err(refusal) => self.refused(&refusal, correlation_id(&request)),
            }
        };
        let refuse = |status, code: &str, retry_after| {
            let code = code.parse().unwrap_or_default();
            self.refused(
                &Refusal::Ordered {
                    status,
                    code,
                    retry_after,
                },
                correlation_id(&request),
            )
        };
        answer::answer(fault, act, refuse).await
    }

    fn unreadable(&self, _: StatusCode) -> Answer {
        self.refused(
            &Refusal::Malformed("the request can't be read, or is too long".to_owned()),
            None,
        )
    }
}

impl Entra {
    async fn grant(
        &self,
        request: &Request<Bytes>,
        tenant: &str,
        version: Version,
    ) -> Result<serde_json::Value, Refusal> {
        if request.method() != Method::POST {
            return Err(Refusal::NotPost(request.method().to_string()));
        }
        if !tenant.eq_ignore_ascii_case(&self.applications.tenant().to_string()) {
            return Err(Refusal::TenantNotFound(tenant.to_owned()));
        }
        let form = Form::read(request.body())?;
        let grant_type = form.required("grant_type")?;
        if grant_type != "client_credentials" {
            return Err(Refusal::GrantType(grant_type.to_owned()));
        }
        let client_id = form.required("client_id")?;
        let application = Uuid::parse_str(client_id)
            .ok()
            .and_then(|id| self.applications.application(id));
        let application = application.ok_or_else(|| Refusal::ApplicationNotFound(client_id.to_owned()))?;
        self.check_resource(&form, version)?;
        let now = Timestamp::now();
        // The tenant stays as the client wrote it: an assertion's audience is the address it is sent to.
        let audience = format!("https://{}/{tenant}/{}", self.login_authority, version.path());
        let assertion = form.assertion()?;
        let verified = assertion::verify(
            assertion,
            application.client_id,
            &audience,
            &self.applications,
            now,
        )?;
        self.check_first_use(&verified, now).await?;
        let access_token = self
            .access_tokens
            .grant(application.client_id)
            .map_err(|_| Refusal::Internal)?;
        Ok(self.granted(access_token.expose(), version, now))
    }

    fn check_resource(&self, form: &Form, version: Version) -> Result<(), Refusal> {
        let resource = match version {
            Version::V1 => form.required("resource")?,
            Version::V2 => {
                if form.optional("resource").is_some() {
                    return Err(Refusal::ResourceOnV2);
                }
                let scope = form.required("scope")?;
                let resource = scope
                    .strip_suffix("/.default")
                    .filter(|resource| !resource.contains(' '));
                resource.ok_or_else(|| Refusal::Scope(scope.to_owned()))?
            }
        };
        if resource == self.resource {
            Ok(())
        } else {
            Err(Refusal::ResourceNotFound(resource.to_owned()))
        }
    }

    async fn check_first_use(&self, verified: &assertion::Verified, now: Timestamp) -> Result<(), Refusal> {
        let forget_s = now.as_second();
        let accepted = self
            .ledger
            .accept_assertion(&verified.jti, verified.refused_from_s, forget_s);
        match accepted.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::Replayed),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the simulator can't keep an assertion"
                );
                Err(Refusal::Internal)
            }
        }
    }

    fn granted(&self, access_token: &str, version: Version, now: Timestamp) -> serde_json::Value {
        let expires_in = self.access_tokens.life().as_secs();
        match version {
            Version::V1 => {
                let expires_on = now.as_second().saturating_add_unsigned(expires_in);
                json!({
                    "token_type": "Bearer",
                    "expires_in": expires_in.to_string(),
                    "ext_expires_in": expires_in.to_string(),
                    "expires_on": expires_on.to_string(),
                    "not_before": now.as_second().to_string(),
                    "resource": self.resource,
                    "access_token": access_token,
                })
            }
            Version::V2 => json!({
                "token_type": "Bearer",
                "expires_in": expires_in,
                "ext_expires_in": expires_in,
                "access_token": access_token,
            }),
        }
    }

    fn refused(&self, refusal: &Refusal, correlation_id: Option<Uuid>) -> Answer {
        let made_up = || super::random::uuid().unwrap_or_default();
        let correlation_id = correlation_id.unwrap_or_else(made_up);
        let mut answer = not_stored(refusal.answer(&self.login_authority, made_up(), correlation_id));
        if let Some(seconds) = refusal.retry_after() {
            answer
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        match refusal {
            Refusal::NotPost(_) => allowing(answer, "POST"),
            _ => answer,
        }
    }
}

/// The form that a client posts, with every parameter at most once.
struct Form(BTreeMap<String, String>);

impl Form {
    fn read(body: &[u8]) -> Result<Form, Refusal> {
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(body) {
            if parameters.insert(name.to_string(), value.to_string()).is_some() {
                return Err(Refusal::ParameterRepeated(name.into_owned()));
            }
        }
        Ok(Form(parameters))
    }

    fn optional(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    fn required(&self, name: &'static str) -> Result<&str, Refusal> {
        self.optional(name).ok_or(Refusal::ParameterMissing(name))
    }

    fn assertion(&self) -> Result<&str, Refusal> {
        let Some(assertion) = self.optional("client_assertion") else {
            let secret = self.optional("client_secret");
            return Err(secret.map_or(Refusal::AssertionMissing, |_| Refusal::ClientSecret));
        };
        let assertion_type = self.required("client_assertion_type")?;
        if assertion_type != ASSERTION_TYPE {
            return Err(Refusal::Malformed(format!(
                "client_assertion_type '{assertion_type}' is not supported"
            )));
        }
        Ok(assertion)
    }
}

fn route(path: &str) -> Option<(&str, Version)> {
    let (tenant, rest) = path.strip_prefix('/')?.split_once('/')?;
    let version = [Version::V1, Version::V2]
        .into_iter()
        .find(|version| version.path() == rest)?;
    Some((tenant, version))
}

/// The caller's own correlation id, in the header that MSAL uses.
fn correlation_id(request: &Request<Bytes>) -> Option<Uuid> {
    request
        .headers()
        .get("client-request-id")?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Forbids caches to store the answer (RFC 6749 section 5.1).
fn not_stored(mut answer: Answer) -> Answer {
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
        .headers_mut()
        .insert(PRAGMA, HeaderValue::from_static("no-cache"));
    answer
}
