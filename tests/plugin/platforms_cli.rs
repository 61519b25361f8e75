//! Platforms from the command line: registered, given the keys that they show, listed, revoked. A key is never printed.

use std::process::Output;

use serde_json::{Value, json};

use crate::cli::assert_fails;
use crate::scenario::{DONE, INSTANCE, REFUSED, Scenario, USAGE, assert_ends, order_request};

const APPLICATION: &str = "b6708ca0-7cbe-4696-ad64-b465f3c878dc";
const OTHER_APPLICATION: &str = "0b2cf7a4-14b9-4f0e-9a40-3a1a1f9a6a53";
const KEY: &str = "xWza0Zb1c2d3e4f5g6h7RQ=";
const NEXT_KEY: &str = "9Yzb0Zb1c2d3e4f5g6h7RQ=";

/// A key as a person pipes it.
fn line(key: &str) -> String {
    format!("{key}\n")
}

fn text(output: &Output) -> String {
    let printed = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8(printed).expect("UTF-8")
}

/// The name of the platform that an application and a key open.
async fn opened(scenario: &Scenario, application: &str, key: &str) -> Option<String> {
    let application = application.parse().expect("an id");
    let opened = scenario.host.for_platform(application, key).await;
    opened
        .expect("the record is read")
        .map(|(_, platform)| platform.name)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_is_registered_with_its_addresses_and_opens_nothing_before_it_has_its_key() {
    let scenario = Scenario::ready().await;
    let base = ["--base-url", "https://esd.example"];
    let register = ["platform", "register", "bss", "--instance", INSTANCE];
    let registered = scenario.json(&[&register[..], &base].concat());
    assert_eq!(
        (&registered["name"], &registered["instance"], &registered["state"]),
        (&json!("bss"), &json!(INSTANCE), &json!("waiting-for-key"))
    );
    let addresses = registered["addresses"].as_array().expect("a list");
    let create = json!({
        "name": "Assets/Create", "method": "POST", "url": "https://esd.example/interworks/bss/Assets/Create"
    });
    assert!(addresses.contains(&create), "{registered}");
    let again = scenario.bss_host(&register);
    assert_fails(
        &again,
        REFUSED,
        &["there is or was a platform or an API client `bss`"],
    );
    let client = scenario.bss_host(&["api-client", "create", "bss", "--scopes", "read"]);
    assert_fails(
        &client,
        REFUSED,
        &["there is or was an API client or a platform `bss`"],
    );

    let rotate = ["platform", "rotate-key", "bss", "--api-key-file", "-"];
    let refused = scenario.bss_host_reading(&rotate, &line(KEY));
    assert_fails(&refused, REFUSED, &["platform `bss` has no application id yet"]);
    let first = [&rotate[..], &["--application-id", APPLICATION]].concat();
    let set = scenario.bss_host_reading(&first, &line(KEY));
    assert_ends(&set, DONE);
    assert!(!text(&set).contains(KEY), "{}", text(&set));
    assert_eq!(opened(&scenario, APPLICATION, KEY).await.as_deref(), Some("bss"));

    let shown = scenario.json(&["platform", "show", "BSS"]);
    assert_eq!(
        (&shown["state"], &shown["applicationId"]),
        (&json!("usable"), &json!(APPLICATION))
    );
    let first = &shown["addresses"][0];
    assert_eq!(first["url"], "https://HOST:8443/interworks/bss/Fields/Get");
    let unknown = scenario.bss_host(&["platform", "show", "shop"]);
    assert_fails(&unknown, REFUSED, &["there is no platform `shop`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_changed_and_revoked_and_never_shown() {
    let scenario = Scenario::ready().await;
    let file = scenario.folder.path().join("key");
    std::fs::write(&file, format!("{KEY}\n")).expect("a file");
    let file = file.to_str().expect("text");
    let braces = format!("{{{}}}", APPLICATION.to_uppercase());
    let credentials = ["--application-id", &braces, "--api-key-file", file];
    let register = ["platform", "register", "bss", "--instance", INSTANCE];
    let registered = scenario.bss_host(&[&register[..], &credentials].concat());
    assert_ends(&registered, DONE);
    let printed = text(&registered);
    assert!(
        printed.contains("https://HOST:8443/interworks/bss/Discover"),
        "{printed}"
    );
    assert_eq!(opened(&scenario, APPLICATION, KEY).await.as_deref(), Some("bss"));
    let taken = ["platform", "register", "bss-2", "--instance", INSTANCE];
    let taken = scenario.bss_host(&[&taken[..], &credentials].concat());
    assert_fails(&taken, REFUSED, &["is that of platform `bss`"]);

    let rotate = ["platform", "rotate-key", "bss", "--api-key-file", "-", "--json"];
    let keep = [&rotate[..], &["--keep-former-hours", "1"]].concat();
    let kept = scenario.bss_host_reading(&keep, &line(NEXT_KEY));
    assert_ends(&kept, DONE);
    let kept: Value = serde_json::from_slice(&kept.stdout).expect("JSON");
    assert!(kept["formerKeyUntilMs"].is_i64(), "{kept}");
    for key in [KEY, NEXT_KEY] {
        assert!(opened(&scenario, APPLICATION, key).await.is_some(), "{key}");
    }
    let other = [&rotate[..], &["--application-id", OTHER_APPLICATION]].concat();
    assert_ends(&scenario.bss_host_reading(&other, &line(NEXT_KEY)), DONE);
    assert_eq!(opened(&scenario, APPLICATION, NEXT_KEY).await, None);
    assert!(opened(&scenario, OTHER_APPLICATION, NEXT_KEY).await.is_some());
    assert_fails(
        &scenario.bss_host_reading(&rotate, &line("too-short")),
        REFUSED,
        &["no key of a platform"],
    );

    let listed = scenario.bss_host(&["platform", "list"]);
    assert_ends(&listed, DONE);
    let all = [text(&listed), scenario.json(&["platform", "list"]).to_string()].concat();
    assert!(
        all.contains("usable") && !all.contains(KEY) && !all.contains(NEXT_KEY),
        "{all}"
    );
    let in_use = scenario.bss_host(&["instance", "remove", INSTANCE]);
    assert_fails(&in_use, REFUSED, &["platform `bss` buys at it"]);
    assert_eq!(scenario.json(&["platform", "revoke", "bss"])["state"], "revoked");
    assert_eq!(opened(&scenario, OTHER_APPLICATION, NEXT_KEY).await, None);
    let acts = scenario.json(&["audit", "list", "--kind", "platform"]);
    let acts: Vec<_> = acts
        .as_array()
        .expect("a list")
        .iter()
        .map(|act| act["act"].clone())
        .collect();
    let expected = [
        "register-platform",
        "set-platform-key",
        "set-platform-key",
        "revoke-platform",
    ];
    assert_eq!(acts, expected.map(Value::from));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_no_argument_and_comes_with_its_application() {
    let scenario = Scenario::ready().await;
    let register = ["platform", "register", "bss", "--instance", INSTANCE];
    for more in [
        &["--application-id", APPLICATION][..],
        &["--api-key-file", "-"],
        &["--api-key", KEY],
        &["--application-id", "no-guid", "--api-key-file", "-"],
        &["--base-url", "esd.example"],
    ] {
        assert_ends(&scenario.bss_host(&[&register, more].concat()), USAGE);
    }
    assert_eq!(scenario.json(&["platform", "list"]), json!([]));
    let elsewhere = scenario.bss_host(&["platform", "register", "bss", "--instance", "none"]);
    assert_fails(&elsewhere, REFUSED, &["there is no instance `none`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_platform_ordered_is_bought_and_neither_mailed_nor_charged_nor_shown_as_an_e_mail() {
    let scenario = Scenario::selling().await;
    scenario.json(&["platform", "register", "bss", "--instance", INSTANCE]);
    let platform = scenario.host.platform("bss").await.expect("it is there").id;
    let offer = scenario.offers().await.remove(0);
    // The order has a contact, and a product with a price.
    let request = order_request(&offer, 1)
        .key("interworks/bss/84213")
        .of_platform(platform);
    let placed = scenario
        .host
        .place_order(INSTANCE, request, &crate::scenario::actor())
        .await;
    let order = placed.expect("it is placed").into_order().id.to_string();
    assert_ends(&scenario.bss_host(&["run", "--once"]), DONE);
    let shown = scenario.json(&["order", "show", &order]);
    assert_eq!(shown["state"], "licensed");
    assert_eq!(scenario.json(&["mail", "list"]), json!([]));
    assert_eq!(scenario.json(&["charge", "list"]), json!([]));
    let asset = shown["assets"][0]["id"].as_str().expect("an id");
    for refused in [
        &["mail", "resend", "--order", &order, "--yes"][..],
        &["mail", "preview", asset],
        &["mail", "preview", &order],
    ] {
        assert_fails(&scenario.bss_host(refused), REFUSED, &["a platform"]);
    }
}
