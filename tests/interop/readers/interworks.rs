//! The contract for billing platforms held by schemathesis to `docs/interworks-openapi.yaml`, which is written by hand.

use std::path::Path;
use std::process::Output;

use uuid::Uuid;

use super::api::{EVERY_PHASE, assert_agrees, hold};
use crate::scenario::{DONE, INSTANCE, Scenario, assert_ends};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/interworks-openapi.yaml");

/// How many requests schemathesis makes up for each operation, and what it can't take from the document.
const CONFIGURATION: &str = r#"
    hooks = "hooks.py"
    [generation]
    max-examples = 15
    [parameters]
    # Made-up names open nothing, and after ten of them each answer is held back for a second.
    "path.application" = "bss"
    [[operations]]
    include-path = "/interworks/{application}/Fields/ServiceDefinition"
    # 503 is what it answers, by the document, to a setting that differs and to a query that can't be read.
    checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "503"]
"#;

/// Makes the document's example of a license one of each phase's own. That of the first phase is returned in it, and of a returned
/// license nobody is told anything more.
const HOOKS: &str = r#"
import schemathesis


@schemathesis.hook
def map_case(context, case):
    if isinstance(case.body, dict) and case.body.get("SubscriptionID") == "84213":
        # A copy, because cases share their bodies.
        case.body = {**case.body, "SubscriptionID": case.meta.phase.name}
    return case
"#;

/// Registers a platform at the instance of a scenario, and holds what it is answered to a document.
async fn schemathesis(scenario: &Scenario, document: &Path, phases: &str) -> Output {
    let [application, key] = [Uuid::new_v4(), Uuid::new_v4()].map(|id| id.to_string());
    let file = scenario.folder.path().join("platform.key");
    std::fs::write(&file, &key).expect("a file");
    let file = file.to_str().expect("text");
    let register = ["platform", "register", "bss", "--instance", INSTANCE];
    let pair = ["--application-id", &application, "--api-key-file", file];
    assert_ends(&scenario.bss_host(&[&register[..], &pair].concat()), DONE);
    let files = [("schemathesis.toml", CONFIGURATION), ("hooks.py", HOOKS)];
    let headers = [
        format!("X-CloudPlatform-ApplicationId: {application}"),
        format!("X-CloudPlatform-APIKey: {key}"),
    ];
    hold(scenario, document, phases, &files, &headers).await
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_no_disagreement_between_the_contract_of_platforms_and_its_document() {
    let scenario = Scenario::selling().await;
    let output = schemathesis(&scenario, Path::new(DOCUMENT), EVERY_PHASE).await;
    assert_agrees(&output);
    // Refusals alone would agree as well: the document's example and variants of it have to have been bought.
    let issued = scenario.issued().await;
    assert!(issued.len() >= 2, "{issued:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_a_document_that_promises_what_the_contract_of_platforms_does_not_keep() {
    let text = std::fs::read_to_string(DOCUMENT).expect("the document");
    let [right, wrong] = ["enum: [Activated, Redeemed", "enum: [Active, Redeemed"];
    assert!(text.contains(right), "`{right}` is in the document");
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = folder.path().join("altered.yaml");
    std::fs::write(&file, text.replacen(right, wrong, 1)).expect("a file");
    // Only the answer with a license has that member, and the examples already bring one.
    let output = schemathesis(&Scenario::selling().await, &file, "examples").await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{said}");
    let found = r#""Activated" is not one of "Active""#;
    assert!(said.contains("Assets/Create") && said.contains(found), "{said}");
}
