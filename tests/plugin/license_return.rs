//! Returning: the asset, the bill and Microsoft's ledger agree, whatever happens to the answer.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bss_model::{
    Actor, Asset, AssetStatus, Cancellation, CancellationFilter, CancellationState, ChargeFilter,
    LicenseTokenStatus, MailFilter, MailState, Page, ReturnAttempt, ReturnResult, ReturnStatus,
};
use bss_record::{CancelError, RetryMailError};
use bss_simulator::{Fault, LedgerEntry, Operation, Repeat, TokenStatus, When};
use host_harness::{Host, ReturnError};
use jiff::SignedDuration;

use crate::component::component;
use crate::guests;
use crate::record_place;
use crate::scenario::{PRICE, Scenario, actor, at_once, requester, silent};
use crate::trusted_plugin::trusting;

/// The reason for a return, which Microsoft is told too.
const COMMENT: &str = "ordered twice";

/// Buys the only license that Microsoft has issued.
pub(crate) async fn sold() -> (Scenario, Asset) {
    let scenario = Scenario::selling().await;
    let offers = scenario.offers().await;
    let asset = scenario.order(&offers[0], 1).await.remove(0);
    assert_eq!(asset.license_token_status, Some(LicenseTokenStatus::Unused));
    (scenario, asset)
}

async fn cancel_now(host: &Host, asset: &Asset) -> Result<Cancellation, ReturnError> {
    host.cancel_now(asset.id, &requester(), COMMENT, &Actor::operator("olivia"))
        .await
}

/// Cancels at once, and attempts the return as often as a person waits for.
async fn cancel(host: &Host, asset: &Asset) -> Cancellation {
    let cancellation = cancel_now(host, asset).await;
    run(host, &cancellation.expect("it is taken")).await
}

async fn run(host: &Host, cancellation: &Cancellation) -> Cancellation {
    let ran = host.run_return(cancellation.id, silent()).await;
    ran.expect("the return is attempted")
}

async fn recorded(host: &Host, asset: &Asset) -> Asset {
    let asset = host.record().asset(asset.id).await.expect("the record");
    asset.expect("the asset")
}

async fn credits(host: &Host) -> Vec<i64> {
    let credits = host
        .record()
        .credits(&ChargeFilter::default(), &Page::all())
        .await;
    let credits = credits.expect("credits").rows;
    credits.iter().map(|credit| credit.price.minor_units).collect()
}

async fn results(host: &Host, cancellation: &Cancellation) -> Vec<ReturnResult> {
    let attempts = host.record().return_attempts(cancellation.id).await;
    let attempts = attempts.expect("attempts");
    attempts
        .iter()
        .filter_map(|ReturnAttempt { result, .. }| *result)
        .collect()
}

/// The one license that Microsoft has issued.
async fn issued(scenario: &Scenario) -> LedgerEntry {
    let mut ledger = scenario.microsoft.ledger().await.expect("the ledger");
    assert_eq!(ledger.len(), 1);
    ledger.remove(0)
}

/// Checks that the asset is cancelled and credited once, and that Microsoft has taken its license back for this
/// cancellation.
async fn assert_returned(scenario: &Scenario, before: &Asset, cancellation: &Cancellation) {
    assert_eq!(cancellation.state, CancellationState::Done, "{cancellation:?}");
    let after = recorded(&scenario.host, before).await;
    let expected = Asset {
        status: AssetStatus::Cancelled,
        license_token_status: Some(LicenseTokenStatus::Returned),
        return_status: ReturnStatus::Successful,
        refreshed_at_ms: after.refreshed_at_ms,
        ..before.clone()
    };
    assert_eq!(after, expected);
    assert_eq!(credits(&scenario.host).await, [PRICE]);
    let entry = issued(scenario).await;
    assert_eq!(entry.token_status, TokenStatus::ReturnAccepted);
    let id = cancellation.return_client_transaction_id.to_string();
    assert_eq!(entry.return_client_transaction_id, Some(id));
    assert_eq!(entry.return_reason.as_deref(), Some(COMMENT));
}

/// Checks that nothing has changed, here or at Microsoft, but for what the customer did and the record knows by now.
async fn assert_untouched(scenario: &Scenario, before: &Asset, at_microsoft: TokenStatus) {
    let after = recorded(&scenario.host, before).await;
    // It was asked about after the refusal.
    assert!(after.refreshed_at_ms >= before.refreshed_at_ms);
    let expected = Asset {
        license_token_status: Some(match at_microsoft {
            TokenStatus::Redeemed => LicenseTokenStatus::Used,
            _ => LicenseTokenStatus::Unused,
        }),
        refreshed_at_ms: after.refreshed_at_ms,
        ..before.clone()
    };
    assert_eq!(after, expected);
    assert!(credits(&scenario.host).await.is_empty());
    let entry = issued(scenario).await;
    assert_eq!(entry.token_status, at_microsoft);
    assert_eq!(entry.return_client_transaction_id, None);
}

fn assert_refused(cancellation: &Cancellation, code: &str) {
    assert_eq!(cancellation.state, CancellationState::Refused);
    let reason = cancellation.reason.as_ref().expect("a reason");
    assert_eq!(
        (reason.result, reason.problem.code.as_str()),
        (ReturnResult::Refused, code)
    );
    assert!(!reason.problem.advice.is_empty(), "{reason:?}");
    assert!(!reason.problem.correlation_id.is_empty(), "{reason:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_license_that_microsoft_takes_back_is_cancelled_and_credited_in_full() {
    let (scenario, asset) = sold().await;
    let done = cancel(&scenario.host, &asset).await;
    assert_returned(&scenario, &asset, &done).await;
    assert_eq!(results(&scenario.host, &done).await, [ReturnResult::Returned]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redeemed_license_stays_what_it_is_and_the_refusal_says_why() {
    let (scenario, asset) = sold().await;
    let id = asset.license_token_id.clone().expect("its name");
    scenario.microsoft.redeem(&id).await.expect("it is used");
    let refused = cancel(&scenario.host, &asset).await;
    assert_refused(&refused, "license-redeemed");
    assert_untouched(&scenario, &asset, TokenStatus::Redeemed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_after_its_window_is_refused_and_changes_nothing() {
    let (scenario, asset) = sold().await;
    scenario.microsoft.move_clock(SignedDuration::from_hours(31 * 24));
    let refused = cancel(&scenario.host, &asset).await;
    assert_refused(&refused, "return-window-expired");
    assert_untouched(&scenario, &asset, TokenStatus::Activated).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_license_that_nobody_may_return_is_refused_and_changes_nothing() {
    let scenario = Scenario::selling().await;
    let catalog = scenario.microsoft.catalog();
    let kept = catalog.offers.iter().find(|offer| !offer.is_returnable);
    let offer_id = kept.expect("an offer that can't be returned").offer_id.clone();
    let asset = scenario.order(&offer_id, 1).await.remove(0);
    let refused = cancel(&scenario.host, &asset).await;
    assert_refused(&refused, "not-returnable");
    assert_untouched(&scenario, &asset, TokenStatus::Activated).await;
}

/// Returns one license while Microsoft answers the first return with a fault; answers with how the attempts ended
/// and how many returns Microsoft has read.
async fn returned_despite(fault: Fault) -> (Vec<ReturnResult>, u64) {
    let (scenario, asset) = sold().await;
    let faults = scenario.microsoft.faults();
    faults.order(Operation::Return, fault.clone(), Repeat::Times(1));
    let done = cancel(&scenario.host, &asset).await;
    assert_returned(&scenario, &asset, &done).await;
    (
        results(&scenario.host, &done).await,
        faults.requests_seen(Operation::Return),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_whose_answer_is_lost_is_looked_up_and_not_repeated() {
    for fault in [
        Fault::Reset(When::AfterActing),
        Fault::Close(When::AfterActing),
        Fault::CutAnswer,
        Fault::Html(500, When::AfterActing),
        Fault::Html(502, When::AfterActing),
    ] {
        let (results, returns) = returned_despite(fault.clone()).await;
        assert_eq!(
            results,
            [ReturnResult::Unknown, ReturnResult::Returned],
            "{fault:?}"
        );
        assert_eq!(returns, 1, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_that_may_have_been_done_and_was_not_is_made_after_a_look_up() {
    for fault in [
        Fault::Reset(When::BeforeActing),
        Fault::Html(500, When::BeforeActing),
    ] {
        let (results, returns) = returned_despite(fault.clone()).await;
        assert_eq!(
            results,
            [ReturnResult::Unknown, ReturnResult::Returned],
            "{fault:?}"
        );
        assert_eq!(returns, 2, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_microsoft_is_asked_again_after_the_pause_that_it_asks_for() {
    let busy = Fault::Refusal {
        status: 429,
        code: "Throttled".into(),
        retry_after: Some(1),
    };
    let started = Instant::now();
    let (results, returns) = returned_despite(busy).await;
    assert_eq!(results, [ReturnResult::Unavailable, ReturnResult::Returned]);
    assert_eq!(returns, 2);
    assert!(
        started.elapsed() >= Duration::from_secs(1),
        "it was not left alone"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_microsoft_was_busy_returns_the_license_though_nothing_is_bought_meanwhile() {
    let (scenario, asset) = sold().await;
    let busy = Fault::Refusal {
        status: 429,
        code: "Throttled".into(),
        retry_after: Some(1),
    };
    let faults = scenario.microsoft.faults();
    faults.order(Operation::Return, busy, Repeat::Times(1));
    let cancellation = cancel_now(&scenario.host, &asset).await.expect("it is taken");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let host = scenario.host.clone();
    let worker = tokio::spawn(async move {
        let stopped = async {
            let _ = stopped.await;
        };
        host.work(&at_once(4), stopped).await
    });
    let patience = Instant::now() + Duration::from_secs(60);
    while recorded(&scenario.host, &asset).await.status != AssetStatus::Cancelled {
        assert!(Instant::now() < patience, "it is never attempted again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(stop);
    worker.await.expect("it ends").expect("it worked");
    assert_eq!(
        results(&scenario.host, &cancellation).await,
        [ReturnResult::Unavailable, ReturnResult::Returned]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_license_that_was_given_back_is_mailed_to_nobody() {
    let (scenario, asset) = sold().await;
    let record = scenario.host.record();
    cancel(&scenario.host, &asset).await;
    let mails = record
        .mails(&MailFilter::default(), &Page::all())
        .await
        .expect("mails")
        .rows;
    assert_eq!(mails[0].state, MailState::Withdrawn);
    let retried = record.retry_mail(mails[0].id, &actor()).await;
    assert!(
        matches!(retried, Err(RetryMailError::Withdrawn { .. })),
        "{retried:?}"
    );
    assert_eq!(record.retry_mails(&actor()).await.expect("none"), 0);
    let worker = record.start_worker().await.expect("a worker");
    assert_eq!(record.take_mails(worker.id(), 9).await.expect("none").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_stays_open_until_microsoft_can_be_asked() {
    let (scenario, asset) = sold().await;
    let faults = scenario.microsoft.faults();
    faults.order(
        Operation::Return,
        Fault::Reset(When::AfterActing),
        Repeat::Times(1),
    );
    faults.order(
        Operation::LookUp,
        Fault::Html(500, When::BeforeActing),
        Repeat::Always,
    );
    let open = cancel(&scenario.host, &asset).await;
    assert_eq!(open.state, CancellationState::Returning, "unknown is not refused");
    assert_eq!(results(&scenario.host, &open).await, [ReturnResult::Unknown; 3]);
    assert_eq!(
        recorded(&scenario.host, &asset).await,
        asset,
        "nothing is cancelled while nobody knows"
    );
    assert!(credits(&scenario.host).await.is_empty());
    assert_eq!(faults.requests_seen(Operation::Return), 1);
    faults.clear();
    // As after a crash: another start of the host goes on with the return.
    let again = record_place::open(&scenario.folder.path().join("bss"), component()).await;
    let done = run(&again.expect("the host opens"), &open).await;
    assert_returned(&scenario, &asset, &done).await;
    assert_eq!(faults.requests_seen(Operation::Return), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_license_that_is_redeemed_while_nobody_knows_refuses_the_return() {
    let (scenario, asset) = sold().await;
    let faults = scenario.microsoft.faults();
    let lost = Fault::Html(500, When::BeforeActing);
    faults.order(Operation::Return, lost.clone(), Repeat::Always);
    faults.order(Operation::LookUp, lost, Repeat::Always);
    let open = cancel(&scenario.host, &asset).await;
    assert_eq!(open.state, CancellationState::Returning);
    faults.clear();
    let id = asset.license_token_id.clone().expect("its name");
    scenario.microsoft.redeem(&id).await.expect("it is used");
    let refused = run(&scenario.host, &open).await;
    assert_eq!(refused.state, CancellationState::Refused);
    assert_eq!(refused.reason.expect("a reason").problem.code, "license-redeemed");
    assert_untouched(&scenario, &asset, TokenStatus::Redeemed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_that_is_broken_off_is_looked_up_by_the_next_attempt() {
    let (scenario, asset) = sold().await;
    let slow = Fault::DelayAnswer(Duration::from_secs(60));
    scenario
        .microsoft
        .faults()
        .order(Operation::Return, slow, Repeat::Times(1));
    let made = cancel_now(&scenario.host, &asset).await.expect("it is taken");
    let worker = scenario.host.record().start_worker().await.expect("a worker");
    let mut taken = scenario
        .host
        .record()
        .take_returns(worker.id(), 1, None, &[])
        .await;
    let taken = taken.as_mut().expect("the record").remove(0);
    // The call ends when its future is dropped, at some moment after Microsoft has acted.
    let (host, of_call) = (scenario.host.clone(), taken.clone());
    let call = tokio::spawn(async move { host.attempt_return(&of_call, silent()).await });
    while issued(&scenario).await.token_status != TokenStatus::ReturnAccepted {
        tokio::task::yield_now().await;
    }
    call.abort();
    let _ = call.await;
    assert_eq!(recorded(&scenario.host, &asset).await, asset);
    let attempted = scenario.host.attempt_return(&taken, silent()).await;
    let attempted = attempted.expect("it is attempted");
    assert!(!attempted.is_outage());
    assert_eq!(attempted.cancellation.id, made.id);
    assert_returned(&scenario, &asset, &attempted.cancellation).await;
    assert_eq!(scenario.microsoft.faults().requests_seen(Operation::Return), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_that_is_cancelled_twice_is_returned_and_credited_once() {
    let (scenario, asset) = sold().await;
    let mut made = Vec::new();
    for host in [scenario.host.clone(), scenario.host.clone()] {
        let asset = asset.clone();
        made.push(tokio::spawn(async move {
            let made = cancel_now(&host, &asset).await?;
            host.run_return(made.id, silent()).await
        }));
    }
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    for made in made {
        match made.await.expect("it ends") {
            Ok(cancellation) => done.push(cancellation),
            Err(error) => refused.push(error),
        }
    }
    assert!(
        matches!(
            &refused[..],
            [ReturnError::Cancel(
                CancelError::Open { .. } | CancelError::NotCancelable { .. }
            )]
        ),
        "{refused:?}"
    );
    assert_returned(&scenario, &asset, &done[0]).await;
    let again = cancel_now(&scenario.host, &asset).await;
    let error = again.expect_err("it is cancelled");
    assert!(
        matches!(error, ReturnError::Cancel(CancelError::NotCancelable { .. })),
        "{error:?}"
    );
    assert_returned(&scenario, &asset, &done[0]).await;
    assert_eq!(scenario.microsoft.faults().requests_seen(Operation::Return), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_attempt_one_return_share_its_outcome() {
    let (scenario, asset) = sold().await;
    let slow = Fault::DelayAnswer(Duration::from_secs(1));
    scenario
        .microsoft
        .faults()
        .order(Operation::Return, slow, Repeat::Times(1));
    let made = cancel_now(&scenario.host, &asset).await.expect("it is taken");
    let (one, two) = tokio::join!(run(&scenario.host, &made), run(&scenario.host, &made));
    assert_eq!(one, two);
    assert_returned(&scenario, &asset, &one).await;
    assert_eq!(scenario.microsoft.faults().requests_seen(Operation::Return), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn microsoft_hears_of_a_request_only_when_it_is_confirmed() {
    let (scenario, asset) = sold().await;
    let record = scenario.host.record();
    let requested = async || {
        let requested = record
            .request_cancellation(asset.id, &requester(), COMMENT, &actor())
            .await;
        requested.expect("it is requested").id
    };
    record
        .withdraw_cancellation(requested().await, "", &Actor::operator("Customer"))
        .await
        .expect("it is withdrawn");
    record
        .decline_cancellation(requested().await, "", &Actor::operator("olivia"))
        .await
        .expect("it is declined");
    let last = requested().await;
    assert_untouched(&scenario, &asset, TokenStatus::Activated).await;
    let seen = || scenario.microsoft.faults().requests_seen(Operation::Return);
    assert_eq!(seen(), 0);
    let confirmed = scenario
        .host
        .confirm_cancellation(last, "", &Actor::operator("olivia"))
        .await;
    let done = run(&scenario.host, &confirmed.expect("it is confirmed")).await;
    assert_returned(&scenario, &asset, &done).await;
    assert_eq!(seen(), 1);
}

/// Another platform with the same record, as if somebody had restored a backup beside it.
async fn copied(scenario: &Scenario) -> Host {
    let [from, to] = ["bss", "copy"].map(|name| scenario.folder.path().join(name));
    let copy = Host::builder(&to).create().await.expect("the host opens");
    copy.record().clone().close().await;
    drop(copy);
    // Another process copies: a process that closes a file loses its locks on it, those of SQLite too.
    let files = std::fs::read_dir(&from).expect("its data directory");
    let files = files.map(|entry| entry.expect("a file").path());
    let copied = std::process::Command::new("cp")
        .args(files.filter(|file| file.is_file()))
        .arg(&to)
        .status();
    assert!(copied.expect("cp starts").success());
    Host::open(&to, component()).await.expect("the host opens")
}

/// Arranges that a first return gets no answer, and a second one is refused.
pub(crate) async fn doubted_and_refused(scenario: &Scenario) {
    let faults = scenario.microsoft.faults();
    faults.order(
        Operation::Return,
        Fault::Reset(When::BeforeActing),
        Repeat::Times(1),
    );
    let locked = Fault::Refusal {
        status: 423,
        code: "Locked".into(),
        retry_after: None,
    };
    faults.order(Operation::Return, locked, Repeat::Times(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_settles_nothing_while_an_earlier_return_may_be_under_way() {
    let (scenario, asset) = sold().await;
    let patient = &scenario.host;
    scenario.look_up_only(Duration::from_secs(60)).await;
    let cancellation = cancel_now(patient, &asset).await.expect("it is taken");
    let network = copied(&scenario).await;
    doubted_and_refused(&scenario).await;
    let open = run(patient, &cancellation).await;
    assert_eq!(open.state, CancellationState::Returning);
    let reason = open.reason.expect("a reason");
    assert_eq!(reason.result, ReturnResult::Refused);
    assert_untouched(&scenario, &asset, TokenStatus::Activated).await;

    // The first return arrives after all.
    run(&network, &cancellation).await;
    let done = run(patient, &cancellation).await;
    assert_returned(&scenario, &asset, &done).await;
    assert_eq!(
        results(&scenario.host, &done).await,
        [
            ReturnResult::Unknown,
            ReturnResult::Refused,
            ReturnResult::Returned
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_after_that_time_is_final() {
    let (scenario, asset) = sold().await;
    doubted_and_refused(&scenario).await;
    let refused = cancel(&scenario.host, &asset).await;
    assert_eq!(refused.state, CancellationState::Refused);
    assert_eq!(
        results(&scenario.host, &refused).await,
        [ReturnResult::Unknown, ReturnResult::Refused]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_license_that_was_returned_elsewhere_is_credited_when_an_operator_cancels_it() {
    let (scenario, asset) = sold().await;
    let elsewhere = copied(&scenario).await;
    // The other platform's second cancellation, so that Microsoft knows the return by another client transaction id
    // than ours.
    let requested = elsewhere
        .record()
        .request_cancellation(asset.id, &requester(), "", &actor())
        .await;
    elsewhere
        .record()
        .withdraw_cancellation(
            requested.expect("it is requested").id,
            "",
            &Actor::operator("Customer"),
        )
        .await
        .expect("it is withdrawn");
    let theirs = cancel(&elsewhere, &asset).await;
    assert_eq!(theirs.state, CancellationState::Done);
    assert_eq!(recorded(&scenario.host, &asset).await, asset);

    let refreshed = scenario.host.refresh_license(asset.id, silent()).await;
    let refreshed = refreshed.expect("Microsoft answers");
    assert!(refreshed.returned_elsewhere);
    assert_eq!(refreshed.asset.status, AssetStatus::Active);
    assert_eq!(refreshed.asset.return_status, ReturnStatus::Successful);
    assert!(credits(&scenario.host).await.is_empty(), "nothing by itself");
    let listed = scenario.json(&["asset", "list", "--state", "returned"]);
    assert_eq!(listed[0]["id"], asset.id.to_string());
    let shown = scenario.bss_host(&["asset", "show", &asset.id.to_string()]);
    let warned = String::from_utf8_lossy(&shown.stderr).into_owned();
    assert!(
        warned.contains("the asset is neither cancelled nor credited")
            && warned.contains(&format!("asset cancel {}", asset.id)),
        "{warned}"
    );

    let done = cancel(&scenario.host, &asset).await;
    assert_ne!(
        done.return_client_transaction_id,
        theirs.return_client_transaction_id
    );
    let as_theirs = Cancellation {
        return_client_transaction_id: theirs.return_client_transaction_id,
        ..done.clone()
    };
    assert_returned(&scenario, &asset, &as_theirs).await;
    assert_eq!(results(&scenario.host, &done).await, [ReturnResult::Returned]);
    let refreshed = scenario.host.refresh_license(asset.id, silent()).await;
    assert!(!refreshed.expect("Microsoft answers").returned_elsewhere);
}

/// A host on the scenario's record, with another plugin.
async fn with_plugin(scenario: &Scenario, name: &str, component: Vec<u8>) -> Host {
    let file: PathBuf = scenario.folder.path().join(name);
    std::fs::write(&file, component).expect("the guest is written");
    let data_dir: &Path = &scenario.folder.path().join("bss");
    let host = record_place::open(data_dir, &file).await.expect("the host opens");
    trusting(host, &file).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_traps_leaves_the_return_open_and_a_better_one_finishes_it() {
    let (scenario, asset) = sold().await;
    let module = guests::lifecycle_module("(unreachable)");
    let component = guests::component_of("lifecycle-plugin", &module);
    let broken = with_plugin(&scenario, "broken.wasm", component).await;
    let open = cancel(&broken, &asset).await;
    assert_eq!(open.state, CancellationState::Returning);
    assert_eq!(
        open.reason.as_ref().expect("a reason").problem.code,
        "plugin-broke-off"
    );
    assert_eq!(results(&broken, &open).await, [ReturnResult::Unavailable; 3]);
    assert_untouched(&scenario, &asset, TokenStatus::Activated).await;
    scenario.trust(crate::component::component()).await;
    let done = run(&scenario.host, &open).await;
    assert_returned(&scenario, &asset, &done).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_can_not_return_licenses_is_refused_before_anything_is_written() {
    let (scenario, asset) = sold().await;
    let component = guests::component(&guests::module("unreachable"));
    let lesser = with_plugin(&scenario, "lesser.wasm", component).await;
    let refused = cancel_now(&lesser, &asset).await;
    let error = refused.expect_err("it offers no such function");
    assert!(matches!(error, ReturnError::NotOffered(_)), "{error:?}");
    let all = CancellationFilter::default();
    let written = lesser
        .record()
        .cancellations(&all, &Page::all())
        .await
        .expect("cancellations")
        .rows;
    assert!(written.is_empty());
    assert_untouched(&scenario, &asset, TokenStatus::Activated).await;
}
