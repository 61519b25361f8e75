//! The server held by schemathesis to `docs/openapi.json`, which is made from its code.

use std::collections::BTreeSet;
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

/// The phases of a run. The one that follows links is none of them.
pub(super) const EVERY_PHASE: &str = "examples,coverage,fuzzing";

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

/// Holds the server of a scenario to a document. `files`, each with its name, lie where schemathesis runs: its configuration, and
/// what that names.
pub(super) async fn hold(
    scenario: &Scenario,
    document: &Path,
    phases: &str,
    files: &[(&str, &str)],
    headers: &[String],
) -> Output {
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
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    let mut schemathesis = program("schemathesis");
    schemathesis
        .arg("run")
        .arg(document)
        .args(["--url", url, "--seed", SEED, "--checks", CHECKS])
        .args(["--phases", phases, "--continue-on-failure"])
        // Longer than an order that prefers to wait.
        .args(["--request-timeout", "60"])
        .args(["--no-color", "--generation-database", "none"])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(folder.path());
    for header in headers {
        schemathesis.args(["--header", header]);
    }
    let run = tokio::task::spawn_blocking(move || schemathesis.output());
    run.await.expect("it ends").expect("schemathesis starts")
}

/// Checks that schemathesis went through every phase and found nothing.
pub(super) fn assert_agrees(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    for phase in ["Examples", "Coverage", "Fuzzing"] {
        assert!(said.contains(&format!("✅ {phase}")), "{phase}: {said}");
    }
}

/// How far links are followed: those that the document has, and none that schemathesis makes up.
const LINKS: &str = "
    [phases.stateful.generation]
    max-examples = 200
    [phases.stateful.inference]
    algorithms = []
";

/// Holds a server with an order on record to a document.
async fn schemathesis(scenario: &Scenario, document: &Path, phases: &str, configuration: &str) -> Output {
    let offers = scenario.offers().await;
    scenario.order(&offers[0], 1).await;
    let scopes = "read,order,cancel,configure,reveal,administer";
    let made = scenario.json(&["api-client", "create", "schemathesis", "--scopes", scopes]);
    let key = made["key"].as_str().expect("a key");
    let files = [("schemathesis.toml", configuration)];
    let headers = [format!("Authorization: Bearer {key}")];
    hold(scenario, document, phases, &files, &headers).await
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_no_disagreement_between_the_api_and_its_document() {
    let scenario = Scenario::selling().await;
    let output = schemathesis(&scenario, Path::new(DOCUMENT), EVERY_PHASE, CONFIGURATION).await;
    assert_agrees(&output);
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_gets_by_the_document_s_links_to_keys_runs_and_certificates_and_finds_no_disagreement() {
    let scenario = Scenario::selling().await;
    let output = schemathesis(&scenario, Path::new(DOCUMENT), "stateful", LINKS).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("✅ Stateful"), "{said}");
    // Made-up ids lead to nothing: what is on record was come to by links.
    let acts = scenario.json(&["audit", "list"]);
    let done: BTreeSet<&str> = acts
        .as_array()
        .expect("acts")
        .iter()
        .filter(|act| act["actor"]["name"] == "schemathesis")
        .map(|act| act["act"].as_str().expect("a word"))
        .collect();
    for act in ["show-keys", "start-services-run", "remove-certificate"] {
        assert!(done.contains(act), "{act} in {done:?}");
    }
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
    let output = schemathesis(&Scenario::selling().await, &file, EVERY_PHASE, CONFIGURATION).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("/healthz") && said.contains("alive"), "{said}");
}
