//! The TLS and HTTP of others: our host before nginx and `openssl s_server`, curl before our simulator.

mod curl;
mod nginx;
mod nginx_peer;
mod pki;
mod s_server;
mod second_screen;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::time::{Duration, Instant};

use bss_model::{NewInstance, Reach, Thumbprint};
use bss_sandbox::bindings::failures::{Problem, ReadFailure};
use host_harness::ServicesError;

pub(crate) use pki::{Flaw, Pki, ServerKey};
pub(crate) use s_server::SServer;

use crate::scenario::{INSTANCE, Scenario, actor, credentials, problems, selection, silent};

/// The longest wait: longer than a busy machine needs for anything that is waited for here.
const PATIENCE: Duration = Duration::from_secs(30);

/// A port that is free now.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Waits until `ready` has something, and fails when that takes too long.
fn until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(it) = ready() {
            return it;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A ready instance that trusts the simulator's authority and another one.
async fn ready_instance(scenario: &Scenario, also_trusted_pem: &str, thumbprint: &Thumbprint) {
    let login_authority = scenario.microsoft.details().login_authority.clone();
    let options = [("login-authority".to_owned(), login_authority)].into();
    ready_instance_with(scenario, options, also_trusted_pem, thumbprint).await;
}

/// A ready instance as of [`ready_instance`], with options of the plugin's.
pub(crate) async fn ready_instance_with(
    scenario: &Scenario,
    options: BTreeMap<String, String>,
    also_trusted_pem: &str,
    thumbprint: &Thumbprint,
) {
    let details = scenario.microsoft.details();
    let own = std::fs::read_to_string(&details.ca_file).expect("its authority");
    let instance = NewInstance {
        owner: None,
        name: INSTANCE.to_owned(),
        currency: "EUR".to_owned(),
        options,
        reach: Reach {
            trusted_authorities_pem: Some(format!("{own}{also_trusted_pem}")),
            allowed_networks: vec![
                ipnet::Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8).into(),
                ipnet::Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into(),
            ],
            ..Reach::default()
        },
        plugin: None,
    };
    let record = scenario.host.record();
    record
        .create_instance(instance, &actor())
        .await
        .expect("a new instance");
    for typed in [credentials(details), selection(&thumbprint.to_string())] {
        let form = scenario.configure(INSTANCE, &typed).await;
        assert!(form.saved, "{:?}", problems(&form));
    }
}

/// Has the instance use the server on that port.
async fn turn_to(scenario: &Scenario, port: u16) {
    scenario
        .set("service-url", &format!("https://localhost:{port}/cis"))
        .await;
}

pub(crate) async fn fetch(scenario: &Scenario) -> Result<(), ReadFailure> {
    match scenario.host.fetch_services(INSTANCE, &actor(), silent()).await {
        Ok(_) => Ok(()),
        Err(ServicesError::Read(failure)) => Err(failure),
        Err(other) => panic!("{other:?}"),
    }
}

/// The problem that an operator is told of a failure.
fn problem(failure: ReadFailure) -> Problem {
    match failure {
        ReadFailure::Refused(problem)
        | ReadFailure::Misconfigured(problem)
        | ReadFailure::Malformed(problem) => problem,
        ReadFailure::Unavailable(delay) => delay.problem,
    }
}
