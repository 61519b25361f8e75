//! Why a page can't be shown, or something was not done: what it is, its code, and what helps. The guard makes a page of it.

use axum::response::{IntoResponse, Response};
use bss_model::{Advice, Diagnose, Diagnosis, ErrorKind, with_causes};
use http::StatusCode;
use serde::Serialize;

use crate::refusal::Refusal;

/// A failure, as a page tells it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Failure {
    #[serde(skip)]
    status: StatusCode,
    /// The code, for whoever is asked for help.
    code: String,
    /// What is wrong, as a sentence.
    message: String,
    /// What helps, as a sentence.
    advice: Option<String>,
    /// Whether the same may succeed later.
    is_transient: bool,
}

impl Failure {
    /// The failure that an error of the host is.
    pub(crate) fn of(error: &(impl Diagnose + 'static)) -> Self {
        Self::told(&error.diagnosis(), with_causes(error))
    }

    fn told(diagnosis: &Diagnosis, message: String) -> Self {
        Self {
            status: match diagnosis.kind {
                ErrorKind::NotFound => StatusCode::NOT_FOUND,
                ErrorKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
                ErrorKind::Conflict | ErrorKind::Refused => StatusCode::CONFLICT,
                ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
                ErrorKind::Damaged => StatusCode::INTERNAL_SERVER_ERROR,
            },
            code: diagnosis.code.clone().into_owned(),
            message,
            advice: diagnosis
                .advice
                .as_ref()
                .map(|advice| Advice::sentence(advice).into_owned()),
            is_transient: diagnosis.kind == ErrorKind::Unavailable,
        }
    }

    fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Nothing is at the address.
    pub(crate) fn no_page() -> Self {
        Self::of(&Refusal::NoPage)
    }

    /// The address asks for something that there can't be.
    pub(crate) fn odd_address(name: &str) -> Self {
        let name = name.to_owned();
        Self::of(&Refusal::Address { name })
    }

    /// A form came that can't be read.
    pub(crate) fn broken_form() -> Self {
        Self::of(&Refusal::Form)
    }

    /// A form has more than is taken.
    pub(crate) fn form_too_large(max: usize) -> Self {
        Self::of(&Refusal::FormTooLarge { max }).with_status(StatusCode::PAYLOAD_TOO_LARGE)
    }

    /// A form was sent by a page that is not this console's.
    pub(crate) fn other_origin() -> Self {
        Self::of(&Refusal::Origin).with_status(StatusCode::FORBIDDEN)
    }

    /// The operator may not do that.
    pub(crate) fn not_allowed(right: &str) -> Self {
        let right = right.to_owned();
        Self::of(&Refusal::Right { right }).with_status(StatusCode::FORBIDDEN)
    }

    /// An operator would change what he or she may do.
    pub(crate) fn not_oneself() -> Self {
        Self::of(&Refusal::Oneself)
    }

    /// A page has a mistake in its template.
    pub(crate) fn template(error: &minijinja::Error) -> Self {
        tracing::error!(error = format!("{error:#}"), "a page can't be made");
        Self::of(&Refusal::Template)
    }

    /// Too many requests that change something are under way.
    pub(crate) fn too_many_changes() -> Self {
        Self::of(&Refusal::TooManyChanges)
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn code(&self) -> &str {
        &self.code
    }
}

impl<T: Into<host_harness::Error>> From<T> for Failure {
    fn from(error: T) -> Self {
        let error: host_harness::Error = error.into();
        Self::of(&error)
    }
}

impl IntoResponse for Failure {
    /// The status, with the failure for the guard, which makes the page.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
