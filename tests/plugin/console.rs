//! The console of `bss-host serve`, as a browser without script uses it.

pub(crate) mod browser;
mod demo;
mod house;
pub(crate) mod sales;
mod setup;

use bss_console::{OpenTo, PAGES};
use bss_model::{ApiScope, OperatorRole};

use crate::orders_cli::text;
use crate::serve::Api;

use self::browser::{Browser, PASSWORD};

/// A server, with no worker beside it, and nothing that is ordered.
fn idle() -> Api {
    Api::with(&["--no-work"])
}

#[test]
fn the_first_administrator_chooses_a_password_by_a_link_that_is_good_once_and_signs_in_and_out() {
    let api = idle();
    let mut browser = Browser::of_first_administrator(&api.server);
    browser
        .get("/console/")
        .expect(200)
        .saying("Overview")
        .saying("admin");
    let invitation = api.server.invitation.clone().expect("an invitation");
    let path = invitation.split_once("/console").expect("a path").1;
    let mut other = Browser::of(&api.server);
    other
        .get(&format!("/console{path}"))
        .expect(404)
        .saying("invitation");
    other.get("/console/orders").expect(200).saying("Sign in");
    browser.post("/console/sign-out", &[]).saying("Sign in");
    browser.get("/console/").saying("Sign in");
    browser
        .signs_in("admin", "four words of a Page")
        .expect(401)
        .saying("wrong");
    browser.signs_in("nobody", PASSWORD).expect(401).saying("wrong");
    browser.signs_in("admin", PASSWORD).expect(200).saying("Overview");
}

/// A path of a page whose variable parts name nothing that is there.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part.starts_with('{') {
        true => "00000000-0000-0000-0000-000000000001",
        false => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// What an operator may do, by what was said when he or she was made.
fn may(scope: ApiScope, role: OperatorRole, may_reveal: bool) -> bool {
    match scope {
        ApiScope::Reveal => may_reveal,
        ApiScope::Read => true,
        ApiScope::Order | ApiScope::Cancel => role != OperatorRole::Reader,
        ApiScope::Configure | ApiScope::Administer => role == OperatorRole::Administrator,
    }
}

#[test]
fn every_page_is_open_to_those_who_may_and_to_nobody_else() {
    let api = idle();
    for (name, role, may_reveal) in [
        ("rita", OperatorRole::Reader, false),
        ("rolf", OperatorRole::Reader, true),
        ("oleg", OperatorRole::Operator, false),
        ("anna", OperatorRole::Administrator, false),
    ] {
        let mut words = vec!["operator", "create", name, "--role", role.word()];
        words.extend(may_reveal.then_some("--reveal"));
        let invited = api.desk.json(&words);
        let mut browser = Browser::of(&api.server);
        browser.accepts(text(&invited, "invitation"), name);
        for page in PAGES {
            let OpenTo::Operators(scope) = page.open_to else {
                continue;
            };
            // It would end the session.
            if page.path == "/console/sign-out" {
                continue;
            }
            let path = filled(page.path);
            let answer = match page.method {
                "GET" => browser.ask("GET", &path, &[], b""),
                _ => browser.send(&path, &[]),
            };
            let is_refused = answer.status == 403 && answer.says("right-missing");
            assert_eq!(
                is_refused,
                !may(scope, role, may_reveal),
                "{name}: {page:?}: {answer:#?}"
            );
            assert!(answer.status < 500, "{name}: {page:?}: {answer:#?}");
        }
        browser.get("/console/me").expect(200).saying(name);
    }
}

#[test]
fn nobody_who_is_not_signed_in_is_shown_a_page_or_has_a_form_carried_out() {
    let api = idle();
    let mut browser = Browser::of(&api.server);
    for page in PAGES {
        if page.open_to == OpenTo::All {
            continue;
        }
        let path = filled(page.path);
        match page.method {
            "GET" => {
                let answer = browser.ask("GET", &path, &[], b"").expect(303);
                let to = answer.header("location").unwrap_or_default();
                assert!(
                    to.starts_with("/console/sign-in?to=%2Fconsole%2F"),
                    "{page:?}: {to}"
                );
            }
            _ => drop(browser.send(&path, &[]).expect(401).saying("Sign in")),
        }
    }
}

#[test]
fn a_form_of_another_origin_is_refused_everywhere_and_every_answer_says_what_a_browser_must_not_do() {
    let api = idle();
    let mut browser = Browser::of_first_administrator(&api.server);
    for page in PAGES {
        let path = filled(page.path);
        if page.method == "POST" {
            for origin in [
                &[("sec-fetch-site", "cross-site")][..],
                &[("sec-fetch-site", "same-site")],
                &[("origin", "https://evil.example")],
                &[],
            ] {
                let answer = browser.ask("POST", &path, origin, b"").expect(403);
                assert!(answer.says("other-origin"), "{page:?}: {answer:#?}");
            }
        }
        let answer = browser.ask("GET", &path, &[], b"");
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"),
            "{page:?}: {answer:#?}"
        );
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{page:?}");
        }
        if !page.path.starts_with("/console/static/") {
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{page:?}");
        }
    }
    assert!(browser.get("/console/").says("Overview"), "it is signed in still");
}

#[test]
fn what_was_typed_when_the_session_had_ended_is_kept_shown_and_sent_only_when_somebody_says_so() {
    let api = idle();
    let mut browser = Browser::of_first_administrator(&api.server);
    browser.forgets();
    let typed = [
        ("name", "nordwind"),
        ("currency", "EUR"),
        ("secret.pin", "the-secret"),
        ("password", "a password"),
    ];
    let asked = browser.post("/console/instances/new", &typed).expect(401);
    assert!(asked.says("nordwind"), "{asked:#?}");
    for secret in ["the-secret", "a password"] {
        assert!(!asked.says(secret), "{asked:#?}");
    }
    let kept = asked.hidden("kept.name");
    let fields = [
        ("name", "admin"),
        ("password", PASSWORD),
        ("to", "/console/instances/new"),
        ("kept.name", kept.as_str()),
        ("kept.currency", "EUR"),
    ];
    let shown = browser.post("/console/sign-in", &fields).expect(200);
    let shown = shown.saying("nothing was done yet").saying("nordwind");
    let names = || api.desk.json(&["instance", "list"]).to_string();
    assert!(
        !names().contains("nordwind"),
        "nothing is done before somebody says so"
    );
    let again = [
        ("name", shown.hidden("name")),
        ("currency", shown.hidden("currency")),
    ];
    let again = again.each_ref().map(|(name, value)| (*name, value.as_str()));
    browser.post("/console/instances/new", &again).expect(200);
    assert!(names().contains("nordwind"));
}

#[test]
fn an_order_that_was_typed_when_the_session_had_ended_is_read_by_its_labels_and_leads_back_to_its_form() {
    let api = idle();
    let mut browser = Browser::of_first_administrator(&api.server);
    browser.forgets();
    let typed = [
        ("key", "a-key"),
        ("instance", "esd"),
        ("lines[0].productCode", api.offer.as_str()),
        ("lines[1].quantity", ""),
        ("customer.id", "C-1"),
    ];
    browser
        .post("/console/orders/new", &typed)
        .expect(401)
        .saying("name=\"kept.key\"");
    let kept: Vec<_> = typed
        .iter()
        .map(|(name, value)| (format!("kept.{name}"), *value))
        .collect();
    let mut fields = vec![
        ("name", "admin"),
        ("password", PASSWORD),
        ("to", "/console/orders/new"),
    ];
    fields.extend(kept.iter().map(|(name, value)| (name.as_str(), *value)));
    let shown = browser.post("/console/sign-in", &fields).expect(200);
    let shown = shown
        .saying("Product 1")
        .saying("Customer&#x27;s id")
        .saying("Back to the form");
    for technical in ["<td>a-key</td>", ">lines[", "Product 2", "Quantity 2"] {
        assert!(!shown.says(technical), "{technical} in {shown:#?}");
    }
    let change = shown.hidden("change");
    let again = [&typed[..], &[("change", change.as_str())]].concat();
    browser
        .post("/console/orders/new", &again)
        .expect(200)
        .saying("Check the order")
        .saying("value=\"C-1\"");
}

#[test]
fn a_sixth_wrong_password_in_a_minute_waits_and_so_does_the_right_one() {
    let api = idle();
    let mut browser = Browser::of_first_administrator(&api.server);
    let mut other = Browser::of(&api.server);
    for _ in 0..5 {
        other.signs_in("admin", "a wrong password").expect(401);
    }
    other.signs_in("admin", PASSWORD).expect(429).saying("Too many");
    browser.get("/console/").expect(200).saying("Overview");
}

#[test]
fn an_instance_is_made_with_the_servers_that_its_plugin_may_ask_for_besides_and_no_odd_one() {
    let api = idle();
    let mut browser = Browser::of_first_administrator(&api.server);
    let made = |hosts: &'static str| [("name", "nordwind"), ("currency", "EUR"), ("hosts", hosts)];
    let odd = browser
        .post("/console/instances/new", &made("login.example https://x"))
        .expect(422);
    odd.saying("href=\"#hosts\"").saying("value=\"nordwind\"");
    browser
        .post(
            "/console/instances/new",
            &made("login.example  other.example:8443"),
        )
        .expect(200);
    let shown = api.desk.json(&["instance", "show", "nordwind"]).to_string();
    for host in ["login.example", "other.example:8443"] {
        assert!(shown.contains(host), "{host} in {shown}");
    }
}
