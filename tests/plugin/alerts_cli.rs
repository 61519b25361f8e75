//! Nothing fails in silence: lines of the worker, alerts, and exit codes for a timer and for monitoring.

use bss_model::SyncStatus;
use bss_simulator::{Fault, Operation, Repeat};
use serde_json::Value;

use crate::cli::assert_fails;
use crate::scenario::{DONE, INSTANCE, REFUSED, Scenario, actor, assert_ends, order_request};

const ALERTS: i32 = 4;

fn refusal(status: u16, code: &str) -> Fault {
    Fault::Refusal {
        status,
        code: code.to_owned(),
        retry_after: None,
    }
}

async fn placed(scenario: &Scenario, quantity: u32) -> String {
    let offer = scenario.offers().await.remove(0);
    let request = order_request(&offer, quantity);
    let placed = scenario.host.place_order(INSTANCE, request, &actor()).await;
    placed.expect("it is placed").into_order().id.to_string()
}

fn alerts(scenario: &Scenario) -> Vec<Value> {
    let listed = scenario.json(&["alert", "list"]);
    listed.as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_license_that_fails_is_a_line_with_names_and_an_exit_code_until_somebody_takes_note() {
    let scenario = Scenario::selling().await;
    let faults = scenario.microsoft.faults();
    faults.order(
        Operation::Purchase,
        refusal(403, "CountryNotAllowed"),
        Repeat::Times(1),
    );
    let order = placed(&scenario, 2).await;

    let ran = scenario.bss_host(&["run", "--once"]);
    assert_ends(&ran, ALERTS);
    let (out, err) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    let bought: Vec<_> = out.lines().collect();
    assert_eq!(bought.len(), 1, "{out}");
    assert!(
        bought[0].starts_with("licensed: ") && bought[0].contains(&order),
        "{out}"
    );
    let warned: Vec<_> = err.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warned.len(), 1, "{err}");
    let instance = format!("instance=\"{INSTANCE}\"");
    for name in [
        "a license was refused for good",
        "customer=\"Customer ",
        &order,
        "country-not-allowed",
        &instance,
        "advice=",
    ] {
        assert!(warned[0].contains(name), "{name}: {}", warned[0]);
    }
    assert!(err.contains("2 licenses to be bought"), "{err}");

    let open = alerts(&scenario);
    assert_eq!(open.len(), 1);
    assert_eq!(open[0]["kind"], "license-refused");
    assert_eq!(open[0]["orderId"], order.as_str());
    let shown = scenario.bss_host(&["alert", "list"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let asset = open[0]["assetId"].as_str().expect("an asset");
    assert!(
        shown.contains(&format!("bss-host asset retry {asset}")),
        "{shown}"
    );

    let number = open[0]["number"].to_string();
    assert_ends(&scenario.bss_host(&["run", "--once"]), ALERTS);
    assert_ends(&scenario.bss_host(&["status"]), ALERTS);
    assert_ends(&scenario.bss_host(&["alert", "acknowledge", &number]), DONE);
    assert_ends(&scenario.bss_host(&["run", "--once"]), DONE);
    assert_eq!(alerts(&scenario), [] as [Value; 0]);
    let all = scenario.json(&["alert", "list", "--all"]);
    assert_eq!(all[0]["endedAtMs"], Value::Null, "the license is still refused");
    assert_fails(
        &scenario.bss_host(&["alert", "acknowledge", "99"]),
        REFUSED,
        &["no alert 99"],
    );

    assert_ends(&scenario.bss_host(&["asset", "retry", asset]), DONE);
    let all = scenario.json(&["alert", "list", "--all"]);
    assert!(all[0]["endedAtMs"].is_i64(), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_held_is_an_alert_and_ends_it_once_the_vendor_answers() {
    let scenario = Scenario::selling().await;
    let faults = scenario.microsoft.faults();
    faults.order(
        Operation::Purchase,
        refusal(402, "CreditExhausted"),
        Repeat::Always,
    );
    placed(&scenario, 3).await;
    let ran = scenario.bss_host(&["run", "--once"]);
    assert!(!ran.status.success());
    let open = alerts(&scenario);
    assert_eq!(open.len(), 1, "one for all orders: {open:?}");
    assert_eq!(
        (&open[0]["kind"], &open[0]["instance"]),
        (&"instance-held".into(), &INSTANCE.into())
    );
    assert_eq!(open[0]["problem"]["code"], "credit-exhausted");
    assert_eq!(open[0]["assetId"], Value::Null);

    faults.clear();
    assert_ends(&scenario.bss_host(&["run", "--once"]), DONE);
    assert_eq!(alerts(&scenario), [] as [Value; 0]);
    let assets = scenario.assets().await;
    assert!(
        assets
            .iter()
            .all(|asset| asset.sync_status == SyncStatus::Synchronized)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_tells_what_waits_and_ends_well_where_nothing_is_wrong() {
    let scenario = Scenario::selling().await;
    let status = scenario.json(&["status"]);
    assert_eq!(status["openLicenses"], 0);
    assert_eq!(status["openAlerts"], 0);
    assert_eq!(status["oldestOpenLicenseAtMs"], Value::Null);
    placed(&scenario, 2).await;
    let shown = scenario.bss_host(&["status"]);
    assert_ends(&shown, DONE);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.contains("Licenses to be bought or looked up") && shown.contains('2'),
        "{shown}"
    );
    let status = scenario.json(&["status"]);
    assert_eq!(status["openLicenses"], 2);
    assert!(status["oldestOpenLicenseAtMs"].is_i64(), "{status}");
    assert!(
        status["diskFreeBytes"].as_u64().is_some_and(|free| free > 0),
        "{status}"
    );
    assert_eq!(status["workers"], 0);
}
