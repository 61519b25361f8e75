//! The rules that cost licenses where they are broken, from an order to its answer.

use bss_plugin::scripted::{Scripted, Sent, answer, answer_with, lost};
use bss_plugin::{ChangeFailure, EarlierAttempts, FieldValue, LicenseNames, LicenseTokenStatus, Party};

use super::*;

const LICENSE: &str = r#"{"id": "LIC-1", "orderId": "ORD-1", "clientId": "an-order", "state": "unused",
    "productKey": "AAAAA-BBBBB", "boughtAtMs": 1, "returnableUntilMs": null}"#;
const NOT_FOUND: &str = r#"{"error": "license-not-found", "message": "No"}"#;

const REFUSED: &str = r#"{"error": "busy", "message": "No"}"#;

const LOOK_UP: &str = "GET https://acme.example/v1/licenses?clientId=an-order";
const PURCHASE: &str = "POST https://acme.example/v1/licenses";
const RETURN: &str = "DELETE https://acme.example/v1/licenses/LIC-1";

fn instance(account: &str) -> Instance {
    let values = [("service-url", "https://acme.example/v1/"), ("account", account)];
    Instance {
        id: "acme".to_owned(),
        values: values
            .map(|(id, value)| FieldValue {
                id: id.to_owned(),
                value: value.to_owned(),
            })
            .into(),
        currency: "EUR".to_owned(),
    }
}

fn order(earlier_attempts: EarlierAttempts) -> LicenseOrder {
    LicenseOrder {
        client_transaction_id: "an-order".to_owned(),
        earlier_attempts,
        check_only: false,
        product: "ANVIL".to_owned(),
        quantity: 1,
        reseller: None,
        customer: Party {
            id: "c".to_owned(),
            name: "Customer".to_owned(),
            country: "GR".to_owned(),
        },
    }
}

/// Buys with these answers; says what came of it, and what was sent.
fn buy(
    account: &str,
    earlier_attempts: EarlierAttempts,
    answers: impl IntoIterator<Item = Sent>,
) -> (Result<OrderAnswer, ChangeFailure>, Vec<String>) {
    let plugin = Plugin(Scripted::answering(answers));
    let attempted = plugin.create_license(&instance(account), &order(earlier_attempts));
    (attempted.into_result(), plugin.0.sent())
}

#[test]
fn a_first_attempt_buys_and_a_later_one_looks_up_before() {
    let (bought, sent) = buy("ACC-1", EarlierAttempts::None, [answer(201, LICENSE)]);
    assert!(matches!(bought, Ok(OrderAnswer::Licensed(_))));
    assert_eq!(sent, [PURCHASE]);
    for earlier_attempts in [EarlierAttempts::NotDone, EarlierAttempts::Unknown] {
        let (found, sent) = buy("ACC-1", earlier_attempts, [answer(200, LICENSE)]);
        assert!(matches!(found, Ok(OrderAnswer::Licensed(_))));
        assert_eq!(sent, [LOOK_UP]);
        let (taken, _) = buy("ACC-1", earlier_attempts, [answer(202, "{}")]);
        assert!(matches!(taken, Ok(OrderAnswer::Accepted(None))));
        let answers = [answer(404, NOT_FOUND), answer(201, LICENSE)];
        let (bought, sent) = buy("ACC-1", earlier_attempts, answers);
        assert!(matches!(bought, Ok(OrderAnswer::Licensed(_))));
        assert_eq!(sent, [LOOK_UP, PURCHASE]);
    }
}

#[test]
fn an_attempt_that_is_stopped_before_it_buys_leaves_an_unknown_outcome_unknown() {
    // Nothing can be asked without an account number; the other look-ups end without a word of Acme's on the license.
    for (account, status, body) in [
        ("", 200, "<html>"),
        ("ACC-1", 0, ""),
        ("ACC-1", 401, REFUSED),
        ("ACC-1", 404, "<html>"),
        ("ACC-1", 429, "<html>"),
        ("ACC-1", 503, "<html>"),
    ] {
        let look_up = || match status {
            0 => lost(),
            status => answer(status, body),
        };
        let (failure, _) = buy(account, EarlierAttempts::Unknown, [look_up()]);
        let is_unknown = matches!(failure, Err(ChangeFailure::Unknown(_)));
        assert!(is_unknown, "{status} {failure:?}");
        match buy(account, EarlierAttempts::NotDone, [look_up()]).0 {
            Err(ChangeFailure::Misconfigured(_)) => assert!(account.is_empty() || status == 401),
            Err(ChangeFailure::Unavailable(_)) => assert_ne!(status, 401),
            other => panic!("{status} {other:?}"),
        }
    }
}

#[test]
fn a_purchase_without_an_answer_that_can_be_read_is_unknown() {
    for purchase in [
        lost(),
        answer(201, "<html>"),
        answer(201, &LICENSE.replace("an-order", "another")),
        answer(500, ""),
    ] {
        let (failure, _) = buy("ACC-1", EarlierAttempts::None, [purchase]);
        assert!(matches!(failure, Err(ChangeFailure::Unknown(_))), "{failure:?}");
    }
}

#[test]
fn only_the_vendor_itself_refuses_an_order() {
    for (body, is_refused) in [(REFUSED, true), ("<html>", false)] {
        let (failure, _) = buy("ACC-1", EarlierAttempts::None, [answer(422, body)]);
        assert_eq!(
            matches!(failure, Err(ChangeFailure::Refused(_))),
            is_refused,
            "{body}"
        );
    }
    for status in [429, 503] {
        let busy = answer_with(status, ("retry-after", "7"), REFUSED);
        let (failure, _) = buy("ACC-1", EarlierAttempts::None, [busy]);
        let Err(ChangeFailure::Unavailable(delay)) = failure else {
            panic!("{status} {failure:?}")
        };
        assert_eq!(delay.retry_after_ms, Some(7_000));
    }
}

#[test]
fn only_the_vendor_itself_says_that_there_is_no_license() {
    let look_up = |body| {
        let plugin = Plugin(Scripted::answering([answer(404, body)]));
        let name = LicenseName::Purchase("an-order".to_owned());
        plugin.get_license(&instance("ACC-1"), &name)
    };
    let found = look_up(NOT_FOUND);
    assert!(matches!(found, Ok(LookUp::NeverIssued)), "{found:?}");
    let found = look_up("<html>");
    assert!(matches!(found, Err(ReadFailure::Malformed(_))), "{found:?}");
}

#[test]
fn a_license_is_returned_only_once_the_vendor_shows_it_so() {
    let license_return = LicenseReturn {
        license: LicenseNames {
            client_transaction_id: "an-order".to_owned(),
            transaction_id: "ORD-1".to_owned(),
            license_token_id: "LIC-1".to_owned(),
        },
        earlier_attempts: EarlierAttempts::None,
        client_transaction_id: "a-return".to_owned(),
        reason: String::new(),
    };
    let cancel = |status, body: &str| {
        let plugin = Plugin(Scripted::answering([answer(status, body)]));
        let attempted = plugin.cancel_license(&instance("ACC-1"), &license_return);
        assert_eq!(plugin.0.sent(), [RETURN]);
        attempted.into_result()
    };
    let returned = cancel(200, &LICENSE.replace("unused", "returned"));
    assert!(returned.is_ok_and(|license| license.license_token_status == LicenseTokenStatus::Returned));
    let returned = cancel(200, LICENSE);
    assert!(matches!(returned, Err(ChangeFailure::Unknown(_))), "{returned:?}");
    let returned = cancel(404, NOT_FOUND);
    assert!(matches!(returned, Err(ChangeFailure::Refused(_))), "{returned:?}");
}
