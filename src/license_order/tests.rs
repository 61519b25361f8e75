//! Each way in which a purchase can end.

use serde_json::{Value, json};

use bss_plugin::{EarlierAttempts, License, LicenseTokenStatus, ReturnStatus};

use super::*;
use crate::scripted_platform::{ScriptedPlatform, Sent, access_token, answer, answer_with, error, instance};
use bss_plugin::http::SendFailure;

const ID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";
const PRODUCT_KEY: &str = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE";

fn order() -> LicenseOrder {
    LicenseOrder {
        client_transaction_id: ID.to_owned(),
        earlier_attempts: EarlierAttempts::None,
        check_only: false,
        product: "ABC-00001".to_owned(),
        quantity: 1,
        reseller: None,
        customer: Party {
            id: "42".to_owned(),
            name: "Αφοί Παπαδόπουλοι".to_owned(),
            country: "GR".to_owned(),
        },
    }
}

fn repeated() -> LicenseOrder {
    LicenseOrder {
        earlier_attempts: EarlierAttempts::Unknown,
        ..order()
    }
}

fn license_body() -> Value {
    json!({
        "transactionId": "t-1", "clientTransactionId": ID, "tokenId": "k-1",
        "productKey": PRODUCT_KEY, "redemptionUrl": "https://setup.example.com/?token=x",
        "tokenStatus": "Activated", "returnStatus": "NONE",
        "purchasedAt": "2026-11-22T12:00:00Z", "returnableUntil": "2026-12-22T12:00:00Z",
    })
}

fn license(status: u16) -> Sent {
    crate::scripted_platform::json(status, &license_body())
}

fn place(platform: &ScriptedPlatform, order: &LicenseOrder) -> Result<OrderAnswer, ChangeFailure> {
    create_license(platform, &instance(), order).into_result()
}

fn code(failure: &ChangeFailure) -> &str {
    match failure {
        ChangeFailure::Refused(problem)
        | ChangeFailure::Misconfigured(problem)
        | ChangeFailure::Unknown(problem) => &problem.code,
        ChangeFailure::Unavailable(delay) => &delay.problem.code,
    }
}

#[track_caller]
fn assert_licensed(result: Result<OrderAnswer, ChangeFailure>) -> License {
    match result {
        Ok(OrderAnswer::Licensed(license)) => {
            assert_eq!(license.product_key, PRODUCT_KEY);
            license
        }
        other => panic!("licensed expected, {other:?} found"),
    }
}

#[track_caller]
fn assert_misconfigured(result: Result<OrderAnswer, ChangeFailure>, expected: &str) {
    match result {
        Err(failure @ ChangeFailure::Misconfigured(_)) => assert_eq!(code(&failure), expected),
        other => panic!("misconfigured expected, {other:?} found"),
    }
}

#[track_caller]
fn assert_refused(result: Result<OrderAnswer, ChangeFailure>, expected: &str) {
    match result {
        Err(failure @ ChangeFailure::Refused(_)) => assert_eq!(code(&failure), expected),
        other => panic!("refused expected, {other:?} found"),
    }
}

#[track_caller]
fn assert_unknown(result: Result<OrderAnswer, ChangeFailure>) {
    assert!(
        matches!(result, Err(ChangeFailure::Unknown(_))),
        "unknown expected, {result:?} found"
    );
}

#[track_caller]
fn assert_unavailable(result: Result<OrderAnswer, ChangeFailure>) -> bss_plugin::failures::Delay {
    match result {
        Err(ChangeFailure::Unavailable(delay)) => delay,
        other => panic!("unavailable expected, {other:?} found"),
    }
}

#[test]
fn a_license_is_bought_with_one_request() {
    let platform = ScriptedPlatform::granting([license(201)]);
    let license = assert_licensed(place(&platform, &order()));
    assert_eq!(license.license_token_id, "k-1");
    assert_eq!(license.purchased_at_ms, 1_795_348_800_000);
    assert_eq!(license.returnable_until_ms, Some(1_797_940_800_000));
    assert_eq!(license.activation_link, "https://setup.example.com/?token=x");

    let request = platform.request(1);
    assert_eq!(request.url, "https://esd.example.com:8443/cis/tokens");
    assert_eq!(request.header("authorization"), Some("Bearer granted"));
    assert!(request.header("ms-correlationid").is_some());
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        body,
        json!({
            "clientTransactionId": ID, "channelId": "1234567890", "offerId": "ABC-00001",
            "country": "GR", "language": "el-GR", "currency": "EUR", "quantity": 1,
            "customer": {"id": "42", "name": "Αφοί Παπαδόπουλοι", "country": "GR"},
        })
    );
}

#[test]
fn a_reseller_is_named_where_there_is_one() {
    let platform = ScriptedPlatform::granting([license(201)]);
    let mut order = order();
    order.reseller = Some(Party {
        id: "7".to_owned(),
        name: "Reseller".to_owned(),
        country: "GR".to_owned(),
    });
    assert_licensed(place(&platform, &order));
    let body: Value = serde_json::from_slice(&platform.request(1).body).unwrap();
    assert_eq!(body["reseller"], json!({"id": "7", "name": "Reseller"}));
}

#[test]
fn a_check_sends_nothing() {
    let platform = ScriptedPlatform::answering([]);
    let order = LicenseOrder {
        check_only: true,
        ..order()
    };
    assert_eq!(place(&platform, &order), Ok(OrderAnswer::Valid));
}

#[test]
fn an_order_that_can_be_known_to_be_wrong_is_refused_before_anything_is_sent() {
    type Change = fn(&mut LicenseOrder);
    let changes: [(Change, &str); 6] = [
        (
            |order| order.client_transaction_id = "1".to_owned(),
            "client-transaction-id-invalid",
        ),
        (|order| order.product = " ".to_owned(), "product-invalid"),
        (|order| order.customer.name.clear(), "customer-invalid"),
        (
            |order| order.customer.name = "a\u{202E}b".to_owned(),
            "customer-invalid",
        ),
        (
            |order| order.customer.country = "Greece".to_owned(),
            "customer-invalid",
        ),
        (
            |order| {
                order.reseller = Some(Party {
                    name: String::new(),
                    ..order.customer.clone()
                });
            },
            "reseller-invalid",
        ),
    ];
    for (change, expected) in changes {
        let platform = ScriptedPlatform::answering([]);
        let mut order = order();
        change(&mut order);
        assert_refused(place(&platform, &order), expected);
    }
}

#[test]
fn a_customer_is_named_as_its_script_is_written() {
    let platform = ScriptedPlatform::granting([license(201)]);
    let mut order = order();
    order.customer.name = "شرکت نرم\u{200C}افزار".to_owned();
    assert_licensed(place(&platform, &order));
}

#[test]
fn a_repeated_attempt_that_can_not_look_up_says_nothing_of_the_first() {
    let platform = ScriptedPlatform::answering([]);
    let mut order = repeated();
    order.customer.name.clear();
    assert_unknown(place(&platform, &order));
}

#[test]
fn a_repeated_attempt_finds_the_license_and_does_not_buy() {
    let platform = ScriptedPlatform::granting([license(200)]);
    assert_licensed(place(&platform, &repeated()));
    assert_eq!(
        platform.urls()[1],
        format!("https://esd.example.com:8443/cis/tokens?clientTransactionId={ID}")
    );
    assert_eq!(platform.purchases(), 0);
}

#[test]
fn a_repeated_attempt_buys_what_microsoft_has_never_seen() {
    let platform = ScriptedPlatform::granting([error(404, "TokenNotFound"), license(201)]);
    assert_licensed(place(&platform, &repeated()));
    assert_eq!(platform.purchases(), 1);
}

#[test]
fn a_repeated_attempt_never_buys_after_any_other_answer() {
    let answers = [
        answer(404, "<html>not found</html>"),
        error(404, "ResourceNotFound"),
        answer(200, "{}"),
        answer(500, ""),
        error(503, "Unavailable"),
        error(403, "ChannelNotAuthorized"),
        answer(302, ""),
        Err(SendFailure::NameNotResolved),
        Err(SendFailure::ResponseTimeout),
    ];
    for answer in answers {
        let platform = ScriptedPlatform::granting([answer]);
        assert_unknown(place(&platform, &repeated()));
        assert_eq!(platform.purchases(), 0);
    }
    let platform = ScriptedPlatform::answering([Err(SendFailure::Unreachable)]);
    assert_unknown(place(&platform, &repeated()));
}

#[test]
fn an_attempt_after_one_that_bought_nothing_looks_up_and_a_failed_look_up_means_nothing_was_bought() {
    let order = LicenseOrder {
        earlier_attempts: EarlierAttempts::NotDone,
        ..order()
    };
    for failure in [
        Err(SendFailure::NameNotResolved),
        Err(SendFailure::ResponseTimeout),
        answer(500, ""),
    ] {
        let platform = ScriptedPlatform::granting([failure]);
        let outcome = place(&platform, &order);
        assert!(
            matches!(outcome, Err(ChangeFailure::Unavailable(_))),
            "{outcome:?}"
        );
        assert_eq!(platform.purchases(), 0);
    }
    let platform = ScriptedPlatform::granting([license(200)]);
    assert_licensed(place(&platform, &order));
    assert_eq!(platform.purchases(), 0);
}

#[test]
fn a_success_that_can_not_be_read_is_unknown() {
    let mut bodies = vec![json!({}), json!([]), json!("x")];
    for (field, value) in [
        (
            "clientTransactionId",
            json!("11111111-2222-3333-4444-555555555555"),
        ),
        ("productKey", json!("")),
        ("productKey", json!(5)),
        ("tokenId", json!("..")),
    ] {
        let mut body = license_body();
        body[field] = value;
        bodies.push(body);
    }
    for body in bodies {
        let sent = crate::scripted_platform::json(201, &body);
        let platform = ScriptedPlatform::granting([sent]);
        let result = place(&platform, &order());
        assert!(!format!("{result:?}").contains("AAAAA"), "{result:?}");
        assert_unknown(result);
    }
    let cut = license_body().to_string();
    let platform = ScriptedPlatform::granting([answer(200, &cut[..cut.len() / 2])]);
    assert_unknown(place(&platform, &order()));
}

#[test]
fn an_answer_that_leaves_doubt_is_unknown() {
    let answers = [
        answer(500, ""),
        error(500, "InternalError"),
        answer(502, ""),
        answer(503, ""),
        error(503, "SomethingElse"),
        answer(504, ""),
        answer(408, ""),
        answer(409, ""),
        error(409, "TransactionInProgress"),
        answer(425, ""),
        answer(499, ""),
        answer(202, "{}"),
        answer(204, ""),
        answer(301, ""),
        Err(SendFailure::BrokenOff(String::new())),
        Err(SendFailure::ResponseTimeout),
        Err(SendFailure::ResponseTooLarge),
        Err(SendFailure::ResponseUnreadable(String::new())),
    ];
    for answer in answers {
        let platform = ScriptedPlatform::granting([answer]);
        assert_unknown(place(&platform, &order()));
    }
}

#[test]
fn a_request_that_never_left_is_unavailable() {
    for failure in [
        SendFailure::NameNotResolved,
        SendFailure::Unreachable,
        SendFailure::ConnectTimeout,
        SendFailure::ServerNotTrusted,
        SendFailure::TlsAlert(Some(40)),
        SendFailure::TlsFailed,
        SendFailure::Denied,
        SendFailure::AddressProhibited,
        SendFailure::TooManyConnections,
    ] {
        let platform = ScriptedPlatform::granting([Err(failure.clone())]);
        let delay = assert_unavailable(place(&platform, &order()));
        assert_eq!(delay.problem.code, failure.code());
    }
}

#[test]
fn a_certificate_that_the_server_refuses_is_to_be_corrected() {
    let failure = SendFailure::TlsAlert(Some(116));
    let platform = ScriptedPlatform::granting([Err(failure.clone())]);
    assert_misconfigured(place(&platform, &order()), "certificate-refused");
    let platform = ScriptedPlatform::granting([Err(failure)]);
    assert_unknown(place(&platform, &repeated()));
}

#[test]
fn a_busy_vendor_is_unavailable_for_as_long_as_it_says() {
    let body = r#"{"error":{"code":"Throttled","message":"Slow down."}}"#;
    let throttled = answer_with(429, ("retry-after", "30"), body);
    let platform = ScriptedPlatform::granting([throttled]);
    let delay = assert_unavailable(place(&platform, &order()));
    assert_eq!(delay.retry_after_ms, Some(30_000));
    assert_eq!(delay.problem.code, "throttled");

    let platform = ScriptedPlatform::granting([error(503, "Unavailable")]);
    let delay = assert_unavailable(place(&platform, &order()));
    assert_eq!(delay.retry_after_ms, None);
}

#[test]
fn a_documented_refusal_is_refused_with_advice() {
    for (status, theirs, ours) in [
        (404, "OfferNotFound", "offer-not-found"),
        (410, "OfferDiscontinued", "offer-discontinued"),
        (403, "CountryNotAllowed", "country-not-allowed"),
        (400, "QuantityOutOfRange", "quantity-out-of-range"),
        (409, "InventoryUnavailable", "inventory-unavailable"),
        (400, "SomethingNew", "http-400"),
    ] {
        let platform = ScriptedPlatform::granting([error(status, theirs)]);
        let result = place(&platform, &order());
        let Err(ChangeFailure::Refused(problem)) = &result else {
            panic!("refused expected: {result:?}");
        };
        assert_eq!(problem.correlation_id, "theirs");
        // Nothing is wrong with the way to Microsoft.
        assert!(
            !problem.advice.is_empty() && !problem.advice.contains("proxy"),
            "{problem:?}"
        );
        assert_refused(result, ours);
    }
}

/// What stands between a host and the license API answers so; none of it is the license API's word.
#[test]
fn a_page_of_something_on_the_way_refuses_no_order() {
    let page = "<html><title>Access blocked</title>";
    for (sent, code) in [
        (answer(407, page), "http-407"),
        (answer(421, ""), "http-421"),
        (answer(405, page), "http-405"),
        (answer(400, ""), "http-400"),
        (answer(404, "{}"), "http-404"),
        (
            answer(
                400,
                r#"{"error":{"code":"AuthorizationFailed","message":"of a gateway"}}"#,
            ),
            "http-400",
        ),
    ] {
        let platform = ScriptedPlatform::granting([sent]);
        let delay = assert_unavailable(place(&platform, &order()));
        assert_eq!(delay.problem.code, code);
        assert!(delay.problem.message.contains("Something other"), "{delay:?}");
        assert!(!delay.problem.advice.is_empty(), "{code}");
    }
    let ntlm = || answer_with(401, ("www-authenticate", "NTLM"), page);
    let platform = ScriptedPlatform::granting([ntlm(), access_token(), ntlm()]);
    assert_unavailable(place(&platform, &order()));

    // A purchase may have been passed on by what redirects it, or withholds its answer.
    for sent in [
        answer_with(302, ("location", "https://portal.example/"), page),
        answer(403, page),
        answer(403, r#"{"error":"forbidden"}"#),
        answer(451, ""),
        answer(402, page),
    ] {
        let platform = ScriptedPlatform::granting([sent]);
        assert_unknown(place(&platform, &order()));
    }
}

#[test]
fn what_is_wrong_with_the_account_holds_the_instance_and_refuses_no_order() {
    for (status, theirs, ours) in [
        (402, "CreditExhausted", "credit-exhausted"),
        (409, "CreditExhausted", "credit-exhausted"),
        (402, "SomethingNew", "http-402"),
        (401, "TokenInvalid", "http-401"),
    ] {
        let refused = || error(status, theirs);
        let platform = ScriptedPlatform::granting([refused(), access_token(), refused()]);
        assert_misconfigured(place(&platform, &order()), ours);
    }
}

fn bought(body: &Value) -> (License, Vec<String>) {
    let platform = ScriptedPlatform::granting([crate::scripted_platform::json(201, body)]);
    let license = assert_licensed(place(&platform, &order()));
    let log = platform.log.borrow();
    (
        license,
        log.iter().map(|(_, _, message)| message.clone()).collect(),
    )
}

/// A member that was left out: a change of the body, how many warnings there are, and what the license has instead.
type LeftOut = (&'static str, Value, usize, fn(&License) -> bool);

#[test]
fn a_license_is_worth_more_than_its_details() {
    const MOMENT: i64 = 1_795_348_800_000;
    let now = |license: &License| license.purchased_at_ms == crate::scripted_platform::NOW_MS;
    let as_usual = |license: &License| license.purchased_at_ms == MOMENT;
    let is_unused = |license: &License| {
        license.license_token_status == LicenseTokenStatus::Unused
            && license.return_status == ReturnStatus::None
    };
    let changes: Vec<LeftOut> = vec![
        ("clientTransactionId", json!(ID.to_uppercase()), 0, |license| {
            license.client_transaction_id == ID
        }),
        ("clientTransactionId", json!(format!("{{{ID}}}")), 0, |license| {
            license.client_transaction_id == ID
        }),
        ("tokenId", json!(4711), 0, |license| {
            license.license_token_id == "4711"
        }),
        ("transactionId", json!(815), 0, |license| {
            license.transaction_id == "815"
        }),
        ("transactionId", Value::Null, 1, |license| {
            license.transaction_id == "-"
        }),
        ("purchasedAt", json!("2026-11-22T12:00:00"), 0, as_usual),
        ("purchasedAt", json!("2026-11-22 12:00:00.0000000"), 0, as_usual),
        ("purchasedAt", json!("2026-11-22T14:00:00+02:00"), 0, as_usual),
        ("purchasedAt", json!("2026-11-22T14:00:00+0200"), 0, as_usual),
        ("purchasedAt", json!(1_795_348_800), 0, as_usual),
        ("purchasedAt", json!(1_795_348_800_000_i64), 0, as_usual),
        ("purchasedAt", json!("1795348800"), 0, as_usual),
        ("purchasedAt", json!("/Date(1795348800000)/"), 0, as_usual),
        ("purchasedAt", json!("22.11.2026"), 1, now),
        ("purchasedAt", json!("0001-01-01T00:00:00"), 1, now),
        ("purchasedAt", Value::Null, 1, now),
        ("purchasedAt", json!("20261122"), 1, now),
        ("purchasedAt", json!(2026), 1, now),
        ("returnableUntil", json!("soon"), 1, |license| {
            license.returnable_until_ms.is_none()
        }),
        ("returnableUntil", Value::Null, 0, |license| {
            license.returnable_until_ms.is_none()
        }),
        ("tokenStatus", json!("activated"), 0, is_unused),
        ("tokenStatus", json!("PendingActivation"), 1, is_unused),
        ("tokenStatus", Value::Null, 1, is_unused),
        ("tokenStatus", json!({"value": 3}), 1, is_unused),
        ("returnStatus", Value::Null, 0, is_unused),
        ("returnStatus", json!("PENDING"), 1, is_unused),
        ("productKey", json!(format!(" {PRODUCT_KEY}\r\n")), 0, |_| true),
        ("productKey", json!(format!("\u{FEFF}{PRODUCT_KEY}")), 0, |_| true),
        ("productKey", json!(PRODUCT_KEY.replace('-', " ")), 0, |_| true),
        ("redemptionUrl", json!(7), 0, |license| {
            license.activation_link.is_empty()
        }),
        (
            "redemptionUrl",
            json!(" https://setup.example.com/?token=x "),
            0,
            |license| license.activation_link == "https://setup.example.com/?token=x",
        ),
    ];
    for (member, value, warnings, has) in changes {
        let mut body = license_body();
        body[member] = value;
        let (license, warned) = bought(&body);
        assert_eq!(warned.len(), warnings, "{body}: {warned:?}");
        assert!(has(&license), "{body}: {license:?}");

        let mut without = license_body();
        if !matches!(member, "productKey" | "clientTransactionId" | "tokenId") {
            without.as_object_mut().unwrap().remove(member);
            bought(&without);
        }
    }
}

#[test]
fn an_answer_that_is_compressed_or_marked_brings_the_license_too() {
    use std::io::Write as _;
    let body = license_body().to_string();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(body.as_bytes()).unwrap();
    let mut compressed = answer_with(201, ("content-encoding", "gzip"), "").unwrap();
    compressed.body = gzip.finish().unwrap().into();
    for sent in [Ok(compressed), answer(201, &format!("\u{FEFF}{body}"))] {
        let platform = ScriptedPlatform::granting([sent]);
        assert_licensed(place(&platform, &order()));
    }
    let platform = ScriptedPlatform::granting([answer_with(201, ("content-encoding", "br"), &body)]);
    assert_unknown(place(&platform, &order()));
}

#[test]
fn what_names_no_license_or_another_one_is_none() {
    for (member, value) in [
        ("productKey", json!("")),
        ("productKey", json!("see your mail")),
        ("productKey", json!("AAAAA  BBBBB")),
        ("productKey", Value::Null),
        ("tokenId", Value::Null),
        ("tokenId", json!("..")),
        ("tokenId", json!(1.5)),
        ("tokenId", json!(true)),
        ("clientTransactionId", Value::Null),
        (
            "clientTransactionId",
            json!("0f8fad5b-d9cb-469f-a165-70867728950f"),
        ),
    ] {
        let mut body = license_body();
        body[member] = value;
        let platform = ScriptedPlatform::granting([crate::scripted_platform::json(201, &body)]);
        let result = place(&platform, &order());
        assert_unknown(result);
    }
}

#[test]
fn a_refusal_of_who_asks_is_to_be_corrected_and_refuses_no_order() {
    for (theirs, ours) in [
        ("ChannelNotAuthorized", "channel-not-authorized"),
        ("CertificateNotRegistered", "certificate-not-registered"),
    ] {
        let platform = ScriptedPlatform::granting([error(403, theirs)]);
        assert_misconfigured(place(&platform, &order()), ours);
    }
}

#[test]
fn a_code_means_the_same_under_another_status() {
    for status in [400, 409, 422] {
        let duplicate = error(status, "DuplicateTransaction");
        let platform = ScriptedPlatform::granting([duplicate, license(200)]);
        assert_licensed(place(&platform, &order()));
        let platform = ScriptedPlatform::granting([error(status, "Throttled")]);
        assert_unavailable(place(&platform, &order()));
    }
}

#[test]
fn a_duplicate_is_answered_with_the_license_it_is_a_duplicate_of() {
    let duplicate = || error(409, "DuplicateTransaction");
    let platform = ScriptedPlatform::granting([duplicate(), license(200)]);
    assert_licensed(place(&platform, &order()));

    for look_up in [error(404, "TokenNotFound"), answer(500, "")] {
        let platform = ScriptedPlatform::granting([duplicate(), look_up]);
        assert_unknown(place(&platform, &order()));
    }
}

#[test]
fn a_refused_access_token_is_replaced_once() {
    let platform = ScriptedPlatform::granting([answer(401, ""), access_token(), license(201)]);
    assert_licensed(place(&platform, &order()));

    let platform = ScriptedPlatform::granting([answer(401, ""), access_token(), answer(401, "")]);
    assert_misconfigured(place(&platform, &order()), "http-401");
    assert!(platform.cache.borrow().is_empty());
    let authorizations = platform
        .request(3)
        .headers
        .iter()
        .filter(|(name, _)| *name == "authorization")
        .count();
    assert_eq!(authorizations, 1);

    let platform = ScriptedPlatform::granting([answer(401, ""), Err(SendFailure::NameNotResolved)]);
    assert_unavailable(place(&platform, &order()));
}

#[test]
fn without_an_access_token_nothing_is_bought() {
    let platform = ScriptedPlatform::answering([Err(SendFailure::Unreachable)]);
    assert_unavailable(place(&platform, &order()));
    let platform = ScriptedPlatform::answering([answer(200, "<html>")]);
    assert_unavailable(place(&platform, &order()));
    let platform = ScriptedPlatform::answering([answer(400, r#"{"error":"invalid_client"}"#)]);
    assert_misconfigured(place(&platform, &order()), "client-refused");
}

#[test]
fn a_link_that_is_not_https_is_left_out_and_the_license_is_kept() {
    let too_long = format!("https://setup.example.com/{}", "x".repeat(2_048));
    for link in [
        "javascript:alert(1)",
        "http://setup.example.com/",
        "https://a b",
        "https://microsoft.com@evil.example/",
        &too_long,
    ] {
        let mut body = license_body();
        body["redemptionUrl"] = json!(link);
        let sent = crate::scripted_platform::json(201, &body);
        let platform = ScriptedPlatform::granting([sent]);
        let license = assert_licensed(place(&platform, &order()));
        assert!(license.activation_link.is_empty());
        let log = platform.log.borrow();
        assert_eq!(log.len(), 1);
        assert!(!log[0].2.contains(link));
    }
}

#[test]
fn incomplete_settings_are_to_be_corrected() {
    let platform = ScriptedPlatform::answering([]);
    let mut instance = instance();
    instance.values.retain(|value| value.id != "country");
    let result = create_license(&platform, &instance, &order()).into_result();
    assert_misconfigured(result, "settings-incomplete");
}

#[test]
fn no_failure_prints_the_access_token() {
    let platform = ScriptedPlatform::granting([answer(500, "")]);
    let result = place(&platform, &order());
    assert!(!format!("{result:?}{:?}", platform.requests.borrow()).contains("granted"));
}
