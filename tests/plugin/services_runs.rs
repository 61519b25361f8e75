//! Runs of Get Services Definition against Microsoft: whatever happens to one, the catalog is the old or the new.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bss_model::{
    DifferenceFilter, DifferenceKind, Page, Product, ProductFilter, RunAction, RunLogFilter, RunLogLevel,
    RunState, ServicesRun, SortOrder,
};
use bss_record::Record;
use bss_simulator::{Catalog, Fault, Offer, Operation, Repeat};
use host_harness::{ExecutedRun, RunEnd, WorkOptions};
use proptest::prelude::{ProptestConfig, Strategy, prop, proptest};

use crate::cli::send_signal;
use crate::component::{bss_host, component};
use crate::record_place;
use crate::scenario::{INSTANCE, Scenario, actor, silent};

const LANGUAGES: [&str; 3] = ["en-US", "de-DE", "el-GR"];

/// The products on record, by code.
async fn products(record: &Record) -> Vec<Product> {
    let instance = record
        .instance(INSTANCE)
        .await
        .expect("a record")
        .expect("an instance");
    record
        .products(instance.id, &ProductFilter::default(), &Page::all())
        .await
        .expect("products")
        .rows
}

/// The runs on record, the latest first.
async fn runs(record: &Record) -> Vec<ServicesRun> {
    let instance = record
        .instance(INSTANCE)
        .await
        .expect("a record")
        .expect("an instance");
    let latest_first = Page::all().in_order(SortOrder::Descending);
    record
        .services_runs(instance.id, &latest_first)
        .await
        .expect("runs")
        .rows
}

/// Makes a run, which must end well.
async fn read(scenario: &Scenario) -> host_harness::CompletedRun {
    let run = scenario.host.fetch_services(INSTANCE, &actor(), silent()).await;
    run.expect("it is read")
}

/// `services fetch` as a process of its own, on a data directory.
fn fetch(data_dir: &Path) -> Child {
    let mut command = Command::new(bss_host());
    command
        .args(["services", "fetch", INSTANCE, "--data-dir"])
        .arg(data_dir)
        .env("BSS_PLUGIN", component())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    record_place::tell(&mut command, data_dir);
    command.spawn().expect("the program starts")
}

/// Waits until the program has said these words.
fn wait_for(child: &mut Child, words: &str) {
    let mut lines = BufReader::new(child.stderr.take().expect("its standard error")).lines();
    lines
        .find(|line| line.as_ref().is_ok_and(|line| line.contains(words)))
        .expect("it says so")
        .expect("text");
    // The rest is read too, because a full pipe would stop the program.
    std::thread::spawn(move || lines.count());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_items_are_left_out_with_a_line_each_and_the_rest_is_applied() {
    let scenario = Scenario::ready().await;
    let mut catalog = scenario.microsoft.catalog();
    let sold = |catalog: &Catalog| catalog.offers.len();
    let good = sold(&catalog);
    let like = |change: &dyn Fn(&mut Offer)| {
        let mut offer = scenario.microsoft.catalog().offers[0].clone();
        offer.offer_id = "BAD".to_owned();
        offer.offer_uri = "urn:bad".to_owned();
        change(&mut offer);
        offer
    };
    let named = |name: String| {
        like(&|offer: &mut Offer| {
            for text in offer.texts.values_mut() {
                text.name = name.clone();
            }
        })
    };
    catalog.offers.extend([
        named("x".repeat(10_000)),
        named("Office <b>2024</b>".to_owned()),
        named("Office\u{1b}[31m".to_owned()),
        like(&|offer| offer.offer_id = String::new()),
        like(&|offer| offer.offer_id = catalog.offers[0].offer_id.clone()),
    ]);
    assert_eq!(sold(&catalog), good + 5);
    scenario.microsoft.set_catalog(catalog);
    let run = scenario
        .host
        .fetch_services(INSTANCE, &actor(), silent())
        .await
        .expect("the catalog is read");
    assert_eq!((run.state, run.skipped), (RunState::CompletedWithErrors, 5));
    assert!(!run.difference.new.is_empty());
    let record = scenario.host.record();
    let log = record
        .services_run_log(run.run, &RunLogFilter::default(), &Page::all())
        .await
        .expect("a log")
        .rows;
    let skipped = log.iter().filter(|line| line.action == RunAction::Skipped);
    assert_eq!(skipped.count(), 5, "{log:?}");
    let recorded = &runs(record).await[0];
    assert_eq!(recorded.state, RunState::CompletedWithErrors);
    assert_eq!(recorded.counts.skipped, 5);
    assert!(
        recorded
            .progress
            .as_ref()
            .is_some_and(|progress| progress.done > 5)
    );
    let new = record
        .services_run_differences(run.run, &DifferenceFilter::default(), &Page::all())
        .await
        .expect("differences")
        .rows;
    assert_eq!(new.len(), run.difference.new.len());
    assert!(
        new.iter()
            .all(|difference| difference.kind == DifferenceKind::New)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_whose_item_can_not_be_read_is_sold_still_and_asked_for_again_next_time() {
    let scenario = Scenario::selling().await;
    let whole = scenario.microsoft.catalog();
    let codes: Vec<_> = scenario.offers().await;
    let [odd, gone, ..] = &codes[..] else {
        panic!("{codes:?}")
    };
    let mut catalog = whole.clone();
    catalog.offers.retain(|offer| offer.offer_id != *gone);
    let item = catalog.offers.iter_mut().find(|offer| offer.offer_id == *odd);
    for text in item.expect("the offer").texts.values_mut() {
        text.name = "Office <b>2024</b>".to_owned();
    }
    scenario.microsoft.set_catalog(catalog.clone());
    // Microsoft answers with the catalog the second time too, and not that nothing has changed since.
    for discontinued in [vec![gone.clone()], Vec::new()] {
        let run = read(&scenario).await;
        assert_eq!((run.skipped, run.unchanged), (1, false));
        assert_eq!(run.difference.discontinued, discontinued);
    }
    // An item without an id may be any product.
    let third = &codes[2];
    catalog.offers.retain(|offer| offer.offer_id != *third);
    for offer in &mut catalog.offers {
        if offer.offer_id == *odd {
            offer.offer_id = String::new();
        }
    }
    scenario.microsoft.set_catalog(catalog);
    let run = read(&scenario).await;
    assert_eq!((run.skipped, run.difference.discontinued.len()), (1, 0));
    scenario.microsoft.set_catalog(whole);
    let run = read(&scenario).await;
    assert_eq!((run.skipped, &run.difference.revived), (0, &vec![gone.clone()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_says_why_and_the_next_one_can_start_at_once() {
    let scenario = Scenario::selling().await;
    let before = products(scenario.host.record()).await;
    scenario.microsoft.set_catalog(Catalog::generated(3));
    let faults = scenario.microsoft.faults();
    faults.order(Operation::Catalog, Fault::RepeatContinuation, Repeat::Always);
    let failed = scenario.host.fetch_services(INSTANCE, &actor(), silent()).await;
    assert!(failed.is_err());
    let record = scenario.host.record();
    let run = runs(record).await.remove(0);
    assert_eq!(run.state, RunState::Failed);
    assert_eq!(run.reason.expect("a reason").code, "catalog-endless");
    let log = record
        .services_run_log(run.id, &RunLogFilter::default(), &Page::all())
        .await
        .expect("a log")
        .rows;
    assert_eq!(log.last().expect("a line").level, RunLogLevel::Error);
    assert_eq!(products(record).await, before);
    faults.clear();
    scenario.let_any_run_discontinue(INSTANCE).await;
    let run = scenario
        .host
        .fetch_services(INSTANCE, &actor(), silent())
        .await
        .expect("the catalog is read");
    assert_eq!((run.state, run.difference.new.len()), (RunState::Completed, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_one_process_reads_another_one_is_refused_and_an_interrupted_one_says_so() {
    let scenario = Scenario::ready().await;
    let slow = Fault::DelayAnswer(Duration::from_secs(60));
    scenario
        .microsoft
        .faults()
        .order(Operation::Catalog, slow, Repeat::Times(1));
    let mut child = fetch(&scenario.folder.path().join("bss"));
    wait_for(&mut child, "is in progress");
    let run = runs(scenario.host.record()).await.remove(0);
    let refused = scenario.host.fetch_services(INSTANCE, &actor(), silent()).await;
    let refused = refused.expect_err("one at a time").to_string();
    assert!(refused.contains(&run.id.to_string()), "{refused}");
    // The program handles the signal before it says that the run is in progress.
    send_signal("INT", &child);
    assert_eq!(child.wait().expect("it ends").code(), Some(3));
    let run = runs(scenario.host.record()).await.remove(0);
    assert_eq!(run.reason.expect("a reason").code, "interrupted");
    scenario.microsoft.faults().clear();
    scenario
        .host
        .fetch_services(INSTANCE, &actor(), silent())
        .await
        .expect("the next one starts at once");
}

/// Works for a run that was left to a worker, until `stop`, and answers with the one run that was heard of.
async fn worked(scenario: &Scenario, stop: impl Future<Output = ()>) -> ExecutedRun {
    let (heard, mut runs) = tokio::sync::mpsc::unbounded_channel();
    let options = WorkOptions::default().runs(Arc::new(move |run| {
        let _ = heard.send(run);
    }));
    let started = scenario.host.start_services_run(INSTANCE, &actor()).await;
    let started = started.expect("a run waits");
    let run = {
        let working = scenario.host.work(&options, stop);
        let mut working = std::pin::pin!(working);
        tokio::select! {
            run = runs.recv() => run,
            worked = &mut working => {
                worked.expect("the worker ends well");
                runs.recv().await
            }
        }
    };
    let run = run.expect("a run was executed");
    assert_eq!((run.run.id, run.instance.as_str()), (started, INSTANCE));
    run
}

#[tokio::test]
async fn a_host_that_works_executes_the_runs_that_wait_and_tells_of_each() {
    let scenario = Scenario::ready().await;
    let run = worked(&scenario, std::future::pending()).await;
    let RunEnd::Completed(completed) = run.end else {
        panic!("{run:?}");
    };
    assert_eq!(completed.run, run.run.id);
    let [recorded] = runs(scenario.host.record()).await.try_into().expect("one run");
    assert_eq!(recorded.state, RunState::Completed);
    assert_eq!(
        products(scenario.host.record()).await.len(),
        completed.difference.new.len()
    );
}

#[tokio::test]
async fn a_host_that_is_stopped_abandons_the_run_under_way_and_says_so() {
    let scenario = Scenario::ready().await;
    let slow = Fault::DelayAnswer(Duration::from_secs(60));
    let faults = scenario.microsoft.faults();
    faults.order(Operation::Catalog, slow, Repeat::Always);
    let record = scenario.host.record().clone();
    let stop = async move {
        while runs(&record).await.first().map(|run| run.state) != Some(RunState::InProgress) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let run = worked(&scenario, stop).await;
    assert!(matches!(run.end, RunEnd::Interrupted), "{run:?}");
    let [recorded] = runs(scenario.host.record()).await.try_into().expect("one run");
    assert_eq!(recorded.reason.expect("a reason").code, "interrupted");
    assert!(products(scenario.host.record()).await.is_empty());
}

/// A copy of a closed data directory, folders and all.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a directory");
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o700)).expect("its mode");
    for entry in std::fs::read_dir(from).expect("files") {
        let entry = entry.expect("an entry");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().expect("its type").is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).expect("a copy");
        }
    }
}

/// Another catalog of the same size: some offers gone, some new, all others renamed.
fn changed(catalog: &Catalog) -> Catalog {
    let mut changed = catalog.clone();
    let gone = changed.offers.len() / 10;
    changed.offers.drain(..gone);
    for offer in &mut changed.offers {
        for text in offer.texts.values_mut() {
            text.name.push_str(" II");
        }
    }
    for number in 0..gone {
        let mut offer = catalog.offers[number].clone();
        offer.offer_id = format!("NEW-{number}");
        offer.offer_uri = format!("urn:new:{number}");
        changed.offers.push(offer);
    }
    changed
}

/// The moment of a run at which a process is killed: `delay` after it has said `words`.
struct Moment {
    words: &'static str,
    delay: Duration,
}

/// Moments all over a run, drawn from a seed; the run takes `since_start` and `since_page` after either of two words.
fn moments(seed: u64, since_start: Duration, since_page: Duration) -> impl Iterator<Item = Moment> {
    let mut state = seed | 1;
    (0..20).map(move |number| {
        // Marsaglia's xorshift64, for a share of the time.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let share = f64::from(u32::try_from(state >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX);
        match number % 4 {
            0 => Moment {
                words: "is in progress",
                delay: since_start.mul_f64(share),
            },
            // Most moments are where things are written.
            _ => Moment {
                words: "read",
                delay: since_page.mul_f64(share),
            },
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_at_any_point_leaves_the_old_catalog_or_the_new_one() {
    let scenario = Scenario::ready().await;
    let catalog = Catalog::generated(2_000);
    scenario.microsoft.set_catalog(catalog.clone());
    scenario
        .host
        .fetch_services(INSTANCE, &actor(), silent())
        .await
        .expect("the old catalog");
    let old = products(scenario.host.record()).await;
    let data = scenario.folder.path().join("bss");
    scenario.host.record().clone().close().await;
    scenario.microsoft.set_catalog(changed(&catalog));

    // The first process is not killed: it shows what the new catalog is, and how long a run takes.
    let whole = scenario.folder.path().join("whole");
    copy(&data, &whole);
    let mut child = fetch(&whole);
    wait_for(&mut child, "is in progress");
    let started = Instant::now();
    assert!(child.wait().expect("it ends").success());
    let since_start = started.elapsed();
    let record = Record::open(&whole).await.expect("the record");
    let new = products(&record).await;
    assert_ne!(old, new);

    let seed = SystemTime::UNIX_EPOCH.elapsed().expect("a clock").subsec_nanos();
    let mut left_old = 0;
    for (number, moment) in moments(seed.into(), since_start, since_start).enumerate() {
        let data_of_this = scenario.folder.path().join(format!("killed-{number}"));
        copy(&data, &data_of_this);
        let mut child = fetch(&data_of_this);
        wait_for(&mut child, moment.words);
        std::thread::sleep(moment.delay);
        child.kill().expect("it can be killed");
        child.wait().expect("it has ended");
        let record = Record::open(&data_of_this).await.expect("the record");
        let left = products(&record).await;
        let run = runs(&record).await.remove(0);
        let context = format!("seed {seed}, moment {number}, {}", run.state);
        if left == old {
            left_old += 1;
            assert_eq!(run.state, RunState::InProgress, "{context}");
            // Once the run's lease is over, it is known to be dead, and the next one can start.
            assert!(run.lease_expires_at_ms.is_some(), "{context}: no lease");
            let now = bss_model::moment::uptime();
            let over = bss_model::moment::Uptime {
                ms: now.ms + 24 * 60 * 60 * 1_000,
                ..now
            };
            assert_eq!(record.end_dead_services_runs(over).await.expect("an answer"), 1);
            record
                .start_services_run(run.instance_id, None, &actor())
                .await
                .expect("the next one starts");
        } else {
            assert!(left == new, "neither the old catalog nor the new one: {context}");
            assert_eq!(run.state, RunState::Completed, "{context}");
        }
        record.close().await;
    }
    assert!(left_old > 0, "seed {seed}: no kill came in time");
}

/// An offer with one of a few codes, in every language.
fn offer(code: u8, renamed: u8) -> Offer {
    let mut offer = Catalog::generated(1).offers.remove(0);
    offer.offer_id = format!("O-{code}");
    offer.offer_uri = format!("urn:offer:{code}");
    for (language, text) in &mut offer.texts {
        text.name = format!("{} {code} {renamed}", name_in(language));
    }
    offer
}

fn name_in(language: &str) -> &'static str {
    match language {
        "de-DE" => "Büro",
        "el-GR" => "Γραφείο",
        _ => "Office",
    }
}

#[test]
fn any_sequence_of_microsoft_s_catalogs_leaves_what_the_model_says() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let scenario = runtime.block_on(Scenario::ready());
    let catalog = prop::collection::btree_map(0_u8..5, 0_u8..3, 1..5);
    let steps = prop::collection::vec((prop::sample::select(LANGUAGES.to_vec()), catalog), 2..5);
    let config = ProptestConfig {
        cases: 5,
        failure_persistence: None,
        // Each sequence starts with what the one before it left, so it can't be shrunk alone.
        max_shrink_iters: 0,
        ..ProptestConfig::default()
    };
    // The products by code: the name, and whether it is discontinued.
    let model = std::cell::RefCell::new(BTreeMap::<String, (String, bool)>::new());
    proptest!(config, |(steps in steps.boxed())| {
        for (language, offers) in steps {
            let mut model = model.borrow_mut();
            model.values_mut().for_each(|(_, discontinued)| *discontinued = true);
            for (code, renamed) in &offers {
                let name = format!("{} {code} {renamed}", name_in(language));
                model.insert(format!("O-{code}"), (name, false));
            }
            let stored = runtime.block_on(async {
                let catalog = Catalog {
                    offers: offers.iter().map(|(code, renamed)| offer(*code, *renamed)).collect(),
                    ..scenario.microsoft.catalog()
                };
                scenario.microsoft.set_catalog(catalog);
                let typed = [("language".to_owned(), language.to_owned())].into();
                assert!(scenario.configure(INSTANCE, &typed).await.saved);
                let fetched = scenario.host.fetch_services(INSTANCE, &actor(), silent()).await;
                fetched.expect("the catalog is read");
                products(scenario.host.record()).await
            });
            let stored: BTreeMap<_, _> = stored
                .into_iter()
                .map(|product| (product.offered.code, (product.offered.name, product.discontinued)))
                .collect();
            assert_eq!(stored, *model);
        }
    });
}
