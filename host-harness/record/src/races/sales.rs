//! Races of two hosts that sell: orders with one key, limits, numbers of charges, settings, runs and returns.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bss_model::{
    Actor, AssetSelection, AttemptOutcome, ChargeFilter, ChargeSeries, Choice, Contact, Decision, Derivative,
    License, LicenseTokenStatus, NewInstance, NewLine, NewOrder, NewProduct, Page, Party, Placed, Price,
    ProductType, Reach, ReturnStatus, RunLease, SavedSettings, Secret, ServicesDefinition, SkippedItems,
    Spending, Standing, TakenAsset,
};
use uuid::Uuid;

use super::{Hosts, id_of};
use crate::{ChargePrefixError, PlaceError, Record, RecordError, SaveError};

/// What a host waits for that has looked for an order and writes one.
const NO_ORDER_YET: &str = "LOCK TABLE orders IN SHARE MODE";

fn actor() -> Actor {
    Actor::operator("test")
}

fn settings(country: &str) -> SavedSettings {
    SavedSettings {
        values: BTreeMap::from([("country".to_owned(), country.to_owned())]),
        secrets: BTreeMap::new(),
        roles: BTreeMap::new(),
        url_fields: BTreeSet::new(),
        standing: Standing::Ready,
        authorities: Vec::new(),
        allowed_hosts: Vec::new(),
        thumbprint: None,
        shares_with: BTreeMap::new(),
        plugin: None,
        correction: None,
    }
}

fn definition() -> ServicesDefinition {
    ServicesDefinition {
        product_types: vec![ProductType {
            id: "license".to_owned(),
            name: "License".to_owned(),
            derivative: Derivative::License,
            split_quantity: true,
            manual_cancellation: true,
            attributes: Vec::new(),
        }],
        products: vec![NewProduct {
            code: "a".to_owned(),
            product_type: "license".to_owned(),
            name: "A".to_owned(),
            description: String::new(),
            attribute_values: Vec::new(),
            min_quantity: 1,
            max_quantity: None,
            returnable: true,
        }],
        entity_tag: String::new(),
        skipped: SkippedItems::default(),
    }
}

/// Makes an instance that sells a product.
async fn shop(record: &Record, name: &str) -> Uuid {
    let new = NewInstance {
        owner: None,
        name: name.to_owned(),
        currency: "EUR".to_owned(),
        options: BTreeMap::new(),
        reach: Reach::default(),
        plugin: None,
    };
    let id = record.create_instance(new, &actor()).await.unwrap().id;
    let saved = record.save_settings(id, 0, settings("GR"), &actor()).await;
    saved.unwrap();
    let applied = record.apply_services_definition(id, definition()).await;
    applied.unwrap();
    let (codes, price) = (
        vec!["a".to_owned()],
        Price {
            currency: "EUR".to_owned(),
            minor_units: 100,
        },
    );
    record.set_prices(id, &codes, &price, &actor()).await.unwrap();
    let chosen = Choice::Codes(codes);
    let (activate, actor) = (Decision::Activate, actor());
    let activated = record.decide_products(id, activate, &chosen, &actor).await;
    activated.unwrap();
    id
}

fn order(instance_id: Uuid, quantity: u32, key: Option<&str>) -> NewOrder {
    NewOrder {
        instance_id,
        customer: Party {
            id: "c-1".to_owned(),
            name: "Customer".to_owned(),
            country: "GR".to_owned(),
        },
        contact: Some(Contact {
            email: "c-1@customer.test".to_owned(),
            language: "el".to_owned(),
        }),
        reseller: None,
        lines: vec![NewLine {
            product_code: "a".to_owned(),
            quantity,
        }],
        idempotency_key: key.map(str::to_owned),
        platform: None,
        shown_prices: Vec::new(),
    }
}

/// What becomes of the same order on two hosts at the same time.
async fn ordered_at_once(turns: bool) -> [Result<Placed, PlaceError>; 2] {
    let hosts = Hosts::empty().await;
    let instance = shop(&hosts.one, "shop").await;
    hosts.take_turns(turns);
    let place = async |host: &Record| {
        host.place_order(order(instance, 1, Some("BASKET-7")), &actor())
            .await
    };
    let (one, other) = hosts
        .at_once(NO_ORDER_YET, place(&hosts.one), place(&hosts.other))
        .await;
    [one, other]
}

#[tokio::test]
async fn two_hosts_place_one_order_with_a_key() {
    let placed = ordered_at_once(true).await.map(Result::unwrap);
    let is_new = |placed: &Placed| matches!(placed, Placed::New(_));
    assert!(is_new(&placed[0]) != is_new(&placed[1]), "{placed:?}");
    assert_eq!(placed[0].order().id, placed[1].order().id);
}

#[tokio::test]
async fn without_the_turn_one_of_two_hosts_fails_to_place_the_order_of_the_other() {
    let placed = ordered_at_once(false).await;
    let failed = placed.iter().filter(|placed| placed.is_err());
    assert_eq!(failed.count(), 1, "{placed:?}");
}

/// How many units of a limit of ten two hosts sell at the same time, each six of them at most.
async fn sold_at_once(turns: bool) -> u64 {
    let hosts = Hosts::empty().await;
    let instance = shop(&hosts.one, "shop").await;
    let instance = hosts.one.instance_by_id(instance).await.unwrap().unwrap();
    let limit = Spending::Units(10);
    let limited = hosts.one.limit_spending(&instance, Some(&limit), &actor()).await;
    limited.unwrap();
    hosts.take_turns(turns);
    let place = async |host: &Record| host.place_order(order(instance.id, 6, None), &actor()).await;
    let (one, other) = hosts
        .at_once(NO_ORDER_YET, place(&hosts.one), place(&hosts.other))
        .await;
    for placed in [one, other] {
        assert!(
            matches!(placed, Ok(_) | Err(PlaceError::SpendingLimit(_))),
            "{placed:?}"
        );
    }
    hosts.one.spending_today(&instance).await.unwrap().used_units
}

#[tokio::test]
async fn two_hosts_do_not_pass_a_limit_together() {
    assert_eq!(sold_at_once(true).await, 6);
}

#[tokio::test]
async fn without_the_turn_two_hosts_pass_a_limit_together() {
    assert_eq!(sold_at_once(false).await, 12);
}

fn license(taken: &TakenAsset) -> License {
    let name = taken.attempt.client_transaction_id.to_string();
    License {
        product_key: Secret::new(format!("{name}-AAAAA")),
        transaction_id: format!("t of {name}"),
        license_token_id: format!("token of {name}"),
        client_transaction_id: name,
        activation_link: None,
        license_token_status: LicenseTokenStatus::Unused,
        return_status: ReturnStatus::None,
        purchased_at_ms: i64::MAX / 2,
        returnable_until_ms: None,
    }
}

async fn take(host: &Record, instance: Uuid, limit: u32) -> Vec<TakenAsset> {
    let worker = host.start_worker().await.unwrap();
    let selection = AssetSelection {
        limit,
        instance: Some(instance),
        ..AssetSelection::default()
    };
    host.take_assets(worker.id(), &selection).await.unwrap()
}

async fn finish(host: &Record, taken: &TakenAsset) {
    let outcome = AttemptOutcome::Licensed(license(taken));
    let finished = host.finish_attempt(taken.asset_id, taken.attempt.number, outcome, 0);
    finished.await.unwrap();
}

/// The numbers of all charges.
async fn numbers(record: &Record) -> BTreeSet<String> {
    let charges = record
        .charges(&ChargeFilter::default(), &Page::all())
        .await
        .unwrap();
    let numbers = charges.rows.iter().map(|charge| charge.number.to_string());
    numbers.collect()
}

#[tokio::test]
async fn two_hosts_number_the_charges_of_an_instance_without_gaps_also_after_one_was_undone() {
    let hosts = Hosts::empty().await;
    let instance = shop(&hosts.one, "shop").await;
    let placed = hosts.one.place_order(order(instance, 8, None), &actor()).await;
    placed.unwrap();
    let of_one = take(&hosts.one, instance, 4).await;
    let of_other = take(&hosts.other, instance, 4).await;
    for (one, other) in of_one.iter().zip(&of_other) {
        tokio::join!(finish(&hosts.one, one), finish(&hosts.other, other));
        let mut undone = hosts.one.writer.begin_write().await.unwrap();
        let count = "UPDATE charge_series SET last_charge = last_charge + 1";
        undone.sql(count).execute().await.unwrap();
        undone.rollback().await.unwrap();
    }
    let expected = (1..=8).map(|number| format!("SHOP-{number:06}"));
    assert_eq!(numbers(&hosts.other).await, expected.collect());
}

/// What becomes of one prefix of charges that two hosts choose for an instance each.
async fn chosen_at_once(turns: bool) -> [Result<ChargeSeries, ChargePrefixError>; 2] {
    let hosts = Hosts::empty().await;
    let (first, second) = (shop(&hosts.one, "one").await, shop(&hosts.one, "other").await);
    hosts.take_turns(turns);
    let choose = async |host: &Record, instance| {
        let prefix = "SHOP".parse().unwrap();
        host.set_charge_prefix(instance, prefix, &actor()).await
    };
    let (one, other) = hosts
        .at_once(
            "LOCK TABLE charge_series IN SHARE MODE",
            choose(&hosts.one, first),
            choose(&hosts.other, second),
        )
        .await;
    [one, other]
}

#[tokio::test]
async fn two_hosts_give_a_prefix_of_charges_to_one_instance() {
    let chosen = chosen_at_once(true).await;
    let refused = |chosen: &Result<_, _>| matches!(chosen, Err(ChargePrefixError::Taken { .. }));
    assert_eq!(
        chosen.iter().filter(|chosen| refused(chosen)).count(),
        1,
        "{chosen:?}"
    );
}

#[tokio::test]
async fn without_the_turn_two_hosts_give_one_prefix_to_two_instances() {
    let [one, other] = chosen_at_once(false).await.map(Result::unwrap);
    assert_eq!(one.prefix, other.prefix, "their numbers are the same");
}

/// What becomes of settings that two hosts save at the same time.
async fn saved_at_once(turns: bool) -> [Result<String, SaveError>; 2] {
    let hosts = Hosts::empty().await;
    let instance = shop(&hosts.one, "shop").await;
    hosts.take_turns(turns);
    let save = async |host: &Record, country: &str| {
        let saved = host.save_settings(instance, 1, settings(country), &actor()).await;
        saved.map(|saved| saved.values["country"].clone())
    };
    let (one, other) = hosts
        .at_once(
            "SELECT id FROM instances FOR UPDATE",
            save(&hosts.one, "DE"),
            save(&hosts.other, "FR"),
        )
        .await;
    let now = hosts.one.instance_by_id(instance).await.unwrap().unwrap();
    let saved = [one, other];
    let done: Vec<&String> = saved.iter().flatten().collect();
    assert_eq!(done, [&now.values["country"]], "{saved:?}");
    saved
}

#[tokio::test]
async fn of_two_hosts_that_save_settings_one_is_told_of_a_conflict() {
    let saved = saved_at_once(true).await;
    let conflict = |saved: &Result<_, _>| matches!(saved, Err(SaveError::Conflict { found: 2, .. }));
    assert_eq!(
        saved.iter().filter(|saved| conflict(saved)).count(),
        1,
        "{saved:?}"
    );
}

#[tokio::test]
async fn without_the_turn_one_of_two_hosts_takes_the_settings_of_the_other_for_damage() {
    let saved = saved_at_once(false).await;
    let damage = |saved: &Result<_, _>| matches!(saved, Err(SaveError::Record(RecordError::Damaged { .. })));
    assert_eq!(saved.iter().filter(|saved| damage(saved)).count(), 1, "{saved:?}");
}

/// How many of two hosts take the one run that waits.
async fn run_at_once(turns: bool) -> usize {
    let hosts = Hosts::empty().await;
    let instance = shop(&hosts.one, "shop").await;
    let started = hosts.one.start_services_run(instance, None, &actor()).await;
    started.unwrap();
    hosts.take_turns(turns);
    let take = async |host: &Record| {
        let lease = RunLease {
            owner: Uuid::new_v4(),
            length: Duration::from_secs(60),
        };
        host.take_services_run(lease).await.unwrap()
    };
    let (one, other) = hosts
        .at_once(
            "SELECT id FROM services_runs FOR UPDATE",
            take(&hosts.one),
            take(&hosts.other),
        )
        .await;
    one.iter().chain(&other).count()
}

#[tokio::test]
async fn one_of_two_hosts_takes_a_run() {
    assert_eq!(run_at_once(true).await, 1);
}

#[tokio::test]
async fn without_the_turn_two_hosts_take_one_run() {
    assert_eq!(run_at_once(false).await, 2);
}

/// The returns that each of two hosts takes at the same time, three at most.
async fn returned_at_once(turns: bool) -> [BTreeSet<Uuid>; 2] {
    let hosts = Hosts::new(true).await;
    for number in 1..=6 {
        let row = hosts.one.writer.sql(
            "INSERT INTO cancellations (id, asset_id, number, state, requester_kind, requester_name, comment, requested_at_ms,
                                        return_client_transaction_id, due_at_ms)
             VALUES ($1, $1, 1, 'returning', 'operator', 'test', '', 1, $1, $2)",
        );
        let row = row.bind(id_of(number).to_string()).bind(number);
        row.execute().await.unwrap();
    }
    hosts.take_turns(turns);
    let take = async |host: &Record| {
        let worker = host.start_worker().await.unwrap();
        let taken = host.take_returns(worker.id(), 3, None, &[]).await.unwrap();
        taken.iter().map(|taken| taken.cancellation_id).collect()
    };
    let (one, other) = hosts
        .at_once(
            "SELECT id FROM cancellations FOR UPDATE",
            take(&hosts.one),
            take(&hosts.other),
        )
        .await;
    [one, other]
}

#[tokio::test]
async fn two_hosts_take_other_returns() {
    let [one, other] = returned_at_once(true).await;
    assert_eq!((one.len(), other.len()), (3, 3));
    assert!(one.is_disjoint(&other), "{one:?} {other:?}");
}

#[tokio::test]
async fn without_the_turn_two_hosts_take_the_same_returns() {
    let [one, other] = returned_at_once(false).await;
    assert_eq!(one, other);
}
