//! `bss-host services`, `product` and `run`: what they print where, and their exit codes.

use std::process::Command;

use serde_json::{Value, json};

use crate::cli::{Desk, assert_fails, send_signal};
use crate::scenario::{DONE, NO_ANSWER, REFUSED, USAGE, assert_ends, result};

fn text(output: &[u8]) -> String {
    String::from_utf8(output.to_vec()).expect("text")
}

fn codes(products: &Value) -> Vec<&str> {
    let products = products.as_array().expect("a list");
    products
        .iter()
        .map(|product| product["productCode"].as_str().expect("a code"))
        .collect()
}

#[test]
fn a_detached_run_waits_for_the_worker_and_blocks_a_second_start() {
    let desk = Desk::open();
    desk.ready();
    let detached = desk.json(&["services", "fetch", "esd", "--detach"]);
    assert_eq!(detached["state"], "not-started");
    let run = detached["id"].as_str().expect("an id");
    assert_fails(
        &desk.run(&["services", "fetch", "esd"]),
        REFUSED,
        &[run, "bss-host run"],
    );
    let worked = desk.run(&["run", "--once", "--json"]);
    assert_ends(&worked, DONE);
    let worked = result(&worked);
    assert_eq!(
        (&worked["id"], &worked["instance"], &worked["state"]),
        (&json!(run), &json!("esd"), &json!("completed"))
    );
    let runs = desk.json(&["services", "runs", "esd"]);
    assert_eq!(runs[0]["state"], "completed");
    assert_eq!(runs[0]["new"], worked["new"]);
    let idle = desk.run(&["run", "--once"]);
    assert_ends(&idle, DONE);
    assert!(idle.stdout.is_empty());
}

#[test]
fn a_worker_runs_until_it_is_interrupted() {
    let desk = Desk::open();
    desk.ready();
    let mut worker = Command::new(crate::component::bss_host())
        .args(["run", "--data-dir"])
        .arg(desk.folder.path().join("bss"))
        .env("BSS_PLUGIN", crate::component::component())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the worker starts");
    let detached = desk.json(&["services", "fetch", "esd", "--detach"]);
    let mut line = String::new();
    let output = worker.stdout.take().expect("its output");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).expect("a line");
    assert!(line.contains(detached["id"].as_str().expect("an id")), "{line}");
    send_signal("TERM", &worker);
    assert_eq!(worker.wait().expect("it ends").code(), Some(DONE));
}

#[test]
fn a_run_that_gets_no_answer_fails_for_the_worker_too_and_is_on_record() {
    let mut desk = Desk::open();
    desk.ready();
    desk.json(&["services", "fetch", "esd", "--detach"]);
    desk.stop_simulator();
    let worked = desk.run(&["run", "--once"]);
    assert_ends(&worked, NO_ANSWER);
    let runs = desk.json(&["services", "runs", "esd"]);
    assert_eq!(runs[0]["state"], "failed");
    let run = runs[0]["id"].as_str().expect("an id");
    let log = desk.run(&["services", "log", run]);
    assert_ends(&log, DONE);
    assert!(text(&log.stdout).contains("error"), "{}", text(&log.stdout));
    let nobody = desk.run(&["services", "log", "00000000-0000-0000-0000-000000000000"]);
    assert_fails(&nobody, REFUSED, &["00000000-0000-0000-0000-000000000000"]);
}

#[test]
fn what_a_run_did_is_shown_by_list_and_decided_about_in_bulk() {
    let desk = Desk::open();
    desk.ready();
    let fetched = desk.json(&["services", "fetch", "esd"]);
    assert_eq!(fetched["state"], "completed");
    let run = fetched["id"].as_str().expect("an id");
    let new = desk.json(&["services", "products", "esd", "--run", run, "--new"]);
    let new = codes(&new);
    assert_eq!(json!(new.len()), fetched["new"]);
    for list in ["--changed", "--discontinued", "--revived"] {
        let listed = desk.json(&["services", "products", "esd", "--run", run, list]);
        assert_eq!(codes(&listed), [""; 0], "{list}");
    }
    assert_ends(&desk.run(&["services", "products", "esd", "--new"]), USAGE);

    // Another language changes every name, and nothing else.
    desk.set(&[("language", "el-GR")]);
    let greek = desk.json(&["services", "fetch", "esd"]);
    assert_eq!((&greek["new"], &greek["changed"]), (&json!(0), &fetched["new"]));
    let greek = greek["id"].as_str().expect("an id");
    let changed = desk.json(&["services", "products", "esd", "--run", greek, "--changed"]);
    let renamed = |product: &Value| {
        let made = &product["differences"][0];
        let name = &made["changes"][0];
        made["kind"] == "changed"
            && made["fields"] == json!(["name", "description", "attribute values"])
            && name["field"] == "name"
            && name["after"] == product["productName"]
            && name["before"] != name["after"]
    };
    assert!(
        changed.as_array().expect("a list").iter().any(renamed),
        "{changed}"
    );

    let activated = desk.json(&["product", "activate", "esd", "--new-in", run]);
    assert_eq!(
        activated,
        json!({ "changed": new.len(), "already": 0, "discontinued": 0 })
    );
    let again = desk.json(&["product", "activate", "esd", "--all"]);
    assert_eq!(again["already"], new.len());
    desk.json(&["product", "publish", "esd", new[0], new[1]]);
    let price = ["--currency", "EUR", "--minor-units", "14900"];
    desk.json(&[&["product", "price", "esd", new[0]][..], &price].concat());
    let shown = text(&desk.run(&["services", "products", "esd"]).stdout);
    assert!(shown.contains("149.00 EUR"), "{shown}");
    assert!(shown.contains("active, published"), "{shown}");
    assert_ends(&desk.run(&["product", "activate", "esd"]), USAGE);
    assert_ends(&desk.run(&["product", "activate", "esd", new[0], "--all"]), USAGE);
    assert_fails(
        &desk.run(&["product", "publish", "esd", "NOTHING"]),
        REFUSED,
        &["`NOTHING`"],
    );
    let negative = ["--currency", "EUR", "--minor-units", "-1"];
    assert_fails(
        &desk.run(&[&["product", "price", "esd", new[0]][..], &negative].concat()),
        REFUSED,
        &["negative"],
    );
}

#[test]
fn names_in_greek_keep_the_table_straight() {
    let desk = Desk::open();
    desk.ready();
    desk.set(&[("language", "el-GR")]);
    desk.json(&["services", "fetch", "esd"]);
    let shown = text(&desk.run(&["services", "products", "esd"]).stdout);
    assert!(shown.contains("Office Home & Student 2021 (Μαθητές)"), "{shown}");
    // Each of these letters is a column wide, and none is joined from two.
    let widths: Vec<usize> = shown.lines().map(|line| line.chars().count()).collect();
    assert!(widths.len() > 4, "{shown}");
    assert!(widths.iter().all(|width| *width == widths[0]), "{shown}");
}

#[test]
fn the_export_is_written_whole_and_fits_the_schema() {
    let desk = Desk::open();
    desk.ready();
    let fetched = desk.json(&["services", "fetch", "esd"]);
    let printed: Value =
        serde_json::from_slice(&desk.run(&["services", "export", "esd"]).stdout).expect("JSON");
    let file = desk.folder.path().join("definition.json");
    let out = file.display().to_string();
    assert_ends(&desk.run(&["services", "export", "esd", "--out", &out]), DONE);
    let written: Value = serde_json::from_slice(&std::fs::read(&file).expect("the file")).expect("JSON");
    assert_eq!(printed, written);
    let schema = include_str!("../../docs/product-type-collection.schema.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).expect("JSON")).expect("a schema");
    assert!(schema.is_valid(&written));
    let products = &written["ProductTypes"][0]["ProductsCollection"]["Products"];
    assert_eq!(
        json!(products.as_array().expect("products").len()),
        fetched["new"]
    );
    let nowhere = desk.run(&["services", "export", "esd", "--out", "not/there/x.json"]);
    assert_fails(&nowhere, REFUSED, &["`not/there/x.json`"]);
}
