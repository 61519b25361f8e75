//! The fault matrix: every trouble on the first try and on a repeated one, each with the class that it must have.
//! Whatever happens, one license is bought, and each attempt says what could be known at the time.

use std::time::Duration;

use bss_model::AttemptResult::{self, Licensed, Unavailable, Unknown};
use bss_model::{Asset, SyncStatus};
use bss_simulator::{
    CertificateRequest, ConnectionFault, Fault, HttpVersions, Listener, Operation, Repeat, When,
};
use host_harness::Host;
use uuid::Uuid;

use crate::component::component as real_component;
use crate::guests::{component, module};
use crate::record_place;
use crate::scenario::{INSTANCE, Scenario, actor, order_request, silent};
use crate::trusted_plugin::trusting;

/// A fault that happens once.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trouble {
    /// A fault of a request that was read.
    Request(Fault),
    /// A fault of a new connection to the license service.
    Connection(ConnectionFault),
}

impl Trouble {
    fn arrange(&self, scenario: &Scenario, operation: Operation) {
        let faults = scenario.microsoft.faults();
        match self {
            Self::Request(fault) => faults.order(operation, fault.clone(), Repeat::Times(1)),
            Self::Connection(fault) => {
                faults.order_connection(Listener::Service, *fault, Repeat::Times(1));
            }
        }
    }
}

fn refusal(status: u16, code: &str, retry_after: Option<u32>) -> Trouble {
    Trouble::Request(Fault::Refusal {
        status,
        code: code.to_owned(),
        retry_after,
    })
}

/// Every trouble, and the result of an attempt at a purchase that it hits.
fn troubles() -> Vec<(Trouble, AttemptResult)> {
    use Trouble::{Connection, Request};
    use When::{AfterActing, BeforeActing};
    vec![
        (Connection(ConnectionFault::CloseBeforeHandshake), Unavailable),
        (Connection(ConnectionFault::Silent), Unavailable),
        (Request(Fault::Close(BeforeActing)), Unknown),
        (Request(Fault::Close(AfterActing)), Unknown),
        (Request(Fault::Reset(BeforeActing)), Unknown),
        (Request(Fault::Reset(AfterActing)), Unknown),
        // The server says that it has not looked at the request: the host sends it again, and the plugin never knows.
        (Request(Fault::RefuseStream), Licensed),
        (Request(Fault::CutAnswer), Unknown),
        (Request(Fault::HugeAnswer(1 << 30)), Unknown),
        (Request(Fault::NotJson(BeforeActing)), Unknown),
        (Request(Fault::NotJson(AfterActing)), Unknown),
        (Request(Fault::Html(500, BeforeActing)), Unknown),
        (Request(Fault::Html(502, AfterActing)), Unknown),
        (Request(Fault::SlowAnswer(Duration::from_millis(1))), Licensed),
        (refusal(500, "InternalError", None), Unknown),
        (refusal(503, "Unavailable", None), Unavailable),
        (refusal(429, "Throttled", Some(1)), Unavailable),
        (refusal(409, "DuplicateTransaction", None), Unknown),
    ]
}

/// A host with nothing open yet, as after a restart.
async fn restarted(scenario: &Scenario) -> Host {
    let host = record_place::open(&scenario.folder.path().join("bss"), real_component()).await;
    trusting(host.expect("the host opens"), real_component()).await
}

async fn placed(scenario: &Scenario) -> (Uuid, Uuid) {
    let offers = scenario.offers().await;
    let request = order_request(&offers[0], 1);
    let order = scenario.host.place_order(INSTANCE, request, &actor()).await;
    let order = order.expect("the order is placed").into_order();
    (order.id, order.lines[0].asset_id)
}

async fn results(host: &Host, asset: Uuid) -> Vec<AttemptResult> {
    let attempts = host.record().attempts(asset).await.expect("attempts");
    attempts
        .into_iter()
        .filter_map(|attempt| attempt.result)
        .collect()
}

/// Runs an order to its end, checks that its license is bought once, and returns the results of its attempts.
async fn attempts_until_bought(
    scenario: &Scenario,
    host: &Host,
    order: Uuid,
    what: &str,
) -> Vec<AttemptResult> {
    let assets: Vec<Asset> = host.run_order(order, silent()).await.expect("it is run");
    let asset = &assets[0];
    assert_eq!(
        asset.sync_status,
        SyncStatus::Synchronized,
        "{what}: {:?}",
        asset.reason
    );
    let issued = scenario.issued().await;
    let times = issued
        .iter()
        .filter(|issued| **issued == asset.client_transaction_id.to_string())
        .count();
    assert_eq!(times, 1, "{what}");
    results(host, asset.id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_trouble_on_the_first_try_is_told_for_what_it_is_and_the_license_is_bought_once() {
    for http in [HttpVersions::Http2, HttpVersions::Http1] {
        every_trouble_on_the_first_try(http).await;
    }
}

async fn every_trouble_on_the_first_try(http: HttpVersions) {
    let scenario = Scenario::with_http(http).await;
    let thumbprint = scenario.install(&CertificateRequest::default()).await;
    scenario.ready_instance(INSTANCE, &thumbprint).await;
    let fetched = scenario.host.fetch_services(INSTANCE, &actor(), silent()).await;
    fetched.expect("the catalog is read");
    scenario.sell_all(INSTANCE).await;
    for (trouble, class) in troubles() {
        // HTTP/1.1 has no word for a refused stream: the connection is closed, and the outcome is unknown.
        let wordless = http == HttpVersions::Http1 && trouble == Trouble::Request(Fault::RefuseStream);
        let class = if wordless { Unknown } else { class };
        let what = format!("{trouble:?} on the first try over {http:?}");
        let (order, _) = placed(&scenario).await;
        let host = restarted(&scenario).await;
        trouble.arrange(&scenario, Operation::Purchase);
        let attempts = attempts_until_bought(&scenario, &host, order, &what).await;
        assert_eq!(attempts[0], class, "{what}");
        assert_eq!(attempts.last(), Some(&Licensed), "{what}");
    }
    let issued = scenario.issued().await;
    assert_eq!(issued.len(), troubles().len(), "one license for each order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ends_before_or_after_the_request_was_written_leaves_one_license() {
    let scenario = Scenario::selling().await;
    let fault = Trouble::Connection(ConnectionFault::CloseAfterHandshake);
    for _ in 0..5 {
        let (order, _) = placed(&scenario).await;
        let host = restarted(&scenario).await;
        fault.arrange(&scenario, Operation::Purchase);
        // A request that was not written yet is sent again; of one that was written, nobody knows whether it was read.
        let attempts = attempts_until_bought(&scenario, &host, order, "closed").await;
        assert!(
            matches!(
                attempts[..],
                [Licensed] | [Unknown, Licensed] | [Unavailable, Licensed]
            ),
            "{attempts:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_try_that_may_have_bought_every_trouble_leaves_it_unknown_and_nothing_is_bought_again() {
    let scenario = Scenario::selling().await;
    let faults = scenario.microsoft.faults();
    for (trouble, _) in troubles() {
        let what = format!("{trouble:?} after a purchase whose answer was lost");
        let (order, asset) = placed(&scenario).await;
        let lost = Fault::Reset(When::AfterActing);
        faults.order(Operation::Purchase, lost, Repeat::Times(1));
        let host = restarted(&scenario).await;
        first_attempt_only(&host, order, asset).await;
        let purchases = faults.requests_seen(Operation::Purchase);
        let host = restarted(&scenario).await;
        trouble.arrange(&scenario, Operation::LookUp);
        let attempts = attempts_until_bought(&scenario, &host, order, &what).await;
        assert_eq!(attempts[0], Unknown, "{what}");
        if attempts.len() > 2 {
            assert_eq!(attempts[1], Unknown, "{what}");
        }
        assert_eq!(
            faults.requests_seen(Operation::Purchase),
            purchases,
            "{what}: it was looked up"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_try_that_bought_nothing_every_trouble_is_told_for_what_it_is() {
    let scenario = Scenario::selling().await;
    let faults = scenario.microsoft.faults();
    for (trouble, class) in troubles() {
        let Trouble::Request(fault) = &trouble else {
            continue;
        };
        let what = format!("{trouble:?} after a purchase that was put off");
        let (order, _) = placed(&scenario).await;
        let busy = Fault::Refusal {
            status: 503,
            code: "Unavailable".into(),
            retry_after: None,
        };
        faults.order(Operation::Purchase, busy, Repeat::Times(1));
        faults.order(Operation::Purchase, fault.clone(), Repeat::Times(1));
        let host = restarted(&scenario).await;
        let attempts = attempts_until_bought(&scenario, &host, order, &what).await;
        assert_eq!(attempts[..2], [Unavailable, class], "{what}");
    }
}

/// Runs an order until its first attempt has ended, and stops the run there.
async fn first_attempt_only(host: &Host, order: Uuid, asset: Uuid) {
    let ended = async {
        while results(host, asset).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = ended => {}
        _ = host.run_order(order, silent()) => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_breaks_off_before_it_asks_leaves_nothing_in_doubt_and_the_next_one_buys_it_once() {
    let scenario = Scenario::selling().await;
    let endless_memory = "(loop
        (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then (unreachable)))
        (br 0))
     (unreachable)";
    for body in ["(unreachable)", "(loop (br 0)) (unreachable)", endless_memory] {
        let (order, asset) = placed(&scenario).await;
        let file = scenario.folder.path().join("broken.wasm");
        std::fs::write(&file, component(&module(body))).expect("the plugin is written");
        let broken = record_place::open(&scenario.folder.path().join("bss"), &file).await;
        let broken = trusting(broken.expect("the host opens"), &file).await;
        first_attempt_only(&broken, order, asset).await;
        let host = restarted(&scenario).await;
        let attempts = attempts_until_bought(&scenario, &host, order, body).await;
        assert_eq!(attempts[0], Unavailable, "{body}");
        assert_eq!(attempts.last(), Some(&Licensed), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_no_address_was_told_nothing() {
    let scenario = Scenario::selling().await;
    let (order, asset) = placed(&scenario).await;
    let url = scenario.microsoft.details().service_url.clone();
    scenario
        .set("service-url", "https://no-such-host.invalid/cis")
        .await;
    first_attempt_only(&restarted(&scenario).await, order, asset).await;
    scenario.set("service-url", &url).await;
    let host = restarted(&scenario).await;
    let attempts = attempts_until_bought(&scenario, &host, order, "no address").await;
    assert_eq!(attempts[0], Unavailable);
}
