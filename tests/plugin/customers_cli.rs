//! `bss-host customer`: what is on record about a customer is exported, erased, and told again after a restoration.

use std::path::Path;

use serde_json::Value;
use uuid::Uuid;

use crate::canary::files_with;
use crate::cli::{Desk, assert_fails};
use crate::scenario::{DONE, REFUSED, USAGE, assert_ends};

/// A customer whose name and address are nowhere else.
struct Person {
    name: String,
    email: String,
}

impl Person {
    fn new() -> Self {
        let mark = Uuid::new_v4().simple().to_string();
        Self {
            name: format!("Zoë {mark}"),
            email: format!("zoe.{mark}@customer.test"),
        }
    }

    /// The files below a folder that have the name or the address.
    fn files(&self, folder: &Path) -> Vec<String> {
        [files_with(folder, &self.name), files_with(folder, &self.email)].concat()
    }
}

/// A desk at which a customer has bought a license, which waits to be mailed, and the id of the order.
fn bought(person: &Person) -> (Desk, String) {
    let desk = Desk::open();
    desk.ready();
    desk.json(&["services", "fetch", "esd"]);
    let offer = desk.sells();
    let place = [
        "order",
        "place",
        "esd",
        "--offer",
        &offer,
        "--customer",
        "C-7",
        "--customer-name",
        &person.name,
        "--customer-country",
        "CY",
        "--customer-email",
        &person.email,
        "--customer-language",
        "el",
        "--idempotency-key",
        "k",
        "--wait",
    ];
    let order = desk.json(&place);
    let id = order["id"].as_str().expect("an id").to_owned();
    (desk, id)
}

fn length(list: &Value) -> Option<usize> {
    list.as_array().map(Vec::len)
}

const ERASE: [&str; 3] = ["customer", "erase", "C-7"];

#[test]
fn a_customer_is_exported_for_people_and_for_programs() {
    let person = Person::new();
    let (desk, order) = bought(&person);
    let export = desk.json(&["customer", "export", "C-7", "--instance", "esd"]);
    assert_eq!(
        (&export["id"], length(&export["orders"])),
        (&"C-7".into(), Some(1))
    );
    assert_eq!(export["orders"][0]["id"], order.as_str());
    assert_eq!(export["orders"][0]["contact"]["email"], person.email.as_str());
    assert_eq!(export["mails"][0]["state"], "pending");
    assert_eq!(export["acts"][0]["act"], "place-order");
    let key = |export: &Value| {
        let key = &export["orders"][0]["assets"][0]["productKey"];
        key.as_str().expect("a key").to_owned()
    };
    assert!(key(&export).contains('*'));
    let whole = desk.json(&["customer", "export", "C-7", "--show-keys"]);
    assert!(!key(&whole).contains('*'));
    let acts = desk.json(&["audit", "list", "--kind", "asset"]);
    assert_eq!(acts[0]["act"], "show-keys");

    let shown = desk.run(&["customer", "export", "C-7"]);
    assert_ends(&shown, DONE);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for text in [&order, &person.name, &person.email, "1 charge", "1 e-mail"] {
        assert!(shown.contains(text), "`{text}` in {shown}");
    }
    assert_ends(&desk.run(&["customer", "export", "C-7", "--show-keys"]), USAGE);
    assert_fails(
        &desk.run(&["customer", "export", "C-8"]),
        REFUSED,
        &["nothing is on record about customer `C-8`"],
    );
}

#[test]
fn a_customer_is_erased_after_being_asked_and_is_in_no_file_any_more() {
    let person = Person::new();
    let (desk, order) = bought(&person);
    let data_dir = desk.folder.path().join("bss");
    // The program can ask nobody: there is no terminal.
    assert_fails(&desk.run(&ERASE), REFUSED, &["nobody can be asked", "--yes"]);
    let (shown, code) = desk.on_terminal(&[&ERASE[..], &["--withdraw-mails"]].concat(), "n");
    assert!(shown.contains("Erase customer C-7 in 1 order?"), "{shown}");
    assert_eq!(code, Some(REFUSED), "{shown}");
    let waits = desk.run(&[&ERASE[..], &["--yes"]].concat());
    assert_fails(&waits, REFUSED, &["unsent e-mails", "--withdraw-mails"]);
    assert!(!person.files(&data_dir).is_empty(), "the search finds it");

    let (shown, code) = desk.on_terminal(&[&ERASE[..], &["--withdraw-mails"]].concat(), "y");
    assert_eq!(code, Some(DONE), "{shown}");
    assert!(shown.contains("customer C-7 is erased in 1 order"), "{shown}");
    // Neither in the record nor in the traces of the plugin's calls.
    assert!(data_dir.join("traces").exists());
    assert_eq!(person.files(&data_dir), [] as [String; 0]);

    let left = desk.json(&["order", "show", &order]);
    assert_eq!(left["customer"]["id"], "C-7");
    assert_eq!(left["customer"]["name"], "(erased)");
    assert_eq!(left["contact"]["email"], "erased@erased.invalid");
    assert!(left["customerErasedAtMs"].is_i64(), "{left}");
    assert_eq!(desk.json(&["mail", "list"])[0]["state"], "withdrawn");
    let act = &desk.json(&["audit", "list", "--kind", "customer"])[0];
    assert_eq!(
        (&act["act"], &act["subject"]["id"]),
        (&"erase-customer".into(), &"C-7".into())
    );
    assert_ends(&desk.run(&["audit", "verify"]), DONE);
    let again = desk.json(&[&ERASE[..], &["--yes"]].concat());
    assert_eq!((&again["orders"], &again["leftFiles"]), (&0.into(), &true.into()));
    let said = desk.run(&[&ERASE[..], &["--yes"]].concat());
    assert!(
        String::from_utf8_lossy(&said.stdout).contains("erased before"),
        "{said:?}"
    );
    // The license is returned like any other: no call of the plugin needs the customer for that.
    let asset = left["assets"][0]["id"].as_str().expect("an id");
    assert_ends(&desk.run(&["asset", "refresh", asset]), DONE);
    assert_ends(&desk.run(&["asset", "cancel", asset]), DONE);
}

#[test]
fn a_restoration_says_which_erased_customers_it_has_brought_back() {
    let person = Person::new();
    let (desk, _) = bought(&person);
    let backup = desk.folder.path().join("backup.db").display().to_string();
    assert_ends(&desk.run(&["record", "backup", &backup]), DONE);
    assert_eq!(length(&desk.json(&["customer", "erased"])), Some(0));
    let erase = [&ERASE[..], &["--withdraw-mails", "--yes"]].concat();
    assert_ends(&desk.run(&erase), DONE);
    assert_eq!(desk.json(&["customer", "erased"])[0]["ordersLeft"], 0);
    assert_eq!(desk.json(&["record", "show"])["customersToEraseAgain"], 0);

    let restored = desk.run(&["record", "restore", &backup, "--replace"]);
    assert_ends(&restored, DONE);
    let told = String::from_utf8_lossy(&restored.stderr).into_owned();
    assert!(told.contains("since a backup was restored: 1 customer"), "{told}");
    assert!(told.contains("bss-host customer erased"), "{told}");
    let erased = desk.json(&["customer", "erased"]);
    assert_eq!(
        (&erased[0]["id"], &erased[0]["ordersLeft"]),
        (&"C-7".into(), &1.into())
    );
    assert_eq!(erased[0]["instance"], "esd");
    assert_eq!(desk.json(&["record", "show"])["customersToEraseAgain"], 1);
    assert_ends(&desk.run(&erase), DONE);
    assert_eq!(desk.json(&["record", "show"])["customersToEraseAgain"], 0);
}
