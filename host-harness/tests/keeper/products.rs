//! The operator's decisions about products: all that were chosen or none, and never a discontinued one for sale.

use bss_model::{Choice, Decided, Decision, Page, Price, ProductFilter};
use bss_record::{ProductError, Record};
use uuid::Uuid;

use crate::record::{TestRecord, actor, ready_instance};
use crate::services::{definition, product};

/// An instance with two products that are sold and one that is discontinued.
async fn selling(record: &Record) -> Uuid {
    let id = ready_instance(record, "esd", None).await.id;
    let all = vec![
        product("a", "Büro"),
        product("b", "ΓΡΑΦΕΊΟ"),
        product("c", "Visio"),
    ];
    let sold = all[..2].to_vec();
    for products in [all, sold] {
        record
            .apply_services_definition(id, definition(products))
            .await
            .unwrap();
    }
    id
}

fn codes(codes: &[&str]) -> Choice {
    Choice::Codes(codes.iter().map(|code| (*code).to_owned()).collect())
}

async fn active(record: &Record, id: Uuid) -> Vec<String> {
    let filter = ProductFilter {
        active: Some(true),
        ..ProductFilter::default()
    };
    let products = record.products(id, &filter, &Page::all()).await.unwrap().rows;
    products.into_iter().map(|product| product.offered.code).collect()
}

#[tokio::test]
async fn a_discontinued_product_can_not_be_activated_or_published_but_the_opposite() {
    let record = TestRecord::open().await;
    let id = selling(&record).await;
    for decision in [Decision::Activate, Decision::Publish] {
        let error = record
            .decide_products(id, decision, &codes(&["a", "c"]), &actor())
            .await
            .unwrap_err();
        assert!(
            matches!(&error, ProductError::Discontinued { codes, .. } if codes == &["c"]),
            "{error:?}"
        );
    }
    assert!(
        active(&record, id).await.is_empty(),
        "nothing was changed for `a` either"
    );
    for decision in [Decision::Deactivate, Decision::Unpublish] {
        let decided = record
            .decide_products(id, decision, &codes(&["c"]), &actor())
            .await
            .unwrap();
        assert_eq!((decided.changed, decided.already), (0, 1));
    }
}

#[tokio::test]
async fn an_unknown_code_is_named_and_nothing_is_changed() {
    let record = TestRecord::open().await;
    let id = selling(&record).await;
    let error = record
        .decide_products(id, Decision::Activate, &codes(&["a", "nothing"]), &actor())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("`nothing`"), "{error}");
    assert!(active(&record, id).await.is_empty());
}

#[tokio::test]
async fn a_filter_leaves_out_what_does_not_fit_and_says_how_many() {
    let record = TestRecord::open().await;
    let id = selling(&record).await;
    let decided = record
        .decide_products(id, Decision::Activate, &codes(&["a", "a"]), &actor())
        .await
        .unwrap();
    assert_eq!(decided.changed, 1);
    let decided = record
        .decide_products(id, Decision::Activate, &Choice::All, &actor())
        .await
        .unwrap();
    assert_eq!(
        decided,
        Decided {
            changed: 1,
            already: 1,
            discontinued: 1
        }
    );
    assert_eq!(active(&record, id).await, ["a", "b"]);
    let greek = Choice::NameContains("γραφεί".to_owned());
    let decided = record
        .decide_products(id, Decision::Deactivate, &greek, &actor())
        .await
        .unwrap();
    assert_eq!(decided.changed, 1);
    assert_eq!(active(&record, id).await, ["a"]);
}

#[tokio::test]
async fn the_new_ones_of_a_run_are_those_of_an_instance_s_own_run() {
    let record = TestRecord::open().await;
    let id = selling(&record).await;
    let lease = bss_model::RunLease {
        owner: Uuid::new_v4(),
        length: std::time::Duration::from_secs(60),
    };
    let run = record
        .start_services_run(id, Some(lease), &actor())
        .await
        .unwrap();
    let catalog = vec![product("a", "Büro"), product("d", "Project")];
    record
        .complete_services_run(run, lease, 1, definition(catalog), 0)
        .await
        .unwrap();
    record
        .decide_products(id, Decision::Activate, &Choice::NewIn(run), &actor())
        .await
        .unwrap();
    assert_eq!(active(&record, id).await, ["d"]);
    let other = ready_instance(&record, "other", None).await.id;
    let error = record
        .decide_products(other, Decision::Activate, &Choice::NewIn(run), &actor())
        .await
        .unwrap_err();
    assert!(matches!(error, ProductError::NoRun { .. }), "{error:?}");
}

#[tokio::test]
async fn a_price_is_kept_per_currency_and_outlives_a_new_catalog() {
    let record = TestRecord::open().await;
    let id = selling(&record).await;
    let price = |currency: &str, minor_units| Price {
        currency: currency.to_owned(),
        minor_units,
    };
    let both = ["a".to_owned(), "b".to_owned()];
    record
        .set_prices(id, &both, &price("EUR", 1), &actor())
        .await
        .unwrap();
    record
        .set_prices(id, &both[..1], &price("EUR", 14_900), &actor())
        .await
        .unwrap();
    record
        .set_prices(id, &both[..1], &price("USD", 0), &actor())
        .await
        .unwrap();
    record
        .apply_services_definition(id, definition(vec![product("a", "Office")]))
        .await
        .unwrap();
    let prices = record.prices(id).await.unwrap();
    assert_eq!(prices["a"], [price("EUR", 14_900), price("USD", 0)]);
    assert_eq!(prices["b"], [price("EUR", 1)]);
    for (code, wrong) in [
        ("a", price("eur", 1)),
        ("a", price("EURO", 1)),
        ("a", price("EUR", -1)),
        ("nothing", price("EUR", 1)),
    ] {
        assert!(
            record
                .set_prices(id, &[code.to_owned()], &wrong, &actor())
                .await
                .is_err(),
            "{code} {wrong:?}"
        );
    }
    assert_eq!(record.prices(id).await.unwrap(), prices);
}

#[test]
fn a_price_is_shown_with_its_currency_s_decimals() {
    for (currency, minor_units, shown) in [
        ("EUR", 14_900, "149.00 EUR"),
        ("EUR", 5, "0.05 EUR"),
        ("EUR", 0, "0.00 EUR"),
        ("JPY", 1_500, "1500 JPY"),
        ("KWD", 1_500, "1.500 KWD"),
        ("EUR", i64::MAX, "92233720368547758.07 EUR"),
    ] {
        let price = Price {
            currency: currency.to_owned(),
            minor_units,
        };
        assert_eq!(price.to_string(), shown);
    }
}
