//! CIS's refusals: their codes, their statuses and their JSON.

use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use uuid::Uuid;

use super::super::answer::{Answer, json};

/// A detail of a refusal: something that is wrong with the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Detail {
    pub(super) code: String,
    pub(super) target: String,
    pub(super) message: String,
}

/// A refusal of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    code: String,
    message: String,
    target: Option<String>,
    details: Vec<Detail>,
    retry_after: Option<u32>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: Error<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Error<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    details: &'a [Detail],
    correlation_id: Uuid,
}

impl Refusal {
    /// A refusal with a status that the OpenAPI file gives that code.
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Refusal {
        let (message, details) = (message.into(), Vec::new());
        Refusal {
            status,
            code: code.to_owned(),
            message,
            target: None,
            details,
            retry_after: None,
        }
    }

    /// A refusal because the request itself is wrong.
    pub(super) fn invalid(target: &str, message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, "InvalidRequest", message).about(target)
    }

    /// A refusal because there is no access token, or not a good one (RFC 6750 section 3.1).
    pub(super) fn unauthenticated(message: &str) -> Refusal {
        Refusal::new(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", message).about("Authorization")
    }

    pub(super) fn conflict(code: &str, message: &str) -> Refusal {
        Refusal::new(StatusCode::CONFLICT, code, message)
    }

    /// A refusal because the license was never bought, or was bought by another application: the caller can't tell.
    pub(super) fn no_such_license() -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "TokenNotFound", "there is no such license")
    }

    /// A refusal because the simulator itself could not do its work; the error is logged.
    pub(super) fn internal(error: &(dyn std::error::Error + 'static)) -> Refusal {
        tracing::error!(error, "the simulator failed to answer a request");
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            "the simulator itself failed; see its log",
        )
    }

    pub(super) fn about(mut self, target: &str) -> Refusal {
        self.target = Some(target.to_owned());
        self
    }

    pub(super) fn detail(mut self, code: &str, target: &str, message: impl Into<String>) -> Refusal {
        self.details.push(Detail {
            code: code.to_owned(),
            target: target.to_owned(),
            message: message.into(),
        });
        self
    }

    pub(super) fn retry_after(mut self, seconds: Option<u32>) -> Refusal {
        self.retry_after = seconds;
        self
    }

    pub(super) fn answer(&self, correlation_id: Uuid) -> Answer {
        let Refusal {
            status,
            code,
            message,
            target,
            details,
            retry_after,
        } = self;
        let target = target.as_deref();
        let mut answer = json(
            *status,
            &Body {
                error: Error {
                    code,
                    message,
                    target,
                    details,
                    correlation_id,
                },
            },
        );
        if let Some(seconds) = retry_after {
            answer
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(*seconds));
        }
        if *status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
            answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        answer
    }
}
