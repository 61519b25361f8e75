//! What a plugin writes before it breaks off is told wherever an operator looks, and nothing in it does harm there.

use std::path::PathBuf;
use std::process::{Command, Output};

use bss_model::{AttemptResult, SyncStatus};
use bss_sandbox::bindings::license_order::{EarlierAttempts, LicenseOrder, Party};
use bss_sandbox::limits;
use serde_json::Value;

use crate::cli::{CUSTOMER, assert_fails};
use crate::component::{bss_host, plugin};
use crate::guests::{Guest, panicking};
use crate::sandbox_leaks::ready_call;
use crate::scenario::{DONE, INSTANCE, NO_ANSWER, Scenario, actor, assert_ends, order_request, result};

/// A panic as Rust's standard library writes it.
const PANIC: &str = "thread '<unnamed>' panicked at src/license_order.rs:122:9:\nthe answer has no \"license\"\n\
                     note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";

/// The panic as the sentence of a problem has it.
const SENTENCE: &str = "; its last words: \"asks the server / thread '<unnamed>' panicked at src/license_order.rs:122:9: / \
                        the answer has no 'license' / note: run with `RUST_BACKTRACE=1` environment variable to display a \
                        backtrace\"";

/// A file of a guest that the operator trusts from now on.
async fn trusted(scenario: &Scenario, component: &[u8]) -> PathBuf {
    let file = scenario
        .folder
        .path()
        .join(format!("{}.wasm", uuid::Uuid::new_v4()));
    std::fs::write(&file, component).expect("the guest's file");
    scenario.trust(&file).await;
    file
}

/// Runs a command with another plugin than Microsoft's.
fn with(scenario: &Scenario, plugin: &PathBuf, arguments: &[&str]) -> Output {
    let mut command = Command::new(bss_host());
    command
        .args(arguments)
        .arg("--data-dir")
        .arg(scenario.folder.path().join("bss"))
        .env("BSS_PLUGIN", plugin)
        .env_remove("SUDO_UID");
    command.output().expect("the program runs")
}

/// The server of the ready instance's licenses.
fn server(scenario: &Scenario) -> String {
    let url: http::Uri = scenario.microsoft.details().service_url.parse().expect("a URL");
    url.authority().expect("a server").to_string()
}

/// The lines that a plugin wrote in a call, as its trace has them.
fn logged(call: &Value) -> Vec<&str> {
    let spans = call["spans"].as_array().expect("its parts").iter();
    let lines = spans.filter(|span| span["name"] == "log");
    lines
        .map(|line| line["fields"]["message"].as_str().expect("a message"))
        .collect()
}

/// Has Microsoft carry a purchase out whose answer nobody takes.
async fn carry_out(scenario: &Scenario, client_transaction_id: String, product: &str) {
    let (context, instance) = ready_call(scenario).await;
    let order = LicenseOrder {
        client_transaction_id,
        earlier_attempts: EarlierAttempts::None,
        quantity: 1,
        check_only: false,
        product: product.to_owned(),
        reseller: None,
        customer: Party {
            id: "C-1".to_owned(),
            name: "Beispiel GmbH".to_owned(),
            country: "DE".to_owned(),
        },
    };
    let bought = plugin().create_license(context, &instance, &order).await;
    bought.expect("an answer").expect("a license");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_said_after_its_purchase_had_left_is_still_told_when_the_license_is_found() {
    let scenario = Scenario::selling().await;
    let product = scenario.offers().await.remove(0);
    let order = scenario
        .host
        .place_order(INSTANCE, order_request(&product, 1), &actor())
        .await;
    order.expect("the order is placed");
    let asset = scenario.assets().await.remove(0);
    carry_out(&scenario, asset.client_transaction_id.to_string(), &product).await;
    let guest = trusted(&scenario, &panicking(PANIC.as_bytes(), Some(&server(&scenario)))).await;
    let recording = scenario.folder.path().join("recording.jsonl");
    let recorded = ["--record", recording.to_str().expect("a path")];
    with(&scenario, &guest, &[&["run", "--once"], &recorded[..]].concat());

    let attempts = scenario.host.record().attempts(asset.id).await;
    let first = attempts.expect("the history").remove(0);
    assert_eq!(first.result, Some(AttemptResult::Unknown));
    let id = asset.id.to_string();
    scenario.trust(crate::component::component()).await;
    assert_ends(&scenario.bss_host(&["asset", "retry", &id]), DONE);
    assert_eq!(scenario.assets().await[0].sync_status, SyncStatus::Synchronized);
    assert_eq!(scenario.issued().await.len(), 1, "it was bought once");

    let history = scenario.json(&["asset", "history", &id]);
    let problem = &history[0]["problem"];
    assert_eq!(problem["code"], "plugin-broke-off");
    let message = problem["message"].as_str().expect("a message");
    assert!(message.ends_with(SENTENCE), "{message}");
    let calls = scenario.json(&["trace", &id]);
    let said: Vec<&str> = PANIC.lines().collect();
    assert_eq!(logged(&calls[0]), [&["asks the server"], &said[..]].concat());
    let found = calls
        .as_array()
        .and_then(|calls| calls.last())
        .expect("the call that found it");
    assert_eq!(logged(found), [""; 0], "{calls}");
    let words = calls[0]["fields"]["lastWords"].as_str().expect("the last words");
    assert!(SENTENCE.contains(words), "{words}");
    let shown = scenario.bss_host(&["trace", &id]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.contains(said[0]) && shown.contains("level: warning"),
        "{shown}"
    );

    // The recording has the same, and so has what is played back.
    let lines = std::fs::read_to_string(&recording).expect("the recording");
    let mut lines = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let end = lines.rfind(|line| line["line"] == "end").expect("an end");
    assert_eq!(end["lastWords"][1], said[0], "{end}");
    let played = with(
        &scenario,
        &guest,
        &["replay", recording.to_str().expect("a path"), "--json"],
    );
    let end = &result(&played)[0];
    assert_eq!(end["lastWords"][2], said[1], "{end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_a_mebibyte_steers_no_terminal_tells_no_secret_and_takes_little_room() {
    let scenario = Scenario::selling().await;
    let product = scenario.offers().await.remove(0);
    let (key, link) = (
        "3F9KD-11111-22222-33333-X4Y5Z",
        "https://setup.example.com/redeem?t=geheim",
    );
    let mut panic = format!(
        "first\u{1b}]52;c;cm0gLXJm\u{7}\u{202e}txt\nlast \u{9b}2K\u{2066} {key} at {link} of Beispiel GmbH, C-1 "
    );
    panic.push_str(&"ß".repeat(512 * 1024));
    let guest = trusted(&scenario, &panicking(panic.as_bytes(), None)).await;
    let place = ["order", "place", INSTANCE, "--offer", &product];
    assert_ends(&with(&scenario, &guest, &[&place[..], &CUSTOMER].concat()), DONE);
    let recording = scenario.folder.path().join("recording.jsonl");
    let run = [
        "run",
        "--once",
        "-v",
        "--record",
        recording.to_str().expect("a path"),
    ];
    let run = with(&scenario, &guest, &run);

    let id = scenario.assets().await.remove(0).id.to_string();
    let [history, trace] = ["history", "trace"].map(|what| match what {
        "trace" => scenario.bss_host(&["trace", &id]),
        what => scenario.bss_host(&["asset", what, &id]),
    });
    let as_json = scenario.json(&["asset", "history", &id]);
    let message = as_json[0]["problem"]["message"].as_str().expect("a message");
    assert!(
        message
            .contains("last  2K  [removed] at https://setup.example.com/[removed] of [removed], [removed]"),
        "{message}"
    );
    assert!(
        message.len() < limits::LAST_WORDS_SENTENCE_BYTES + 200,
        "{}",
        message.len()
    );
    let recorded = std::fs::read_to_string(&recording).expect("the recording");
    let kept = scenario.folder.path().join("bss/traces/current.jsonl");
    let kept = std::fs::read_to_string(kept).expect("the traces");
    for (place, bytes) in [
        ("history", &history.stdout[..]),
        ("trace", &trace.stdout),
        ("log", &run.stderr),
        ("recording", recorded.as_bytes()),
        ("traces", kept.as_bytes()),
    ] {
        let text = String::from_utf8_lossy(bytes);
        assert!(text.contains("last  2K"), "{place}: {text}");
        let steers = |c: char| c != '\n' && bss_model::text::steers(c);
        assert!(!text.contains(steers), "{place}: {text}");
        for absent in [key, "geheim", "Beispiel"] {
            assert!(!text.contains(absent), "{absent} in {place}: {text}");
        }
        assert!(text.len() < 64 * 1024, "{place}: {}", text.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_a_refresh_a_catalog_and_a_form_tell_what_their_plugin_said_last() {
    let scenario = Scenario::selling().await;
    let product = scenario.offers().await.remove(0);
    let asset = scenario.order(&product, 1).await.remove(0);
    let id = asset.id.to_string();
    let guest = trusted(&scenario, &panicking(PANIC.as_bytes(), Some(&server(&scenario)))).await;

    with(&scenario, &guest, &["asset", "cancel", &id]);
    let cancellations = scenario.json(&["asset", "cancellations", &id]);
    let attempt = &cancellations[0]["returnAttempts"][0];
    assert_eq!(attempt["result"], "unknown", "{cancellations}");
    let message = attempt["problem"]["message"].as_str().expect("a message");
    assert!(message.ends_with(SENTENCE), "{message}");

    let advice = "`bss-host trace CALL` what the plugin did and wrote";
    let place = "panicked at src/license_order.rs:122:9";
    for told in [
        &["asset", "refresh", &id][..],
        &["services", "fetch", INSTANCE],
        &["instance", "configure", INSTANCE, "--set", "country=AT"],
    ] {
        assert_fails(&with(&scenario, &guest, told), NO_ANSWER, &[place, advice]);
    }
    let runs = scenario.json(&["services", "runs", INSTANCE]);
    assert!(runs.to_string().contains(place), "{runs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_logs_without_end_leaves_room_for_other_traces_and_its_last_words_are_told() {
    let scenario = Scenario::ready().await;
    let guest = Guest {
        imports: r#"
            (import "bss:service-manager/progress@0.1.0" "log" (func $log (param i32 i32 i32 i32 i32)))
            (import "wasi:cli/stderr@0.2.2" "get-stderr" (func $stderr (result i32)))
            (import "wasi:io/streams@0.2.2" "[method]output-stream.blocking-write-and-flush"
                (func $write (param i32 i32 i32 i32)))"#,
        items: r#"(data (i32.const 3100) "again") (data (i32.const 3300) "enough of it")"#,
        configures: "
            (loop $again
                (call $log (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 3100) (i32.const 5))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $i) (i32.const 5000))))
            (call $write (call $stderr) (i32.const 3300) (i32.const 12) (i32.const 3000))
            (unreachable)",
        ..Guest::default()
    };
    let guest = trusted(&scenario, &guest.component()).await;
    let configure = ["instance", "configure", INSTANCE, "--set", "country=AT"];
    assert_fails(
        &with(&scenario, &guest, &configure),
        NO_ANSWER,
        &["again / again / enough of it\""],
    );

    let calls = scenario.json(&["trace"]);
    let last = calls.as_array().and_then(|calls| calls.last()).expect("a call");
    let call = &scenario.json(&["trace", last["id"].as_str().expect("an id")])[0];
    assert_eq!(logged(call).len(), limits::TRACED_LOG_LINES as usize);
    let left_out = call["fields"]["logLinesLeftOut"].as_u64();
    assert!(left_out > Some(1_000), "{left_out:?}");
    let words = call["fields"]["lastWords"].as_str().expect("the last words");
    assert!(words.ends_with("again / enough of it"), "{words}");
}
