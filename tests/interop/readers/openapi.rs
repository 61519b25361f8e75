//! `docs/cis-openapi.yaml` under a linter, and the simulator held to it by schemathesis.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use bss_simulator::{CertificateRequest, Simulator, SimulatorOptions};

use super::{own, program, tools};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cis-openapi.yaml");

/// The seed of all that is made up, fixed so that a run can be repeated.
const SEED: &str = "2026";
fn lint(document: &Path) -> Output {
    program("node")
        .arg(tools().join("npm/node_modules/@redocly/cli/bin/cli.js"))
        // The simulator's own server is on this machine.
        .args(["lint", "--skip-rule", "no-server-example.com"])
        .arg(document)
        .env("REDOCLY_TELEMETRY", "off")
        .env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true")
        .output()
        .expect("node starts")
}

/// A copy of the document with something in it replaced.
fn altered(folder: &Path, from: &str, to: &str) -> std::path::PathBuf {
    let text = std::fs::read_to_string(DOCUMENT).expect("the document");
    assert!(text.contains(from), "`{from}` is in the document");
    let file = folder.join("altered.yaml");
    std::fs::write(&file, text.replacen(from, to, 1)).expect("a file");
    file
}

#[test]
fn the_linter_finds_nothing_and_would_find_a_reference_to_nothing() {
    let output = lint(Path::new(DOCUMENT));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("warning"), "{said}");
    let folder = tempfile::tempdir().expect("a temporary directory");
    let wrong = altered(
        folder.path(),
        "components/schemas/OfferPage'",
        "components/schemas/NoSuchPage'",
    );
    let output = lint(&wrong);
    assert!(!output.status.success(), "{output:?}");
}

/// How many requests schemathesis makes up for each operation, and how many walks along links. It follows the links
/// that the document has, and infers none.
const CONFIGURATION: &str = "
    [generation]
    max-examples = 30
    [phases.stateful.generation]
    max-examples = 120
    [phases.stateful.inference]
    algorithms = []
";

const EVERY_PHASE: &str = "examples,coverage,fuzzing,stateful";

/// Operations that need a link to succeed: the id of a license, or where a catalog goes on, can't be guessed.
const FOLLOWED: [&str; 4] = ["findToken", "getToken", "listOffers continued", "returnToken"];

/// Holds a running simulator to a document. Returns the output, and the operations that were done by way of a link.
async fn schemathesis(document: &Path, phases: &str) -> (Output, BTreeSet<String>) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let options = SimulatorOptions::new(folder.path().join("microsoft"));
    let simulator = Simulator::start(options).await.expect("the simulator starts");
    let issued = simulator
        .issue_client_certificate(&CertificateRequest::default())
        .expect("a certificate");
    let (certificate, key) = (folder.path().join("a.pem"), folder.path().join("a.key"));
    std::fs::write(&certificate, &issued.certificate_pem).expect("a file");
    std::fs::write(&key, issued.private_key_pem.as_bytes()).expect("a file");
    let followed = folder.path().join("followed");
    for (file, text) in [("schemathesis.toml", CONFIGURATION), ("followed", "")] {
        std::fs::write(folder.path().join(file), text).expect("a file");
    }
    let details = simulator.details();
    let details_json = serde_json::to_string(details).expect("JSON");
    let mut schemathesis = program("schemathesis");
    schemathesis
        .arg("run")
        .arg(document)
        .args(["--url", &details.service_url, "--seed", SEED, "--phases", phases])
        .args([
            "--no-color",
            "--generation-database",
            "none",
            "--continue-on-failure",
        ])
        .arg("--tls-verify")
        .arg(&details.ca_file)
        .arg("--request-cert")
        .arg(&certificate)
        .arg("--request-cert-key")
        .arg(&key)
        .env("CIS_DETAILS", details_json)
        .env("CIS_CERTIFICATE", &certificate)
        .env("CIS_KEY", &key)
        .env("CIS_FOLLOWED", &followed)
        .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
        .env("PYTHONPATH", own(""))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(folder.path());
    let run = tokio::task::spawn_blocking(move || schemathesis.output());
    let output = run.await.expect("it ends").expect("schemathesis starts");
    let followed = std::fs::read_to_string(followed).expect("what was followed");
    (output, followed.lines().map(str::to_owned).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_no_disagreement_between_the_document_and_the_simulator() {
    let (output, followed) = schemathesis(Path::new(DOCUMENT), EVERY_PHASE).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    for phase in ["Examples", "Coverage", "Fuzzing", "Stateful"] {
        assert!(said.contains(&format!("✅ {phase}")), "{phase}: {said}");
    }
    for operation in FOLLOWED {
        assert!(
            followed.contains(operation),
            "{operation} of {followed:?}: {said}"
        );
    }
    println!("{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_a_document_that_promises_what_the_simulator_does_not_keep() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let wrong = altered(
        folder.path(),
        "enum: [Activated, Redeemed",
        "enum: [Active, Redeemed",
    );
    let (output, _) = schemathesis(&wrong, EVERY_PHASE).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("tokenStatus"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_gets_nowhere_with_links_that_lead_nowhere() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let text = std::fs::read_to_string(DOCUMENT).expect("the document");
    let wrong = folder.path().join("altered.yaml");
    std::fs::write(&wrong, text.replace("$response.body#/", "$response.body#/no-")).expect("a file");
    let (output, followed) = schemathesis(&wrong, "stateful").await;
    for operation in FOLLOWED {
        assert!(!followed.contains(operation), "{operation}: {output:?}");
    }
}
