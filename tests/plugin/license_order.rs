//! Ordering: every unit bought exactly once, whatever happens to the answer.

use bss_model::{
    Asset, AssetFilter, AttemptResult, MailFilter, Page, ProductFilter, ProductType, ServicesDefinition,
    SyncStatus,
};
use bss_record::RECORD_FILE;
use bss_simulator::{Fault, Operation, Repeat, When};
use host_harness::PlaceError;

use crate::component::component;
use crate::guests::{quantity_teller, seller};
use crate::record_cli::{ORIGINAL, alter};
use crate::record_place;
use crate::scenario::{DONE, INSTANCE, Scenario, actor, assert_ends, order_request, silent};

/// Checks that every license that Microsoft issued is on exactly one asset, and the other way round.
async fn assert_agreement(scenario: &Scenario, assets: &[Asset]) {
    let mut recorded: Vec<_> = assets
        .iter()
        .filter(|asset| asset.masked_product_key.is_some())
        .map(|asset| asset.client_transaction_id.to_string())
        .collect();
    let mut issued = scenario.issued().await;
    recorded.sort();
    issued.sort();
    assert_eq!(recorded, issued);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_unit_of_an_order_becomes_a_license_of_its_own() {
    let scenario = Scenario::selling().await;
    let offers = scenario.offers().await;
    let assets = scenario.order(&offers[0], 2).await;
    assert_eq!(assets.len(), 2);
    assert!(
        assets
            .iter()
            .all(|asset| asset.sync_status == SyncStatus::Synchronized),
        "{assets:?}"
    );
    let secrets = scenario.secrets(&assets).await;
    assert_ne!(secrets[0].product_key.expose(), secrets[1].product_key.expose());
    assert_agreement(&scenario, &assets).await;
}

/// Orders one license while Microsoft answers the first purchase with a fault, resumes the order if need be, and checks
/// that one license was bought.
async fn bought_once_despite(fault: Fault) {
    let scenario = Scenario::selling().await;
    let offers = scenario.offers().await;
    scenario
        .microsoft
        .faults()
        .order(Operation::Purchase, fault.clone(), Repeat::Times(1));
    let mut assets = scenario.order(&offers[0], 1).await;
    if assets[0].sync_status == SyncStatus::Unsynchronised {
        let order = assets[0].order_id;
        assets = scenario
            .host
            .run_order(order, silent())
            .await
            .expect("the order is resumed");
    }
    assert_eq!(
        assets[0].sync_status,
        SyncStatus::Synchronized,
        "{fault:?}: {:?}",
        assets[0].reason
    );
    assert_eq!(scenario.issued().await.len(), 1, "{fault:?}");
    assert_agreement(&scenario, &assets).await;
    let attempts = scenario
        .host
        .record()
        .attempts(assets[0].id)
        .await
        .expect("its history");
    assert!(attempts.len() > 1, "{fault:?} did nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_license_is_bought_once_although_the_connection_is_reset_after_it_was_issued() {
    bought_once_despite(Fault::Reset(When::AfterActing)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_license_is_bought_once_although_the_connection_is_reset_before_it_was_issued() {
    bought_once_despite(Fault::Reset(When::BeforeActing)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_license_is_bought_once_although_the_answer_is_cut_in_half() {
    bought_once_despite(Fault::CutAnswer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_license_is_bought_once_although_a_proxy_answers_in_html() {
    bought_once_despite(Fault::Html(502, When::AfterActing)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_license_is_bought_once_although_the_answer_is_not_json() {
    bought_once_despite(Fault::NotJson(When::AfterActing)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_stays_open_until_microsoft_can_be_asked() {
    let scenario = Scenario::selling().await;
    let offers = scenario.offers().await;
    let faults = scenario.microsoft.faults();
    faults.order(
        Operation::Purchase,
        Fault::Reset(When::AfterActing),
        Repeat::Always,
    );
    faults.order(
        Operation::LookUp,
        Fault::Html(500, When::BeforeActing),
        Repeat::Always,
    );
    let assets = scenario.order(&offers[0], 1).await;
    assert_eq!(
        assets[0].sync_status,
        SyncStatus::Unsynchronised,
        "unknown is not failed"
    );
    assert_eq!(
        assets[0].reason.as_ref().map(|reason| reason.result),
        Some(AttemptResult::Unknown)
    );
    assert_eq!(
        faults.requests_seen(Operation::Purchase),
        1,
        "nothing is bought while nobody knows"
    );
    faults.clear();
    // As after a crash: another start of the host goes on with the order.
    let host = record_place::open(&scenario.folder.path().join("bss"), component())
        .await
        .expect("the host opens");
    let assets = host
        .run_order(assets[0].order_id, silent())
        .await
        .expect("the order is resumed");
    assert_eq!(assets[0].sync_status, SyncStatus::Synchronized);
    assert_agreement(&scenario, &assets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_the_purchase_and_its_record_loses_nothing() {
    let scenario = Scenario::selling().await;
    let offers = scenario.offers().await;
    let request = order_request(&offers[0], 1);
    let order = scenario
        .host
        .place_order(INSTANCE, request, &actor())
        .await
        .expect("the order is placed")
        .into_order();
    // The call ends when its future is dropped, at some moment after Microsoft has acted.
    let slow = Fault::DelayAnswer(std::time::Duration::from_secs(10));
    scenario
        .microsoft
        .faults()
        .order(Operation::Purchase, slow, Repeat::Times(1));
    let host = scenario.host.clone();
    let call = tokio::spawn(async move { host.run_order(order.id, silent()).await });
    while scenario.issued().await.is_empty() {
        tokio::task::yield_now().await;
    }
    call.abort();
    let _ = call.await;
    let assets = scenario
        .host
        .run_order(order.id, silent())
        .await
        .expect("the order is resumed");
    assert_eq!(assets[0].sync_status, SyncStatus::Synchronized);
    assert_agreement(&scenario, &assets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_final_and_says_why() {
    let scenario = Scenario::selling().await;
    let offers = scenario.offers().await;
    let refusal = Fault::Refusal {
        status: 403,
        code: "CountryNotAllowed".into(),
        retry_after: None,
    };
    scenario
        .microsoft
        .faults()
        .order(Operation::Purchase, refusal, Repeat::Times(1));
    let assets = scenario.order(&offers[0], 1).await;
    assert_eq!(assets[0].sync_status, SyncStatus::Failed);
    let reason = assets[0].reason.as_ref().expect("a reason");
    assert_eq!(reason.result, AttemptResult::Refused);
    assert!(!reason.problem.advice.is_empty(), "{reason:?}");
    assert!(scenario.issued().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_microsoft_is_asked_again_after_the_pause_that_it_asks_for() {
    let scenario = Scenario::selling().await;
    let offers = scenario.offers().await;
    let busy = Fault::Refusal {
        status: 429,
        code: "Throttled".into(),
        retry_after: Some(1),
    };
    scenario
        .microsoft
        .faults()
        .order(Operation::Purchase, busy, Repeat::Times(1));
    let started = std::time::Instant::now();
    let assets = scenario.order(&offers[0], 1).await;
    assert_eq!(
        assets[0].sync_status,
        SyncStatus::Synchronized,
        "{:?}",
        assets[0].reason
    );
    assert!(
        started.elapsed() >= std::time::Duration::from_secs(1),
        "it was not left alone"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_offer_is_refused_and_nothing_is_written() {
    let scenario = Scenario::selling().await;
    let refused = scenario
        .host
        .place_order(INSTANCE, order_request("NO-SUCH-OFFER", 1), &actor())
        .await;
    let Err(PlaceError::Order(bss_record::PlaceError::UnknownProduct { code })) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(code, "NO-SUCH-OFFER");
    assert!(
        scenario
            .host
            .record()
            .assets(&bss_model::AssetFilter::default(), &Page::all())
            .await
            .expect("assets")
            .rows
            .is_empty()
    );
    assert_eq!(scenario.microsoft.faults().requests_seen(Operation::Purchase), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_order_with_the_same_key_is_the_same_order() {
    let scenario = Scenario::selling().await;
    let offers = scenario.offers().await;
    let mut request = order_request(&offers[0], 1);
    request.idempotency_key = Some("K-1".into());
    let first = scenario
        .host
        .place_order(INSTANCE, request.clone(), &actor())
        .await
        .expect("the order is placed")
        .into_order();
    let second = scenario
        .host
        .place_order(INSTANCE, request.clone(), &actor())
        .await
        .expect("it is the same")
        .into_order();
    assert_eq!(first.id, second.id);
    request.idempotency_key = Some("K-2".into());
    let third = scenario
        .host
        .place_order(INSTANCE, request, &actor())
        .await
        .expect("it is another")
        .into_order();
    assert_ne!(first.id, third.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_not_ready_can_not_order() {
    let scenario = Scenario::start().await;
    scenario.new_instance(INSTANCE).await;
    let refused = scenario
        .host
        .place_order(INSTANCE, order_request("X", 1), &actor())
        .await
        .expect_err("not ready");
    assert!(refused.to_string().contains("not ready"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_not_placed_where_no_plugin_could_buy_it() {
    let scenario = Scenario::selling().await;
    let offers = scenario.offers().await;
    let database = scenario.folder.path().join(ORIGINAL).join(RECORD_FILE);
    alter(&database, "DELETE FROM plugins").await;
    let missing = scenario.folder.path().join("missing.wasm");
    let host = record_place::open(&scenario.folder.path().join("bss"), &missing).await;
    let host = host.expect("the host opens");
    let placed = host
        .place_order(INSTANCE, order_request(&offers[0], 1), &actor())
        .await;
    assert!(matches!(placed, Err(PlaceError::Prepare(_))), "{placed:?}");
    let filter = bss_model::AssetFilter::default();
    let assets = host.record().assets(&filter, &Page::all()).await;
    assert_eq!(assets.expect("the record").rows, []);
}

/// What a guest sells: product key, activation link, and token and return status.
type Sold<'a> = (&'a str, &'a str, [u8; 2]);

const ACTIVATED: [u8; 2] = [0, 0];

/// The one asset of a new order, after a plugin has sold it that license.
async fn sold_by(scenario: &Scenario, (product_key, activation_link, statuses): Sold<'_>) -> Asset {
    let product = scenario.offers().await.remove(0);
    let order = scenario
        .host
        .place_order(INSTANCE, order_request(&product, 1), &actor())
        .await
        .expect("the order is placed")
        .into_order();
    let file = scenario.folder.path().join("seller.wasm");
    std::fs::write(&file, seller(product_key, activation_link, statuses)).expect("the guest's file");
    scenario.trust(&file).await;
    // The run says by its exit code that something is open; what is on record counts.
    scenario.bss_host(&["run", "--once"]);
    let filter = AssetFilter {
        order: Some(order.id),
        ..AssetFilter::default()
    };
    let assets = scenario.host.record().assets(&filter, &Page::all()).await;
    assets.expect("the assets").rows.remove(0)
}

/// Has a guest sell what it says is a license. Fails unless the purchase is unknown, and returns the code of the reason.
async fn not_licensed(scenario: &Scenario, sold: Sold<'_>) -> String {
    let asset = sold_by(scenario, sold).await;
    assert_ne!(asset.sync_status, SyncStatus::Synchronized, "{sold:?}");
    let attempts = scenario.host.record().attempts(asset.id).await;
    let first = attempts.expect("the history").remove(0);
    assert_eq!(first.result, Some(AttemptResult::Unknown));
    first.problem.expect("why").code
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_a_license_is_never_licensed_and_never_mailed() {
    let scenario = Scenario::selling().await;
    for sold in [
        (
            "AAAAA\nYour account is locked: go to https://evil.example",
            "",
            ACTIVATED,
        ),
        ("", "", ACTIVATED),
        ("AAAAA-BBBBB", "http://setup.example.com/", ACTIVATED),
        ("AAAAA-BBBBB", "https://microsoft.com@evil.example/", ACTIVATED),
        // Returned, and not taken back; and the other way round.
        ("AAAAA-BBBBB", "", [3, 0]),
        ("AAAAA-BBBBB", "", [0, 1]),
    ] {
        let code = not_licensed(&scenario, sold).await;
        assert_eq!(code, "license-defect", "{sold:?}");
    }
    let mails = async || {
        scenario
            .host
            .record()
            .mails(&MailFilter::default(), &Page::all())
            .await
            .expect("the outbox")
            .rows
    };
    assert!(mails().await.is_empty());

    // What could be a license was brought by no exchange.
    let link = "https://setup.example.com/?token=x";
    let code = not_licensed(&scenario, ("AAAAA-BBBBB", link, ACTIVATED)).await;
    assert_eq!(code, "license-without-exchange");
    assert!(mails().await.is_empty());
}

/// A scenario whose products' type does not split quantities any more, worked on by a plugin that refuses everything and says
/// the quantity that it was told. Returns a product's code, too.
async fn selling_whole() -> (Scenario, String) {
    let scenario = Scenario::selling().await;
    let record = scenario.host.record();
    let instance = scenario
        .host
        .named_instance(INSTANCE)
        .await
        .expect("the instance");
    let products = record
        .products(instance.id, &ProductFilter::default(), &Page::all())
        .await
        .expect("the products")
        .rows;
    let whole = |product_type| ProductType {
        split_quantity: false,
        ..product_type
    };
    let product_types = record.product_types(instance.id).await.expect("the types");
    let catalog = ServicesDefinition {
        product_types: product_types.into_iter().map(whole).collect(),
        products: products.into_iter().map(|product| product.offered).collect(),
        ..ServicesDefinition::default()
    };
    let applied = record.apply_services_definition(instance.id, catalog).await;
    applied.expect("the catalog");
    tell_quantities(&scenario).await;
    let product = scenario.offers().await.remove(0);
    (scenario, product)
}

/// Has a plugin refuse everything from now on, and say the quantity that it was told.
async fn tell_quantities(scenario: &Scenario) {
    let file = scenario.folder.path().join("teller.wasm");
    std::fs::write(&file, quantity_teller()).expect("the guest's file");
    scenario.trust(&file).await;
}

/// The quantities that a plugin was told in the purchases of an order.
async fn told_to_buy(scenario: &Scenario, product: &str, quantity: u32) -> Vec<String> {
    let assets = scenario.order(product, quantity).await;
    let said = assets
        .into_iter()
        .map(|asset| asset.reason.expect("it is refused").problem.message);
    said.collect()
}

/// The quantity that a plugin was told in the check of an order.
async fn told_to_check(scenario: &Scenario, product: &str, quantity: u32) -> String {
    let request = order_request(product, quantity);
    match scenario.host.check_order(INSTANCE, request, silent()).await {
        Err(PlaceError::Refused { problem, .. }) => problem.message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_told_all_units_of_a_product_whose_type_does_not_split_them() {
    let (scenario, product) = selling_whole().await;
    assert_eq!(told_to_check(&scenario, &product, 3).await, "3 1");
    assert_eq!(told_to_buy(&scenario, &product, 3).await, ["3 0"]);
    assert_eq!(told_to_buy(&scenario, &product, 1).await, ["1 0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_told_one_unit_at_a_time_of_a_product_whose_type_splits_them() {
    let scenario = Scenario::selling().await;
    let product = scenario.offers().await.remove(0);
    tell_quantities(&scenario).await;
    assert_eq!(told_to_check(&scenario, &product, 3).await, "1 1");
    assert_eq!(told_to_buy(&scenario, &product, 3).await, ["1 0"; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_units_are_the_same_order_whether_they_are_split_or_not() {
    let (scenario, product) = selling_whole().await;
    let request = order_request(&product, 3);
    let placed = scenario
        .host
        .place_order(INSTANCE, request.clone(), &actor())
        .await;
    let placed = placed.expect("the order is placed").into_order();
    let same = scenario.host.same_order(INSTANCE, &request).await;
    assert_eq!(same.expect("the record").map(|order| order.id), Some(placed.id));
    let mut fewer = request;
    fewer.lines[0].quantity = 1;
    let same = scenario.host.same_order(INSTANCE, &fewer).await;
    assert_eq!(same.expect("the record"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_license_for_several_units_is_shown_with_their_number() {
    let (scenario, product) = selling_whole().await;
    let asset = scenario.order(&product, 3).await.remove(0);
    let [order, id] = [asset.order_id, asset.id].map(|id| id.to_string());
    let shown = |arguments: &[&str]| {
        let output = scenario.bss_host(arguments);
        assert_ends(&output, DONE);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(shown(&["order", "show", &order]).contains(&format!("3 × {product}")));
    let table = shown(&["asset", "show", &id]);
    let quantity = table.lines().find(|line| line.contains("Quantity"));
    assert!(quantity.is_some_and(|line| line.contains('3')), "{table}");
    let views = scenario.json(&["order", "show", &order]);
    assert_eq!(views["assets"][0]["quantity"], 3);

    let single = scenario.order(&product, 1).await.remove(0);
    let table = shown(&["order", "show", &single.order_id.to_string()]);
    assert!(table.contains(&product) && !table.contains('×'), "{table}");
}
