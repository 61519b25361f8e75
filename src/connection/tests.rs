//! The step at which each mistake ends the check.

use super::*;
use crate::scripted_platform::{ScriptedPlatform, Sent, access_token, answer, error, instance};

/// The results of the steps as one letter each (passed, failed, skipped), and the code of the problem.
fn check_with(sent: impl IntoIterator<Item = Sent>) -> (String, String) {
    let platform = ScriptedPlatform::answering(sent);
    let steps = check_connection(&platform, &instance());
    assert_eq!(steps.len(), STEPS.len());
    let mut problem = String::new();
    let letters = steps
        .iter()
        .map(|step| match &step.result {
            StepResult::Passed => 'p',
            StepResult::Failed(found) => {
                assert!(!found.advice.is_empty(), "{found:?}");
                problem.clone_from(&found.code);
                'f'
            }
            StepResult::Skipped => 's',
        })
        .collect();
    (letters, problem)
}

#[test]
fn with_all_well_every_step_passes() {
    let page = answer(200, r#"{"items":[]}"#);
    let (steps, _) = check_with([answer(401, ""), access_token(), page]);
    assert_eq!(steps, "pppppp");
}

#[test]
fn a_connection_fails_at_the_step_that_is_to_blame() {
    for (failure, expected, code) in [
        (SendFailure::NameNotResolved, "fsssss", "name-not-resolved"),
        (SendFailure::Denied, "fsssss", "destination-not-allowed"),
        (SendFailure::AddressProhibited, "fsssss", "address-prohibited"),
        (SendFailure::Unreachable, "pfssss", "server-unreachable"),
        (SendFailure::TlsFailed, "pfssss", "tls-failed"),
        (SendFailure::TlsAlert(Some(70)), "pfssss", "tls-failed"),
        (SendFailure::ServerNotTrusted, "ppfsss", "server-not-trusted"),
        (SendFailure::TlsAlert(Some(116)), "pppfss", "certificate-refused"),
        (
            SendFailure::BrokenOff(String::new()),
            "pppfss",
            "connection-broken-off",
        ),
    ] {
        assert_eq!(check_with([Err(failure)]), (expected.to_owned(), code.to_owned()));
    }
}

#[test]
fn an_access_token_that_is_refused_fails_its_step() {
    let refused = || answer(401, r#"{"error":"invalid_client","error_codes":[700027]}"#);
    let (steps, code) = check_with([answer(401, ""), refused(), refused()]);
    assert_eq!(
        (steps.as_str(), code.as_str()),
        ("ppppfs", "certificate-not-registered")
    );
}

#[test]
fn a_catalog_that_is_refused_fails_the_last_step() {
    let refused = error(403, "ChannelNotAuthorized");
    let (steps, code) = check_with([answer(401, ""), access_token(), refused]);
    assert_eq!(
        (steps.as_str(), code.as_str()),
        ("pppppf", "channel-not-authorized")
    );
}

#[test]
fn settings_that_are_not_complete_fail_the_first_step() {
    let platform = ScriptedPlatform::answering([]);
    let mut instance = instance();
    instance.values.clear();
    let steps = check_connection(&platform, &instance);
    assert!(matches!(steps[0].result, StepResult::Failed(_)));
}
