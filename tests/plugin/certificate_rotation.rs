//! Replacing the certificate of an instance in use.

use std::time::Duration;

use bss_model::{AssetFilter, AssetSelection, Page, SyncStatus, Thumbprint};
use bss_sandbox::bindings::connection::StepResult;
use bss_simulator::{
    CertificateRequest, ConnectionSeen, ExtendedKeyUsage, Fault, Operation, Registration, Repeat,
    TlsVersions, When,
};
use host_harness::{RotateError, failed_step};

use crate::scenario::{INSTANCE, Scenario, actor, me, order_request, silent};

async fn fetch(scenario: &Scenario) {
    let fetched = scenario.host.fetch_services(INSTANCE, &actor(), silent()).await;
    assert!(fetched.is_ok(), "{fetched:?}");
}

async fn rotate(scenario: &Scenario, to: Thumbprint) -> Result<(), RotateError> {
    let rotated = scenario
        .host
        .rotate_certificate(INSTANCE, to, &actor(), silent())
        .await;
    rotated.map(|rotation| assert_eq!(rotation.instance.thumbprint, Some(to)))
}

/// How many requests came on connections with a certificate.
fn requests(scenario: &Scenario, thumbprint: &str) -> u64 {
    let connections = scenario.microsoft.connections().into_iter();
    connections
        .filter(|seen| seen.client_certificate_thumbprint == thumbprint)
        .map(|seen| seen.requests)
        .sum()
}

/// The latest connection, and how many there have been.
fn latest(scenario: &Scenario) -> (ConnectionSeen, usize) {
    let connections = scenario.microsoft.connections();
    let latest = connections.last().cloned().expect("a connection");
    (latest, connections.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rotation_no_idle_connection_and_no_tls_session_of_the_former_certificate_is_used() {
    for tls in [TlsVersions::Tls12, TlsVersions::Tls13] {
        let scenario = Scenario::ready_with_tls(tls).await;
        fetch(&scenario).await;
        // The server ends the connection; the next one resumes its session, so there was one to resume.
        let close = Fault::Close(When::BeforeActing);
        scenario
            .microsoft
            .faults()
            .order(Operation::Catalog, close, Repeat::Times(1));
        let broken_off = scenario.host.fetch_services(INSTANCE, &actor(), silent()).await;
        assert!(broken_off.is_err());
        fetch(&scenario).await;
        let (before, count) = latest(&scenario);
        assert!(before.resumed, "{tls:?}: {before:?}");

        // Now there are an idle connection and a session, both of the former certificate.
        let successor = scenario.install(&CertificateRequest::default()).await;
        rotate(&scenario, successor).await.expect("it takes over");
        let checked = scenario.microsoft.connections().len();
        fetch(&scenario).await;
        let connections = scenario.microsoft.connections();
        assert_eq!(
            connections.len(),
            checked + 1,
            "the check's own connections are not kept"
        );
        for connection in &connections[count..] {
            assert_eq!(
                connection.client_certificate_thumbprint,
                successor.to_string(),
                "{tls:?}"
            );
        }
        assert!(!latest(&scenario).0.resumed, "{tls:?}");
        assert_eq!(
            connections[count - 1].requests,
            before.requests,
            "the former one is not used"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_under_way_ends_on_the_former_certificate_and_the_next_one_has_the_new() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let former = latest(&scenario).0.client_certificate_thumbprint;
    let before = requests(&scenario, &former);
    let slow = Fault::DelayAnswer(Duration::from_secs(3));
    scenario
        .microsoft
        .faults()
        .order(Operation::Purchase, slow, Repeat::Times(1));
    let order = scenario
        .host
        .place_order(INSTANCE, order_request(&offer, 2), &actor())
        .await
        .expect("the order is placed")
        .into_order();
    let host = scenario.host.clone();
    let line_by_line = AssetSelection {
        order: Some(order.id),
        ..AssetSelection::default()
    };
    let purchase = tokio::spawn(async move { host.settle_orders(line_by_line, 1, silent()).await });
    while scenario.microsoft.faults().requests_seen(Operation::Purchase) == 0 {
        tokio::task::yield_now().await;
    }
    let successor = scenario.install(&CertificateRequest::default()).await;
    rotate(&scenario, successor).await.expect("it takes over");
    purchase.await.expect("it ends").expect("it is settled");
    let filter = AssetFilter::default();
    let assets = scenario.host.record().assets(&filter, &Page::all()).await;
    assert!(
        assets
            .expect("the assets")
            .rows
            .iter()
            .all(|asset| asset.sync_status == SyncStatus::Synchronized)
    );
    assert_eq!(scenario.microsoft.faults().requests_seen(Operation::Purchase), 2);
    let by_former: u64 = requests(&scenario, &former);
    assert_eq!(by_former, before + 1, "the first of the two, and nothing more");
    assert_eq!(
        latest(&scenario).0.client_certificate_thumbprint,
        successor.to_string()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_microsoft_does_not_know_does_not_take_over() {
    let scenario = Scenario::selling().await;
    let before = scenario
        .host
        .named_instance(INSTANCE)
        .await
        .expect("the instance");
    let (connection, _) = latest(&scenario);
    let unregistered = CertificateRequest {
        registration: Registration::Unregistered,
        ..CertificateRequest::default()
    };
    let unregistered = scenario.install(&unregistered).await;
    let refused = rotate(&scenario, unregistered).await;
    let Err(RotateError::CheckFailed { steps, .. }) = refused else {
        panic!("{refused:?}")
    };
    let failed = failed_step(&steps).expect("a step that failed");
    assert_eq!(failed.id, "access-token-granted");
    assert!(
        matches!(&failed.result, StepResult::Failed(problem) if problem.code == "certificate-not-registered")
    );
    let after = scenario
        .host
        .named_instance(INSTANCE)
        .await
        .expect("the instance");
    assert_eq!(after, before);
    fetch(&scenario).await;
    let used: Vec<_> = scenario
        .microsoft
        .connections()
        .into_iter()
        .filter(|seen| seen.client_certificate_thumbprint == connection.client_certificate_thumbprint)
        .collect();
    assert_eq!(used.len(), 1, "the connection that was open is still in use");
    assert!(used[0].requests > connection.requests);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_can_not_work_or_is_used_already_is_refused_before_anything_is_sent() {
    let scenario = Scenario::ready().await;
    let server_only = CertificateRequest {
        usage: ExtendedKeyUsage::Server,
        ..CertificateRequest::default()
    };
    let server_only = scenario.install(&server_only).await;
    let refused = rotate(&scenario, server_only).await;
    assert!(
        matches!(&refused, Err(RotateError::Refused { problems, .. }) if problems[0].code == "certificate-unusable"),
        "{refused:?}"
    );
    let not_installed: Thumbprint = "AB".repeat(20).parse().expect("a thumbprint");
    let refused = rotate(&scenario, not_installed).await;
    assert!(matches!(refused, Err(RotateError::Refused { .. })), "{refused:?}");
    let current = scenario
        .host
        .named_instance(INSTANCE)
        .await
        .expect("the instance")
        .thumbprint;
    let refused = rotate(&scenario, current.expect("a certificate")).await;
    assert!(
        matches!(refused, Err(RotateError::AlreadyUsed { .. })),
        "{refused:?}"
    );
    scenario.new_instance("empty").await;
    let refused = scenario
        .host
        .rotate_certificate("empty", server_only, &actor(), silent())
        .await;
    assert!(matches!(refused, Err(RotateError::NotReady(_))), "{refused:?}");
    assert!(scenario.microsoft.connections().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_rotates_in_one_save_or_says_which_step_failed() {
    let scenario = Scenario::ready().await;
    let successor = scenario.install(&CertificateRequest::default()).await.to_string();
    let unregistered = CertificateRequest {
        registration: Registration::Unregistered,
        ..CertificateRequest::default()
    };
    let unregistered = scenario.install(&unregistered).await.to_string();
    let rotate =
        |to: &str| scenario.bss_host(&["instance", "rotate-certificate", INSTANCE, "--to", to, "--json"]);
    let refused = rotate(&unregistered);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    for words in [
        "`access-token-granted`",
        "keeps its former certificate",
        "AADSTS700027",
        "hint: Register",
    ] {
        assert!(error.contains(words), "{error}");
    }
    let before = scenario
        .host
        .named_instance(INSTANCE)
        .await
        .expect("the instance");
    let rotated = rotate(&successor);
    assert_eq!(rotated.status.code(), Some(0), "{rotated:?}");
    let shown = crate::scenario::result(&rotated);
    assert_eq!(shown["certificateThumbprint"], successor);
    assert_eq!(shown["version"], before.version + 1);
    assert_eq!(
        shown["formerCertificateThumbprint"],
        before.thumbprint.expect("one").to_string()
    );
    let history = scenario.bss_host(&["instance", "history", INSTANCE, "--json"]);
    let history = crate::scenario::result(&history);
    let last = history
        .as_array()
        .and_then(|history| history.last())
        .expect("a save");
    assert_eq!(last["changedBy"], me());
    let changed: Vec<_> = last["changes"].as_object().expect("changes").keys().collect();
    assert_eq!(changed, ["certificate-thumbprint"]);
}
