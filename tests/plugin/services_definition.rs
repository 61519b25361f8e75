//! Get Services Definition, through the component, over mutual TLS.

use std::time::Duration;

use bss_model::{Page, ProductFilter};
use bss_sandbox::bindings::failures::ReadFailure;
use bss_simulator::{Catalog, Fault, Operation, Repeat, When};
use host_harness::ServicesError;

use crate::cli::assert_fails;
use crate::scenario::{ATTENTION, INSTANCE, REFUSED, Scenario, actor, assert_ends, silent};

async fn products(scenario: &Scenario) -> Vec<(String, String, bool)> {
    let instance = scenario
        .host
        .named_instance(INSTANCE)
        .await
        .expect("the instance");
    let products = scenario
        .host
        .record()
        .products(instance.id, &ProductFilter::default(), &Page::all())
        .await
        .expect("products")
        .rows;
    products
        .into_iter()
        .map(|product| (product.offered.code, product.offered.name, product.discontinued))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_becomes_products_that_are_neither_active_nor_published() {
    let scenario = Scenario::ready().await;
    let run = scenario
        .host
        .fetch_services(INSTANCE, &actor(), silent())
        .await
        .expect("the catalog is read");
    assert!(!run.difference.new.is_empty());
    let instance = scenario
        .host
        .named_instance(INSTANCE)
        .await
        .expect("the instance");
    let products = scenario
        .host
        .record()
        .products(instance.id, &ProductFilter::default(), &Page::all())
        .await
        .expect("products")
        .rows;
    assert_eq!(products.len(), run.difference.new.len());
    assert!(
        products
            .iter()
            .all(|product| !product.active && !product.published && !product.discontinued)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_catalog_changes_nothing() {
    let scenario = Scenario::selling().await;
    let before = products(&scenario).await;
    let run = scenario
        .host
        .fetch_services(INSTANCE, &actor(), silent())
        .await
        .expect("the catalog is read");
    assert!(run.unchanged);
    assert_eq!(products(&scenario).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_is_gone_is_marked_and_one_that_returns_is_revived() {
    let scenario = Scenario::selling().await;
    let whole = scenario.microsoft.catalog();
    let mut reduced = whole.clone();
    let gone = reduced.offers.remove(0).offer_id;
    scenario.microsoft.set_catalog(reduced);
    let run = scenario
        .host
        .fetch_services(INSTANCE, &actor(), silent())
        .await
        .expect("the catalog is read");
    assert_eq!(run.difference.discontinued, std::slice::from_ref(&gone));
    scenario.microsoft.set_catalog(whole);
    let run = scenario
        .host
        .fetch_services(INSTANCE, &actor(), silent())
        .await
        .expect("the catalog is read");
    assert_eq!(run.difference.revived, [gone]);
}

/// Reads a catalog with a fault, and checks that nothing has changed: a catalog that is not read to its end must not.
async fn leaves_the_catalog_as_it_was(fault: Fault) -> ReadFailure {
    let scenario = Scenario::selling().await;
    let before = products(&scenario).await;
    let mut reduced = scenario.microsoft.catalog();
    reduced.offers.truncate(1);
    scenario.microsoft.set_catalog(reduced);
    scenario
        .microsoft
        .faults()
        .order(Operation::Catalog, fault, Repeat::Always);
    let failure = scenario
        .host
        .fetch_services(INSTANCE, &actor(), silent())
        .await
        .expect_err("it can't be read");
    assert_eq!(products(&scenario).await, before);
    match failure {
        ServicesError::Read(failure) => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_not_json_is_malformed() {
    let failure = leaves_the_catalog_as_it_was(Fault::NotJson(When::BeforeActing)).await;
    assert!(matches!(failure, ReadFailure::Malformed(_)), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_cut_in_half_is_unavailable() {
    let failure = leaves_the_catalog_as_it_was(Fault::CutAnswer).await;
    assert!(matches!(failure, ReadFailure::Unavailable(_)), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_end_is_refused_and_does_not_fill_the_memory() {
    let failure = leaves_the_catalog_as_it_was(Fault::HugeAnswer(1 << 30)).await;
    assert!(!matches!(failure, ReadFailure::Refused(_)), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_continuation_that_leads_in_a_circle_is_malformed() {
    let failure = leaves_the_catalog_as_it_was(Fault::RepeatContinuation).await;
    assert!(matches!(failure, ReadFailure::Malformed(_)), "{failure:?}");
}

/// A call has a thousand handles, and each exchange takes some: none may be kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_of_more_pages_than_a_call_has_handles_is_read_to_its_end() {
    let scenario = Scenario::ready().await;
    scenario.microsoft.set_catalog(Catalog {
        page_size_max: 2,
        ..Catalog::generated(2_300)
    });
    let run = scenario
        .host
        .fetch_services(INSTANCE, &actor(), silent())
        .await
        .expect("the catalog is read");
    assert_eq!(run.difference.new.len(), 2_300);
    assert_eq!(
        scenario.microsoft.faults().requests_seen(Operation::Catalog),
        1_150
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_s_error_page_is_unavailable_and_a_delay_is_waited_for() {
    let failure = leaves_the_catalog_as_it_was(Fault::Html(502, When::BeforeActing)).await;
    assert!(matches!(failure, ReadFailure::Unavailable(_)), "{failure:?}");

    let scenario = Scenario::ready().await;
    let slow = Fault::DelayAnswer(Duration::from_millis(300));
    scenario
        .microsoft
        .faults()
        .order(Operation::Catalog, slow, Repeat::Times(1));
    scenario
        .host
        .fetch_services(INSTANCE, &actor(), silent())
        .await
        .expect("it comes in the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_lost_half_of_what_is_on_sale_is_shown_first_and_applied_once_it_is_accepted() {
    let scenario = Scenario::selling().await;
    let whole = scenario.microsoft.catalog();
    let mut half = whole.clone();
    half.offers.truncate(half.offers.len() / 2);
    scenario.microsoft.set_catalog(half);
    let sold = || {
        let products = scenario.json(&["services", "products", INSTANCE]);
        let products = products.as_array().expect("a list").clone();
        let is_sold = |product: &&serde_json::Value| product["discontinued"] == false;
        products.iter().filter(is_sold).count()
    };
    let before = sold();

    let preview = scenario.json(&["services", "fetch", INSTANCE, "--dry-run"]);
    // Some offers of the catalog are not sold.
    assert_eq!(preview["dryRun"], true);
    let lost = preview["discontinued"].as_array().expect("a list").len();
    assert!(lost * 3 > before && lost < before, "{preview}");
    let fetched = scenario.bss_host(&["services", "fetch", INSTANCE]);
    let accept = format!("bss-host services accept {INSTANCE}");
    assert_fails(
        &fetched,
        REFUSED,
        &[&format!("would discontinue {lost} of"), &accept],
    );
    assert_eq!(sold(), before);
    let runs = scenario.json(&["services", "runs", INSTANCE]);
    assert_eq!(runs[0]["state"], "awaits-acceptance");
    assert_eq!(runs.as_array().map(Vec::len), Some(2), "a dry run is none");
    let run = runs[0]["id"].as_str().expect("an id");
    let listed = ["services", "products", INSTANCE, "--run", run, "--discontinued"];
    assert_eq!(scenario.json(&listed).as_array().map(Vec::len), Some(lost));
    assert_eq!(scenario.json(&["alert", "list"])[0]["kind"], "catalog-shrank");
    assert_ends(&scenario.bss_host(&["status"]), ATTENTION);

    let accepted = scenario.json(&["services", "accept", INSTANCE]);
    assert_eq!(accepted["discontinued"], lost);
    assert_eq!(accepted["accepts"], run, "the run that is accepted is named");
    assert_eq!(sold(), before - lost);
    assert_eq!(scenario.json(&["alert", "list"]), serde_json::json!([]));
    assert_fails(
        &scenario.bss_host(&["services", "accept", INSTANCE]),
        REFUSED,
        &["awaits acceptance"],
    );
    // An operator who trusts the vendor has no run wait.
    scenario.json(&["services", "limit", INSTANCE, "--discontinue", "100"]);
    let mut one = whole;
    one.offers.truncate(1);
    scenario.microsoft.set_catalog(one);
    scenario.json(&["services", "fetch", INSTANCE]);
    assert_eq!(sold(), 1);
}
