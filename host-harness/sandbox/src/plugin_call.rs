//! A call of a plugin and its outcome, in the words of traces and recordings.

use serde::Serialize;

use crate::bindings::Description;
use crate::bindings::connection::{Step, StepResult};
use crate::bindings::failures::{ChangeFailure, Problem, ReadFailure};
use crate::bindings::instance_settings::{Draft, Form, Instance};
use crate::bindings::license_lifecycle::{LicenseName, LicenseReturn, LookUp};
use crate::bindings::license_order::{License, LicenseOrder, OrderAnswer};
use crate::bindings::services_definition::Outcome;
use crate::error::{CallError, FailedCall};
use crate::last_words::LastWords;
use crate::plugin_text::Bounded;

/// A function of the contract with its arguments.
#[derive(Clone, Copy, Serialize)]
#[serde(tag = "function", rename_all = "kebab-case")]
pub(crate) enum PluginCall<'a> {
    Describe,
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

impl PluginCall<'_> {
    /// The function's name in the contract.
    pub(crate) fn function(&self) -> &'static str {
        match self {
            Self::Describe => "describe",
            Self::ConfigureInstance { .. } => "configure-instance",
            Self::FetchServices { .. } => "fetch-services",
            Self::CreateLicense { .. } => "create-license",
            Self::GetLicense { .. } => "get-license",
            Self::CancelLicense { .. } => "cancel-license",
            Self::CheckConnection { .. } => "check-connection",
        }
    }

    /// The arguments that are about people: who buys and who sells, and why a license is returned. Neither a trace nor a
    /// recording tells them.
    pub(crate) fn personal(&self) -> Vec<&str> {
        match self {
            Self::CreateLicense { order, .. } => {
                let parties = std::iter::once(&order.customer).chain(&order.reseller);
                parties.flat_map(|party| [&*party.id, &*party.name]).collect()
            }
            Self::CancelLicense { license_return, .. } => vec![&license_return.reason],
            Self::Describe
            | Self::ConfigureInstance { .. }
            | Self::FetchServices { .. }
            | Self::GetLicense { .. }
            | Self::CheckConnection { .. } => Vec::new(),
        }
    }
}

/// How a call ended, in a few words; nothing in it is a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallOutcome {
    /// A word, such as `licensed` or `refused`.
    pub(crate) outcome: &'static str,
    /// The code of the plugin's problem, where it names one.
    pub(crate) problem: Option<String>,
    /// The name under which the vendor knows the exchange that failed.
    pub(crate) correlation_id: Option<String>,
    /// The plugin's last lines, where it brought no answer.
    pub(crate) last_words: LastWords,
}

/// An answer that says how the call ended.
pub(crate) trait Answer: Bounded {
    fn call_outcome(&self) -> CallOutcome;
}

impl CallOutcome {
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
            ..Self::default()
        }
    }
}

impl From<&FailedCall> for CallOutcome {
    fn from(failed: &FailedCall) -> Self {
        let outcome = match &failed.error {
            CallError::Setup(_) => "not begun",
            CallError::Trap(_) => "broke off",
            CallError::Busy(_) => "stopped: busy for too long",
            CallError::Deadline(_) => "stopped: no answer in time",
            CallError::Memory(_) => "stopped: too much memory",
            CallError::Limit(_) => "stopped: beyond a limit",
            CallError::Defect(_) => "answered what can't be taken",
        };
        Self {
            last_words: failed.last_words.clone(),
            ..Self::plain(outcome)
        }
    }
}

impl From<&ReadFailure> for CallOutcome {
    fn from(failure: &ReadFailure) -> Self {
        match failure {
            ReadFailure::Refused(problem) => Self::with("refused", problem),
            ReadFailure::Unavailable(delay) => Self::with("unavailable", &delay.problem),
            ReadFailure::Misconfigured(problem) => Self::with("misconfigured", problem),
            ReadFailure::Malformed(problem) => Self::with("malformed", problem),
        }
    }
}

impl From<&ChangeFailure> for CallOutcome {
    fn from(failure: &ChangeFailure) -> Self {
        match failure {
            ChangeFailure::Refused(problem) => Self::with("refused", problem),
            ChangeFailure::Unavailable(delay) => Self::with("unavailable", &delay.problem),
            ChangeFailure::Misconfigured(problem) => Self::with("misconfigured", problem),
            ChangeFailure::Unknown(problem) => Self::with("unknown", problem),
        }
    }
}

impl<T: Answer, F: Bounded> Answer for Result<T, F>
where
    for<'a> CallOutcome: From<&'a F>,
{
    fn call_outcome(&self) -> CallOutcome {
        match self {
            Ok(answer) => answer.call_outcome(),
            Err(failure) => failure.into(),
        }
    }
}

impl Answer for Description {
    fn call_outcome(&self) -> CallOutcome {
        CallOutcome::plain("described")
    }
}

impl Answer for Form {
    fn call_outcome(&self) -> CallOutcome {
        let has_problems = self.fields.iter().any(|field| !field.problems.is_empty());
        CallOutcome::plain(if has_problems { "has problems" } else { "judged" })
    }
}

impl Answer for Outcome {
    fn call_outcome(&self) -> CallOutcome {
        CallOutcome::plain(match self {
            Outcome::Unchanged => "unchanged",
            Outcome::Complete(_) => "complete",
        })
    }
}

impl Answer for OrderAnswer {
    fn call_outcome(&self) -> CallOutcome {
        CallOutcome::plain(match self {
            OrderAnswer::Licensed(_) => "licensed",
            OrderAnswer::Accepted(_) => "accepted",
            OrderAnswer::Valid => "valid",
        })
    }
}

impl Answer for License {
    fn call_outcome(&self) -> CallOutcome {
        CallOutcome::plain("shown")
    }
}

impl Answer for LookUp {
    fn call_outcome(&self) -> CallOutcome {
        CallOutcome::plain(match self {
            LookUp::Issued(_) => "found",
            LookUp::Accepted(_) => "accepted",
            LookUp::Declined(_) => "declined",
            LookUp::NeverIssued => "not found",
        })
    }
}

impl Answer for Vec<Step> {
    fn call_outcome(&self) -> CallOutcome {
        let passed = |step: &Step| matches!(step.result, StepResult::Passed);
        CallOutcome::plain(if self.iter().all(passed) {
            "passed"
        } else {
            "failed"
        })
    }
}
