//! `bss-host serve` as a desk uses it: certificates, products and prices, money, e-mails, alerts and the record of acts.

use std::time::{Duration, Instant};

use bss_simulator::{CertificateRequest, Fault, Operation, Repeat};
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::cli::Desk;
use crate::orders_cli::text;
use crate::scenario::{DONE, INSTANCE, Scenario, assert_ends};
use crate::serve::{Answer, Api, PATIENCE, Server, send};

/// A certificate that nobody has.
const NO_CERTIFICATE: &str = "0000000000000000000000000000000000000000";

/// A desk that has an instance and nothing else, and a server of its host.
fn begun() -> Api {
    let desk = Desk::open();
    desk.create();
    Api::of(desk, String::new(), &[])
}

fn rows(page: &Value) -> &[Value] {
    page["rows"]
        .as_array()
        .unwrap_or_else(|| panic!("rows in {page}"))
}

fn bytes_of(file: &str) -> String {
    BASE64.encode(&std::fs::read(file).expect("a file"))
}

/// What a request was refused with: its status, its code, and the fields with their codes.
fn refused(answer: &Answer) -> (u16, &str, Vec<(&str, &str)>) {
    (answer.status, answer.code(), answer.fields())
}

/// Types values into the form of the instance.
fn fill(api: &Api, key: &str, values: &[(&str, &str)]) {
    let path = "/v1/instances/esd/settings";
    let shown = api.get(path, key);
    let version = shown.header("etag").expect("a version").to_owned();
    let values: Vec<_> = values
        .iter()
        .map(|(field, value)| json!({ "field": field, "value": value }))
        .collect();
    let body = json!({ "values": values });
    api.ask("PATCH", path, key, &[("If-Match", &version)], Some(&body))
        .expect(200);
}

/// What is answered once it is as it is waited for.
fn once(ask: impl Fn() -> Value, is_so: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let answered = ask();
        if is_so(&answered) {
            return answered;
        }
        assert!(Instant::now() < until, "{answered}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn has_ended(run: &Value) -> bool {
    !["not-started", "in-progress"].contains(&text(run, "state"))
}

#[test]
fn a_desk_gets_from_a_file_with_a_key_to_a_product_on_sale_over_http() {
    let api = begun();
    let key = api.key("desk", "read,configure", &[]);
    let file = bytes_of(api.desk.detail("pfxFile"));
    let code = api.desk.detail("pfxCode");
    for (body, expected) in [
        (
            json!({ "file": file }),
            (422, "no-code", vec![("code", "no-code")]),
        ),
        (
            json!({ "file": file, "code": "another" }),
            (422, "wrong-code", vec![("code", "wrong-code")]),
        ),
        (
            json!({ "file": "not in Base64", "code": code }),
            (422, "request-invalid", vec![("file", "field-type")]),
        ),
        (
            json!({ "code": code }),
            (422, "request-invalid", vec![("file", "field-missing")]),
        ),
    ] {
        let answer = api.post("/v1/certificates", &key, &body);
        assert_eq!(refused(&answer), expected, "{answer:?}");
    }
    assert_eq!(
        api.get("/v1/certificates", &key).expect(200),
        json!({ "rows": [], "next": null })
    );
    let imported = api
        .post("/v1/certificates", &key, &json!({ "file": file, "code": code }))
        .expect(201);
    let thumbprint = text(&imported, "thumbprint");
    assert_eq!(thumbprint, api.desk.detail("thumbprint"));

    fill(&api, &key, &api.desk.credentials());
    let rest = [
        ("certificate-thumbprint", thumbprint),
        ("country", "DE"),
        ("language", "de-DE"),
    ];
    fill(&api, &key, &rest);
    let instance = api.get("/v1/instances/esd", &key).expect(200);
    assert_eq!(text(&instance, "state"), "ready");
    let check = api
        .ask("POST", "/v1/instances/esd/connection-checks", &key, &[], None)
        .expect(200);
    assert_eq!(check["passed"], true, "{check}");

    // The certificate is shown without its key, and is not removed while it is used.
    let path = format!("/v1/certificates/{thumbprint}");
    let shown = api.get(&path, &key).expect(200);
    assert_eq!(shown["usedBy"], json!(["esd"]));
    assert!(text(&shown, "certificatePem").starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(!shown.to_string().contains("PRIVATE"));
    let kept = api.ask("DELETE", &path, &key, &[], None);
    assert_eq!(refused(&kept), (409, "certificate-in-use", vec![]));

    let runs = "/v1/instances/esd/services-runs";
    let started = api.ask("POST", runs, &key, &[], None);
    let at = started.header("location").expect("where it is").to_owned();
    started.expect(202);
    let run = once(|| api.get(&at, &key).expect(200), has_ended);
    assert_eq!(text(&run, "state"), "completed");
    let accepted = api.ask("POST", &format!("{at}/acceptance"), &key, &[], None);
    assert_eq!(refused(&accepted), (409, "nothing-to-accept", vec![]));
    api.get(&format!("{at}/log"), &key).expect(200);
    let new = api.get(&format!("{at}/differences?limit=500"), &key).expect(200);
    assert_eq!(rows(&new).len() as u64, run["new"].as_u64().expect("a number"));
    assert!(rows(&new).iter().all(|row| row["kind"] == "new"), "{new}");
    let definition = api.get("/v1/instances/esd/services-definition", &key).expect(200);
    let exported = api.desk.run(&["services", "export", "esd"]);
    assert_eq!(
        definition,
        serde_json::from_slice::<Value>(&exported.stdout).expect("JSON")
    );

    let decisions = "/v1/instances/esd/product-decisions";
    for (body, fields) in [
        (
            json!({ "decision": "activate" }),
            vec![("productCodes", "field-missing")],
        ),
        (
            json!({ "decision": "activate", "all": true, "newInRun": run["id"] }),
            vec![("all", "fields-exclude-each-other")],
        ),
        (
            json!({ "decision": "sell", "all": true }),
            vec![("decision", "field-word-unknown")],
        ),
        (
            json!({ "decision": "activate", "productCodes": ["NONE"] }),
            vec![("productCodes", "no-product")],
        ),
        (
            json!({ "decision": "activate", "newInRun": "00000000-0000-0000-0000-000000000001" }),
            vec![("newInRun", "no-run")],
        ),
    ] {
        let answer = api.post(decisions, &key, &body);
        assert_eq!(refused(&answer), (422, "request-invalid", fields), "{body}");
    }
    let decided = api.post(
        decisions,
        &key,
        &json!({ "decision": "activate", "newInRun": run["id"] }),
    );
    assert_eq!(decided.expect(200)["changed"], run["new"]);
    let products = api.get("/v1/instances/esd/products?active=true&limit=500", &key);
    let products = products.expect(200);
    assert_eq!(rows(&products).len(), rows(&new).len());
    let product = text(&rows(&products)[0], "productCode");
    let path = format!("/v1/instances/esd/products/{product}");
    assert_eq!(api.get(&path, &key).expect(200), rows(&products)[0]);
    assert_eq!(
        refused(&api.get("/v1/instances/esd/products/NONE", &key)),
        (404, "no-product", vec![])
    );
}

#[test]
fn a_price_that_may_be_a_mistake_is_told_and_set_once_it_is_said_to_be_meant() {
    let api = Api::open();
    let key = api.key("desk", "read,configure", &[]);
    let product = text(&api.desk.json(&["services", "products", "esd"])[0], "productCode").to_owned();
    let (prices, product) = ("/v1/instances/esd/prices", product.as_str());
    let of = |minor_units: i64| json!({ "productCode": product, "minorUnits": minor_units });
    let present = || {
        let path = format!("/v1/instances/esd/products/{product}");
        api.get(&path, &key).expect(200)["prices"].clone()
    };
    let before = present();
    assert_eq!(before, json!([{ "currency": "EUR", "minorUnits": 14_900 }]));
    for (rows, expected) in [
        (
            json!([of(14_900), { "productCode": product, "minorUnits": 0, "currency": "USD" }]),
            (
                409,
                "prices-doubtful",
                vec![("prices[1].minorUnits", "price-doubtful")],
            ),
        ),
        (
            json!([{ "productCode": product, "minorUnits": 0, "currency": "eur" }]),
            (
                422,
                "invalid-currency",
                vec![("prices[0].currency", "invalid-currency")],
            ),
        ),
        (
            json!([of(14_900), of(15_000)]),
            (
                422,
                "request-invalid",
                vec![("prices[1].productCode", "field-repeated")],
            ),
        ),
        (
            json!([of(900_000)]),
            (
                409,
                "prices-doubtful",
                vec![("prices[0].minorUnits", "price-doubtful")],
            ),
        ),
        (
            json!([of(-1)]),
            (
                422,
                "negative-price",
                vec![("prices[0].minorUnits", "negative-price")],
            ),
        ),
        (
            json!([of(15_000), { "productCode": "NONE", "minorUnits": 1 }]),
            (
                422,
                "request-invalid",
                vec![("prices[1].productCode", "no-product")],
            ),
        ),
        (
            json!([{ "productCode": product, "minorUnits": 149.5 }]),
            (
                422,
                "request-invalid",
                vec![("prices[0].minorUnits", "field-type")],
            ),
        ),
        (
            json!([]),
            (422, "request-invalid", vec![("prices", "field-empty")]),
        ),
    ] {
        let answer = api.post(prices, &key, &json!({ "prices": rows }));
        assert_eq!(refused(&answer), expected, "{rows}: {answer:?}");
        assert_eq!(present(), before, "{rows}");
    }
    let dry = api.post(prices, &key, &json!({ "prices": [of(900_000)], "dryRun": true }));
    let dry = dry.expect(200);
    assert_eq!((&dry["changed"], present()), (&json!(1), before));
    assert_eq!(
        dry["doubts"],
        json!([{ "productCode": product, "doubts": ["far-from-last"] }])
    );
    let set = api.post(
        prices,
        &key,
        &json!({ "prices": [of(900_000)], "acceptDoubtful": true }),
    );
    assert_eq!(set.expect(200)["changed"], 1);
    assert_eq!(present()[0]["minorUnits"], 900_000);
    let history = api.get(
        &format!("/v1/instances/esd/products/{product}/price-changes"),
        &key,
    );
    let history = history.expect(200);
    let last = rows(&history).last().expect("a change");
    assert_eq!(
        (text(last, "changedBy"), &last["before"]["minorUnits"]),
        ("desk", &json!(14_900))
    );

    let price = format!("/v1/instances/esd/products/{product}/prices/EUR");
    api.ask("DELETE", &price, &key, &[], None).expect(200);
    assert_eq!(present(), json!([]));
    let gone = api.ask("DELETE", &price, &key, &[], None);
    assert_eq!(refused(&gone), (404, "no-price", vec![]));
}

#[test]
fn what_was_sold_is_found_with_its_money_its_e_mails_its_alert_and_who_did_it() {
    let api = Api::open();
    let desk = api.key("desk", "read,order,cancel,configure,reveal", &[]);
    let auditor = api.key("auditor", "read,administer", &[]);
    api.desk
        .json(&["instance", "limit", "esd", "--units-per-day", "2"]);
    let placed = api.place(&desk, "B-1", &[("Prefer", "wait=50")], &api.order(2));
    let order = placed.expect(201);
    assert_eq!(text(&order, "state"), "licensed");
    let id = text(&order, "id");
    let spent = api.get("/v1/instances/esd/spending", &desk).expect(200);
    assert_eq!(
        (&spent["limitUnits"], &spent["usedUnits"]),
        (&json!(2), &json!(2))
    );

    let charges = api.get(&format!("/v1/charges?order={id}"), &desk).expect(200);
    assert_eq!(rows(&charges).len(), 2);
    let shown = api.desk.json(&["charge", "show", id]);
    let mut latest_first = rows(&charges).to_vec();
    latest_first.reverse();
    assert_eq!(Value::Array(latest_first), shown);
    let number = text(&rows(&charges)[0], "number");
    let one = api
        .get(&format!("/v1/charges?number={number}"), &desk)
        .expect(200);
    assert_eq!(rows(&one), &rows(&charges)[..1]);
    assert_eq!(rows(&api.get("/v1/credits", &desk).expect(200)), [] as [Value; 0]);

    // A license that goes back is credited, and its charge says so.
    let asset = text(&order["assets"][0], "id");
    let cancellations = format!("/v1/assets/{asset}/cancellations");
    api.post(&cancellations, &desk, &json!({})).expect(201);
    let credits = format!("/v1/credits?order={id}");
    let credits = once(
        || api.get(&credits, &desk).expect(200),
        |credits| !rows(credits).is_empty(),
    );
    let credited = text(&rows(&credits)[0], "chargeNumber");
    let charge = api.get(&format!("/v1/charges?number={credited}"), &desk);
    assert_eq!(charge.expect(200)["rows"][0]["credits"], credits["rows"]);
    let refresh = format!("/v1/assets/{}/refresh", text(&order["assets"][1], "id"));
    let fresh = api.ask("POST", &refresh, &desk, &[], None).expect(200);
    assert_eq!(text(&fresh, "licenseTokenStatus"), "unused");
    let retry = refresh.replace("refresh", "retry");
    let not_needed = api.ask("POST", &retry, &desk, &[], None);
    assert_eq!(not_needed.status, 409, "{not_needed:?}");

    let mails = api
        .get(&format!("/v1/mails?order={id}&kind=welcome"), &desk)
        .expect(200);
    assert_eq!(rows(&mails).len(), 2);
    let pending = api.get("/v1/mails?state=pending&instance=esd", &desk).expect(200);
    let mail = text(&rows(&pending)[0], "id");
    let path = format!("/v1/mails/{mail}");
    assert_eq!(api.get(&path, &desk).expect(200), rows(&pending)[0]);
    assert!(!mails.to_string().contains("productKey"));
    api.ask("POST", &format!("{path}/retry"), &desk, &[], None)
        .expect(200);
    let copies = format!("{path}/copies");
    let bad = api.post(&copies, &desk, &json!({ "to": "nobody" }));
    assert_eq!(bad.fields(), [("to", bad.code())], "{bad:?}");
    // What was not sent yet is not sent again.
    assert_eq!(api.ask("POST", &copies, &desk, &[], None).status, 409);
    let folder = api.desk.folder.path().join("mails");
    let folder = folder.to_str().expect("text");
    let configure = [
        "mail",
        "configure",
        "--from",
        "shop@host.example",
        "--directory",
        folder,
    ];
    assert_ends(&api.desk.run(&configure), DONE);
    once(
        || api.get(&path, &desk).expect(200),
        |mail| text(mail, "state") == "sent",
    );
    let elsewhere = json!({ "to": "desk@beispiel.example" });
    let copy = api.post(&copies, &desk, &elsewhere).expect(201);
    assert_eq!(
        (text(&copy, "copyOf"), text(&copy["contact"], "email")),
        (mail, "desk@beispiel.example")
    );
    // A copy of that copy goes to the contact of the order again, unless somebody says where.
    let at = format!("/v1/mails/{}", text(&copy, "id"));
    once(
        || api.get(&at, &desk).expect(200),
        |mail| text(mail, "state") == "sent",
    );
    let again = api
        .ask("POST", &format!("{at}/copies"), &desk, &[], None)
        .expect(201);
    assert_eq!(text(&again["contact"], "email"), "it@beispiel.example");

    // The day's limit is reached, which is an alert of this instance and of no other.
    api.desk
        .json(&["instance", "create", "other", "--currency", "EUR"]);
    let bound = api.key("bound", "read,configure", &["--instance", "esd"]);
    let elsewhere = api.key("elsewhere", "read,configure", &["--instance", "other"]);
    for (client, number) in [(&desk, 1), (&bound, 1), (&elsewhere, 0)] {
        let alerts = api.get("/v1/alerts", client).expect(200);
        assert_eq!(rows(&alerts).len(), number, "{alerts}");
    }
    let alerts = api.get("/v1/alerts?instance=esd", &desk).expect(200);
    let alert = &rows(&alerts)[0];
    assert_eq!(
        (text(alert, "kind"), text(alert, "instance")),
        ("spending-limit", "esd")
    );
    let acknowledge = |client: &str, body: &Value| api.post("/v1/alert-acknowledgements", client, body);
    let these = json!({ "numbers": [alert["number"]] });
    for client in [&bound, &desk] {
        assert_eq!(
            refused(&acknowledge(client, &these)),
            (403, "scope-missing", vec![])
        );
    }
    for (body, fields) in [
        (
            json!({ "numbers": [alert["number"], 99] }),
            vec![("numbers", "no-alert")],
        ),
        (json!({ "numbers": ["1"] }), vec![("numbers[0]", "field-type")]),
        (json!({}), vec![("numbers", "field-missing")]),
        (
            json!({ "numbers": [1], "upTo": 1 }),
            vec![("upTo", "fields-exclude-each-other")],
        ),
    ] {
        let answer = acknowledge(&auditor, &body);
        assert_eq!(refused(&answer), (422, "request-invalid", fields), "{body}");
    }
    assert_eq!(rows(&api.get("/v1/alerts", &desk).expect(200)).len(), 1);
    assert_eq!(
        acknowledge(&auditor, &these).expect(200),
        json!({ "acknowledged": 1 })
    );
    assert_eq!(rows(&api.get("/v1/alerts", &desk).expect(200)).len(), 0);
    let all = api.get("/v1/alerts?all=true&limit=1", &desk).expect(200);
    assert_eq!(rows(&all)[0]["acknowledgedBy"], "auditor");
    let next = all["next"].as_str().expect("a full page has a next one");
    let after = api
        .get(&format!("/v1/alerts?all=true&after={next}"), &desk)
        .expect(200);
    assert_eq!(after, json!({ "rows": [], "next": null }));

    // Who did what is for the operator's auditor.
    let acts = api
        .get("/v1/acts?instance=esd&kind=order&limit=500", &auditor)
        .expect(200);
    let act = &rows(&acts)[0];
    assert_eq!(
        (
            text(act, "act"),
            text(&act["actor"], "name"),
            text(&act["subject"], "id")
        ),
        ("place-order", "desk", id)
    );
    let verified = api.get("/v1/acts/digest", &auditor).expect(200);
    assert_eq!(verified, api.desk.json(&["audit", "verify"]));
    let noted = format!("/v1/acts/digest?noted={}", text(&verified, "digest"));
    assert_eq!(api.get(&noted, &auditor).expect(200), verified);
    let another = api.get(&format!("/v1/acts/digest?noted={}", "0".repeat(64)), &auditor);
    assert_eq!(
        (another.status, another.fields()[0].0),
        (409, "noted"),
        "{another:?}"
    );
    assert_eq!(
        refused(&api.get("/v1/acts", &desk)),
        (403, "scope-missing", vec![])
    );
}

#[test]
fn instances_and_certificates_are_made_and_removed_and_one_that_sells_keeps_its_identity() {
    let api = Api::open();
    let key = api.key("desk", "read,order,configure", &[]);
    let made = api.post(
        "/v1/instances",
        &key,
        &json!({ "name": "second", "currency": "EUR" }),
    );
    assert_eq!(text(&made.expect(201), "state"), "needs-credentials");
    for (body, expected) in [
        (
            json!({ "name": "second", "currency": "EUR" }),
            (409, "name-taken", vec![("name", "name-taken")]),
        ),
        (
            json!({ "name": "th\u{202e}ird", "currency": "EUR" }),
            (422, "request-invalid", vec![("name", "field-unseen-characters")]),
        ),
        (
            json!({ "name": "third", "currency": "euros" }),
            (422, "invalid-currency", vec![("currency", "invalid-currency")]),
        ),
        (
            json!({ "name": "third", "currency": "EUR", "plugin": "none" }),
            (422, "request-invalid", vec![("plugin", "plugin-unknown")]),
        ),
        (
            json!({ "name": "third", "currency": "EUR", "allowedNetworks": ["0.0.0.0/0"] }),
            (422, "request-invalid", vec![("allowedNetworks", "field-unknown")]),
        ),
    ] {
        let answer = api.post("/v1/instances", &key, &body);
        assert_eq!(refused(&answer), expected, "{body}: {answer:?}");
    }
    let renamed = api.post("/v1/instances/second/renaming", &key, &json!({ "name": "2nd" }));
    assert_eq!(text(&renamed.expect(200), "name"), "2nd");
    let taken = api.post("/v1/instances/2nd/renaming", &key, &json!({ "name": "esd" }));
    assert_eq!(refused(&taken), (409, "name-taken", vec![("name", "name-taken")]));
    let removed = api
        .ask("DELETE", "/v1/instances/2nd", &key, &[], None)
        .expect(200);
    assert_eq!(text(&removed, "name"), "2nd");
    assert_eq!(api.get("/v1/instances/2nd", &key).status, 404);

    // What is disabled takes no order.
    api.ask("POST", "/v1/instances/esd/disablement", &key, &[], None)
        .expect(200);
    let refused_order = api.post("/v1/order-checks", &key, &api.order(1));
    assert_eq!(refused_order.status, 409, "{refused_order:?}");
    api.ask("POST", "/v1/instances/esd/enablement", &key, &[], None)
        .expect(200);
    api.post("/v1/order-checks", &key, &api.order(1)).expect(200);
    let history = api
        .get("/v1/instances/esd/settings-versions?limit=1", &key)
        .expect(200);
    assert_eq!(rows(&history).len(), 1);
    assert!(history["next"].is_string(), "{history}");

    // The vendor does not know a certificate that was only just made, so the former one stays.
    let before = api.get("/v1/instances/esd", &key).expect(200);
    let unfit = api.post("/v1/self-signed-certificates", &key, &json!({ "commonName": "" }));
    assert_eq!((unfit.status, unfit.code()), (422, "certificate-ask-invalid"));
    let new =
        json!({ "commonName": "esd.beispiel.example", "dnsNames": ["esd.beispiel.example"], "days": 30 });
    let made = api.post("/v1/self-signed-certificates", &key, &new).expect(201);
    let to = text(&made, "thumbprint");
    assert!(text(&made, "certificatePem").starts_with("-----BEGIN CERTIFICATE-----"));
    let rotation = "/v1/instances/esd/certificate-rotation";
    let kept = api.post(rotation, &key, &json!({ "to": to }));
    assert_eq!((kept.status, kept.code()), (422, "check-failed"), "{kept:?}");
    assert!(text(&kept.body, "detail").contains("unknown_ca"), "{kept:?}");
    let absent = api.post(rotation, &key, &json!({ "to": NO_CERTIFICATE }));
    assert_eq!((absent.status, absent.code()), (422, "certificate-refused"));
    assert_eq!(
        absent.fields().first().map(|(field, _)| *field),
        Some("to"),
        "{absent:?}"
    );
    assert_eq!(api.get("/v1/instances/esd", &key).expect(200), before);
    let path = format!("/v1/certificates/{to}");
    assert_eq!(
        api.ask("DELETE", &path, &key, &[], None).expect(200),
        json!({ "thumbprint": to })
    );
    assert_eq!(refused(&api.get(&path, &key)), (404, "no-certificate", vec![]));

    let request = json!({ "commonName": "esd.beispiel.example" });
    let request = api.post("/v1/certificate-requests", &key, &request).expect(201);
    assert!(text(&request, "requestPem").starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
    let waiting = api.get("/v1/certificate-requests", &key).expect(200);
    assert_eq!(rows(&waiting), std::slice::from_ref(&request));
    let path = format!("/v1/certificate-requests/{}", text(&request, "publicKey"));
    api.ask("DELETE", &path, &key, &[], None).expect(200);
    let gone = api.ask("DELETE", &path, &key, &[], None);
    assert_eq!(refused(&gone), (404, "no-certificate-request", vec![]));
}

#[test]
fn a_desk_of_one_instance_or_tenant_sees_and_changes_nothing_of_another() {
    let api = Api::open();
    let desk = api.key("desk", "read,order,reveal", &[]);
    let order = api
        .place(&desk, "B-1", &[("Prefer", "wait=50")], &api.order(1))
        .expect(201);
    let asset = text(&order["assets"][0], "id");
    let mails = api.get("/v1/mails", &desk).expect(200);
    let mail = text(&rows(&mails)[0], "id");
    let run = api.desk.json(&["services", "runs", "esd"])[0]["id"].clone();
    let run = run.as_str().expect("an id");
    let product = text(&api.desk.json(&["services", "products", "esd"])[0], "productCode").to_owned();
    let thumbprint = api.desk.detail("thumbprint").to_owned();
    api.desk
        .json(&["instance", "create", "other", "--currency", "EUR"]);
    let all = "read,order,cancel,configure,reveal";
    let elsewhere = api.key("elsewhere", all, &["--instance", "other"]);
    let bound = api.key("bound", all, &["--instance", "esd"]);
    // A tenant with an instance of the same name, which has sold nothing.
    let create = [
        "instance",
        "create",
        "esd",
        "--currency",
        "EUR",
        "--owner",
        "reseller-7",
    ];
    let own = api.desk.json(&create);
    let tenant = api.key("tenant", all, &["--owner", "reseller-7"]);
    let mine = api.post(
        "/v1/self-signed-certificates",
        &tenant,
        &json!({ "commonName": "a" }),
    );
    let mine = mine.expect(201);
    let id = text(&api.get("/v1/instances/esd", &desk).expect(200), "id").to_owned();
    let before = api.desk.json(&["audit", "verify"]);

    // By name or by id, another's instance and what belongs to it are not there.
    let instance = &format!("/v1/instances/{id}");
    for (method, path, body) in [
        ("GET", format!("{instance}/spending"), Value::Null),
        ("POST", format!("{instance}/connection-checks"), Value::Null),
        ("GET", format!("{instance}/products/{product}"), Value::Null),
        (
            "GET",
            format!("{instance}/products/{product}/price-changes"),
            Value::Null,
        ),
        (
            "DELETE",
            format!("{instance}/products/{product}/prices/EUR"),
            Value::Null,
        ),
        (
            "POST",
            format!("{instance}/product-decisions"),
            json!({ "decision": "deactivate", "all": true }),
        ),
        (
            "POST",
            format!("{instance}/prices"),
            json!({ "prices": [{ "productCode": product, "minorUnits": 1 }], "acceptDoubtful": true }),
        ),
        ("GET", format!("{instance}/services-definition"), Value::Null),
        ("GET", format!("{instance}/services-runs/{run}/log"), Value::Null),
        (
            "GET",
            format!("{instance}/services-runs/{run}/differences"),
            Value::Null,
        ),
        (
            "POST",
            format!("{instance}/services-runs/{run}/acceptance"),
            Value::Null,
        ),
        (
            "GET",
            "/v1/instances/other/services-runs/RUN/log".replace("RUN", run),
            Value::Null,
        ),
        ("POST", format!("/v1/assets/{asset}/retry"), Value::Null),
        ("POST", format!("/v1/assets/{asset}/refresh"), Value::Null),
        ("GET", format!("/v1/mails/{mail}"), Value::Null),
        ("POST", format!("/v1/mails/{mail}/retry"), Value::Null),
        (
            "POST",
            format!("/v1/mails/{mail}/copies"),
            json!({ "to": "me@elsewhere.example" }),
        ),
    ] {
        for stranger in [&elsewhere, &tenant] {
            let body = (!body.is_null()).then_some(&body);
            let answer = api.ask(method, &path, stranger, &[], body);
            assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
        }
    }
    // Lists of another's instance, and those of one's own, which has nothing.
    for list in ["charges", "credits", "mails", "alerts"] {
        for stranger in [&elsewhere, &tenant] {
            let answer = api.get(&format!("/v1/{list}?instance={id}"), stranger);
            assert_eq!(
                refused(&answer),
                (422, "request-invalid", vec![("instance", "no-instance")]),
                "{list}"
            );
        }
        for stranger in [&elsewhere, &tenant] {
            let own = api.get(&format!("/v1/{list}"), stranger).expect(200);
            assert_eq!(rows(&own), [] as [Value; 0], "{list}");
        }
    }
    let number = api.get("/v1/charges", &desk).expect(200)["rows"][0]["number"].clone();
    let number = number.as_str().expect("a number");
    let (of_order, placed) = (format!("order={}", text(&order, "id")), text(&order, "id"));
    for path in [
        format!("/v1/charges?{of_order}"),
        format!("/v1/charges?number={number}"),
        format!("/v1/mails?{of_order}"),
        format!("/v1/mails?asset={asset}"),
    ] {
        assert!(
            !rows(&api.get(&path, &desk).expect(200)).is_empty(),
            "{path} of {placed}"
        );
        for stranger in [&elsewhere, &tenant] {
            let found = api.get(&path, stranger).expect(200);
            assert_eq!(rows(&found), [] as [Value; 0], "{path}");
        }
    }
    // What concerns all instances of an owner is not for a client that is bound to some, not even to this one.
    for (method, path, body) in [
        ("GET", "/v1/certificates".to_owned(), Value::Null),
        ("POST", "/v1/certificates".to_owned(), json!({ "file": "AAAA" })),
        ("GET", format!("/v1/certificates/{thumbprint}"), Value::Null),
        ("DELETE", format!("/v1/certificates/{thumbprint}"), Value::Null),
        (
            "POST",
            "/v1/self-signed-certificates".to_owned(),
            json!({ "commonName": "a" }),
        ),
        ("GET", "/v1/certificate-requests".to_owned(), Value::Null),
        (
            "POST",
            "/v1/certificate-requests".to_owned(),
            json!({ "commonName": "a" }),
        ),
        (
            "DELETE",
            format!("/v1/certificate-requests/{thumbprint}"),
            Value::Null,
        ),
        (
            "POST",
            "/v1/instances".to_owned(),
            json!({ "name": "mine", "currency": "EUR" }),
        ),
        ("DELETE", instance.to_owned(), Value::Null),
        ("POST", format!("{instance}/renaming"), json!({ "name": "mine" })),
        ("POST", format!("{instance}/disablement"), Value::Null),
        ("POST", format!("{instance}/enablement"), Value::Null),
        (
            "POST",
            format!("{instance}/certificate-rotation"),
            json!({ "to": thumbprint }),
        ),
        ("GET", format!("{instance}/settings-versions"), Value::Null),
    ] {
        for client in [&bound, &elsewhere] {
            let body = (!body.is_null()).then_some(&body);
            let answer = api.ask(method, &path, client, &[], body);
            assert_eq!(
                (answer.status, answer.code()),
                (403, "client-bound"),
                "{method} {path}"
            );
        }
    }
    // A tenant has its own certificate alone, and neither uses nor takes away the operator's.
    let certificates = api.get("/v1/certificates", &tenant).expect(200);
    assert_eq!(rows(&certificates).len(), 1);
    assert_eq!(rows(&certificates)[0]["thumbprint"], mine["thumbprint"]);
    for (method, path, body) in [
        ("GET", format!("/v1/certificates/{thumbprint}"), Value::Null),
        ("DELETE", format!("/v1/certificates/{thumbprint}"), Value::Null),
        ("POST", format!("{instance}/disablement"), Value::Null),
        ("POST", format!("{instance}/enablement"), Value::Null),
        ("POST", format!("{instance}/renaming"), json!({ "name": "mine" })),
        ("DELETE", instance.to_owned(), Value::Null),
        ("GET", format!("{instance}/settings-versions"), Value::Null),
    ] {
        let body = (!body.is_null()).then_some(&body);
        let answer = api.ask(method, &path, &tenant, &[], body);
        assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
    }
    assert_eq!(api.desk.json(&["audit", "verify"]), before);
    // By the same name, each means its own; the operator reaches the tenant's by its id.
    let operator = api.key("operator", "read,configure", &[]);
    let by_name = |key: &str| api.get("/v1/instances/esd", key).expect(200)["id"].clone();
    assert_eq!(
        (by_name(&tenant), by_name(&operator)),
        (own["id"].clone(), json!(id))
    );
    let of_tenant = format!("/v1/instances/{}", text(&own, "id"));
    let shown = api.get(&of_tenant, &operator).expect(200);
    assert_eq!(text(&shown, "owner"), "reseller-7");
    api.ask("DELETE", &of_tenant, &operator, &[], None).expect(200);
    assert_eq!(by_name(&operator), json!(id));
    assert_eq!(api.get("/v1/instances/esd", &tenant).status, 404);
    // The desk's own client does all of it with its own.
    api.get(&format!("{instance}/products/{product}"), &bound)
        .expect(200);
    api.get(&format!("/v1/mails/{mail}"), &bound).expect(200);
    assert_eq!(rows(&api.get("/v1/charges", &bound).expect(200)).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_word_goes_on_by_one_over_http() {
    let scenario = Scenario::selling().await;
    let offers = scenario.offers().await;
    let made = ["api-client", "create", "desk", "--scopes", "read,order,configure"];
    let key = format!("Bearer {}", text(&scenario.json(&made), "key"));
    let server = Server::start(scenario.command(&["serve"]));
    let ask = |method: &str, path: &str, body: Value| {
        let mut connection = server.connect();
        let headers = [
            ("Authorization", key.as_str()),
            ("Content-Type", "application/json"),
            ("Idempotency-Key", "B-1"),
        ];
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        send(&mut connection, method, path, &headers, body.as_bytes());
        Answer::read(connection)
    };
    let get = |path: &str| ask("GET", path, Value::Null).expect(200);

    // A license that was refused is tried again.
    let refusal = Fault::Refusal {
        status: 403,
        code: "CountryNotAllowed".to_owned(),
        retry_after: None,
    };
    scenario
        .microsoft
        .faults()
        .order(Operation::Purchase, refusal, Repeat::Times(1));
    let order = json!({
        "instance": INSTANCE,
        "customer": { "id": "C-1", "name": "Beispiel GmbH", "country": "DE" },
        "contact": { "email": "it@beispiel.example", "language": "de-DE" },
        "lines": [{ "productCode": offers[0], "quantity": 1 }],
    });
    let order = ask("POST", "/v1/orders", order).expect(201);
    let asset = format!("/v1/assets/{}", text(&order["assets"][0], "id"));
    let is_in = |state: &'static str| move |asset: &Value| text(asset, "state") == state;
    once(|| get(&asset), is_in("refused"));
    ask("POST", &format!("{asset}/retry"), Value::Null).expect(200);
    once(|| get(&asset), is_in("licensed"));
    assert_eq!(scenario.issued().await.len(), 1);
    let needless = ask("POST", &format!("{asset}/retry"), Value::Null);
    assert_eq!(needless.status, 409, "{needless:?}");

    // A catalog that shrank is applied once the run that says so is accepted, and by no other.
    let mut half = scenario.microsoft.catalog();
    half.offers.truncate(half.offers.len() / 2);
    scenario.microsoft.set_catalog(half);
    let runs = format!("/v1/instances/{INSTANCE}/services-runs");
    let former = text(&rows(&get(&runs))[0], "id").to_owned();
    let started = ask("POST", &runs, Value::Null);
    let at = started.header("location").expect("where it is").to_owned();
    let run = once(|| get(&at), has_ended);
    assert_eq!(text(&run, "state"), "awaits-acceptance");
    let other = ask("POST", &format!("{runs}/{former}/acceptance"), Value::Null);
    assert_eq!(refused(&other), (409, "nothing-to-accept", vec![]));
    let accepting = ask("POST", &format!("{at}/acceptance"), Value::Null);
    assert_eq!(accepting.status, 202, "{accepting:?}");
    let at = accepting.header("location").expect("where it is").to_owned();
    let accepted = once(|| get(&at), has_ended);
    assert_eq!(
        (
            text(&accepted, "state"),
            &accepted["accepts"],
            &accepted["discontinued"]
        ),
        ("completed", &run["id"], &run["discontinued"])
    );
    let gone = get(&format!("{at}/differences?limit=500"));
    assert_eq!(
        rows(&gone).len() as u64,
        accepted["discontinued"].as_u64().expect("a number")
    );
    assert!(
        rows(&gone).iter().all(|row| row["kind"] == "discontinued"),
        "{gone}"
    );

    // A certificate that the vendor knows takes over.
    let successor = scenario.install(&CertificateRequest::default()).await.to_string();
    let rotation = format!("/v1/instances/{INSTANCE}/certificate-rotation");
    let rotated = ask("POST", &rotation, json!({ "to": successor })).expect(200);
    assert_eq!(text(&rotated, "certificateThumbprint"), successor);
    let taken = ask("POST", &rotation, json!({ "to": successor }));
    assert_eq!(
        refused(&taken),
        (
            409,
            "certificate-already-used",
            vec![("to", "certificate-already-used")]
        )
    );
}
