//! Orders and licenses as an operator sees them: placed at once, bought by the worker, shown, and tried again.

use bss_record::RECORD_FILE;
use serde_json::Value;
use sqlx::SqlitePool;

use crate::cli::{CUSTOMER, Desk, assert_fails};
use crate::scenario::{DONE, NO_ANSWER, REFUSED, USAGE, assert_ends};

/// A desk that sells its first product, and the product's code.
fn selling() -> (Desk, String) {
    let desk = Desk::open();
    desk.ready();
    desk.json(&["services", "fetch", "esd"]);
    let offer = desk.sells();
    (desk, offer)
}

fn place<'a>(offer: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["order", "place", "esd", "--offer", offer][..], &CUSTOMER, more].concat()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} in {value}"))
}

#[test]
fn an_order_is_placed_at_once_and_bought_by_the_worker() {
    let (desk, offer) = selling();
    let placed = desk.json(&place(&offer, &["--quantity", "3", "--idempotency-key", "k"]));
    assert_eq!(placed["state"], "open");
    let assets = placed["assets"].as_array().expect("a list");
    assert_eq!(assets.len(), 3);
    assert!(assets.iter().all(|asset| asset["syncStatus"] == "unsynchronised"));
    let again = desk.json(&place(&offer, &["--quantity", "3", "--idempotency-key", "k"]));
    assert_eq!(again["id"], placed["id"], "the same order");
    let other = desk.run(&place(&offer, &["--quantity", "2", "--idempotency-key", "k"]));
    assert_fails(&other, REFUSED, &["`k`", text(&placed, "id")]);

    assert_ends(&desk.run(&["run", "--once"]), DONE);
    let order = desk.json(&["order", "show", text(&placed, "id")]);
    assert_eq!(order["state"], "licensed");
    let charges = desk.json(&["charge", "list"]);
    assert_eq!(charges.as_array().map(Vec::len), Some(3), "{charges}");
    let mails = desk.json(&["mail", "list", "--pending"]);
    assert_eq!(mails.as_array().map(Vec::len), Some(3), "{mails}");
}

#[test]
fn an_order_without_a_key_that_was_just_placed_is_told_and_a_person_is_asked() {
    let (desk, offer) = selling();
    let told = |more: &[&str]| {
        let placed = desk.run(&place(&offer, more));
        assert_ends(&placed, DONE);
        String::from_utf8_lossy(&placed.stderr).contains("the same customer and the same products")
    };
    assert!(!told(&[]), "it is the first");
    assert!(!told(&["--quantity", "2"]), "it is for more");
    assert!(!told(&["--idempotency-key", "k"]), "its key tells");
    assert!(told(&[]));
    let orders = || {
        let listed = desk.json(&["asset", "list"]);
        let assets = listed.as_array().expect("a list");
        let orders: std::collections::BTreeSet<_> =
            assets.iter().map(|asset| text(asset, "orderId")).collect();
        orders.len()
    };
    assert_eq!(orders(), 4);
    let (shown, code) = desk.on_terminal(&place(&offer, &[]), "n");
    assert!(shown.contains("Place it once more? [y/N]"), "{shown}");
    assert!(shown.contains("nothing was placed"), "{shown}");
    assert_eq!((code, orders()), (Some(REFUSED), 4));
    let (shown, code) = desk.on_terminal(&place(&offer, &[]), "y");
    assert_eq!((code, orders()), (Some(DONE), 5), "{shown}");
}

#[test]
fn a_check_says_whether_an_order_could_be_placed_and_places_none() {
    let (desk, offer) = selling();
    assert_eq!(desk.json(&place(&offer, &["--check-only"]))["valid"], true);
    let unsold = desk.json(&["services", "products", "esd"])[1]["productCode"]
        .as_str()
        .expect("a code")
        .to_owned();
    let refused = desk.run(&place(&unsold, &["--check-only"]));
    assert_fails(&refused, REFUSED, &["is not active", "product activate"]);
    assert_ends(&desk.run(&place(&offer, &["--check-only", "--wait"])), USAGE);
    assert_eq!(desk.json(&["asset", "list"]).as_array().map(Vec::len), Some(0));
}

#[test]
fn a_license_is_shown_with_its_order_price_and_attempts() {
    let (desk, offer) = selling();
    let order = desk.json(&place(&offer, &["--wait"]));
    let asset = text(&order["assets"][0], "id").to_owned();
    let shown = desk.json(&["asset", "show", &asset]);
    assert_eq!(shown["customer"]["name"], "Beispiel GmbH");
    assert_eq!(shown["price"]["minorUnits"], 14_900);
    assert_eq!(shown["licenseTokenStatus"], "unused");
    assert!(text(&shown, "productKey").starts_with("*****-"));
    let whole = desk.json(&["asset", "show", &asset, "--show-keys"]);
    assert!(!text(&whole, "productKey").contains('*'));
    let history = desk.json(&["asset", "history", &asset]);
    assert_eq!(history[0]["result"], "licensed", "{history}");
    for table in [&["asset", "show", &asset][..], &["asset", "history", &asset]] {
        let output = desk.run(table);
        assert_ends(&output, DONE);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!printed.contains(text(&whole, "productKey")), "{printed}");
    }
    assert_fails(
        &desk.run(&["asset", "retry", &asset]),
        REFUSED,
        &["has its license already"],
    );
    let nobody = uuid::Uuid::nil().to_string();
    assert_fails(
        &desk.run(&["asset", "show", &nobody]),
        REFUSED,
        &["does not exist", "asset list"],
    );
}

#[test]
fn licenses_are_listed_by_what_they_are() {
    let (mut desk, offer) = selling();
    desk.json(&place(&offer, &["--wait"]));
    desk.stop_simulator();
    let waited = desk.run(&place(&offer, &["--wait"]));
    assert_fails(&waited, NO_ANSWER, &["order resume", "bss-host run"]);
    let worked = desk.run(&["run", "--once"]);
    assert_fails(
        &worked,
        NO_ANSWER,
        &["not every license is settled", "asset list"],
    );
    let count = |filter: &[&str]| {
        let listed = desk.json(&[&["asset", "list"][..], filter].concat());
        listed.as_array().map(Vec::len)
    };
    assert_eq!(count(&[]), Some(2));
    assert_eq!(count(&["--sync-status", "synchronized"]), Some(1));
    assert_eq!(count(&["--sync-status", "unsynchronised"]), Some(1));
    assert_eq!(count(&["--sync-status", "failed"]), Some(0));
    assert_eq!(count(&["--overdue"]), Some(0));
    assert_eq!(count(&["--customer", "C-1"]), Some(2));
    assert_eq!(count(&["--customer", "C-2"]), Some(0));
}

#[tokio::test]
async fn an_order_that_is_placed_and_can_not_be_attempted_is_named_so_that_nobody_places_it_again() {
    let (desk, offer) = selling();
    let file = desk.folder.path().join("bss").join(RECORD_FILE);
    let record = SqlitePool::connect(&format!("sqlite://{}", file.display()))
        .await
        .expect("the record");
    let full = "CREATE TRIGGER full BEFORE INSERT ON attempts BEGIN SELECT RAISE(ABORT, 'it is full'); END";
    sqlx::query(full).execute(&record).await.expect("a trigger");

    let waited = desk.run(&place(&offer, &["--wait"]));
    let licenses = desk.json(&["asset", "list"]);
    assert_eq!(licenses.as_array().map(Vec::len), Some(1), "the order was placed");
    let order = text(&licenses[0], "orderId");
    assert_fails(
        &waited,
        NO_ANSWER,
        &[order, "is placed", "it is full", "order resume"],
    );

    sqlx::query("DROP TRIGGER full")
        .execute(&record)
        .await
        .expect("no trigger");
    assert_eq!(desk.json(&["order", "resume", order])["state"], "licensed");
}
