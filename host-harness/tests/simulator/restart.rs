//! Restarts on the same directory: what the simulator keeps, and what it forgets.

use bss_simulator::{Simulator, SimulatorOptions, read_ledger};
use http::StatusCode;

use crate::client::{Client, Microsoft};

#[tokio::test]
async fn a_restart_is_the_same_microsoft_with_the_same_ledger() {
    let microsoft = Microsoft::start().await;
    let issued = microsoft
        .simulator
        .issue_client_certificate(&Default::default())
        .unwrap();
    let client = microsoft.client_with(&issued);
    let access_token = client.access_token().await;
    let purchase = client.purchase();
    let license = client.post("/tokens", &access_token, &purchase).await.json();
    let other = microsoft.simulator.add_application().unwrap();
    let before = microsoft.simulator.details().clone();
    let ca = std::fs::read(&before.ca_file).unwrap();

    let microsoft = microsoft.restart().await;
    let after = microsoft.simulator.details().clone();
    assert_eq!(
        (after.tenant, after.client_id, &after.channel_id),
        (before.tenant, before.client_id, &before.channel_id)
    );
    assert_eq!(std::fs::read(&after.ca_file).unwrap(), ca);
    let client = microsoft.client_with(&issued);
    let refused = client.get(&client.offers("DE", "de-DE", ""), &access_token).await;
    assert_eq!(
        refused.status,
        StatusCode::UNAUTHORIZED,
        "access tokens are forgotten"
    );
    let access_token = client.access_token().await;
    let again = client.post("/tokens", &access_token, &purchase).await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, license));
    assert_ne!(microsoft.simulator.add_application().unwrap(), other);

    let directory = microsoft.directory.path().join("microsoft");
    assert_eq!(
        read_ledger(&directory).await.unwrap().len(),
        1,
        "beside a running simulator"
    );
    microsoft.simulator.stop().await;
    assert_eq!(read_ledger(&directory).await.unwrap().len(), 1, "and without one");
}

#[tokio::test]
async fn a_certificate_of_before_the_restart_is_issued_by_the_same_authority_as_one_of_after() {
    let microsoft = Microsoft::start().await.restart().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    assert_eq!(
        client
            .get(&client.offers("DE", "de-DE", ""), &access_token)
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_stopped_simulator_and_a_dropped_one_take_no_connections() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let url = client.details.service_url.clone();
    assert!(client.connect(&url).await.is_ok());
    microsoft.simulator.stop().await;
    assert!(client.connect(&url).await.is_err());

    let microsoft = Microsoft::start().await;
    let client: Client = microsoft.client();
    let url = client.details.service_url.clone();
    drop(microsoft);
    tokio::task::yield_now().await;
    assert!(client.connect(&url).await.is_err());
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_can_read_the_directory() {
    use std::os::unix::fs::PermissionsExt as _;
    let microsoft = Microsoft::start().await;
    let directory = microsoft.directory.path().join("microsoft");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for file in ["ca.key", "server.key", "entra.json", "ledger.sqlite"] {
        assert_eq!(mode(&directory.join(file)), 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_damaged_directory_and_a_taken_port_are_named() {
    let microsoft = Microsoft::start().await;
    let taken = microsoft.simulator.details().service_url.clone();
    let port: u16 = taken
        .rsplit_once("/cis")
        .unwrap()
        .0
        .rsplit_once(':')
        .unwrap()
        .1
        .parse()
        .unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut options = SimulatorOptions::new(elsewhere.path());
    options.service_address.set_port(port);
    let error = Simulator::start(options).await.err().unwrap();
    assert!(
        error.to_string().contains(&format!("127.0.0.1:{port}")),
        "{error}"
    );

    for file in ["entra.json", "ca.key", "server.pem"] {
        let directory = tempfile::tempdir().unwrap();
        Simulator::start(SimulatorOptions::new(directory.path()))
            .await
            .unwrap()
            .stop()
            .await;
        std::fs::write(directory.path().join(file), "damaged").unwrap();
        let error = Simulator::start(SimulatorOptions::new(directory.path()))
            .await
            .err()
            .unwrap();
        assert!(error.to_string().contains(file), "{error}");
    }
}
