//! Quantities: what is split becomes a license for each unit, what is not split becomes one for all of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use bss_keys::{HostKey, HostKeySource};
use bss_model::{
    AssetFilter, AssetSelection, ChargeFilter, Diagnose, ErrorKind, NewLine, NewOrder, NewProduct, Order,
    Page, Price, ProductType, ReturnOutcome, ServicesDefinition,
};
use bss_record::{PlaceError, Record};
use uuid::Uuid;

use crate::cancellations::{attempted, returning};

use crate::charges::{buy, charges_of, euros};
use crate::orders::{order, sell, shop};
use crate::record::{TestRecord, actor};
use crate::services::{definition, product};

/// The products of a shop: `a`, `b` and `many` are split; `seats`, 2 to 25 at once, and `credits` are not. Neither `many`
/// nor `credits` has a largest quantity. `splits_all`: the type of those that are not split has come to split them, too.
fn catalog(splits_all: bool) -> ServicesDefinition {
    let whole = |code: &str, min_quantity, max_quantity| NewProduct {
        product_type: "whole".to_owned(),
        min_quantity,
        max_quantity,
        ..product(code, "Seats")
    };
    let many = NewProduct {
        max_quantity: None,
        ..product("many", "Keys")
    };
    let mut all = definition(vec![
        product("a", "Office"),
        product("b", "Visio"),
        many,
        whole("seats", 2, Some(25)),
        whole("credits", 1, None),
    ]);
    all.product_types.push(ProductType {
        id: "whole".to_owned(),
        split_quantity: splits_all,
        ..all.product_types[0].clone()
    });
    all
}

/// Has a shop sell what is not split, too.
pub(crate) async fn sell_whole(record: &Record, instance: Uuid) {
    fetch(record, instance, false).await;
    sell(record, instance, &["many", "seats", "credits"]).await;
}

async fn fetch(record: &Record, instance: Uuid, splits_all: bool) {
    record
        .apply_services_definition(instance, catalog(splits_all))
        .await
        .unwrap();
}

async fn whole_shop(record: &Record) -> Uuid {
    let instance = shop(record).await;
    sell_whole(record, instance).await;
    instance
}

async fn placed(record: &Record, new: NewOrder) -> Order {
    record.place_order(new, &actor()).await.unwrap().into_order()
}

fn keyed(instance: Uuid, lines: &[(&str, u32)]) -> NewOrder {
    NewOrder {
        idempotency_key: Some("k".to_owned()),
        ..order(instance, lines)
    }
}

/// Position, product and quantity of each line.
fn lines(order: &Order) -> Vec<(u32, &str, u32)> {
    let lines = order.lines.iter();
    lines
        .map(|line| (line.position, line.product_code.as_str(), line.quantity))
        .collect()
}

/// What a worker is told to buy: product and quantity of each purchase.
async fn to_buy(record: &Record) -> Vec<(String, u32)> {
    let worker = record.start_worker().await.unwrap();
    let all = AssetSelection {
        limit: 100,
        ..AssetSelection::default()
    };
    let taken = record.take_assets(worker.id(), &all).await.unwrap();
    record.end_worker(worker).await.unwrap();
    taken
        .into_iter()
        .map(|taken| (taken.product_code, taken.quantity))
        .collect()
}

/// Fails unless an order is neither placed nor found right, for this reason, and writes nothing.
async fn assert_refused(record: &Record, new: NewOrder, reason: &str) {
    for error in [
        record.check_order(new.clone()).await.unwrap_err(),
        record.place_order(new.clone(), &actor()).await.unwrap_err(),
    ] {
        assert!(format!("{error:?}").starts_with(reason), "{error:?}: {new:?}");
    }
    let assets = record
        .assets(&AssetFilter::default(), &Page::all())
        .await
        .unwrap();
    assert_eq!(assets.rows, [], "{new:?}");
}

#[tokio::test]
async fn a_line_that_is_not_split_is_one_asset_and_one_purchase_of_all_of_its_units() {
    let record = TestRecord::open().await;
    let instance = whole_shop(&record).await;
    let placed = placed(
        &record,
        order(instance, &[("seats", 3), ("a", 2), ("credits", 1)]),
    )
    .await;
    let expected = [(1, "seats", 3), (2, "a", 1), (3, "a", 1), (4, "credits", 1)];
    assert_eq!(lines(&placed), expected);

    let again = record.opened_again().await;
    assert_eq!(again.order(placed.id).await.unwrap(), Some(placed.clone()));
    let assets = again.assets(&AssetFilter::default(), &Page::all()).await.unwrap();
    let quantities: Vec<_> = assets.rows.iter().map(|asset| asset.quantity).collect();
    assert_eq!(quantities, [3, 1, 1, 1]);
    let purchases = [("seats", 3), ("a", 1), ("a", 1), ("credits", 1)];
    let purchases = purchases.map(|(product, quantity)| (product.to_owned(), quantity));
    assert_eq!(to_buy(&again).await, purchases);
}

#[tokio::test]
async fn a_license_for_several_units_is_charged_and_credited_for_all_of_them_once() {
    let record = TestRecord::open().await;
    let instance = whole_shop(&record).await;
    let placed = placed(&record, order(instance, &[("seats", 3), ("a", 1)])).await;
    let seats = buy(&record, placed.lines[0].asset_id).await;
    buy(&record, placed.lines[1].asset_id).await;
    assert_eq!(seats.price, Some(euros(44_700)));
    let charges = charges_of(&record, placed.id).await;
    let charged: Vec<_> = charges
        .iter()
        .flat_map(|charge| &charge.lines)
        .map(|line| (line.product_code.as_str(), line.quantity, line.price.clone()))
        .collect();
    assert_eq!(charged, [("seats", 3, euros(44_700)), ("a", 1, euros(14_900))]);

    let cancellation = returning(&record, seats.id).await;
    attempted(&record, &cancellation, ReturnOutcome::Returned).await;
    let credits = record
        .credits(&ChargeFilter::default(), &Page::all())
        .await
        .unwrap();
    let credited: Vec<_> = credits
        .rows
        .iter()
        .map(|credit| (credit.asset_id, credit.price.clone()))
        .collect();
    assert_eq!(credited, [(seats.id, euros(44_700))]);
}

#[tokio::test]
async fn what_the_type_said_when_the_order_was_placed_counts_also_for_the_same_order_again() {
    let record = TestRecord::open().await;
    let instance = whole_shop(&record).await;
    let first = placed(&record, keyed(instance, &[("seats", 3), ("a", 1)])).await;
    fetch(&record, instance, true).await;
    let again = placed(&record, keyed(instance, &[("seats", 3), ("a", 1)])).await;
    assert_eq!(again, first);
    let purchases = [("seats", 3), ("a", 1)].map(|(product, quantity)| (product.to_owned(), quantity));
    assert_eq!(to_buy(&record).await, purchases);

    let split = placed(&record, order(instance, &[("seats", 3)])).await;
    assert_eq!(lines(&split), [(1, "seats", 1), (2, "seats", 1), (3, "seats", 1)]);
    fetch(&record, instance, false).await;
    let whole = placed(&record, order(instance, &[("seats", 3)])).await;
    assert_eq!(lines(&whole), [(1, "seats", 3)]);
}

#[tokio::test]
async fn an_order_with_a_key_finds_its_other_products_after_a_loss_although_one_is_split_by_then() {
    let key = Arc::new(HostKey::generate().unwrap());
    let assets = async |splits_all| {
        let record = TestRecord::with_key(&HostKeySource::Given(key.clone())).await;
        let instance = whole_shop(&record).await;
        fetch(&record, instance, splits_all).await;
        let placed = placed(&record, keyed(instance, &[("seats", 3), ("a", 2)])).await;
        let of = |code: &str| {
            let lines = placed.lines.iter().filter(|line| line.product_code == code);
            lines.map(|line| line.asset_id).collect::<Vec<_>>()
        };
        (of("seats"), of("a"))
    };
    let (whole, beside_whole) = assets(false).await;
    let (split, beside_split) = assets(true).await;
    assert_eq!((whole.len(), split.len()), (1, 3));
    assert_eq!(beside_whole, beside_split);
    assert_eq!(whole[0], split[0], "the license for all is looked up first");
    let all: BTreeSet<_> = split.iter().chain(&beside_split).collect();
    assert_eq!(all.len(), 5, "no two assets have one id");
}

#[tokio::test]
async fn the_limits_of_a_product_hold_for_a_line_that_is_not_split() {
    let record = TestRecord::open().await;
    let instance = whole_shop(&record).await;
    let order = |lines: &[(&str, u32)]| order(instance, lines);
    assert_refused(&record, order(&[("seats", 1)]), "Quantity").await;
    assert_refused(&record, order(&[("seats", 26)]), "Quantity").await;
    assert_refused(&record, order(&[("seats", 20), ("seats", 6)]), "Quantity").await;
    assert_refused(&record, order(&[("credits", 0)]), "Quantity").await;
    for quantity in [2, 25] {
        record.check_order(order(&[("seats", quantity)])).await.unwrap();
    }
    assert_eq!(
        lines(&placed(&record, order(&[("seats", 20), ("seats", 5)])).await),
        [(1, "seats", 25)]
    );
}

#[tokio::test]
async fn one_license_is_for_a_million_units_at_most() {
    let record = TestRecord::open().await;
    let instance = whole_shop(&record).await;
    let order = |lines: &[(&str, u32)]| order(instance, lines);
    assert_refused(&record, order(&[("credits", 1_000_001)]), "Quantity").await;
    let wraps = order(&[("credits", u32::MAX), ("credits", 2)]);
    assert_refused(&record, wraps, "Quantity").await;
    assert_eq!(
        lines(&placed(&record, order(&[("credits", 1_000_000)])).await),
        [(1, "credits", 1_000_000)]
    );
}

#[tokio::test]
async fn the_limit_of_an_order_counts_a_line_that_is_not_split_as_one_license() {
    let record = TestRecord::open().await;
    let instance = whole_shop(&record).await;
    let order = |lines: &[(&str, u32)]| order(instance, lines);
    assert_refused(&record, order(&[("many", 10_001)]), "TooManyUnits").await;
    let one_more = order(&[("many", 10_000), ("credits", 1)]);
    assert_refused(&record, one_more, "TooManyUnits").await;
    let most = order(&[("credits", 10_001), ("many", 9_999)]);
    record.check_order(most).await.unwrap();
}

#[tokio::test]
async fn an_order_whose_price_is_no_amount_is_refused() {
    const HALF: i64 = i64::MAX / 2;
    let record = TestRecord::open().await;
    let instance = whole_shop(&record).await;
    let codes = ["a", "seats", "credits"].map(str::to_owned);
    let half = Price {
        currency: "EUR".to_owned(),
        minor_units: HALF,
    };
    record
        .set_prices(instance, &codes, &half, &actor())
        .await
        .unwrap();
    let order = |lines: &[(&str, u32)]| order(instance, lines);
    assert_refused(&record, order(&[("seats", 3)]), "AmountTooLarge").await;
    assert_refused(&record, order(&[("a", 3)]), "AmountTooLarge").await;
    let each_fits = order(&[("seats", 2), ("credits", 1)]);
    assert_refused(&record, each_fits.clone(), "AmountTooLarge").await;
    let error = record.check_order(each_fits).await.unwrap_err();
    assert!(matches!(&error, PlaceError::AmountTooLarge { code, quantity: 1, .. } if code == "credits"));
    let diagnosis = error.diagnosis();
    assert_eq!(
        (diagnosis.kind, &*diagnosis.code),
        (ErrorKind::Invalid, "amount-too-large")
    );
    assert_eq!(
        error.to_string(),
        "with 1 of product `credits`, the order costs more than 92233720368547758.07 EUR, the largest amount"
    );

    let placed = placed(&record, order(&[("seats", 2)])).await;
    let seats = buy(&record, placed.lines[0].asset_id).await;
    assert_eq!(seats.price, Some(euros(HALF * 2)));
    let charges = charges_of(&record, placed.id).await;
    assert_eq!(charges[0].total(), Some(euros(HALF * 2)));
}

#[tokio::test]
async fn a_check_tells_what_would_be_bought_each_purchase_once() {
    let record = TestRecord::open().await;
    let instance = whole_shop(&record).await;
    let purchase = |(code, quantity): (&str, u32)| NewLine {
        product_code: code.to_owned(),
        quantity,
    };
    let asked = keyed(instance, &[("seats", 3), ("a", 2), ("seats", 2)]);
    let whole = BTreeSet::from([("a", 1), ("seats", 5)].map(purchase));
    assert_eq!(record.check_order(asked.clone()).await.unwrap(), whole);
    placed(&record, asked.clone()).await;
    fetch(&record, instance, true).await;
    assert_eq!(
        record.check_order(asked.clone()).await.unwrap(),
        whole,
        "the order is placed already"
    );
    let another = order(instance, &[("seats", 5), ("a", 2)]);
    let split = BTreeSet::from([("a", 1), ("seats", 1)].map(purchase));
    assert_eq!(record.check_order(another).await.unwrap(), split);
}
