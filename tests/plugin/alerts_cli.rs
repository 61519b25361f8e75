//! Nothing fails in silence: lines of the worker, alerts, and exit codes for a timer and for monitoring.

use std::path::Path;

use bss_model::SyncStatus;
use bss_simulator::{Fault, Operation, Repeat};
use serde_json::Value;

use crate::cli::assert_fails;
use crate::scenario::{ATTENTION, DONE, INSTANCE, REFUSED, Scenario, actor, assert_ends, order_request};

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
    assert_ends(&ran, ATTENTION);
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
    assert_ends(&scenario.bss_host(&["run", "--once"]), ATTENTION);
    assert_ends(&scenario.bss_host(&["status"]), ATTENTION);
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
    assert_eq!(status["workers"], Value::Array(Vec::new()));
    assert_ends(&scenario.bss_host(&["status", "--expect-worker"]), ATTENTION);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_mailed_once_to_the_operator_and_names_everybody() {
    let scenario = Scenario::selling().await;
    refuse_one(&scenario).await;
    let outbox = scenario.folder.path().join("outbox");
    let configure = ["mail", "configure", "--from", "shop@host.example", "--directory"];
    let directory = outbox.to_str().expect("text");
    assert_ends(&scenario.bss_host(&[&configure[..], &[directory]].concat()), DONE);
    assert_fails(
        &scenario.bss_host(&["alert", "email", "not an address"]),
        REFUSED,
        &["is not an e-mail address"],
    );
    assert_eq!(
        scenario.json(&["alert", "email"])["emails"],
        Value::Array(Vec::new())
    );
    assert_ends(&scenario.bss_host(&["alert", "email", "desk@shop.example"]), DONE);

    assert_ends(&scenario.bss_host(&["run", "--once"]), ATTENTION);
    assert_ends(&scenario.bss_host(&["run", "--once"]), ATTENTION);
    let mails = alert_mails(&outbox);
    assert_eq!(mails.len(), 1, "{mails:?}");
    for word in [
        "To: desk@shop.example",
        "Subject: Alert: license refused",
        "country-not-allowed",
        "customer: Customer ",
        "instance: ",
        "order: ",
        "what to do: ",
    ] {
        assert!(mails[0].contains(word), "{word}: {}", mails[0]);
    }

    assert_ends(&scenario.bss_host(&["alert", "email", "--none"]), DONE);
    refuse_one(&scenario).await;
    assert_ends(&scenario.bss_host(&["run", "--once"]), ATTENTION);
    assert_eq!(alert_mails(&outbox).len(), 1, "nobody is to be told any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_s_command_gets_each_alert_once_and_again_only_where_it_failed() {
    let scenario = Scenario::selling().await;
    refuse_one(&scenario).await;
    let folder = scenario.folder.path();
    let (command, heard) = (folder.join("on-alert"), folder.join("heard"));
    let path = command.to_str().expect("text");
    let script = |end: &str| {
        let text = format!(
            "#!/bin/sh\necho \"$BSS_ALERT_NUMBER $BSS_ALERT_KIND ${{BSS_HOST_KEY-none}}${{BSS_PFX_CODE-none}}${{BSS_SMTP_PASSWORD-none}} $(cat)\" >> '{}'\nexit {end}\n",
            heard.display()
        );
        std::fs::write(&command, text).expect("it is written");
        std::fs::set_permissions(&command, std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .expect("it can be run");
    };
    let lines = || -> Vec<String> {
        let heard = std::fs::read_to_string(&heard).unwrap_or_default();
        heard.lines().map(str::to_owned).collect()
    };
    let run = ["run", "--once", "--alert-command", path];
    assert_fails(&scenario.bss_host(&run), REFUSED, &["can't be read"]);

    script("7");
    let ran = scenario.bss_host(&run);
    assert_ends(&ran, ATTENTION);
    assert!(
        String::from_utf8_lossy(&ran.stderr).contains("ended with exit status: 7"),
        "{ran:?}"
    );
    assert_eq!(lines().len(), 1);
    script("0");
    assert_ends(&scenario.bss_host(&run), ATTENTION);
    assert_eq!(
        lines().len(),
        1,
        "one that failed is told again half a minute later"
    );

    refuse_one(&scenario).await;
    let mut with_secrets = scenario.command(&run);
    with_secrets.envs([("BSS_PFX_CODE", "code"), ("BSS_SMTP_PASSWORD", "password")]);
    assert_ends(&with_secrets.output().expect("the program runs"), ATTENTION);
    assert_ends(&scenario.bss_host(&run), ATTENTION);
    let lines = lines();
    assert_eq!(lines.len(), 2, "the new one, once: {lines:?}");
    let mut words = lines[1].splitn(4, ' ');
    assert_eq!(
        (words.next(), words.next(), words.next()),
        (Some("2"), Some("license-refused"), Some("nonenonenone"))
    );
    let alert: Value = serde_json::from_str(words.next().expect("the alert")).expect("it is JSON");
    assert_eq!(alert["problem"]["code"], "country-not-allowed");
    assert_eq!(alert, alerts(&scenario)[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_stands_still_is_an_alert_until_an_e_mail_is_taken() {
    let scenario = Scenario::selling().await;
    placed(&scenario, 1).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("its address");
    drop(free);
    let arguments = crate::mail_stub::configure_at(address);
    let configure: Vec<&str> = arguments.iter().map(String::as_str).collect();
    assert_ends(&scenario.bss_host(&configure), DONE);
    assert!(!scenario.bss_host(&["run", "--once"]).status.success());
    let open = alerts(&scenario);
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(
        (&open[0]["kind"], &open[0]["instance"]),
        (&"mail-stopped".into(), &Value::Null)
    );
    let status = scenario.bss_host(&["status", "--json"]);
    assert_ends(&status, ATTENTION);
    let status: Value = serde_json::from_slice(&status.stdout).expect("one line of JSON");
    assert_eq!(status["mailStop"]["problem"], open[0]["problem"]);

    let outbox = scenario.folder.path().join("outbox");
    let directory = outbox.to_str().expect("text");
    let configure = [
        "mail",
        "configure",
        "--from",
        "shop@host.example",
        "--directory",
        directory,
    ];
    assert_ends(&scenario.bss_host(&configure), DONE);
    assert_ends(&scenario.bss_host(&["run", "--once"]), DONE);
    assert_eq!(alerts(&scenario), [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_for_a_collector_is_an_object_in_every_line() {
    let scenario = Scenario::selling().await;
    to_be_refused(&scenario).await;
    let mut command = scenario.command(&["run", "--once"]);
    let ran = command
        .env("BSS_LOG_FORMAT", "json")
        .output()
        .expect("the program runs");
    assert_ends(&ran, ATTENTION);
    let err = String::from_utf8_lossy(&ran.stderr).into_owned();
    let objects: Vec<Value> = err
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    for object in &objects {
        for key in ["timestamp", "level", "message"] {
            assert!(object[key].is_string(), "{key}: {object}");
        }
    }
    let warned = objects.iter().find(|object| object["level"] == "WARN");
    let warned = warned.expect("the refused license");
    assert_eq!(warned["instance"], INSTANCE);
    assert_eq!(warned["code"], "country-not-allowed");

    let failed = scenario.bss_host(&["order", "show", "nonsense", "--log-format", "json"]);
    assert!(!failed.status.success());
    let failed = scenario.bss_host(&["alert", "acknowledge", "99", "--log-format", "json"]);
    let err = String::from_utf8_lossy(&failed.stderr).into_owned();
    let error: Value = serde_json::from_str(err.lines().next().expect("a line")).expect("JSON");
    assert_eq!(error["level"], "ERROR");
}

#[tokio::test(flavor = "multi_thread")]
async fn results_that_could_not_be_written_are_a_failure_and_a_reader_that_has_enough_is_none() {
    let scenario = Scenario::selling().await;
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("Linux has it");
    let mut command = scenario.command(&["asset", "list", "--json"]);
    let lost = command.stdout(full).output().expect("the program runs");
    assert_fails(&lost, crate::scenario::NO_ANSWER, &["could not be written"]);

    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = scenario.command(&["asset", "list", "--json"]);
    let cut = command.stdout(writer).output().expect("the program runs");
    assert_ends(&cut, DONE);
}

/// The e-mails about alerts in a directory.
fn alert_mails(outbox: &Path) -> Vec<String> {
    let files = std::fs::read_dir(outbox).expect("the directory");
    let files = files.map(|file| file.expect("a file").path());
    files
        .filter(|file| {
            file.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("alerts-"))
        })
        .map(|file| std::fs::read_to_string(file).expect("text"))
        .collect()
}

/// Orders a license that the vendor refuses for good.
async fn refuse_one(scenario: &Scenario) {
    to_be_refused(scenario).await;
    assert_ends(&scenario.bss_host(&["run", "--once"]), ATTENTION);
}

/// Orders a license that the vendor will refuse for good.
async fn to_be_refused(scenario: &Scenario) {
    scenario.microsoft.faults().order(
        Operation::Purchase,
        refusal(403, "CountryNotAllowed"),
        Repeat::Times(1),
    );
    placed(scenario, 1).await;
}
