//! Exchanges between a plugin and its vendor are recorded without secrets, and played back without a network.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use acme_keys_vendor::{Fault as AcmeFault, Route};
use bss_simulator::{Fault, Operation, Repeat, When};
use host_harness::Plugin;
use host_harness::exchange_recording::Recording;
use host_harness::replay::ReplayedCall;
use serde_json::{Value, json};

use crate::acme::{ACME, Acme, KEY};
use crate::cli::{CUSTOMER, assert_fails};
use crate::component::{acme_component, bss_host, component};
use crate::guests::{IdempotencyKey, buyer};
use crate::scenario::{DONE, INSTANCE, REFUSED, Scenario, USAGE, assert_ends, result, silent};

fn recording(scenario: &Scenario) -> PathBuf {
    scenario.folder.path().join("recording.jsonl")
}

/// Runs a command that is recorded.
fn record(scenario: &Scenario, arguments: &[&str]) -> Output {
    let file = recording(scenario).display().to_string();
    scenario.bss_host(&[arguments, &["--record", &file]].concat())
}

fn place(scenario: &Scenario, offer: &str, quantity: &str) -> Output {
    place_at(INSTANCE, scenario, offer, quantity)
}

fn place_at(instance: &str, scenario: &Scenario, offer: &str, quantity: &str) -> Output {
    let order = [
        "order",
        "place",
        instance,
        "--offer",
        offer,
        "--quantity",
        quantity,
    ];
    record(scenario, &[&order[..], &CUSTOMER, &["--wait"]].concat())
}

/// Plays a file back on another desk, which has nothing of the first one's.
pub(crate) fn replay(file: &Path) -> Output {
    replay_with(component(), file)
}

fn replay_with(plugin: &Path, file: &Path) -> Output {
    let desk = tempfile::tempdir().expect("a temporary directory");
    let output = Command::new(bss_host())
        .arg("replay")
        .arg(file)
        .arg("--json")
        .arg("--plugin")
        .arg(plugin)
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
    assert!(kept.contains("product-key") && kept.contains("license-token-status"));
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
async fn an_answer_that_differs_is_told_by_its_part() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    assert_ends(&place(&scenario, &offer, "1"), DONE);
    let file = recording(&scenario);
    let recorded = text(&file);
    let licensed = recorded
        .lines()
        .find(|line| line.contains(r#""outcome":"licensed""#));
    let licensed = licensed.expect("an end");
    let end: Value = serde_json::from_str(licensed).expect("JSON");
    let key = end["answer"]["product-key"].as_str().expect("a key");
    for (from, to, expected) in [
        (
            r#""license-token-status":"unused""#,
            r#""license-token-status":"used""#,
            r#"answer /license-token-status: "used" -> "unused""#.to_owned(),
        ),
        // As if another of the values that the plugin was given had been the key.
        (
            key,
            "removed-1",
            format!(r#"answer /product-key: "removed-1" -> "{key}""#),
        ),
        (
            r#""purchased-at-ms":1"#,
            r#""purchased-at-ms":2"#,
            "answer /purchased-at-ms: 2".to_owned(),
        ),
    ] {
        let other = changed(&file, licensed, from, to);
        let output = replay(&other);
        let found = differences(&replayed(&output));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&expected), "{found:?}");
        assert_fails(&output, REFUSED, &["1 of ", "differ from the recording"]);
    }

    std::fs::remove_file(&file).expect("it is there");
    assert_ends(&record(&scenario, &["instance", "check", INSTANCE]), DONE);
    let other = changed(
        &file,
        r#""outcome":"passed""#,
        r#""result":"passed""#,
        r#""result":"skipped""#,
    );
    let found = differences(&replayed(&replay(&other)));
    assert_eq!(found, [r#"answer /0/result: "skipped" -> "passed""#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_catalog_is_played_back_and_a_product_that_differs_is_told() {
    let scenario = Scenario::ready().await;
    let file = recording(&scenario);
    assert_ends(&record(&scenario, &["services", "fetch", INSTANCE]), DONE);
    assert_eq!(differences(&replayed(&replay(&file))), [""; 0]);
    for (from, to, part) in [
        (
            r#""returnable":true"#,
            r#""returnable":false"#,
            "/first/0/returnable",
        ),
        (r#""number":"#, r#""number":1"#, "/number"),
        (r#""sha256":""#, r#""sha256":"0"#, "/sha256"),
    ] {
        let other = changed(&file, r#""outcome":"complete""#, from, to);
        let found = differences(&replayed(&replay(&other)));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with(&format!("answer /handed-over{part}: ")),
            "{found:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_of_an_older_program_is_played_back() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    assert_ends(&place(&scenario, &offer, "1"), DONE);
    let file = recording(&scenario);
    let lines = text(&file);
    assert!(lines.contains(r#""answer":"#) && lines.contains(r#""harmless":"#));
    let lines = lines.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        let members = line.as_object_mut().expect("an object");
        members.remove("answer");
        members.remove("harmless");
        // Older recordings kept no correlation id of a request.
        if let Some(name) = line.pointer_mut("/request/headers/ms-correlationid") {
            *name = json!("[removed]");
        }
        line.to_string()
    });
    std::fs::write(&file, lines.collect::<Vec<_>>().join("\n")).expect("a copy");
    let output = replay(&file);
    assert_eq!(differences(&replayed(&output)), [""; 0]);
    assert_ends(&output, DONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_vendor_s_calls_are_recorded_by_what_its_plugin_has_declared_and_played_back() {
    let scenario = Scenario::selling().await;
    let acme = Acme::beside(&scenario).await;
    acme.make_ready(&scenario).await;
    let file = recording(&scenario);
    let check = |secrets: &[&str]| {
        let kept = text(&file);
        for secret in secrets {
            assert!(!kept.contains(secret), "`{secret}` in {kept}");
        }
        let output = replay_with(acme_component(), &file);
        let calls = replayed(&output);
        assert!(!calls.is_empty());
        assert_eq!(differences(&calls), [""; 0], "{kept}");
        assert_ends(&output, DONE);
        std::fs::remove_file(&file).expect("it is there");
        kept
    };
    assert_ends(&record(&scenario, &["services", "fetch", ACME]), DONE);
    assert!(check(&[&acme.account.api_key]).contains(r#""outcome":"complete""#));
    scenario.sell_all(ACME).await;
    assert_ends(&place_at(ACME, &scenario, KEY, "1"), DONE);
    let sold = acme.vendor.ledger().remove(0);
    let secrets = [
        &*sold.product_key,
        "Beispiel GmbH",
        r#""C-1""#,
        &*acme.account.api_key,
    ];
    let kept = check(&secrets);
    assert!(kept.contains(&format!(r#""clientId":"{}""#, sold.client_id)));
    assert!(kept.contains(r#""state":"unused""#) && kept.contains(r#""x-request-id":"req-"#));

    let assets = scenario.assets().await;
    let asset = assets.iter().find(|asset| asset.product_code == KEY);
    let asset = asset.expect("the license").id.to_string();
    for command in [
        &["services", "fetch", ACME][..],
        &["instance", "check", ACME],
        &["instance", "show", ACME],
        &["asset", "refresh", &asset],
        &["asset", "cancel", &asset, "--comment", "Beispiel GmbH is gone"],
    ] {
        assert_ends(&record(&scenario, command), DONE);
        check(&secrets);
    }
    // A refusal, whose words are the vendor's.
    assert_ends(&place_at(ACME, &scenario, KEY, "1"), DONE);
    std::fs::remove_file(&file).expect("it is there");
    acme.vendor
        .faults()
        .order(Route::Purchase, AcmeFault::Status(422, None));
    let _ = place_at(ACME, &scenario, KEY, "1");
    let kept = check(&secrets);
    assert!(kept.contains(r#""outcome":"refused""#), "{kept}");
}

const ID: &str = "0b8a0f4e-5c1d-5b8e-9c63-0d6d7e6f7a10";

/// The recording of a purchase by [`buyer`], in whose request the idempotency key was recorded so.
fn bought(folder: &Path, key: &str) -> PathBuf {
    let call = uuid::Uuid::nil();
    let party = json!({ "id": "removed-1", "name": "removed-2", "country": "DE" });
    let order = json!({
        "client_transaction_id": ID,
        "earlier_attempts": "None",
        "check_only": false,
        "product": "SKU-1",
        "quantity": 1,
        "reseller": null,
        "customer": party,
    });
    let instance = json!({ "id": "1", "values": [], "currency": "EUR" });
    let headers = json!({ "idempotency-key": key });
    let lines = [
        json!({ "line": "recording", "format": 1, "host": "0" }),
        json!({
            "line": "call",
            "call": call,
            "begunAtMs": 1_700_000_000_000_i64,
            "options": {},
            "authorities": ["api.example.com"],
            "certificate": false,
            "harmless": { "requests": [], "answers": [], "headers": [] },
            "asked": { "function": "create-license", "instance": instance, "order": order },
        }),
        json!({
            "line": "exchange",
            "call": call,
            "number": 1,
            "begunAfterMs": 0,
            "tookMs": 1,
            "request": {
                "method": "POST",
                "url": "https://api.example.com/tokens",
                "headers": headers,
                "body": "empty",
            },
            "response": { "status": 201, "headers": {}, "body": "empty" },
        }),
        json!({
            "line": "end",
            "call": call,
            "outcome": "licensed",
            "accessTokenKept": false,
            "answer": {
                "client-transaction-id": ID,
                "transaction-id": "t-1",
                "license-token-id": "t-1",
                "product-key": "[removed]",
                "activation-link": "",
                "license-token-status": "unused",
                "return-status": "none",
                // Two seconds after the call has begun.
                "purchased-at-ms": 1_700_000_002_000_i64,
                "returnable-until-ms": null,
            },
        }),
    ];
    let file = folder.join(format!("{}.jsonl", uuid::Uuid::new_v4()));
    std::fs::write(&file, lines.map(|line| line.to_string()).join("\n")).expect("a file");
    file
}

async fn played(file: &Path, plugin: &[u8]) -> ReplayedCall {
    let plugin = Plugin::from_bytes("guest.wasm", plugin).expect("it loads");
    let recording = Recording::read(file).expect("a recording");
    let calls = host_harness::replay::replay(&recording, &plugin, &silent()).await;
    calls.expect("it is played").remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_that_is_the_same_for_every_purchase_is_told() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let found = async |recorded: &str, key: IdempotencyKey| {
        let file = bought(folder.path(), recorded);
        let call = played(&file, &buyer("api.example.com", key)).await;
        assert_eq!(call.outcome, "licensed", "{:?}", call.last_words);
        let parts = call.differences.into_iter();
        parts
            .map(|difference| (difference.exchange, difference.what))
            .collect::<Vec<_>>()
    };
    let the_same = (Some(1), "the same for another purchase".to_owned());
    let another = (Some(1), "header idempotency-key".to_owned());
    // A recording of an older program, or of the plugin that sends no client transaction id, does not have the key.
    let removed = "[removed]";
    assert_eq!(found(removed, IdempotencyKey::OfThePurchase).await, []);
    for key in [IdempotencyKey::Constant, IdempotencyKey::Chance] {
        assert_eq!(found(removed, key).await, std::slice::from_ref(&the_same));
    }
    // A recording of the plugin that is right has it.
    assert_eq!(found(ID, IdempotencyKey::OfThePurchase).await, []);
    let both = [another, the_same];
    assert_eq!(found(ID, IdempotencyKey::Constant).await, both);
    assert_eq!(found(ID, IdempotencyKey::Chance).await, both);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_was_made_in_the_call_is_no_difference_and_one_that_was_not_is() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = bought(folder.path(), ID);
    let plugin = buyer("api.example.com", IdempotencyKey::OfThePurchase);
    assert_eq!(played(&file, &plugin).await.differences, []);
    let other = changed(&file, r#""line":"end""#, "1700000002000", "1600000002000");
    let found = played(&other, &plugin).await.differences;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].what, "answer /purchased-at-ms");
    // The plugin is told the time of the recording.
    let now_ms: i64 = found[0].now.parse().expect("a number");
    assert!(
        (1_700_000_000_000..1_700_000_060_000).contains(&now_ms),
        "{now_ms}"
    );
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
