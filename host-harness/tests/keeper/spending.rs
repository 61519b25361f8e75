//! Spending limits: no order passes one, however many are placed at once, and the operator is told before.

use bss_model::{AlertFilter, AlertKind, Diagnose as _, Instance, NewOrder, Placed, Price, Spending};
use bss_record::{PlaceError, Record, RetryError, SpendingLimitError};

use crate::alerts::refuse;
use crate::orders::{order, shop};
use crate::record::{TestRecord, actor};

/// The price of each product of these tests, in cents.
const PRICE: i64 = 14_900;

fn euros(minor_units: i64) -> Spending {
    Spending::Amount(Price {
        currency: "EUR".to_owned(),
        minor_units,
    })
}

async fn limited(record: &Record, limit: &Spending) -> Instance {
    let id = shop(record).await;
    let instance = record.instance_by_id(id).await.unwrap().unwrap();
    record
        .limit_spending(&instance, Some(limit), &actor())
        .await
        .unwrap();
    instance
}

async fn place(record: &Record, new: NewOrder) -> Result<Placed<bss_model::Order>, PlaceError> {
    record.place_order(new, &actor()).await
}

async fn alerts(record: &Record) -> Vec<(AlertKind, String)> {
    let alerts = record.alerts(&AlertFilter::default(), 9).await.unwrap();
    let code = |problem: Option<bss_model::Problem>| problem.map_or_else(String::new, |problem| problem.code);
    alerts
        .into_iter()
        .map(|alert| (alert.kind, code(alert.problem)))
        .collect()
}

#[tokio::test]
async fn an_order_beyond_the_limit_is_refused_and_nothing_is_written_but_an_alert() {
    let record = TestRecord::open().await;
    let instance = limited(&record, &euros(3 * PRICE)).await;
    place(&record, order(instance.id, &[("a", 2)])).await.unwrap();
    assert_eq!(alerts(&record).await, [], "two thirds are used");
    let refused = place(&record, order(instance.id, &[("a", 1), ("b", 1)]))
        .await
        .unwrap_err();
    assert_eq!(refused.diagnosis().code, "spending-limit");
    assert_eq!(
        refused.to_string(),
        "the order is for 298.00 EUR, and 298.00 EUR of 447.00 EUR that instance `esd` may sell today are used"
    );
    let today = record.spending_today(&instance).await.unwrap();
    assert_eq!((today.used.minor_units, today.used_units), (2 * PRICE, 2));
    let reached = (AlertKind::SpendingLimit, "spending-limit".to_owned());
    assert_eq!(alerts(&record).await, [reached]);
    place(&record, order(instance.id, &[("b", 1)])).await.unwrap();
}

#[tokio::test]
async fn four_fifths_of_the_limit_are_an_alert_and_a_higher_limit_ends_it() {
    let record = TestRecord::open().await;
    let instance = limited(&record, &euros(5 * PRICE)).await;
    place(&record, order(instance.id, &[("a", 3)])).await.unwrap();
    assert_eq!(alerts(&record).await, []);
    place(&record, order(instance.id, &[("a", 1)])).await.unwrap();
    let near = (AlertKind::SpendingLimit, "spending-limit-near".to_owned());
    assert_eq!(alerts(&record).await, [near]);
    record
        .limit_spending(&instance, Some(&euros(10 * PRICE)), &actor())
        .await
        .unwrap();
    assert_eq!(alerts(&record).await, []);
}

#[tokio::test]
async fn an_order_that_is_repeated_with_its_key_is_neither_counted_nor_refused() {
    let record = TestRecord::open().await;
    let instance = limited(&record, &Spending::Units(2)).await;
    let keyed = NewOrder {
        idempotency_key: Some("k".to_owned()),
        ..order(instance.id, &[("a", 2)])
    };
    place(&record, keyed.clone()).await.unwrap();
    let again = place(&record, keyed).await.unwrap();
    assert!(!again.is_new());
    assert_eq!(record.spending_today(&instance).await.unwrap().used_units, 2);
    let refused = place(&record, order(instance.id, &[("a", 1)])).await.unwrap_err();
    assert!(matches!(refused, PlaceError::SpendingLimit(_)), "{refused}");
}

#[tokio::test]
async fn what_is_withdrawn_makes_room_and_without_a_limit_everything_is_placed() {
    let record = TestRecord::open().await;
    let instance = limited(&record, &Spending::Units(2)).await;
    let placed = place(&record, order(instance.id, &[("a", 2)]))
        .await
        .unwrap()
        .into_order();
    place(&record, order(instance.id, &[("a", 1)])).await.unwrap_err();
    record.withdraw_order(placed.id, &[], &actor()).await.unwrap();
    place(&record, order(instance.id, &[("a", 2)])).await.unwrap();
    record.limit_spending(&instance, None, &actor()).await.unwrap();
    place(&record, order(instance.id, &[("a", 25)])).await.unwrap();
    assert_eq!(record.spending_today(&instance).await.unwrap().limit, None);
}

#[tokio::test]
async fn a_limit_in_another_currency_than_the_instance_s_is_refused() {
    let record = TestRecord::open().await;
    let instance = limited(&record, &euros(1)).await;
    let dollars = Spending::Amount(Price {
        currency: "USD".to_owned(),
        minor_units: 1,
    });
    let refused = record.limit_spending(&instance, Some(&dollars), &actor()).await;
    assert!(matches!(refused, Err(SpendingLimitError::OtherCurrency { .. })));
    let today = record.spending_today(&instance).await.unwrap();
    assert_eq!(today.limit, Some(euros(1)), "the former one stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_shops_at_once_do_not_pass_the_limit_together() {
    let record = TestRecord::open().await;
    let other = record.opened_again().await;
    let instance = limited(&record, &euros(7 * PRICE)).await;
    let mut placing = tokio::task::JoinSet::new();
    for number in 0..24 {
        let record = match number % 2 {
            0 => (*record).clone(),
            _ => other.clone(),
        };
        let new = order(instance.id, &[("a", 1)]);
        placing.spawn(async move { place(&record, new).await.is_ok() });
    }
    let placed = placing
        .join_all()
        .await
        .into_iter()
        .filter(|placed| *placed)
        .count();
    assert_eq!(placed, 7);
    assert_eq!(
        record.spending_today(&instance).await.unwrap().used.minor_units,
        7 * PRICE
    );
}

#[tokio::test]
async fn what_a_program_tries_again_on_a_later_day_counts_on_that_day_and_is_refused_beyond_its_limit() {
    let record = TestRecord::open().await;
    let instance = limited(&record, &Spending::Units(2)).await;
    let mut assets = Vec::new();
    for _ in 0..2 {
        let placed = place(&record, order(instance.id, &[("a", 1)]))
            .await
            .unwrap()
            .into_order();
        refuse(&record, placed.lines[0].asset_id, "sold-out").await;
        assets.push(placed.lines[0].asset_id);
    }
    // What is counted today may be tried again today, however often.
    record.retry_refused(assets[0], &actor()).await.unwrap();
    refuse(&record, assets[0], "sold-out").await;
    let yesterday = "UPDATE assets SET created_at_ms = created_at_ms - 86400000, wanted_since_ms = wanted_since_ms - 86400000";
    record.database().execute(yesterday).await;
    let used = async || record.spending_today(&instance).await.unwrap().used_units;
    assert_eq!(used().await, 0, "that was yesterday");
    place(&record, order(instance.id, &[("a", 1)])).await.unwrap();
    record.retry_refused(assets[0], &actor()).await.unwrap();
    assert_eq!(used().await, 2);
    let refused = record.retry_refused(assets[1], &actor()).await.unwrap_err();
    assert!(matches!(refused, RetryError::SpendingLimit(_)), "{refused}");
    assert_eq!(refused.diagnosis().code, "spending-limit");
    place(&record, order(instance.id, &[("a", 1)])).await.unwrap_err();
    // An operator's word is not bound by it, and counts.
    record.retry_asset(assets[1], &actor()).await.unwrap();
    assert_eq!(used().await, 3);
}
