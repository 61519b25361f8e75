//! Checks the OpenAPI file itself, and that a check by it can fail.

use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use crate::openapi::OpenApi;

fn example(openapi: &OpenApi, name: &str) -> Value {
    openapi
        .document()
        .pointer(&format!("/components/examples/{name}/value"))
        .unwrap()
        .clone()
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    headers.insert("cache-control", "no-store".parse().unwrap());
    headers.insert(
        "ms-correlationid",
        "5b0de6a8-0a4c-4b4b-9c7f-3a5a1f6f0c11".parse().unwrap(),
    );
    headers
}

#[test]
fn the_file_says_that_it_is_a_proposal() {
    let openapi = OpenApi::cis();
    let description = openapi.document()["info"]["description"].as_str().unwrap();
    assert!(description.contains("this project's proposal"), "{description}");
    assert_eq!(openapi.document()["openapi"], "3.1.0");
}

#[test]
fn every_example_is_as_its_schema_says() {
    let openapi = OpenApi::cis();
    for name in ["OfferPage", "Purchase", "License", "Return", "Returned"] {
        let checked = openapi.check(&format!("/components/schemas/{name}"), &example(&openapi, name));
        assert_eq!(checked, Ok(()), "{name}");
    }
    let purchase = example(&openapi, "Purchase");
    assert_eq!(
        openapi.check_request(&Method::POST, "/cis/tokens", &purchase),
        Ok(())
    );
}

#[test]
fn a_right_answer_passes_and_each_wrong_one_does_not() {
    let openapi = OpenApi::cis();
    let good = example(&openapi, "License");
    let check = |status: StatusCode, headers: &HeaderMap, body: &Value| {
        let body = serde_json::to_vec(body).unwrap();
        openapi.check_response(&Method::POST, "/cis/tokens", status, headers, &body)
    };
    assert_eq!(check(StatusCode::CREATED, &headers(), &good), Ok(()));

    let wrong = [
        ("productKey", json!("BCDFG-HJKMP")),
        ("tokenStatus", json!("Return_Accepted")),
        ("returnStatus", Value::Null),
        ("purchasedAt", json!("yesterday")),
        ("tokenId", json!("7")),
        ("redemptionUrl", json!("http://setup.office.com/")),
        ("surprise", json!(1)),
    ];
    for (member, value) in wrong {
        let mut body = good.clone();
        body[member] = value;
        let problem = check(StatusCode::CREATED, &headers(), &body).expect_err(member);
        assert!(problem.contains(member), "{problem}");
    }
    let mut body = good.clone();
    body.as_object_mut().unwrap().remove("productKey");
    assert!(check(StatusCode::CREATED, &headers(), &body).is_err());
    assert!(
        check(StatusCode::ACCEPTED, &headers(), &good).is_err(),
        "a status that is not described"
    );
    let mut without = headers();
    without.remove("ms-correlationid");
    assert!(
        check(StatusCode::CREATED, &without, &good).is_err(),
        "a header is missing"
    );
    let refusal = json!({ "error": {
        "code": "OfferNotFound", "message": "m", "details": [], "correlationId": "5b0de6a8-0a4c-4b4b-9c7f-3a5a1f6f0c11",
    } });
    assert_eq!(check(StatusCode::NOT_FOUND, &headers(), &refusal), Ok(()));
    assert!(
        check(StatusCode::CONFLICT, &headers(), &refusal).is_err(),
        "a code of another status"
    );
}
