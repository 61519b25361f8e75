//! Why a page can't be shown, or something was not done: what it is, its code, and what helps. The guard makes a page of it.

use axum::response::{IntoResponse, Response};
use bss_model::{Advice, Diagnose, Diagnosis, ErrorKind, with_causes};
use http::StatusCode;
use serde::Serialize;

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

    fn own(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> Self {
        Self::told(&Diagnosis::new(kind, code), message.into())
    }

    /// Nothing is at the address.
    pub(crate) fn no_page() -> Self {
        Self::own(ErrorKind::NotFound, "no-page", "there is nothing at this address")
    }

    /// The address asks for something that there can't be.
    pub(crate) fn odd_address(name: &str) -> Self {
        Self::own(
            ErrorKind::Invalid,
            "address-invalid",
            format!("`{name}` in the address has a value that it can't have"),
        )
    }

    /// A form came that can't be read.
    pub(crate) fn broken_form() -> Self {
        Self::own(ErrorKind::Invalid, "form-broken", "the form did not arrive whole")
    }

    /// A form has more than is taken.
    pub(crate) fn form_too_large(max: usize) -> Self {
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            ..Self::own(
                ErrorKind::Invalid,
                "form-too-large",
                format!("the form has more than {max} bytes"),
            )
        }
    }

    /// A form was sent by a page that is not this console's.
    pub(crate) fn other_origin() -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            ..Self::own(
                ErrorKind::Refused,
                "other-origin",
                "this was not sent by a page of this console, so nothing was done",
            )
        }
    }

    /// The operator may not do that.
    pub(crate) fn not_allowed(right: &str) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            advice: Some("ask an administrator, who can change what you may do".to_owned()),
            ..Self::own(
                ErrorKind::Refused,
                "right-missing",
                format!("you may not do this: it needs the right `{right}`"),
            )
        }
    }

    /// A page has a mistake in its template.
    pub(crate) fn template(error: &minijinja::Error) -> Self {
        tracing::error!(error = format!("{error:#}"), "a page can't be made");
        Self::own(ErrorKind::Damaged, "page-broken", "this page can't be made")
    }

    /// Too many requests that change something are under way.
    pub(crate) fn too_many_changes() -> Self {
        Self {
            advice: Some("try again in a moment".to_owned()),
            ..Self::own(
                ErrorKind::Unavailable,
                "changes-too-many",
                "too much is being changed at this moment",
            )
        }
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
