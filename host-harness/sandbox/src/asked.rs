//! What a plugin is asked, and what it said, in the words of whoever follows a call.

use serde::Serialize;

use crate::bindings::connection::{Step, StepResult};
use crate::bindings::failures::{ChangeFailure, Problem, ReadFailure};
use crate::bindings::instance_settings::{Draft, Form, Instance};
use crate::bindings::license_lifecycle::{LicenseName, LicenseReturn};
use crate::bindings::license_order::{License, LicenseOrder, OrderAnswer};
use crate::bindings::services_definition::Outcome;
use crate::error::CallError;

/// One function of the contract with its arguments.
#[derive(Clone, Copy, Serialize)]
#[serde(tag = "function", rename_all = "kebab-case")]
pub(crate) enum Asked<'a> {
    ConfigureInstance {
        draft: &'a Draft,
    },
    FetchServices {
        instance: &'a Instance,
        entity_tag: &'a str,
    },
    CreateLicense {
        instance: &'a Instance,
        order: &'a LicenseOrder,
    },
    GetLicense {
        instance: &'a Instance,
        name: &'a LicenseName,
    },
    CancelLicense {
        instance: &'a Instance,
        license_return: &'a LicenseReturn,
    },
    CheckConnection {
        instance: &'a Instance,
    },
}

impl Asked<'_> {
    /// The function's name in the contract.
    pub(crate) fn function(&self) -> &'static str {
        match self {
            Self::ConfigureInstance { .. } => "configure-instance",
            Self::FetchServices { .. } => "fetch-services",
            Self::CreateLicense { .. } => "create-license",
            Self::GetLicense { .. } => "get-license",
            Self::CancelLicense { .. } => "cancel-license",
            Self::CheckConnection { .. } => "check-connection",
        }
    }
}

/// How a call ended, in a few words; nothing in it is a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// One word, such as `licensed` or `refused`.
    pub(crate) outcome: &'static str,
    /// The code of the plugin's problem, where it names one.
    pub(crate) problem: Option<String>,
    /// The name under which the vendor knows the exchange that failed.
    pub(crate) correlation_id: Option<String>,
}

/// An answer that says how the call ended.
pub(crate) trait Answer {
    fn verdict(&self) -> Verdict;
}

impl Verdict {
    fn plain(outcome: &'static str) -> Self {
        Self {
            outcome,
            ..Self::default()
        }
    }

    fn with(outcome: &'static str, problem: &Problem) -> Self {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self {
            outcome,
            problem: some(&problem.code),
            correlation_id: some(&problem.correlation_id),
        }
    }
}

impl From<&CallError> for Verdict {
    fn from(error: &CallError) -> Self {
        Self::plain(match error {
            CallError::Setup(_) => "not begun",
            CallError::Trap(_) => "broke off",
            CallError::Busy(_) => "stopped: busy for too long",
            CallError::Deadline(_) => "stopped: no answer in time",
            CallError::Memory(_) => "stopped: too much memory",
        })
    }
}

impl From<&ReadFailure> for Verdict {
    fn from(failure: &ReadFailure) -> Self {
        match failure {
            ReadFailure::Refused(problem) => Self::with("refused", problem),
            ReadFailure::Unavailable(delay) => Self::with("unavailable", &delay.problem),
            ReadFailure::Malformed(problem) => Self::with("malformed", problem),
        }
    }
}

impl From<&ChangeFailure> for Verdict {
    fn from(failure: &ChangeFailure) -> Self {
        match failure {
            ChangeFailure::Refused(problem) => Self::with("refused", problem),
            ChangeFailure::Unavailable(delay) => Self::with("unavailable", &delay.problem),
            ChangeFailure::Unknown(problem) => Self::with("unknown", problem),
        }
    }
}

impl<T: Answer, F> Answer for Result<T, F>
where
    for<'a> Verdict: From<&'a F>,
{
    fn verdict(&self) -> Verdict {
        match self {
            Ok(answer) => answer.verdict(),
            Err(failure) => failure.into(),
        }
    }
}

impl Answer for Form {
    fn verdict(&self) -> Verdict {
        let has_problems = self.fields.iter().any(|field| !field.problems.is_empty());
        Verdict::plain(if has_problems { "has problems" } else { "judged" })
    }
}

impl Answer for Outcome {
    fn verdict(&self) -> Verdict {
        Verdict::plain(match self {
            Outcome::Unchanged => "unchanged",
            Outcome::Complete(_) => "complete",
        })
    }
}

impl Answer for OrderAnswer {
    fn verdict(&self) -> Verdict {
        Verdict::plain(match self {
            OrderAnswer::Licensed(_) => "licensed",
            OrderAnswer::Valid => "valid",
        })
    }
}

impl Answer for License {
    fn verdict(&self) -> Verdict {
        Verdict::plain("shown")
    }
}

impl Answer for Option<License> {
    fn verdict(&self) -> Verdict {
        Verdict::plain(match self {
            Some(_) => "found",
            None => "not found",
        })
    }
}

impl Answer for Vec<Step> {
    fn verdict(&self) -> Verdict {
        let passed = |step: &Step| matches!(step.result, StepResult::Passed);
        Verdict::plain(if self.iter().all(passed) {
            "passed"
        } else {
            "failed"
        })
    }
}
