//! Checking the connection: each mistake fails its own step, and says what an operator can do.

use bss_model::NewInstance;
use bss_sandbox::bindings::connection::StepResult;
use bss_sandbox::bindings::failures::Problem;
use bss_simulator::{
    CertificateRequest, Fault, Operation, Registration, Repeat, Simulator, SimulatorOptions, TlsVersions,
};
use host_harness::{CheckError, Host, failed_step};

use crate::guests;
use crate::scenario::{INSTANCE, Scenario, actor, problems, silent};

/// The step that failed and its problem. The steps before it must have passed, and those after it not been tried.
async fn failure(scenario: &Scenario) -> (String, Problem) {
    let checked = scenario.host.check_connection(INSTANCE, silent()).await;
    let steps = checked.expect("it can be checked");
    let failed = failed_step(&steps).expect("a step that failed");
    let StepResult::Failed(problem) = &failed.result else {
        panic!("{steps:?}")
    };
    let before = steps.iter().take_while(|step| step.id != failed.id);
    assert!(
        before
            .clone()
            .all(|step| matches!(step.result, StepResult::Passed))
    );
    let mut after = steps.iter().skip(before.count() + 1);
    assert!(after.all(|step| matches!(step.result, StepResult::Skipped)));
    assert!(!problem.advice.is_empty(), "{problem:?}");
    (failed.id.clone(), problem.clone())
}

/// Checks that Entra refuses, and that the problem has Entra's error number and a correlation id for its support.
async fn assert_entra_refuses(scenario: &Scenario, number: &str, code: &str, advice: &str) {
    let (step, problem) = failure(scenario).await;
    assert_eq!(
        (step.as_str(), problem.code.as_str()),
        ("access-token-granted", code)
    );
    assert!(
        problem.message.contains(&format!("AADSTS{number}")),
        "{problem:?}"
    );
    assert!(problem.advice.contains(advice), "{problem:?}");
    assert!(!problem.correlation_id.is_empty(), "{problem:?}");
    assert_eq!(
        scenario.microsoft.faults().requests_seen(Operation::Catalog),
        1,
        "the probe alone"
    );
}

async fn assert_fails_at(scenario: &Scenario, step: &str, code: &str, advice: &str) {
    let (failed, problem) = failure(scenario).await;
    assert_eq!(
        (failed.as_str(), problem.code.as_str()),
        (step, code),
        "{problem:?}"
    );
    assert!(problem.advice.contains(advice), "{problem:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_everything_right_all_steps_pass_and_nothing_is_bought() {
    let scenario = Scenario::ready().await;
    let steps = scenario
        .host
        .check_connection(INSTANCE, silent())
        .await
        .expect("it can be checked");
    let ids: Vec<_> = steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "name-resolved",
            "tls-established",
            "server-trusted",
            "client-certificate-accepted",
            "access-token-granted",
            "catalog-readable"
        ]
    );
    assert!(failed_step(&steps).is_none(), "{steps:?}");
    assert!(scenario.issued().await.is_empty());
    assert_eq!(scenario.microsoft.faults().requests_seen(Operation::Purchase), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_earlier_calls_have_opened_and_obtained_does_not_hide_a_fault() {
    let scenario = Scenario::selling().await;
    // The host holds a connection and an access token that are still good.
    let refusal = Fault::Refusal {
        status: 401,
        code: "700027".to_owned(),
        retry_after: None,
    };
    scenario
        .microsoft
        .faults()
        .order(Operation::AccessToken, refusal, Repeat::Always);
    assert_fails_at(
        &scenario,
        "access-token-granted",
        "certificate-not-registered",
        "Register the certificate",
    )
    .await;
    // The check has not taken the connection and the access token away.
    let fetched = scenario.host.fetch_services(INSTANCE, &actor(), silent()).await;
    assert!(fetched.is_ok(), "{fetched:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_registered_with_entra_is_named() {
    let scenario = Scenario::start().await;
    let unregistered = CertificateRequest {
        registration: Registration::Unregistered,
        ..CertificateRequest::default()
    };
    let thumbprint = scenario.install(&unregistered).await;
    scenario.ready_instance(INSTANCE, &thumbprint).await;
    let advice = "Register the certificate";
    assert_entra_refuses(&scenario, "700027", "certificate-not-registered", advice).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_the_tenant_does_not_know_is_named() {
    let scenario = Scenario::ready().await;
    scenario.set("client-id", &uuid::Uuid::new_v4().to_string()).await;
    assert_entra_refuses(&scenario, "700016", "client-unknown", "Client ID").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_not_found_is_named() {
    let scenario = Scenario::ready().await;
    scenario.set("tenant", &uuid::Uuid::new_v4().to_string()).await;
    let advice = "Azure Active Directory Tenant";
    assert_entra_refuses(&scenario, "90002", "tenant-unknown", advice).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_is_unknown_is_named() {
    let scenario = Scenario::ready().await;
    let other = format!("{}/other", scenario.microsoft.details().resource_api);
    scenario.set("resource-api", &other).await;
    assert_entra_refuses(&scenario, "500011", "resource-unknown", "Recourse API").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_by_more_than_the_tolerance_is_named() {
    let scenario = Scenario::ready().await;
    // Entra's answer to an assertion that is not valid at the time by its clock.
    let refusal = Fault::Refusal {
        status: 401,
        code: "700024".to_owned(),
        retry_after: None,
    };
    scenario
        .microsoft
        .faults()
        .order(Operation::AccessToken, refusal, Repeat::Always);
    assert_entra_refuses(&scenario, "700024", "clock-wrong", "Set the clock").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_the_server_refuses_is_named_in_both_versions_of_tls() {
    for tls in [TlsVersions::Tls12, TlsVersions::Tls13] {
        let scenario = Scenario::ready_with_tls(tls).await;
        let untrusted = scenario
            .microsoft
            .issue_untrusted_certificate(&CertificateRequest::default())
            .expect("a certificate");
        let untrusted = scenario.install_issued(&untrusted).await;
        scenario
            .set("certificate-thumbprint", &untrusted.to_string())
            .await;
        let step = "client-certificate-accepted";
        assert_fails_at(&scenario, step, "certificate-refused", "Register the certificate").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_trusted_is_named() {
    let scenario = Scenario::ready().await;
    let other = SimulatorOptions::new(scenario.folder.path().join("impostor"));
    let impostor = Simulator::start(other).await.expect("the impostor starts");
    scenario.set("service-url", &impostor.details().service_url).await;
    let advice = "no proxy replaces the certificate of that server";
    assert_fails_at(&scenario, "server-trusted", "server-not-trusted", advice).await;
    assert_eq!(impostor.faults().requests_seen(Operation::Catalog), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_resolved_is_named() {
    let scenario = Scenario::ready().await;
    // RFC 2606 keeps this top-level domain from ever having names.
    scenario.set("service-url", "https://esd.invalid/cis").await;
    assert_fails_at(&scenario, "name-resolved", "name-not-resolved", "DNS").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_refused_is_named() {
    let scenario = Scenario::ready().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port on which nobody listens any more")
        .port();
    scenario
        .set("service-url", &format!("https://127.0.0.1:{port}/cis"))
        .await;
    assert_fails_at(&scenario, "tls-established", "server-unreachable", "firewall").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_shows_each_step_and_ends_with_0_1_or_3() {
    let scenario = Scenario::ready().await;
    let passed = scenario.bss_host(&["instance", "check", INSTANCE, "--json"]);
    assert_eq!(passed.status.code(), Some(0), "{passed:?}");
    let shown = crate::scenario::result(&passed);
    assert_eq!(shown["passed"], true);
    assert_eq!(shown["steps"].as_array().map(Vec::len), Some(6));
    assert!(shown["steps"][5]["tookMs"].is_u64(), "{shown}");

    scenario.set("client-id", &uuid::Uuid::new_v4().to_string()).await;
    let failed = scenario.bss_host(&["instance", "check", INSTANCE]);
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    let table = String::from_utf8_lossy(&failed.stdout).into_owned();
    for words in ["An access token is granted", "failed", "not tried", " ms"] {
        assert!(table.contains(words), "{table}");
    }
    let error = String::from_utf8_lossy(&failed.stderr).into_owned();
    for words in [
        "`access-token-granted`",
        "AADSTS700016",
        "client-unknown",
        "correlation id",
        "hint: ",
    ] {
        assert!(error.contains(words), "{error}");
    }

    scenario.new_instance("empty").await;
    for (name, code) in [("empty", 3), ("nobody", 1)] {
        let not_run = scenario.bss_host(&["instance", "check", name]);
        assert_eq!(not_run.status.code(), Some(code), "{not_run:?}");
        assert!(String::from_utf8_lossy(&not_run.stderr).contains(&format!("`{name}`")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_can_not_check_connections_is_refused_in_words() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = folder.path().join("guest.wasm");
    let guest = guests::component(&guests::module("unreachable"));
    std::fs::write(&file, guest).expect("the guest is written");
    let host = Host::builder(folder.path().join("bss"))
        .plugin_file(&file)
        .create()
        .await
        .expect("the host opens");
    let instance = NewInstance {
        owner: None,
        name: INSTANCE.to_owned(),
        currency: "EUR".to_owned(),
        options: Default::default(),
        reach: Default::default(),
        plugin: None,
    };
    host.record()
        .create_instance(instance, &actor())
        .await
        .expect("an instance");
    let refused = host.check_connection(INSTANCE, silent()).await;
    let error = refused.expect_err("it offers no such function");
    assert!(matches!(error, CheckError::NotOffered(_)), "{error:?}");
    assert!(error.to_string().contains("can't check connections"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_certificate_has_gone_from_the_form_is_not_checked() {
    let scenario = Scenario::ready().await;
    let cleared = [("certificate-thumbprint".to_owned(), String::new())].into();
    let form = scenario.configure(INSTANCE, &cleared).await;
    assert!(form.saved, "{:?}", problems(&form));
    let not_run = scenario.host.check_connection(INSTANCE, silent()).await;
    assert!(matches!(not_run, Err(CheckError::Prepare(_))), "{not_run:?}");
}
