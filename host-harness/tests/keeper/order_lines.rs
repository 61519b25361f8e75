//! Order lines: one worker's at a time, taken over from the dead, and never sold when they should not be.

use std::collections::BTreeSet;

use bss_model::{
    AssetFilter, AssetSelection, AttemptOutcome, Choice, Contact, Decision, NewOrder, Order, Page, Price,
    Problem, ShownPrice, SyncStatus, TakenAsset,
};
use bss_record::{PlaceError, Record, RetryError, Worker};
use uuid::Uuid;

use crate::orders::{license, order, shop};
use crate::record::{TestRecord, actor, settings};

async fn placed(record: &Record, quantity: u32) -> Order {
    let instance = shop(record).await;
    record
        .place_order(order(instance, &[("a", quantity)]), &actor())
        .await
        .unwrap()
        .into_order()
}

async fn take(record: &Record, worker: &Worker, limit: u32) -> Vec<TakenAsset> {
    let taking = AssetSelection {
        limit,
        ..AssetSelection::default()
    };
    record.take_assets(worker.id(), &taking).await.unwrap()
}

fn unknown() -> AttemptOutcome {
    AttemptOutcome::Unknown(problem())
}

fn problem() -> Problem {
    Problem {
        code: "x".to_owned(),
        message: "m".to_owned(),
        advice: String::new(),
        correlation_id: String::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_never_take_the_same_line() {
    let record = TestRecord::open().await;
    placed(&record, 24).await;
    let workers = [
        record.start_worker().await.unwrap(),
        record.start_worker().await.unwrap(),
        record.start_worker().await.unwrap(),
    ];
    let (a, b, c) = tokio::join!(
        take(&record, &workers[0], 10),
        take(&record, &workers[1], 10),
        take(&record, &workers[2], 10),
    );
    let all: Vec<_> = [a, b, c].concat().iter().map(|taken| taken.asset_id).collect();
    assert_eq!(all.len(), 24);
    assert_eq!(
        all.iter().collect::<BTreeSet<_>>().len(),
        24,
        "each was taken once"
    );
    assert!(
        take(&record, &workers[0], 10).await.is_empty(),
        "there is nothing left"
    );
}

#[tokio::test]
async fn what_a_worker_has_is_free_again_when_it_ends_but_not_when_it_is_dropped() {
    let record = TestRecord::open().await;
    placed(&record, 2).await;
    let first = record.start_worker().await.unwrap();
    assert_eq!(take(&record, &first, 5).await.len(), 2);
    record.end_worker(first).await.unwrap();
    let second = record.start_worker().await.unwrap();
    let taken = take(&record, &second, 5).await;
    assert_eq!(taken.len(), 2);
    assert!(taken.iter().all(|taken| taken.attempt.number == 2));
    drop(second);
    let third = record.start_worker().await.unwrap();
    assert!(
        take(&record, &third, 5).await.is_empty(),
        "a request may be under way"
    );
}

#[tokio::test]
async fn a_line_is_not_attempted_before_its_time_and_not_for_an_instance_that_rests() {
    let record = TestRecord::open().await;
    let order = placed(&record, 1).await;
    let worker = record.start_worker().await.unwrap();
    let resting = AssetSelection {
        limit: 1,
        without_instances: vec![order.instance_id],
        ..AssetSelection::default()
    };
    assert!(
        record
            .take_assets(worker.id(), &resting)
            .await
            .unwrap()
            .is_empty()
    );
    let taken = take(&record, &worker, 1).await;
    let far = i64::MAX;
    record
        .finish_attempt(taken[0].asset_id, 1, unknown(), far)
        .await
        .unwrap();
    assert!(take(&record, &worker, 1).await.is_empty());
    let open = record.outstanding(&AssetSelection::default()).await.unwrap();
    assert_eq!((open.assets, open.taken, open.next_due_at_ms), (1, 0, Some(far)));
    // An operator's retry need not wait.
    record.retry_asset(taken[0].asset_id, &actor()).await.unwrap();
    assert_eq!(take(&record, &worker, 1).await[0].attempt.number, 2);
}

#[tokio::test]
async fn many_ends_at_once_are_each_written_and_answered() {
    let record = TestRecord::open().await;
    placed(&record, 20).await;
    let worker = record.start_worker().await.unwrap();
    let taken = take(&record, &worker, 20).await;
    let ends: Vec<_> = taken
        .iter()
        .enumerate()
        .map(|(index, taken)| {
            // Every fourth license belongs to another purchase, and must not keep the others from being written.
            let purchase = match index % 4 {
                0 => Uuid::new_v4(),
                _ => taken.attempt.client_transaction_id,
            };
            let outcome = AttemptOutcome::Licensed(license(purchase, &format!("t-{index}")));
            let (record, asset) = (record.clone(), taken.asset_id);
            tokio::spawn(async move { record.finish_attempt(asset, 1, outcome, 0).await })
        })
        .collect();
    let mut written = 0;
    for (index, end) in ends.into_iter().enumerate() {
        let end = end.await.unwrap();
        assert_eq!(end.is_err(), index % 4 == 0, "{end:?}");
        written += usize::from(end.is_ok());
    }
    let licensed = AssetFilter {
        sync_status: Some(SyncStatus::Synchronized),
        ..AssetFilter::default()
    };
    assert_eq!(
        record.assets(&licensed, &Page::all()).await.unwrap().rows.len(),
        written
    );
}

#[tokio::test]
async fn an_operator_is_told_of_an_open_line_once() {
    let record = TestRecord::open().await;
    let order = placed(&record, 1).await;
    let asset = order.lines[0].asset_id;
    assert_eq!(
        record.newly_overdue(order.placed_at_ms - 1).await.unwrap(),
        Vec::<Uuid>::new()
    );
    assert_eq!(record.newly_overdue(i64::MAX).await.unwrap(), [asset]);
    assert_eq!(record.newly_overdue(i64::MAX).await.unwrap(), Vec::<Uuid>::new());
    let kept = record.asset(asset).await.unwrap().unwrap();
    assert_eq!(
        kept.sync_status,
        SyncStatus::Unsynchronised,
        "it is not a failure"
    );
}

#[tokio::test]
async fn a_failed_asset_can_be_tried_again_under_the_same_name_and_a_license_can_not() {
    let record = TestRecord::open().await;
    let order = placed(&record, 1).await;
    let asset = order.lines[0].asset_id;
    let worker = record.start_worker().await.unwrap();
    let first = take(&record, &worker, 1).await.remove(0).attempt;
    let refused = AttemptOutcome::Refused(problem());
    let failed = record.finish_attempt(asset, 1, refused, 0).await.unwrap();
    assert_eq!(failed.sync_status, SyncStatus::Failed);
    record.retry_asset(asset, &actor()).await.unwrap();
    let second = take(&record, &worker, 1).await.remove(0).attempt;
    assert_eq!(second.client_transaction_id, first.client_transaction_id);
    let licensed = AttemptOutcome::Licensed(license(second.client_transaction_id, "t-1"));
    record.finish_attempt(asset, 2, licensed, 0).await.unwrap();
    let error = record.retry_asset(asset, &actor()).await.unwrap_err();
    assert!(matches!(error, RetryError::HasLicense { .. }), "{error:?}");
    let error = record.retry_asset(Uuid::nil(), &actor()).await.unwrap_err();
    assert!(matches!(error, RetryError::NoAsset { .. }), "{error:?}");
}

/// The version of the settings with which a purchase is in doubt, after its settings were saved and it was tried again
/// while it was under way, or once it had ended.
async fn in_doubt_with(is_under_way: bool) -> (i64, Option<i64>) {
    let record = TestRecord::open().await;
    let order = placed(&record, 1).await;
    let asset = order.lines[0].asset_id;
    let worker = record.start_worker().await.unwrap();
    let sent_with = take(&record, &worker, 1).await.remove(0).attempt.settings_version;
    let instance = record.instance_by_id(order.instance_id).await.unwrap().unwrap();
    let saved = record
        .save_settings(instance.id, instance.version, settings(None), &actor())
        .await
        .unwrap();
    assert!(saved.version > sent_with);
    if is_under_way {
        record.retry_asset(asset, &actor()).await.unwrap();
    }
    record.finish_attempt(asset, 1, unknown(), 0).await.unwrap();
    if !is_under_way {
        record.retry_asset(asset, &actor()).await.unwrap();
    }
    let doubt = take(&record, &worker, 1).await.remove(0).attempt.in_doubt;
    (sent_with, doubt.unwrap().settings_version)
}

#[tokio::test]
async fn an_operator_who_tries_again_speaks_of_attempts_that_have_ended_and_not_of_one_under_way() {
    let (sent_with, in_doubt_with_version) = in_doubt_with(true).await;
    assert_eq!(in_doubt_with_version, Some(sent_with));
    let (sent_with, in_doubt_with_version) = in_doubt_with(false).await;
    assert_ne!(in_doubt_with_version, Some(sent_with));
}

#[tokio::test]
async fn what_is_not_sold_is_refused_before_anything_is_written() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let inactive = Choice::Codes(vec!["b".to_owned()]);
    record
        .decide_products(instance, Decision::Deactivate, &inactive, &actor())
        .await
        .unwrap();
    let contact = |email: &str, language: &str| NewOrder {
        contact: Some(Contact {
            email: email.to_owned(),
            language: language.to_owned(),
        }),
        ..order(instance, &[("a", 1)])
    };
    let refused = [
        (order(instance, &[("a", 1), ("b", 1)]), "Inactive"),
        (contact("", "en"), "IncompleteParty"),
        (contact("nobody", "en"), "IncompleteParty"),
        (contact("a@b.test\r\nBcc: c@d.test", "en"), "IncompleteParty"),
        (contact("a@b.test", ""), "IncompleteParty"),
        (contact("a@b.test", "../en"), "IncompleteParty"),
    ];
    for (new, expected) in refused {
        for error in [
            record.check_order(new.clone()).await.unwrap_err(),
            record.place_order(new, &actor()).await.unwrap_err(),
        ] {
            assert!(format!("{error:?}").starts_with(expected), "{error:?}");
        }
    }
    record.check_order(order(instance, &[("a", 1)])).await.unwrap();
    assert_eq!(
        record
            .assets(&AssetFilter::default(), &Page::all())
            .await
            .unwrap()
            .rows,
        [],
        "a check writes nothing"
    );
}

#[tokio::test]
async fn the_price_is_the_one_at_the_order_and_there_has_to_be_one() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let price = |minor_units| Price {
        currency: "EUR".to_owned(),
        minor_units,
    };
    let codes = ["a".to_owned()];
    record
        .set_prices(instance, &codes, &price(500), &actor())
        .await
        .unwrap();
    let placed = record
        .place_order(order(instance, &[("a", 1)]), &actor())
        .await
        .unwrap()
        .into_order();
    record
        .set_prices(instance, &codes, &price(700), &actor())
        .await
        .unwrap();
    let asset = record.asset(placed.lines[0].asset_id).await.unwrap().unwrap();
    assert_eq!(asset.price, Some(price(500)));

    let new = crate::services::product("c", "Project");
    let catalog = crate::services::definition(vec![new]);
    record.apply_services_definition(instance, catalog).await.unwrap();
    let active = Choice::Codes(vec!["c".to_owned()]);
    record
        .decide_products(instance, Decision::Activate, &active, &actor())
        .await
        .unwrap();
    let error = record
        .place_order(order(instance, &[("c", 1)]), &actor())
        .await
        .unwrap_err();
    assert!(matches!(error, PlaceError::NoPrice { .. }), "{error:?}");
}

#[tokio::test]
async fn an_order_at_a_price_that_was_shown_is_refused_once_it_has_changed() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let codes = ["a".to_owned()];
    let cost = |minor_units| Price {
        currency: "EUR".to_owned(),
        minor_units,
    };
    let set = async |minor_units| {
        let (price, actor) = (cost(minor_units), actor());
        let set = record.set_prices(instance, &codes, &price, &actor);
        set.await.unwrap();
    };
    let shown = |product_code: &str, minor_units| ShownPrice {
        product_code: product_code.to_owned(),
        minor_units,
    };
    let at = |key: &str, shown_prices: Vec<ShownPrice>| NewOrder {
        idempotency_key: Some(key.to_owned()),
        shown_prices,
        ..order(instance, &[("a", 2)])
    };
    set(500).await;
    let first = at("k", vec![shown("a", Some(500))]);
    let placed = record.place_order(first.clone(), &actor()).await.unwrap();
    set(501).await;
    for prices in [vec![shown("a", Some(500))], vec![shown("a", None)]] {
        let refused = record.place_order(at("l", prices), &actor()).await.unwrap_err();
        assert!(
            matches!(&refused, PlaceError::PriceChanged { code } if code == "a"),
            "{refused}"
        );
    }
    let again = record.place_order(first, &actor()).await.unwrap();
    assert_eq!(
        again.order().id,
        placed.order().id,
        "what is there already has its price"
    );
    let of_another = vec![shown("b", Some(1)), shown("a", Some(501))];
    let placed = record.place_order(at("l", of_another), &actor()).await.unwrap();
    assert!(
        placed.is_new(),
        "at the price of now, and another product is none of this order"
    );
}
