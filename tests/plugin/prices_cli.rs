//! `bss-host product price`: a price that may be a mistake is asked about, a list is taken as a whole, and who changed what is
//! on record.

use serde_json::{Value, json};

use crate::cli::{Desk, assert_fails, told_error};
use crate::scenario::{DONE, REFUSED, USAGE, assert_ends, me, result};

/// A desk whose catalog is read, and the codes of its first products.
fn with_products() -> (Desk, Vec<String>) {
    let desk = Desk::open();
    desk.ready();
    desk.json(&["services", "fetch", "esd"]);
    let products = desk.json(&["services", "products", "esd"]);
    let products = products.as_array().expect("a list").iter();
    let codes = products.map(|product| product["productCode"].as_str().expect("a code").to_owned());
    let codes = codes.take(3).collect();
    (desk, codes)
}

/// The prices of a product, in minor units of each currency.
fn prices(desk: &Desk, code: &str) -> Vec<(String, i64)> {
    let products = desk.json(&["services", "products", "esd"]);
    let mut products = products.as_array().expect("a list").iter();
    let product = products.find(|product| product["productCode"] == code);
    let prices = product.expect("the product")["prices"]
        .as_array()
        .expect("a list")
        .clone();
    let price = |price: &Value| {
        let currency = price["currency"].as_str().expect("a currency").to_owned();
        (currency, price["minorUnits"].as_i64().expect("an amount"))
    };
    prices.iter().map(price).collect()
}

fn euros(minor_units: i64) -> Vec<(String, i64)> {
    vec![("EUR".to_owned(), minor_units)]
}

#[test]
fn a_price_that_may_be_a_mistake_is_set_only_where_somebody_says_so() {
    let (desk, codes) = with_products();
    let code = codes[0].as_str();
    let price = |price: &[&str]| desk.run(&[&["product", "price", "esd", code], price].concat());
    let first = price(&["--amount", "249.00", "--json"]);
    let expected = json!({
        "changed": 1,
        "prices": [{ "productCode": code, "before": null, "price": { "currency": "EUR", "minorUnits": 24_900 } }],
    });
    assert_eq!(result(&first), expected);
    for (doubtful, said) in [
        (&["--minor-units", "249"][..], "2.49 EUR"),
        (&["--amount", "2490"], "the last price was 249.00 EUR"),
        (&["--minor-units", "0"], "it would be free"),
        (
            &["--amount", "249", "--currency", "USD"],
            "the instance sells in EUR",
        ),
    ] {
        assert_fails(
            &price(doubtful),
            REFUSED,
            &[said, "nobody can be asked", "`--yes`"],
        );
        let asked = price(&[doubtful, &["--json"]].concat());
        assert_eq!(told_error(&asked)["code"], "not-confirmed");
    }
    assert_eq!(prices(&desk, code), euros(24_900));
    // What is near the last one is not asked about.
    assert_ends(&price(&["--amount", "199"]), DONE);
    assert_ends(&price(&["--minor-units", "249", "--yes"]), DONE);
    assert_eq!(prices(&desk, code), euros(249));

    let command = ["product", "price", "esd", code, "--amount", "249"];
    let (asked, status) = desk.on_terminal(&command, "n");
    assert!(asked.contains("Do it? [y/N]"), "{asked}");
    assert_eq!((status, prices(&desk, code)), (Some(REFUSED), euros(249)));
    let (_, status) = desk.on_terminal(&command, "y");
    assert_eq!((status, prices(&desk, code)), (Some(DONE), euros(24_900)));
    assert_ends(&price(&["--amount", "249,00"]), USAGE);
    assert_ends(&price(&["--amount", "249", "--remove"]), USAGE);
}

#[test]
fn a_price_is_removed_and_who_changed_it_is_shown() {
    let (desk, codes) = with_products();
    let code = codes[0].as_str();
    let price = |price: &[&str]| desk.json(&[&["product", "price", "esd", code], price].concat());
    price(&["--amount", "249"]);
    price(&["--amount", "199"]);
    price(&["--amount", "199"]);
    price(&["--remove"]);
    assert_eq!(prices(&desk, code), []);
    let again = ["product", "price", "esd", code, "--remove", "--json"];
    let again = desk.run(&again);
    assert_ends(&again, REFUSED);
    assert_eq!(told_error(&again)["code"], "no-price");
    let history = price(&[]);
    let changes: Vec<_> = history.as_array().expect("a list").iter().collect();
    let amounts: Vec<_> = changes
        .iter()
        .map(|change| (&change["before"]["minorUnits"], &change["price"]["minorUnits"]))
        .collect();
    assert_eq!(
        amounts,
        [
            (&Value::Null, &json!(24_900)),
            (&json!(24_900), &json!(19_900)),
            (&json!(19_900), &Value::Null)
        ]
    );
    assert!(
        changes.iter().all(|change| change["changedBy"] == me().as_str()),
        "{history}"
    );
    let shown = desk.run(&["product", "price", "esd", code]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains(&format!("{code}: no price")), "{shown}");
    assert!(shown.contains("199.00 EUR"), "{shown}");
    assert_fails(
        &desk.run(&["product", "price", "esd", "NOTHING"]),
        REFUSED,
        &["`NOTHING`"],
    );
}

#[test]
fn a_dry_run_refuses_what_the_real_one_would_and_changes_nothing() {
    let (desk, codes) = with_products();
    let code = codes[0].as_str();
    let dry = |arguments: &[&str]| {
        desk.run(&[&["product", "price", "esd"], arguments, &["--dry-run", "--json"]].concat())
    };
    for (arguments, refusal) in [
        (&["NOTHING", "--amount", "1.00"][..], "no-product"),
        (&[code, "--minor-units", "-1"], "negative-price"),
        (
            &[code, "--minor-units", "1", "--currency", "XXQ"],
            "invalid-currency",
        ),
        (&[code, "--remove"], "no-price"),
    ] {
        let refused = dry(arguments);
        assert_ends(&refused, REFUSED);
        assert_eq!(told_error(&refused)["code"], refusal, "{arguments:?}");
    }
    let would = result(&dry(&[code, "--amount", "249"]));
    assert_eq!((&would["dryRun"], &would["changed"]), (&json!(true), &json!(1)));
    assert_eq!(prices(&desk, code), []);
    desk.json(&["product", "price", "esd", code, "--amount", "249"]);
    let would = result(&dry(&[code, "--remove"]));
    assert_eq!(would["prices"][0]["before"]["minorUnits"], 24_900);
    assert_eq!(prices(&desk, code), euros(24_900));
}

#[test]
fn a_first_price_whose_unit_may_be_mistaken_is_shown_to_a_person_first() {
    let (desk, codes) = with_products();
    let price = |at: usize, price: &[&'static str], typed: &str| {
        let command = [&["product", "price", "esd", codes[at].as_str()], price].concat();
        desk.on_terminal(&command, typed)
    };
    let (asked, status) = price(0, &["--minor-units", "149"], "n");
    assert!(asked.contains("a first price of 1.49 EUR"), "{asked}");
    assert_eq!((status, prices(&desk, &codes[0])), (Some(REFUSED), vec![]));
    let (asked, status) = price(0, &["--amount", "14900"], "y");
    assert!(asked.contains("a first price of 14900.00 EUR"), "{asked}");
    assert_eq!((status, prices(&desk, &codes[0])), (Some(DONE), euros(1_490_000)));
    for (at, amount) in [
        (1, &["--amount", "149.00"][..]),
        (2, &["--minor-units", "14900", "--yes"]),
    ] {
        let (asked, status) = price(at, amount, "");
        assert!(!asked.contains("[y/N]"), "{asked}");
        assert_eq!((status, prices(&desk, &codes[at])), (Some(DONE), euros(14_900)));
    }
    // The second one is compared with the first.
    let (asked, status) = price(1, &["--amount", "159"], "");
    assert!(!asked.contains("[y/N]"), "{asked}");
    assert_eq!(status, Some(DONE));
}

#[test]
fn a_price_list_is_taken_as_a_whole_or_not_at_all() {
    let (desk, codes) = with_products();
    let [a, b, c] = [0, 1, 2].map(|at: usize| codes[at].as_str());
    let file = desk.folder.path().join("prices.csv");
    let name = file.display().to_string();
    let write = |text: &str| std::fs::write(&file, text).expect("it is written");
    let list = |more: &[&str]| desk.run(&[&["product", "price", "esd", "--file", &name], more].concat());

    write(&format!(
        "code,price\n{a},249.00\n{b},twelve\nNOTHING,1.00\n{a},2.00\n"
    ));
    assert_fails(
        &list(&[]),
        REFUSED,
        &[
            "3 lines have a mistake",
            "line 3: `twelve` is no amount in EUR",
            "line 4: the instance has no product `NOTHING`",
            &format!("line 5: `{a}` is on line 2 already"),
        ],
    );
    let told = told_error(&list(&["--json"]));
    assert_eq!(
        (&told["code"], &told["problems"][1]["line"]),
        (&json!("price-list-refused"), &json!(4))
    );
    assert_eq!(prices(&desk, a), [], "the line without a mistake neither");

    write(&format!("code,price\n{a},249.00\n{b},99.90\n{c},0\n"));
    let dry = list(&["--dry-run"]);
    assert_ends(&dry, DONE);
    let said = String::from_utf8_lossy(&dry.stderr).into_owned();
    assert!(
        said.contains(&format!("`--yes`, to set 0.00 EUR for `{c}` (it would be free)")),
        "{said}"
    );
    let dry = result(&list(&["--dry-run", "--json"]));
    assert_eq!((&dry["dryRun"], &dry["changed"]), (&json!(true), &json!(3)));
    assert_eq!(dry["doubts"], json!([{ "productCode": c, "doubts": ["zero"] }]));
    assert_fails(
        &list(&[]),
        REFUSED,
        &[&format!("0.00 EUR for `{c}` (it would be free)")],
    );
    assert_eq!(prices(&desk, a), []);
    let set = result(&list(&["--yes", "--json"]));
    assert_eq!((&set["changed"], prices(&desk, b)), (&json!(3), euros(9_990)));
    assert_eq!(set["dryRun"], Value::Null);
    let again = result(&list(&["--json"]));
    assert_eq!(again["changed"], 0, "what is so already is not asked about");
}
