//! A simulator as a rehearsal has it: the same one after a stop, with faults, a catalog and clients of one's choice.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cli::{CUSTOMER, Desk, assert_fails};
use crate::component::bss_host;
use crate::scenario::{DONE, NO_ANSWER, REFUSED, assert_ends};

fn with(arguments: &[&str]) -> Desk {
    Desk::open_in(tempfile::tempdir().expect("a temporary directory"), arguments)
}

/// Orders one license, waits for it, and answers with the order's state.
fn ordered(desk: &Desk, offer: &str) -> Value {
    let place = ["order", "place", "esd", "--offer", offer, "--quantity", "1"];
    let ended = desk.run(&[&place[..], &CUSTOMER, &["--wait", "--json"]].concat());
    let text = String::from_utf8_lossy(&ended.stdout);
    let line = text.lines().next().expect("a line");
    serde_json::from_str::<Value>(line).expect("JSON")["state"].clone()
}

/// The products of the catalog that can be bought, each with its name.
fn sold(desk: &Desk) -> Vec<(String, String)> {
    assert_ends(&desk.run(&["services", "fetch", "esd"]), DONE);
    let products = desk.json(&["services", "products", "esd"]);
    let products = products.as_array().expect("products").iter();
    let text = |product: &Value, name: &str| product[name].as_str().expect("text").to_owned();
    products
        .filter(|product| product["discontinued"] != true)
        .map(|product| (text(product, "productCode"), text(product, "productName")))
        .collect()
}

#[test]
fn an_instance_that_was_configured_before_goes_on_working_after_the_simulator_is_started_again() {
    let mut desk = with(&[]);
    desk.ready();
    assert_ends(&desk.run(&["services", "fetch", "esd"]), DONE);
    let offer = desk.sells();
    let before = desk.microsoft.clone();
    desk.start_simulator_again(&[]);
    assert_eq!(desk.microsoft, before);
    assert_eq!(ordered(&desk, &offer), "licensed");
}

#[test]
fn a_simulator_whose_ports_somebody_else_has_says_so() {
    let desk = with(&[]);
    let second = tempfile::tempdir().expect("a temporary directory");
    let (ports, directory) = (desk.folder.path().join("microsoft/ports.json"), second.path());
    std::fs::copy(ports, directory.join("ports.json")).expect("it is copied");
    let mut second = Command::new(bss_host())
        .args(["simulator", "--directory"])
        .arg(directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    let output = second.stdout.take().expect("its output");
    BufReader::new(output).read_line(&mut line).expect("it is read");
    if !line.is_empty() {
        second.kill().expect("it is killed");
    }
    let ended = second.wait_with_output().expect("it ends");
    assert_fails(&ended, NO_ANSWER, &["ports.json"]);
}

#[test]
fn a_fault_shows_as_often_as_it_was_ordered() {
    let mut desk = with(&[]);
    desk.ready();
    assert_ends(&desk.run(&["services", "fetch", "esd"]), DONE);
    let offer = desk.sells();
    desk.start_simulator_again(&["--fault", "purchase=refusal-403-CountryNotAllowed"]);
    let states = [ordered(&desk, &offer), ordered(&desk, &offer)];
    assert_eq!(states, ["refused", "licensed"]);
    desk.start_simulator_again(&["--fault", "catalog=html-500:always"]);
    for _ in 0..2 {
        assert!(!desk.run(&["services", "fetch", "esd"]).status.success());
    }
}

#[test]
fn the_catalog_is_the_file_and_changes_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("catalog.csv").display().to_string();
    let write = |text: &str| std::fs::write(&file, text).expect("it is written");
    write("code,name\nA-1,Word\nA-2,\"Excel, for one\"\n");
    let mut desk = with(&["--catalog", &file]);
    desk.ready();
    let product = |code: &str, name: &str| (code.to_owned(), name.to_owned());
    assert_eq!(
        sold(&desk),
        [product("A-1", "Word"), product("A-2", "Excel, for one")]
    );
    write("A-2,Excel\nA-3,Access\n");
    desk.start_simulator_again(&["--catalog", &file]);
    assert_eq!(sold(&desk), [product("A-2", "Excel"), product("A-3", "Access")]);

    desk.stop_simulator();
    for (text, saying) in [("A-1,Word\nA-2\n", "line 2"), ("A-1,Word\nA-1,Excel\n", "`A-1`")] {
        write(text);
        let refused = desk.run(&["simulator", "--catalog", &file, "--directory", &file]);
        assert_fails(&refused, REFUSED, &[saying]);
    }
}

#[test]
fn two_clients_have_two_certificates_and_neither_is_served_with_the_others() {
    let mut desk = with(&["--client", "athens", "--client", "berlin"]);
    desk.ready();
    let of = |desk: &Desk, client: usize, name: &str| {
        let value = desk.microsoft["clients"][client][name].as_str();
        value.expect("a client's detail").to_owned()
    };
    for client in [0, 1] {
        let (code, file) = (of(&desk, client, "pfxCode"), of(&desk, client, "pfxFile"));
        assert_ends(
            &desk.run_with_code(&code, &["certificate", "import", &file]),
            DONE,
        );
    }
    for (client, certificate) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        desk.set(&[
            ("channel-id", &of(&desk, client, "channelId")),
            ("client-id", &of(&desk, client, "clientId")),
            ("certificate-thumbprint", &of(&desk, certificate, "thumbprint")),
        ]);
        let checked = desk.run(&["instance", "check", "esd"]);
        let code = if client == certificate { DONE } else { REFUSED };
        assert_ends(&checked, code);
    }
    let before = desk.microsoft.clone();
    desk.start_simulator_again(&["--client", "athens", "--client", "berlin"]);
    assert_eq!(desk.microsoft, before);
    assert_ends(&desk.run(&["instance", "check", "esd"]), DONE);
}
