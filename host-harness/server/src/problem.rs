//! Problems: what a client is told of a request that was not carried out (RFC 9457).

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bss_model::{Advice, Diagnose, ErrorKind, with_causes};
use host_harness::view;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::request_error::RequestError;

/// Seconds after which a client comes again where this machine or a vendor is in the way.
const RETRY_AFTER_SECONDS: u64 = 5;

/// A problem, as clients read it. `code` says what it is, and stays; `title` and `detail` are for people.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Problem(Box<Told>);

/// What a client is told of a request that was not carried out (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ProblemDetails)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Told {
    /// `about:blank`: the code says more than an address could.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The words of the status.
    title: &'static str,
    /// The status.
    status: u16,
    /// The problem: stable, lower case, words joined by `-`.
    code: String,
    /// The problem, as a sentence for people.
    detail: String,
    /// What helps, as a sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
    /// Whether the same request may succeed later, unaltered.
    is_transient: bool,
    /// All that is wrong with what was given, each with its field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldProblem>,
    #[serde(skip)]
    #[schema(ignore)]
    retry_after: Option<u64>,
    /// Whether a key as a bearer token would help.
    #[serde(skip)]
    #[schema(ignore)]
    asks_for_bearer: bool,
    /// Whether the causes are told to the operator alone.
    #[serde(skip)]
    #[schema(ignore)]
    hides_causes: bool,
    /// What the operator is told, in the log.
    #[serde(skip)]
    #[schema(ignore)]
    causes: String,
}

/// The causes of a problem that is this machine's, for the log.
#[derive(Clone, Debug)]
pub(crate) struct Causes {
    pub(crate) code: String,
    pub(crate) causes: String,
}

/// A problem with a field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldProblem {
    /// The field, as in `lines[0].quantity`. A parameter of the query goes by its name.
    pub(crate) field: String,
    /// The problem: stable, lower case, words joined by `-`.
    pub(crate) code: String,
    /// The problem, as a sentence for people.
    pub(crate) message: String,
    /// What helps, as a sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) advice: Option<String>,
}

impl FieldProblem {
    /// The problem that an error is to a field.
    pub(crate) fn of(field: impl Into<String>, error: &(impl Diagnose + 'static)) -> Self {
        let diagnosis = error.diagnosis();
        Self {
            field: field.into(),
            code: diagnosis.code.into_owned(),
            message: with_causes(error),
            advice: diagnosis.advice.as_ref().map(sentence),
        }
    }

    /// The problem that somebody else has with a field: a plugin or a vendor.
    pub(crate) fn of_reason(field: impl Into<String>, reason: view::Problem) -> Self {
        Self {
            field: field.into(),
            code: reason.code,
            message: reason.message,
            advice: (!reason.advice.is_empty()).then_some(reason.advice),
        }
    }
}

fn sentence(advice: &Advice) -> String {
    advice.sentence().into_owned()
}

impl Problem {
    /// The problem of any error of the host.
    pub(crate) fn of(error: &(impl Diagnose + 'static)) -> Self {
        let diagnosis = error.diagnosis();
        let is_transient = diagnosis.kind == ErrorKind::Unavailable;
        let problem = Self(Box::new(Told {
            kind: "about:blank",
            title: "",
            status: 0,
            code: diagnosis.code.into_owned(),
            detail: String::new(),
            advice: diagnosis.advice.as_ref().map(sentence),
            is_transient,
            causes: with_causes(error),
            errors: Vec::new(),
            retry_after: is_transient.then_some(RETRY_AFTER_SECONDS),
            asks_for_bearer: false,
            hides_causes: false,
        }));
        problem.with_status(status_of(diagnosis.kind))
    }

    /// The problem of a request whose fields have problems.
    pub(crate) fn of_fields(errors: Vec<FieldProblem>) -> Self {
        let mut problem = Self::from(RequestError::Fields);
        problem.0.errors = errors;
        problem
    }

    /// The problem of an address that names nothing that could be there.
    pub(crate) fn absent(error: &(impl Diagnose + 'static)) -> Self {
        Self::of(error).with_status(StatusCode::NOT_FOUND)
    }

    /// The problem without what it says of this machine: the causes are for the log alone.
    pub(crate) fn of_the_host(mut self) -> Self {
        self.0.detail = format!(
            "`{}` is in the way; whoever operates the host finds the causes in the log",
            self.0.code
        );
        self.0.advice = None;
        self.0.hides_causes = true;
        self
    }

    /// The problem with another sentence for people.
    pub(crate) fn saying(mut self, detail: String) -> Self {
        self.0.detail = detail;
        self
    }

    /// The problem of what was looked into and is not as it should be, which is no failure of this server.
    pub(crate) fn finding(error: &(impl Diagnose + 'static)) -> Self {
        Self::of(error).with_status(StatusCode::CONFLICT)
    }

    fn with_status(mut self, status: StatusCode) -> Self {
        self.0.title = status.canonical_reason().unwrap_or_default();
        self.0.status = status.as_u16();
        // Causes name files and statements, and advice is the operator's.
        self.0.hides_causes = status.is_server_error();
        match self.0.hides_causes {
            true => {
                let code = &self.0.code;
                self.0.detail =
                    format!("`{code}` is in the way; the log has the causes, with the id of this request");
                self.0.advice = None;
            }
            false => self.0.detail = self.0.causes.clone(),
        }
        self
    }

    /// The problem with all that is wrong. Where it is about something that a field names, it is no 404: that is what an address
    /// names.
    pub(crate) fn with_errors(mut self, errors: Vec<FieldProblem>) -> Self {
        match self.status() {
            StatusCode::NOT_FOUND if !errors.is_empty() => Self::of_fields(errors),
            _ => {
                self.0.errors = errors;
                self
            }
        }
    }

    /// The problem as one with a field of the request.
    pub(crate) fn in_field(self, field: &str) -> Self {
        let error = FieldProblem {
            field: field.to_owned(),
            code: self.0.code.clone(),
            message: self.0.detail.clone(),
            advice: self.0.advice.clone(),
        };
        self.with_errors(vec![error])
    }

    /// The problem as one with a field of the request, unless this machine, the record or the vendor is in the way.
    pub(crate) fn about(self, field: &str) -> Self {
        match self.status().is_client_error() {
            true => self.in_field(field),
            false => self,
        }
    }

    /// The problems with fields.
    pub(crate) fn into_errors(self) -> Vec<FieldProblem> {
        self.0.errors
    }

    /// The code.
    pub(crate) fn code(&self) -> &str {
        &self.0.code
    }

    /// The sentence for people.
    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The causes, for the log.
    pub(crate) fn causes(&self) -> &str {
        &self.0.causes
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// The status of a kind of error.
fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Invalid | ErrorKind::Refused => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Damaged => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        let mut problem = Self::of(&error).with_status(error.status());
        // The server's own words name nothing of this machine.
        problem.0.detail.clone_from(&problem.0.causes);
        problem.0.advice = error.diagnosis().advice.as_ref().map(sentence);
        problem.0.retry_after = error.retry_after().or(problem.0.retry_after);
        problem.0.asks_for_bearer = error.asks_for_bearer();
        problem
    }
}

macro_rules! problem_of {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Problem {
            fn from(error: $error) -> Self {
                Self::of(&error)
            }
        })*
    };
}

problem_of!(host_harness::Error, host_harness::RecordError);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        // Texts and numbers alone: it can be written.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.0.asks_for_bearer {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.0.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.0.hides_causes {
            response.extensions_mut().insert(Causes {
                code: self.0.code,
                causes: self.0.causes,
            });
        }
        response
    }
}
