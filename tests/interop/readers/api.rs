//! The server held by schemathesis to `docs/openapi.json`, which is made from its code.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Output, Stdio};

use serde_json::Value;

use super::program;
use crate::scenario::Scenario;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");

/// The seed of all that is made up, fixed so that a run can be repeated.
const SEED: &str = "2026";

/// What an answer is held to. Whether a request that fits the document is carried out depends on what is on record, too.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance";

/// How many requests schemathesis makes up for each operation.
const CONFIGURATION: &str = "
    [generation]
    max-examples = 20
";

/// A server that is killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Holds a running server to a document.
async fn schemathesis(document: &Path) -> Output {
    let scenario = Scenario::selling().await;
    let offers = scenario.offers().await;
    scenario.order(&offers[0], 1).await;
    let scopes = "read,order,cancel,configure,reveal,administer";
    let made = scenario.json(&["api-client", "create", "schemathesis", "--scopes", scopes]);
    let key = made["key"].as_str().expect("a key").to_owned();
    let mut server = scenario
        .command(&["serve", "--plain-http", "--listen", "127.0.0.1:0", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the server starts");
    let output = server.stdout.take().expect("its output");
    let _server = Running(server);
    let mut line = String::new();
    BufReader::new(output)
        .read_line(&mut line)
        .expect("it says where it listens");
    let listening: Value = serde_json::from_str(&line).expect("JSON");
    let url = listening["url"].as_str().expect("an address");
    let folder = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(folder.path().join("schemathesis.toml"), CONFIGURATION).expect("a file");
    let mut schemathesis = program("schemathesis");
    schemathesis
        .arg("run")
        .arg(document)
        .args(["--url", url, "--seed", SEED, "--checks", CHECKS])
        .args(["--phases", "examples,coverage,fuzzing", "--continue-on-failure"])
        .args(["--header", &format!("Authorization: Bearer {key}")])
        // Longer than an order that prefers to wait.
        .args(["--request-timeout", "60"])
        .args(["--no-color", "--generation-database", "none"])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(folder.path());
    let run = tokio::task::spawn_blocking(move || schemathesis.output());
    run.await.expect("it ends").expect("schemathesis starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_no_disagreement_between_the_api_and_its_document() {
    let output = schemathesis(Path::new(DOCUMENT)).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    for phase in ["Examples", "Coverage", "Fuzzing"] {
        assert!(said.contains(&format!("✅ {phase}")), "{phase}: {said}");
    }
    println!("{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_a_document_that_promises_what_the_api_does_not_keep() {
    let text = std::fs::read_to_string(DOCUMENT).expect("the document");
    let mut wrong: Value = serde_json::from_str(&text).expect("JSON");
    let status = &mut wrong["components"]["schemas"]["Health"]["properties"]["status"]["enum"];
    assert!(status.is_array(), "{status}");
    *status = serde_json::json!(["well"]);
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = folder.path().join("altered.json");
    std::fs::write(&file, wrong.to_string()).expect("a file");
    let output = schemathesis(&file).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("/healthz") && said.contains("alive"), "{said}");
}
