//! `bss-host instance`: what an operator corrects reaches every process, and what was ordered is neither changed nor bought
//! again.

use bss_model::{AssetFilter, AssetSelection, AttemptOutcome, AttemptResult, Page, Problem};
use bss_simulator::Operation;
use host_harness::failed_step;
use serde_json::{Value, json};

use crate::cli::{CUSTOMER, assert_fails, told_error};
use crate::scenario::{DONE, INSTANCE, NO_ANSWER, REFUSED, Scenario, assert_ends, result, silent};

/// The step at which the check of the connection fails in this process, whose connections are open. `None`: it passes.
async fn failing(scenario: &Scenario) -> Option<String> {
    let steps = scenario.host.check_connection(INSTANCE, silent()).await;
    let steps = steps.expect("it can be checked");
    failed_step(&steps).map(|step| step.id.clone())
}

fn configure(scenario: &Scenario, arguments: &[&str]) {
    let configured = scenario.bss_host(&[&["instance", "configure", INSTANCE], arguments].concat());
    assert_ends(&configured, DONE);
}

fn place(scenario: &Scenario, instance: &str, product: &str, key: &str) -> std::process::Output {
    let place = ["order", "place", instance, "--offer", product, "--quantity", "1"];
    scenario.bss_host(&[&place[..], &CUSTOMER, &["--idempotency-key", key, "--json"]].concat())
}

/// The error of a command that is refused.
fn refused(scenario: &Scenario, arguments: &[&str]) -> Value {
    let output = scenario.bss_host(&[arguments, &["--json"]].concat());
    assert_ends(&output, REFUSED);
    told_error(&output)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_corrects_another_one_uses_for_its_next_call() {
    let scenario = Scenario::ready().await;
    assert_eq!(failing(&scenario).await, None);
    let details = scenario.microsoft.details().clone();
    let right = format!("login-authority={}", details.login_authority);

    configure(&scenario, &["--option", "login-authority=localhost:1"]);
    assert_eq!(failing(&scenario).await.as_deref(), Some("access-token-granted"));
    // Without the option the plugin asks for its cloud's own server, which nobody has allowed.
    let error = refused(
        &scenario,
        &[
            "instance",
            "configure",
            INSTANCE,
            "--no-option",
            "login-authority",
        ],
    );
    assert_eq!(error["code"], "host-not-allowed");
    configure(&scenario, &["--option", &right]);
    assert_eq!(failing(&scenario).await, None);

    configure(
        &scenario,
        &[
            "--disallow-network",
            "127.0.0.0/8",
            "--disallow-network",
            "::1/128",
        ],
    );
    assert!(failing(&scenario).await.is_some());
    configure(
        &scenario,
        &["--allow-network", "127.0.0.0/8", "--allow-network", "::1/128"],
    );
    assert_eq!(failing(&scenario).await, None);

    configure(&scenario, &["--trust-system"]);
    assert!(
        failing(&scenario).await.is_some(),
        "no system trusts the simulator"
    );
    let authorities = details.ca_file.display().to_string();
    configure(&scenario, &["--trust", &authorities]);
    assert_eq!(failing(&scenario).await, None);

    let shown = scenario.bss_host(&["instance", "show", INSTANCE]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for words in [
        &right[..],
        "trusts the authorities of a file",
        "127.0.0.0/8",
        "sells in EUR",
    ] {
        assert!(shown.contains(words), "`{words}` in: {shown}");
    }
    let history = scenario.json(&["instance", "history", INSTANCE]);
    let first = history.as_array().expect("a list").iter();
    let first = first
        .map(|version| &version["optionChanges"]["login-authority"])
        .find(|change| !change.is_null());
    let change = json!({ "old": details.login_authority, "new": "localhost:1" });
    assert_eq!(first, Some(&change));
    let acts = scenario.json(&["audit", "list", "--instance", INSTANCE]);
    let of_option = |act: &&Value| act["detail"]["options"] == json!(["login-authority"]);
    let acts = acts.as_array().expect("a list");
    assert_eq!(acts.iter().filter(of_option).count(), 2, "{acts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_option_that_nobody_reads_and_a_currency_that_nobody_uses_are_refused_and_nothing_is_changed() {
    let scenario = Scenario::ready().await;
    let before = scenario.json(&["instance", "show", INSTANCE]);
    for (arguments, code) in [
        (&["--option", "login-authorty=login.example.com"][..], "no-option"),
        (
            &["--option", "login-authority=https://login.example.com"],
            "option-not-a-server",
        ),
        (&["--no-option", "entra-version"], "option-not-given"),
        (&["--disallow-network", "10.0.0.0/8"], "network-not-allowed"),
        (&["--currency", "XXZ"], "invalid-currency"),
    ] {
        let arguments = [&["instance", "configure", INSTANCE], arguments].concat();
        assert_eq!(refused(&scenario, &arguments)["code"], code, "{arguments:?}");
    }
    let error = refused(&scenario, &["instance", "create", "bad", "--currency", "XXZ"]);
    assert_eq!(error["code"], "invalid-currency");
    assert_eq!(scenario.json(&["instance", "show", INSTANCE]), before);

    // A new one is corrected before anything of its form is typed.
    let new = ["instance", "create", "bad space", "--currency", "EUR"];
    let made = scenario.bss_host(&[&new[..], &["--option", "login-authority=localhost:1"]].concat());
    assert_ends(&made, DONE);
    let next = String::from_utf8_lossy(&made.stdout).into_owned();
    assert!(next.contains("instance configure 'bad space' --set"), "{next}");
    let corrected = scenario.json(&[
        "instance",
        "configure",
        "bad space",
        "--option",
        "login-authority=localhost:2",
        "--currency",
        "USD",
    ]);
    assert_eq!(
        (&corrected["currency"], &corrected["options"]["login-authority"]),
        (&json!("USD"), &json!("localhost:2"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_ordered_before_a_rename_is_known_after_it_and_bought_once() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let before = result(&place(&scenario, INSTANCE, &offer, "BASKET-7"));
    assert_ends(&scenario.bss_host(&["run", "--once"]), DONE);
    let renamed = scenario.bss_host(&["instance", "rename", INSTANCE, "our europe"]);
    assert_ends(&renamed, DONE);
    let said = String::from_utf8_lossy(&renamed.stderr).into_owned();
    assert!(
        said.contains(&format!("create the instance as `{INSTANCE}`")),
        "{said}"
    );

    let again = result(&place(&scenario, "our europe", &offer, "BASKET-7"));
    assert_eq!(again["id"], before["id"]);
    let new = result(&place(&scenario, "our europe", &offer, "BASKET-8"));
    assert_ne!(new["id"], before["id"]);
    assert_ends(&scenario.bss_host(&["run", "--once"]), DONE);
    assert_eq!(scenario.issued().await.len(), 2);
    let shown = scenario.json(&["instance", "show", "our europe"]);
    assert_eq!(shown["firstName"], INSTANCE);
    // Neither the present nor the first name is another instance's.
    for name in ["our europe", INSTANCE] {
        let error = refused(&scenario, &["instance", "create", name, "--currency", "EUR"]);
        assert_eq!(error["code"], "name-taken", "{name}");
    }
    let error = refused(&scenario, &["instance", "show", INSTANCE]);
    assert_eq!(error["code"], "no-instance");
}

/// The one asset of an order.
async fn asset_of(scenario: &Scenario, order: &Value) -> bss_model::Asset {
    let filter = AssetFilter {
        order: order["id"].as_str().map(|id| id.parse().expect("an id")),
        ..AssetFilter::default()
    };
    let assets = scenario.host.record().assets(&filter, &Page::all()).await;
    assets.expect("the record").rows.remove(0)
}

/// Leaves it unknown whether the license of an order was bought, as a worker does that heard no answer.
async fn leave_in_doubt(scenario: &Scenario, order: &Value) {
    let (record, asset) = (scenario.host.record(), asset_of(scenario, order).await.id);
    let worker = record.start_worker().await.expect("a worker");
    let taking = AssetSelection {
        asset: Some(asset),
        limit: 1,
        ..AssetSelection::default()
    };
    let taken = record
        .take_assets(worker.id(), &taking)
        .await
        .expect("the record");
    assert_eq!(taken.len(), 1);
    let unknown = AttemptOutcome::Unknown(Problem::new("no-answer", "nothing was heard", ""));
    record
        .finish_attempt(asset, 1, unknown, 0)
        .await
        .expect("it is written");
    record.end_worker(worker).await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_instance_takes_no_order_and_buys_nothing_until_it_is_enabled() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let waiting = result(&place(&scenario, INSTANCE, &offer, "BASKET-1"));
    let doubtful = result(&place(&scenario, INSTANCE, &offer, "BASKET-2"));
    leave_in_doubt(&scenario, &doubtful).await;

    let disabled = scenario.json(&["instance", "disable", INSTANCE]);
    assert!(disabled["disabledAtMs"].is_i64(), "{disabled}");
    let error = place(&scenario, INSTANCE, &offer, "BASKET-3");
    assert_ends(&error, REFUSED);
    assert_eq!(told_error(&error)["code"], "instance-disabled");
    let known = result(&place(&scenario, INSTANCE, &offer, "BASKET-1"));
    assert_eq!(known["id"], waiting["id"], "a shop is told what it ordered");
    let listed = scenario.bss_host(&["instance", "list"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("disabled"), "{listed}");
    let csv = scenario.bss_host(&["instance", "list", "--csv"]);
    let mut rows = csv::Reader::from_reader(csv.stdout.as_slice());
    let headings = rows.headers().expect("headings").clone();
    let at = headings.iter().position(|heading| heading == "disabledAt");
    let row = rows.records().next().expect("a row").expect("CSV");
    let since: jiff::Timestamp = row[at.expect("a column")].parse().expect("a time");
    assert_eq!(disabled["disabledAtMs"], since.as_millisecond());

    // What is in doubt is looked up, and stays so; what was never attempted is nobody's work.
    assert_ends(&scenario.bss_host(&["run", "--once"]), NO_ANSWER);
    let faults = scenario.microsoft.faults();
    assert_eq!(faults.requests_seen(Operation::Purchase), 0, "nothing was sent");
    let looked_up = asset_of(&scenario, &doubtful).await;
    let reason = looked_up.reason.expect("a reason");
    assert_eq!(
        (reason.result, reason.problem.code.as_str()),
        (AttemptResult::LookedUp, "instance-disabled")
    );
    assert_eq!(asset_of(&scenario, &waiting).await.reason, None);
    let asset = looked_up.id.to_string();
    let error = refused(&scenario, &["asset", "retry", &asset]);
    assert_eq!(error["code"], "instance-disabled");

    scenario.json(&["instance", "enable", INSTANCE]);
    assert_ends(&scenario.bss_host(&["asset", "retry", &asset]), DONE);
    assert_ends(&scenario.bss_host(&["run", "--once"]), DONE);
    assert_eq!(scenario.issued().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_removed_as_long_as_nothing_was_ordered_at_it() {
    let scenario = Scenario::selling().await;
    let thumbprint = scenario.json(&["instance", "show", INSTANCE])["certificateThumbprint"].clone();
    let thumbprint = thumbprint.as_str().expect("a thumbprint").to_owned();
    let used = refused(&scenario, &["certificate", "remove", &thumbprint]);
    assert_eq!(used["code"], "certificate-in-use");
    let offer = scenario.offers().await.remove(0);

    scenario.json(&["instance", "create", "typo", "--currency", "EUR"]);
    assert_ends(&scenario.bss_host(&["instance", "remove", "typo"]), DONE);
    assert_eq!(
        scenario.json(&["instance", "list"]).as_array().map(Vec::len),
        Some(1)
    );

    assert_ends(&place(&scenario, INSTANCE, &offer, "BASKET-1"), DONE);
    assert_fails(
        &scenario.bss_host(&["instance", "remove", INSTANCE]),
        REFUSED,
        &["orders were placed at it", "bss-host instance disable"],
    );
    assert_eq!(
        scenario.json(&["instance", "list"]).as_array().map(Vec::len),
        Some(1)
    );
}
