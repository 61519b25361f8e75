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
    let reason = license(&response(200, body)).unwrap_err();
    assert!(!reason.contains("SECRET"), "{reason}");
}

proptest! {
    #[test]
    fn no_body_breaks_a_reader(body in any::<Vec<u8>>(), status in 100_u16..600) {
        let response = response(status, &body);
        let _ = license(&response);
        let _ = error(&response);
        let _ = offers_page(&response);
        let _ = correlation_id(&response);
    }
}
