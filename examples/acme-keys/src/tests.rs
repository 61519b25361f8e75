//! The rules that cost licenses where they are broken, from an order to its answer.

use service_manager::Guest as _;

use super::*;
use bindings::bss::service_manager::instance_settings::FieldValue;
use bindings::bss::service_manager::license_order::{LicenseTokenStatus, Party};
use license_lifecycle::{Guest as _, LicenseNames};

const LICENSE: &str = r#"{"id": "LIC-1", "orderId": "ORD-1", "clientId": "an-order", "state": "unused",
    "productKey": "AAAAA-BBBBB", "boughtAtMs": 1, "returnableUntilMs": null}"#;
const NOT_FOUND: &str = r#"{"error": "license-not-found", "message": "No"}"#;

const LOOK_UP: &str = "Method::Get /v1/licenses?clientId=an-order";
const PURCHASE: &str = "Method::Post /v1/licenses";

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

fn buy(account: &str, earlier_attempts: EarlierAttempts) -> Result<OrderAnswer, ChangeFailure> {
    let order = LicenseOrder {
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
    };
    Plugin::create_license(instance(account), order)
}

#[test]
fn a_first_attempt_buys_and_a_later_one_looks_up_before() {
    scripted::answer(&[(201, LICENSE)]);
    assert!(matches!(
        buy("ACC-1", EarlierAttempts::None),
        Ok(OrderAnswer::Licensed(_))
    ));
    assert_eq!(scripted::sent(), [PURCHASE]);
    for earlier_attempts in [EarlierAttempts::NotDone, EarlierAttempts::Unknown] {
        scripted::answer(&[(200, LICENSE)]);
        assert!(matches!(
            buy("ACC-1", earlier_attempts),
            Ok(OrderAnswer::Licensed(_))
        ));
        assert_eq!(scripted::sent(), [LOOK_UP]);
        scripted::answer(&[(202, "{}")]);
        assert!(matches!(
            buy("ACC-1", earlier_attempts),
            Ok(OrderAnswer::Accepted(None))
        ));
        scripted::answer(&[(404, NOT_FOUND), (201, LICENSE)]);
        assert!(matches!(
            buy("ACC-1", earlier_attempts),
            Ok(OrderAnswer::Licensed(_))
        ));
        assert_eq!(scripted::sent(), [LOOK_UP, PURCHASE]);
    }
}

#[test]
fn an_attempt_that_is_stopped_before_it_buys_leaves_an_unknown_outcome_unknown() {
    // Nothing can be asked without an account number; the other look-ups end without a word of Acme's on the license.
    for (account, status) in [
        ("", 200),
        ("ACC-1", 0),
        ("ACC-1", 401),
        ("ACC-1", 404),
        ("ACC-1", 429),
        ("ACC-1", 503),
    ] {
        scripted::answer(&[(status, "<html>")]);
        let failure = buy(account, EarlierAttempts::Unknown);
        assert!(
            matches!(failure, Err(ChangeFailure::Unknown(_))),
            "{status} {failure:?}"
        );
        scripted::answer(&[(status, "<html>")]);
        match buy(account, EarlierAttempts::NotDone) {
            Err(ChangeFailure::Misconfigured(_)) => assert!(account.is_empty() || status == 401),
            Err(ChangeFailure::Unavailable(_)) => assert_ne!(status, 401),
            other => panic!("{status} {other:?}"),
        }
    }
}

#[test]
fn a_purchase_without_an_answer_that_can_be_read_is_unknown() {
    for (status, body) in [
        (0, ""),
        (201, "<html>"),
        (201, &LICENSE.replace("an-order", "another")),
        (500, ""),
    ] {
        scripted::answer(&[(status, body)]);
        let failure = buy("ACC-1", EarlierAttempts::None);
        assert!(
            matches!(failure, Err(ChangeFailure::Unknown(_))),
            "{status} {failure:?}"
        );
    }
}

#[test]
fn only_acme_itself_says_that_there_is_no_license() {
    let name = || LicenseName::Purchase("an-order".to_owned());
    scripted::answer(&[(404, NOT_FOUND), (404, "<html>")]);
    let found = Plugin::get_license(instance("ACC-1"), name());
    assert!(matches!(found, Ok(LookUp::NeverIssued)), "{found:?}");
    let found = Plugin::get_license(instance("ACC-1"), name());
    assert!(matches!(found, Err(ReadFailure::Malformed(_))), "{found:?}");
}

#[test]
fn a_license_is_returned_only_once_acme_shows_it_so() {
    let license_return = || LicenseReturn {
        license: LicenseNames {
            client_transaction_id: "an-order".to_owned(),
            transaction_id: "ORD-1".to_owned(),
            license_token_id: "LIC-1".to_owned(),
        },
        earlier_attempts: EarlierAttempts::None,
        client_transaction_id: "a-return".to_owned(),
        reason: String::new(),
    };
    scripted::answer(&[
        (200, &LICENSE.replace("unused", "returned")),
        (200, LICENSE),
        (404, NOT_FOUND),
    ]);
    let returned = Plugin::cancel_license(instance("ACC-1"), license_return());
    assert!(returned.is_ok_and(|license| license.license_token_status == LicenseTokenStatus::Returned));
    let returned = Plugin::cancel_license(instance("ACC-1"), license_return());
    assert!(matches!(returned, Err(ChangeFailure::Unknown(_))), "{returned:?}");
    let returned = Plugin::cancel_license(instance("ACC-1"), license_return());
    assert!(matches!(returned, Err(ChangeFailure::Refused(_))), "{returned:?}");
    assert_eq!(scripted::sent(), ["Method::Delete /v1/licenses/LIC-1"; 3]);
}
