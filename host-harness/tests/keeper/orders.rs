//! Orders and assets: nothing half-written, nothing bought twice, nothing secret in clear.

use std::collections::{BTreeSet, HashMap};

use bss_model::{
    AssetFilter, AssetSelection, AttemptOutcome, AttemptResult, BegunAttempt, Choice, Contact, Decision,
    EarlierAttempts, License, LicenseSecrets, LicenseTokenStatus, NewLine, NewOrder, OrderParties, Page,
    Party, Placed, Price, Problem, ReturnStatus, Secret, SyncStatus, client_transaction_id,
};
use bss_record::{FinishError, PlaceError, Record};
use uuid::Uuid;

use crate::certificate_store::contains;
use crate::record::{TestRecord, actor, new_instance, ready_instance};
use crate::services::{definition, product};

pub(crate) async fn shop(record: &Record) -> Uuid {
    let id = ready_instance(record, "esd", None).await.id;
    let both = definition(vec![product("a", "Office"), product("b", "Visio")]);
    record.apply_services_definition(id, both).await.unwrap();
    sell(record, id, &["a", "b"]).await;
    id
}

/// Activates products, at a price.
pub(crate) async fn sell(record: &Record, instance: Uuid, codes: &[&str]) {
    let codes: Vec<_> = codes.iter().map(|&code| code.to_owned()).collect();
    let price = Price {
        currency: "EUR".to_owned(),
        minor_units: 14_900,
    };
    record
        .set_prices(instance, &codes, &price, &actor())
        .await
        .unwrap();
    let chosen = Choice::Codes(codes);
    record
        .decide_products(instance, Decision::Activate, &chosen, &actor())
        .await
        .unwrap();
}

pub(crate) fn order(instance_id: Uuid, lines: &[(&str, u32)]) -> NewOrder {
    let customer = Party {
        id: "c-1".to_owned(),
        name: "Customer".to_owned(),
        country: "GR".to_owned(),
    };
    let line = |(code, quantity): &(&str, u32)| NewLine {
        product_code: (*code).to_owned(),
        quantity: *quantity,
    };
    NewOrder {
        instance_id,
        customer,
        contact: Some(Contact {
            email: "c-1@customer.test".to_owned(),
            language: "el".to_owned(),
        }),
        reseller: None,
        lines: lines.iter().map(line).collect(),
        idempotency_key: None,
        platform: None,
        shown_prices: Vec::new(),
    }
}

async fn one_asset(record: &Record) -> Uuid {
    let instance = shop(record).await;
    record
        .place_order(order(instance, &[("a", 1)]), &actor())
        .await
        .unwrap()
        .into_order()
        .lines[0]
        .asset_id
}

/// Begins an attempt as a worker that then ends: the asset is left free, and the attempt not ended.
pub(crate) async fn begin(record: &Record, asset: Uuid) -> BegunAttempt {
    take(record, asset).await.expect("it can be taken")
}

async fn take(record: &Record, asset: Uuid) -> Option<BegunAttempt> {
    let worker = record.start_worker().await.unwrap();
    let taking = AssetSelection {
        asset: Some(asset),
        limit: 1,
        ..AssetSelection::default()
    };
    let taken = record.take_assets(worker.id(), &taking).await.unwrap();
    record.end_worker(worker).await.unwrap();
    taken.first().map(|taken| taken.attempt)
}

/// Counts the assets of an order that have no license and have not failed.
async fn open_assets(record: &Record, order: Uuid) -> u64 {
    let taking = AssetSelection {
        order: Some(order),
        ..AssetSelection::default()
    };
    record.outstanding(&taking).await.unwrap().assets
}

/// The secrets of an asset's license. `None` when it has no license.
async fn secrets(record: &Record, asset: Uuid) -> Option<LicenseSecrets> {
    record
        .show_license_secrets(&[asset], &actor())
        .await
        .unwrap()
        .remove(&asset)
}

pub(crate) const KEY: &str = "ABCDE-FGHJK-MNPQR-TVWXY-23467";
pub(crate) const LINK: &str = "https://redeem.example.test/activate/ABCDEFGHJKMN";

const PURCHASED_AT_MS: i64 = 4_000_000_000_000;
const RETURNABLE_UNTIL_MS: i64 = 4_002_000_000_000;

/// A license of a purchase. Its product key is [`KEY`] in the transaction `t-1`, and ends with it in others.
pub(crate) fn license(client_transaction_id: Uuid, transaction: &str) -> License {
    License {
        client_transaction_id: client_transaction_id.to_string(),
        transaction_id: transaction.to_owned(),
        license_token_id: format!("token of {transaction}"),
        product_key: Secret::new(match transaction {
            "t-1" => KEY.to_owned(),
            _ => format!("{}-{KEY}", client_transaction_id.simple()),
        }),
        activation_link: Some(Secret::new(LINK)),
        license_token_status: LicenseTokenStatus::Unused,
        return_status: ReturnStatus::None,
        // After every order of these tests.
        purchased_at_ms: PURCHASED_AT_MS,
        returnable_until_ms: Some(RETURNABLE_UNTIL_MS),
    }
}

pub(crate) fn problem(code: &str) -> Problem {
    Problem {
        code: code.to_owned(),
        message: "m".to_owned(),
        advice: "a".to_owned(),
        correlation_id: "c".to_owned(),
    }
}

#[tokio::test]
async fn every_unit_is_a_line_and_an_asset_of_its_own() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let placed = record
        .place_order(order(instance, &[("a", 2), ("b", 1)]), &actor())
        .await
        .unwrap()
        .into_order();
    let again = record.opened_again().await;
    assert_eq!(again.order(placed.id).await.unwrap(), Some(placed.clone()));
    let filter = AssetFilter {
        order: Some(placed.id),
        ..AssetFilter::default()
    };
    let assets = again.assets(&filter, &Page::all()).await.unwrap().rows;
    let shown: Vec<_> = assets
        .iter()
        .map(|a| (a.position, a.product_code.as_str(), a.sync_status))
        .collect();
    let waiting = SyncStatus::Unsynchronised;
    assert_eq!(shown, [(1, "a", waiting), (2, "a", waiting), (3, "b", waiting)]);
    for asset in &assets {
        assert_eq!(asset.client_transaction_id, client_transaction_id(asset.id, 0));
        assert_eq!(asset.client_transaction_id.get_version_num(), 5);
    }
    assert_eq!(open_assets(&again, placed.id).await, 3);
    assert!(again.has_licenses(instance).await.unwrap());
}

#[test]
fn client_transaction_ids_never_change() {
    let id = client_transaction_id(Uuid::from_u128(2), 3);
    assert_eq!(id, client_transaction_id(Uuid::from_u128(2), 3));
    assert_ne!(id, client_transaction_id(Uuid::from_u128(2), 4));
    assert_eq!(id.to_string(), "2cd32382-4e93-542f-bf87-a1c483d3849e");
}

#[tokio::test]
async fn who_takes_part_in_an_order_is_found_by_the_order_and_the_order_by_its_assets() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let first = record
        .place_order(order(instance, &[("a", 2)]), &actor())
        .await
        .unwrap()
        .into_order();
    let second = record
        .place_order(order(instance, &[("b", 1)]), &actor())
        .await
        .unwrap()
        .into_order();
    let unknown = Uuid::new_v4();

    let asked = BTreeSet::from([first.id, unknown]);
    let parties = record.parties_of_orders(&asked).await.unwrap();
    let expected = OrderParties {
        instance_id: instance,
        instance: record.instances().await.unwrap().remove(0).name,
        customer: first.customer.clone(),
        reseller: first.reseller.clone(),
        platform: None,
    };
    assert_eq!(parties, HashMap::from([(first.id, expected)]));

    let assets = [first.lines[1].asset_id, second.lines[0].asset_id];
    let asked = BTreeSet::from([assets[0], assets[1], unknown]);
    let orders = record.orders_of_assets(&asked).await.unwrap();
    assert_eq!(
        orders,
        HashMap::from([(assets[0], first.id), (assets[1], second.id)])
    );
}

#[tokio::test]
async fn a_refused_order_leaves_nothing_behind() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    record
        .apply_services_definition(instance, definition(vec![product("a", "Office")]))
        .await
        .unwrap();
    let unready = new_instance(&record, "unready").await.id;
    let mut nameless = order(instance, &[("a", 1)]);
    nameless.customer.name = " ".to_owned();
    let mut nowhere = order(instance, &[("a", 1)]);
    nowhere.reseller = Some(Party {
        country: "gr".to_owned(),
        ..nowhere.customer.clone()
    });
    let refused = [
        (order(instance, &[("a", 1), ("x", 1)]), "UnknownProduct"),
        (order(instance, &[("a", 1), ("b", 1)]), "Discontinued"),
        (order(instance, &[("a", 26)]), "Quantity"),
        (order(instance, &[("a", 20), ("a", 6)]), "Quantity"),
        (order(instance, &[("a", 0)]), "Quantity"),
        (order(instance, &[]), "Empty"),
        (order(unready, &[("a", 1)]), "NotReady"),
        (order(Uuid::nil(), &[("a", 1)]), "NoInstance"),
        (nameless, "IncompleteParty"),
        (nowhere, "IncompleteParty"),
    ];
    for (new, expected) in refused {
        let error = record.place_order(new, &actor()).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{error:?}");
    }
    assert_eq!(
        record
            .assets(&AssetFilter::default(), &Page::all())
            .await
            .unwrap()
            .rows,
        []
    );
    assert!(!record.has_licenses(instance).await.unwrap());
    record
        .place_order(order(instance, &[("a", 25)]), &actor())
        .await
        .unwrap()
        .into_order();
}

#[tokio::test]
async fn an_idempotency_key_gives_the_same_order_and_refuses_another() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let actor = actor();
    let place = |lines: &'static [(&'static str, u32)]| {
        let new = NewOrder {
            idempotency_key: Some("k".to_owned()),
            ..order(instance, lines)
        };
        record.place_order(new, &actor)
    };
    let first = place(&[("a", 2)]).await.unwrap();
    assert!(first.is_new());
    let first = first.into_order();
    assert_eq!(place(&[("a", 2)]).await.unwrap(), Placed::Known(first.clone()));
    let error = place(&[("a", 3)]).await.unwrap_err();
    assert!(
        matches!(error, PlaceError::KeyReused { order, .. } if order == first.id),
        "{error:?}"
    );
    assert_eq!(
        record
            .assets(&AssetFilter::default(), &Page::all())
            .await
            .unwrap()
            .rows
            .len(),
        2
    );
}

#[tokio::test]
async fn a_key_is_bound_to_what_is_bought_and_for_whom_and_not_to_how_the_customer_is_spelled() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let keyed = |change: &dyn Fn(&mut NewOrder)| {
        let mut new = NewOrder {
            idempotency_key: Some("k".to_owned()),
            ..order(instance, &[("a", 2), ("b", 1)])
        };
        change(&mut new);
        new
    };
    let first = record
        .place_order(keyed(&|_| ()), &actor())
        .await
        .unwrap()
        .into_order();
    let same: [&dyn Fn(&mut NewOrder); 4] = [
        &|new| new.customer.name = "Renamed GmbH".to_owned(),
        &|new| new.contact.as_mut().unwrap().email = "other@example.com".to_owned(),
        &|new| new.lines.reverse(),
        &|new| new.customer.country = "AT".to_owned(),
    ];
    for change in same {
        let again = record
            .place_order(keyed(change), &actor())
            .await
            .unwrap()
            .into_order();
        assert_eq!(again, first);
        assert_eq!(
            record.placed_order(&keyed(change)).await.unwrap().as_ref(),
            Some(&first)
        );
    }
    let others: [&dyn Fn(&mut NewOrder); 4] = [
        &|new| new.customer.id.push('x'),
        &|new| new.lines[0].quantity = 3,
        &|new| drop(new.lines.pop()),
        &|new| new.reseller = Some(new.customer.clone()),
    ];
    for change in others {
        let refused = record.place_order(keyed(change), &actor()).await;
        assert!(
            matches!(refused, Err(PlaceError::KeyReused { .. })),
            "{refused:?}"
        );
        let refused = record.placed_order(&keyed(change)).await;
        assert!(
            matches!(refused, Err(PlaceError::KeyReused { .. })),
            "{refused:?}"
        );
    }
    for empty in ["", " "] {
        let unset = keyed(&|new| new.idempotency_key = Some(empty.to_owned()));
        let refused = record.place_order(unset, &actor()).await;
        assert!(matches!(refused, Err(PlaceError::EmptyKey)), "{refused:?}");
    }
    let without_key = order(instance, &[("a", 2), ("b", 1)]);
    assert_eq!(record.placed_order(&without_key).await.unwrap(), None);
}

#[tokio::test]
async fn a_crash_during_an_attempt_leaves_the_intent_and_the_next_one_asks_first() {
    let record = TestRecord::open().await;
    let asset = one_asset(&record).await;
    let first = begin(&record, asset).await;
    assert_eq!((first.number, first.earlier), (1, EarlierAttempts::None));

    let next = record.opened_again().await;
    let attempts = next.attempts(asset).await.unwrap();
    assert_eq!(
        (attempts.len(), attempts[0].result, attempts[0].finished_at_ms),
        (1, None, None)
    );
    let second = begin(&next, asset).await;
    assert_eq!((second.number, second.earlier), (2, EarlierAttempts::Unknown));
    assert_eq!(second.client_transaction_id, first.client_transaction_id);
}

#[tokio::test]
async fn an_attempt_after_one_that_bought_nothing_says_so() {
    let record = TestRecord::open().await;
    let asset = one_asset(&record).await;
    let first = begin(&record, asset).await;
    let outcome = AttemptOutcome::Unavailable(problem("busy"));
    record
        .finish_attempt(asset, first.number, outcome, 0)
        .await
        .unwrap();
    let second = begin(&record, asset).await;
    assert_eq!(second.earlier, EarlierAttempts::NotDone);
    let outcome = AttemptOutcome::Unknown(problem("cut-off"));
    record
        .finish_attempt(asset, second.number, outcome, 0)
        .await
        .unwrap();
    let third = begin(&record, asset).await;
    assert_eq!(third.earlier, EarlierAttempts::Unknown);
}

#[tokio::test]
async fn a_license_is_kept_whole_and_its_secrets_sealed() {
    let record = TestRecord::open().await;
    let asset = one_asset(&record).await;
    let begun = begin(&record, asset).await;
    let licensed = AttemptOutcome::Licensed(license(begun.client_transaction_id, "t-1"));
    let debug = format!("{licensed:?}");
    record.finish_attempt(asset, 1, licensed, 0).await.unwrap();

    let again = record.opened_again().await;
    let asset = again.asset(asset).await.unwrap().unwrap();
    assert_eq!(asset.sync_status.to_string(), "Synchronized");
    assert_eq!(asset.license_token_status.unwrap().to_string(), "Unused");
    assert_eq!(asset.return_status.to_string(), "NONE");
    assert_eq!(asset.transaction_id.as_deref(), Some("t-1"));
    assert_eq!(asset.license_token_id.as_deref(), Some("token of t-1"));
    let secrets = secrets(&again, asset.id).await.unwrap();
    assert_eq!(secrets.product_key.expose(), KEY);
    assert_eq!(secrets.activation_link.as_ref().unwrap().expose(), LINK);
    let shown = (
        asset.masked_product_key.as_deref(),
        asset.activation_link_host.as_deref(),
    );
    assert_eq!(
        shown,
        (Some("*****-*****-*****-*****-23467"), Some("redeem.example.test"))
    );
    assert_eq!(
        (asset.purchased_at_ms, asset.returnable_until_ms),
        (Some(PURCHASED_AT_MS), Some(RETURNABLE_UNTIL_MS))
    );

    let mut places = record.all_written().await;
    places.push((
        "Debug".to_owned(),
        format!("{debug} {asset:?} {secrets:?}").into_bytes(),
    ));
    for (place, bytes) in places {
        // The last group of the key is kept in clear, to be shown in lists.
        for secret in [KEY, LINK, "ABCDE", "TVWXY-23467", "activate/ABCD"] {
            assert!(!contains(&bytes, secret.as_bytes()), "{secret} in {place}");
        }
    }
}

#[tokio::test]
async fn a_refusal_is_final_and_what_time_may_solve_is_not() {
    let record = TestRecord::open().await;
    let asset = one_asset(&record).await;
    let open = [
        (
            AttemptOutcome::Unavailable(problem("busy")),
            AttemptResult::Unavailable,
        ),
        (
            AttemptOutcome::Unknown(problem("time-out")),
            AttemptResult::Unknown,
        ),
    ];
    for (outcome, result) in open {
        let begun = begin(&record, asset).await;
        let after = record
            .finish_attempt(asset, begun.number, outcome, 0)
            .await
            .unwrap();
        assert_eq!(after.sync_status, SyncStatus::Unsynchronised);
        assert_eq!(after.reason.unwrap().result, result);
    }
    let begun = begin(&record, asset).await;
    let refused = AttemptOutcome::Refused(problem("offer-not-found"));
    let after = record
        .finish_attempt(asset, begun.number, refused, 0)
        .await
        .unwrap();
    assert_eq!(after.sync_status, SyncStatus::Failed);
    assert_eq!(after.reason.unwrap().problem, problem("offer-not-found"));
    assert!(!record.has_licenses(after.instance_id).await.unwrap());
    assert_eq!(open_assets(&record, after.order_id).await, 0);
    assert_eq!(take(&record, asset).await, None, "what has failed is not bought");
}

#[tokio::test]
async fn a_late_outcome_neither_fails_nor_loses_what_another_attempt_decides() {
    let record = TestRecord::open().await;
    let asset = one_asset(&record).await;
    let begun = begin(&record, asset).await;
    begin(&record, asset).await;
    let late = AttemptOutcome::Refused(problem("offer-not-found"));
    let after = record.finish_attempt(asset, 1, late, 0).await.unwrap();
    assert_eq!(after.sync_status, SyncStatus::Unsynchronised);

    let licensed = AttemptOutcome::Licensed(license(begun.client_transaction_id, "t-1"));
    record
        .finish_attempt(asset, 2, licensed.clone(), 0)
        .await
        .unwrap();
    let error = record
        .finish_attempt(asset, 2, AttemptOutcome::Unknown(problem("late")), 0)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            FinishError::Finished {
                result: AttemptResult::Licensed,
                ..
            }
        ),
        "{error:?}"
    );
    let after = record.finish_attempt(asset, 1, licensed, 0).await.unwrap();
    assert_eq!(after.sync_status, SyncStatus::Synchronized);
    assert_eq!(
        take(&record, asset).await,
        None,
        "what has its license is not bought"
    );
}

#[tokio::test]
async fn the_same_license_again_changes_nothing_and_another_is_an_error_that_keeps_the_first() {
    let record = TestRecord::open().await;
    let asset = one_asset(&record).await;
    let begun = begin(&record, asset).await;
    begin(&record, asset).await;
    let licensed =
        |transaction: &str| AttemptOutcome::Licensed(license(begun.client_transaction_id, transaction));
    let first = record.finish_attempt(asset, 1, licensed("t-1"), 0).await.unwrap();
    assert_eq!(
        record.finish_attempt(asset, 1, licensed("t-1"), 0).await.unwrap(),
        first
    );
    let error = record
        .finish_attempt(asset, 2, licensed("t-2"), 0)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, FinishError::SecondLicense { kept, second, .. } if kept == "t-1" && second == "t-2"),
        "{error:?}"
    );
    assert_eq!(record.asset(asset).await.unwrap(), Some(first));
    let secrets = secrets(&record, asset).await.unwrap();
    assert_eq!(secrets.product_key.expose(), KEY);
    let attempt = &record.attempts(asset).await.unwrap()[1];
    assert_eq!(attempt.result, Some(AttemptResult::SecondLicense));
    assert!(attempt.problem.as_ref().unwrap().message.contains("`t-2`"));
}

#[tokio::test]
async fn a_license_of_another_purchase_or_asset_is_not_taken() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let placed = record
        .place_order(order(instance, &[("a", 2)]), &actor())
        .await
        .unwrap()
        .into_order();
    let [one, two] = [placed.lines[0].asset_id, placed.lines[1].asset_id];
    let begun = [begin(&record, one).await, begin(&record, two).await];
    let licensed =
        |index: usize| AttemptOutcome::Licensed(license(begun[index].client_transaction_id, "t-1"));
    record.finish_attempt(one, 1, licensed(0), 0).await.unwrap();
    let same_key = License {
        license_token_id: "another".to_owned(),
        ..license(begun[1].client_transaction_id, "t-1")
    };
    let same_key = AttemptOutcome::Licensed(same_key);
    for outcome in [licensed(0), licensed(1), same_key] {
        let error = record.finish_attempt(two, 1, outcome, 0).await.unwrap_err();
        assert!(matches!(error, FinishError::NotItsLicense { .. }), "{error:?}");
    }
    assert_eq!(secrets(&record, two).await, None);
    let two = record.asset(two).await.unwrap().unwrap();
    assert_eq!(
        (two.sync_status, two.masked_product_key),
        (SyncStatus::Unsynchronised, None)
    );
}

#[tokio::test]
async fn what_does_not_exist_is_said_to_be_missing() {
    let record = TestRecord::open().await;
    let asset = one_asset(&record).await;
    let error = record
        .finish_attempt(asset, 1, AttemptOutcome::Unknown(problem("x")), 0)
        .await
        .unwrap_err();
    assert!(
        matches!(error, FinishError::NoAttempt { number: 1, .. }),
        "{error:?}"
    );
    assert_eq!(take(&record, Uuid::nil()).await, None);
    assert_eq!(record.order(Uuid::nil()).await.unwrap(), None);
    assert_eq!(record.asset(Uuid::nil()).await.unwrap(), None);
}
