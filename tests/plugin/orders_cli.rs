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

/// A text of a JSON object.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
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

#[test]
fn an_order_that_was_typed_wrong_is_withdrawn_before_it_is_bought() {
    let (mut desk, offer) = selling();
    desk.stop_simulator();
    let order = desk.json(&place(&offer, &["--quantity", "3"]));
    let order = text(&order, "id").to_owned();
    let first = desk.json(&["order", "show", &order])["assets"][0].clone();
    let first = text(&first, "id").to_owned();

    let withdrawn = desk.json(&["order", "withdraw", &order, "--asset", &first]);
    assert_eq!(
        (&withdrawn["withdrawn"], &withdrawn["bought"]),
        (&1.into(), &0.into())
    );
    assert_eq!(desk.json(&["order", "show", &order])["state"], "open");
    let would = desk.json(&["order", "withdraw", &order, "--dry-run"]);
    assert_eq!(
        (&would["dryRun"], would["assetIds"].as_array().map(Vec::len)),
        (&true.into(), Some(2))
    );
    let (shown, code) = desk.on_terminal(&["order", "withdraw", &order], "n");
    assert_eq!(code, Some(REFUSED), "{shown}");
    assert!(shown.contains("withdraw 2 lines of order"), "{shown}");
    assert_eq!(desk.json(&["order", "show", &order])["state"], "open");
    let withdrawn = desk.json(&["order", "withdraw", &order]);
    assert_eq!(withdrawn["withdrawn"], 3, "{withdrawn}");
    assert_eq!(withdrawn["lines"][0]["end"], "withdrawn-before");
    assert_eq!(desk.json(&["order", "show", &order])["state"], "withdrawn");
    let listed = desk.json(&["asset", "list", "--sync-status", "withdrawn"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(3), "{listed}");
    assert_ends(&desk.run(&["run", "--once"]), DONE);
    assert_fails(
        &desk.run(&["asset", "retry", &first]),
        REFUSED,
        &["was withdrawn"],
    );
    assert_fails(
        &desk.run(&["order", "resume", &order]),
        REFUSED,
        &["was withdrawn"],
    );
}

#[test]
fn a_key_that_is_used_again_is_told_what_became_of_its_order_and_promised_nothing_more() {
    let (desk, offer) = selling();
    let again = |key: &str| {
        let placed = desk.run(&place(&offer, &["--idempotency-key", key]));
        assert_ends(&placed, DONE);
        String::from_utf8_lossy(&placed.stderr).into_owned()
    };
    let buys = "buys the licenses in the background";
    assert!(again("bought").contains(buys));
    assert!(again("bought").contains(buys), "it waits still");
    assert_ends(&desk.run(&["run", "--once"]), DONE);
    let told = again("bought");
    assert!(
        told.contains("nothing new is ordered") && !told.contains(buys),
        "{told}"
    );
    again("withdrawn");
    desk.json(&["order", "withdraw", "withdrawn"]);
    let told = again("withdrawn");
    assert!(
        told.contains("another order needs another key") && !told.contains(buys),
        "{told}"
    );
}

#[test]
fn of_an_order_that_is_bought_nothing_is_withdrawn_and_what_helps_is_said() {
    let (desk, offer) = selling();
    let order = desk.json(&place(&offer, &["--wait"]));
    let (order, asset) = (text(&order, "id"), text(&order["assets"][0], "id"));
    let refused = desk.run(&["order", "withdraw", order]);
    assert_fails(
        &refused,
        REFUSED,
        &["is bought", "asset cancel", asset, "nothing"],
    );
    assert_eq!(desk.json(&["asset", "show", asset])["status"], "active");
}

#[test]
fn an_order_beyond_the_limit_of_the_day_is_refused_with_its_code_and_the_instance_shows_what_is_used() {
    let (desk, offer) = selling();
    let limit = [
        "instance",
        "limit",
        "esd",
        "--per-day",
        "300.00",
        "--currency",
        "EUR",
    ];
    assert_eq!(desk.json(&limit)["limit"]["minorUnits"], 30_000);
    desk.json(&place(&offer, &["--quantity", "2", "--idempotency-key", "k"]));
    let refused = desk.run(&[&place(&offer, &[])[..], &["--json"]].concat());
    assert_fails(
        &refused,
        REFUSED,
        &["149.00 EUR", "298.00 EUR of 300.00 EUR", "`esd`"],
    );
    let error: Value = serde_json::from_slice(&refused.stdout).expect("JSON");
    assert_eq!(error["error"]["code"], "spending-limit");
    assert_eq!(desk.json(&["asset", "list"]).as_array().map(Vec::len), Some(2));
    desk.json(&place(&offer, &["--quantity", "2", "--idempotency-key", "k"]));
    let shown = desk.json(&["instance", "show", "esd"]);
    assert_eq!(shown["spendingToday"]["used"]["minorUnits"], 29_800);
    assert_eq!(desk.json(&["alert", "list"])[0]["kind"], "spending-limit");
    for wrong in [
        &["--per-day", "3.001", "--currency", "EUR"][..],
        &["--per-day", "x", "--currency", "EUR"],
        &["--per-day", "3"],
    ] {
        assert_ends(&desk.run(&[&["instance", "limit", "esd"], wrong].concat()), USAGE);
    }
    desk.json(&["instance", "limit", "esd", "--none"]);
    desk.json(&place(&offer, &[]));
}

#[test]
fn a_contact_that_looks_wrong_is_told_and_the_order_is_placed() {
    let (desk, offer) = selling();
    let told = |more: &[&str]| {
        let customer = [
            "--customer",
            "C-1",
            "--customer-name",
            "Beispiel GmbH",
            "--customer-country",
            "DE",
        ];
        let placed = desk.run(&[&["order", "place", "esd", "--offer", &offer][..], &customer, more].concat());
        assert_ends(&placed, DONE);
        String::from_utf8_lossy(&placed.stderr).into_owned()
    };
    let wrong = told(&[
        "--customer-email",
        "it@localhost",
        "--customer-language",
        "klingon",
    ]);
    assert!(
        wrong.contains("`it@localhost` looks wrong") && wrong.contains("`klingon` looks wrong"),
        "{wrong}"
    );
    let right = told(&[
        "--customer-email",
        "it@beispiel.example",
        "--customer-language",
        "de-DE",
    ]);
    assert!(!right.contains("looks wrong"), "{right}");
}

#[test]
fn many_are_counted_first_and_done_only_where_somebody_says_so() {
    let (desk, offer) = selling();
    let order = desk.json(&place(&offer, &["--quantity", "3", "--wait"]));
    let order = text(&order, "id");
    let cancel = ["asset", "cancel", "--order", order];
    let refused = desk.run(&cancel);
    assert_fails(&refused, REFUSED, &["3 licenses", "nobody can be asked", "--yes"]);
    let would = desk.run(&[&cancel[..], &["--dry-run", "--json"]].concat());
    assert_ends(&would, DONE);
    let would = String::from_utf8_lossy(&would.stdout).into_owned();
    assert_eq!(would.lines().count(), 4, "each, and the sum");
    let sum: Value = serde_json::from_str(would.lines().last().expect("a line")).expect("JSON");
    assert_eq!((&sum["dryRun"], &sum["done"]), (&true.into(), &0.into()));
    let nobody = uuid::Uuid::nil().to_string();
    assert_fails(
        &desk.run(&["asset", "cancel", &nobody, "--dry-run"]),
        REFUSED,
        &[&nobody],
    );
    assert_eq!(desk.json(&["asset", "list"])[0]["status"], "active");
    let done = desk.run(&[&cancel[..], &["--yes", "--json"]].concat());
    assert_ends(&done, DONE);
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    let sum: Value = serde_json::from_str(printed.lines().last().expect("a line")).expect("JSON");
    assert_eq!((&sum["chosen"], &sum["done"]), (&3.into(), &3.into()));
    assert_eq!(sum["dryRun"], Value::Null);
    let assets = desk.json(&["asset", "list"]);
    assert!(
        assets
            .as_array()
            .expect("a list")
            .iter()
            .all(|asset| asset["status"] == "cancelled")
    );

    let none = desk.run(&["asset", "retry", "--failed", "--instance", "esd", "--yes"]);
    assert_ends(&none, DONE);
    let resent = desk.run(&["mail", "resend", "--order", order, "--yes"]);
    assert_fails(&resent, REFUSED, &["no e-mail was sent there"]);
}

#[test]
fn orders_are_listed_latest_first_by_what_is_asked() {
    let (desk, offer) = selling();
    let first = desk.json(&place(
        &offer,
        &["--quantity", "2", "--idempotency-key", "BASKET-7"],
    ));
    assert_ends(&desk.run(&["run", "--once"]), DONE);
    let second = desk.json(&place(&offer, &["--idempotency-key", "BASKET-8"]));
    let (first, second) = (text(&first, "id"), text(&second, "id"));
    let listed = |filter: &[&str]| {
        let orders = desk.json(&[&["order", "list"][..], filter].concat());
        let orders = orders.as_array().expect("a list");
        orders
            .iter()
            .map(|order| text(order, "id").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(&[]), [second, first]);
    assert_eq!(listed(&["--limit", "1"]), [second]);
    assert_eq!(listed(&["--state", "open"]), [second]);
    assert_eq!(listed(&["--state", "licensed"]), [first]);
    for none in [
        ["--state", "partly"],
        ["--state", "refused"],
        ["--since", "2999-01-01"],
        ["--until", "1999-12-31"],
        ["--product", "NONE"],
        ["--customer", "nobody"],
    ] {
        assert!(listed(&none).is_empty(), "{none:?}");
    }
    let all = [
        "--since",
        "2000-01-01",
        "--until",
        "2999-12-31",
        "--product",
        &offer,
        "--instance",
        "esd",
    ];
    assert_eq!(listed(&all), [second, first]);
    assert_ends(&desk.run(&["order", "list", "--since", "yesterday"]), USAGE);

    let page = desk.run(&["order", "list", "--limit", "1"]);
    assert_ends(&page, DONE);
    let printed = String::from_utf8_lossy(&page.stdout).into_owned();
    for shown in [&second[..8], "open", "Beispiel GmbH", "esd", "BASKET-8"] {
        assert!(printed.contains(shown), "{shown} in {printed}");
    }
    assert!(!printed.contains(&first[..8]), "{printed}");
    let more = String::from_utf8_lossy(&page.stderr).into_owned();
    let place = more
        .split("`--after ")
        .nth(1)
        .and_then(|rest| rest.split('`').next());
    let place = place.expect("the place of the next page");
    assert_eq!(listed(&["--after", place]), [first]);
    let shown = desk.run(&["order", "show", &first[..8]]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.contains(" at esd, ") && shown.contains("with key BASKET-7"),
        "{shown}"
    );
}

#[tokio::test]
async fn an_order_of_which_some_licenses_were_refused_is_partly_bought() {
    let (desk, offer) = selling();
    let order = desk.json(&place(&offer, &["--quantity", "2", "--wait"]));
    let id = text(&order, "id");
    let refuse = async |asset: &Value| {
        let file = desk.folder.path().join("bss").join(RECORD_FILE);
        let record = format!("sqlite://{}", file.display());
        sqlx::query("UPDATE assets SET sync_status = 'failed' WHERE id = $1")
            .bind(text(asset, "id"))
            .execute(&SqlitePool::connect(&record).await.expect("the record"))
            .await
            .expect("a change");
    };
    refuse(&order["assets"][0]).await;
    assert_eq!(desk.json(&["order", "show", id])["state"], "partly");
    assert_eq!(desk.json(&["order", "list", "--state", "partly"])[0]["id"], id);
    refuse(&order["assets"][1]).await;
    assert_eq!(desk.json(&["order", "show", id])["state"], "refused");
    assert_eq!(desk.json(&["order", "list", "--state", "refused"])[0]["id"], id);
    assert_eq!(
        desk.json(&["order", "list", "--state", "partly"]),
        serde_json::json!([])
    );
}

#[test]
fn products_are_listed_by_what_an_operator_looks_for() {
    let (desk, offer) = selling();
    let listed = |filter: &[&str]| -> Vec<String> {
        let products = desk.json(&[&["services", "products", "esd"][..], filter].concat());
        let products = products.as_array().expect("a list").iter();
        products
            .map(|product| text(product, "productCode").to_owned())
            .collect()
    };
    let all = listed(&[]);
    assert!(all.len() > 1, "{all:?}");
    assert_eq!(listed(&["--on-sale"]), [offer.as_str()]);
    let unpriced = listed(&["--without-price"]);
    assert_eq!(unpriced.len(), all.len() - 1, "{unpriced:?}");
    assert!(!unpriced.contains(&offer));
    assert_eq!(listed(&["--on-sale", "--without-price"]), [""; 0]);
    let products = desk.json(&["services", "products", "esd"]);
    let products = products.as_array().expect("a list");
    let word = "OFFICE";
    let named = listed(&["--name-contains", word]);
    let is_named = |product: &&Value| text(product, "productName").to_uppercase().contains(word);
    assert_eq!(named.len(), products.iter().filter(is_named).count());
    assert!(!named.is_empty() && named.len() < all.len(), "{named:?}");
    assert_eq!(listed(&["--name-contains", "no such product"]), [""; 0]);
    // What is listed is what a decision by the same words is about.
    let decided = desk.json(&["product", "publish", "esd", "--name-contains", word]);
    assert_eq!(decided["changed"], named.len());
}

#[test]
fn an_order_goes_by_its_id_the_beginning_of_that_or_the_shops_key_and_two_that_are_meant_are_named() {
    let (desk, offer) = selling();
    let order = |key: &str| {
        let placed = desk.json(&place(&offer, &["--idempotency-key", key]));
        text(&placed, "id").to_owned()
    };
    let first = order("BASKET-7");
    let shown = |named: &str| {
        let order = desk.json(&["order", "show", named]);
        text(&order, "id").to_owned()
    };
    for named in ["BASKET-7", &first, &first[..8]] {
        assert_eq!(shown(named), first, "{named}");
    }
    let listed = desk.json(&["asset", "list", "--order", "BASKET-7"]);
    assert_eq!(listed[0]["orderId"], first.as_str());
    assert_fails(
        &desk.run(&["order", "show", "basket-8"]),
        REFUSED,
        &["no order has the key `basket-8`"],
    );
    // A key that looks like the first order's id.
    let second = order(&first[..8]);
    assert_fails(
        &desk.run(&["order", "show", &first[..8]]),
        REFUSED,
        &["more than one order", &first, &second],
    );
    let third = order(&first);
    assert_eq!(shown(&first), first, "a whole id is that order's");
    assert_eq!(shown(&third), third);
    assert_ends(&desk.run(&["order", "resume", "BASKET-7"]), DONE);
    assert_eq!(
        desk.json(&["charge", "show", "BASKET-7"])[0]["orderId"],
        first.as_str()
    );
    assert_eq!(
        desk.json(&["mail", "preview", "BASKET-7"])[0]["to"],
        "it@beispiel.example"
    );
    assert_eq!(
        desk.json(&["mail", "list", "--order", "BASKET-7"])[0]["orderId"],
        first.as_str()
    );
}

#[test]
fn a_charge_is_named_by_its_number_or_by_its_order_whose_id_may_begin_with_digits_alone() {
    let (desk, offer) = selling();
    // About one id of seven begins with four digits.
    let orders = (0..100).map(|number| {
        let placed = desk.json(&place(&offer, &["--idempotency-key", &format!("k-{number}")]));
        text(&placed, "id").to_owned()
    });
    let mut orders = orders;
    let order = orders.find(|id| id.bytes().take(4).all(|byte| byte.is_ascii_digit()));
    let order = order.expect("one of a hundred ids begins with four digits");
    drop(orders);
    let show = ["charge", "show", &order[..4]];
    assert_fails(&desk.run(&show), REFUSED, &[&order, "has no charge"]);
    assert_ends(&desk.run(&["order", "resume", &order]), DONE);
    let charge = &desk.json(&show)[0];
    assert_eq!(charge["orderId"], order.as_str());
    let number = text(charge, "number").to_owned();
    assert_eq!(desk.json(&["charge", "show", &number])["number"], number.as_str());
    // A shop whose key is a charge's number.
    let other = desk.json(&place(&offer, &["--idempotency-key", &number]));
    let both = desk.run(&["charge", "show", &number, "--json"]);
    assert_eq!(crate::scenario::result(&both)["orderId"], order.as_str());
    let said = String::from_utf8_lossy(&both.stderr).into_owned();
    assert!(said.contains(text(&other, "id")), "{said}");
    assert_fails(
        &desk.run(&["charge", "show", "ESD-999999"]),
        REFUSED,
        &["no charge `ESD-999999`"],
    );
}

#[test]
fn a_person_is_asked_before_a_license_is_returned_and_a_script_is_not() {
    let (desk, offer) = selling();
    let order = desk.json(&place(&offer, &["--quantity", "3", "--wait"]));
    let asset = |at: usize| text(&order["assets"][at], "id").to_owned();
    let status = |at: usize| desk.json(&["asset", "show", &asset(at)])["status"].clone();
    let (shown, code) = desk.on_terminal(&["asset", "cancel", &asset(0)], "n");
    for told in [
        "return the license of asset",
        &offer,
        "Beispiel GmbH (C-1)",
        "149.00 EUR",
        "[y/N]",
    ] {
        assert!(shown.contains(told), "`{told}` in {shown}");
    }
    assert_eq!((code, status(0)), (Some(REFUSED), "active".into()));
    let (_, code) = desk.on_terminal(&["asset", "cancel", &asset(0)], "y");
    assert_eq!((code, status(0)), (Some(DONE), "cancelled".into()));
    let (shown, code) = desk.on_terminal(&["asset", "cancel", &asset(1), "--yes"], "");
    assert!(!shown.contains("[y/N]"), "{shown}");
    assert_eq!((code, status(1)), (Some(DONE), "cancelled".into()));
    assert_ends(&desk.run(&["asset", "cancel", &asset(2)]), DONE);
    assert_eq!(status(2), "cancelled");
}

/// What a command prints for people.
fn printed(desk: &Desk, command: &[&str]) -> String {
    let ran = desk.run(command);
    assert_ends(&ran, DONE);
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

#[test]
fn what_a_customer_says_on_the_telephone_leads_to_the_license() {
    let (desk, offer) = selling();
    let order = desk.json(&place(
        &offer,
        &["--quantity", "2", "--idempotency-key", "BASKET-7"],
    ));
    assert_ends(&desk.run(&["run", "--once"]), DONE);
    let order = text(&order, "id");
    let assets = desk.json(&["asset", "list", "--state", "licensed"]);
    let asset = &assets[0];
    let customer = asset["customer"].clone();
    let key_end = text(asset, "productKey")
        .rsplit('-')
        .next()
        .expect("the last group")
        .to_owned();
    for (said, kind, found_by) in [
        ("basket-7", "order", "idempotency-key"),
        (&order[..8], "order", "id"),
        ("eispiel", "customer", "customer-name"),
        (&key_end, "asset", "product-key"),
        (text(asset, "transactionId"), "asset", "purchase-id"),
        ("ESD-000001", "charge", "id"),
    ] {
        let finds = desk.json(&["find", said]);
        let found = finds["found"].as_array().expect("a list");
        let is_it = |found: &&Value| (&found["kind"], &found["foundBy"]) == (&kind.into(), &found_by.into());
        let it = found
            .iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("{said}: {finds}"));
        assert_eq!(
            (&it["orderId"], &it["customer"]),
            (&order.into(), &customer),
            "{said}"
        );
        assert!(
            printed(&desk, &["find", said]).contains("Beispiel GmbH"),
            "{said}"
        );
    }
    assert_fails(
        &desk.run(&["find", "nobody at all"]),
        REFUSED,
        &["nothing is on record"],
    );
    let nothing = desk.run(&["find", "nobody at all", "--json"]);
    assert_fails(&nothing, REFUSED, &["nothing is on record"]);
    let lines = String::from_utf8_lossy(&nothing.stdout).into_owned();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines[0]["found"], serde_json::json!([]));
    assert_eq!(lines[1]["error"]["code"], "nothing-found");
    assert_fails(&desk.run(&["find", "ab"]), USAGE, &["too short"]);

    let id = text(&customer, "id");
    let listed = desk.json(&["customer", "list", "--instance", "esd"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    let row = &listed[0];
    assert_eq!(
        (&row["id"], &row["orders"], &row["licenses"]),
        (&id.into(), &1.into(), &2.into())
    );
    let shown = printed(&desk, &["customer", "show", id]);
    for told in [
        &order[..8],
        &text(asset, "id")[..8],
        "charged",
        "1 order:",
        "2 licenses:",
        "2 e-mails:",
    ] {
        assert!(shown.contains(told), "{told} in {shown}");
    }
    assert_fails(
        &desk.run(&["customer", "show", "nobody"]),
        REFUSED,
        &["customer `nobody`"],
    );
}

#[test]
fn licenses_are_listed_latest_first_with_ids_that_other_commands_take() {
    let (desk, offer) = selling();
    let first = desk.json(&place(&offer, &[]));
    assert_ends(&desk.run(&["run", "--once"]), DONE);
    let second = desk.json(&place(&offer, &[]));
    let asset_of = |order: &Value| text(&order["assets"][0], "id").to_owned();
    let (first, second) = (asset_of(&first), asset_of(&second));
    let listed = |filter: &[&str]| -> Vec<String> {
        let assets = desk.json(&[&["asset", "list"][..], filter].concat());
        let assets = assets.as_array().expect("a list").iter();
        assets.map(|asset| text(asset, "id").to_owned()).collect()
    };
    assert_eq!(listed(&[]), [second.as_str(), first.as_str()]);
    assert_eq!(listed(&["--limit", "1"]), [second.as_str()]);
    assert_eq!(listed(&["--state", "licensed"]), [first.as_str()]);
    assert_eq!(
        listed(&["--state", "open", "--product", &offer]),
        [second.as_str()]
    );
    for none in [
        ["--state", "cancelled"],
        ["--state", "refused"],
        ["--product", "NONE"],
        ["--until", "1999-12-31"],
    ] {
        assert!(listed(&none).is_empty(), "{none:?}");
    }
    let table = printed(&desk, &["asset", "list"]);
    for shown in [
        "Beispiel GmbH",
        "esd",
        "licensed",
        "open",
        &offer,
        &first[..8],
        &second[..8],
    ] {
        assert!(table.contains(shown), "{shown} in {table}");
    }
    assert!(!table.contains(&first), "whole ids have no room: {table}");
    let csv = printed(&desk, &["asset", "list", "--csv"]);
    assert!(
        csv.starts_with("id,orderId,orderedAt,state,") && csv.contains(&first),
        "{csv}"
    );

    assert_eq!(desk.json(&["asset", "show", &first[..8]])["id"], first.as_str());
    assert_fails(
        &desk.run(&["asset", "show", "0000"]),
        REFUSED,
        &["begins with `0000`", "asset list"],
    );
    assert_fails(&desk.run(&["asset", "show", "xyz"]), USAGE, &["first 4"]);
}
