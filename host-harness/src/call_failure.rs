//! Failures of the plugin's calls, in the words of the record and of the errors that embedders get.

use bss_model::{Diagnosis, ErrorKind, Problem};
use bss_sandbox::FailedCall;
use bss_sandbox::bindings::failures::{self, ReadFailure};

/// A plugin's problem in one line.
pub(crate) fn problem_line(problem: &failures::Problem) -> String {
    let correlation = match problem.correlation_id.as_str() {
        "" => String::new(),
        id => format!(", correlation id {id}"),
    };
    format!("{} ({}{correlation})", problem.message, problem.code)
}

/// The problem that a plugin gives for a reading that brought nothing.
pub(crate) fn read_problem(failure: &ReadFailure) -> &failures::Problem {
    match failure {
        ReadFailure::Refused(problem)
        | ReadFailure::Misconfigured(problem)
        | ReadFailure::Malformed(problem) => problem,
        ReadFailure::Unavailable(delay) => &delay.problem,
    }
}

/// The problem of a call that ended before the plugin was entered. Nothing was done then.
pub(crate) fn not_entered(failed: &FailedCall) -> Problem {
    Problem::of(failed, failed.to_string())
}

/// The diagnosis of an error for which a problem has the code and the advice.
pub(crate) fn said(kind: ErrorKind, code: &str, advice: &str) -> Diagnosis {
    let diagnosis = Diagnosis::new(kind, code.to_owned());
    match advice {
        "" => diagnosis,
        advice => diagnosis.say(advice.to_owned()),
    }
}

/// The diagnosis of a call that needs a function which the plugin does not have.
pub(crate) fn not_offered() -> Diagnosis {
    Diagnosis::new(ErrorKind::Refused, "not-offered").say("try a newer version of the plugin")
}
