//! The assertions that the plugin signs, verified by PyJWT.

use std::io::{BufRead as _, Read as _};
use std::path::Path;

use bss_simulator::{CertificateRequest, IssuedCertificate};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::{complaint, python};
use crate::scenario::Scenario;
use crate::tls::{Flaw, Pki, SServer, ServerKey, fetch, ready_instance_with};

/// A JWT that the plugin sent to what it took for Entra.
struct Captured {
    scenario: Scenario,
    jwt: String,
    audience: String,
    signer: IssuedCertificate,
}

/// Has the plugin ask `openssl s_server` for an access token, which prints the request.
async fn captured(entra_version: &str, endpoint: &str) -> Captured {
    let scenario = Scenario::start().await;
    let signer = scenario
        .microsoft
        .issue_client_certificate(&CertificateRequest::default())
        .expect("a certificate");
    let thumbprint = scenario.install_issued(&signer).await;
    let pki = Pki::new();
    let mut entra = SServer::start(
        &pki.server(ServerKey::Rsa, Flaw::None),
        &pki.root_pem,
        &["-quiet"],
    );
    let authority = format!("localhost:{}", entra.port);
    let options = [
        ("login-authority", authority.as_str()),
        ("entra-version", entra_version),
    ];
    let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
    ready_instance_with(&scenario, options.into(), &pki.root_pem, &thumbprint).await;
    let mut output = entra.output();
    let (read, body) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut length = 0;
        for line in output.by_ref().lines() {
            let line = line.expect("openssl prints the request").to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
            if line.is_empty() && length > 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        output.read_exact(&mut body).expect("openssl prints the body");
        let _ = read.send(body);
    });
    // The plugin waits for an answer that it does not get: a call that ends before the request is read never asked.
    let body = tokio::select! {
        body = body => body.expect("openssl prints a request"),
        ended = fetch(&scenario) => panic!("nobody asked for an access token: {ended:?}"),
    };
    drop(entra);
    let mut form = form_urlencoded::parse(&body);
    let (_, jwt) = form
        .find(|(name, _)| name == "client_assertion")
        .expect("an assertion");
    let tenant = scenario.microsoft.details().tenant;
    Captured {
        jwt: jwt.into_owned(),
        audience: format!("https://{authority}/{tenant}/{endpoint}"),
        signer,
        scenario,
    }
}

fn verify(folder: &Path, captured: &Captured, pem: &str, algorithm: &str, jwt: &str) -> std::process::Output {
    let file = folder.join("certificate.pem");
    std::fs::write(&file, pem).expect("a file");
    let file = file.to_str().expect("a path of text");
    python("verify_jwt.py", &[file, algorithm, &captured.audience], jwt)
}

/// Changes the subject of a JWT and leaves its signature as it was.
fn altered(jwt: &str) -> String {
    let parts: Vec<&str> = jwt.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        panic!("three parts")
    };
    let claims = BASE64URL_NOPAD.decode(claims.as_bytes()).expect("base64url");
    let mut claims: Value = serde_json::from_slice(&claims).expect("JSON");
    claims["sub"] = json!(uuid::Uuid::new_v4());
    let claims = BASE64URL_NOPAD.encode(claims.to_string().as_bytes());
    format!("{header}.{claims}.{signature}")
}

async fn is_verified(entra_version: &str, endpoint: &str, algorithm: &str, thumbprint: &str) {
    let captured = captured(entra_version, endpoint).await;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let certificate = &captured.signer.certificate_pem;
    let verify = |pem: &str, algorithm, jwt: &str| verify(folder.path(), &captured, pem, algorithm, jwt);

    let verified = verify(certificate, algorithm, &captured.jwt);
    assert!(verified.status.success(), "{verified:?}");
    let told: Value = serde_json::from_slice(&verified.stdout).expect("JSON");
    assert_eq!(told["header"]["alg"], algorithm);
    assert!(told["header"][thumbprint].is_string(), "{told}");
    let client_id = json!(captured.scenario.microsoft.details().client_id);
    assert_eq!(
        (&told["claims"]["iss"], &told["claims"]["sub"]),
        (&client_id, &client_id)
    );

    let said = complaint(&verify(certificate, algorithm, &altered(&captured.jwt)));
    assert!(said.contains("InvalidSignatureError"), "{said}");
    let request = CertificateRequest::default();
    let other = captured.scenario.microsoft.issue_client_certificate(&request);
    let other = other.expect("a certificate").certificate_pem;
    let said = complaint(&verify(&other, algorithm, &captured.jwt));
    assert!(said.contains("InvalidSignatureError"), "{said}");
    // The JWT's signature holds for the twin's key too, but its thumbprint is not that of the twin's certificate.
    let key = rcgen::KeyPair::from_pem(&captured.signer.private_key_pem).expect("its key");
    let twin = rcgen::CertificateParams::new(Vec::new()).and_then(|parameters| parameters.self_signed(&key));
    let said = complaint(&verify(
        &twin.expect("a certificate").pem(),
        algorithm,
        &captured.jwt,
    ));
    assert!(said.contains(&format!("{thumbprint} is ")), "{said}");
    let other_algorithm = if algorithm == "PS256" { "RS256" } else { "PS256" };
    let said = complaint(&verify(certificate, other_algorithm, &captured.jwt));
    assert!(said.contains("InvalidAlgorithmError"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pyjwt_verifies_ps256_with_the_sha_256_thumbprint_and_nothing_that_was_altered() {
    is_verified("v2", "oauth2/v2.0/token", "PS256", "x5t#S256").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pyjwt_verifies_rs256_with_the_sha_1_thumbprint_and_nothing_that_was_altered() {
    is_verified("v1", "oauth2/token", "RS256", "x5t").await;
}
