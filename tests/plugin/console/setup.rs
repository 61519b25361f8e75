//! The console's setup: instances and their settings, certificates, runs of Get Services Definition, products.

use std::time::{Duration, Instant};

use crate::cli::Desk;
use crate::serve::{Api, PATIENCE};

use super::browser::{Browser, Page};
use super::idle;

/// The labels of the form, in the order of the platform's page.
const LABELS: [&str; 9] = [
    "System Name",
    "Recourse API",
    "Service URL",
    "Azure Active Directory Tenant",
    "Channel ID",
    "Client ID",
    "Certificate Thumbprint",
    "Country",
    "Language",
];

/// A server of a host with an instance that nobody has configured, and no certificate.
fn unconfigured() -> Api {
    let desk = Desk::open();
    desk.create();
    Api::of(desk, String::new(), &["--no-work"])
}

/// Imports the desk's PFX file with a code.
fn import(api: &Api, browser: &mut Browser<'_>, code: &str) -> Page {
    let file = std::fs::read(api.desk.detail("pfxFile")).expect("a PFX file");
    browser.upload("/console/certificates/import", &[("code", code)], ("file", &file))
}

/// Fills in fields of the form of `esd` as it is shown now, and saves it.
fn saves(browser: &mut Browser<'_>, values: &[(&str, &str)]) -> Page {
    let version = browser
        .get("/console/instances/esd/settings")
        .expect(200)
        .hidden("version");
    saves_on(browser, &version, values)
}

/// Fills in fields of the form of `esd` as it was at a version, and saves it.
fn saves_on(browser: &mut Browser<'_>, version: &str, values: &[(&str, &str)]) -> Page {
    let values = values
        .iter()
        .map(|(field, value)| (format!("value.{field}"), *value));
    let values: Vec<_> = values.collect();
    let mut fields = vec![("version", version)];
    fields.extend(values.iter().map(|(field, value)| (field.as_str(), *value)));
    browser.post("/console/instances/esd/settings", &fields)
}

/// The value that is saved of a field of `esd`.
fn saved(api: &Api, field: &str) -> String {
    let shown = api.desk.json(&["instance", "show", "esd"]);
    shown["values"][field].as_str().unwrap_or_default().to_owned()
}

/// A browser in which somebody is signed in who may only read.
fn reader(api: &Api) -> Browser<'_> {
    let made = api
        .desk
        .json(&["operator", "create", "maria", "--role", "reader"]);
    let invitation = made["invitation"].as_str().expect("an invitation");
    let mut browser = Browser::of(&api.server);
    browser.accepts(invitation, "maria");
    browser
}

#[test]
fn an_instance_is_made_and_its_name_and_currency_are_checked_at_their_fields() {
    let api = unconfigured();
    let mut browser = Browser::of_first_administrator(&api.server);
    let new = |name, currency| [("name", name), ("currency", currency)];
    let path = "/console/instances/new";
    browser
        .post(path, &new("greece", "EURO"))
        .expect(422)
        .saying("Error:")
        .saying("href=\"#currency\"")
        .saying("id=\"currency-problem\"")
        .saying("value=\"greece\"");
    browser
        .post(path, &new("esd", "EUR"))
        .expect(422)
        .saying("id=\"name-problem\"");
    browser
        .post(path, &new("greece", "EUR"))
        .expect(200)
        .saying("Settings of greece");
    browser.get("/console/instances").expect(200).saying("greece");
    browser
        .post("/console/instances/greece/removal", &[])
        .expect(200)
        .saying("Remove greece?");
    browser.get("/console/instances/greece").expect(200);
    browser
        .post("/console/instances/greece/removal", &[("confirmed", "yes")])
        .expect(200);
    browser.get("/console/instances/greece").expect(404);
}

#[test]
fn settings_are_saved_in_two_stages_once_every_problem_was_told_at_its_field() {
    let api = unconfigured();
    let mut browser = Browser::of_first_administrator(&api.server);
    let form = browser.get("/console/instances/esd/settings").expect(200);
    let places = LABELS.map(|label| form.html.find(&format!(">{label}")));
    assert!(
        places.is_sorted() && places[0].is_some(),
        "{places:?} in {form:#?}"
    );
    assert!(
        form.says("<fieldset disabled>") && form.says("Save the instance first"),
        "{form:#?}"
    );

    let mut wrong = api.desk.credentials();
    wrong[2].1 = "http://api.example.com/esd";
    wrong[3].1 = "contoso";
    wrong[5].1 = "";
    let refused = saves(&mut browser, &wrong).expect(422).saying("Error:");
    for field in ["service-url", "tenant", "client-id"] {
        assert!(
            refused.says(&format!("href=\"#value.{field}\"")),
            "{field} in {refused:#?}"
        );
        assert!(
            refused.says(&format!("id=\"value.{field}-problem\"")),
            "{field} in {refused:#?}"
        );
    }
    assert!(refused.says("value=\"contoso\"") && refused.says("Client ID is missing."));
    assert_eq!(saved(&api, "system-name"), "");

    saves(&mut browser, &api.desk.credentials())
        .expect(200)
        .saying("Now choose the certificate");
    import(&api, &mut browser, api.desk.detail("pfxCode")).expect(200);
    let chosen = [
        ("certificate-thumbprint", api.desk.detail("thumbprint")),
        ("country", "DE"),
        ("language", "de-DE"),
    ];
    let nothing = chosen.map(|(field, _)| (field, ""));
    saves(&mut browser, &nothing)
        .expect(422)
        .saying("href=\"#value.country\"")
        .saying("Choose: Country.");
    assert_eq!(api.desk.json(&["instance", "show", "esd"])["version"], 1);
    saves(&mut browser, &chosen)
        .expect(200)
        .saying("state-ready")
        .saying("Saved, and complete.");
    assert_eq!(saved(&api, "country"), "DE");
    browser
        .post("/console/instances/esd/connection-check", &[])
        .expect(200)
        .saying("The name of the server is resolved: passed")
        .saying("Every step passed.");
    browser
        .get("/console/instances/esd/settings/history")
        .expect(200)
        .saying("country")
        .saying("de-DE");
}

#[test]
fn a_form_that_somebody_else_saved_in_between_is_not_saved_and_what_was_typed_stands_in_it() {
    let api = idle();
    let mut browser = Browser::of_first_administrator(&api.server);
    let version = browser
        .get("/console/instances/esd/settings")
        .expect(200)
        .hidden("version");
    api.desk.set(&[("system-name", "theirs")]);
    let told = saves_on(&mut browser, &version, &[("system-name", "mine")])
        .expect(409)
        .saying("Somebody else saved in between")
        .saying("value=\"mine\"")
        .saying("Saved now: theirs");
    assert_eq!(saved(&api, "system-name"), "theirs");
    saves_on(&mut browser, &told.hidden("version"), &[("system-name", "mine")]).expect(200);
    assert_eq!(saved(&api, "system-name"), "mine");
}

#[test]
fn a_pfx_file_is_imported_and_a_wrong_code_is_told_and_not_shown_again() {
    let api = unconfigured();
    let mut browser = Browser::of_first_administrator(&api.server);
    let wrong = "a-code-that-is-wrong";
    let refused = import(&api, &mut browser, wrong)
        .expect(422)
        .saying("id=\"code-problem\"");
    assert!(!refused.says(wrong), "{refused:#?}");
    let thumbprint = api.desk.detail("thumbprint");
    let imported = import(&api, &mut browser, api.desk.detail("pfxCode"))
        .expect(200)
        .saying(thumbprint);
    assert!(
        imported.says("BEGIN CERTIFICATE") && !imported.says("PRIVATE KEY"),
        "{imported:#?}"
    );
    browser
        .get("/console/certificates")
        .expect(200)
        .saying(thumbprint);
    reader(&api).get("/console/certificates").expect(403);
    let removal = format!("/console/certificates/{thumbprint}/removal");
    browser.post(&removal, &[]).expect(200).saying("Go back");
    browser.post(&removal, &[("confirmed", "yes")]).expect(200);
    browser
        .get("/console/certificates")
        .expect(200)
        .saying("There is no certificate yet.");
}

#[test]
fn a_request_is_shown_in_pem_and_a_self_signed_certificate_with_what_a_vendor_is_given() {
    let api = unconfigured();
    let mut browser = Browser::of_first_administrator(&api.server);
    browser
        .post("/console/certificates/requests", &[])
        .expect(422)
        .saying("id=\"request-common-name-problem\"");
    browser
        .post(
            "/console/certificates/requests",
            &[("request-common-name", "esd.example.com")],
        )
        .expect(200)
        .saying("BEGIN CERTIFICATE REQUEST");
    let made = browser
        .post(
            "/console/certificates/self-signed",
            &[("make-common-name", "esd.example.com"), ("days", "30")],
        )
        .expect(200)
        .saying("BEGIN CERTIFICATE");
    assert!(!made.says("PRIVATE KEY"), "{made:#?}");
}

#[test]
fn a_run_is_started_and_watched_and_its_three_lists_are_shown() {
    let desk = Desk::open();
    desk.ready();
    let api = Api::of(desk, String::new(), &[]);
    let mut browser = Browser::of_first_administrator(&api.server);
    let started = browser.send("/console/instances/esd/runs", &[]).expect(303);
    let run = started.header("location").expect("the run").to_owned();
    let began = Instant::now();
    while browser
        .get(&format!("{run}/progress"))
        .expect(200)
        .header("x-live")
        != Some("over")
    {
        assert!(began.elapsed() < PATIENCE, "the run ends");
        std::thread::sleep(Duration::from_millis(200));
    }
    let page = browser
        .get(&run)
        .expect(200)
        .saying("ribbon-done")
        .saying("New products (")
        .saying("Existing products with changes (0)")
        .saying("Products that are discontinued (0)");
    assert!(!page.says("http-equiv=\"refresh\""), "{page:#?}");
    let log = browser.get(&format!("{run}/log")).expect(200);
    let named = log.header("content-disposition").expect("a file");
    assert!(named.starts_with("attachment; filename=\"run-"), "{named}");
    assert!(
        log.header("content-type")
            .is_some_and(|kind| kind.starts_with("text/plain"))
    );
    let id = run.rsplit('/').next().expect("an id").to_owned();
    let activate = [("run", id.as_str()), ("decision", "activate")];
    let path = "/console/instances/esd/products";
    browser.post(path, &activate).expect(200).saying("Go back");
    assert_eq!(
        api.desk.json(&["services", "products", "esd"])[0]["active"],
        false
    );
    let confirmed = [&activate[..], &[("confirmed", "yes")]].concat();
    browser
        .post(path, &confirmed)
        .expect(200)
        .saying("Products changed: ");
    assert_eq!(api.desk.json(&["services", "products", "esd"])[0]["active"], true);
}

#[test]
fn a_second_run_is_refused_with_the_way_to_the_one_that_is_open() {
    let api = idle();
    let mut browser = Browser::of_first_administrator(&api.server);
    let started = browser.send("/console/instances/esd/runs", &[]).expect(303);
    let run = started.header("location").expect("the run").to_owned();
    let id = run.rsplit('/').next().expect("an id");
    browser
        .get(&run)
        .expect(200)
        .saying("ribbon-running")
        .saying("http-equiv=\"refresh\"");
    browser
        .post("/console/instances/esd/runs", &[])
        .expect(409)
        .saying("A run is in progress.")
        .saying(id);
    reader(&api).post("/console/instances/esd/runs", &[]).expect(403);
}

#[test]
fn a_price_that_may_be_a_mistake_is_asked_for_again_before_it_is_set() {
    let api = idle();
    let mut browser = Browser::of_first_administrator(&api.server);
    let product = format!("/console/instances/esd/products/{}", api.offer);
    let path = format!("{product}/price");
    let of = |amount| [("amount", amount), ("currency", "EUR")];
    browser
        .post(&path, &of("a lot"))
        .expect(422)
        .saying("id=\"amount-problem\"")
        .saying("value=\"a lot\"");
    for (amount, said) in [
        ("-5", "less than 0"),
        ("1,234", "no amount"),
        ("149 USD", "no amount"),
    ] {
        browser
            .post(&path, &of(amount))
            .expect(422)
            .saying("id=\"amount-problem\"")
            .saying(said);
    }
    browser
        .post(&path, &of("0.00"))
        .expect(200)
        .saying("Is 0.00 EUR right?")
        .saying("The product would be free.");
    let back = [&of("0.00")[..], &[("change", "yes")]].concat();
    browser
        .post(&path, &back)
        .expect(200)
        .saying("name=\"amount\" type=\"text\" value=\"0.00\"");
    browser
        .get(&product)
        .expect(200)
        .saying("value=\"149.00\" data-currency");
    browser
        .post(&path, &of("150,00"))
        .expect(200)
        .saying("value=\"150.00\" data-currency");
    // A confirmation is of the doubts that were shown.
    let unasked = [&of("0.00")[..], &[("confirmed", "yes")]].concat();
    let asked = browser.post(&path, &unasked).expect(200);
    let reasons = asked.saying("Is 0.00 EUR right?").hidden("reasons");
    let confirmed = [&unasked[..], &[("reasons", &reasons)]].concat();
    browser
        .post(&path, &confirmed)
        .expect(200)
        .saying("value=\"0.00\" data-currency");
    browser
        .post(
            "/console/instances/esd/products",
            &[("decision", "publish"), ("product", &api.offer)],
        )
        .expect(200)
        .saying("Products changed: 1.");
    browser
        .post("/console/instances/esd/products", &[("decision", "publish")])
        .expect(422)
        .saying("Choose at least one product.");
    // A decision on the page of a product leads back to it, with what is missing before it can be ordered.
    browser
        .post(
            &format!("{product}/price-removal"),
            &[("currency", "EUR"), ("confirmed", "yes")],
        )
        .expect(200)
        .saying("has no price in EUR yet");
    let decides = |decision| {
        [
            ("decision", decision),
            ("product", &*api.offer),
            ("stay", &*api.offer),
        ]
    };
    browser
        .post("/console/instances/esd/products", &decides("deactivate"))
        .expect(200)
        .saying("can&#x27;t be ordered.");
    browser
        .post("/console/instances/esd/products", &decides("activate"))
        .expect(200)
        .saying("The product is active now.")
        .saying("has no price in EUR yet");
    let listed = browser
        .get("/console/instances/esd/products?state=active")
        .expect(200);
    listed.saying("no price yet");
    browser
        .get("/console/instances/esd/products?state=new")
        .expect(200);
    let form = browser.get("/console/orders/new").expect(200);
    assert!(!form.says(&api.offer), "{form:#?}");
}

#[test]
fn a_reader_sees_instances_and_is_refused_their_settings() {
    let api = idle();
    let mut browser = reader(&api);
    let listed = browser.get("/console/instances").expect(200).saying("esd");
    assert!(!listed.says("/settings"), "{listed:#?}");
    browser.get("/console/instances/esd").expect(200);
    browser.get("/console/instances/esd/runs").expect(200);
    browser
        .get("/console/instances/esd/products")
        .expect(200)
        .saying(&api.offer);
    browser.get("/console/instances/esd/settings").expect(403);
    let values = [("version", "1"), ("value.system-name", "mine")];
    browser
        .post("/console/instances/esd/settings", &values)
        .expect(403);
    browser
        .post("/console/instances/esd/disablement", &[("confirmed", "yes")])
        .expect(403);
    assert_eq!(saved(&api, "system-name"), "esd");
    browser.get("/console/prerequisites").expect(403);
}
