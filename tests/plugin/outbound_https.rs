//! The way out: the right certificate, the right servers, and errors that name their cause.

use bss_model::{AttemptResult, SyncStatus};
use bss_sandbox::bindings::failures::ReadFailure;
use bss_simulator::{
    CertificateRequest, Fault, HttpVersions, Operation, Registration, Repeat, Simulator, SimulatorOptions,
    TlsVersions,
};
use host_harness::ServicesError;

use crate::scenario::{INSTANCE, Scenario, actor, silent};

async fn read_failure(scenario: &Scenario) -> ReadFailure {
    match scenario
        .host
        .fetch_services(INSTANCE, &actor(), silent())
        .await
        .expect_err("it can't be read")
    {
        ServicesError::Read(failure) => failure,
        other => panic!("{other:?}"),
    }
}

fn problem(failure: &ReadFailure) -> String {
    match failure {
        ReadFailure::Refused(problem)
        | ReadFailure::Misconfigured(problem)
        | ReadFailure::Malformed(problem) => {
            format!("{}: {} {}", problem.code, problem.message, problem.advice)
        }
        ReadFailure::Unavailable(delay) => {
            format!(
                "{}: {} {}",
                delay.problem.code, delay.problem.message, delay.problem.advice
            )
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_are_never_served_on_each_other_s_connection_over_http_1_1() {
    two_instances(HttpVersions::Http1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_are_never_served_on_each_other_s_connection_over_http_2() {
    two_instances(HttpVersions::Http2).await;
}

async fn two_instances(http: HttpVersions) {
    let scenario = Scenario::with_http(http).await;
    let mut thumbprints = Vec::new();
    for name in ["one", "two"] {
        // Each instance with its own application, as a second country needs it.
        let application = scenario.microsoft.add_application().expect("an application");
        let request = CertificateRequest {
            registration: Registration::OtherApplication(application.client_id),
            ..CertificateRequest::default()
        };
        let thumbprint = scenario.install(&request).await;
        scenario.new_instance(name).await;
        let mut credentials = crate::scenario::credentials(scenario.microsoft.details());
        credentials.insert("system-name".into(), name.into());
        credentials.insert("client-id".into(), application.client_id.to_string());
        credentials.insert("channel-id".into(), application.channel_id.clone());
        assert!(scenario.configure(name, &credentials).await.saved);
        let form = scenario
            .configure(name, &crate::scenario::selection(&thumbprint.to_string()))
            .await;
        assert!(form.saved, "{:?}", crate::scenario::problems(&form));
        thumbprints.push(thumbprint.to_string());
    }
    // Each instance reads one catalog at a time; the two of them go on beside each other.
    let mut calls = tokio::task::JoinSet::new();
    for name in ["one", "two"] {
        let host = scenario.host.clone();
        calls.spawn(async move {
            for _ in 0..20 {
                host.fetch_services(name, &actor(), silent())
                    .await
                    .expect("each is answered");
            }
        });
    }
    calls.join_all().await;
    // The simulator checks on every request that the access token belongs to the certificate of its
    // connection; checked here is that each certificate's connections carried half of the requests.
    let seen = scenario.microsoft.connections();
    let http2 = http == HttpVersions::Http2;
    assert!(
        seen.iter().all(|connection| connection.http2 == http2),
        "{seen:?}"
    );
    for thumbprint in &thumbprints {
        let requests: u64 = seen
            .iter()
            .filter(|connection| connection.client_certificate_thumbprint == *thumbprint)
            .map(|connection| connection.requests)
            .sum();
        assert_eq!(
            requests,
            scenario.microsoft.faults().requests_seen(Operation::Catalog) / 2,
            "{seen:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_certificate_is_not_trusted_is_told_nothing() {
    let scenario = Scenario::selling().await;
    // Another Microsoft in place of the first, with an authority that the instance does not trust.
    let other = SimulatorOptions::new(scenario.folder.path().join("impostor"));
    let impostor = Simulator::start(other).await.expect("the impostor starts");
    let mut typed = crate::scenario::credentials(impostor.details());
    typed.retain(|id, _| id == "service-url");
    assert!(scenario.configure(INSTANCE, &typed).await.saved);
    // The access token is asked for at the trusted login; the license service is the impostor.
    let failure = read_failure(&scenario).await;
    assert!(
        problem(&failure).starts_with("server-not-trusted: "),
        "{failure:?}"
    );
    assert_eq!(impostor.faults().requests_seen(Operation::Catalog), 0);
    assert!(
        impostor
            .connections()
            .iter()
            .all(|connection| connection.requests == 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_the_server_refuses_is_named_as_the_cause_and_leaves_nothing_unknown() {
    use HttpVersions::{Http1, Http2};
    use TlsVersions::{Tls12, Tls13};
    for (tls, http) in [(Tls12, Http1), (Tls12, Http2), (Tls13, Http1), (Tls13, Http2)] {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut options = SimulatorOptions::new(folder.path().join("microsoft"));
        options.tls = tls;
        options.http = http;
        let scenario = Scenario::with(folder, Simulator::start(options).await.expect("it starts")).await;
        let thumbprint = scenario.install(&CertificateRequest::default()).await;
        scenario.ready_instance(INSTANCE, &thumbprint).await;
        scenario
            .host
            .fetch_services(INSTANCE, &actor(), silent())
            .await
            .expect("the catalog is read");
        scenario.sell_all(INSTANCE).await;
        // A certificate of another authority: registered with Entra, refused by the server.
        let untrusted = scenario
            .microsoft
            .issue_untrusted_certificate(&CertificateRequest::default())
            .expect("a certificate");
        let untrusted = scenario.install_issued(&untrusted).await;
        let chosen = [("certificate-thumbprint".to_owned(), untrusted.to_string())].into();
        assert!(scenario.configure(INSTANCE, &chosen).await.saved);
        let failure = read_failure(&scenario).await;
        assert!(
            matches!(failure, ReadFailure::Misconfigured(_))
                && problem(&failure).starts_with("certificate-refused: "),
            "{tls:?}, {http:?}: {failure:?}"
        );
        let offers = scenario.offers().await;
        let assets = scenario.order(&offers[0], 1).await;
        assert_eq!(
            assets[0].sync_status,
            SyncStatus::Unsynchronised,
            "{tls:?}, {http:?}: it waits for another certificate"
        );
        let reason = assets[0].reason.as_ref().expect("a reason");
        assert_eq!(
            (reason.result, reason.problem.code.as_str()),
            (AttemptResult::Unavailable, "certificate-refused"),
            "{tls:?}, {http:?}: the server never read the request"
        );
        assert!(scenario.issued().await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_is_refused_unless_the_operator_allowed_its_network() {
    let scenario = Scenario::start().await;
    let thumbprint = scenario.install(&CertificateRequest::default()).await;
    let details = scenario.microsoft.details();
    let instance = bss_model::NewInstance {
        owner: None,
        name: INSTANCE.to_owned(),
        currency: "EUR".to_owned(),
        options: [("login-authority".to_owned(), details.login_authority.clone())].into(),
        reach: bss_model::Reach {
            trusted_authorities_pem: Some(std::fs::read_to_string(&details.ca_file).expect("its authority")),
            allowed_networks: Vec::new(),
            ..bss_model::Reach::default()
        },
        plugin: None,
    };
    scenario
        .host
        .record()
        .create_instance(instance, &actor())
        .await
        .expect("a new instance");
    assert!(
        scenario
            .configure(INSTANCE, &crate::scenario::credentials(details))
            .await
            .saved
    );
    assert!(
        scenario
            .configure(INSTANCE, &crate::scenario::selection(&thumbprint.to_string()))
            .await
            .saved
    );
    let failure = read_failure(&scenario).await;
    assert!(
        problem(&failure).starts_with("address-prohibited: "),
        "{failure:?}"
    );
    assert_eq!(
        scenario.microsoft.faults().requests_seen(Operation::AccessToken),
        0
    );
    assert!(scenario.microsoft.connections().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_kept_between_calls_and_closed_when_the_settings_change() {
    for http in [HttpVersions::Http1, HttpVersions::Http2] {
        kept_and_closed(http).await;
    }
}

async fn kept_and_closed(http: HttpVersions) {
    let scenario = Scenario::with_http(http).await;
    let thumbprint = scenario.install(&CertificateRequest::default()).await;
    scenario.ready_instance(INSTANCE, &thumbprint).await;
    for _ in 0..5 {
        scenario
            .host
            .fetch_services(INSTANCE, &actor(), silent())
            .await
            .expect("the catalog is read");
    }
    assert_eq!(
        scenario.microsoft.connections().len(),
        1,
        "one connection serves one call after the other"
    );
    let renamed = [("system-name".to_owned(), "renamed".to_owned())].into();
    assert!(scenario.configure(INSTANCE, &renamed).await.saved);
    scenario
        .host
        .fetch_services(INSTANCE, &actor(), silent())
        .await
        .expect("the catalog is read");
    let connections = scenario.microsoft.connections();
    assert_eq!(connections.len(), 2);
    assert!(!connections[1].resumed, "nor is a TLS session kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_cut_off_is_told_in_words() {
    let scenario = Scenario::ready().await;
    let faults = scenario.microsoft.faults();
    faults.order(Operation::Catalog, Fault::CutAnswer, Repeat::Always);
    let said = problem(&read_failure(&scenario).await);
    // On a busy machine the server's end can come before the head of its answer.
    let ends = ["incomplete HTTP response.", "the connection was closed."];
    assert!(
        ends.iter()
            .any(|end| said.contains(&format!("before the answer was complete: {end}"))),
        "{said}"
    );
    for of_programs in ["StreamError", "Resource", "handle"] {
        assert!(!said.contains(of_programs), "{said}");
    }
}
