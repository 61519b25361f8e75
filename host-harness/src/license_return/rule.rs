//! The meaning of an answer, or of the lack of one, for a return. Nothing else decides that.
//!
//! | earlier attempts | first step |
//! |---|---|
//! | none, or each of them definitely not done | return the license |
//! | one of them may have been done | look the license up |
//!
//! | the look-up shows | next step |
//! |---|---|
//! | returned | done: also when another party returned it |
//! | unused, used or ended | return it again, with the same client transaction id; the vendor says whether it still can be |
//! | the same, while another copy of the record may return it | unknown, as before |
//! | anything else, something that can't be a license, or nothing | unknown, as before |
//!
//! What the host saw counts for more than what the plugin says: a license that is shown though no request of that
//! call succeeded leaves the return unknown, and so does a return that is said not to be done though a request that may have
//! done it was sent.
//!
//! A return that is refused while an earlier one may still be carried out settles nothing: the refusal says that this
//! one was not done.

use std::time::Duration;

use bss_model::purchase_rule;
use bss_model::{
    EarlierAttempts, LicenseDefect, LicenseTokenStatus, Problem, ReturnOutcome, ReturnStatus, Seen,
};
use bss_sandbox::bindings::failures::{ChangeFailure, Delay, ReadFailure};
use bss_sandbox::bindings::license_lifecycle::LookUp;
use bss_sandbox::bindings::license_order::License;
use bss_sandbox::error::FailedCall;

use crate::call_failure::not_entered;
use crate::contract::{recorded_license, recorded_problem, retry_after};

/// The outcome of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) outcome: ReturnOutcome,
    /// The time for which the vendor asks to be left alone.
    pub(super) retry_after: Option<Duration>,
}

/// The step after a look-up.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The license is not returned yet: return it now.
    Return,
    /// The look-up has settled the attempt, or left it as it was.
    End(Verdict),
}

impl From<ReturnOutcome> for Verdict {
    fn from(outcome: ReturnOutcome) -> Self {
        Self {
            outcome,
            retry_after: None,
        }
    }
}

/// Whether to look the license up before it is returned.
pub(super) fn looks_up_first(earlier: EarlierAttempts) -> bool {
    match earlier {
        EarlierAttempts::None | EarlierAttempts::NotDone => false,
        EarlierAttempts::Unknown => true,
    }
}

/// Decides the next step from a look-up of a return that may have been made. `awaits_adoption`: another copy of the record
/// may go on with the return.
pub(super) fn after_look_up(
    answer: Result<Result<LookUp, ReadFailure>, FailedCall>,
    license_token_id: &str,
    seen: Seen,
    awaits_adoption: bool,
) -> Next {
    let (problem, retry_after) = match answer {
        Ok(Ok(LookUp::Issued(_))) if !seen.is_answered => (without_exchange(), None),
        Ok(Ok(LookUp::Issued(license))) => match shown(license, license_token_id) {
            Shown::NotReturned if awaits_adoption => (
                purchase_rule::not_adopted("the license is not returned yet"),
                None,
            ),
            Shown::NotReturned => return Next::Return,
            Shown::Returned => return Next::End(ReturnOutcome::Returned.into()),
            Shown::Unclear => (unclear(), None),
            Shown::Defective(defect) => (defect.problem(), None),
        },
        Ok(Ok(LookUp::NeverIssued | LookUp::Accepted(_) | LookUp::Declined(_))) => {
            let message = "the vendor does not know the license any more";
            (
                Problem::new("license-not-found", message, "ask the vendor's support"),
                None,
            )
        }
        Ok(Err(
            ReadFailure::Refused(problem)
            | ReadFailure::Misconfigured(problem)
            | ReadFailure::Malformed(problem),
        )) => (recorded_problem(problem), None),
        Ok(Err(ReadFailure::Unavailable(delay))) => {
            let retry_after = retry_after(&delay);
            (recorded_problem(delay.problem), retry_after)
        }
        Err(failed) => (broke_off(&failed), None),
    };
    Next::End(Verdict {
        outcome: ReturnOutcome::Unknown(problem),
        retry_after,
    })
}

/// Decides the outcome from the answer to a return. `is_earlier_under_way`: whether one that was sent before may
/// still be carried out.
pub(super) fn after_return(
    answer: Result<Result<License, ChangeFailure>, FailedCall>,
    license_token_id: &str,
    seen: Seen,
    is_earlier_under_way: bool,
) -> Verdict {
    let outcome = match answer {
        Ok(Ok(_)) if !seen.is_answered => ReturnOutcome::Unknown(without_exchange()),
        Ok(Err(
            ChangeFailure::Refused(problem)
            | ChangeFailure::Misconfigured(problem)
            | ChangeFailure::Unavailable(Delay { problem, .. }),
        )) if seen.may_have_changed => ReturnOutcome::Unknown(recorded_problem(problem)),
        Ok(Ok(license)) => match shown(license, license_token_id) {
            Shown::Returned => ReturnOutcome::Returned,
            Shown::Defective(defect) => ReturnOutcome::Unknown(defect.problem()),
            Shown::NotReturned | Shown::Unclear => ReturnOutcome::Unknown(unclear()),
        },
        Ok(Err(ChangeFailure::Refused(problem))) if is_earlier_under_way => {
            ReturnOutcome::RefusedForNow(recorded_problem(problem))
        }
        Ok(Err(ChangeFailure::Refused(problem))) => ReturnOutcome::Refused(recorded_problem(problem)),
        Ok(Err(ChangeFailure::Misconfigured(problem))) => {
            ReturnOutcome::Unavailable(recorded_problem(problem))
        }
        Ok(Err(ChangeFailure::Unknown(problem))) => ReturnOutcome::Unknown(recorded_problem(problem)),
        Ok(Err(ChangeFailure::Unavailable(delay))) => {
            return Verdict {
                retry_after: retry_after(&delay),
                outcome: ReturnOutcome::Unavailable(recorded_problem(delay.problem)),
            };
        }
        // The sandbox was not entered, and nothing was sent as its component began.
        Err(failed) if failed.error.is_not_entered() && !seen.may_have_changed => {
            ReturnOutcome::Unavailable(broke_off(&failed))
        }
        Err(failed) if !seen.has_sent => ReturnOutcome::Unavailable(broke_off(&failed)),
        // The call may have returned the license before it broke off.
        Err(failed) => ReturnOutcome::Unknown(broke_off(&failed)),
    };
    outcome.into()
}

fn without_exchange() -> Problem {
    Problem::new(
        "license-without-exchange",
        "the plugin showed a license although no request of this call succeeded",
        "report it as a defect of the plugin; the next attempt looks the license up",
    )
}

/// A license as the vendor shows it.
enum Shown {
    /// The license is still the customer's, used or not.
    NotReturned,
    Returned,
    /// Another license. Statuses that contradict each other are a defect already.
    Unclear,
    /// Something that can't be a license.
    Defective(LicenseDefect),
}

fn shown(license: License, license_token_id: &str) -> Shown {
    let license = match recorded_license(license) {
        Ok(license) => license,
        Err(defect) => return Shown::Defective(defect),
    };
    match (license.license_token_status, license.return_status) {
        _ if license.license_token_id != license_token_id => Shown::Unclear,
        (
            LicenseTokenStatus::Unused | LicenseTokenStatus::Used | LicenseTokenStatus::Ended,
            ReturnStatus::None,
        ) => Shown::NotReturned,
        (LicenseTokenStatus::Returned, ReturnStatus::Successful) => Shown::Returned,
        (_, ReturnStatus::Successful) | (LicenseTokenStatus::Returned, ReturnStatus::None) => Shown::Unclear,
    }
}

fn unclear() -> Problem {
    Problem::new(
        "return-not-shown",
        "the vendor does not show whether the license is returned",
        "the next attempt looks the license up",
    )
}

fn broke_off(failed: &FailedCall) -> Problem {
    match failed.error.is_not_entered() {
        true => not_entered(failed),
        false => Problem::new(
            "plugin-broke-off",
            failed.to_string(),
            "the next attempt looks the license up",
        ),
    }
}

#[cfg(test)]
mod tests;
