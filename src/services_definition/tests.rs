//! Readings of the catalog, over a scripted platform.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::scripted_platform::{ScriptedPlatform, Sent, answer, answer_with, error, instance};
use bss_plugin::http::SendFailure;

fn item(number: u32) -> Value {
    json!({
        "offerId": format!("ABC-{number}"), "offerUri": format!("https://offers.example/{number}"),
        "name": format!("Office {number}"), "shortDescription": "For one\ndevice",
        "minQuantity": 1, "maxQuantity": 5, "isReturnable": true, "status": "Active",
    })
}

fn page(items: &[Value], continuation: Option<&str>) -> Sent {
    let body = json!({"items": items, "continuation": continuation, "etag": "\"1\""});
    crate::scripted_platform::json(200, &body)
}

fn fetch(platform: &ScriptedPlatform, entity_tag: &str) -> Result<Outcome, ReadFailure> {
    fetch_services(platform, &instance(), entity_tag)
}

fn summary(platform: &ScriptedPlatform) -> Summary {
    match fetch(platform, "") {
        Ok(Outcome::Complete(summary)) => summary,
        other => panic!("complete expected, {other:?} found"),
    }
}

fn codes(platform: &ScriptedPlatform) -> Vec<String> {
    let products = platform.products.borrow();
    products
        .iter()
        .flatten()
        .map(|product| product.code.clone())
        .collect()
}

#[test]
fn an_offer_becomes_a_product() {
    let platform = ScriptedPlatform::granting([page(&[item(1)], None)]);
    let summary = summary(&platform);
    assert_eq!((summary.products, summary.skipped.len()), (1, 0));
    assert_eq!(summary.entity_tag, "\"1\"");
    assert_eq!(summary.product_types[0].name, "Microsoft ESD");
    let product = platform.products.borrow()[0][0].clone();
    assert_eq!(
        product,
        Product {
            code: "ABC-1".to_owned(),
            product_type: "microsoft-esd".into(),
            name: "Office 1".to_owned(),
            description: "For one device\nOffer URI: https://offers.example/1\nQuantity: 1 to 5".to_owned(),
            attribute_values: vec![AttributeValue {
                attribute: "offer".into(),
                key: "https://offers.example/1".to_owned(),
                label: "Office 1".to_owned(),
            }],
            min_quantity: 1,
            max_quantity: Some(5),
            returnable: true,
        }
    );
    assert_eq!(
        platform.urls()[1],
        "https://esd.example.com:8443/cis/catalog/offers?country=GR&language=el-GR&channelId=1234567890&pageSize=500"
    );
}

#[test]
fn pages_are_read_to_the_last_and_handed_over_one_by_one() {
    let platform = ScriptedPlatform::granting([
        page(&[item(1), item(2)], Some("next&page")),
        page(&[item(3)], Some("last")),
        page(&[], None),
    ]);
    assert_eq!(summary(&platform).products, 3);
    assert_eq!(platform.products.borrow().len(), 3);
    assert_eq!(*platform.progress.borrow(), [2, 3, 3]);
    assert!(platform.urls()[2].ends_with("&continuation=next%26page"));
}

#[test]
fn a_catalog_that_has_not_changed_is_not_read() {
    let platform = ScriptedPlatform::granting([answer(304, "")]);
    assert_eq!(fetch(&platform, "\"1\""), Ok(Outcome::Unchanged));
    assert_eq!(platform.request(1).header("if-none-match"), Some("\"1\""));

    let platform = ScriptedPlatform::granting([answer(304, "")]);
    assert!(matches!(fetch(&platform, ""), Err(ReadFailure::Malformed(_))));
}

#[test]
fn only_the_first_page_is_asked_for_with_the_entity_tag() {
    let platform = ScriptedPlatform::granting([page(&[item(1)], Some("2")), page(&[], None)]);
    fetch(&platform, "\"0\"").unwrap();
    assert_eq!(platform.request(2).header("if-none-match"), None);
}

#[test]
fn the_entity_tag_of_the_header_counts_more_than_the_one_of_the_body() {
    let body = json!({"items": [], "etag": "\"body\""}).to_string();
    let platform = ScriptedPlatform::granting([answer_with(200, ("etag", "\"header\""), &body)]);
    assert_eq!(summary(&platform).entity_tag, "\"header\"");
}

#[test]
fn a_bad_item_is_left_out_with_its_reason_and_the_others_stay() {
    let with = |field: &str, value: Value| {
        let mut item = item(2);
        item[field] = value;
        item
    };
    let without = |field: &str| {
        let mut item = item(2);
        item.as_object_mut().unwrap().remove(field);
        item
    };
    let bad = [
        without("offerId"),
        without("offerUri"),
        without("name"),
        with("offerId", json!(5)),
        with("offerId", json!(" ")),
        with("name", json!("x".repeat(251))),
        with("name", json!("a\u{0007}b")),
        with("name", json!("a\u{202E}b")),
        with("name", json!("<script>alert(1)</script>")),
        with("shortDescription", json!("<img src=x>")),
        with("shortDescription", json!("x".repeat(4_001))),
        with("offerId", json!("ABC-1")),
        with("offerUri", json!("https://offers.example/1")),
        with("minQuantity", json!(0)),
        with("minQuantity", json!(6)),
        with("minQuantity", json!(-1)),
        with("maxQuantity", json!("five")),
        with("status", json!("Perhaps")),
        json!(null),
        json!([]),
    ];
    for bad in bad {
        let items = [item(1), bad.clone(), item(3)];
        let platform = ScriptedPlatform::granting([page(&items, None)]);
        let summary = summary(&platform);
        assert_eq!((summary.products, summary.skipped.len()), (2, 1), "{bad}");
        assert_eq!(
            summary.entity_tag, "",
            "{bad}: the next reading must not be of what changed since"
        );
        assert_eq!(codes(&platform), ["ABC-1", "ABC-3"], "{bad}");
        let log = platform.log.borrow();
        assert_eq!(log.len(), 1, "{bad}");
        assert!(log[0].2.starts_with("the offer was left out: "), "{bad}");
    }
}

#[test]
fn what_is_left_out_is_named_by_its_code_as_it_is() {
    for code in ["x".repeat(150), "ABC-2 ".to_owned(), "ÄBC-2".to_owned()] {
        for (field, value) in [("name", json!("<b>2</b>")), ("offerUri", json!(5))] {
            let mut bad = item(2);
            bad["offerId"] = json!(code);
            bad[field] = value;
            let platform = ScriptedPlatform::granting([page(&[item(1), bad], None)]);
            assert_eq!(summary(&platform).skipped.len(), 1);
            assert_eq!(platform.log.borrow()[0].1, code);
        }
    }
}

#[test]
fn an_offer_that_comes_again_on_another_page_is_left_out() {
    let platform = ScriptedPlatform::granting([page(&[item(1)], Some("2")), page(&[item(1)], None)]);
    let summary = summary(&platform);
    assert_eq!((summary.products, summary.skipped.len()), (1, 1));
}

#[test]
fn what_is_discontinued_is_not_sold_and_not_counted_as_bad() {
    let mut gone = item(2);
    gone["status"] = json!("Discontinued");
    let mut plain = item(3);
    plain.as_object_mut().unwrap().remove("status");
    let platform = ScriptedPlatform::granting([page(&[item(1), gone, plain], None)]);
    let summary = summary(&platform);
    assert_eq!((summary.products, summary.skipped.len()), (2, 0));
    assert_eq!(codes(&platform), ["ABC-1", "ABC-3"]);
}

#[test]
fn what_is_left_unsaid_has_a_default() {
    let sparse = json!({"offerId": "A", "offerUri": "u", "name": " n ", "maxQuantity": null});
    let platform = ScriptedPlatform::granting([page(&[sparse], None)]);
    summary(&platform);
    let product = platform.products.borrow()[0][0].clone();
    assert_eq!((product.min_quantity, product.max_quantity), (1, None));
    assert_eq!(product.name, "n");
    assert!(product.returnable);
    assert_eq!(product.description, "Offer URI: u\nQuantity: 1 or more");
}

#[test]
fn a_page_that_is_none_ends_the_reading_as_malformed() {
    for body in [
        "",
        "<html>",
        "[]",
        "{}",
        r#"{"items":{}}"#,
        r#"{"items":[],"continuation":5}"#,
        r#"{"items":["#,
    ] {
        let platform = ScriptedPlatform::granting([page(&[item(1)], Some("2")), answer(200, body)]);
        let result = fetch(&platform, "");
        assert!(
            matches!(result, Err(ReadFailure::Malformed(_))),
            "{body}: {result:?}"
        );
    }
}

#[test]
fn a_catalog_without_end_is_malformed() {
    let again = || page(&[], Some("again"));
    let platform = ScriptedPlatform::granting([again(), again()]);
    let Err(ReadFailure::Malformed(problem)) = fetch(&platform, "") else {
        panic!("malformed");
    };
    assert_eq!(problem.code, "catalog-endless");

    let pages = (0..=catalog::PAGES_MAX).map(|number| page(&[], Some(&number.to_string())));
    let platform = ScriptedPlatform::granting(pages);
    assert!(matches!(fetch(&platform, ""), Err(ReadFailure::Malformed(_))));
}

#[test]
fn a_pause_that_is_asked_for_is_passed_on_whether_or_not_the_error_has_a_known_code() {
    for body in ["busy", r#"{"error":{"code":"Unavailable","message":"busy"}}"#] {
        let busy = answer_with(503, ("retry-after", "30"), body);
        let platform = ScriptedPlatform::granting([busy]);
        let Err(ReadFailure::Unavailable(delay)) = fetch(&platform, "") else {
            panic!("unavailable: {body}");
        };
        assert_eq!(delay.retry_after_ms, Some(30_000), "{body}");
    }
}

#[test]
fn a_name_in_a_script_that_needs_invisible_characters_is_not_left_out() {
    let mut persian = item(1);
    persian["name"] = json!("نرم\u{200C}افزار");
    let platform = ScriptedPlatform::granting([page(&[persian], None)]);
    assert_eq!(
        (summary(&platform).products, codes(&platform)),
        (1, vec!["ABC-1".to_owned()])
    );
}

#[test]
fn a_page_that_does_not_come_ends_the_reading() {
    for (sent, is_expected) in [
        (
            error(503, "Unavailable"),
            (|failure| matches!(failure, ReadFailure::Unavailable(_))) as fn(&ReadFailure) -> bool,
        ),
        (answer(502, ""), |failure| {
            matches!(failure, ReadFailure::Unavailable(_))
        }),
        (error(410, "ContinuationExpired"), |failure| {
            matches!(failure, ReadFailure::Unavailable(_))
        }),
        (Err(SendFailure::BrokenOff(String::new())), |failure| {
            matches!(failure, ReadFailure::Unavailable(_))
        }),
        (Err(SendFailure::ResponseTooLarge), |failure| {
            matches!(failure, ReadFailure::Malformed(_))
        }),
        (error(403, "CountryNotAllowed"), |failure| {
            matches!(failure, ReadFailure::Refused(_))
        }),
    ] {
        let platform = ScriptedPlatform::granting([page(&[item(1)], Some("2")), sent]);
        let failure = fetch(&platform, "").unwrap_err();
        assert!(is_expected(&failure), "{failure:?}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        let key = prop_oneof![
            Just("offerId".to_owned()),
            Just("offerUri".to_owned()),
            Just("name".to_owned()),
            Just("minQuantity".to_owned()),
            any::<String>(),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(key, inner, 0..6)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_the_items_are_each_is_handed_over_or_counted(items in prop::collection::vec(any_json(), 0..8)) {
        let platform = ScriptedPlatform::granting([page(&items, None)]);
        let summary = summary(&platform);
        prop_assert_eq!(summary.products as usize, codes(&platform).len());
        prop_assert_eq!(summary.products as usize + summary.skipped.len(), items.len());
    }

    #[test]
    fn no_body_breaks_the_reading(body in any::<Vec<u8>>()) {
        let sent = answer(200, "").map(|mut response| {
            *response.body = body;
            response
        });
        let platform = ScriptedPlatform::granting([sent]);
        let _ = fetch(&platform, "");
    }
}
