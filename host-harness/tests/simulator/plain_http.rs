//! The way in without certificates: which checks it gives up, and which it keeps.

use std::net::SocketAddr;

use bss_simulator::{CertificateRequest, IssuedCertificate, PlainAddresses, Registration};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::Microsoft;

/// Starts a simulator with a way in by plain HTTP that lends the certificate; with it the path of a catalog page and
/// an access token.
async fn opened(
    lend: impl FnOnce(&Microsoft) -> IssuedCertificate,
) -> (Microsoft, PlainAddresses, String, String) {
    let mut microsoft = Microsoft::start().await;
    let lent = lend(&microsoft);
    let addresses = microsoft
        .simulator
        .accept_plain_http_without_certificates(&lent)
        .await
        .unwrap();
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let path = format!("/cis{}", client.offers("DE", "de-DE", ""));
    (microsoft, addresses, path, access_token)
}

fn registered(microsoft: &Microsoft) -> IssuedCertificate {
    microsoft
        .simulator
        .issue_client_certificate(&CertificateRequest::default())
        .unwrap()
}

/// The status line of the answer to a GET by plain HTTP; empty when there was no answer.
async fn get(address: SocketAddr, path: &str, access_token: &str) -> String {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {access_token}\r\nconnection: close\r\n\r\n"
    );
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is cut off counts as one without an answer.
    let _ = tcp.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn who_comes_by_plain_http_is_taken_for_the_holder_of_the_lent_certificate() {
    let (microsoft, addresses, path, access_token) = opened(registered).await;
    assert!(addresses.service.ip().is_loopback() && addresses.login.ip().is_loopback());
    assert_eq!(
        get(addresses.service, &path, &access_token).await,
        "HTTP/1.1 200 OK"
    );
    assert_eq!(microsoft.simulator.connections().len(), 1);
}

#[tokio::test]
async fn by_plain_http_too_an_access_token_is_needed() {
    let (_microsoft, addresses, path, _) = opened(registered).await;
    assert_eq!(
        get(addresses.service, &path, "none").await,
        "HTTP/1.1 401 Unauthorized"
    );
}

#[tokio::test]
async fn a_lent_certificate_that_is_not_registered_gets_nobody_in() {
    let (_microsoft, addresses, path, access_token) = opened(|microsoft| {
        let request = CertificateRequest {
            registration: Registration::Unregistered,
            ..CertificateRequest::default()
        };
        microsoft.simulator.issue_client_certificate(&request).unwrap()
    })
    .await;
    assert_eq!(
        get(addresses.service, &path, &access_token).await,
        "HTTP/1.1 403 Forbidden"
    );
}

#[tokio::test]
async fn the_first_way_in_takes_no_plain_http() {
    let (microsoft, _, path, access_token) = opened(registered).await;
    let service = microsoft.simulator.details().resource_api.clone();
    let port = service.rsplit(':').next().unwrap().parse().unwrap();
    let answer = get(SocketAddr::from(([127, 0, 0, 1], port)), &path, &access_token).await;
    assert!(!answer.starts_with("HTTP/"), "{answer}");
}

#[tokio::test]
async fn the_second_way_in_is_closed_with_the_simulator() {
    let (microsoft, addresses, ..) = opened(registered).await;
    microsoft.simulator.stop().await;
    assert!(TcpStream::connect(addresses.service).await.is_err());
    assert!(TcpStream::connect(addresses.login).await.is_err());
}
