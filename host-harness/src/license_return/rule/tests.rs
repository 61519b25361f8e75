//! Every answer that a return or its look-up can have.

use bss_sandbox::CallError;
use bss_sandbox::bindings::failures::{Delay, Problem};
use bss_sandbox::bindings::license_order::{LicenseTokenStatus, ReturnStatus};

use super::*;

const ID: &str = "k-1";

/// The vendor answered, and did nothing that its answer does not tell.
const ANSWERED: Seen = Seen {
    has_sent: true,
    is_heard: true,
    is_answered: true,
    may_have_changed: false,
};

fn looked_up_with(answer: Result<Result<LookUp, ReadFailure>, FailedCall>, id: &str) -> Next {
    after_look_up(answer, id, ANSWERED, false)
}

fn returned_with(
    answer: Result<Result<License, ChangeFailure>, FailedCall>,
    id: &str,
    is_earlier_under_way: bool,
) -> Verdict {
    after_return(answer, id, ANSWERED, is_earlier_under_way)
}

fn license(license_token_status: LicenseTokenStatus, return_status: ReturnStatus) -> License {
    License {
        client_transaction_id: "c-1".to_owned(),
        transaction_id: "t-1".to_owned(),
        license_token_id: ID.to_owned(),
        product_key: "AAAAA-BBBBB".to_owned(),
        activation_link: String::new(),
        license_token_status,
        return_status,
        purchased_at_ms: 0,
        returnable_until_ms: None,
    }
}

fn unused() -> License {
    license(LicenseTokenStatus::Unused, ReturnStatus::None)
}

fn used() -> License {
    license(LicenseTokenStatus::Used, ReturnStatus::None)
}

fn returned() -> License {
    license(LicenseTokenStatus::Returned, ReturnStatus::Successful)
}

/// Another license than the one asked for.
fn other() -> License {
    License {
        license_token_id: "k-2".to_owned(),
        ..returned()
    }
}

/// Licenses with statuses that can't both be.
fn contradictions() -> [License; 3] {
    [
        license(LicenseTokenStatus::Unused, ReturnStatus::Successful),
        license(LicenseTokenStatus::Used, ReturnStatus::Successful),
        license(LicenseTokenStatus::Returned, ReturnStatus::None),
    ]
}

#[test]
fn a_license_with_a_defect_shows_nothing() {
    let mut license = returned();
    license.product_key = "AAAAA\nBBBBB".to_owned();
    let returned = returned_with(Ok(Ok(license.clone())), ID, false).outcome;
    let Next::End(looked_up) = looked_up_with(Ok(Ok(LookUp::Issued(license))), ID) else {
        panic!("it is not returned again");
    };
    for outcome in [returned, looked_up.outcome] {
        assert!(matches!(outcome, ReturnOutcome::Unknown(problem) if problem.code == "license-defect"));
    }
}

fn problem(code: &str) -> Problem {
    Problem {
        code: code.to_owned(),
        message: String::new(),
        advice: String::new(),
        correlation_id: "c".to_owned(),
    }
}

fn delay(retry_after_ms: Option<u64>) -> Delay {
    Delay {
        problem: problem("busy"),
        retry_after_ms,
    }
}

fn broken_calls() -> [FailedCall; 4] {
    [
        CallError::Trap(wasmtime::Error::msg("unreachable")),
        CallError::Busy(Duration::ZERO),
        CallError::Deadline(Duration::ZERO),
        CallError::Memory(0),
    ]
    .map(FailedCall::from)
}

fn not_entered() -> [FailedCall; 2] {
    [
        CallError::Setup(wasmtime::Error::msg("no memory")),
        CallError::NoSandbox(Duration::from_secs(60)),
    ]
    .map(FailedCall::from)
}

/// The code of the problem that a look-up leaves unsettled, and the pause that the vendor asks for.
fn unknown(next: Next) -> (String, Option<Duration>) {
    match next {
        Next::End(Verdict {
            outcome: ReturnOutcome::Unknown(problem),
            retry_after,
        }) => (problem.code, retry_after),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_an_attempt_that_may_have_been_done_is_looked_up() {
    assert!(!looks_up_first(EarlierAttempts::None));
    assert!(!looks_up_first(EarlierAttempts::NotDone));
    assert!(looks_up_first(EarlierAttempts::Unknown));
}

#[test]
fn a_look_up_of_a_returned_license_settles_the_return_whoever_made_it() {
    let next = looked_up_with(Ok(Ok(LookUp::Issued(returned()))), ID);
    assert_eq!(next, Next::End(ReturnOutcome::Returned.into()));
}

#[test]
fn a_look_up_of_a_license_that_is_not_returned_has_it_returned_again_and_the_vendor_say_whether_it_can_be() {
    let ended = license(LicenseTokenStatus::Ended, ReturnStatus::None);
    for license in [unused(), used(), ended] {
        assert_eq!(looked_up_with(Ok(Ok(LookUp::Issued(license))), ID), Next::Return);
    }
}

#[test]
fn a_look_up_that_does_not_say_leaves_the_return_unknown() {
    let (code, _) = unknown(looked_up_with(Ok(Ok(LookUp::Issued(other()))), ID));
    assert_eq!(code, "return-not-shown");
    for license in contradictions() {
        let (code, _) = unknown(looked_up_with(Ok(Ok(LookUp::Issued(license))), ID));
        assert_eq!(code, "license-defect");
    }
    for none in [LookUp::NeverIssued, LookUp::Accepted(None)] {
        assert_eq!(unknown(looked_up_with(Ok(Ok(none)), ID)).0, "license-not-found");
    }
    for failure in [
        ReadFailure::Refused(problem("x")),
        ReadFailure::Malformed(problem("x")),
    ] {
        assert_eq!(unknown(looked_up_with(Ok(Err(failure)), ID)).0, "x");
    }
    let busy = ReadFailure::Unavailable(delay(Some(1_500)));
    let pause = Some(Duration::from_millis(1_500));
    assert_eq!(
        unknown(looked_up_with(Ok(Err(busy)), ID)),
        ("busy".to_owned(), pause)
    );
    for error in broken_calls().into_iter().chain(not_entered()) {
        unknown(looked_up_with(Err(error), ID));
    }
}

#[test]
fn a_return_is_done_only_when_the_vendor_shows_it() {
    assert_eq!(
        returned_with(Ok(Ok(returned())), ID, false).outcome,
        ReturnOutcome::Returned
    );
    let others = [other(), unused(), used()];
    for license in contradictions().into_iter().chain(others) {
        let outcome = returned_with(Ok(Ok(license)), ID, false).outcome;
        assert!(matches!(outcome, ReturnOutcome::Unknown(_)), "{outcome:?}");
    }
}

#[test]
fn a_return_that_failed_is_what_the_plugin_says() {
    let refused = returned_with(Ok(Err(ChangeFailure::Refused(problem("x")))), ID, false).outcome;
    assert!(
        matches!(&refused, ReturnOutcome::Refused(problem) if problem.correlation_id == "c"),
        "{refused:?}"
    );
    let refused = returned_with(Ok(Err(ChangeFailure::Refused(problem("x")))), ID, true).outcome;
    assert!(matches!(refused, ReturnOutcome::RefusedForNow(_)), "{refused:?}");
    let unknown = returned_with(Ok(Err(ChangeFailure::Unknown(problem("x")))), ID, false).outcome;
    assert!(matches!(unknown, ReturnOutcome::Unknown(_)), "{unknown:?}");
    let busy = returned_with(Ok(Err(ChangeFailure::Unavailable(delay(Some(2))))), ID, false);
    assert_eq!(busy.retry_after, Some(Duration::from_millis(2)));
    assert!(matches!(busy.outcome, ReturnOutcome::Unavailable(_)), "{busy:?}");
}

#[test]
fn a_plugin_that_broke_off_may_have_returned_the_license_and_one_that_never_started_has_not() {
    for error in broken_calls() {
        let outcome = returned_with(Err(error), ID, false).outcome;
        assert!(matches!(outcome, ReturnOutcome::Unknown(_)), "{outcome:?}");
    }
    for error in not_entered() {
        let outcome = returned_with(Err(error), ID, false).outcome;
        assert!(matches!(outcome, ReturnOutcome::Unavailable(_)), "{outcome:?}");
    }
}

#[test]
fn a_plugin_that_broke_off_before_any_request_left_has_returned_nothing() {
    for error in broken_calls() {
        let outcome = after_return(Err(error), ID, Seen::default(), false).outcome;
        assert!(matches!(outcome, ReturnOutcome::Unavailable(_)), "{outcome:?}");
    }
}

#[test]
fn what_the_host_saw_counts_for_more_than_what_the_plugin_says() {
    let sent = Seen {
        has_sent: true,
        is_heard: false,
        is_answered: false,
        may_have_changed: true,
    };
    let outcome = |answer, seen| after_return(answer, ID, seen, false).outcome;
    let delay = || Delay {
        problem: problem("p"),
        retry_after_ms: None,
    };
    let no = || Ok(Err(ChangeFailure::Refused(problem("p"))));
    let later = || Ok(Err(ChangeFailure::Unavailable(delay())));
    assert!(matches!(outcome(no(), sent), ReturnOutcome::Unknown(_)));
    assert!(matches!(outcome(later(), sent), ReturnOutcome::Unknown(_)));
    assert!(matches!(outcome(no(), ANSWERED), ReturnOutcome::Refused(_)));
    assert!(matches!(
        outcome(later(), ANSWERED),
        ReturnOutcome::Unavailable(_)
    ));
    let unseen = outcome(Ok(Ok(returned())), Seen::default());
    assert!(matches!(unseen, ReturnOutcome::Unknown(why) if why.code == "license-without-exchange"));
    let Next::End(verdict) = after_look_up(Ok(Ok(LookUp::Issued(returned()))), ID, Seen::default(), false)
    else {
        panic!("it is returned again");
    };
    assert!(matches!(verdict.outcome, ReturnOutcome::Unknown(why) if why.code == "license-without-exchange"));
}
