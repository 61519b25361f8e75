//! A purchase that Microsoft may still be carrying out is looked up, and not sent again: not even where Microsoft would
//! issue a second license for it.

use std::time::{Duration, Instant};

use bss_model::AttemptResult::{self, Licensed, LookedUp, Unknown};
use bss_model::{Asset, SyncStatus, WithdrawalEnd};
use bss_record::RECORD_FILE;
use bss_simulator::{CertificateRequest, Fault, Operation, Repeat, Simulator, SimulatorOptions, When};
use host_harness::{CallLimits, Host};

use crate::record_cli::{ORIGINAL, alter};
use crate::scenario::{INSTANCE, Scenario, actor, order_request, silent};

/// The longest that a test waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Microsoft that carries a purchase out three seconds after its request, and issues a second license for a second
/// request; and a host that gives up on a call after one second.
async fn slow_and_forgetful() -> Scenario {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let mut options = SimulatorOptions::new(folder.path().join("microsoft"));
    options.answer_after = Duration::from_secs(6);
    options.forgets_purchases = true;
    let microsoft = Simulator::start(options).await.expect("the simulator starts");
    let scenario = Scenario::with(folder, microsoft).await.set_up_to_sell().await;
    let host = scenario.host.clone().with_call_limits(CallLimits {
        wall_clock: Duration::from_secs(1),
        ..CallLimits::default()
    });
    Scenario { host, ..scenario }
}

async fn placed(scenario: &Scenario) -> Asset {
    let offers = scenario.offers().await;
    let order = scenario
        .host
        .place_order(INSTANCE, order_request(&offers[0], 1), &actor())
        .await
        .expect("the order is placed")
        .into_order();
    asset(&scenario.host, &order.lines[0].asset_id.to_string()).await
}

async fn asset(host: &Host, id: &str) -> Asset {
    let id = id.parse().expect("an id");
    let asset = host.record().asset(id).await.expect("the record");
    asset.expect("an asset")
}

async fn results(host: &Host, asset: &Asset) -> Vec<AttemptResult> {
    let attempts = host.record().attempts(asset.id).await.expect("attempts");
    attempts.iter().filter_map(|attempt| attempt.result).collect()
}

/// Goes on with the order until its license is there, and returns the results of its attempts.
async fn until_bought(host: &Host, asset: &Asset) -> Vec<AttemptResult> {
    let begin = Instant::now();
    loop {
        let assets = host.run_order(asset.order_id, silent()).await;
        if assets.expect("it is run")[0].sync_status == SyncStatus::Synchronized {
            return results(host, asset).await;
        }
        assert!(begin.elapsed() < PATIENCE, "{:?}", results(host, asset).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_that_is_still_being_carried_out_is_found_and_not_bought_again() {
    let scenario = slow_and_forgetful().await;
    let host = &scenario.host;
    scenario.look_up_only(PATIENCE).await;
    let asset = placed(&scenario).await;
    let attempts = until_bought(host, &asset).await;
    assert_eq!(attempts[0], Unknown);
    assert_eq!(attempts[1], LookedUp, "it was not there yet");
    assert_eq!(attempts.last(), Some(&Licensed));
    let requests = scenario.microsoft.faults().requests_seen(Operation::Purchase);
    assert_eq!((requests, scenario.issued().await.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_that_time_the_same_purchase_is_sent_twice() {
    let scenario = slow_and_forgetful().await;
    let asset = placed(&scenario).await;
    until_bought(&scenario.host, &asset).await;
    let requests = scenario.microsoft.faults().requests_seen(Operation::Purchase);
    assert!(requests > 1, "{requests}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_found_in_all_that_time_is_bought() {
    let scenario = Scenario::selling().await;
    let faults = scenario.microsoft.faults();
    faults.order(
        Operation::Purchase,
        Fault::Close(When::BeforeActing),
        Repeat::Times(1),
    );
    let host = &scenario.host;
    scenario.look_up_only(Duration::from_secs(2)).await;
    let asset = placed(&scenario).await;
    let attempts = until_bought(host, &asset).await;
    assert_eq!(attempts[..2], [Unknown, LookedUp], "{attempts:?}");
    assert_eq!(attempts.last(), Some(&Licensed));
    assert_eq!(faults.requests_seen(Operation::Purchase), 2);
    assert_eq!(scenario.issued().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_who_tries_again_does_not_shorten_it() {
    let scenario = Scenario::selling().await;
    let faults = scenario.microsoft.faults();
    faults.order(
        Operation::Purchase,
        Fault::Close(When::BeforeActing),
        Repeat::Times(1),
    );
    let host = &scenario.host;
    scenario.look_up_only(PATIENCE).await;
    let asset = placed(&scenario).await;
    host.run_order(asset.order_id, silent()).await.expect("it is run");
    let tried_again = host
        .retry_asset(asset.id, &actor(), silent())
        .await
        .expect("it is tried");
    assert_eq!(tried_again.sync_status, SyncStatus::Unsynchronised);
    let reason = tried_again.reason.expect("a reason");
    assert_eq!(
        (reason.result, reason.problem.code.as_str()),
        (LookedUp, "not-seen-yet")
    );
    assert_eq!(faults.requests_seen(Operation::Purchase), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_without_an_answer_settles_nothing_and_is_made_again() {
    let scenario = Scenario::selling().await;
    let faults = scenario.microsoft.faults();
    faults.order(
        Operation::Purchase,
        Fault::Close(When::AfterActing),
        Repeat::Times(1),
    );
    faults.order(
        Operation::LookUp,
        Fault::Html(500, When::BeforeActing),
        Repeat::Times(1),
    );
    let host = &scenario.host;
    scenario.look_up_only(PATIENCE).await;
    let asset = placed(&scenario).await;
    let attempts = until_bought(host, &asset).await;
    assert_eq!(attempts, [Unknown, LookedUp, Licensed]);
    assert_eq!(scenario.issued().await.len(), 1);
}

/// An asset whose purchase was lost on its way, and a host whose look-up-only time is zero.
async fn lost(scenario: &Scenario) -> (Host, Asset) {
    let faults = scenario.microsoft.faults();
    faults.order(
        Operation::Purchase,
        Fault::Close(When::BeforeActing),
        Repeat::Times(1),
    );
    // The next attempts are look-ups alone, so that nothing is bought before a test has changed what it changes.
    let host = scenario.host.clone();
    scenario.look_up_only(PATIENCE).await;
    let asset = placed(scenario).await;
    host.run_order(asset.order_id, silent()).await.expect("it is run");
    assert_eq!(results(&host, &asset).await[..2], [Unknown, LookedUp]);
    scenario.look_up_only(Duration::ZERO).await;
    (host, asset)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_time_on_record_shortens_it_to_nothing_at_a_server_of_another_machine() {
    let scenario = Scenario::selling().await;
    let (host, asset) = lost(&scenario).await;
    let database = scenario.folder.path().join(ORIGINAL).join(RECORD_FILE);
    // The simulator has no name but `localhost`.
    let elsewhere = "UPDATE instances SET authorities = replace(authorities, 'localhost', 'vendor.example')";
    alter(&database, elsewhere).await;
    let assets = host.run_order(asset.order_id, silent()).await.expect("it is run");
    assert_eq!(
        assets[0].reason.as_ref().expect("a reason").problem.code,
        "not-seen-yet"
    );
    let here = "UPDATE instances SET authorities = replace(authorities, 'vendor.example', 'localhost')";
    alter(&database, here).await;
    assert_eq!(until_bought(&host, &asset).await.last(), Some(&Licensed));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_with_other_settings_is_not_bought_until_they_are_restored() {
    let scenario = Scenario::selling().await;
    let (host, asset) = lost(&scenario).await;
    let instance = host.named_instance(INSTANCE).await.expect("the instance");
    let before = instance.values["service-url"].clone();
    scenario.use_another_address().await;
    let assets = host.run_order(asset.order_id, silent()).await.expect("it is run");
    let reason = assets[0].reason.clone().expect("a reason");
    assert_eq!(
        (reason.result, reason.problem.code.as_str()),
        (LookedUp, "other-settings")
    );
    assert!(
        reason.problem.message.ends_with("differs in `service-url`"),
        "{reason:?}"
    );
    let faults = scenario.microsoft.faults();
    assert_eq!(faults.requests_seen(Operation::Purchase), 1);

    scenario.set("service-url", &before).await;
    assert_eq!(until_bought(&host, &asset).await.last(), Some(&Licensed));
    assert_eq!(faults.requests_seen(Operation::Purchase), 2);
    assert_eq!(scenario.issued().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_can_say_that_other_settings_do_not_matter() {
    let scenario = Scenario::selling().await;
    let (host, asset) = lost(&scenario).await;
    scenario.use_another_address().await;
    let tried_again = host
        .retry_asset(asset.id, &actor(), silent())
        .await
        .expect("it is tried");
    assert_eq!(tried_again.sync_status, SyncStatus::Synchronized);
    assert_eq!(scenario.issued().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_has_taken_over_goes_on_with_what_is_in_doubt() {
    let scenario = Scenario::selling().await;
    let (host, asset) = lost(&scenario).await;
    let next = scenario.install(&CertificateRequest::default()).await;
    scenario.set("certificate-thumbprint", &next.to_string()).await;
    assert_eq!(until_bought(&host, &asset).await.last(), Some(&Licensed));
    assert_eq!(scenario.issued().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_name_goes_on_with_what_is_in_doubt() {
    let scenario = Scenario::selling().await;
    let (host, asset) = lost(&scenario).await;
    scenario.set("system-name", "another").await;
    assert_eq!(until_bought(&host, &asset).await.last(), Some(&Licensed));
    assert_eq!(scenario.issued().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_who_tries_again_says_nothing_of_settings_that_are_saved_later() {
    let scenario = Scenario::selling().await;
    let (host, asset) = lost(&scenario).await;
    scenario.look_up_only(PATIENCE).await;
    let tried_again = host
        .retry_asset(asset.id, &actor(), silent())
        .await
        .expect("it is tried");
    scenario.look_up_only(Duration::ZERO).await;
    assert_eq!(tried_again.sync_status, SyncStatus::Unsynchronised);
    scenario.use_another_address().await;
    let begin = Instant::now();
    loop {
        // The next attempt is not due for some seconds.
        let assets = host.run_order(asset.order_id, silent()).await.expect("it is run");
        let reason = assets[0].reason.clone().expect("it is not bought");
        if reason.problem.code == "other-settings" {
            break;
        }
        assert_eq!(reason.problem.code, "not-seen-yet");
        assert!(begin.elapsed() < PATIENCE, "{reason:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let faults = scenario.microsoft.faults();
    assert_eq!(faults.requests_seen(Operation::Purchase), 1);
}

async fn withdrawn(host: &Host, asset: &Asset) -> WithdrawalEnd {
    let lines = host
        .withdraw_order(asset.order_id, &[asset.id], &actor(), silent())
        .await;
    lines.expect("it can be asked for")[0].end
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_in_doubt_that_is_called_back_is_looked_up_and_never_sent_again() {
    let scenario = Scenario::selling().await;
    let (host, asset) = lost(&scenario).await;
    scenario.look_up_only(PATIENCE).await;
    assert_eq!(
        withdrawn(&host, &asset).await,
        WithdrawalEnd::InDoubt,
        "it may be under way"
    );
    scenario.look_up_only(Duration::ZERO).await;
    assert_eq!(withdrawn(&host, &asset).await, WithdrawalEnd::Withdrawn);
    assert_eq!(
        results(&host, &asset).await.last(),
        Some(&AttemptResult::NotBought)
    );
    host.run_order(asset.order_id, silent()).await.expect("it is run");
    let faults = scenario.microsoft.faults();
    assert_eq!(faults.requests_seen(Operation::Purchase), 1);
    assert_eq!(scenario.issued().await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_was_bought_after_all_is_found_when_it_is_called_back() {
    let scenario = Scenario::selling().await;
    let faults = scenario.microsoft.faults();
    faults.order(
        Operation::Purchase,
        Fault::Close(When::AfterActing),
        Repeat::Times(1),
    );
    faults.order(
        Operation::LookUp,
        Fault::Html(500, When::BeforeActing),
        Repeat::Times(20),
    );
    let host = &scenario.host;
    let asset = placed(&scenario).await;
    host.run_order(asset.order_id, silent()).await.expect("it is run");
    assert_eq!(
        withdrawn(host, &asset).await,
        WithdrawalEnd::InDoubt,
        "nobody can say"
    );
    faults.clear();
    assert_eq!(withdrawn(host, &asset).await, WithdrawalEnd::Bought);
    assert_eq!(scenario.issued().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_was_sent_with_other_settings_is_not_withdrawn_until_they_are_restored() {
    let scenario = Scenario::selling().await;
    let (host, asset) = lost(&scenario).await;
    let instance = host.named_instance(INSTANCE).await.expect("the instance");
    let before = instance.values["service-url"].clone();
    scenario.use_another_address().await;
    assert_eq!(withdrawn(&host, &asset).await, WithdrawalEnd::InDoubt);
    scenario.set("service-url", &before).await;
    assert_eq!(withdrawn(&host, &asset).await, WithdrawalEnd::Withdrawn);
    assert_eq!(scenario.issued().await.len(), 0);
}
