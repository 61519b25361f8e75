//! The contract of a billing platform, as a scripted one uses it: from its registration to a license and back, and what it is never
//! given, whatever goes wrong on the way.

mod bss;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use bss_simulator::{Fault, Operation, Repeat, TokenStatus, When};
use data_encoding::BASE64;
use serde_json::{Value, json};
use uuid::Uuid;

use self::bss::{
    Bss, Dialect, NAME, Outcome, Pair, account, another_instance, header, key_file, register, setting,
};
use crate::cli::assert_fails;
use crate::orders_cli::text;
use crate::scenario::{DONE, INSTANCE, REFUSED, Scenario, assert_ends};
use crate::serve::{Answer, PATIENCE};

/// The codes that a platform reads.
const GOOD: i64 = 0;
const THERE: i64 = 1;
const NOT_OFFERED: i64 = -1;
const NOT_DONE: i64 = -40;
const SETTING: i64 = -41;
const UNREADABLE: i64 = -42;
const MISMATCH: i64 = -43;
const WITHDRAWN: i64 = -44;
const RETURNED: i64 = -45;
const UNKNOWN: i64 = -46;
const NOT_KNOWN_YET: i64 = -202;

/// Every call, each with its method and whether a license has it.
const CALLS: [(&str, &str, bool); 40] = [
    ("GET", "Fields/Get", true),
    ("POST", "Fields/Validate", true),
    ("GET", "Fields/ServiceDefinition", true),
    ("GET", "Fields/AdditionalInfo", true),
    ("GET", "Accounts/SyncOptions", true),
    ("POST", "Accounts/Synchronize", true),
    ("POST", "Accounts/Exists", true),
    ("POST", "Accounts/Delete", true),
    ("POST", "Assets/Create", true),
    ("POST", "Assets/Update", true),
    ("POST", "Assets/Cancel", true),
    ("POST", "Assets/Activate", true),
    ("POST", "Subscriptions/Create", true),
    ("POST", "Subscriptions/Update", true),
    ("POST", "Subscriptions/Cancel", true),
    ("POST", "Subscriptions/Activate", true),
    ("GET", "Discover", true),
    ("POST", "Subscriptions/Suspend", false),
    ("POST", "Subscriptions/UpgradeToPaid", false),
    ("POST", "Subscriptions/UpgradeDowngrade", false),
    ("POST", "Addons/Create", false),
    ("POST", "Addons/Update", false),
    ("POST", "Addons/Cancel", false),
    ("POST", "Users/Get", false),
    ("POST", "Users/Get/Customers", false),
    ("POST", "Users/Get/Customer", false),
    ("POST", "Users/Get/List", false),
    ("POST", "Users/Add", false),
    ("POST", "Users/Update", false),
    ("POST", "Users/Delete", false),
    ("POST", "Users/Disable", false),
    ("POST", "Users/Activate", false),
    ("POST", "Users/Provision", false),
    ("POST", "Users/DeProvision", false),
    ("POST", "Users/Password/Reset", false),
    ("POST", "Users/Service/Get/List", false),
    ("POST", "Users/Service/Add", false),
    ("POST", "Users/Service/Delete", false),
    ("POST", "PPU/Usages", false),
    ("POST", "PPU/BillingItems", false),
];

/// The ids of an array of objects.
fn ids(values: &Value) -> Vec<&str> {
    let values = values.as_array().expect("a list").iter();
    values.map(|value| text(value, "ID")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_writes_as_its_models_do_gets_from_its_registration_to_a_license_and_back() {
    from_registration_to_a_license_and_back(Dialect::Pascal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_writes_names_and_texts_gets_from_its_registration_to_a_license_and_back() {
    from_registration_to_a_license_and_back(Dialect::Camel).await;
}

async fn from_registration_to_a_license_and_back(dialect: Dialect) {
    let scenario = Scenario::ready().await;
    let pair = Pair::made();
    let bss = registered_in_two_steps(scenario, dialect, pair).await;
    settings_are_shown_and_compared(&bss);
    the_catalog_is_read_and_shown(&bss).await;
    let [offer, _] = bss.offers();

    // Resellers are told first, then their customers.
    for id in ["7", "13"] {
        let synchronized = bss.outcome("Accounts/Synchronize", &account(id)).with_code(GOOD);
        assert_eq!(synchronized.result(), id);
    }
    let nobody = json!({ "Name": "Beispiel GmbH" });
    for call in ["Accounts/Synchronize", "Accounts/Exists"] {
        bss.outcome(call, &nobody).with_code(UNREADABLE).saying("`ID`");
    }
    bss.outcome("Accounts/Exists", &account("13")).with_code(GOOD);

    let order = bss.order("84213", &offer);
    let mut check = order.clone();
    check["CheckOnly"] = json!(true);
    let checked = bss.license("Create", &check).with_code(GOOD);
    assert_eq!((checked.message(), checked.result()), ("", ""));
    bss.assert_nothing_bought().await;

    let bought = bss.license("Create", &order).with_code(GOOD);
    let asset = &bss.scenario.json(&["asset", "list", "--show-keys"])[0];
    assert_eq!(bought.result(), text(asset, "id"));
    assert_eq!(bought.field("Token"), text(asset, "productKey"));
    assert_eq!(bought.field("ActivationLink"), text(asset, "activationLink"));
    assert_eq!(
        (bought.field("TokenStatus"), bought.field("ReturnStatus")),
        ("Activated", "NONE")
    );
    assert!(bought.is_to_be_mailed());
    assert_eq!(bss.ledger().await[0].product_key.expose(), bought.field("Token"));

    let mut known = order.clone();
    known["ID"] = json!(bought.result());
    known["ActionType"] = dialect.kind(0, "None");
    for (action, message) in [
        ("Create", &order),
        ("Create", &known),
        ("Update", &known),
        ("Activate", &known),
    ] {
        let again = bss.license(action, message).with_code(GOOD);
        assert!(!again.is_to_be_mailed(), "{action}");
        if action != "Activate" {
            assert_eq!(
                (again.result(), again.field("Token")),
                (bought.result(), bought.field("Token"))
            );
        }
    }
    assert_eq!(bss.scenario.issued().await.len(), 1);
    bss.outcome("Accounts/Exists", &account("13")).with_code(THERE);
    bss.outcome("Accounts/Exists", &account("14")).with_code(GOOD);
    bss.outcome("Accounts/Delete", &account("13")).with_code(GOOD);

    known["ActionType"] = dialect.kind(2, "Cancel");
    known["CheckOnly"] = json!(true);
    bss.license("Cancel", &known).with_code(GOOD);
    assert_eq!(bss.ledger().await[0].token_status, TokenStatus::Activated);
    known["CheckOnly"] = json!(false);
    for _ in 0..2 {
        let cancelled = bss.license("Cancel", &known).with_code(GOOD);
        assert_eq!(cancelled.result(), bought.result());
        let fields = ["TokenStatus", "ReturnStatus"].map(|name| cancelled.field(name).to_owned());
        assert_eq!(fields, ["Return Accepted", "SUCCESSFUL"]);
        assert!(!cancelled.is_to_be_mailed());
    }
    let entry = &bss.ledger().await[0];
    assert_eq!(entry.token_status, TokenStatus::ReturnAccepted);
    assert_eq!(
        bss.scenario.microsoft.faults().requests_seen(Operation::Return),
        1
    );
    assert_eq!(
        bss.scenario.json(&["asset", "show", bought.result()])["status"],
        "cancelled"
    );
    bss.license("Create", &order).with_code(RETURNED);
    assert_eq!(bss.scenario.issued().await.len(), 1);

    let orders = bss.scenario.json(&["order", "list"]);
    assert_eq!(orders[0]["platform"], NAME);
    let acts = bss.scenario.json(&["audit", "list"]);
    let of_platform: BTreeSet<_> = acts
        .as_array()
        .expect("acts")
        .iter()
        .filter(|act| act["actor"]["name"] == NAME)
        .map(|act| (text(&act["actor"], "kind"), text(act, "act")))
        .collect();
    for act in ["place-order", "show-keys"] {
        assert!(
            of_platform.contains(&("platform", act)),
            "{act} in {of_platform:?}"
        );
    }
}

/// Registers the platform at the host first, which prints its addresses, and then with the pair that the platform made; nothing opens
/// before that.
async fn registered_in_two_steps(scenario: Scenario, dialect: Dialect, pair: Pair) -> Bss {
    let base = ["--base-url", "https://host.example/"];
    let register = ["platform", "register", NAME, "--instance", INSTANCE];
    let registered = scenario.json(&[&register[..], &base].concat());
    assert_eq!(
        (text(&registered, "state"), text(&registered, "instance")),
        ("waiting-for-key", INSTANCE)
    );
    let addresses = registered["addresses"].as_array().expect("addresses");
    for address in addresses {
        let [name, method, url] = ["name", "method", "url"].map(|member| text(address, member));
        assert!(
            CALLS.iter().any(|call| (call.0, call.1) == (method, name)),
            "{address}"
        );
        assert_eq!(url, format!("https://host.example/interworks/{NAME}/{name}"));
    }
    let offered = CALLS.iter().filter(|(_, _, is_offered)| *is_offered);
    for (_, call, _) in offered {
        assert!(
            addresses.iter().any(|address| address["name"] == *call),
            "{call} has an address"
        );
    }

    let bss = Bss::of(scenario, dialect, pair).await;
    assert_refused(&bss.get("Fields/Get"));
    let file = key_file(&bss.scenario, &bss.pair);
    let rotate = ["platform", "rotate-key", NAME, "--api-key-file", &file];
    let unnamed = bss.scenario.bss_host(&rotate);
    assert_ends(&unnamed, REFUSED);
    let application = bss.pair.application.to_string();
    let given = bss
        .scenario
        .json(&[&rotate[..], &["--application-id", &application]].concat());
    assert_eq!(
        (text(&given, "state"), text(&given, "applicationId")),
        ("usable", application.as_str())
    );
    for arguments in [
        &["platform", "list"][..],
        &["platform", "show", NAME],
        &["audit", "list"],
    ] {
        let printed = bss.scenario.bss_host(arguments);
        assert_ends(&printed, DONE);
        let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
        assert!(
            printed.contains(NAME) && !printed.contains(&bss.pair.key),
            "{printed}"
        );
    }
    let shown = bss
        .scenario
        .json(&[&["platform", "show", NAME][..], &base].concat());
    assert_eq!(shown["addresses"], registered["addresses"]);
    bss
}

fn settings_are_shown_and_compared(bss: &Bss) {
    let form = bss.get("Fields/Get").expect(200);
    assert_eq!(bss.post("Fields/Get", &Value::Null).expect(200), form);
    let fields = form["Fields"].as_array().expect("fields");
    let choices = ["CertificateThumbprint", "Country", "Language"];
    let typed = [
        "SystemName",
        "ResourceApi",
        "ServiceUrl",
        "Tenant",
        "ChannelId",
        "ClientId",
    ];
    assert_eq!(ids(&form["Fields"]), [&typed[..], &choices].concat());
    for field in fields {
        let (id, definition) = (text(field, "ID"), &field["Definition"]);
        let saved = bss
            .settings
            .iter()
            .find(|(name, _)| name.ends_with(&format!("-{id}")));
        let (_, saved) = saved.unwrap_or_else(|| panic!("{id} is saved"));
        assert_eq!(text(field, "Value").as_bytes(), saved, "{id}");
        let is_choice = choices.contains(&id);
        assert_eq!(definition["IsAdditionalField"], is_choice, "{id}");
        assert_eq!(
            text(definition, "Kind") == "PredefinedChooseOne",
            is_choice,
            "{id}"
        );
        let keys = definition["PredefinedValues"].as_object().expect("a map");
        assert_eq!(keys.contains_key(text(field, "Value")), is_choice, "{id}");
    }

    let kinds = [("Text", 0), ("Url", 2), ("PredefinedChooseOne", 4)];
    let mut message = form.clone();
    for field in message["Fields"].as_array_mut().expect("fields") {
        let kind = text(&field["Definition"], "Kind").to_owned();
        let (name, number) = kinds.iter().find(|(name, _)| *name == kind).expect("a kind");
        field["Definition"]["Kind"] = bss.dialect.kind(*number, name);
    }
    assert_eq!(bss.post("Fields/Validate", &message).expect(200), json!([]));
    let fields = message["Fields"].as_array_mut().expect("fields");
    fields.retain(|field| field["ID"] != "Tenant");
    for (id, value) in [("ChannelId", "0009999999"), ("Country", "GR")] {
        let field = fields
            .iter_mut()
            .find(|field| field["ID"] == id)
            .expect("the field");
        field["Value"] = json!(value);
    }
    let told = bss.post("Fields/Validate", &message).expect(200);
    let told: Vec<_> = told
        .as_array()
        .expect("sentences")
        .iter()
        .map(Value::to_string)
        .collect();
    assert_eq!(told.len(), 3, "{told:?}");
    for label in ["Azure Active Directory Tenant", "Channel ID", "Country"] {
        assert!(
            told.iter().any(|sentence| sentence.contains(label)),
            "{label} in {told:?}"
        );
    }
    assert_eq!(bss.get("Fields/Get").expect(200), form, "nothing is saved");
}

/// Has the catalog read by the first question for it, and every product activated.
async fn the_catalog_is_read_and_shown(bss: &Bss) {
    let first = bss.definition();
    assert_eq!(ids(&first["ProductTypes"]), ["microsoft-esd"]);
    let of_asset = ids(&first["ProductTypes"][0]["CustomFieldCollection"]["Fields"]);
    let of_asset: BTreeSet<_> = of_asset.into_iter().collect();
    assert_eq!(
        of_asset,
        ["ActivationLink", "ReturnStatus", "Token", "TokenStatus"].into()
    );
    let products =
        |definition: &Value| definition["ProductTypes"][0]["ProductsCollection"]["Products"].clone();
    let active = |definition: &Value| {
        let products = products(definition);
        let products = products.as_array().expect("products").iter();
        products.filter(|product| product["IsActivated"] == true).count()
    };
    assert_eq!(active(&first), 0);
    bss.scenario.sell_all(INSTANCE).await;
    let second = bss.definition();
    let mut codes: Vec<_> = ids(&products(&second))
        .into_iter()
        .map(ToOwned::to_owned)
        .collect();
    assert_eq!(active(&second), codes.len());
    let mut sold = bss.scenario.offers().await;
    codes.sort();
    sold.sort();
    assert_eq!(codes, sold);

    assert_eq!(
        bss.get("Accounts/SyncOptions").expect(200),
        json!({ "Fields": [] })
    );
    assert_eq!(bss.get("Fields/AdditionalInfo").expect(200), json!({}));
    let discovered = bss.get("Discover").expect(200);
    assert_eq!(discovered["IsRegistrationEnabled"], false);
    let sections = discovered["ManagementSections"].as_array().expect("sections");
    let addresses: BTreeSet<_> = sections
        .iter()
        .flat_map(|section| section["Urls"].as_object().expect("addresses").values())
        .map(|address| (text(address, "Url"), address["RequiresPrecheck"] == true))
        .collect();
    for address in [
        ("Fields/Get", false),
        ("Assets/Create", true),
        ("Assets/Update", false),
        ("Assets/Cancel", true),
    ] {
        assert!(addresses.contains(&address), "{address:?} in {addresses:?}");
    }
}

/// Checks that the pair of a request opened nothing.
fn assert_refused(answer: &Answer) {
    assert_eq!(
        (answer.status, answer.code()),
        (401, "platform-key-refused"),
        "{answer:?}"
    );
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_license_whose_answer_is_lost_is_the_answer_to_the_same_call_again_and_bought_once() {
    let bss = Bss::selling(Dialect::Pascal).await;
    let [offer, _] = bss.offers();
    let faults = bss.scenario.microsoft.faults();
    // The platform leaves as soon as it has sent, and once Microsoft has sold.
    for (number, subscription) in ["at-once", "later"].into_iter().enumerate() {
        faults.order(
            Operation::Purchase,
            Fault::DelayAnswer(Duration::from_secs(2)),
            Repeat::Times(1),
        );
        let order = bss.order(subscription, &offer);
        let left = bss.send("Assets/Create", &order);
        if subscription == "later" {
            bss.until_sold(number + 1).await;
        }
        drop(left);
        let bought = bss.license("Create", &order).with_code(GOOD);
        let ledger = bss.ledger().await;
        assert_eq!(ledger.len(), number + 1);
        assert_eq!(ledger[number].product_key.expose(), bought.field("Token"));
        assert!(bought.is_to_be_mailed(), "nobody was told before");
        let again = bss.license("Create", &order).with_code(GOOD);
        assert_eq!(
            (again.field("Token"), again.is_to_be_mailed()),
            (bought.field("Token"), false)
        );
        assert_eq!(faults.requests_seen(Operation::Purchase), number as u64 + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_leaves_before_its_license_is_known_leaves_its_notice_for_the_call_that_is_answered()
{
    let mut bss = Bss::selling(Dialect::Pascal).await;
    let [offer, _] = bss.offers();
    let delay = Fault::DelayAnswer(Duration::from_secs(2));
    let faults = bss.scenario.microsoft.faults();
    faults.order(Operation::Purchase, delay, Repeat::Times(1));
    let order = bss.order("84213", &offer);
    let left = bss.send("Assets/Create", &order);
    bss.until_sold(1).await;
    drop(left);
    let until = Instant::now() + PATIENCE;
    while bss
        .scenario
        .json(&["asset", "list", "--state", "licensed"])
        .as_array()
        .is_none_or(Vec::is_empty)
    {
        assert!(Instant::now() < until, "the host records the license");
    }
    bss.start_server_after_its_end();
    let bought = bss.license("Create", &order).with_code(GOOD);
    assert!(bought.is_to_be_mailed(), "nobody was told before");
    bss.assert_active(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_is_created_by_many_calls_at_once_is_bought_once_and_mailed_once() {
    let bss = Bss::selling(Dialect::Camel).await;
    let [offer, _] = bss.offers();
    let order = bss.order("84213", &offer);
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..10)
            .map(|number| {
                let section = ["Assets", "Subscriptions"][number % 2];
                let (bss, order) = (&bss, &order);
                scope.spawn(move || bss.outcome(&format!("{section}/Create"), order))
            })
            .collect();
        calls
            .into_iter()
            .map(|call| call.join().expect("an answer"))
            .collect()
    });
    let ledger = bss.ledger().await;
    assert_eq!(ledger.len(), 1);
    for outcome in &outcomes {
        assert_eq!(
            (outcome.code(), outcome.field("Token")),
            (GOOD, ledger[0].product_key.expose()),
            "{outcome:?}"
        );
        assert_eq!(outcome.result(), outcomes[0].result());
    }
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| outcome.is_to_be_mailed())
            .count(),
        1
    );
    assert_eq!(
        bss.scenario.json(&["order", "list"]).as_array().map(Vec::len),
        Some(1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_subscription_of_another_customer_product_or_quantity_is_refused() {
    let bss = Bss::selling(Dialect::Camel).await;
    let [offer, other] = bss.offers();
    let order = bss.order("84213", &offer);
    let bought = bss.license("Create", &order).with_code(GOOD);
    let altered = |member: &str, value: Value| {
        let mut altered = order.clone();
        altered[member] = value;
        altered
    };
    for (what, message) in [
        ("customer", altered("Account", account("14"))),
        ("product", bss.order("84213", &other)),
        ("quantity", altered("Quantity", json!(2))),
    ] {
        let refused = bss.license("Create", &message);
        assert_eq!(
            (refused.code(), refused.field("Token")),
            (MISMATCH, ""),
            "another {what}: {refused:?}"
        );
    }
    // A customer who has another name by now is the same one.
    let mut renamed = order.clone();
    renamed["Account"]["Name"] = json!("Beispiel AG");
    assert_eq!(
        bss.license("Create", &renamed).with_code(GOOD).result(),
        bought.result()
    );
    // What was bought is not changed by saving something else.
    for (what, message) in [
        ("customer", altered("Account", account("14"))),
        ("product", bss.order("84213", &other)),
        ("quantity", altered("Quantity", json!(2))),
    ] {
        let refused = bss.license("Update", &message);
        assert_eq!(refused.code(), MISMATCH, "another {what}: {refused:?}");
    }
    bss.license("Update", &order).with_code(GOOD);
    bss.assert_active(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_beside_another_subscription_is_refused_as_that_of_another_license() {
    let bss = Bss::selling(Dialect::Camel).await;
    let [offer, _] = bss.offers();
    let order = bss.order("84213", &offer);
    let bought = bss.license("Create", &order).with_code(GOOD);
    let second = bss.license("Create", &bss.order("84214", &offer)).with_code(GOOD);
    let named = |id: &str, subscription: &str| {
        let mut named = order.clone();
        (named["ID"], named["SubscriptionID"]) = (json!(id), json!(subscription));
        named
    };
    for message in [
        named(second.result(), "84213"),
        named(bought.result(), "84214"),
        // A subscription that nobody created.
        named(bought.result(), "99999"),
    ] {
        for action in ["Cancel", "Update"] {
            let refused = bss.license(action, &message).with_code(MISMATCH);
            assert_eq!(
                (refused.message(), refused.field("Token")),
                ("The ID is that of another subscription's license.", ""),
                "{action} {message}"
            );
        }
    }
    bss.license("Update", &named(bought.result(), "84213"))
        .with_code(GOOD);
    bss.assert_active(2).await;
}

/// Ways to say that a call is not meant, each as members of the message and a query. The last ones can't be read.
const NOT_MEANT: [(&str, &str); 24] = [
    (r#""CheckOnly":true"#, ""),
    (r#""checkonly":true"#, ""),
    (r#""CHECKONLY":"TRUE""#, ""),
    (r#""checkOnly":" true ""#, ""),
    (r#""CheckOnly":1"#, ""),
    (r#""CheckOnly":true,"CheckOnly":false"#, ""),
    (r#""CheckOnly":false,"CheckOnly":true"#, ""),
    (r#""CheckOnly":false,"checkonly":"true""#, ""),
    (r#""IsTest":true"#, ""),
    (r#""istest":"True""#, ""),
    (r#""IsTest":true,"IsTest":false,"CheckOnly":false"#, ""),
    (r#""Check\u004fnly":true"#, ""),
    (r#""CheckOnly":false"#, "?checkonly=true"),
    ("", "?CheckOnly=TRUE"),
    ("", "?checkonly=false&checkonly=true"),
    ("", "?isTest=true"),
    ("", "?checkonly"),
    (r#""CheckOnly":"maybe""#, ""),
    (r#""CheckOnly":"maybe","CheckOnly":false"#, ""),
    (r#""CheckOnly":{}"#, ""),
    (r#""CheckOnly":"""#, ""),
    (r#""IsTest":[false]"#, ""),
    (r#""CheckOnly":2"#, ""),
    ("", "?checkonly=maybe"),
];
const READABLE: usize = 17;

/// A message with more members, which may come twice.
fn with_members(message: &Value, members: &str) -> String {
    let mut message = message.clone();
    let object = message.as_object_mut().expect("an object");
    object.retain(|name, _| !["checkonly", "istest"].contains(&name.to_lowercase().as_str()));
    let text = message.to_string();
    match members {
        "" => text,
        members => format!("{},{members}}}", text.strip_suffix('}').expect("an object")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_a_check_or_a_test_in_any_spelling_or_can_t_be_told_buys_and_returns_nothing() {
    let bss = Bss::selling(Dialect::Pascal).await;
    let [offer, _] = bss.offers();
    let not_meant = |action: &str, message: &Value| {
        for (number, (members, query)) in NOT_MEANT.into_iter().enumerate() {
            let body = with_members(message, members);
            let outcome = Outcome::of(bss.post_text(&format!("Assets/{action}"), query, &body));
            let expected = if number < READABLE { GOOD } else { UNREADABLE };
            assert_eq!(
                outcome.code(),
                expected,
                "{action} {members} {query}: {outcome:?}"
            );
            assert_eq!(
                (outcome.field("Token"), outcome.is_to_be_mailed()),
                ("", false),
                "{members} {query}"
            );
            if members.to_lowercase().contains("istest") && expected == GOOD {
                let said = if action == "Create" {
                    "nothing was bought"
                } else {
                    "nothing was returned"
                };
                outcome.saying("this is a test").saying(said);
            }
        }
        // An account for tests, also beside one that is none.
        let mut of_test = message.clone();
        of_test["Account"]["IsTest"] = json!("true");
        Outcome::of(bss.post(&format!("Assets/{action}"), &of_test)).with_code(GOOD);
        let twice = with_members(&of_test, &format!(r#""Account":{}"#, account("13")));
        let twice = Outcome::of(bss.post_text(&format!("Assets/{action}"), "", &twice));
        assert_eq!(twice.field("Token"), "", "{twice:?}");
    };
    not_meant("Create", &bss.order("84213", &offer));
    bss.assert_nothing_bought().await;
    assert_eq!(
        bss.scenario.microsoft.faults().requests_seen(Operation::Purchase),
        0
    );

    let order = bss.order("84213", &offer);
    bss.license("Create", &order).with_code(GOOD);
    not_meant("Cancel", &order);
    assert_eq!(bss.ledger().await[0].token_status, TokenStatus::Activated);
    assert_eq!(
        bss.scenario.microsoft.faults().requests_seen(Operation::Return),
        0
    );
    assert_eq!(bss.scenario.json(&["asset", "cancellations"]), json!([]));
    bss.license("Update", &order).with_code(GOOD);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_differ_are_refused_by_name_and_lead_to_no_other_instance() {
    let scenario = Scenario::selling().await;
    another_instance(&scenario, "other").await;
    let mut bss = Bss::at(scenario, Dialect::Pascal).await;
    let [offer, _] = bss.offers();
    let order = bss.order("84213", &offer);
    let own = bss.settings.clone();
    let other = bss
        .scenario
        .host
        .named_instance("other")
        .await
        .expect("the instance");
    let others: Vec<_> = other
        .values
        .iter()
        .map(|(field, value)| setting(field, value))
        .collect();
    let form = bss.get("Fields/Get").expect(200);
    let field = |id: &str| {
        let fields = form["Fields"].as_array().expect("fields").iter();
        let mut of_id = fields.filter(|field| field["ID"] == id);
        of_id.next().expect("the field")
    };
    let label_of = |id: &str| text(&field(id)["Definition"], "Name").to_owned();
    // The certificates of others are not even shown.
    let certificate = field("CertificateThumbprint");
    let choices = certificate["Definition"]["PredefinedValues"]
        .as_object()
        .expect("a map");
    assert_eq!(choices.keys().collect::<Vec<_>>(), [text(certificate, "Value")]);
    assert!(
        !form.to_string().contains(&other.values["certificate-thumbprint"]),
        "{form}"
    );
    let refused = |bss: &Bss, naming: &str| {
        for action in ["Create", "Update", "Cancel"] {
            let refused = bss.license(action, &order).with_code(SETTING);
            let message = refused.message();
            assert!(
                message.contains(naming) || message.contains(&label_of(naming)),
                "{naming} in {refused:?}"
            );
        }
        // A definition without products would end the sale of all.
        let definition = bss.get("Fields/ServiceDefinition").expect(503);
        assert_eq!(definition["Code"], SETTING, "{definition}");
    };
    for (at, (name, _)) in own.iter().enumerate() {
        bss.settings = own.clone();
        bss.settings[at].1 = b"another".to_vec();
        refused(&bss, name.rsplit('-').next().expect("an id"));
    }
    // All of another instance's, and one of them beside the platform's own.
    bss.settings = others.clone();
    bss.license("Create", &order).with_code(SETTING);
    let channel = others
        .iter()
        .find(|(name, _)| name.ends_with("ChannelId"))
        .expect("its channel");
    bss.settings = [&own[..], std::slice::from_ref(channel)].concat();
    refused(&bss, "ChannelId");
    bss.assert_nothing_bought().await;

    // Settings in other spellings are the same.
    bss.scenario.set("system-name", "Büro 7").await;
    for (number, system_name) in ["Büro 7".as_bytes(), b"B\xfcro 7", b" B\xc3\xbcro 7 ", b""]
        .into_iter()
        .enumerate()
    {
        let country = ["DE", "Germany", "", "DE"][number];
        let names = [
            (
                "X-CloudPlatform-Setting-SystemName",
                "X-CloudPlatform-Setting-Country",
            ),
            (
                "x-cloudplatform-setting-systemname",
                "X-CLOUDPLATFORM-SETTING-COUNTRY",
            ),
            (
                "X-CloudPlatform-Setting-system-name",
                "X-CloudPlatform-Setting-country",
            ),
            (
                "X-CloudPlatform-Setting-SYSTEMNAME",
                "x-cloudplatform-setting-Country",
            ),
        ][number];
        let foreign = header("X-CloudPlatform-Setting-CertificateFile", "x".repeat(40 * 1024));
        bss.settings = vec![header(names.0, system_name), header(names.1, country), foreign];
        let bought = bss.license("Create", &order);
        assert_eq!(bought.code(), GOOD, "{number}: {bought:?}");
    }
    bss.settings = vec![];
    bss.license("Update", &order).with_code(GOOD);
    assert_eq!(bss.scenario.issued().await.len(), 1);
    assert_eq!(
        bss.ledger().await[0].client_id,
        bss.scenario.microsoft.details().client_id.to_string()
    );
    assert_eq!(
        bss.scenario.json(&["order", "list", "--instance", "other"]),
        json!([])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_is_not_the_addressed_platforms_own_opens_nothing() {
    let scenario = Scenario::selling().await;
    let [second, revoked] = [Pair::made(), Pair::made()];
    register(&scenario, "second", INSTANCE, &second);
    register(&scenario, "revoked", INSTANCE, &revoked);
    scenario.json(&["platform", "revoke", "revoked"]);
    scenario.json(&["platform", "register", "waiting", "--instance", INSTANCE]);
    let client = [
        "api-client",
        "create",
        "shop",
        "--scopes",
        "read,order,cancel,reveal",
    ];
    let bearer = scenario.json(&client);
    let bearer = header("Authorization", format!("Bearer {}", text(&bearer, "key")));
    let bss = Bss::at(scenario, Dialect::Pascal).await;
    let [offer, _] = bss.offers();
    let body = bss.order("84213", &offer).to_string();
    let own = bss.pair.headers(Dialect::Pascal);
    let of = |application: Uuid, key: &str| {
        Pair {
            application,
            key: key.to_owned(),
        }
        .headers(Dialect::Pascal)
    };
    let at = |name: &str| format!("/interworks/{name}/Assets/Create");
    let nil = Pair {
        application: Uuid::nil(),
        ..bss.pair.clone()
    };
    let cases = [
        (NAME, vec![]),
        (NAME, vec![own[0].clone()]),
        (NAME, vec![own[1].clone()]),
        (NAME, of(bss.pair.application, &Pair::made().key)),
        (NAME, of(bss.pair.application, &bss.pair.key[1..])),
        (NAME, of(bss.pair.application, "")),
        (NAME, of(Uuid::new_v4(), &bss.pair.key)),
        (NAME, of(bss.pair.application, &second.key)),
        (NAME, of(second.application, &bss.pair.key)),
        (NAME, second.headers(Dialect::Pascal)),
        (NAME, nil.headers(Dialect::Pascal)),
        (NAME, vec![own[0].clone(), own[1].clone(), own[1].clone()]),
        (NAME, vec![bearer.clone()]),
        (
            NAME,
            vec![own[0].clone(), header("X-CloudPlatform-APIKey", &bearer.1)],
        ),
        ("second", own.clone()),
        ("waiting", own.clone()),
        ("revoked", revoked.headers(Dialect::Pascal)),
        (NAME, revoked.headers(Dialect::Pascal)),
        ("nobody", own.clone()),
        ("bss-one%20", own.clone()),
        ("esd", own.clone()),
    ];
    for (number, (name, headers)) in (1..).zip(cases) {
        // Each case has an address of its own, so that nobody is held back.
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 1, number));
        let path = at(name);
        let refused = bss
            .ask_from(source, ("POST", &path), &headers, body.as_bytes())
            .await;
        assert_eq!(
            (refused.status, refused.code()),
            (401, "platform-key-refused"),
            "{number}: {refused:?}"
        );
    }
    let source = IpAddr::V4(Ipv4Addr::new(127, 0, 2, 1));
    for (method, path) in [
        ("GET", "/v1/orders"),
        ("GET", "/v1/instances"),
        ("POST", "/v1/orders"),
        ("GET", "/metrics"),
    ] {
        let refused = bss.ask_from(source, (method, path), &bss.headers(), b"{}").await;
        assert_eq!(refused.status, 401, "{path}: {refused:?}");
    }
    bss.assert_nothing_bought().await;

    // A key that opens something is never held up, and those that don't are held back and told of.
    let mut statuses = BTreeSet::new();
    for number in 0..12 {
        let refused = bss
            .ask_from(source, ("GET", &at(NAME)), &second.headers(Dialect::Pascal), b"")
            .await;
        assert!([401, 429].contains(&refused.status), "{number}: {refused:?}");
        statuses.insert(refused.status);
        let own = bss
            .ask_from(source, ("GET", "/interworks/bss-one/Fields/Get"), &own, b"")
            .await;
        assert_eq!(own.status, 200, "{number}: {own:?}");
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(bss.scenario.json(&["alert", "list"])[0]["kind"], "api-keys-tried");
    bss.license("Create", &bss.order("84213", &offer)).with_code(GOOD);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_is_carried_out_without_a_key_with_a_wrong_one_or_with_another_platforms() {
    let scenario = Scenario::selling().await;
    let another = Pair::made();
    register(&scenario, "another", INSTANCE, &another);
    let bss = Bss::at(scenario, Dialect::Camel).await;
    let [offer, _] = bss.offers();
    let wrong = Pair {
        key: Pair::made().key,
        ..bss.pair.clone()
    };
    let body = bss.order("84213", &offer).to_string();
    for (number, (method, call, _)) in (1..).zip(CALLS) {
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 3, number));
        for (whose, headers) in [
            ("none", vec![]),
            ("wrong", wrong.headers(Dialect::Camel)),
            ("another platform's", another.headers(Dialect::Camel)),
        ] {
            for path in [Dialect::Pascal, Dialect::Camel].map(|dialect| dialect.path(NAME, call)) {
                let refused = bss
                    .ask_from(source, (method, &path), &headers, body.as_bytes())
                    .await;
                let said = (refused.status, refused.code());
                assert_eq!(
                    said,
                    (401, "platform-key-refused"),
                    "{whose} key: {method} {path}"
                );
            }
        }
    }
    bss.assert_nothing_bought().await;
    assert_eq!(bss.scenario.json(&["alert", "list"]), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_changed_with_a_time_for_both_and_another_application_takes_the_place_of_the_first() {
    let mut bss = Bss::selling(Dialect::Pascal).await;
    let opens = |bss: &Bss| bss.get("Accounts/SyncOptions").status == 200;
    let first = bss.pair.clone();
    let rotate = |bss: &Bss, pair: &Pair, more: &[&str]| {
        let file = key_file(&bss.scenario, pair);
        let rotate = ["platform", "rotate-key", NAME, "--api-key-file", &file];
        bss.scenario.bss_host(&[&rotate[..], more].concat())
    };
    let second = Pair {
        key: Pair::made().key,
        ..first.clone()
    };
    assert_ends(&rotate(&bss, &second, &["--keep-former-hours", "1"]), DONE);
    for pair in [&first, &second] {
        bss.pair = pair.clone();
        assert!(opens(&bss));
    }
    let third = Pair {
        key: Pair::made().key,
        ..first.clone()
    };
    assert_ends(&rotate(&bss, &third, &[]), DONE);
    let opened = [&first, &second, &third].map(|pair| {
        bss.pair = pair.clone();
        opens(&bss)
    });
    assert_eq!(opened, [false, false, true]);

    let anew = Pair::made();
    let application = anew.application.to_string();
    assert_ends(
        &rotate(
            &bss,
            &anew,
            &["--application-id", &application, "--keep-former-hours", "1"],
        ),
        DONE,
    );
    assert!(!opens(&bss), "the former application is gone");
    bss.pair = anew;
    assert!(opens(&bss));

    let short = Pair {
        key: "too-short".to_owned(),
        ..first
    };
    assert_ends(&rotate(&bss, &short, &[]), REFUSED);
    assert!(opens(&bss));
    assert_ends(&bss.scenario.bss_host(&["platform", "revoke", NAME]), DONE);
    assert_refused(&bss.get("Accounts/SyncOptions"));
    let again = bss
        .scenario
        .bss_host(&["platform", "register", NAME, "--instance", INSTANCE]);
    assert_fails(&again, REFUSED, &[NAME]);
    let as_client = bss
        .scenario
        .bss_host(&["api-client", "create", NAME, "--scopes", "read"]);
    assert_fails(&as_client, REFUSED, &[NAME]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_license_has_not_is_not_offered_and_what_nobody_knows_is_not_there() {
    for dialect in [Dialect::Pascal, Dialect::Camel] {
        let bss = Bss::at(Scenario::ready().await, dialect).await;
        for (_, call, is_offered) in CALLS {
            if !is_offered {
                let refused = bss.outcome(call, &json!({ "ID": "1" })).with_code(NOT_OFFERED);
                assert!(refused.message().contains("not offered"), "{call}: {refused:?}");
            }
        }
        for (method, call) in [
            ("POST", "Assets/Buy"),
            ("POST", "Assets"),
            ("POST", "Assets/Create/Now"),
            ("POST", "Registration"),
            ("POST", "Registration/AddApplication"),
            ("GET", "Registration/CheckApplication"),
            ("GET", "Fields"),
            ("GET", "Assets/Create"),
            ("GET", "Accounts/Synchronize"),
            ("GET", ""),
        ] {
            let answer = bss.undescribed(method, &bss.path(call));
            assert_eq!(answer.status, 404, "{method} {call}: {answer:?}");
        }
        for (method, call) in [
            ("HEAD", "Fields/Get"),
            ("PUT", "Assets/Create"),
            ("DELETE", "Assets/Cancel"),
            ("OPTIONS", "Discover"),
        ] {
            let answer = bss.undescribed(method, &bss.path(call));
            assert_eq!(answer.status, 405, "{method} {call}: {answer:?}");
        }
        for path in [
            "/interworks",
            "/interworks/",
            "/interworks/bss-one",
            "/Interworks/bss-one/Fields/Get",
        ] {
            assert_eq!(bss.undescribed("GET", path).status, 404, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_read_however_it_is_written_and_one_that_can_t_be_is_refused_by_name() {
    let bss = Bss::selling(Dialect::Pascal).await;
    let [offer, _] = bss.offers();
    let order = bss.order("84213", &offer);
    let create = bss.path("Assets/Create");
    let ask = |headers: &[(String, Vec<u8>)], body: &[u8]| {
        let headers = [&bss.headers()[..], headers].concat();
        bss.ask("POST", "Assets/Create", &create, &headers, body)
    };
    for (what, body) in [
        ("no JSON", "{\"SubscriptionID\":".to_owned()),
        ("two documents", "{}{}".to_owned()),
        (
            "not UTF-8, as far as it is JSON",
            "{\"SubscriptionID\":\"\\ud800\"}".to_owned(),
        ),
    ] {
        let refused = ask(&[], body.as_bytes());
        assert_eq!(refused.status, 400, "{what}: {refused:?}");
    }
    let long = format!("{}{order}", " ".repeat(1024 * 1024));
    assert_eq!(ask(&[], long.as_bytes()).status, 413);

    let without = |pointer: &str| {
        let mut message = order.clone();
        let (object, member) = pointer.rsplit_once('/').expect("a pointer");
        let object = message.pointer_mut(object).and_then(Value::as_object_mut);
        object.expect("an object").remove(member).expect("a member");
        message
    };
    for (member, named) in [
        ("/SubscriptionID", "SubscriptionID"),
        ("/Account", "Account"),
        ("/Account/ID", "Account.ID"),
        ("/Account/Name", "Account.Name"),
        ("/Account/Address", "Account.Address"),
        ("/Account/Address/Country", "Account.Address.Country"),
        ("/Account/Address/Country/Code", "Account.Address.Country.Code"),
        ("/AttributeList", "AttributeList"),
    ] {
        let refused = bss.license("Create", &without(member)).with_code(UNREADABLE);
        let named = format!("`{named}`");
        assert!(refused.message().contains(&named), "{named} in {refused:?}");
    }
    let with = |member: &str, value: Value| {
        let mut message = order.clone();
        message[member] = value;
        message
    };
    for (member, value) in [
        ("SubscriptionID", json!("")),
        ("SubscriptionID", json!({})),
        ("SubscriptionID", json!("x".repeat(2_000))),
        ("Quantity", json!("many")),
        ("Quantity", json!(-1)),
        ("Quantity", json!(1.5)),
        ("Account", json!("13")),
        ("AttributeList", json!({ "offer": { "Code": "none" } })),
        ("AttributeList", json!({})),
    ] {
        let refused = bss
            .license("Create", &with(member, value.clone()))
            .with_code(UNREADABLE);
        assert!(
            refused.message().contains(member),
            "{member} {value}: {refused:?}"
        );
    }
    for quantity in [0, 2] {
        bss.license("Create", &with("Quantity", json!(quantity)))
            .with_code(UNREADABLE)
            .saying("`Quantity`");
    }
    bss.assert_nothing_bought().await;

    // What is missing and may be, a byte order mark, no type, a number for a text, and what nobody knows.
    let mut odd = without("/Quantity");
    let members = odd.as_object_mut().expect("an object");
    for member in [
        "RequestedBy",
        "Addons",
        "ActionType",
        "BillingCycle",
        "ProductID",
        "ID",
    ] {
        members.remove(member);
    }
    odd["SubscriptionID"] = json!(84213);
    odd["Account"]["ID"] = json!(13);
    odd["CheckOnly"] = Value::Null;
    odd["Unheard"] = json!([{ "Of": null }]);
    let track = header("X-CloudPlatform-TrackId", "track-84213");
    let kind = header("Content-Type", "text/plain");
    let answer = ask(
        &[track, kind],
        &[&b"\xef\xbb\xbf"[..], odd.to_string().as_bytes()].concat(),
    );
    assert_eq!(answer.header("x-request-id"), Some("track-84213"));
    let bought = Outcome::of(answer).with_code(GOOD);
    assert_eq!(
        bss.license("Create", &order).with_code(GOOD).result(),
        bought.result()
    );
    assert_eq!(bss.scenario.issued().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_license_that_microsoft_does_not_take_back_stays_what_it_is() {
    let bss = Bss::selling(Dialect::Camel).await;
    let [offer, _] = bss.offers();
    let order = bss.order("84213", &offer);
    let bought = bss.license("Create", &order).with_code(GOOD);
    bss.scenario
        .microsoft
        .redeem(&bss.ledger().await[0].license_token_id)
        .await
        .expect("it is used");
    for _ in 0..2 {
        let refused = bss
            .license("Cancel", &order)
            .with_code(NOT_DONE)
            .saying("(license-redeemed)");
        assert_eq!(refused.result(), bought.result());
    }
    let asset = bss.scenario.json(&["asset", "show", bought.result()]);
    assert_eq!(
        (text(&asset, "status"), text(&asset, "state")),
        ("active", "licensed")
    );
    assert_eq!(bss.ledger().await[0].token_status, TokenStatus::Redeemed);
    let updated = bss.license("Update", &order).with_code(GOOD);
    assert_eq!(
        (updated.field("TokenStatus"), updated.field("ReturnStatus")),
        ("Redeemed", "NONE")
    );
    assert_eq!(updated.field("Token"), bought.field("Token"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_purchase_is_bought_once_by_the_same_call_after_it_is_mended() {
    let bss = Bss::selling(Dialect::Pascal).await;
    let [offer, other] = bss.offers();
    let faults = bss.scenario.microsoft.faults();
    for (number, action) in ["Create", "Update"].into_iter().enumerate() {
        let order = bss.order(action, &offer);
        let refusal = Fault::Refusal {
            status: 403,
            code: "CountryNotAllowed".to_owned(),
            retry_after: None,
        };
        faults.order(Operation::Purchase, refusal, Repeat::Times(2));
        for _ in 0..2 {
            let refused = bss
                .license("Create", &order)
                .with_code(NOT_DONE)
                .saying("(country-not-allowed)");
            assert_eq!((refused.field("Token"), refused.is_to_be_mailed()), ("", false));
            assert_eq!(bss.scenario.issued().await.len(), number);
        }
        let bought = bss.license(action, &order).with_code(GOOD);
        assert!(
            bought.is_to_be_mailed() && !bought.field("Token").is_empty(),
            "{bought:?}"
        );
        let again = bss.license("Create", &order).with_code(GOOD);
        assert_eq!(
            (again.result(), again.is_to_be_mailed()),
            (bought.result(), false)
        );
        assert_eq!(bss.scenario.issued().await.len(), number + 1);
    }
    // The host's own rules refuse before anything is on record, and the same call buys once they allow it.
    bss.scenario
        .json(&["product", "deactivate", INSTANCE, &other.code]);
    let order = bss.order("84213", &other);
    let mut check = order.clone();
    check["CheckOnly"] = json!(true);
    for message in [&check, &order, &order] {
        bss.license("Create", message)
            .with_code(NOT_DONE)
            .saying("(product-inactive)");
    }
    bss.license("Update", &order).with_code(UNKNOWN);
    bss.scenario.json(&["product", "activate", INSTANCE, &other.code]);
    bss.license("Create", &check).with_code(GOOD);
    bss.license("Create", &order).with_code(GOOD);
    assert_eq!(bss.scenario.issued().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_reaches_nothing_that_it_did_not_create() {
    let scenario = Scenario::selling().await;
    let second = Pair::made();
    register(&scenario, "second", INSTANCE, &second);
    let offer = scenario.offers().await.remove(0);
    let ordered = scenario.order(&offer, 1).await.remove(0);
    let bss = Bss::at(scenario, Dialect::Pascal).await;
    let [offer, _] = bss.offers();
    let order = bss.order("84213", &offer);
    for action in ["Update", "Cancel"] {
        bss.license(action, &order).with_code(UNKNOWN);
        let mut of_host = order.clone();
        of_host["ID"] = json!(ordered.id);
        bss.license(action, &of_host).with_code(UNKNOWN);
        of_host["SubscriptionID"] = Value::Null;
        bss.license(action, &of_host).with_code(UNKNOWN);
        of_host["ID"] = json!("no-id");
        bss.license(action, &of_host).with_code(UNKNOWN);
    }
    let bought = bss.license("Create", &order).with_code(GOOD);

    // The same subscription of another platform is another one.
    let of_second = |action: &str, message: &Value| {
        let path = format!("/interworks/second/Assets/{action}");
        let headers = second.headers(Dialect::Pascal);
        let body = message.to_string();
        Outcome::of(bss.ask(
            "POST",
            &format!("Assets/{action}"),
            &path,
            &headers,
            body.as_bytes(),
        ))
    };
    for action in ["Update", "Cancel"] {
        let mut known = order.clone();
        of_second(action, &known).with_code(UNKNOWN);
        known["ID"] = json!(bought.result());
        of_second(action, &known).with_code(UNKNOWN);
    }
    let its_own = of_second("Create", &order).with_code(GOOD);
    assert_ne!(its_own.result(), bought.result());
    assert_ne!(its_own.field("Token"), bought.field("Token"));
    of_second("Cancel", &order).with_code(GOOD);
    let ledger = bss.ledger().await;
    let statuses: Vec<_> = ledger.iter().map(|entry| entry.token_status).collect();
    let expected = [
        TokenStatus::Activated,
        TokenStatus::Activated,
        TokenStatus::ReturnAccepted,
    ];
    assert_eq!(statuses, expected);
    // An id alone, or a subscription alone, finds the platform's own.
    let mut named = order.clone();
    named["ID"] = json!(bought.result());
    named["SubscriptionID"] = Value::Null;
    assert_eq!(
        bss.license("Update", &named).with_code(GOOD).field("Token"),
        bought.field("Token")
    );
    assert_eq!(
        bss.license("Update", &order).with_code(GOOD).result(),
        bought.result()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_platform_buys_and_returns_is_neither_mailed_nor_charged_by_the_host() {
    let bss = Bss::selling(Dialect::Camel).await;
    let [offer, _] = bss.offers();
    let bought = bss.license("Create", &bss.order("84213", &offer)).with_code(GOOD);
    let kept = bss.license("Create", &bss.order("84214", &offer)).with_code(GOOD);
    assert!(bought.is_to_be_mailed() && kept.is_to_be_mailed());
    bss.license("Cancel", &bss.order("84213", &offer)).with_code(GOOD);
    let lists = || {
        let lists = [["mail", "list"], ["charge", "list"], ["credit", "list"]];
        lists.map(|list| bss.scenario.json(&list).as_array().map_or(0, Vec::len))
    };
    assert_eq!(lists(), [0, 0, 0]);
    // The duties are on: what is ordered otherwise is mailed and charged.
    let asset = bss.scenario.order(&offer.code, 1).await.remove(0);
    assert_eq!(lists(), [1, 1, 0]);
    bss.scenario.json(&["asset", "cancel", &asset.id.to_string()]);
    let [_, charges, credits] = lists();
    assert_eq!((charges, credits), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_while_a_platform_waits_has_bought_once_when_it_is_asked_again() {
    let mut bss = Bss::selling(Dialect::Pascal).await;
    let [offer, _] = bss.offers();
    let delay = Fault::DelayAnswer(Duration::from_secs(20));
    // Killed before anything can have been sold, and once Microsoft has sold and is silent about it.
    for (number, when) in ["at once", "once it is sold"].into_iter().enumerate() {
        let order = bss.order(when, &offer);
        bss.scenario
            .microsoft
            .faults()
            .order(Operation::Purchase, delay.clone(), Repeat::Times(1));
        let waiting = bss.send("Assets/Create", &order);
        if number == 1 {
            bss.until_sold(number + 1).await;
        }
        bss.kill_server();
        drop(waiting);
        bss.scenario.microsoft.faults().clear();
        bss.start_server_again(&[]);
        let bought = bss.until_known("Create", &order).with_code(GOOD);
        let ledger = bss.ledger().await;
        assert_eq!(ledger.len(), number + 1, "{when}");
        assert_eq!(
            ledger[number].product_key.expose(),
            bought.field("Token"),
            "{when}"
        );
        assert!(bought.is_to_be_mailed(), "{when}: nobody was told before");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_that_is_not_known_yet_is_no_failure_and_bought_once_in_the_end() {
    let bss = Bss::selling(Dialect::Camel).await;
    let [offer, _] = bss.offers();
    let faults = bss.scenario.microsoft.faults();
    for operation in [Operation::Purchase, Operation::LookUp] {
        faults.order(operation, Fault::Html(500, When::AfterActing), Repeat::Always);
    }
    let order = bss.order("84213", &offer);
    let begin = Instant::now();
    let open = bss.license("Create", &order).with_code(NOT_KNOWN_YET);
    let waited = begin.elapsed();
    assert!((20..40).contains(&waited.as_secs()), "{waited:?}");
    assert_eq!((open.field("Token"), open.is_to_be_mailed()), ("", false));
    faults.clear();
    let bought = bss.until_known("Create", &order).with_code(GOOD);
    assert!(bought.is_to_be_mailed());
    assert_eq!(
        (bought.result(), bss.scenario.issued().await.len()),
        (open.result(), 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_that_is_not_known_yet_is_no_failure_and_done_once_in_the_end() {
    let bss = Bss::selling(Dialect::Pascal).await;
    let [offer, _] = bss.offers();
    let order = bss.order("84213", &offer);
    bss.license("Create", &order).with_code(GOOD);
    let faults = bss.scenario.microsoft.faults();
    for operation in [Operation::Return, Operation::LookUp] {
        faults.order(operation, Fault::Html(500, When::AfterActing), Repeat::Always);
    }
    bss.license("Cancel", &order).with_code(NOT_KNOWN_YET);
    faults.clear();
    let returned = bss.until_known("Cancel", &order).with_code(GOOD);
    assert_eq!(returned.field("ReturnStatus"), "SUCCESSFUL");
    let cancellations = bss.scenario.json(&["asset", "cancellations"]);
    assert_eq!(cancellations.as_array().map(Vec::len), Some(1), "{cancellations}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_withdrawn_at_the_host_is_never_bought_and_what_is_not_bought_is_withdrawn_by_a_cancel() {
    let mut bss = Bss::selling(Dialect::Pascal).await;
    let [offer, _] = bss.offers();
    // Nobody works, so that nothing is bought.
    bss.start_server_again(&["--no-work"]);
    let placed = async |subscription: &str, orders: usize| {
        let left = bss.send("Assets/Create", &bss.order(subscription, &offer));
        let until = Instant::now() + PATIENCE;
        let listed = loop {
            let listed = bss.scenario.json(&["order", "list"]);
            if listed.as_array().map(Vec::len) == Some(orders) {
                break listed;
            }
            assert!(Instant::now() < until, "it is placed");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        drop(left);
        text(&listed[0], "id").to_owned()
    };
    let at_host = placed("at-host", 1).await;
    bss.scenario.json(&["order", "withdraw", &at_host]);
    placed("by-platform", 2).await;
    bss.license("Cancel", &bss.order("by-platform", &offer))
        .with_code(GOOD);
    bss.start_server_again(&[]);
    for subscription in ["at-host", "by-platform"] {
        let order = bss.order(subscription, &offer);
        bss.license("Create", &order).with_code(WITHDRAWN);
        bss.license("Cancel", &order).with_code(GOOD);
    }
    assert_eq!(bss.scenario.issued().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_whose_answer_is_lost_or_that_many_ask_for_at_once_is_done_once() {
    let bss = Bss::selling(Dialect::Pascal).await;
    let [offer, _] = bss.offers();
    let faults = bss.scenario.microsoft.faults();
    for (number, subscription) in ["lost", "many"].into_iter().enumerate() {
        let order = bss.order(subscription, &offer);
        bss.license("Create", &order).with_code(GOOD);
        let delay = Fault::DelayAnswer(Duration::from_secs(2));
        faults.order(Operation::Return, delay, Repeat::Times(1));
        if subscription == "lost" {
            drop(bss.send("Assets/Cancel", &order));
        }
        let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
            let calls: Vec<_> = (0..5)
                .map(|_| scope.spawn(|| bss.license("Cancel", &order)))
                .collect();
            calls
                .into_iter()
                .map(|call| call.join().expect("an answer"))
                .collect()
        });
        for outcome in outcomes {
            assert_eq!(
                outcome.with_code(GOOD).field("ReturnStatus"),
                "SUCCESSFUL",
                "{subscription}"
            );
        }
        assert_eq!(
            faults.requests_seen(Operation::Return),
            number as u64 + 1,
            "{subscription}"
        );
    }
    let cancellations = bss.scenario.json(&["asset", "cancellations"]);
    assert_eq!(cancellations.as_array().map(Vec::len), Some(2), "{cancellations}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_license_of_a_product_that_is_sold_no_more_is_still_the_answer_to_its_subscription() {
    let bss = Bss::selling(Dialect::Camel).await;
    let [offer, _] = bss.offers();
    bss.scenario.let_any_run_discontinue(INSTANCE).await;
    let order = bss.order("84213", &offer);
    let bought = bss.license("Create", &order).with_code(GOOD);
    let mut catalog = bss.scenario.microsoft.catalog();
    catalog.offers.retain(|known| known.offer_id != offer.code);
    bss.scenario.microsoft.set_catalog(catalog);
    let definition = bss.get("Fields/ServiceDefinition?fetch=true").expect(200);
    let sold = ids(&definition["ProductTypes"][0]["ProductsCollection"]["Products"]);
    assert!(
        !sold.contains(&offer.code.as_str()) && !sold.is_empty(),
        "{sold:?}"
    );
    for action in ["Create", "Update"] {
        let again = bss.license(action, &order).with_code(GOOD);
        assert_eq!(again.field("Token"), bought.field("Token"), "{action}");
    }
    bss.license("Create", &bss.order("84214", &offer))
        .with_code(NOT_DONE);
    bss.license("Cancel", &order).with_code(GOOD);
    assert_eq!(bss.scenario.issued().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_of_a_platform_no_setting_and_no_license_is_in_the_log() {
    for dialect in [Dialect::Pascal, Dialect::Camel] {
        let mut bss = Bss::selling(dialect).await;
        let log = bss.scenario.folder.path().join("server.log");
        bss.log_into(&log);
        let [offer, _] = bss.offers();
        let secret = "a-pfx-file-and-its-password";
        bss.settings
            .push(header("X-CloudPlatform-Setting-CertificateFile", secret));
        bss.settings.push(header("X-CloudPlatform-Token", secret));
        bss.settings
            .push(header("X-CloudPlatform-TrackId", "track-84213"));
        let order = bss.order("84213", &offer);
        let bought = bss.license("Create", &order).with_code(GOOD);
        let wrong = Pair::made();
        let headers = [wrong.headers(dialect), bss.settings.clone()].concat();
        let body = dialect.written(&order).to_string();
        let create = bss.path("Assets/Create");
        assert_refused(&bss.ask("POST", "Assets/Create", &create, &headers, body.as_bytes()));
        bss.license("Cancel", &order).with_code(GOOD);
        let log = std::fs::read_to_string(&log).expect("the log");
        assert!(log.contains("track-84213"), "{log}");
        let keys = [&bss.pair, &wrong].map(|pair| [pair.key.clone(), BASE64.encode(pair.key.as_bytes())]);
        for key in keys.concat() {
            assert!(!log.contains(&key), "a platform's key");
        }
        for hidden in [secret, bought.field("Token"), bought.field("ActivationLink")] {
            assert!(!log.contains(hidden), "{hidden}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_was_never_read_is_read_and_one_that_can_t_be_is_told_as_no_empty_one() {
    let mut bss = Bss::at(Scenario::ready().await, Dialect::Camel).await;
    let refusal = Fault::Refusal {
        status: 403,
        code: "ChannelNotAuthorized".to_owned(),
        retry_after: None,
    };
    let faults = bss.scenario.microsoft.faults();
    faults.order(Operation::Catalog, refusal, Repeat::Always);
    let untold = |bss: &Bss, code: i64| {
        let untold = bss.get("Fields/ServiceDefinition");
        assert_eq!(
            (untold.status, &untold.body["Code"]),
            (503, &json!(code)),
            "{untold:?}"
        );
        assert!(untold.header("retry-after").is_some());
    };
    untold(&bss, NOT_DONE);
    faults.clear();
    // Nobody works, so that the run is not over in time.
    bss.start_server_again(&["--no-work"]);
    untold(&bss, NOT_KNOWN_YET);
    bss.start_server_again(&[]);
    let faults = bss.scenario.microsoft.faults();
    let read = faults.requests_seen(Operation::Catalog);
    let first = bss.definition();
    assert!(faults.requests_seen(Operation::Catalog) > read);
    let read = faults.requests_seen(Operation::Catalog);
    assert_eq!(bss.definition(), first);
    assert_eq!(faults.requests_seen(Operation::Catalog), read, "it is known");
    let fresh = bss.get("Fields/ServiceDefinition?fetch=true").expect(200);
    assert_eq!(fresh, first);
    assert!(faults.requests_seen(Operation::Catalog) > read, "it is read anew");
    let runs = bss.scenario.json(&["audit", "list"]);
    let of_platform = |act: &&Value| act["actor"]["name"] == NAME && text(act, "act").contains("run");
    assert!(
        runs.as_array().expect("acts").iter().any(|act| of_platform(&act)),
        "{runs}"
    );
}
