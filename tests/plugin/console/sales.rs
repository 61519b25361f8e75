//! Orders, licenses, cancellations and customers in the console.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::browser::{Browser, Page};
use crate::orders_cli::text;
use crate::serve::{Api, PATIENCE};

/// A browser in which an operator with those rights is signed in.
fn signed_in<'a>(api: &'a Api, name: &str, rights: &[&str]) -> Browser<'a> {
    let create = [&["operator", "create", name], rights].concat();
    let invited = api.desk.json(&create);
    let mut browser = Browser::of(&api.server);
    browser.accepts(text(&invited, "invitation"), name);
    browser
}

fn reader(api: &Api) -> Browser<'_> {
    signed_in(api, "rita", &["--role", "reader"])
}

fn operator(api: &Api) -> Browser<'_> {
    signed_in(api, "maria", &["--role", "operator"])
}

/// What somebody types into the form of an order.
pub(crate) fn order<'a>(api: &'a Api, key: &'a str, quantity: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("key", key),
        ("instance", "esd"),
        ("lines[0].productCode", &api.offer),
        ("lines[0].quantity", quantity),
        ("lines[1].productCode", ""),
        ("lines[1].quantity", ""),
        ("customer.id", "C-1"),
        ("customer.name", "Beispiel GmbH"),
        ("customer.country", "DE"),
        ("contact.email", "it@beispiel.example"),
        ("contact.language", "de-DE"),
    ]
}

/// A form that is sent from the page that has shown its prices, each of a line.
pub(crate) fn confirmed<'a>(fields: &[(&'a str, &'a str)], prices: &'a str) -> Vec<(&'a str, &'a str)> {
    [fields, &[("confirmed", "yes"), ("prices", prices)]].concat()
}

/// The page of the first license that is bought.
fn licensed(api: &Api) -> String {
    let key = api.key("shop", "read,order", &[]);
    let placed = api.place(&key, "BASKET-7", &[("Prefer", "wait=50")], &api.order(1));
    let placed = placed.expect(201);
    assert_eq!(text(&placed, "state"), "licensed");
    format!("/console/assets/{}", text(&placed["assets"][0], "id"))
}

/// The page once it says that.
fn waits(browser: &mut Browser, path: &str, for_text: &str) -> Page {
    let began = Instant::now();
    loop {
        let page = browser.get(path).expect(200);
        if page.says(for_text) || began.elapsed() > PATIENCE {
            return page.saying(for_text);
        }
        sleep(Duration::from_millis(100));
    }
}

/// What an operator has done, the latest last.
fn acts_of(api: &Api, name: &str) -> Vec<String> {
    let acts = api.desk.json(&["audit", "list"]);
    let acts = acts.as_array().expect("acts").iter();
    let of = acts.filter(|act| act["actor"]["name"] == name && act["subject"]["kind"] != "operator");
    of.map(|act| text(act, "act").to_owned()).collect()
}

/// The cancellation that the banner of a license asks to decide.
fn to_decide(page: &Page) -> String {
    const AT: &str = "action=\"/console/cancellations/";
    let (_, rest) = page.html.split_once(AT).expect("a cancellation");
    let id = rest.split('/').next().expect("an id");
    format!("/console/cancellations/{id}")
}

#[test]
fn an_order_is_checked_and_confirmed_and_placed_once_although_its_form_is_sent_twice() {
    let api = Api::open();
    let mut browser = operator(&api);
    let new = "/console/orders/new";
    let key = browser.get(new).expect(200).saying(&api.offer).hidden("key");
    assert_ne!(browser.get(new).hidden("key"), key);

    let mut wrong = order(&api, &key, "0");
    wrong.retain(|(name, _)| *name != "customer.country");
    let wrong = browser.post(new, &confirmed(&wrong, "14900EUR")).expect(422);
    assert_eq!(wrong.hidden("key"), key);
    wrong
        .saying("href=\"#customer.country\"")
        .saying("id=\"customer.country-problem\"")
        .saying("href=\"#lines[0].quantity\"")
        .saying("value=\"Beispiel GmbH\"")
        .saying("value=\"it@beispiel.example\"");
    let nowhere = [("key", key.as_str()), ("instance", "nowhere")];
    browser
        .post(new, &nowhere)
        .expect(422)
        .saying("href=\"#instance\"");

    let typed = order(&api, &key, "2");
    let asked = browser.post(new, &typed).expect(200);
    assert_eq!(asked.hidden("key"), key);
    let prices = asked.hidden("prices");
    asked
        .saying("Place this order?")
        .saying("Beispiel GmbH")
        .saying(&api.offer)
        .saying("298.00 EUR");
    browser.get("/console/orders").saying("There are no such orders.");

    // A price that somebody changes meanwhile is told, and confirmed again.
    let price = |minor_units: &str| {
        let words = ["product", "price", "esd", &api.offer, "--currency", "EUR"];
        api.desk
            .json(&[&words[..], &["--minor-units", minor_units, "--yes"]].concat());
    };
    price("15900");
    let repriced = browser.post(new, &confirmed(&typed, &prices)).expect(200);
    repriced.saying("A price has changed").saying("318.00 EUR");
    browser.get("/console/orders").saying("There are no such orders.");
    price("14900");

    let placed = browser.send(new, &confirmed(&typed, &prices)).expect(303);
    let to = placed.header("location").expect("an order");
    let (order, done) = to.split_once('?').expect("it says what was done");
    assert_eq!(done, "done=order-placed");
    let order = order.to_owned();
    for again in [confirmed(&typed, &prices), typed.clone()] {
        let again = browser.send(new, &again).expect(303);
        let to = format!("{order}?done=order-there");
        assert_eq!(again.header("location"), Some(to.as_str()));
    }
    let again = browser.get(&format!("{order}?done=order-there")).expect(200);
    again.saying("This order exists already");
    assert!(!browser.get(&order).says("This order exists already"));
    assert_eq!(
        api.desk.json(&["order", "list"]).as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(acts_of(&api, "maria"), ["place-order"]);
    let mut other = typed;
    other[3].1 = "3";
    let used = browser.post(new, &confirmed(&other, &prices)).expect(422);
    assert_ne!(used.saying("role=\"alert\"").hidden("key"), key);

    waits(&mut browser, &order, "state-licensed")
        .saying(&key)
        .saying("Beispiel GmbH")
        .saying("298.00 EUR");
    let lines = browser.get(&format!("{order}/lines"));
    assert_eq!(lines.header("x-live"), Some("over"));
    browser
        .get("/console/orders?customer=C-1&state=licensed")
        .saying(&order);
    browser
        .get("/console/orders?customer=C-2")
        .saying("There are no such orders.");
    let next = browser.get(new).hidden("key");
    let repeated = browser.post(new, &self::order(&api, &next, "2"));
    repeated
        .expect(200)
        .saying("The same customer ordered the same products");
}

#[test]
fn what_was_typed_into_the_form_of_an_order_is_read_as_what_it_means_and_can_be_changed_and_is_never_lost() {
    let api = Api::with(&["--no-work"]);
    let mut browser = operator(&api);
    let new = "/console/orders/new";
    let page = browser.get(new).expect(200).saying(">Germany</option>");
    assert!(!page.says("lines[3].productCode"));
    let key = page.hidden("key");
    let lower = api.offer.to_lowercase();
    let sold = api.desk.json(&["services", "products", "esd", "--on-sale"]);
    let mut products = sold.as_array().expect("products").iter();
    let offer = products.find(|product| product["productCode"] == api.offer.as_str());
    let name = text(offer.expect("the offer"), "productName").to_owned();
    let mut typed = order(&api, &key, "");
    typed[8].1 = "germany";
    for product in [lower.as_str(), name.as_str()] {
        typed[2].1 = product;
        let asked = browser.post(new, &typed).expect(200).saying("Place this order?");
        assert_eq!(asked.hidden("lines[0].productCode"), api.offer);
        assert_eq!(asked.hidden("lines[0].quantity"), "1");
        assert_eq!(asked.hidden("customer.country"), "DE");
        // The button beside the one that places it.
        let prices = asked.hidden("prices");
        let back = [&confirmed(&typed, &prices)[..], &[("change", "yes")]].concat();
        browser
            .post(new, &back)
            .expect(200)
            .saying("value=\"Beispiel GmbH\"")
            .saying("Check the order");
    }
    let more = [&typed[..], &[("rows", "more")]].concat();
    browser
        .post(new, &more)
        .expect(200)
        .saying("value=\"Beispiel GmbH\"")
        .saying("name=\"lines[4].productCode\"");

    for (field, value, said) in [
        (2, "no such thing", "“no such thing”"),
        (3, "1,5", "“1,5” is no quantity"),
        (8, "XX", "“XX” is no country"),
        (8, "Germani", "“Germani” is no country"),
    ] {
        let mut wrong = order(&api, &key, "1");
        wrong[field].1 = value;
        let at = format!("id=\"{}-problem\"", wrong[field].0);
        browser
            .post(new, &wrong)
            .expect(422)
            .saying("Please correct this")
            .saying(&at)
            .saying(said)
            .saying("value=\"Beispiel GmbH\"");
    }
    // A language that was worked out for a country not chosen yet does not stand in the form afterwards.
    let mut unchosen = order(&api, &key, "1");
    (unchosen[8].1, unchosen[10].1) = ("", "");
    let again = browser.post(new, &unchosen).expect(422);
    let language = again.html.split("name=\"contact.language\"").nth(1);
    let language = language.and_then(|rest| rest.split('>').next());
    assert!(
        language.is_some_and(|field| field.contains("value=\"\"")),
        "{language:?}"
    );
    unchosen[8].1 = "DE";
    browser.post(new, &unchosen).expect(200).saying("(de-DE)");

    let mut odd = order(&api, &key, "1");
    (odd[9].1, odd[10].1) = ("jane@x", "klingon");
    browser
        .post(new, &odd)
        .expect(200)
        .saying("Place this order?")
        .saying("no mail server of the Internet")
        .saying("a language is written as in");
    assert_eq!(
        api.desk.json(&["order", "list"]).as_array().map(Vec::len),
        Some(0)
    );
}

#[test]
fn a_customer_on_record_is_filled_in_and_one_of_another_name_is_told_before_anything_is_ordered() {
    let api = Api::with(&["--no-work"]);
    let mut browser = operator(&api);
    let new = "/console/orders/new";
    let key = browser.get(new).hidden("key");
    let typed = order(&api, &key, "1");
    let asked = browser.post(new, &typed).expect(200);
    assert!(!asked.says("is another"), "{asked:#?}");
    browser
        .post(new, &confirmed(&typed, &asked.hidden("prices")))
        .expect(200);
    let customer = browser.get("/console/customers/C-1").expect(200);
    customer.saying("/console/orders/new?customer=C-1&amp;instance=");
    let filled = browser.get("/console/orders/new?customer=C-1").expect(200);
    let filled = filled
        .saying("value=\"C-1\"")
        .saying("value=\"Beispiel GmbH\"")
        .saying("value=\"it@beispiel.example\"")
        .saying("value=\"de-DE\"")
        .saying("<option value=\"DE\" selected>");
    let key = filled.hidden("key");
    let mut other = order(&api, &key, "1");
    (other[7].1, other[8].1, other[10].1) = ("Fabrikam AG", "AT", "");
    let asked = browser.post(new, &other).expect(200);
    asked
        .saying("(de-DE)")
        .saying("On record, customer C-1 is another: Beispiel GmbH, DE")
        .saying("This order says: Fabrikam AG, AT.");
}

#[test]
fn what_is_not_bought_is_not_known_yet_and_is_withdrawn_once_that_was_confirmed() {
    let api = Api::with(&["--no-work"]);
    let mut browser = operator(&api);
    let key = browser.get("/console/orders/new").hidden("key");
    let typed = order(&api, &key, "1");
    let prices = browser.post("/console/orders/new", &typed).hidden("prices");
    let shown = browser
        .post("/console/orders/new", &confirmed(&typed, &prices))
        .expect(200);
    let shown = shown.saying("state-open").saying("Not known yet");
    assert!(!shown.says("state-licensed") && !shown.says("state-refused"));
    let order = text(&api.desk.json(&["order", "list"])[0], "id").to_owned();
    let withdrawal = format!("/console/orders/{order}/withdrawal");
    let asked = browser.post(&withdrawal, &[]).expect(200);
    let asset = asked.saying("Beispiel GmbH").hidden("asset");
    browser
        .get(&format!("/console/assets/{asset}"))
        .saying("state-unsynchronised")
        .saying("not known yet");
    reader(&api)
        .post(&withdrawal, &[("confirmed", "yes"), ("asset", &asset)])
        .expect(403);
    browser
        .post(&withdrawal, &[("confirmed", "yes"), ("asset", &asset)])
        .expect(200)
        .saying("state-withdrawn");
}

#[test]
fn a_reader_sees_orders_and_can_not_place_one() {
    let api = Api::with(&["--no-work"]);
    let mut browser = reader(&api);
    let list = browser.get("/console/orders").expect(200);
    assert!(!list.says("/console/orders/new"));
    browser
        .get("/console/orders/new")
        .expect(403)
        .saying("nly operators and administrators may do this")
        .saying("right-missing");
    let placed = browser.post(
        "/console/orders/new",
        &confirmed(&order(&api, "B-1", "1"), "14900EUR"),
    );
    placed.expect(403).saying("right-missing");
    assert_eq!(
        api.desk.json(&["order", "list"]).as_array().map(Vec::len),
        Some(0)
    );
}

#[test]
fn a_key_is_masked_until_an_operator_who_may_is_shown_it_which_is_on_record() {
    let api = Api::open();
    let asset = licensed(&api);
    let id = asset.rsplit('/').next().expect("an id");
    let whole = api.desk.json(&["asset", "show", id, "--show-keys"]);
    let (key, link) = (text(&whole, "productKey"), text(&whole, "activationLink"));
    let (_, token) = link.split_once("token=").expect("a token");
    let token = token.split('&').next().expect("its text");
    let reveal = format!("{asset}/key");

    let mut without = operator(&api);
    let page = without.get(&asset).expect(200).saying("*****-");
    assert!(!page.says(key) && !page.says(token) && !page.says(&reveal));
    let refused = without.post(&reveal, &[]).expect(403).saying("right-missing");
    assert!(!refused.says(key));
    assert!(acts_of(&api, "maria").is_empty());

    let mut with = signed_in(&api, "paula", &["--role", "reader", "--reveal"]);
    let page = with.get(&asset).expect(200).saying(&reveal);
    assert!(!page.says(key) && !page.says(token));
    with.get(&reveal).expect(404);
    assert!(acts_of(&api, "paula").is_empty());
    let shown = with.post(&reveal, &[]).expect(200).saying(key).saying(token);
    assert_eq!(shown.header("cache-control"), Some("no-store"));
    assert_eq!(acts_of(&api, "paula"), ["show-keys"]);
    let mut administrator = Browser::of_first_administrator(&api.server);
    administrator
        .get(&asset)
        .saying("was shown the product key of <a")
        .saying("paula");
}

#[test]
fn the_vendor_is_asked_about_a_license_and_one_that_is_there_is_not_bought_again() {
    let api = Api::open();
    let asset = licensed(&api);
    let (refresh, retry) = (format!("{asset}/refresh"), format!("{asset}/retry"));
    let mut reader = reader(&api);
    for path in [&refresh, &retry] {
        reader.post(path, &[("confirmed", "yes")]).expect(403);
    }
    let mut browser = operator(&api);
    browser.post(&refresh, &[]).expect(200).saying("state-unused");
    let page = browser.get(&asset).expect(200);
    assert!(!page.says(&retry));
    browser
        .post(&retry, &[])
        .expect(200)
        .saying("Try again to buy this license?")
        .saying("149.00 EUR");
    browser
        .post(&retry, &[("confirmed", "yes")])
        .expect(409)
        .saying("role=\"alert\"")
        .saying("has-license")
        .saying("state-licensed");
    assert!(acts_of(&api, "maria").is_empty());
}

#[test]
fn a_request_for_a_cancellation_waits_in_a_banner_until_somebody_declines_or_confirms_it() {
    let api = Api::open();
    let asset = licensed(&api);
    let cancel = format!("{asset}/cancellation");
    let request = [("confirmed", "yes"), ("how", "request"), ("comment", "too many")];
    let mut reader = reader(&api);
    reader.get(&cancel).expect(403);
    reader.post(&cancel, &request).expect(403);

    let mut browser = operator(&api);
    browser
        .get(&cancel)
        .expect(200)
        .saying("Beispiel GmbH")
        .saying("149.00 EUR");
    let page = browser.post(&cancel, &request).expect(200);
    let waiting = to_decide(&page.saying("class=\"banner\"").saying("too many").saying("maria"));
    browser.get("/console/cancellations").saying(&waiting);
    browser.get(&waiting).expect(200).saying("class=\"banner\"");
    let seen = reader.get(&asset).saying("class=\"banner\"");
    assert!(!seen.says("/console/cancellations/"));
    for decision in ["confirmation", "declination", "withdrawal"] {
        let path = format!("{waiting}/{decision}");
        reader.post(&path, &[("confirmed", "yes")]).expect(403);
    }
    browser
        .post(&cancel, &request)
        .expect(409)
        .saying("role=\"alert\"");

    let decline = format!("{waiting}/declination");
    browser
        .post(&decline, &[("comment", "they need it")])
        .expect(200)
        .saying("state-declined")
        .saying("they need it");
    browser.post(&decline, &[]).expect(409).saying("role=\"alert\"");

    let waiting = to_decide(&browser.post(&cancel, &request).expect(200));
    let confirm = format!("{waiting}/confirmation");
    browser
        .post(&confirm, &[("comment", "fine")])
        .expect(200)
        .saying("Return this license?")
        .saying("Beispiel GmbH")
        .saying("149.00 EUR")
        .saying("value=\"fine\"");
    browser.get(&asset).saying("class=\"banner\"");
    browser
        .post(&confirm, &[("comment", "fine"), ("confirmed", "yes")])
        .expect(200);
    let page = waits(&mut browser, &asset, "state-cancelled").saying("state-done");
    assert!(!page.says("class=\"banner\""));
    let queue = browser.get("/console/cancellations").saying("state-done");
    assert!(
        !queue.says("/console/cancellations/recent"),
        "nothing moves in it"
    );
    let recent = browser.get("/console/cancellations/recent").expect(200);
    assert_eq!(recent.header("x-live"), Some("over"));
    // The e-mail that brought the license can be looked at still.
    let mails = api.desk.json(&["mail", "list"]);
    let mut mails = mails.as_array().expect("e-mails").iter();
    let welcome = mails.find(|mail| mail["kind"] == "welcome").expect("one");
    let preview = format!("/console/mails/{}/preview", text(welcome, "id"));
    browser
        .get(&preview)
        .expect(200)
        .saying("it@beispiel.example")
        .saying("*****");
    let order = format!("/console/orders/{}", text(welcome, "orderId"));
    browser.get(&order).saying("Returned or cancelled since: 1 of 1.");
}

#[test]
fn the_queue_of_cancellations_follows_a_license_that_is_being_returned() {
    let mut api = Api::open();
    let asset = licensed(&api);
    api.desk.stop_microsoft();
    let order = text(&api.desk.json(&["order", "list"])[0], "id").to_owned();
    let mut browser = operator(&api);
    let page = browser.get(&format!("/console/orders/{order}"));
    assert!(!page.says("Returned or cancelled"));
    let request = [("confirmed", "yes"), ("how", "request")];
    let waiting = to_decide(
        &browser
            .post(&format!("{asset}/cancellation"), &request)
            .expect(200),
    );
    browser
        .post(&format!("{waiting}/confirmation"), &[("confirmed", "yes")])
        .expect(200);
    let queue = browser.get("/console/cancellations").saying("state-returning");
    queue.saying("data-live=\"/console/cancellations/recent\"");
    let recent = browser.get("/console/cancellations/recent").expect(200);
    assert_eq!(recent.header("x-live"), None);
    recent.saying("state-returning");
}

#[test]
fn a_customer_is_found_by_a_part_of_its_name_and_shown_with_what_it_ordered() {
    let api = Api::open();
    let asset = licensed(&api);
    let mut browser = reader(&api);
    let found = browser.get("/console/find?text=beispiel").expect(200);
    found.saying("/console/customers/C-1?instance=");
    browser
        .get("/console/find?text=BASKET-7")
        .saying("/console/orders/");
    browser.get("/console/find?text=zz").saying("three characters");
    browser
        .get("/console/find?text=nobody-at-all")
        .saying("Nothing on record");
    browser
        .get("/console/customers")
        .saying("/console/customers/C-1?");
    browser
        .get("/console/customers/C-1?instance=esd")
        .expect(200)
        .saying("Beispiel GmbH")
        .saying("it@beispiel.example")
        .saying("149.00 EUR");
    browser.get("/console/customers/C-2").expect(404);
    browser
        .get("/console/assets?customer=C-1&state=licensed")
        .saying(&asset);
    let overdue = browser.get("/console/assets?customer=C-1&overdue=yes");
    overdue.saying("There are no such licenses.");
    browser.get("/console/assets?state=odd").expect(422);
}
