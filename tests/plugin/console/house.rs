//! The house in the console: operators and their sessions, alerts, money, e-mails, platforms and keys, and who did what.

use super::browser::{Browser, PASSWORD, Page};
use super::idle;
use crate::orders_cli::text;
use crate::serve::Api;

/// A browser in which an operator of a role is signed in, whom somebody has made at the command line.
fn signed_in<'a>(api: &'a Api, name: &str, role: &str) -> Browser<'a> {
    let invited = api.desk.json(&["operator", "create", name, "--role", role]);
    let mut browser = Browser::of(&api.server);
    browser.accepts(text(&invited, "invitation"), name);
    browser
}

/// What a page has for copying.
fn copied(page: &Page, id: &str) -> String {
    let at = format!("<code id=\"{id}\">");
    let (_, rest) = page
        .html
        .split_once(&at)
        .unwrap_or_else(|| panic!("{id} in {page:#?}"));
    let text = rest.split('<').next().expect("a text");
    text.replace("&#x2f;", "/").replace("&amp;", "&")
}

const CONFIRMED: (&str, &str) = ("confirmed", "yes");

#[test]
fn an_operator_is_invited_by_a_link_that_is_shown_once_and_may_what_the_role_says() {
    let api = idle();
    let mut admin = Browser::of_first_administrator(&api.server);
    let page = admin
        .send("/console/operators", &[("name", "maria"), ("role", "reader")])
        .expect(200);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let link = copied(&page, "invitation");
    let path = link.strip_prefix("https://localhost").expect("an address");
    let code = path.split_once("code=").expect("a code").1;
    for shown in ["/console/operators", "/console/operators/maria"] {
        let page = admin.get(shown).expect(200).saying("maria");
        assert!(!page.says(code), "{page:#?}");
    }
    let mut maria = Browser::of(&api.server);
    maria.accepts(path, "maria");
    maria.get("/console/me").expect(200).saying("reader");
    maria.get("/console/operators").expect(403);
    maria
        .post("/console/operators", &[("name", "x"), ("role", "administrator")])
        .expect(403);
    maria
        .post("/console/operators/maria/change", &[("role", "administrator")])
        .expect(403);
    admin
        .post("/console/operators/maria/change", &[("role", "administrator")])
        .expect(200);
    maria.get("/console/operators").expect(200).saying("admin");
    // A name is never used again, and what was typed stays.
    admin
        .post("/console/operators", &[("name", "maria"), ("role", "operator")])
        .expect(422)
        .saying("value=\"maria\"")
        .saying("value=\"operator\" selected");
}

#[test]
fn the_session_of_an_operator_who_is_disabled_is_over_at_once() {
    let api = idle();
    let mut admin = Browser::of_first_administrator(&api.server);
    let mut maria = signed_in(&api, "maria", "operator");
    admin
        .post("/console/operators/maria/disable", &[])
        .expect(200)
        .saying("Disable maria?")
        .saying("One session ends at once.");
    maria.get("/console/me").expect(200).saying("maria");
    admin
        .post("/console/operators/maria/disable", &[CONFIRMED])
        .expect(200);
    maria.get("/console/me").saying("Sign in");
    maria.signs_in("maria", PASSWORD).expect(401);
    admin.post("/console/operators/maria/enable", &[]).expect(200);
    maria.signs_in("maria", PASSWORD).expect(200);
}

#[test]
fn a_session_is_ended_from_another_one_of_the_same_operator_alone() {
    let api = idle();
    let mut here = Browser::of_first_administrator(&api.server);
    let mut there = Browser::of(&api.server);
    there.signs_in("admin", PASSWORD).expect(200);
    let other = here.get("/console/me").expect(200).hidden("session");
    let end = "/console/me/sessions/end";
    let mut maria = signed_in(&api, "maria", "administrator");
    maria.post(end, &[("session", &other)]).expect(200);
    maria.post(end, &[]).expect(200);
    there.get("/console/me").expect(200).saying("this browser");
    here.post(end, &[("session", &other)])
        .expect(200)
        .saying("this browser");
    there.get("/console/me").saying("Sign in");
    here.get("/console/audit?act=end-session")
        .expect(200)
        .saying("ended a session");
    here.get("/console/audit?act=end-session&actor=maria")
        .expect(200)
        .saying("There are no such acts");
    there.signs_in("admin", PASSWORD).expect(200);
    here.post(end, &[]).expect(200);
    there.get("/console/me").saying("Sign in");
    here.get("/console/me").expect(200).saying("this browser");
}

#[test]
fn a_key_of_an_api_client_is_shown_once_and_opens_nothing_when_it_is_replaced_or_revoked() {
    let api = idle();
    let mut admin = Browser::of_first_administrator(&api.server);
    let asked = [("client-name", "shop"), ("client-scope", "read")];
    admin
        .post("/console/api-clients", &asked[..1])
        .expect(422)
        .saying("value=\"shop\"");
    let page = admin.send("/console/api-clients", &asked).expect(200);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let key = copied(&page, "new-key");
    let opens = |key: &str| api.get("/v1/orders", key).status;
    assert_eq!(opens(&key), 200);
    for path in [
        "/console/platforms",
        "/console/api-clients/shop",
        "/console/audit",
    ] {
        let page = admin.get(path).expect(200).saying("shop");
        assert!(!page.says(&key), "{path}");
    }
    admin.post("/console/api-clients", &asked).expect(422);

    let rotate = "/console/api-clients/shop/rotate";
    admin.post(rotate, &[("keep-former-hours", "x")]).expect(422);
    admin.post(rotate, &[]).expect(200).saying("at once");
    assert_eq!(opens(&key), 200);
    let page = admin.post(rotate, &[CONFIRMED]).expect(200);
    let other = copied(&page, "new-key");
    assert_eq!((opens(&key), opens(&other)), (401, 200));

    let mut maria = signed_in(&api, "maria", "operator");
    let revoke = "/console/api-clients/shop/revoke";
    for path in [rotate, revoke, "/console/api-clients"] {
        maria.post(path, &[CONFIRMED]).expect(403);
    }
    admin.post(revoke, &[]).expect(200).saying("undone");
    assert_eq!(opens(&other), 200);
    admin.post(revoke, &[CONFIRMED]).expect(200);
    assert_eq!(opens(&other), 401);
}

#[test]
fn a_platform_gets_its_addresses_and_gives_its_key_and_a_webhook_shows_its_secret_once() {
    let api = idle();
    let mut admin = Browser::of_first_administrator(&api.server);
    admin
        .post(
            "/console/platforms",
            &[("platform-name", "erp"), ("platform-instance", "esd")],
        )
        .expect(200)
        .saying("waits for its key");
    let page = admin.get("/console/platforms/erp").expect(200);
    assert_eq!(
        copied(&page, "address-1"),
        "https://localhost/interworks/erp/Fields/Get"
    );
    let (key, application) = (
        ("secret-key", "a-key-that-the-platform-made"),
        ("application-id", "11111111-2222-3333-4444-555555555555"),
    );
    let set = "/console/platforms/erp/key";
    let page = admin.post(set, &[key]).expect(422);
    assert!(!page.says(key.1), "{page:#?}");
    admin.post(set, &[key, ("application-id", "x")]).expect(422);
    admin.post(set, &[key, application]).expect(200).saying("usable");

    let add = "/console/webhooks";
    admin
        .post(add, &[("webhook-url", "http://receiver.example/")])
        .expect(422);
    let url = ("webhook-url", "https://receiver.example/hook");
    admin
        .post(add, &[url, ("webhook-networks", "10.0.0.0")])
        .expect(422);
    let page = admin
        .post(add, &[url, ("webhook-type", "asset.licensed")])
        .expect(200);
    let secret = copied(&page, "signing-secret");
    assert!(secret.starts_with("whsec_"));
    let webhooks = api.desk.json(&["webhook", "list"]);
    let webhook = format!("/console/webhooks/{}", text(&webhooks[0], "id"));
    for path in [webhook.as_str(), "/console/platforms", "/console/audit"] {
        assert!(!admin.get(path).expect(200).says(&secret), "{path}");
    }
    admin
        .post(&format!("{webhook}/state"), &[("state", "off")])
        .expect(200)
        .saying("Enable");
    let remove = format!("{webhook}/remove");
    admin.post(&remove, &[]).expect(200).saying("undone");
    admin.get(&webhook).expect(200);
    admin.post(&remove, &[CONFIRMED]).expect(200);
    admin.get(&webhook).expect(404);
}

#[test]
fn an_alert_is_taken_note_of_by_an_administrator_and_not_by_a_reader() {
    let api = Api::open();
    let mut admin = Browser::of_first_administrator(&api.server);
    let mut rita = signed_in(&api, "rita", "reader");
    rita.get("/console/alerts").expect(200).saying("no open alerts");
    api.desk
        .json(&["instance", "limit", "esd", "--units-per-day", "2"]);
    let key = api.key("shop", "read,order", &[]);
    api.place(&key, "B-1", &[("Prefer", "wait=50")], &api.order(2))
        .expect(201);
    let page = rita.get("/console/alerts").expect(200).saying("Spending limit");
    assert!(!page.says("name=\"number\" value=\"1\""));
    rita.post("/console/alerts", &[("number", "1")]).expect(403);
    admin
        .get("/console/alerts")
        .expect(200)
        .saying("name=\"number\" value=\"1\"");
    admin.post("/console/alerts", &[]).expect(422).saying("Tick");
    admin.post("/console/alerts", &[("number", "99")]).expect(404);
    admin
        .post("/console/alerts", &[("number", "1")])
        .expect(200)
        .saying("no open alerts");
    rita.get("/console/alerts?show=all")
        .expect(200)
        .saying("Spending limit")
        .saying("by admin,");
}

#[test]
fn what_was_sold_is_found_with_its_charge_its_e_mail_and_who_ordered_it() {
    let api = Api::open();
    let mut admin = Browser::of_first_administrator(&api.server);
    let mut maria = signed_in(&api, "maria", "operator");
    let key = api.key("shop", "read,order", &[]);
    api.place(&key, "B-1", &[("Prefer", "wait=50")], &api.order(1))
        .expect(201);
    let charge = api.desk.json(&["charge", "list"])[0].clone();
    let number = text(&charge, "number");
    for path in [
        "/console/charges",
        "/console/charges?customer=C-1&instance=esd",
        "/console/report",
    ] {
        maria.get(path).expect(200).saying(number).saying("Beispiel GmbH");
    }
    for path in [
        "/console/charges?customer=C-2",
        "/console/charges?month=2020-01",
        "/console/credits",
        "/console/report?month=2020-01",
    ] {
        let page = maria.get(path).expect(200);
        assert!(!page.says(number), "{path}");
    }
    maria.get("/console/report?month=2020-13").expect(422);

    let mail = api.desk.json(&["mail", "list"])[0].clone();
    let mail = format!("/console/mails/{}", text(&mail, "id"));
    maria
        .get("/console/mails?state=pending&kind=welcome&customer=C-1")
        .expect(200)
        .saying(&mail);
    maria
        .get(&mail)
        .expect(200)
        .saying("it@beispiel.example")
        .saying("Try again now");
    maria.get(&format!("{mail}/preview")).expect(200).saying("*****");
    maria.post(&format!("{mail}/retry"), &[]).expect(200);
    let copies = format!("{mail}/copies");
    maria.post(&copies, &[CONFIRMED]).expect(403);
    admin
        .post(&copies, &[("to", "boss@beispiel.example")])
        .expect(200)
        .saying("boss@beispiel.example");
    // It waits still.
    admin.post(&copies, &[CONFIRMED]).expect(422);

    admin
        .get("/console/audit?actor=shop")
        .expect(200)
        .saying("The program shop placed <a href=\"&#x2f;console&#x2f;orders&#x2f;");
    let page = admin.get("/console/audit?actor=shop&act=sign-in").expect(200);
    page.saying("no such acts");
    admin
        .get("/console/audit?kind=operator&act=sign-in")
        .expect(200)
        .saying("</a> signed in")
        .saying("maria");
    let page = admin.get("/console/audit/digest").expect(200);
    let digest = copied(&page, "digest");
    admin
        .get(&format!("/console/audit/digest?noted={digest}"))
        .expect(200)
        .saying("among them");
    let other = "0".repeat(64);
    admin
        .get(&format!("/console/audit/digest?noted={other}"))
        .expect(200)
        .saying("noted digest");
    admin
        .get("/console/plugins")
        .expect(200)
        .saying("microsoft-esd")
        .saying("esd");
    for path in ["/console/audit", "/console/plugins"] {
        maria.get(path).expect(403);
    }
}
