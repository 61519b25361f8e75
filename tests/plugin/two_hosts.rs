//! Two hosts with one record on a PostgreSQL server, of which either answers: keys, orders with a key, runs, events and sessions.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::Desk;
use crate::component::{bss_host, component, keep_compiled};
use crate::console::browser::Browser;
use crate::console::sales::{confirmed, order};
use crate::orders_cli::text;
use crate::record_place;
use crate::serve::{Answer, Api, PATIENCE, Server};

/// A desk whose record is on a server, its host that serves, and another host at the same record.
struct TwoHosts {
    one: Api,
    other: Server,
}

impl TwoHosts {
    fn open() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let [one, other] = ["bss", "other"].map(|name| folder.path().join(name));
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(record_place::prepare_on_server(&one));
        record_place::share(&other, &one);
        keep_compiled(&other);
        let desk = Desk::open_in(folder, &[]);
        desk.ready();
        desk.json(&["services", "fetch", "esd"]);
        let offer = desk.sells();
        let one = Api::of(desk, offer, &[]);
        let mut serve = Command::new(bss_host());
        serve
            .args(["serve", "--data-dir"])
            .arg(&other)
            .env("BSS_PLUGIN", component())
            .stderr(Stdio::null());
        record_place::tell(&mut serve, &other);
        let other = Server::start(serve);
        Self { one, other }
    }

    /// Asks the other host.
    fn ask_other(
        &self,
        method: &str,
        path: &str,
        key: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        self.one.ask_at(&self.other, method, path, key, headers, body)
    }
}

#[test]
fn whichever_of_two_hosts_answers_keys_orders_runs_and_outcomes_are_the_same() {
    let hosts = TwoHosts::open();
    let key = hosts.one.key("shop", "read,order,configure", &[]);
    let order = hosts.one.order(2);
    let placed = hosts.one.place(&key, "K-1", &[], &order).expect(201);
    let again = hosts.ask_other(
        "POST",
        "/v1/orders",
        &key,
        &[("Idempotency-Key", "K-1")],
        Some(&order),
    );
    let again = again.expect(200);
    assert_eq!(text(&again, "id"), text(&placed, "id"), "one order");
    let another = hosts.one.order(3);
    let reused = hosts.ask_other(
        "POST",
        "/v1/orders",
        &key,
        &[("Idempotency-Key", "K-1")],
        Some(&another),
    );
    assert_eq!((reused.status, reused.code()), (409, "key-reused"), "{reused:?}");

    // Either host may buy the licenses; both show them.
    let path = format!("/v1/orders/{}", text(&placed, "id"));
    let until = Instant::now() + PATIENCE;
    let bought = loop {
        let shown = hosts.ask_other("GET", &path, &key, &[], None).expect(200);
        if text(&shown, "state") == "licensed" {
            break shown;
        }
        assert!(Instant::now() < until, "{shown}");
        std::thread::sleep(Duration::from_millis(200));
    };
    assert_eq!(hosts.one.get(&path, &key).expect(200), bought);

    let started = hosts.ask_other("POST", "/v1/instances/esd/services-runs", &key, &[], None);
    let at = started.header("location").expect("where it is").to_owned();
    started.expect(202);
    let until = Instant::now() + PATIENCE;
    while text(&hosts.one.get(&at, &key).expect(200), "state") != "completed" {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(200));
    }

    let workers = hosts.one.desk.json(&["status"]);
    let workers = workers["workers"].as_array().expect("workers").len();
    assert!(
        workers >= 4,
        "each host has one for licenses and one for e-mails: {workers}"
    );
    hosts.one.desk.json(&["api-client", "revoke", "shop"]);
    let refused = hosts.ask_other("GET", &path, &key, &[], None);
    assert_eq!(refused.status, 401, "{refused:?}");
}

#[test]
fn a_session_and_an_order_of_the_console_go_on_at_whichever_of_two_hosts_answers() {
    const NEW: &str = "/console/orders/new";
    let hosts = TwoHosts::open();
    let (one, other) = (&hosts.one.server, &hosts.other);
    // Of the links that both have printed, the last one is good.
    let mut browser = Browser::of_first_administrator(other);
    let key = browser
        .get(NEW)
        .expect(200)
        .saying(&hosts.one.offer)
        .hidden("key");
    browser.is_led_to(one);
    let typed = order(&hosts.one, &key, "2");
    let asked = browser.post(NEW, &typed).expect(200).saying("Place this order?");
    let prices = asked.hidden("prices");
    let placed = confirmed(&typed, &prices);
    browser.is_led_to(other);
    browser
        .post(NEW, &placed)
        .expect(200)
        .saying("The order is placed");
    browser.is_led_to(one);
    browser
        .post(NEW, &placed)
        .expect(200)
        .saying("This order exists already");
    let orders = hosts.one.desk.json(&["order", "list"]);
    assert_eq!(orders.as_array().map(Vec::len), Some(1), "{orders}");

    // Who signs out at one host is signed out at the other.
    let mut thief = Browser::of(other);
    thief.takes_session_of(&browser);
    thief.get("/console/orders").expect(200).saying("Sign out");
    browser.post("/console/sign-out", &[]).saying("Sign in");
    assert!(!thief.get("/console/orders").says("Sign out"));
}
