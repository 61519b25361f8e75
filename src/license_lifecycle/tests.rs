//! Licenses looked up and returned, over a scripted platform.

use serde_json::json;

use super::*;
use crate::scripted_platform::{ScriptedPlatform, Sent, answer, error, instance};
use bss_plugin::http::SendFailure;
use bss_plugin::{EarlierAttempts, LicenseNames, LicenseTokenStatus};

const ID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";
const RETURN_ID: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";

fn license(token_status: &str, return_status: &str) -> Sent {
    let body = json!({
        "transactionId": "t-1", "clientTransactionId": ID, "tokenId": "k/1",
        "productKey": "AAAAA-BBBBB", "tokenStatus": token_status, "returnStatus": return_status,
        "purchasedAt": "2026-11-22T12:00:00Z",
    });
    crate::scripted_platform::json(200, &body)
}

fn returned() -> Sent {
    let body = json!({"returnStatus": "SUCCESSFUL", "tokenStatus": "Return Accepted"});
    crate::scripted_platform::json(200, &body)
}

fn names(license_token_id: &str) -> LicenseNames {
    LicenseNames {
        client_transaction_id: ID.to_owned(),
        transaction_id: "t-1".to_owned(),
        license_token_id: license_token_id.to_owned(),
    }
}

fn by_id(platform: &ScriptedPlatform, id: &str) -> Result<LookUp, ReadFailure> {
    get_license(platform, &instance(), &LicenseName::License(names(id)))
}

#[track_caller]
fn issued(found: LookUp) -> License {
    match found {
        LookUp::Issued(license) => license,
        other => panic!("a license expected, {other:?} found"),
    }
}

fn cancel(platform: &ScriptedPlatform) -> Result<License, ChangeFailure> {
    let license_return = LicenseReturn {
        license: names("k/1"),
        earlier_attempts: EarlierAttempts::None,
        client_transaction_id: RETURN_ID.to_owned(),
        reason: "Not needed\nany more".to_owned(),
    };
    cancel_license(platform, &instance(), &license_return).into_result()
}

#[test]
fn a_license_is_found_by_either_name() {
    let platform = ScriptedPlatform::granting([license("Redeemed", "NONE")]);
    let found = issued(by_id(&platform, "k/1").unwrap());
    assert_eq!(found.license_token_status, LicenseTokenStatus::Used);
    assert!(platform.urls()[1].ends_with("/cis/tokens/k%2F1"));

    let platform = ScriptedPlatform::granting([license("Activated", "NONE")]);
    let name = LicenseName::Purchase(ID.to_owned());
    issued(get_license(&platform, &instance(), &name).unwrap());
}

#[test]
fn only_the_license_api_can_say_that_there_is_no_license() {
    let platform = ScriptedPlatform::granting([error(404, "TokenNotFound")]);
    assert_eq!(by_id(&platform, "k/1"), Ok(LookUp::NeverIssued));
    for sent in [answer(404, ""), error(404, "ResourceNotFound")] {
        let platform = ScriptedPlatform::granting([sent]);
        assert!(matches!(by_id(&platform, "k/1"), Err(ReadFailure::Malformed(_))));
    }
}

#[test]
fn another_license_than_the_one_asked_for_is_malformed() {
    let platform = ScriptedPlatform::granting([license("Activated", "NONE")]);
    assert!(matches!(
        by_id(&platform, "other"),
        Err(ReadFailure::Malformed(_))
    ));
}

#[test]
fn a_name_that_would_lead_elsewhere_is_not_sent() {
    for id in ["", ".", "..", "a b", "a\r\nb", &"x".repeat(201)] {
        let platform = ScriptedPlatform::answering([]);
        assert!(matches!(by_id(&platform, id), Err(ReadFailure::Refused(_))));
    }
}

#[test]
fn a_license_is_returned_and_shown_as_returned() {
    let platform = ScriptedPlatform::granting([returned(), license("Return Accepted", "SUCCESSFUL")]);
    let license = cancel(&platform).unwrap();
    assert_eq!(license.return_status, ReturnStatus::Successful);
    let request = platform.request(1);
    assert!(request.url.ends_with("/cis/tokens/k%2F1/return"));
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        body,
        json!({"clientTransactionId": RETURN_ID, "reason": "Not needed any more"})
    );
}

#[test]
fn one_that_was_returned_before_is_answered_like_one_returned_now() {
    let platform = ScriptedPlatform::granting([
        error(409, "AlreadyReturned"),
        license("Return Accepted", "SUCCESSFUL"),
    ]);
    assert!(cancel(&platform).is_ok());
}

#[test]
fn a_return_that_is_not_allowed_is_refused() {
    for (status, theirs, ours) in [
        (409, "TokenAlreadyRedeemed", "license-redeemed"),
        (410, "ReturnWindowExpired", "return-window-expired"),
        (409, "DuplicateTransaction", "duplicate-transaction"),
        (404, "TokenNotFound", "license-not-found"),
    ] {
        let platform = ScriptedPlatform::granting([error(status, theirs)]);
        let Err(ChangeFailure::Refused(problem)) = cancel(&platform) else {
            panic!("refused expected for {theirs}");
        };
        assert_eq!(problem.code, ours);
    }
}

#[test]
fn a_return_that_may_have_been_made_is_unknown() {
    let scripts: [Vec<Sent>; 4] = [
        vec![Err(SendFailure::ResponseTimeout)],
        vec![answer(500, "")],
        vec![returned(), answer(500, "")],
        vec![returned(), license("Activated", "NONE")],
    ];
    for script in scripts {
        let platform = ScriptedPlatform::granting(script);
        assert!(matches!(cancel(&platform), Err(ChangeFailure::Unknown(_))));
    }
}

#[test]
fn a_return_that_never_left_is_unavailable() {
    let platform = ScriptedPlatform::granting([Err(SendFailure::Unreachable)]);
    assert!(matches!(cancel(&platform), Err(ChangeFailure::Unavailable(_))));
}
