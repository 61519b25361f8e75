//! Entra's refusals: the AADSTS codes that this simulator gives, and their JSON.

use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::super::answer::{Answer, json};

/// Why no access token was granted. Codes: learn.microsoft.com/entra/identity-platform/reference-error-codes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("Tenant '{0}' not found. Check to make sure you have the correct tenant ID")]
    TenantNotFound(String),
    #[error("The endpoint only accepts POST requests. Received a {0} request")]
    NotPost(String),
    #[error("The request body must contain the following parameter: '{0}'")]
    ParameterMissing(&'static str),
    #[error("The request body has the parameter '{0}' more than once")]
    ParameterRepeated(String),
    #[error("The app returned an unsupported grant type '{0}'")]
    GrantType(String),
    #[error("Application with identifier '{0}' was not found in the directory")]
    ApplicationNotFound(String),
    #[error("The request body must contain the following parameter: 'client_assertion' or 'client_secret'")]
    AssertionMissing,
    #[error("Invalid client secret provided: this application has certificates only")]
    ClientSecret,
    #[error("The 'resource' request parameter is not supported")]
    ResourceOnV2,
    #[error(
        "The provided value for scope '{0}' is not valid. It must be one resource followed by '/.default'"
    )]
    Scope(String),
    #[error("The resource principal named {0} was not found in the tenant")]
    ResourceNotFound(String),
    #[error("JWT token is invalid or malformed: {0}")]
    Malformed(String),
    #[error("Client assertion contains an invalid signature. [Reason - {0}]")]
    Signature(String),
    #[error("Client assertion application identifier doesn't match 'client_id' parameter")]
    ClientIdMismatch,
    #[error("The subject of the client assertion doesn't match its issuer")]
    SubjectMismatch,
    #[error("Client assertion audience claim does not match Realm issuer. Expected '{0}'")]
    Audience(String),
    #[error("Client assertion is not within its valid time range. {0}")]
    TimeRange(String),
    #[error("The assertion was presented before: its 'jti' must be used once")]
    Replayed,
    #[error("A fault was ordered")]
    Ordered {
        status: StatusCode,
        code: u32,
        retry_after: Option<u32>,
    },
    #[error("The simulator itself failed")]
    Internal,
}

#[derive(Serialize)]
struct Body {
    error: &'static str,
    error_description: String,
    error_codes: [u32; 1],
    timestamp: String,
    trace_id: Uuid,
    correlation_id: Uuid,
    error_uri: String,
}

impl Refusal {
    fn code(&self) -> u32 {
        match self {
            Refusal::TenantNotFound(_) => 90002,
            Refusal::NotPost(_) => 900561,
            Refusal::ParameterMissing(_) => 900144,
            Refusal::ParameterRepeated(_) => 9000411,
            Refusal::GrantType(_) => 70003,
            Refusal::ApplicationNotFound(_) => 700016,
            Refusal::AssertionMissing => 7000218,
            Refusal::ClientSecret => 7000215,
            Refusal::ResourceOnV2 => 901002,
            Refusal::Scope(_) => 70011,
            Refusal::ResourceNotFound(_) => 500011,
            Refusal::Malformed(_) => 50027,
            Refusal::Signature(_) => 700027,
            Refusal::ClientIdMismatch => 700021,
            Refusal::SubjectMismatch => 50048,
            Refusal::Audience(_) => 700023,
            Refusal::TimeRange(_) => 700024,
            Refusal::Replayed => 50013,
            Refusal::Ordered { code, .. } => *code,
            Refusal::Internal => 90033,
        }
    }

    /// The OAuth 2.0 error (RFC 6749 section 5.2), which is what a client should decide on, and its status.
    fn error(&self) -> (StatusCode, &'static str) {
        match self {
            Refusal::TenantNotFound(_)
            | Refusal::ParameterMissing(_)
            | Refusal::ParameterRepeated(_)
            | Refusal::ResourceOnV2
            | Refusal::Malformed(_) => (StatusCode::BAD_REQUEST, "invalid_request"),
            Refusal::NotPost(_) => (StatusCode::METHOD_NOT_ALLOWED, "invalid_request"),
            Refusal::GrantType(_) => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
            Refusal::ApplicationNotFound(_) => (StatusCode::BAD_REQUEST, "unauthorized_client"),
            Refusal::Scope(_) => (StatusCode::BAD_REQUEST, "invalid_scope"),
            Refusal::ResourceNotFound(_) => (StatusCode::BAD_REQUEST, "invalid_resource"),
            Refusal::Replayed => (StatusCode::BAD_REQUEST, "invalid_grant"),
            Refusal::AssertionMissing
            | Refusal::ClientSecret
            | Refusal::Signature(_)
            | Refusal::ClientIdMismatch
            | Refusal::SubjectMismatch
            | Refusal::Audience(_)
            | Refusal::TimeRange(_) => (StatusCode::UNAUTHORIZED, "invalid_client"),
            Refusal::Ordered { status, .. } => {
                let transient = status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS;
                (
                    *status,
                    if transient {
                        "temporarily_unavailable"
                    } else {
                        "invalid_request"
                    },
                )
            }
            Refusal::Internal => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
        }
    }

    /// The answer, with identifiers for support as Entra gives them.
    pub(super) fn answer(&self, login_authority: &str, trace_id: Uuid, correlation_id: Uuid) -> Answer {
        let (status, error) = self.error();
        let code = self.code();
        let now = Timestamp::now().to_string();
        let timestamp = format!("{}Z", now.get(..19).unwrap_or(&now).replace('T', " "));
        let error_description = format!(
            "AADSTS{code}: {self}. Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {timestamp}"
        );
        let error_uri = format!("https://{login_authority}/error?code={code}");
        let error_codes = [code];
        json(
            status,
            &Body {
                error,
                error_description,
                error_codes,
                timestamp,
                trace_id,
                correlation_id,
                error_uri,
            },
        )
    }

    /// The seconds for the `Retry-After` header.
    pub(super) fn retry_after(&self) -> Option<u32> {
        match self {
            Refusal::Ordered { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
