//! `bss-host report` and `bss-host reconcile`: what was charged and credited adds up, and a vendor's statement is compared with it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Output;

use bss_model::Asset;
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use serde_json::Value;

use crate::scenario::{ATTENTION, DONE, INSTANCE, REFUSED, Scenario, USAGE, assert_ends, result};

fn json(output: &Output) -> Value {
    assert_ends(output, DONE);
    result(output)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

/// The rows of a CSV file, each by its headings.
fn rows(output: &Output) -> Vec<BTreeMap<String, String>> {
    assert_ends(output, DONE);
    let rows = csv::Reader::from_reader(output.stdout.as_slice()).into_deserialize();
    rows.map(|row| row.expect("a row")).collect()
}

/// An amount of 1/100 from its decimal number.
fn minor(amount: &str) -> i64 {
    let (whole, part) = amount.split_once('.').expect("it has decimals");
    assert_eq!(part.len(), 2, "{amount}");
    format!("{whole}{part}").parse().expect("a number")
}

/// Amounts in minor units by currency.
type Sums = BTreeMap<String, i64>;

fn add(sums: &mut Sums, price: &Value) {
    let currency = price["currency"].as_str().expect("a currency").to_owned();
    *sums.entry(currency).or_default() += price["minorUnits"].as_i64().expect("an amount");
}

fn sums<'a>(prices: impl IntoIterator<Item = &'a Value>) -> Sums {
    let mut sums = Sums::new();
    prices.into_iter().for_each(|price| add(&mut sums, price));
    sums
}

/// Checks that each kind of sums of a report is that of `charge list` and `credit list` with the same options; returns the number
/// of charges.
fn assert_adds_up(scenario: &Scenario, options: &[&str]) -> usize {
    let run = |command: &[&str]| json(&scenario.bss_host(&[command, options, &["--json"]].concat()));
    let report = run(&["report"]);
    let (charges, credits) = (run(&["charge", "list"]), run(&["credit", "list"]));
    let charged = sums(list(&charges).iter().map(|charge| &charge["total"]));
    let credited = sums(list(&credits).iter().map(|credit| &credit["price"]));
    for kind in ["byCurrency", "byInstance", "byCustomer", "byProduct"] {
        let of = |what: &str| {
            let mut sums = sums(list(&report[kind]).iter().map(|sum| &sum[what]));
            sums.retain(|_, sum| *sum != 0);
            sums
        };
        assert_eq!(of("charged"), charged, "{kind} {options:?}");
        assert_eq!(of("credited"), credited, "{kind} {options:?}");
    }
    let entries = rows(&scenario.bss_host(&[&["report"], options, &["--csv"]].concat()));
    assert_eq!(entries.len(), list(&charges).len() + list(&credits).len());
    let balance: i64 = entries.iter().map(|entry| minor(&entry["amount"])).sum();
    assert_eq!(
        balance,
        charged.values().sum::<i64>() - credited.values().sum::<i64>()
    );
    list(&charges).len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_adds_up_to_the_charges_and_credits_of_its_days_in_every_time_zone() {
    let scenario = Scenario::selling().await;
    let offers = scenario.offers().await;
    let sold = scenario.order(&offers[0], 2).await;
    scenario.order(&offers[1], 1).await;
    json(&scenario.bss_host(&["asset", "cancel", &sold[0].id.to_string(), "--json"]));

    let charges = json(&scenario.bss_host(&["charge", "list", "--json"]));
    let charged_at_ms = charges[0]["chargedAtMs"].as_i64().expect("a time");
    let at = Timestamp::from_millisecond(charged_at_ms).expect("a time");
    let customer = charges[0]["customer"]["id"].as_str().expect("an id");
    // The earliest and the latest days of the world: at most times they are two days, and near a month's end two months.
    let mut found = Vec::new();
    for (zone, hours) in [("UTC", 0), ("Pacific/Kiritimati", 14), ("Etc/GMT+12", -12)] {
        let day = at.to_zoned(TimeZone::fixed(Offset::constant(hours))).date();
        let month = day.strftime("%Y-%m").to_string();
        let day = day.to_string();
        let zone = ["--time-zone", zone];
        for days in [
            vec!["--month", &month],
            vec!["--since", &day, "--until", &day],
            vec!["--since", &day, "--instance", INSTANCE],
            vec!["--until", &day, "--customer", customer],
        ] {
            found.push(assert_adds_up(&scenario, &[&days[..], &zone].concat()));
        }
        let before = at
            .to_zoned(TimeZone::UTC)
            .date()
            .saturating_sub(jiff::Span::new().days(40));
        let before = before.strftime("%Y-%m").to_string();
        assert_eq!(
            assert_adds_up(&scenario, &[&["--month", &before], &zone[..]].concat()),
            0
        );
    }
    assert!(found.iter().all(|charges| *charges >= 1), "{found:?}");

    let by = |what| rows(&scenario.bss_host(&["report", "--since", "2000-01-01", "--by", what, "--csv"]));
    let [sum] = <[_; 1]>::try_from(by("instance")).expect("one instance");
    assert_eq!((&*sum["name"], &*sum["currency"]), (INSTANCE, "EUR"));
    assert_eq!(
        [&*sum["charged"], &sum["credited"], &sum["balance"]],
        ["447.00", "149.00", "298.00"]
    );
    assert_eq!(by("product").len(), 2);
    let table = scenario.bss_host(&["report", "--since", "2000-01-01"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    for shown in [
        "ESD-000001",
        "ESD-CR-000001 for ESD-00000",
        "-149.00 EUR",
        "298.00 EUR",
    ] {
        assert!(table.contains(shown), "{table}");
    }
    for (options, code) in [
        (&[][..], USAGE),
        (&["--month", "2026-11", "--instance", "other"], REFUSED),
    ] {
        assert_ends(&scenario.bss_host(&[&["report"], options].concat()), code);
    }
}

/// A statement as a spreadsheet saves it in a country of decimal commas.
fn statement(assets: &[Asset], status: impl Fn(&Asset) -> &'static str) -> String {
    let mut text = "\u{feff}Lizenz;Vorgang;Produkt;Preis;Währung;Status\r\n".to_owned();
    for asset in assets {
        let name = |name: &Option<String>| name.clone().expect("it is bought");
        let (license, transaction) = (name(&asset.license_token_id), name(&asset.transaction_id));
        let (code, status) = (&asset.product_code, status(asset));
        let line = format!("\"{license}\";{transaction};{code};\"1.101,50 €\";EUR;{status}\r\n");
        text.write_str(&line).expect("text");
    }
    text
}

fn reconcile(scenario: &Scenario, text: &str, options: &[&str]) -> (i32, Value) {
    let file = scenario.folder.path().join("statement.csv");
    std::fs::write(&file, text).expect("the statement");
    let file = file.to_str().expect("text");
    let columns = [
        "license-token=Lizenz",
        "transaction=Vorgang",
        "product=Produkt",
        "price=Preis",
        "currency=Währung",
        "status=Status",
    ];
    let columns = columns.iter().flat_map(|column| ["--column", column]);
    let command = [
        "reconcile",
        "--instance",
        INSTANCE,
        "--statement",
        file,
        "--decimal-comma",
        "--json",
    ];
    let command: Vec<&str> = command
        .into_iter()
        .chain(columns)
        .chain(options.iter().copied())
        .collect();
    let output = scenario.bss_host(&command);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let first = text.lines().next().unwrap_or_default();
    let shown = serde_json::from_str(first).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code().expect("it ended by itself"), shown)
}

fn kinds(reconciled: &Value) -> Vec<&str> {
    let differences = list(&reconciled["differences"]).iter();
    differences
        .map(|one| one["kind"].as_str().expect("a word"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_says_what_the_record_says_has_no_differences_and_every_change_of_it_has() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let assets = scenario.order(&offer, 4).await;
    let whole = statement(&assets, |_| "Purchased");
    let (code, same) = reconcile(&scenario, &whole, &[]);
    assert_eq!((code, kinds(&same)), (DONE, vec![]), "{same}");
    assert_eq!(
        (same["lines"].as_u64(), same["licenses"].as_u64()),
        (Some(4), Some(4))
    );

    let license = |at: usize| assets[at].license_token_id.clone().expect("a license");
    let lines: Vec<&str> = whole.lines().collect();
    let stranger = lines[1].replace(&license(0), "00000000-0000-0000-0000-000000000001");
    for (changed, expected) in [
        (whole.replace(lines[2], ""), vec!["bought-here"]),
        (format!("{whole}{stranger}\r\n"), vec!["bought-there"]),
        (
            whole.replace(lines[3], &lines[3].replace("1.101,50", "1.101,51")),
            vec!["other-price"],
        ),
        (
            whole.replace(lines[4], &lines[4].replace("Purchased", "Returned")),
            vec!["returned-there"],
        ),
        (
            whole.replace(lines[1], &lines[1].replace(&offer, "another")),
            vec!["other-product"],
        ),
        (format!("{whole}{}\r\n", lines[1]), vec!["listed-twice"]),
    ] {
        let (code, found) = reconcile(&scenario, &changed, &[]);
        assert_eq!((code, kinds(&found)), (ATTENTION, expected), "{found}");
    }
    let (code, dear) = reconcile(&scenario, &whole, &["--charged-prices"]);
    assert_eq!((code, kinds(&dear)), (ATTENTION, vec!["other-price"; 4]));
    assert_eq!(dear["differences"][0]["expected"], "149.00 EUR");
    let (code, broken) = reconcile(&scenario, &whole.replace("1.101,50 €", "?"), &[]);
    assert_eq!(
        (code, broken["error"]["code"].as_str()),
        (REFUSED, Some("statement-invalid"))
    );

    let returned = assets[0].id.to_string();
    json(&scenario.bss_host(&["asset", "cancel", &returned, "--json"]));
    let settled = statement(&assets, |asset| match asset.id == assets[0].id {
        true => "Return accepted",
        false => "Purchased",
    });
    let (code, settled) = reconcile(&scenario, &settled, &[]);
    assert_eq!((code, kinds(&settled)), (DONE, vec![]), "{settled}");
    let (code, unknown) = reconcile(&scenario, &whole, &[]);
    assert_eq!((code, kinds(&unknown)), (ATTENTION, vec!["returned-here"]));
    assert_eq!(unknown["differences"][0]["assetId"], returned);
    let (code, before) = reconcile(
        &scenario,
        "Lizenz;Vorgang;Produkt;Preis;Währung;Status\r\n",
        &["--month", "2000-01"],
    );
    assert_eq!((code, before["licenses"].as_u64()), (DONE, Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_of_another_month_is_no_statement_without_differences() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let assets = scenario.order(&offer, 2).await;
    let whole = statement(&assets, |_| "Purchased");
    let day = |asset: &Asset| {
        let at = Timestamp::from_millisecond(asset.purchased_at_ms.expect("it is bought"));
        at.expect("a time").to_zoned(TimeZone::UTC).date().to_string()
    };
    let dated = whole
        .replace("Status\r\n", "Status;Tag\r\n")
        .replace("Purchased", &format!("Purchased;{}", day(&assets[0])));
    let date = ["--column", "date=Tag"];
    let (code, same) = reconcile(&scenario, &dated, &date);
    assert_eq!((code, kinds(&same)), (DONE, vec![]), "{same}");
    let month = ["--month", "2000-01"];
    for (text, options) in [(&dated, [&month[..], &date].concat()), (&whole, month.to_vec())] {
        let (code, other) = reconcile(&scenario, text, &options);
        assert_eq!((code, kinds(&other)), (REFUSED, vec![]), "{other}");
        assert_eq!(other["isOfAnotherTime"], true);
    }
    // A license that is not on record is a difference, whatever its time.
    let license = assets[0].license_token_id.clone().expect("a license");
    let stranger = whole.replace(&license, "00000000-0000-0000-0000-000000000001");
    let (code, found) = reconcile(&scenario, &stranger, &month);
    assert_eq!((code, kinds(&found)), (ATTENTION, vec!["bought-there"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn charges_are_listed_latest_first_and_go_on_after_a_place() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    scenario.order(&offer, 3).await;
    let all = json(&scenario.bss_host(&["charge", "list", "--json"]));
    let numbers = |charges: &Value| -> Vec<String> {
        let numbers = list(charges).iter().map(|charge| charge["number"].as_str());
        numbers
            .map(|number| number.expect("a number").to_owned())
            .collect()
    };
    let mut times: Vec<_> = list(&all)
        .iter()
        .map(|charge| charge["chargedAtMs"].as_i64())
        .collect();
    times.reverse();
    assert!(times.is_sorted(), "{times:?}");
    let first = scenario.bss_host(&["charge", "list", "--limit", "2", "--json"]);
    let place = String::from_utf8_lossy(&first.stderr).into_owned();
    let place = place.split('`').nth(1).expect("a place").to_owned();
    let place: Vec<&str> = place.split(' ').collect();
    let rest = scenario.bss_host(&[&["charge", "list", "--json"], &place[..]].concat());
    assert_eq!(
        [numbers(&json(&first)), numbers(&json(&rest))].concat(),
        numbers(&all)
    );
}

/// The names of a value and of what is within it, each as CSV has them; and those of which nothing is there.
fn names_within(name: &str, value: &Value, names: &mut Vec<String>, nothing: &mut Vec<String>) {
    let stripped = name
        .strip_suffix("Ms")
        .filter(|_| value.is_i64() || value.is_null());
    names.push(stripped.unwrap_or(name).to_owned());
    match value {
        Value::Null => nothing.push(name.to_owned()),
        Value::Array(all) if all.is_empty() => nothing.push(name.to_owned()),
        Value::Array(all) => all.iter().for_each(|one| names_within(name, one, names, nothing)),
        Value::Object(fields) => {
            for (field, value) in fields {
                let (letter, rest) = field.split_at(1);
                let within = format!("{name}{}{rest}", letter.to_uppercase());
                names_within(&within, value, names, nothing);
            }
        }
        _ => {}
    }
}

/// Fails unless each heading of a CSV is a name of the JSON objects.
fn assert_headings_are_names(command: &[&str], csv: &Output, listed: &Value) {
    let (mut names, mut nothing) = (Vec::new(), Vec::new());
    for one in list(listed) {
        for (name, value) in one.as_object().expect("an object") {
            names_within(name, value, &mut names, &mut nothing);
        }
    }
    let mut reader = csv::Reader::from_reader(csv.stdout.as_slice());
    for heading in reader.headers().expect("headings") {
        // Money has its currency in the next column; what is optional is beside nothing.
        let is_name = names.iter().any(|name| name == heading)
            || nothing.iter().any(|name| heading.starts_with(name.as_str()))
            || heading.starts_with("differences");
        assert!(
            list(listed).is_empty() || is_name,
            "`{heading}` of {command:?} is in no JSON: {names:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_is_csv_with_the_values_of_its_json() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let sold = scenario.order(&offer, 2).await;
    json(&scenario.bss_host(&[
        "asset",
        "cancel",
        &sold[0].id.to_string(),
        "--comment",
        "=1+1",
        "--json",
    ]));
    let run = json(&scenario.bss_host(&["services", "runs", INSTANCE, "--json"]))[0]["id"].clone();
    let run = run.as_str().expect("an id");
    for (command, name) in [
        (vec!["certificate", "list"], "thumbprint"),
        (vec!["certificate", "expiring"], "thumbprint"),
        (vec!["certificate", "requests"], "publicKey"),
        (vec!["plugin", "list"], "sha256"),
        (vec!["instance", "list"], "id"),
        (vec!["services", "runs", INSTANCE], "id"),
        (vec!["services", "log", run], "message"),
        (vec!["services", "products", INSTANCE], "productCode"),
        (vec!["charge", "list"], "number"),
        (vec!["credit", "list"], "number"),
        (vec!["mail", "list"], "id"),
        (vec!["alert", "list", "--all"], "number"),
        (vec!["audit", "list"], "number"),
        (vec!["asset", "cancellations"], "id"),
        (vec!["asset", "list"], "licenseTokenId"),
        (vec!["order", "list"], "id"),
        (vec!["customer", "erased"], "id"),
    ] {
        let listed = json(&scenario.bss_host(&[&command[..], &["--json"]].concat()));
        let csv = scenario.bss_host(&[&command[..], &["--csv"]].concat());
        let found: Vec<String> = rows(&csv)
            .into_iter()
            .map(|mut row| row.remove(name).expect("a column"))
            .collect();
        let expected = list(&listed).iter().map(|one| match &one[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        assert_eq!(found, expected.collect::<Vec<_>>(), "{command:?}");
        assert_headings_are_names(&command, &csv, &listed);
        let both = scenario.bss_host(&[&command[..], &["--csv", "--json"]].concat());
        assert_ends(&both, USAGE);
    }
    let report = ["report", "--since", "2000-01-01"];
    let entries = json(&scenario.bss_host(&[&report[..], &["--json"]].concat()))["entries"].clone();
    let csv = scenario.bss_host(&[&report[..], &["--csv"]].concat());
    assert_headings_are_names(&report, &csv, &entries);
    let cancellation = rows(&scenario.bss_host(&["asset", "cancellations", "--csv"])).remove(0);
    assert_eq!(cancellation["comment"], "'=1+1");
    let at = cancellation["requestedAt"]
        .parse::<Timestamp>()
        .expect("ISO 8601");
    let listed = json(&scenario.bss_host(&["asset", "cancellations", "--json"]));
    assert_eq!(listed[0]["requestedAtMs"], at.as_millisecond());
}
