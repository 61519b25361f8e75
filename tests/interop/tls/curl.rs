//! curl as a client of the simulator, with an assertion that `openssl` signed.

use std::path::Path;
use std::process::{Command, Output};

use bss_simulator::{
    CertificateRequest, Details, IssuedCertificate, KeyKind, Registration, Simulator, SimulatorOptions,
};
use data_encoding::{BASE64URL_NOPAD, HEXUPPER};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::until;

/// curl's exit code for a server's certificate that can't be verified (curl.se/libcurl/c/libcurl-errors.html).
const PEER_FAILED_VERIFICATION: i32 = 60;

/// A simulator, and a folder for what curl and openssl read.
struct Microsoft {
    simulator: Simulator,
    folder: TempDir,
}

impl Microsoft {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let options = SimulatorOptions::new(folder.path().join("microsoft"));
        let simulator = Simulator::start(options).await.expect("the simulator starts");
        Self { simulator, folder }
    }

    fn details(&self) -> &Details {
        self.simulator.details()
    }

    fn issue(&self, request: &CertificateRequest) -> IssuedCertificate {
        self.simulator
            .issue_client_certificate(request)
            .expect("a certificate")
    }

    /// `curl` with the certificate, or without one; the status comes after the body.
    fn curl(&self, issued: Option<&IssuedCertificate>, arguments: &[&str]) -> Output {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--write-out",
            "\n%{http_code} %{http_version}",
        ])
        .arg("--cacert")
        .arg(&self.details().ca_file);
        if let Some(issued) = issued {
            let file = self.folder.path().join(format!("{}.pem", issued.thumbprint));
            write(
                &file,
                &format!("{}{}", issued.certificate_pem, *issued.private_key_pem),
            );
            curl.arg("--cert").arg(file);
        }
        curl.args(arguments)
            .output()
            .expect("curl runs. Hint: `cargo xtask interop tls` installs it")
    }

    /// The body, the status and the version of HTTP.
    fn answer(&self, issued: &IssuedCertificate, arguments: &[&str]) -> (Value, String) {
        let output = self.curl(Some(issued), arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let (body, status) = text.rsplit_once('\n').expect("a status");
        let body = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {text}"));
        (body, status.to_owned())
    }

    /// An access token by the grant of Entra's second version.
    fn access_token(&self, issued: &IssuedCertificate) -> String {
        let details = self.details();
        let url = format!(
            "https://{}/{}/oauth2/v2.0/token",
            details.login_authority, details.tenant
        );
        let assertion = self.assertion(issued, &url);
        let form = [
            "grant_type=client_credentials".to_owned(),
            format!("client_id={}", details.client_id),
            "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned(),
            format!("client_assertion={assertion}"),
            format!("scope={}/.default", details.resource_api),
        ];
        let mut arguments = vec![url.as_str()];
        for field in &form {
            arguments.extend(["--data-urlencode", field]);
        }
        let (body, status) = self.answer(issued, &arguments);
        assert!(status.starts_with("200 "), "{body}");
        body["access_token"].as_str().expect("an access token").to_owned()
    }

    /// Signs an assertion with PS256 by `openssl dgst`, with the thumbprint that `openssl x509` tells.
    fn assertion(&self, issued: &IssuedCertificate, audience: &str) -> String {
        let (certificate, key) = (self.folder.path().join("a.pem"), self.folder.path().join("a.key"));
        write(&certificate, &issued.certificate_pem);
        write(&key, &issued.private_key_pem);
        let told = openssl(
            self.folder.path(),
            &["x509", "-in", "a.pem", "-noout", "-fingerprint", "-sha256"],
        );
        let told = String::from_utf8(told).expect("text");
        let (_, hex) = told.trim().split_once('=').expect("a fingerprint");
        let sha256 = HEXUPPER.decode(hex.replace(':', "").as_bytes()).expect("hex");
        let now = Timestamp::now().as_second();
        let client_id = self.details().client_id;
        let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": BASE64URL_NOPAD.encode(&sha256)});
        let claims = json!({
            "aud": audience, "iss": client_id, "sub": client_id,
            "jti": Uuid::new_v4(), "nbf": now - 60, "exp": now + 300,
        });
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&header), part(&claims));
        write(&self.folder.path().join("signed"), &signed);
        let signature = openssl(
            self.folder.path(),
            &[
                "dgst",
                "-sha256",
                "-sign",
                "a.key",
                "-sigopt",
                "rsa_padding_mode:pss",
                "-sigopt",
                "rsa_pss_saltlen:digest",
                "signed",
            ],
        );
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
    }

    fn offers(&self) -> String {
        let Details {
            service_url,
            channel_id,
            ..
        } = self.details();
        format!("{service_url}/catalog/offers?country=DE&language=de-DE&channelId={channel_id}")
    }

    fn purchase(&self) -> String {
        json!({
            "clientTransactionId": Uuid::new_v4(), "channelId": self.details().channel_id,
            "offerId": "EP2-06798", "country": "DE", "language": "de-DE", "currency": "EUR", "quantity": 1,
            "customer": {"id": "C-1", "name": "Käufer", "country": "DE"},
        })
        .to_string()
    }
}

fn write(file: &Path, text: &str) {
    std::fs::write(file, text).expect("a file in a temporary directory");
}

fn openssl(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output();
    let output = output.expect("openssl runs. Hint: `cargo xtask interop tls` installs it");
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

const TLS_1_2: [&str; 3] = ["--tlsv1.2", "--tls-max", "1.2"];
const TLS_1_3: [&str; 1] = ["--tlsv1.3"];

#[tokio::test(flavor = "multi_thread")]
async fn curl_buys_from_the_simulator_with_each_version_of_tls_and_http_and_each_kind_of_key() {
    let microsoft = Microsoft::start().await;
    let request = CertificateRequest::default();
    let rsa = microsoft.issue(&request);
    let ecdsa = microsoft.issue(&CertificateRequest {
        key: KeyKind::EcdsaP256,
        ..request
    });
    let authorization = format!("Authorization: Bearer {}", microsoft.access_token(&rsa));
    let mut bought = 0;
    for tls in [&TLS_1_2[..], &TLS_1_3] {
        for (http, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
            for issued in [&rsa, &ecdsa] {
                let common = [tls, &[http, "--header", &authorization]].concat();
                let offers = microsoft.offers();
                let (page, status) = microsoft.answer(issued, &[&common[..], &[&offers]].concat());
                assert_eq!(status, format!("200 {version}"), "{common:?}");
                assert!(page["items"].as_array().is_some_and(|items| !items.is_empty()));
                let tokens = format!("{}/tokens", microsoft.details().service_url);
                let purchase = microsoft.purchase();
                let json = [
                    "--header",
                    "Content-Type: application/json",
                    "--data",
                    &purchase,
                    &tokens,
                ];
                let (license, status) = microsoft.answer(issued, &[&common[..], &json].concat());
                assert_eq!(status, format!("201 {version}"), "{license}");
                bought += 1;
                let ledger = microsoft.simulator.ledger().await.expect("the ledger");
                assert_eq!(ledger.len(), bought);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_does_not_get_in_without_a_certificate_or_with_one_that_is_not_good() {
    let microsoft = Microsoft::start().await;
    let request = CertificateRequest::default();
    let untrusted = microsoft.simulator.issue_untrusted_certificate(&request);
    let untrusted = untrusted.expect("a certificate");
    let expired = microsoft.issue(&CertificateRequest {
        not_after: Timestamp::now() - SignedDuration::from_mins(10),
        ..request.clone()
    });
    let offers = microsoft.offers();
    for (what, issued, why) in [
        ("none", None, "peer sent no certificates"),
        ("untrusted", Some(&untrusted), "UnknownIssuer"),
        ("expired", Some(&expired), "certificate expired"),
    ] {
        for tls in [&TLS_1_2[..], &TLS_1_3] {
            let before = microsoft.simulator.refused_handshakes().len();
            let output = microsoft.curl(issued, &[tls, &[&offers]].concat());
            assert!(!output.status.success(), "{what}, {tls:?}: {output:?}");
            assert_eq!(output.stdout, b"\n000 0", "{what}, {tls:?}: there is no answer");
            // The reason that curl gives depends on when it reads the alert; the server knows why it sent one.
            let refused = until("the server has refused it", || {
                microsoft.simulator.refused_handshakes().get(before).cloned()
            });
            assert!(refused.contains(why), "{what}, {tls:?}: {refused}");
        }
    }
    assert_eq!(microsoft.simulator.connections(), []);
    // A certificate of the right authority that Entra does not know gets an answer, which is no.
    let access_token = microsoft.access_token(&microsoft.issue(&request));
    let stranger = microsoft.issue(&CertificateRequest {
        registration: Registration::Unregistered,
        ..request
    });
    let authorization = format!("Authorization: Bearer {access_token}");
    let (refusal, status) = microsoft.answer(&stranger, &["--header", &authorization, &offers]);
    assert_eq!(status, "403 2");
    assert_eq!(refusal["error"]["code"], "CertificateNotRegistered");
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_does_not_talk_to_a_simulator_by_another_name_or_without_its_authority() {
    let microsoft = Microsoft::start().await;
    let issued = microsoft.issue(&CertificateRequest::default());
    let offers = microsoft.offers();
    let elsewhere = offers.replace("localhost", "elsewhere.test");
    let port = offers.split(['/', ':']).find(|part| part.parse::<u16>().is_ok());
    let resolve = format!("elsewhere.test:{}:127.0.0.1", port.expect("a port"));
    let system_s = "/etc/ssl/certs/ca-certificates.crt";
    for arguments in [
        &["--resolve", &resolve, &elsewhere][..],
        &["--cacert", system_s, &offers],
    ] {
        let output = microsoft.curl(Some(&issued), arguments);
        assert_eq!(output.status.code(), Some(PEER_FAILED_VERIFICATION), "{output:?}");
    }
    // The name is compared after the handshake: curl hangs up on what the simulator took for a connection.
    let connections = microsoft.simulator.connections();
    assert!(connections.iter().all(|connection| connection.requests == 0));
}
