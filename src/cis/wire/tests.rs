//! Bodies of answers that are incomplete, or made up at random.

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;

fn response(status: u16, body: &[u8]) -> HttpResponse {
    HttpResponse {
        status,
        headers: Vec::new(),
        body: Zeroizing::new(body.to_vec()),
    }
}

#[test]
fn an_error_needs_a_code() {
    assert!(error(&response(400, br#"{"error":{"code":"X"}}"#)).is_some());
    for body in ["{}", r#"{"error":{"code":""}}"#, r#"{"error":"X"}"#, ""] {
        assert!(error(&response(400, body.as_bytes())).is_none(), "{body}");
    }
}

#[test]
fn the_reason_why_something_is_no_license_quotes_nothing_of_it() {
    let body = br#"{"transactionId":"t","clientTransactionId":"c","tokenId":"k","productKey":["SECRET"]}"#;
    let reason = license(&response(200, body), ReadFor::Customer, 0).unwrap_err();
    assert!(!reason.contains("SECRET"), "{reason}");
}

proptest! {
    #[test]
    fn no_body_breaks_a_reader(body in any::<Vec<u8>>(), status in 100_u16..600) {
        let response = response(status, &body);
        let _ = license(&response, ReadFor::Customer, 0);
        let _ = license(&response, ReadFor::State, 0);
        let _ = error(&response);
        let _ = offers_page(&response);
        let _ = correlation_id(&response);
    }
}

#[test]
fn an_error_keeps_its_code_whatever_is_missing_beside_it() {
    for (body, code) in [
        (
            r#"{"error":{"code":"X","message":null,"correlationId":null}}"#,
            "X",
        ),
        (
            r#"{"error":{"code":"X","message":{"value":"why"},"correlationId":7}}"#,
            "X",
        ),
        (r#"{"error":{"code":4711}}"#, "4711"),
    ] {
        let error = error(&response(400, body.as_bytes())).unwrap();
        assert_eq!(error.code, code, "{body}");
    }
}

#[test]
fn a_state_that_is_asked_for_is_not_guessed() {
    let body = br#"{"transactionId":"t","clientTransactionId":"c","tokenId":"k","productKey":"A","tokenStatus":"Suspended","returnStatus":"NONE"}"#;
    assert!(license(&response(200, body), ReadFor::State, 0).is_err());
    for returned in [r#""PENDING""#, "true", "{}"] {
        let body = format!(
            r#"{{"transactionId":"t","clientTransactionId":"c","tokenId":"k","productKey":"A","tokenStatus":"Activated","returnStatus":{returned}}}"#
        );
        assert!(
            license(&response(200, body.as_bytes()), ReadFor::State, 0).is_err(),
            "{returned}"
        );
    }
    let (read, left_out) = license(&response(200, body), ReadFor::Customer, 7).unwrap();
    assert_eq!(read.license_token_status, LicenseTokenStatus::Unused);
    assert_eq!((read.purchased_at_ms, left_out.len()), (7, 2));
}
