//! Benchmarks measure the same thing twice: in the sandbox, and as the plugin's code compiled for the host.

use std::sync::{Arc, Mutex};

use bss_bench::{CannedAnswers, Reading, Site};
use bss_sandbox::bindings::failures::ReadFailure;
use bss_simulator::Catalog;
use host_harness::CallEvent;
use proptest::prelude::{Just, ProptestConfig, Strategy, prop, prop_oneof};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::component::component;
use crate::scenario::DONE;

/// The offers of the catalog: three pages.
const OFFERS: u32 = 1_200;

/// A change to a field of an item on its way.
#[derive(Clone, Debug)]
struct Damage {
    offer: u32,
    field: &'static str,
    value: Option<Value>,
}

fn damage() -> impl Strategy<Value = Damage> {
    let fields = prop::sample::select(vec![
        "offerId",
        "offerUri",
        "name",
        "shortDescription",
        "minQuantity",
        "maxQuantity",
        "isReturnable",
        "status",
    ]);
    let values = prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        Just(Some(json!("Discontinued"))),
        // The first offer's id, and its offer URI: duplicates.
        Just(Some(json!("GEN-000001"))),
        Just(Some(json!("urn:ms-esd:offer:GEN-000001"))),
        Just(Some(json!("<b>markup</b>"))),
        Just(Some(json!("n".repeat(10_000)))),
        Just(Some(json!("two\nlines\u{202e}"))),
        Just(Some(json!({ "nested": [1, 2] }))),
        (-1_i64..1_000).prop_map(|number| Some(json!(number))),
        // No colon and no hyphen: the sandbox takes links and keys out of a log, and the native twin does not.
        "[^\\pC:\\-]{0,300}".prop_map(|text| Some(json!(text))),
    ];
    (1..=OFFERS, fields, values).prop_map(|(offer, field, value)| Damage { offer, field, value })
}

/// The answers with those items damaged.
fn damaged(whole: &CannedAnswers, damages: &[Damage]) -> CannedAnswers {
    whole.rewritten(|_, body| {
        let mut page: Value = serde_json::from_slice(body).expect("JSON");
        let Some(items) = page["items"].as_array_mut() else {
            return body.clone();
        };
        let first = items.first().and_then(|item| item["offerId"].as_str());
        let first: u32 = first
            .and_then(|id| id.strip_prefix("GEN-")?.parse().ok())
            .expect("an id");
        for Damage { offer, field, value } in damages {
            let item = offer
                .checked_sub(first)
                .and_then(|index| items.get_mut(index as usize));
            if let Some(fields) = item.and_then(Value::as_object_mut) {
                match value {
                    Some(value) => fields.insert((*field).to_owned(), value.clone()),
                    None => fields.remove(*field),
                };
            }
        }
        page.to_string().into()
    })
}

/// Makes a reading, and returns all that it tells: how it ended, every product, every line of the log and all progress.
async fn told(site: &Site, canned: &CannedAnswers, sandboxed: bool) -> (Reading, Vec<CallEvent>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = events.clone();
    let call = site
        .call(Arc::new(move |event| {
            if !matches!(event, CallEvent::Ended { .. }) {
                heard.lock().expect("a listener").push(event);
            }
        }))
        .await
        .expect("a call");
    let call = Site::from_memory(call, canned);
    let reading = if sandboxed {
        site.read_sandboxed(call).await
    } else {
        site.read_natively(call).await
    };
    let events = events.lock().expect("the listener").clone();
    (reading.expect("an answer"), events)
}

/// The reading of both twins, which must agree in everything but the correlation ids of exchanges.
async fn both(site: &Site, canned: &CannedAnswers) -> (Reading, Vec<CallEvent>) {
    let (mut sandboxed, in_sandbox) = told(site, canned, true).await;
    let (mut native, natively) = told(site, canned, false).await;
    assert_eq!(in_sandbox, natively);
    for reading in [&mut sandboxed, &mut native] {
        if let Err(
            ReadFailure::Malformed(problem)
            | ReadFailure::Misconfigured(problem)
            | ReadFailure::Refused(problem),
        ) = &mut reading.answer
        {
            problem.correlation_id.clear();
        }
    }
    assert_eq!(format!("{:?}", sandboxed.answer), format!("{:?}", native.answer));
    assert!(sandboxed.guest_memory_bytes > 0 && native.guest_memory_bytes == 0);
    (sandboxed, in_sandbox)
}

async fn site() -> (Site, CannedAnswers) {
    let site = Site::start(component()).await.expect("a site");
    site.simulator().set_catalog(Catalog::generated(OFFERS));
    let canned = site.take_down().await.expect("the catalog is read");
    (site, canned)
}

#[test]
fn the_sandboxed_and_the_native_twin_make_the_same_of_every_catalog() {
    let runtime = Runtime::new().expect("a runtime");
    let (site, whole) = runtime.block_on(site());
    let (reading, _) = runtime.block_on(both(&site, &whole));
    let (_, products) = reading.answer.expect("it is read to its end");
    assert_eq!(products.len(), OFFERS as usize);

    let mut runner = TestRunner::new(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let mut left_out = 0;
    let seen = std::cell::RefCell::new(&mut left_out);
    runner
        .run(&prop::collection::vec(damage(), 0..40), |damages| {
            let canned = damaged(&whole, &damages);
            let (reading, _) = runtime.block_on(both(&site, &canned));
            let (_, products) = reading.answer.expect("one bad item does not spoil the others");
            **seen.borrow_mut() += OFFERS as usize - products.len();
            Ok(())
        })
        .expect("the twins agree");
    assert!(left_out > 0, "some damage was done");
    runtime.block_on(site.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_twins_fail_alike_where_a_page_can_t_be_read_or_leads_in_a_circle() {
    let (site, whole) = site().await;
    let cut = whole.rewritten(|_, body| body.slice(..body.len() - 1));
    // Every page but the last names the second one as the next, as the first one does. The access token is among
    // the answers, too, and names none.
    let mut second = Value::Null;
    let _ = whole.rewritten(|uri, body| {
        let page: Value = serde_json::from_slice(body).expect("JSON");
        let is_first = !uri.query().unwrap_or_default().contains("continuation=");
        if is_first && page["continuation"].is_string() {
            second = page["continuation"].clone();
        }
        body.clone()
    });
    assert!(second.is_string());
    let circle = whole.rewritten(|_, body| {
        let mut page: Value = serde_json::from_slice(body).expect("JSON");
        if page["continuation"].is_string() {
            page["continuation"] = second.clone();
        }
        page.to_string().into()
    });
    for (broken, code) in [(cut, "answer-unreadable"), (circle, "catalog-endless")] {
        let (reading, _) = both(&site, &broken).await;
        match reading.answer {
            Err(ReadFailure::Malformed(problem)) => assert_eq!(problem.code, code),
            other => panic!("{other:?}"),
        }
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_the_twins_make_the_same_of_the_standard_catalog() {
    let site = Site::start(component()).await.expect("a site");
    let silent: host_harness::CallListener = Arc::new(|_| ());
    let sandboxed = site.read_sandboxed(site.call(silent.clone()).await.expect("a call"));
    let sandboxed = sandboxed.await.expect("an answer");
    let native = site.read_natively(site.call(silent).await.expect("a call"));
    let native = native.await.expect("an answer");
    assert!(sandboxed.answer.is_ok());
    assert_eq!(format!("{:?}", sandboxed.answer), format!("{:?}", native.answer));
    let seen = site.simulator().connections();
    assert_eq!(
        seen.len(),
        1,
        "both came over one connection, with one certificate"
    );
    site.stop().await;
}

#[test]
fn bench_services_gives_every_figure_and_says_which_goals_were_not_measured() {
    let output = std::process::Command::new(crate::component::bss_host())
        .args(["bench", "services", "--offers", "100", "--json", "--plugin"])
        .arg(component())
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(DONE), "{output:?}");
    let figures = crate::scenario::result(&output);
    let size = &figures["sizes"][0];
    assert_eq!((&size["offers"], &size["products"]), (&json!(100), &json!(100)));
    // The answers are an access token and one page.
    assert_eq!(size["answers"]["count"], 2);
    let number = |pointer: &str| size.pointer(pointer).and_then(Value::as_f64).expect("a figure");
    assert!((100.0 * 100.0..100.0 * 1_000.0).contains(&number("/answers/bodyBytes")));
    assert!((1.0..10_000.0).contains(&number("/answers/headBytes")));
    assert!((1024.0 * 1024.0..=64.0 * 1024.0 * 1024.0).contains(&number("/guestMemoryBytes")));
    for way in ["overTls", "fromMemory"] {
        for figure in [
            "sandboxed/bestSeconds",
            "native/medianSeconds",
            "ratio",
            "ratioOfMedians",
        ] {
            assert!(number(&format!("/{way}/{figure}")) > 0.0, "{way} {figure}");
        }
    }
    for figure in ["allNewSeconds", "unchangedSeconds"] {
        assert!(number(&format!("/record/{figure}")) > 0.0);
    }
    let goals = figures["goals"].as_array().expect("goals");
    assert_eq!(goals.len(), 6);
    assert!(
        goals
            .iter()
            .all(|goal| goal["met"].is_null() && goal["max"].is_number())
    );
}

#[test]
fn a_catalog_of_no_size_is_not_measured() {
    for offers in ["0", "1000001", "many"] {
        let output = std::process::Command::new(crate::component::bss_host())
            .args(["bench", "services", "--offers", offers])
            .output()
            .expect("the program runs");
        assert_eq!(output.status.code(), Some(crate::scenario::USAGE), "{offers}");
    }
}

/// Runs `bss-host bench`, and returns what it prints as JSON.
fn bench(arguments: &[&str]) -> Value {
    let output = std::process::Command::new(crate::component::bss_host())
        .args(["bench"])
        .args(arguments)
        .args(["--json", "--plugin"])
        .arg(component())
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(DONE), "{output:?}");
    crate::scenario::result(&output)
}

#[test]
fn bench_calls_opens_no_more_connections_than_are_in_use_at_once_and_lends_none() {
    let sizes = [
        "--requests",
        "400",
        "--rounds",
        "1",
        "--interleaved",
        "400",
        "--instances",
        "6",
    ];
    let figures = bench(&[&["calls"][..], &sizes].concat());
    let number = |pointer: &str| {
        let figure = figures.pointer(pointer).and_then(Value::as_f64);
        figure.unwrap_or_else(|| panic!("{pointer} in {figures}"))
    };
    for kind in ["sandboxed", "native"] {
        let opened = number(&format!("/connectionsOpened/{kind}"));
        assert!((1.0..=32.0).contains(&opened), "{kind}: {opened}");
    }
    assert_eq!(number("/interleaved/lent"), 0.0);
    let by_certificate = figures["interleaved"]["requestsByCertificate"]
        .as_object()
        .expect("a map");
    let served: Vec<_> = by_certificate.values().map(Value::as_u64).collect();
    assert_eq!(served, [Some(200), Some(200)], "each by its own certificate");
    for figure in [
        "/loading/cached/bestMicroseconds",
        "/loading/compiledMicroseconds",
        "/fromMemory/sandboxed/medianMicroseconds",
        "/fromMemory/native/medianMicroseconds",
        "/fromMemory/preparing/medianMicroseconds",
        "/answeredAtOnce/ratio",
        "/answeredAtOnce/timesConnectionPerRequest",
        "/answeredAtOnce/requestAlone/bestPerSecond",
        "/answeredAfter20Milliseconds/ratioOfMedians",
        "/machine/processors",
    ] {
        assert!(number(figure) > 0.0, "{figure}");
    }
    for (way, kind) in [
        ("inUse", "sandboxed"),
        ("inUse", "native"),
        ("idle", "sandboxed"),
        ("idle", "native"),
    ] {
        assert_eq!(number(&format!("/resident/{way}/{kind}/instances")), 6.0);
        assert!(number(&format!("/resident/{way}/{kind}/allBytes")) > 1024.0 * 1024.0);
    }
    let goals = figures["goals"].as_array().expect("goals");
    assert_eq!(goals.len(), 9);
    let not_judged: Vec<_> = goals
        .iter()
        .filter(|goal| goal["met"].is_null())
        .map(|goal| &goal["id"])
        .collect();
    assert_eq!(
        not_judged,
        [
            "connections-opened",
            "resident-idle-instance",
            "resident-instance-in-use",
            "lent-connections"
        ],
        "goals are about other sizes"
    );
}

#[test]
fn bench_measures_everything_in_one_run_and_draws_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("bench.svg");
    let figures = bench(&["--quick", "--plot", picture.to_str().expect("UTF-8")]);
    for bench in ["calls", "services", "orders", "lists", "api"] {
        assert!(figures[bench]["goals"].is_array(), "{bench} in {figures}");
    }
    assert!(figures["machine"]["processors"].is_number());
    let picture = std::fs::read_to_string(picture).expect("a picture");
    assert!(picture.starts_with("<svg") && picture.contains("32 at once, answered at once"));
}
