//! A call can be followed: found by what an operator has in hand, and shown as far as it got.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bss_sandbox::call_trace::{TRACES_DIRECTORY, TraceSpan, Traces};
use bss_sandbox::limits;
use bss_simulator::{Fault, Operation, Repeat, When};
use serde_json::Value;

use crate::cli::{CUSTOMER, assert_fails};
use crate::component::{bss_host, component};
use crate::guests::Guest;
use crate::scenario::{DONE, INSTANCE, NO_ANSWER, REFUSED, Scenario, assert_ends};

/// The longest wait: long enough for a program to start on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

fn place<'a>(offer: &'a str, quantity: &'a str) -> Vec<&'a str> {
    let order = ["order", "place", INSTANCE, "--offer", offer];
    [&order[..], &CUSTOMER, &["--quantity", quantity, "--wait"]].concat()
}

fn printed(scenario: &Scenario, arguments: &[&str]) -> String {
    let output = scenario.bss_host(arguments);
    assert_ends(&output, DONE);
    String::from_utf8(output.stdout).expect("text")
}

/// The exchanges of a call that went to a path.
fn exchanges<'a>(call: &'a Value, path: &str) -> Vec<&'a Value> {
    let spans = call["spans"].as_array().expect("its parts");
    let to_path = |span: &&Value| {
        span["name"] == "exchange"
            && span["fields"]["path"]
                .as_str()
                .is_some_and(|there| there.ends_with(path))
    };
    spans.iter().filter(to_path).collect()
}

fn names(span: &Value) -> Vec<&str> {
    let spans = span["spans"].as_array().expect("its parts");
    spans.iter().filter_map(|span| span["name"].as_str()).collect()
}

/// Checks that every span of a trace lies within the span that it is a part of.
fn assert_nested(span: &TraceSpan) {
    let end = |span: &TraceSpan| span.begun_us + span.took_us.expect("an end");
    for part in &span.spans {
        assert!(part.begun_us >= span.begun_us, "{part:?} in {span:?}");
        // Begin and duration are cut to whole microseconds.
        assert!(end(part) <= end(span) + 2, "{part:?} in {span:?}");
        assert_nested(part);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_is_found_by_its_asset_and_shown_step_by_step() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    assert_ends(&scenario.bss_host(&place(&offer, "1")), DONE);
    let asset = scenario.assets().await.remove(0).id.to_string();

    let calls = scenario.json(&["trace", &asset]);
    assert_eq!(calls.as_array().map(Vec::len), Some(1), "{calls}");
    let call = &calls[0];
    assert_eq!(call["instance"], INSTANCE);
    let fields = &call["fields"];
    assert_eq!(fields["function"], "create-license");
    assert_eq!(fields["outcome"], "licensed");
    assert_eq!(fields["purpose"], "purchase");
    assert_eq!(fields["attempt"], 1);
    assert_eq!(
        names(call),
        ["access-token", "sign", "exchange", "exchange"],
        "{call}"
    );
    let purchase = exchanges(call, "/tokens");
    let fields = &purchase[0]["fields"];
    let service = &scenario.microsoft.details().service_url;
    let authority = fields["authority"].as_str().expect("an authority");
    assert!(service.contains(authority), "{authority} in {service}");
    assert_eq!(fields["method"], "POST");
    assert_eq!(fields["status"], 201);
    assert_eq!(fields["reused"], false);
    assert!(
        fields["version"]
            .as_str()
            .is_some_and(|version| version.starts_with("HTTP/"))
    );
    assert!(fields["requestBytes"].as_u64() > Some(100), "{fields}");
    assert!(fields["responseBytes"].as_u64() > Some(100), "{fields}");
    assert_eq!(names(purchase[0]), ["turn", "connection", "answer", "body"]);
    // Where `localhost` has two addresses, the one that nobody listens on may be tried first.
    let mut steps = names(&purchase[0]["spans"][1]);
    steps.dedup();
    assert_eq!(steps, ["resolve", "connect", "tls"]);

    let trees = Traces::new(&scenario.folder.path().join("bss")).find(&asset);
    assert_nested(&trees.expect("the traces")[0].root);
    let shown = printed(&scenario, &["trace", &asset]);
    let id = call["id"].as_str().expect("an id");
    for words in [id, "licensed", "├─ ", "tls", "reused: false", " ms"] {
        assert!(shown.contains(words), "`{words}` in\n{shown}");
    }
    assert_eq!(scenario.json(&["trace", &id[..8]]), calls);
    assert!(printed(&scenario, &["trace"]).contains(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_used_again_says_so_and_opens_nothing() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let order = place(&offer, "2");
    assert_ends(&scenario.bss_host(&order[..order.len() - 1]), DONE);
    assert_ends(&scenario.bss_host(&["run", "--once", "--at-once", "1"]), DONE);
    let mut purchases = Vec::new();
    for asset in scenario.assets().await {
        let calls = scenario.json(&["trace", &asset.id.to_string()]);
        purchases.push((calls[0]["begunAtUs"].as_u64(), calls[0].clone()));
    }
    purchases.sort_by_key(|(begun, _)| *begun);
    let first = exchanges(&purchases[0].1, "/tokens")[0];
    assert_eq!(first["fields"]["reused"], false);
    let second = exchanges(&purchases[1].1, "/tokens")[0];
    assert_eq!(second["fields"]["reused"], true);
    assert_eq!(names(&second["spans"][1]), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_found_by_its_correlation_id() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    scenario.microsoft.faults().order(
        Operation::Purchase,
        Fault::Html(502, When::BeforeActing),
        Repeat::Always,
    );
    scenario.microsoft.faults().order(
        Operation::LookUp,
        Fault::Html(502, When::BeforeActing),
        Repeat::Always,
    );
    assert_ends(&scenario.bss_host(&place(&offer, "1")), NO_ANSWER);
    let asset = scenario.assets().await.remove(0).id.to_string();
    let history = scenario.json(&["asset", "history", &asset]);
    let correlation_id = history[0]["problem"]["correlationId"].as_str();
    let correlation_id = correlation_id.or(history[0]["problem"]["correlationId"].as_str());
    let calls = scenario.json(&["trace", correlation_id.expect("a correlation id")]);
    assert_eq!(calls.as_array().map(Vec::len), Some(1), "{calls}");
    assert_eq!(calls[0]["fields"]["outcome"], "unknown");
    assert_eq!(exchanges(&calls[0], "/tokens")[0]["fields"]["status"], 502);

    let nobody = scenario.bss_host(&["trace", &uuid::Uuid::new_v4().to_string()]);
    assert_fails(&nobody, REFUSED, &["no call on record", "bss-host trace"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_program_was_killed_is_shown_as_far_as_it_got() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    scenario
        .microsoft
        .faults()
        .order(Operation::Purchase, Fault::DelayAnswer(PATIENCE), Repeat::Always);
    let data = scenario.folder.path().join("bss");
    let mut program = Command::new(bss_host())
        .args(place(&offer, "1"))
        .arg("--data-dir")
        .arg(&data)
        .env("BSS_PLUGIN", component())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let patience = Instant::now() + PATIENCE;
    let waits = |span: &TraceSpan| span.text("path").ends_with("/tokens") && span.spans.len() == 3;
    let call = loop {
        assert!(Instant::now() < patience, "the purchase was never sent");
        let last = Traces::new(&data).last(1, |_| true).expect("the traces");
        let last = last
            .iter()
            .find(|call| call.root.text("function") == "create-license");
        if let Some(call) = last {
            let call = Traces::new(&data).find(&call.call).expect("the call").remove(0);
            if call.root.spans.iter().any(waits) {
                break call.call;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    program.kill().expect("it is killed");
    program.wait().expect("it has ended");
    scenario.microsoft.faults().clear();

    let shown = printed(&scenario, &["trace", &call]);
    assert!(shown.contains("no outcome on record"), "{shown}");
    let calls = scenario.json(&["trace", &call]);
    assert_eq!(calls[0]["tookUs"], Value::Null);
    let purchase = exchanges(&calls[0], "/tokens")[0];
    assert_eq!(purchase["tookUs"], Value::Null);
    assert_eq!(names(purchase), ["turn", "connection", "answer"]);
    assert!(purchase["spans"][1]["tookUs"].is_u64());
    assert!(exchanges(&calls[0], "/token")[0]["tookUs"].is_u64(), "{calls}");
    // The call that is cut off does not spoil what is written next.
    assert_ends(&scenario.bss_host(&["instance", "check", INSTANCE]), DONE);
    let last = scenario.json(&["trace"]);
    let last = last.as_array().expect("calls").last().expect("one");
    assert_eq!(last["fields"]["outcome"], "passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_holds_no_secret_no_query_and_no_customer() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    // The second attempt looks the purchase up, by an address with a query.
    scenario.microsoft.faults().order(
        Operation::Purchase,
        Fault::Reset(When::AfterActing),
        Repeat::Times(1),
    );
    assert_ends(&scenario.bss_host(&place(&offer, "1")), DONE);
    let asset = scenario.assets().await.remove(0);
    let mut kept = String::new();
    let files = std::fs::read_dir(scenario.folder.path().join("bss").join(TRACES_DIRECTORY));
    for file in files.expect("the traces") {
        kept.push_str(&std::fs::read_to_string(file.expect("a file").path()).expect("text"));
    }
    assert!(kept.contains(&asset.id.to_string()) && kept.contains("/tokens"));
    let secrets = scenario.secrets(std::slice::from_ref(&asset)).await.remove(0);
    let (key, link) = (secrets.product_key, secrets.activation_link.expect("a link"));
    for absent in [
        key.expose(),
        link.expose(),
        // Every assertion and access token of the simulator is a JWT.
        "eyJ",
        "Bearer",
        "?",
        "clientTransactionId",
        "Beispiel GmbH",
        "it@beispiel.example",
    ] {
        assert!(!kept.contains(absent), "{absent} in {kept}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_can_not_be_written_fails_no_purchase() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let data = scenario.folder.path().join("bss");
    std::fs::write(data.join(TRACES_DIRECTORY), "not a directory").expect("a file in its place");
    let output = scenario.bss_host(&place(&offer, "1"));
    assert_ends(&output, DONE);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.matches("traces can't be written").count(), 1, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_call_names_the_call_and_its_instance() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let output = scenario.bss_host(&[&place(&offer, "1")[..], &["-v"]].concat());
    assert_ends(&output, DONE);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let ended = said.lines().find(|line| line.contains("the call has ended"));
    let ended = ended.unwrap_or_else(|| panic!("{said}"));
    let instance = scenario
        .host
        .named_instance(INSTANCE)
        .await
        .expect("the instance");
    assert!(ended.contains(&instance.id.to_string()), "{ended}");
    let last = scenario.json(&["trace"]);
    let call = last[0]["id"].as_str().expect("an id");
    assert!(ended.contains(call), "{call} in {ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_does_small_things_without_end_fills_no_more_of_the_traces_than_a_call_may() {
    let scenario = Scenario::ready().await;
    let spans_of = async |times: u32| {
        let looking = format!(
            "(loop $again
                (call $get (i32.const 3000) (i32.const 1) (i32.const 3004))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $i) (i32.const {times}))))"
        );
        let guest = Guest {
            imports: r#"(import "bss:service-manager/access-token-cache@0.1.0" "get" (func $get (param i32 i32 i32)))"#,
            configures: looking.leak(),
            ..Guest::default()
        };
        let file = scenario.folder.path().join("looking.wasm");
        std::fs::write(&file, guest.component()).expect("the guest's file");
        scenario.trust(&file).await;
        let data_dir = scenario.folder.path().join("bss");
        let output = Command::new(bss_host())
            .args([
                "instance",
                "configure",
                INSTANCE,
                "--set",
                "country=AT",
                "--data-dir",
            ])
            .arg(&data_dir)
            .output()
            .expect("it starts");
        assert!(!output.status.success(), "the guest's form has no fields");
        let traces = Traces::new(&data_dir);
        let last = traces
            .last(1, |_| true)
            .expect("the traces")
            .pop()
            .expect("a call");
        traces
            .find(&last.call)
            .expect("the traces")
            .pop()
            .expect("the call")
    };
    let few = spans_of(100).await.root;
    assert_eq!(few.spans.len(), 100);
    assert!(!few.fields.contains_key("left_out"), "{:?}", few.fields);

    let most = limits::SPANS as usize;
    let many = spans_of(limits::SPANS + 999).await.root;
    // The journal may drop lines that come faster than the disk takes them.
    assert!((100..most).contains(&many.spans.len()), "{}", many.spans.len());
    assert_eq!(many.fields["left_out"], 1_000, "the call itself is one");
}
