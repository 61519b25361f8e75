//! Withdrawals: a withdrawn line is never taken, and what may be bought is not withdrawn before that is certain.

use std::collections::BTreeSet;

use bss_model::{
    ActFilter, AlertFilter, Asset, AssetFilter, AssetSelection, AssetStatus, AttemptOutcome, OutcomeCursor,
    OutcomeKind, Page, SyncStatus, WithdrawalEnd,
};
use bss_record::{Record, RetryError, WithdrawError};
use uuid::Uuid;

use crate::orders::{begin, license, order, problem, shop};
use crate::record::{TestRecord, actor};

async fn placed(record: &Record, quantity: u32) -> (Uuid, Vec<Uuid>) {
    let instance = shop(record).await;
    let placed = record
        .place_order(order(instance, &[("a", quantity)]), &actor())
        .await;
    let order = placed.unwrap().into_order();
    (order.id, order.lines.iter().map(|line| line.asset_id).collect())
}

async fn withdraw(record: &Record, order: Uuid, assets: &[Uuid]) -> Vec<WithdrawalEnd> {
    let lines = record.withdraw_order(order, assets, &actor()).await.unwrap();
    lines.iter().map(|line| line.end).collect()
}

async fn asset(record: &Record, id: Uuid) -> Asset {
    record.asset(id).await.unwrap().unwrap()
}

fn assert_withdrawn(asset: &Asset) {
    assert_eq!(
        (asset.status, asset.sync_status),
        (AssetStatus::Withdrawn, SyncStatus::Withdrawn)
    );
}

async fn take(record: &Record, order: Uuid) -> Vec<bss_model::TakenAsset> {
    let worker = record.start_worker().await.unwrap();
    let taking = AssetSelection {
        order: Some(order),
        limit: 100,
        ..AssetSelection::default()
    };
    let taken = record.take_assets(worker.id(), &taking).await.unwrap();
    record.end_worker(worker).await.unwrap();
    taken
}

async fn outcomes(record: &Record) -> Vec<OutcomeKind> {
    let outcomes = record.outcomes(OutcomeCursor::START, 100, None).await.unwrap();
    outcomes.iter().map(|outcome| outcome.kind).collect()
}

async fn acts(record: &Record) -> usize {
    let filter = ActFilter::default();
    let acts = record.acts(&filter, 1_000.try_into().unwrap()).await.unwrap();
    acts.iter()
        .filter(|act| act.act == bss_model::Act::WithdrawAsset)
        .count()
}

#[tokio::test]
async fn a_line_that_was_never_attempted_is_withdrawn_at_once_and_never_taken() {
    let record = TestRecord::open().await;
    let (order, assets) = placed(&record, 3).await;
    assert_eq!(
        withdraw(&record, order, &assets[..1]).await,
        [WithdrawalEnd::Withdrawn]
    );
    assert_withdrawn(&asset(&record, assets[0]).await);
    let taken: Vec<_> = take(&record, order)
        .await
        .iter()
        .map(|taken| taken.asset_id)
        .collect();
    assert_eq!(taken, assets[1..], "the others are bought");
    assert_eq!(outcomes(&record).await, [OutcomeKind::Withdrawn]);
    let instance = asset(&record, assets[0]).await.instance_id;
    assert!(record.has_licenses(instance).await.unwrap());
    assert_eq!(acts(&record).await, 1);
}

/// Without an attempt on record, as after a backup was restored that nobody told the host of.
#[tokio::test]
async fn a_line_that_a_lost_record_may_have_bought_is_looked_up_before_it_is_withdrawn() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let mut keyed = order(instance, &[("a", 1)]);
    keyed.idempotency_key = Some("basket-1".to_owned());
    let of_a_shop = record.place_order(keyed, &actor()).await.unwrap().into_order();
    let old = record.place_order(order(instance, &[("a", 1)]), &actor()).await;
    let old = old.unwrap().into_order();
    let database = record.database();
    database
        .execute(
            "UPDATE orders SET placed_uptime_ms = placed_uptime_ms - 61000 WHERE idempotency_key IS NULL",
        )
        .await;
    for (order, why) in [
        (of_a_shop, "it may be a repetition"),
        (old, "it is older than a minute"),
    ] {
        assert_eq!(
            withdraw(&record, order.id, &[]).await,
            [WithdrawalEnd::InDoubt],
            "{why}"
        );
        let id = order.lines[0].asset_id;
        let taken = take(&record, order.id).await;
        assert!(taken[0].attempt.is_to_be_withdrawn, "{why}");
        let unavailable = AttemptOutcome::Unavailable(problem("no-answer"));
        record
            .finish_attempt(id, taken[0].attempt.number, unavailable, 0)
            .await
            .unwrap();
        assert_eq!(
            asset(&record, id).await.sync_status,
            SyncStatus::Unsynchronised,
            "no answer makes nothing certain"
        );
        let taken = take(&record, order.id).await;
        let not_bought = AttemptOutcome::NotBought(problem("not-found"));
        record
            .finish_attempt(id, taken[0].attempt.number, not_bought, 0)
            .await
            .unwrap();
        assert_withdrawn(&asset(&record, id).await);
    }
}

#[tokio::test]
async fn a_second_time_changes_nothing() {
    let record = TestRecord::open().await;
    let (order, _) = placed(&record, 2).await;
    assert_eq!(withdraw(&record, order, &[]).await, [WithdrawalEnd::Withdrawn; 2]);
    assert_eq!(
        withdraw(&record, order, &[]).await,
        [WithdrawalEnd::WithdrawnBefore; 2]
    );
    assert_eq!((acts(&record).await, outcomes(&record).await.len()), (2, 2));
}

#[tokio::test]
async fn a_refused_line_is_closed_and_its_alert_is_over_and_nobody_can_try_it_again() {
    let record = TestRecord::open().await;
    let (order, assets) = placed(&record, 1).await;
    let begun = begin(&record, assets[0]).await;
    let refused = AttemptOutcome::Refused(problem("no-stock"));
    record
        .finish_attempt(assets[0], begun.number, refused, 0)
        .await
        .unwrap();
    assert_eq!(record.open_alerts(None).await.unwrap(), 1);

    assert_eq!(withdraw(&record, order, &[]).await, [WithdrawalEnd::Withdrawn]);
    let failed = AssetFilter {
        sync_status: Some(SyncStatus::Failed),
        ..AssetFilter::default()
    };
    assert_eq!(record.assets(&failed, &Page::all()).await.unwrap().rows, []);
    assert_eq!(record.open_alerts(None).await.unwrap(), 0);
    let all = AlertFilter {
        all: true,
        ..AlertFilter::default()
    };
    assert!(record.alerts(&all, 9).await.unwrap()[0].ended_at_ms.is_some());
    let retried = record.retry_asset(assets[0], &actor()).await;
    assert!(
        matches!(retried, Err(RetryError::Withdrawn { .. })),
        "{retried:?}"
    );
    assert_withdrawn(&asset(&record, assets[0]).await);
}

#[tokio::test]
async fn a_line_that_a_worker_has_is_not_withdrawn_before_its_attempt_ends_without_a_purchase() {
    let record = TestRecord::open().await;
    let (order, assets) = placed(&record, 3).await;
    let worker = record.start_worker().await.unwrap();
    let taking = AssetSelection {
        limit: 3,
        ..AssetSelection::default()
    };
    let taken = record.take_assets(worker.id(), &taking).await.unwrap();
    assert_eq!(withdraw(&record, order, &[]).await, [WithdrawalEnd::InDoubt; 3]);
    let id = |at: usize| (taken[at].asset_id, taken[at].attempt.client_transaction_id);
    for (at, outcome) in [
        (0, AttemptOutcome::Unavailable(problem("busy"))),
        (1, AttemptOutcome::Licensed(license(id(1).1, "t-1"))),
        (2, AttemptOutcome::Unknown(problem("silent"))),
    ] {
        record.finish_attempt(id(at).0, 1, outcome, 0).await.unwrap();
    }
    assert_withdrawn(&asset(&record, assets[0]).await);
    let bought = asset(&record, assets[1]).await;
    assert_eq!(
        (bought.status, bought.sync_status),
        (AssetStatus::Active, SyncStatus::Synchronized)
    );
    assert_eq!(
        asset(&record, assets[2]).await.sync_status,
        SyncStatus::Unsynchronised
    );
    assert_eq!(
        withdraw(&record, order, &[]).await,
        [
            WithdrawalEnd::WithdrawnBefore,
            WithdrawalEnd::Bought,
            WithdrawalEnd::InDoubt
        ]
    );
    assert_eq!(
        outcomes(&record).await,
        [OutcomeKind::Withdrawn, OutcomeKind::Licensed]
    );
}

#[tokio::test]
async fn a_line_in_doubt_is_only_looked_up_and_withdrawn_once_it_is_certain() {
    let record = TestRecord::open().await;
    let (order, assets) = placed(&record, 1).await;
    // Cut off: its worker has ended, and nobody knows what came of it.
    begin(&record, assets[0]).await;
    assert_eq!(withdraw(&record, order, &[]).await, [WithdrawalEnd::InDoubt]);
    assert!(asset(&record, assets[0]).await.withdrawal_asked_at_ms.is_some());
    let attempt = begin(&record, assets[0]).await;
    assert!(attempt.is_to_be_withdrawn && attempt.in_doubt.is_some());
    // What was refused meanwhile says nothing of the attempt before.
    let refused = AttemptOutcome::Refused(problem("x"));
    record
        .finish_attempt(assets[0], attempt.number, refused, 0)
        .await
        .unwrap();
    assert_eq!(
        asset(&record, assets[0]).await.sync_status,
        SyncStatus::Unsynchronised
    );

    let attempt = begin(&record, assets[0]).await;
    let not_bought = AttemptOutcome::NotBought(problem("not-bought"));
    record
        .finish_attempt(assets[0], attempt.number, not_bought, 0)
        .await
        .unwrap();
    assert_withdrawn(&asset(&record, assets[0]).await);
    assert_eq!(take(&record, order).await.len(), 0);
    assert_eq!(acts(&record).await, 1);
}

#[tokio::test]
async fn a_line_that_nobody_can_look_up_is_withdrawn_on_the_word_of_who_has_asked_the_vendor() {
    let record = TestRecord::open().await;
    let (order, assets) = placed(&record, 2).await;
    for asset in &assets {
        let begun = begin(&record, *asset).await;
        let unknown = AttemptOutcome::Unknown(problem("no-answer"));
        record
            .finish_attempt(*asset, begun.number, unknown, 0)
            .await
            .unwrap();
    }
    let on_word = async |assets: &[Uuid]| {
        let lines = record.withdraw_on_word(order, assets, &actor()).await.unwrap();
        lines.iter().map(|line| line.end).collect::<Vec<_>>()
    };
    assert_eq!(
        on_word(&assets[..1]).await,
        [WithdrawalEnd::InDoubt],
        "the request may be under way"
    );
    record
        .set_look_up_only(std::time::Duration::ZERO, &actor())
        .await
        .unwrap();
    record.database().execute("UPDATE attempts SET finished_at_ms = finished_at_ms - 3600000, finished_uptime_ms = finished_uptime_ms - 3600000,
                             begun_at_ms = begun_at_ms - 3600000, begun_uptime_ms = begun_uptime_ms - 3600000",
    )
    .await;
    assert_eq!(
        withdraw(&record, order, &assets[..1]).await,
        [WithdrawalEnd::InDoubt],
        "without a word it stays in doubt"
    );
    assert_eq!(
        on_word(&assets[..1]).await,
        [WithdrawalEnd::InDoubt],
        "nobody has looked it up"
    );
    for (code, end) in [
        ("license-defect", WithdrawalEnd::InDoubt),
        ("withdrawal-not-certain", WithdrawalEnd::Withdrawn),
    ] {
        let begun = begin(&record, assets[0]).await;
        let looked_up = AttemptOutcome::LookedUp(problem(code));
        record
            .finish_attempt(assets[0], begun.number, looked_up, 0)
            .await
            .unwrap();
        assert_eq!(on_word(&assets[..1]).await, [end], "{code}");
    }
    assert_withdrawn(&asset(&record, assets[0]).await);
    let filter = ActFilter::default();
    let acts = record.acts(&filter, 1_000.try_into().unwrap()).await.unwrap();
    let is_on_word = |detail: &String| detail.contains("\"on_word\":true");
    let details = acts.iter().filter_map(|act| act.detail.as_ref());
    let words = details.filter(|detail| is_on_word(detail)).count();
    assert_eq!(words, 1, "the books say on whose word");
    let taken: Vec<Uuid> = take(&record, order)
        .await
        .iter()
        .map(|taken| taken.asset_id)
        .collect();
    assert_eq!(taken, assets[1..], "what was not named goes on");
}

#[tokio::test]
async fn who_tries_a_line_in_doubt_again_takes_the_withdrawal_back() {
    let record = TestRecord::open().await;
    let (order, assets) = placed(&record, 1).await;
    begin(&record, assets[0]).await;
    withdraw(&record, order, &[]).await;
    record.retry_asset(assets[0], &actor()).await.unwrap();
    assert_eq!(asset(&record, assets[0]).await.withdrawal_asked_at_ms, None);
    let attempt = begin(&record, assets[0]).await;
    assert!(!attempt.is_to_be_withdrawn);
    // A look-up of before says nothing any more.
    let not_bought = AttemptOutcome::NotBought(problem("not-bought"));
    record
        .finish_attempt(assets[0], attempt.number, not_bought, 0)
        .await
        .unwrap();
    assert_eq!(
        asset(&record, assets[0]).await.sync_status,
        SyncStatus::Unsynchronised
    );
}

#[tokio::test]
async fn a_license_that_comes_after_all_is_not_hidden_behind_a_withdrawal() {
    let record = TestRecord::open().await;
    let (order, assets) = placed(&record, 1).await;
    let begun = begin(&record, assets[0]).await;
    let unavailable = AttemptOutcome::Unavailable(problem("busy"));
    record
        .finish_attempt(assets[0], begun.number, unavailable, 0)
        .await
        .unwrap();
    assert_eq!(withdraw(&record, order, &[]).await, [WithdrawalEnd::Withdrawn]);
    let late = AttemptOutcome::Licensed(license(begun.client_transaction_id, "t-1"));
    record
        .finish_attempt(assets[0], begun.number, late, 0)
        .await
        .unwrap();
    let bought = asset(&record, assets[0]).await;
    assert_eq!(
        (bought.status, bought.sync_status),
        (AssetStatus::Active, SyncStatus::Synchronized)
    );
    assert_eq!(
        outcomes(&record).await,
        [OutcomeKind::Withdrawn, OutcomeKind::Licensed]
    );
}

#[tokio::test]
async fn nothing_is_withdrawn_where_an_asset_is_of_another_order() {
    let record = TestRecord::open().await;
    let (order, assets) = placed(&record, 1).await;
    let other = Uuid::new_v4();
    let refused = record.withdraw_order(order, &[assets[0], other], &actor()).await;
    assert!(matches!(refused, Err(WithdrawError::NotOfOrder { asset, .. }) if asset == other));
    assert_eq!(asset(&record, assets[0]).await.status, AssetStatus::Active);
    let refused = record.withdraw_order(other, &[], &actor()).await;
    assert!(matches!(refused, Err(WithdrawError::NoOrder { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_either_taken_or_withdrawn_whoever_comes_first() {
    let record = TestRecord::open().await;
    let (order, assets) = placed(&record, 25).await;
    let worker = record.start_worker().await.unwrap();
    let two = AssetSelection {
        limit: 2,
        ..AssetSelection::default()
    };
    let (mut taken, mut withdrawn) = (BTreeSet::new(), BTreeSet::new());
    for three in assets.rchunks(3) {
        let who = actor();
        let (some, lines) = tokio::join!(
            record.take_assets(worker.id(), &two),
            record.withdraw_order(order, three, &who)
        );
        taken.extend(some.unwrap().iter().map(|taken| taken.asset_id));
        let lines = lines.unwrap();
        let certain = lines.iter().filter(|line| line.end == WithdrawalEnd::Withdrawn);
        withdrawn.extend(certain.map(|line| line.asset_id));
    }
    assert!(taken.is_disjoint(&withdrawn));
    assert_eq!(taken.len() + withdrawn.len(), 25);
    assert!(!taken.is_empty() && !withdrawn.is_empty());
}
