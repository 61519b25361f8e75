//! What the console itself refuses, before the host is asked.

use bss_model::{Diagnose, Diagnosis, ErrorKind};

/// Why a request is not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// Nothing is at the address.
    #[error("there is nothing at this address")]
    NoPage,
    /// The address asks for something that there can't be.
    #[error("`{name}` in the address has a value that it can't have")]
    Address {
        /// The name of the parameter.
        name: String,
    },
    /// A form can't be read.
    #[error("the form did not arrive whole")]
    Form,
    /// A form has more than is taken.
    #[error("the form has more than {max} bytes")]
    FormTooLarge {
        /// The most bytes.
        max: usize,
    },
    /// A form was sent by a page that is not this console's.
    #[error("this was not sent by a page of this console, so nothing was done")]
    Origin,
    /// The operator may not do that.
    #[error("only {} may do this", who_may(right))]
    Right {
        /// The right.
        right: String,
    },
    /// An operator would change what he or she may do.
    #[error("nobody changes what he or she may do, and the last administrator stays one")]
    Oneself,
    /// A page has a mistake in its template.
    #[error("this page can't be made")]
    Template,
    /// Too many requests that change something are under way.
    #[error("too much is being changed at this moment")]
    TooManyChanges,
}

/// Who has a right, as a person says it.
fn who_may(right: &str) -> &'static str {
    match right {
        "order" | "cancel" => "operators and administrators",
        "reveal" => "somebody who may be shown whole product keys",
        "read" => "somebody who is signed in",
        _ => "administrators",
    }
}

impl Diagnose for Refusal {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NoPage => Diagnosis::new(ErrorKind::NotFound, "no-page"),
            Self::Address { .. } => Diagnosis::new(ErrorKind::Invalid, "address-invalid"),
            Self::Form => Diagnosis::new(ErrorKind::Invalid, "form-unreadable"),
            Self::FormTooLarge { .. } => Diagnosis::new(ErrorKind::Invalid, "form-too-large"),
            Self::Origin => Diagnosis::new(ErrorKind::Refused, "other-origin"),
            Self::Right { .. } => Diagnosis::new(ErrorKind::Refused, "right-missing")
                .say("ask an administrator, who can change what you may do"),
            Self::Oneself => Diagnosis::new(ErrorKind::Refused, "not-oneself")
                .say("ask another administrator, or use `bss-host operator`"),
            Self::Template => Diagnosis::new(ErrorKind::Damaged, "page-broken"),
            Self::TooManyChanges => {
                Diagnosis::new(ErrorKind::Unavailable, "changes-too-many").say("try again in a moment")
            }
        }
    }
}
