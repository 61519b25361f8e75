//! A call of a plugin, its outcome and its answer, in the words of traces and recordings.

mod answer;

use serde::Serialize;
use serde_json::Value;

use crate::bindings::Description;
use crate::bindings::connection::{Step, StepResult};
use crate::bindings::failures::{ChangeFailure, Problem, ReadFailure};
use crate::bindings::instance_settings::{Draft, Form, Instance};
use crate::bindings::license_lifecycle::{LicenseName, LicenseReturn, LookUp};
use crate::bindings::license_order::{License, LicenseOrder, OrderAnswer};
use crate::bindings::services_definition::{Outcome, Product};
use crate::error::{CallError, FailedCall};
use crate::last_words::LastWords;
use crate::limits;
use crate::plugin_text::{Bounded, one_line};
use crate::seen_exchanges::Explanation;

pub(crate) use answer::PluginAnswer;

/// The functions of the contract that plugins export, by which calls are told apart.
pub const FUNCTIONS: [&str; 7] = [
    "describe",
    "configure-instance",
    "fetch-services",
    "create-license",
    "get-license",
    "cancel-license",
    "check-connection",
];

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

    /// What the answer says beside the outcome, by the names of the contract.
    fn said(&self) -> Value;

    /// Says in the host's words that the vendor was not reached, where the answer says so and the plugin could not know why.
    fn explain(&mut self, _why: &Explanation) {}

    /// Whether products belong to the answer, which the plugin has handed over before.
    fn has_products(&self) -> bool {
        false
    }
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
            CallError::Setup(_) | CallError::NoSandbox(_) => "not begun",
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

impl PluginAnswer {
    /// What an answer says, with the products that were handed over before it.
    pub(crate) fn of<'a>(answer: &impl Answer, products: impl FnOnce() -> &'a [Product]) -> Self {
        let products = answer.has_products().then(products);
        Self {
            value: answer.said(),
            products: products.map(|products| {
                let products = products.iter();
                products.map(answer::in_words_of_the_contract).collect()
            }),
        }
    }
}

/// A failure that says more than its outcome.
pub(crate) trait SaidFailure {
    fn said(&self) -> Value;

    /// The problem, where the failure is that nothing was reached.
    fn problem_of_reaching(&mut self) -> Option<&mut Problem>;
}

/// Puts the host's words for a failure to connect in place of the plugin's, which can only have guessed.
fn explain(problem: &mut Problem, why: &Explanation) {
    why.code.clone_into(&mut problem.code);
    problem.message = one_line(
        format!("{} {}.", problem.message, why.message),
        limits::SENTENCE_CHARS,
    );
    problem.advice = one_line(why.advice.as_str(), limits::SENTENCE_CHARS);
}

impl SaidFailure for ReadFailure {
    fn said(&self) -> Value {
        match self {
            Self::Refused(problem) | Self::Misconfigured(problem) | Self::Malformed(problem) => {
                answer::of_problem(problem)
            }
            Self::Unavailable(delay) => answer::of_delay(delay),
        }
    }

    fn problem_of_reaching(&mut self) -> Option<&mut Problem> {
        match self {
            Self::Unavailable(delay) => Some(&mut delay.problem),
            Self::Refused(_) | Self::Misconfigured(_) | Self::Malformed(_) => None,
        }
    }
}

impl SaidFailure for ChangeFailure {
    fn said(&self) -> Value {
        match self {
            Self::Refused(problem) | Self::Misconfigured(problem) | Self::Unknown(problem) => {
                answer::of_problem(problem)
            }
            Self::Unavailable(delay) => answer::of_delay(delay),
        }
    }

    fn problem_of_reaching(&mut self) -> Option<&mut Problem> {
        match self {
            Self::Unavailable(delay) => Some(&mut delay.problem),
            Self::Refused(_) | Self::Misconfigured(_) | Self::Unknown(_) => None,
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

impl<T: Answer, F: Bounded + SaidFailure> Answer for Result<T, F>
where
    for<'a> CallOutcome: From<&'a F>,
{
    fn call_outcome(&self) -> CallOutcome {
        match self {
            Ok(answer) => answer.call_outcome(),
            Err(failure) => failure.into(),
        }
    }

    fn said(&self) -> Value {
        match self {
            Ok(answer) => answer.said(),
            Err(failure) => failure.said(),
        }
    }

    fn explain(&mut self, why: &Explanation) {
        if let Err(failure) = self
            && let Some(problem) = failure.problem_of_reaching()
        {
            explain(problem, why);
        }
    }

    fn has_products(&self) -> bool {
        self.as_ref().is_ok_and(Answer::has_products)
    }
}

impl Answer for Description {
    fn call_outcome(&self) -> CallOutcome {
        CallOutcome::plain("described")
    }

    fn said(&self) -> Value {
        answer::in_words_of_the_contract(self)
    }
}

impl Answer for Form {
    fn call_outcome(&self) -> CallOutcome {
        let has_problems = self.fields.iter().any(|field| !field.problems.is_empty());
        CallOutcome::plain(if has_problems { "has problems" } else { "judged" })
    }

    fn said(&self) -> Value {
        answer::in_words_of_the_contract(self)
    }
}

impl Answer for Outcome {
    fn call_outcome(&self) -> CallOutcome {
        CallOutcome::plain(match self {
            Outcome::Unchanged => "unchanged",
            Outcome::Complete(_) => "complete",
        })
    }

    fn said(&self) -> Value {
        match self {
            Outcome::Unchanged => Value::Null,
            Outcome::Complete(summary) => answer::in_words_of_the_contract(summary),
        }
    }

    fn has_products(&self) -> bool {
        matches!(self, Outcome::Complete(_))
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

    fn said(&self) -> Value {
        match self {
            OrderAnswer::Licensed(license) => license.said(),
            OrderAnswer::Accepted(within_ms) => answer::of_accepted(*within_ms),
            OrderAnswer::Valid => Value::Null,
        }
    }
}

impl Answer for License {
    fn call_outcome(&self) -> CallOutcome {
        CallOutcome::plain("shown")
    }

    fn said(&self) -> Value {
        answer::in_words_of_the_contract(self)
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

    fn said(&self) -> Value {
        match self {
            LookUp::Issued(license) => license.said(),
            LookUp::Accepted(within_ms) => answer::of_accepted(*within_ms),
            LookUp::Declined(problem) => answer::in_words_of_the_contract(problem),
            LookUp::NeverIssued => Value::Null,
        }
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

    fn said(&self) -> Value {
        answer::of_steps(self)
    }

    fn explain(&mut self, why: &Explanation) {
        // The check stops at the first step that fails. Where several have failed, nothing says whose the last exchange was.
        let mut failed = self.iter_mut().filter_map(|step| match &mut step.result {
            StepResult::Failed(problem) => Some(problem),
            StepResult::Passed | StepResult::Skipped => None,
        });
        if let (Some(problem), None) = (failed.next(), failed.next()) {
            explain(problem, why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_are_those_that_the_contract_has_plugins_export() {
        let files = [
            include_str!("../wit/service-manager.wit"),
            include_str!("../wit/license-lifecycle.wit"),
            include_str!("../wit/connection.wit"),
        ];
        let lines = files.iter().flat_map(|file| file.lines());
        let named = lines.filter_map(|line| Some(line.split_once(": func(")?.0.trim()));
        let mut declared: Vec<_> = named.filter(|name| !name.starts_with('/')).collect();
        let mut ours = FUNCTIONS.to_vec();
        declared.sort_unstable();
        ours.sort_unstable();
        assert_eq!(ours, declared);
    }
}
