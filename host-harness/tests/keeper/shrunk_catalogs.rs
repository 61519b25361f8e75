//! Catalogs that would empty the shop: nothing is discontinued until somebody accepts it.

use bss_model::{
    AlertFilter, Choice, Decision, Diagnose as _, Difference, DifferenceFilter, Page, ProductFilter,
    RunCounts, RunState, Shrinkage,
};
use bss_record::{EndRunError, Record, StartRunError};
use uuid::Uuid;

use crate::record::{TestRecord, actor, ready_instance};
use crate::runs::lease;
use crate::services::{definition, product};

/// An instance with ten products on sale, `p0` to `p9`, and `p10`, which is not.
async fn selling(record: &Record) -> Uuid {
    let id = ready_instance(record, "esd", None).await.id;
    read(record, id, 0..11, false).await.1.unwrap();
    let codes = (0..10).map(|number| format!("p{number}")).collect();
    record
        .decide_products(id, Decision::Activate, &Choice::Codes(codes), &actor())
        .await
        .unwrap();
    id
}

/// Reads a catalog of these products in a run of its own, which accepts what an earlier one would discontinue or not.
async fn read(
    record: &Record,
    instance: Uuid,
    products: std::ops::Range<u32>,
    accepts: bool,
) -> (Uuid, Result<Difference, EndRunError>) {
    let lease = lease();
    let started = match accepts {
        true => {
            record
                .start_accepting_run(instance, None, Some(lease), &actor())
                .await
        }
        false => record.start_services_run(instance, Some(lease), &actor()).await,
    };
    let run = started.unwrap();
    let products = products.map(|number| product(&format!("p{number}"), "Office"));
    let definition = definition(products.collect());
    let ended = record.complete_services_run(run, lease, 1, definition, 0).await;
    (run, ended)
}

async fn sold(record: &Record, instance: Uuid) -> usize {
    let products = record
        .products(instance, &ProductFilter::on_sale(), &Page::all())
        .await;
    products.unwrap().rows.len()
}

async fn state(record: &Record, run: Uuid) -> RunState {
    record.services_run(run).await.unwrap().unwrap().state
}

async fn alerts(record: &Record) -> Vec<&'static str> {
    let alerts = record.alerts(&AlertFilter::default(), 100).await.unwrap();
    alerts.iter().map(|alert| alert.kind.word()).collect()
}

fn shrinkage(ended: &Result<Difference, EndRunError>) -> Option<(usize, usize)> {
    match ended {
        Err(EndRunError::Shrunk {
            shrinkage: Shrinkage { lost, on_sale },
            ..
        }) => Some((*lost, *on_sale)),
        _ => None,
    }
}

#[tokio::test]
async fn a_catalog_without_more_than_a_tenth_of_what_is_on_sale_changes_nothing_until_it_is_accepted() {
    let record = TestRecord::open().await;
    let esd = selling(&record).await;
    // Discontinued: a tenth of what is on sale, and a product that nobody buys.
    read(&record, esd, 0..9, false).await.1.unwrap();
    assert_eq!(sold(&record, esd).await, 9);

    let tag = record.services_state(esd).await.unwrap();
    let (run, ended) = read(&record, esd, 2..12, false).await;
    assert_eq!(shrinkage(&ended), Some((2, 9)));
    assert_eq!(ended.unwrap_err().diagnosis().code, "catalog-shrank");
    assert_eq!(sold(&record, esd).await, 9);
    let products = record
        .products(esd, &ProductFilter::default(), &Page::all())
        .await;
    assert_eq!(products.unwrap().rows.len(), 11, "no product is new either");
    assert_eq!(
        record.services_state(esd).await.unwrap(),
        tag,
        "the next run reads everything"
    );
    let waiting = record.services_run(run).await.unwrap().unwrap();
    assert_eq!(waiting.state, RunState::AwaitsAcceptance);
    assert_eq!(waiting.reason.unwrap().code, "catalog-shrank");
    assert_eq!((waiting.counts.new, waiting.counts.discontinued), (1, 2));
    assert_eq!(alerts(&record).await, ["catalog-shrank"]);

    let (accepting, ended) = read(&record, esd, 2..12, true).await;
    assert_eq!(ended.unwrap().discontinued, ["p0", "p1"]);
    assert_eq!(sold(&record, esd).await, 8, "two are gone, and one is back");
    assert_eq!(
        (state(&record, run).await, state(&record, accepting).await),
        (RunState::Failed, RunState::Completed)
    );
    let failed = record.services_run(run).await.unwrap().unwrap();
    let differences = record
        .services_run_differences(run, &DifferenceFilter::default(), &Page::all())
        .await
        .unwrap();
    assert_eq!(
        (failed.counts, differences.rows),
        (RunCounts::default(), vec![]),
        "what failed has changed nothing"
    );
    assert_eq!(alerts(&record).await, [] as [&str; 0]);
    let nothing = record.start_accepting_run(esd, None, None, &actor()).await;
    assert!(
        matches!(nothing, Err(StartRunError::NothingToAccept { .. })),
        "{nothing:?}"
    );
}

#[tokio::test]
async fn only_what_was_seen_is_accepted() {
    let record = TestRecord::open().await;
    let esd = selling(&record).await;
    let (first, ended) = read(&record, esd, 2..11, false).await;
    assert_eq!(shrinkage(&ended), Some((2, 10)));
    // By the time that it is accepted, more is gone.
    let (second, ended) = read(&record, esd, 5..11, true).await;
    assert_eq!(shrinkage(&ended), Some((5, 10)));
    assert_eq!(sold(&record, esd).await, 10);
    assert_eq!(
        (state(&record, first).await, state(&record, second).await),
        (RunState::Failed, RunState::AwaitsAcceptance)
    );
    assert_eq!(alerts(&record).await, ["catalog-shrank"]);
    // What has come back meanwhile is not discontinued.
    let (_, ended) = read(&record, esd, 3..11, true).await;
    assert_eq!(ended.unwrap().discontinued, ["p0", "p1", "p2"]);
    assert_eq!(sold(&record, esd).await, 7);
}

#[tokio::test]
async fn a_catalog_that_is_whole_again_is_applied_and_nothing_awaits_acceptance_any_more() {
    let record = TestRecord::open().await;
    let esd = selling(&record).await;
    let (run, ended) = read(&record, esd, 0..1, false).await;
    assert_eq!(shrinkage(&ended), Some((9, 10)));
    read(&record, esd, 0..11, false).await.1.unwrap();
    assert_eq!(
        (sold(&record, esd).await, state(&record, run).await),
        (10, RunState::Failed)
    );
    assert_eq!(alerts(&record).await, [] as [&str; 0]);
    let nothing = record.start_accepting_run(esd, None, None, &actor()).await;
    assert!(
        matches!(nothing, Err(StartRunError::NothingToAccept { .. })),
        "{nothing:?}"
    );
}

#[tokio::test]
async fn the_limit_is_an_instance_s_own() {
    let record = TestRecord::open().await;
    let esd = selling(&record).await;
    assert_eq!(record.discontinue_percent(esd).await.unwrap(), 10);
    record.limit_discontinuations(esd, 50, &actor()).await.unwrap();
    let other = ready_instance(&record, "other", None).await.id;
    assert_eq!(record.discontinue_percent(other).await.unwrap(), 10);
    read(&record, esd, 5..11, false).await.1.unwrap();
    assert_eq!(sold(&record, esd).await, 5);
    assert_eq!(shrinkage(&read(&record, esd, 8..11, false).await.1), Some((3, 5)));
    let compared = definition(vec![product("p5", "Office 2")]);
    let (difference, shrinkage) = record.compare_services_definition(esd, &compared).await.unwrap();
    assert_eq!(difference.changed.len(), 1);
    assert_eq!((shrinkage.lost, shrinkage.on_sale), (4, 5));
    assert_eq!(sold(&record, esd).await, 5, "nothing is written");
}
