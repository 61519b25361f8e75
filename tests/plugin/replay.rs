//! Exchanges between a plugin and Microsoft are recorded without secrets, and played back without a network.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bss_simulator::{Fault, Operation, Repeat, When};
use serde_json::Value;

use crate::cli::{CUSTOMER, assert_fails};
use crate::component::{bss_host, component};
use crate::scenario::{DONE, INSTANCE, REFUSED, Scenario, USAGE, assert_ends, result};

fn recording(scenario: &Scenario) -> PathBuf {
    scenario.folder.path().join("recording.jsonl")
}

/// Runs a command that is recorded.
fn record(scenario: &Scenario, arguments: &[&str]) -> Output {
    let file = recording(scenario).display().to_string();
    scenario.bss_host(&[arguments, &["--record", &file]].concat())
}

fn place(scenario: &Scenario, offer: &str, quantity: &str) -> Output {
    let order = [
        "order",
        "place",
        INSTANCE,
        "--offer",
        offer,
        "--quantity",
        quantity,
    ];
    record(scenario, &[&order[..], &CUSTOMER, &["--wait"]].concat())
}

/// Plays a file back on another desk, which has nothing of the first one's.
pub(crate) fn replay(file: &Path) -> Output {
    let desk = tempfile::tempdir().expect("a temporary directory");
    let output = Command::new(bss_host())
        .arg("replay")
        .arg(file)
        .arg("--json")
        .arg("--plugin")
        .arg(component())
        .arg("--data-dir")
        .arg(desk.path().join("bss"))
        .output()
        .expect("the program runs");
    assert!(!desk.path().join("bss/record.db").exists());
    output
}

pub(crate) fn replayed(output: &Output) -> Vec<Value> {
    result(output).as_array().expect("calls").clone()
}

/// The differences of all calls, as `what: recorded -> now`.
fn differences(calls: &[Value]) -> Vec<String> {
    let all = calls.iter().flat_map(|call| call["differences"].as_array());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.flatten()
        .map(|one| {
            format!(
                "{}: {} -> {}",
                text(&one["what"]),
                text(&one["recorded"]),
                text(&one["now"])
            )
        })
        .collect()
}

fn text(file: &Path) -> String {
    std::fs::read_to_string(file).expect("the recording")
}

/// A copy of a recording in which `to` stands in place of `from` in the line that contains `of_line`.
fn changed(file: &Path, of_line: &str, from: &str, to: &str) -> PathBuf {
    let lines: Vec<String> = text(file)
        .lines()
        .map(|line| match line.contains(of_line) {
            true => {
                assert!(line.contains(from), "`{from}` in {line}");
                line.replacen(from, to, 1)
            }
            false => line.to_owned(),
        })
        .collect();
    let copy = file.with_file_name(format!("{}.jsonl", uuid::Uuid::new_v4()));
    std::fs::write(&copy, lines.join("\n")).expect("a copy");
    copy
}

/// The recording of a purchase that went well: its first line, and those of the call that bought.
pub(crate) fn recorded_purchase(scenario: &Scenario, offer: &str) -> Vec<Value> {
    assert_ends(&place(scenario, offer, "1"), DONE);
    let lines: Vec<Value> = text(&recording(scenario))
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let bought = lines
        .iter()
        .find(|line| line["asked"]["function"] == "create-license");
    let call = bought.expect("a purchase")["call"].clone();
    let of_call = lines[1..].iter().filter(|line| line["call"] == call);
    lines[..1].iter().chain(of_call).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_is_played_back_without_a_network_and_buys_nothing() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    // A purchase is looked up after it was reset, and all calls but the first find an access token.
    scenario.microsoft.faults().order(
        Operation::Purchase,
        Fault::Reset(When::AfterActing),
        Repeat::Times(1),
    );
    assert_ends(&place(&scenario, &offer, "2"), DONE);
    let (before, issued) = (scenario.assets().await, scenario.issued().await);
    let file = recording(&scenario);
    let requests = scenario.microsoft.faults().requests_seen(Operation::Purchase);

    let output = replay(&file);
    let calls = replayed(&output);
    assert_eq!(differences(&calls), [""; 0]);
    assert_ends(&output, DONE);
    let outcomes: Vec<_> = calls.iter().filter_map(|call| call["outcome"].as_str()).collect();
    assert_eq!(
        outcomes.iter().filter(|outcome| **outcome == "licensed").count(),
        2
    );
    assert!(
        outcomes.iter().any(|outcome| outcome.starts_with("unknown (")),
        "{outcomes:?}"
    );
    assert_eq!(scenario.assets().await, before);
    assert_eq!(scenario.issued().await, issued);
    assert_eq!(
        scenario.microsoft.faults().requests_seen(Operation::Purchase),
        requests
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_holds_no_secret_and_no_customer() {
    use std::os::unix::fs::PermissionsExt;
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    assert_ends(&place(&scenario, &offer, "2"), DONE);
    let file = recording(&scenario);
    let kept = text(&file);
    assert!(kept.contains("clientTransactionId") && kept.contains("access_token"));
    let mut secrets = vec![
        // Every assertion and access token of the simulator begins so.
        "eyJ".to_owned(),
        "Bearer ".to_owned(),
        "a code".to_owned(),
        "C-1".to_owned(),
        "Beispiel GmbH".to_owned(),
        "it@beispiel.example".to_owned(),
        "PRIVATE KEY".to_owned(),
    ];
    for license in scenario.secrets(&scenario.assets().await).await {
        secrets.push(license.product_key.expose().to_owned());
        secrets.push(license.activation_link.expect("a link").expose().to_owned());
    }
    for secret in &secrets {
        assert!(!kept.contains(secret), "`{secret}` in {kept}");
    }
    // The access tokens in the answers from Entra were removed.
    let exchanges = kept
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let granted: Vec<Value> = exchanges
        .map(|line| line["response"]["body"]["json"].clone())
        .filter(|body| !body["access_token"].is_null())
        .collect();
    assert!(!granted.is_empty());
    for body in granted {
        let access_token = body["access_token"].as_str().expect("text");
        assert!(access_token.starts_with("removed-"), "{body}");
    }
    let mode = std::fs::metadata(&file).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_asks_for_something_else_is_told_where() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    assert_ends(&place(&scenario, &offer, "1"), DONE);
    let file = recording(&scenario);
    let purchase = r#""url":"https://localhost"#;
    let is_purchase = |line: &&str| line.contains(purchase) && line.contains("/tokens\"");
    let recorded = text(&file);
    let line = recorded.lines().find(is_purchase).expect("the purchase");

    // As if the recorded plugin had sold from Austria: the plugin that is here does not.
    let other = changed(&file, line, r#""country":"DE""#, r#""country":"AT""#);
    let output = replay(&other);
    let found = differences(&replayed(&output));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("country: \"AT\" -> \"DE\""), "{found:?}");
    assert_fails(&output, REFUSED, &["1 of ", "differ from the recording"]);

    // The plugin asks for something that has no answer on record, and the call ends otherwise.
    let without = recorded.replace(line, "");
    let shorter = file.with_file_name("shorter.jsonl");
    std::fs::write(&shorter, without.replace("\n\n", "\n")).expect("a copy");
    let found = differences(&replayed(&replay(&shorter)));
    assert!(found[0].starts_with("request:  -> POST https://"), "{found:?}");
    assert!(found[1].starts_with("outcome: licensed -> unknown"), "{found:?}");

    // The plugin does not ask for a request that is on record.
    let moved = changed(&file, line, "/tokens\"", "/licenses\"");
    let found = differences(&replayed(&replay(&moved)));
    assert!(
        found.iter().any(|one| one.ends_with("/licenses -> ")),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_function_is_played_back_as_well() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let asset = scenario.order(&offer, 1).await.remove(0).id.to_string();
    for command in [
        &["services", "fetch", INSTANCE][..],
        &["instance", "check", INSTANCE],
        &["instance", "show", INSTANCE],
        &["asset", "refresh", &asset],
        &[
            "asset",
            "cancel",
            &asset,
            "--comment",
            "The customer was Beispiel GmbH",
        ],
    ] {
        assert_ends(&record(&scenario, command), DONE);
        let file = recording(&scenario);
        assert!(!text(&file).contains("Beispiel"));
        let output = replay(&file);
        let calls = replayed(&output);
        assert!(!calls.is_empty(), "{command:?}");
        assert_eq!(differences(&calls), [""; 0], "{command:?}");
        assert_ends(&output, DONE);
        std::fs::remove_file(&file).expect("it is there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_recorded_or_played_back_is_refused() {
    let scenario = Scenario::ready().await;
    let file = recording(&scenario);
    std::fs::write(&file, "something else\n").expect("a file");
    let taken = record(&scenario, &["instance", "show", INSTANCE]);
    assert_fails(&taken, REFUSED, &["can't be created", "does not exist yet"]);
    assert_eq!(text(&file), "something else\n");
    assert_fails(&replay(&file), REFUSED, &["line 1 of", "--record"]);
    std::fs::write(&file, r#"{"line":"recording","format":0,"host":"0"}"#).expect("a file");
    assert_fails(&replay(&file), REFUSED, &["not a recording of format 1"]);
    let nothing = record(&scenario, &["replay", "a file"]);
    assert_fails(&nothing, USAGE, &["--record can't be used"]);
}
