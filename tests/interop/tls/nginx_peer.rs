//! The plugin and its host with nginx between them and Microsoft.

use bss_model::{SyncStatus, Thumbprint};
use bss_simulator::{CertificateRequest, IssuedCertificate, Operation};

use super::nginx::{Behind, Nginx, Site};
use super::pki::{Flaw, Pki, ServerKey};
use super::{fetch, problem, ready_instance, turn_to};
use crate::scenario::{INSTANCE, Scenario};

const VERIFY: &str = "ssl_verify_client on; ssl_verify_depth 2;";
const VERIFY_LATER: &str = "ssl_verify_client optional_no_ca;";

/// A host with a ready instance, and the nginx that it could turn to.
struct Peers {
    scenario: Scenario,
    nginx: Nginx,
    thumbprint: Thumbprint,
}

impl Peers {
    async fn start(sites: impl FnOnce(&Pki) -> Vec<Site>) -> Self {
        let scenario = Scenario::start().await;
        let pki = Pki::new();
        let thumbprint = scenario.install(&CertificateRequest::default()).await;
        ready_instance(&scenario, &pki.root_pem, &thumbprint).await;
        let microsoft = &scenario.microsoft;
        // nginx passes requests on with a certificate of the same application.
        let own = microsoft.issue_client_certificate(&CertificateRequest::default());
        let own = own.expect("a certificate");
        let details = microsoft.details();
        let port = details.resource_api.rsplit_once(':').map(|(_, port)| port);
        let behind = Behind {
            port: port.and_then(|port| port.parse().ok()).expect("a port"),
            client_certificate: format!("{}{}", own.certificate_pem, *own.private_key_pem),
            authority: std::fs::read_to_string(&details.ca_file).expect("its authority"),
        };
        let nginx = Nginx::start(&behind, &sites(&pki));
        Self {
            scenario,
            nginx,
            thumbprint,
        }
    }

    /// Has the instance show another certificate.
    async fn show(&self, issued: &IssuedCertificate) {
        let thumbprint = self.scenario.install_issued(issued).await;
        self.scenario
            .set("certificate-thumbprint", &thumbprint.to_string())
            .await;
    }
}

/// A thumbprint as nginx's log writes it.
fn fingerprint(thumbprint: &Thumbprint) -> String {
    thumbprint.to_string().to_lowercase()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_buys_through_nginx_with_each_version_of_tls_and_http_and_each_kind_of_server_key() {
    let mut cells = Vec::new();
    for tls in ["TLSv1.2", "TLSv1.3"] {
        for http2 in [false, true] {
            for key in [ServerKey::Rsa, ServerKey::Ecdsa] {
                cells.push((tls, http2, key));
            }
        }
    }
    let peers = Peers::start(|pki| {
        let site = |&(tls, http2, key): &(&'static str, bool, ServerKey)| Site {
            served: pki.server(key, Flaw::None),
            tls,
            http2,
            verify: VERIFY,
        };
        cells.iter().map(site).collect()
    })
    .await;
    let scenario = &peers.scenario;
    for (bought, ((tls, http2, key), port)) in cells.iter().zip(&peers.nginx.ports).enumerate() {
        let http = if *http2 { "HTTP/2.0" } else { "HTTP/1.1" };
        let cell = format!("{tls}, {http}, {key:?}");
        turn_to(scenario, *port).await;
        fetch(scenario)
            .await
            .unwrap_or_else(|failure| panic!("{cell}: {failure:?}"));
        if bought == 0 {
            scenario.sell_all(INSTANCE).await;
        }
        let assets = scenario.order(&scenario.offers().await[0], 1).await;
        assert_eq!(
            assets[0].sync_status,
            SyncStatus::Synchronized,
            "{cell}: {assets:?}"
        );
        assert_eq!(scenario.issued().await.len(), bought + 1, "{cell}");
        let seen = peers.nginx.seen(*port, 2);
        for request in &seen {
            assert_eq!(
                (
                    request.certificate.as_str(),
                    request.verify.as_str(),
                    request.tls.as_str(),
                    request.http.as_str()
                ),
                (fingerprint(&peers.thumbprint).as_str(), "SUCCESS", *tls, http),
                "{cell}"
            );
            assert_eq!(
                request.connection, seen[0].connection,
                "{cell}: one connection serves all"
            );
        }
    }
    let connections = scenario.microsoft.connections();
    let thumbprint = peers.thumbprint.to_string();
    assert!(
        connections
            .iter()
            .all(|connection| connection.client_certificate_thumbprint != thumbprint),
        "everything went through nginx"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_reads_the_catalog_through_nginx() {
    let peers = Peers::start(|pki| {
        vec![Site {
            served: pki.server(ServerKey::Rsa, Flaw::None),
            tls: "TLSv1.2 TLSv1.3",
            http2: true,
            verify: VERIFY,
        }]
    })
    .await;
    let port = peers.nginx.ports[0];
    turn_to(&peers.scenario, port).await;
    let output = peers
        .scenario
        .bss_host(&["services", "fetch", INSTANCE, "--json"]);
    assert!(output.status.success(), "{output:?}");
    let seen = peers.nginx.seen(port, 1);
    assert_eq!(seen[0].certificate, fingerprint(&peers.thumbprint));
    assert_eq!(seen[0].status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nginx_that_is_not_who_it_should_be_is_told_nothing() {
    let flaws = [
        Flaw::OtherName,
        Flaw::Expired,
        Flaw::OtherAuthority,
        Flaw::IntermediateNotServed,
    ];
    let versions = ["TLSv1.2", "TLSv1.3"];
    let mut cells = Vec::new();
    for flaw in flaws {
        for tls in versions {
            cells.push((flaw, tls));
        }
    }
    let peers = Peers::start(|pki| {
        let site = |&(flaw, tls): &(Flaw, &'static str)| Site {
            served: pki.server(ServerKey::Ecdsa, flaw),
            tls,
            http2: true,
            verify: VERIFY,
        };
        cells.iter().map(site).collect()
    })
    .await;
    for ((flaw, tls), port) in cells.iter().zip(&peers.nginx.ports) {
        turn_to(&peers.scenario, *port).await;
        let failure = fetch(&peers.scenario).await.expect_err("it is not trusted");
        assert_eq!(problem(failure).code, "server-not-trusted", "{flaw:?}, {tls}");
        assert!(peers.nginx.seen(*port, 0).is_empty(), "{flaw:?}, {tls}");
    }
    let faults = peers.scenario.microsoft.faults();
    assert_eq!(faults.requests_seen(Operation::Catalog), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nginx_does_not_take_is_refused_by_http_and_orders_wait_with_nothing_bought() {
    let verifications = [VERIFY, VERIFY_LATER];
    let peers = Peers::start(|pki| {
        let site = |&verify: &&'static str| Site {
            served: pki.server(ServerKey::Rsa, Flaw::None),
            tls: "TLSv1.2 TLSv1.3",
            http2: true,
            verify,
        };
        verifications.iter().map(site).collect()
    })
    .await;
    let [at_once, later] = peers.nginx.ports[..] else {
        panic!("two ports")
    };
    let scenario = &peers.scenario;
    // The twin: our certificate is good at both ports, also where nginx asks everybody for one and judges it in a
    // location.
    for port in [at_once, later] {
        turn_to(scenario, port).await;
        fetch(scenario).await.expect("our certificate is good");
    }
    scenario.sell_all(INSTANCE).await;
    let microsoft = &scenario.microsoft;
    // An expired certificate would not come so far: Entra refuses its assertion.
    let untrusted = microsoft
        .issue_untrusted_certificate(&CertificateRequest::default())
        .expect("a certificate");
    peers.show(&untrusted).await;
    for (port, status) in [(at_once, 400), (later, 403)] {
        turn_to(scenario, port).await;
        let failure = fetch(scenario).await.expect_err("it is refused");
        let problem = problem(failure);
        assert_eq!(problem.code, format!("http-{status}"), "{problem:?}");
        assert!(
            problem.advice.contains("Certificate Thumbprint"),
            "{status}: {problem:?}"
        );
        let assets = scenario.order(&scenario.offers().await[0], 1).await;
        // A page of a front end is not the license API's word: the order waits for a certificate that is taken.
        assert_eq!(assets[0].sync_status, SyncStatus::Unsynchronised, "{status}");
    }
    assert!(scenario.issued().await.is_empty());
}
