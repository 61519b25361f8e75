//! The plugin and its host before OpenSSL's own server, which refuses certificates with alerts, early and late.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};

use bss_simulator::CertificateRequest;
use tempfile::TempDir;

use super::pki::{Flaw, Pki, Served, ServerKey};
use super::{fetch, free_port, problem, ready_instance, turn_to, until};
use crate::scenario::Scenario;

/// `openssl s_server`, stopped when it is dropped.
pub(crate) struct SServer {
    process: Child,
    /// The folder from which it serves files.
    folder: TempDir,
    pub(crate) port: u16,
}

impl Drop for SServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl SServer {
    /// Starts a server that takes client certificates of `clients_authority` (PEM) alone.
    pub(crate) fn start(served: &Served, clients_authority: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let port = free_port();
        for (name, text) in [
            ("server.pem", served.certificate.as_str()),
            ("server.key", &served.key),
            ("chain.pem", &served.chain),
            ("clients.pem", clients_authority),
        ] {
            std::fs::write(folder.path().join(name), text).expect("a file");
        }
        let process = Command::new("openssl")
            .args(["s_server", "-accept"])
            .arg(format!("127.0.0.1:{port}"))
            .args([
                "-cert",
                "server.pem",
                "-key",
                "server.key",
                "-cert_chain",
                "chain.pem",
            ])
            .args([
                "-CAfile",
                "clients.pem",
                "-verify_return_error",
                "-alpn",
                "http/1.1",
            ])
            .args(options)
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("openssl runs. Hint: `cargo xtask interop tls` installs it");
        let server = Self {
            process,
            folder,
            port,
        };
        until("openssl accepts connections", || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        server
    }

    /// Puts an answer where `-HTTP` looks for it: the path and query are the file's name.
    fn will_answer(&self, path_and_query: &str, body: &str) {
        let file = self.folder.path().join(path_and_query.trim_start_matches('/'));
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nETag: \"e\"\r\n\
             MS-CorrelationId: 7d2f7c06-6c0e-5b6a-9f0b-5f7a8a2f4f0e\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        std::fs::write(file, answer).expect("a file");
    }

    /// The server's stdout, to be read line by line.
    pub(crate) fn output(&mut self) -> BufReader<ChildStdout> {
        BufReader::new(self.process.stdout.take().expect("a pipe"))
    }
}

/// A host with a ready instance, and the authorities of a server and of Microsoft's clients.
async fn host() -> (Scenario, Pki, String) {
    let scenario = Scenario::start().await;
    let pki = Pki::new();
    let thumbprint = scenario.install(&CertificateRequest::default()).await;
    ready_instance(&scenario, &pki.root_pem, &thumbprint).await;
    let clients = std::fs::read_to_string(&scenario.microsoft.details().ca_file);
    (scenario, pki, clients.expect("its authority"))
}

/// The page of a catalog with one offer, and the query that asks for it.
fn one_offer(scenario: &Scenario) -> (String, String) {
    let channel_id = &scenario.microsoft.details().channel_id;
    let path = format!("cis/catalog/offers?country=DE&language=de-DE&channelId={channel_id}&pageSize=500");
    let offer = serde_json::json!({
        "offerId": "X-1", "offerUri": "urn:x:1", "name": "An offer of this run", "shortDescription": "",
        "minQuantity": 1, "maxQuantity": 1, "isReturnable": false, "status": "Active",
    });
    let page = serde_json::json!({ "items": [offer], "etag": "\"e\"" });
    (path, page.to_string())
}

const REQUIRED: [&str; 3] = ["-Verify", "3", "-HTTP"];

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_is_read_from_openssl_with_each_version_of_tls_and_each_kind_of_server_key() {
    let (scenario, pki, clients) = host().await;
    let (path, page) = one_offer(&scenario);
    for tls in ["-tls1_2", "-tls1_3"] {
        for key in [ServerKey::Rsa, ServerKey::Ecdsa] {
            let served = pki.server(key, Flaw::None);
            let server = SServer::start(&served, &clients, &[&REQUIRED[..], &[tls]].concat());
            server.will_answer(&path, &page);
            turn_to(&scenario, server.port).await;
            fetch(&scenario)
                .await
                .unwrap_or_else(|failure| panic!("{tls}, {key:?}: {failure:?}"));
            assert_eq!(scenario.offers().await, ["X-1"], "{tls}, {key:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_openssl_refuses_is_named_whether_its_alert_comes_early_or_late() {
    let (scenario, pki, clients) = host().await;
    let (path, page) = one_offer(&scenario);
    let untrusted = scenario
        .microsoft
        .issue_untrusted_certificate(&CertificateRequest::default())
        .expect("a certificate");
    let thumbprint = scenario.install_issued(&untrusted).await;
    scenario
        .set("certificate-thumbprint", &thumbprint.to_string())
        .await;
    // TLS 1.2 refuses the certificate within the handshake, TLS 1.3 after the client has begun to send its request.
    for tls in ["-tls1_2", "-tls1_3"] {
        for key in [ServerKey::Rsa, ServerKey::Ecdsa] {
            let served = pki.server(key, Flaw::None);
            let server = SServer::start(&served, &clients, &[&REQUIRED[..], &[tls]].concat());
            server.will_answer(&path, &page);
            turn_to(&scenario, server.port).await;
            let failure = fetch(&scenario).await.expect_err("it is refused");
            assert_eq!(problem(failure).code, "certificate-refused", "{tls}, {key:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_openssl_that_is_not_who_it_should_be_is_not_asked() {
    let (scenario, pki, clients) = host().await;
    let (path, page) = one_offer(&scenario);
    for flaw in [Flaw::OtherName, Flaw::Expired, Flaw::OtherAuthority] {
        let served = pki.server(ServerKey::Ecdsa, flaw);
        let server = SServer::start(&served, &clients, &REQUIRED);
        server.will_answer(&path, &page);
        turn_to(&scenario, server.port).await;
        let failure = fetch(&scenario).await.expect_err("it is not trusted");
        assert_eq!(problem(failure).code, "server-not-trusted", "{flaw:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_which_no_handshake_is_possible_is_told_in_words_that_are_true_of_it() {
    let (scenario, pki, clients) = host().await;
    let nothing_in_common = ("no cipher suite, key exchange or curve in common", "ECDHE");
    for (key, options, (words, advice)) in [
        (
            ServerKey::Rsa,
            &["-tls1_2", "-cipher", "AES128-SHA"][..],
            nothing_in_common,
        ),
        (
            ServerKey::Rsa,
            &["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
            nothing_in_common,
        ),
        (
            ServerKey::Rsa,
            &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA"],
            nothing_in_common,
        ),
        (
            ServerKey::Rsa,
            &["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"],
            nothing_in_common,
        ),
        (
            ServerKey::Ecdsa,
            &["-tls1_3", "-groups", "P-521"],
            nothing_in_common,
        ),
        (
            ServerKey::Rsa,
            &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
            ("neither TLS 1.2 nor TLS 1.3", "not secure"),
        ),
        (
            ServerKey::Ecdsa,
            &[
                "-servername",
                "another.test",
                "-servername_fatal",
                "-cert2",
                "server.pem",
                "-key2",
                "server.key",
            ],
            ("no site of that name", "host name"),
        ),
    ] {
        let served = pki.server(key, Flaw::None);
        let server = SServer::start(&served, &clients, &[&REQUIRED[..], options].concat());
        turn_to(&scenario, server.port).await;
        let problem = problem(fetch(&scenario).await.expect_err("no handshake"));
        assert_eq!(problem.code, "tls-failed", "{options:?}: {problem:?}");
        assert!(problem.message.contains(words), "{options:?}: {problem:?}");
        assert!(problem.advice.contains(advice), "{options:?}: {problem:?}");
    }
}

/// Has a server that has asked for no certificate ask for one, by `command`, once the request is there, and types
/// `answer` when `said` stands among its errors. Returns the problem that the operator is told.
async fn asks_late(tls: &str, command: &str, said: &'static str, answer: &'static str) -> String {
    let (scenario, pki, clients) = host().await;
    let served = pki.server(ServerKey::Ecdsa, Flaw::None);
    let mut server = SServer::start(&served, &clients, &[tls, "-verify", "3"]);
    turn_to(&scenario, server.port).await;
    let output = server.output();
    let mut input = server.process.stdin.take().expect("a pipe");
    let command = format!("{command}\n");
    let errors = BufReader::new(server.process.stderr.take().expect("a pipe"));
    let typing = std::thread::spawn(move || {
        let mut lines = output.lines().map_while(Result::ok);
        // A command that is typed before the request is there would go to a connection without one.
        let asked = lines.any(|line| line.starts_with("GET /cis/catalog/offers"))
            && lines.any(|line| line.is_empty());
        assert!(asked, "the request arrives");
        input.write_all(command.as_bytes()).expect("openssl reads");
        // openssl prints its errors at once, while its output waits until there is more of it.
        let mut errors = errors.lines().map_while(Result::ok);
        assert!(errors.any(|line| line.contains(said)), "openssl says `{said}`");
        input.write_all(answer.as_bytes()).expect("openssl reads");
        // Errors and output are read to the end, because openssl stops once its pipes are full.
        errors.for_each(drop);
        lines.for_each(drop);
    });
    let failure = fetch(&scenario).await.expect_err("there is no catalog");
    drop(server);
    typing.join().expect("the typing ends");
    let problem = problem(failure);
    format!("{}: {} {}", problem.code, problem.message, problem.advice)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_renegotiates_for_a_certificate_gets_none_and_the_operator_a_reason() {
    // OpenSSL ends the connection, since rustls does not renegotiate (RFC 8446 has no such thing any more).
    let told = asks_late("-tls1_2", "R", "no renegotiation", "").await;
    assert!(told.starts_with("connection-broken-off: "), "{told}");
    assert!(told.contains("only after the TLS handshake"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_after_the_handshake_of_tls_1_3_gets_none_and_the_operator_a_reason() {
    // OpenSSL sees that the client has not offered authentication after the handshake; a server that needs it then
    // hangs up.
    let told = asks_late("-tls1_3", "c", "extension not received", "Q\n").await;
    assert!(told.starts_with("connection-broken-off: "), "{told}");
    assert!(told.contains("only after the TLS handshake"), "{told}");
}
