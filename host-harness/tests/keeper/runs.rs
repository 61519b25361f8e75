//! Runs of Get Services Definition: one at a time, under a lease, applied as a whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bss_model::clock::millis;
use bss_model::moment::Uptime;
use bss_model::{
    Advice, Choice, Decision, Diagnose as _, DifferenceFilter, DifferenceKind, NewProduct, Page, Problem,
    Product, ProductFilter, RunAction, RunCounts, RunLease, RunLogFilter, RunLogLevel, RunLogLine,
    RunProgress, RunState,
};
use bss_record::{ApplyError, EndRunError, Record, StartRunError};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_oneof, proptest};
use uuid::Uuid;

use crate::record::{TestRecord, actor, ready_instance, settings};
use crate::services::{definition, product};

pub(crate) fn lease() -> RunLease {
    RunLease {
        owner: Uuid::new_v4(),
        length: Duration::from_secs(60),
    }
}

/// The lease of a process that has died long ago.
fn dead_lease() -> RunLease {
    RunLease {
        length: Duration::ZERO,
        ..lease()
    }
}

fn line(offer: &str) -> RunLogLine {
    RunLogLine {
        at_ms: 1,
        level: RunLogLevel::Warning,
        offer: offer.to_owned(),
        action: RunAction::Skipped,
        message: "left out".to_owned(),
    }
}

fn reason() -> Problem {
    Problem {
        code: "malformed".to_owned(),
        message: "The page can't be read.".to_owned(),
        advice: String::new(),
        correlation_id: String::new(),
    }
}

/// The state of a run, and the code of its reason.
async fn state(record: &Record, run: Uuid) -> (RunState, Option<String>) {
    let run = record.services_run(run).await.unwrap().unwrap();
    (run.state, run.reason.map(|reason| reason.code))
}

/// Reads a catalog in a run of its own.
async fn read(record: &Record, instance: Uuid, products: Vec<NewProduct>) -> Uuid {
    let lease = lease();
    let run = record
        .start_services_run(instance, Some(lease), &actor())
        .await
        .unwrap();
    record
        .complete_services_run(run, lease, 1, definition(products), 0)
        .await
        .unwrap();
    run
}

#[tokio::test]
async fn a_second_start_is_refused_and_names_the_run_there_is() {
    let record = TestRecord::open().await;
    let esd = ready_instance(&record, "esd", None).await.id;
    let other = ready_instance(&record, "other", None).await.id;
    let held = lease();
    let run = record
        .start_services_run(esd, Some(held), &actor())
        .await
        .unwrap();
    for again in [None, Some(lease())] {
        let error = record.start_services_run(esd, again, &actor()).await.unwrap_err();
        assert!(
            matches!(&error, StartRunError::Running { run: there, .. } if there.id == run),
            "{error:?}"
        );
        assert!(error.to_string().contains(&run.to_string()), "{error}");
    }
    record
        .start_services_run(other, Some(lease()), &actor())
        .await
        .unwrap();
    record.complete_services_run_unchanged(run, held).await.unwrap();
    let next = record.start_services_run(esd, None, &actor()).await.unwrap();
    let error = record
        .start_services_run(esd, Some(lease()), &actor())
        .await
        .unwrap_err();
    assert_eq!(error.diagnosis().advice, Some(Advice::StartWorker));
    assert_eq!(state(&record, next).await, (RunState::NotStarted, None));
}

#[tokio::test]
async fn of_many_starts_at_once_one_succeeds() {
    let record = TestRecord::open().await;
    let esd = ready_instance(&record, "esd", None).await.id;
    let starts = (0..8).map(|_| {
        let record = (*record).clone();
        tokio::spawn(async move {
            record
                .start_services_run(esd, Some(lease()), &actor())
                .await
                .is_ok()
        })
    });
    let mut started = 0;
    for start in starts.collect::<Vec<_>>() {
        started += usize::from(start.await.unwrap());
    }
    assert_eq!(started, 1);
    assert_eq!(
        record.services_runs(esd, &Page::all()).await.unwrap().rows.len(),
        1
    );
}

#[tokio::test]
async fn a_lease_of_another_boot_holds_nobody_up() {
    let record = TestRecord::open().await;
    let esd = ready_instance(&record, "esd", None).await.id;
    let dead = record
        .start_services_run(esd, Some(lease()), &actor())
        .await
        .unwrap();
    let of_another_boot = "UPDATE services_runs SET lease_boot = 'another'";
    record.database().execute(of_another_boot).await;
    record
        .start_services_run(esd, Some(lease()), &actor())
        .await
        .unwrap();
    assert_eq!(
        state(&record, dead).await,
        (RunState::Failed, Some("process-died".to_owned()))
    );
}

#[tokio::test]
async fn a_run_whose_process_died_has_failed_and_can_be_started_again() {
    let record = TestRecord::open().await;
    let esd = ready_instance(&record, "esd", None).await.id;
    read(&record, esd, vec![product("a", "Office")]).await;
    let gone = dead_lease();
    let dead = record
        .start_services_run(esd, Some(gone), &actor())
        .await
        .unwrap();
    let held = lease();
    let next = record
        .start_services_run(esd, Some(held), &actor())
        .await
        .unwrap();
    assert_eq!(
        state(&record, dead).await,
        (RunState::Failed, Some("process-died".to_owned()))
    );
    let log = record
        .services_run_log(dead, &RunLogFilter::default(), &Page::all())
        .await
        .unwrap()
        .rows;
    assert!(
        matches!(&log[..], [only] if only.level == RunLogLevel::Error && only.message.contains("The process that executed the run ended")),
        "{log:?}"
    );

    // The process taken for dead was only asleep: whatever it still tries is refused, and changes nothing.
    let late = record
        .complete_services_run(dead, gone, 1, definition(vec![]), 0)
        .await
        .unwrap_err();
    assert!(matches!(late, EndRunError::LeaseLost { .. }), "{late:?}");
    let late = record
        .report_services_run(dead, gone, None, 0, &[line("x")])
        .await
        .unwrap_err();
    assert!(matches!(late, EndRunError::LeaseLost { .. }), "{late:?}");
    let late = record.fail_services_run(dead, gone, &reason()).await.unwrap_err();
    assert!(matches!(late, EndRunError::LeaseLost { .. }), "{late:?}");
    assert!(!record.product(esd, "a").await.unwrap().unwrap().discontinued);
    assert_eq!(state(&record, next).await, (RunState::InProgress, None));
    record.complete_services_run_unchanged(next, held).await.unwrap();
}

#[tokio::test]
async fn a_renewed_lease_holds_and_one_that_is_not_runs_out() {
    let record = TestRecord::open().await;
    let esd = ready_instance(&record, "esd", None).await.id;
    let short = dead_lease();
    let run = record
        .start_services_run(esd, Some(short), &actor())
        .await
        .unwrap();
    let renewed = RunLease {
        length: Duration::from_secs(60),
        ..short
    };
    let progress = RunProgress {
        done: 500,
        total: None,
        unit: "offers".to_owned(),
    };
    record
        .report_services_run(run, renewed, Some(&progress), 0, &[])
        .await
        .unwrap();
    assert!(
        record
            .start_services_run(esd, Some(lease()), &actor())
            .await
            .is_err()
    );
    let shown = record.services_run(run).await.unwrap().unwrap();
    assert_eq!(shown.progress, Some(progress));
    assert!(shown.lease_expires_at_ms.is_some());
    let now = record.uptime();
    let length_ms = millis(lease().length);
    let in_time = Uptime {
        ms: now.ms + length_ms / 2,
        ..now
    };
    assert_eq!(record.end_dead_services_runs(in_time).await.unwrap(), 0);
    let over = Uptime {
        ms: now.ms + 2 * length_ms,
        ..now
    };
    assert_eq!(record.end_dead_services_runs(over).await.unwrap(), 1);
    assert_eq!(state(&record, run).await.0, RunState::Failed);
}

#[tokio::test]
async fn runs_that_wait_are_taken_each_once() {
    let record = TestRecord::open().await;
    let mut waiting = BTreeSet::new();
    for name in ["one", "two", "three"] {
        let id = ready_instance(&record, name, None).await.id;
        waiting.insert(record.start_services_run(id, None, &actor()).await.unwrap());
    }
    let mut taken = Vec::new();
    while let Some(run) = record.take_services_run(lease()).await.unwrap() {
        assert_eq!(state(&record, run.id).await, (RunState::InProgress, None));
        taken.push(run.id);
    }
    assert_eq!(taken.len(), 3);
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>(), waiting);
}

#[tokio::test]
async fn lines_that_are_reported_twice_are_in_the_log_once() {
    let record = TestRecord::open().await;
    let esd = ready_instance(&record, "esd", None).await.id;
    let held = lease();
    let run = record
        .start_services_run(esd, Some(held), &actor())
        .await
        .unwrap();
    let lines = [line("a"), line("b"), line("c")];
    record
        .report_services_run(run, held, None, 0, &lines[..2])
        .await
        .unwrap();
    record
        .report_services_run(run, held, None, 0, &lines)
        .await
        .unwrap();
    record.fail_services_run(run, held, &reason()).await.unwrap();
    let log = record
        .services_run_log(run, &RunLogFilter::default(), &Page::all())
        .await
        .unwrap()
        .rows;
    assert_eq!(log[..3], lines);
    assert_eq!((log.len(), log[3].level), (4, RunLogLevel::Error));
}

#[tokio::test]
async fn a_run_says_what_it_did_to_each_product() {
    let record = TestRecord::open().await;
    let esd = ready_instance(&record, "esd", None).await.id;
    read(&record, esd, vec![product("a", "Office"), product("b", "Visio")]).await;
    read(&record, esd, vec![product("a", "Office")]).await;
    let held = lease();
    let run = record
        .start_services_run(esd, Some(held), &actor())
        .await
        .unwrap();
    let catalog = vec![product("b", "Visio 2"), product("c", "Project")];
    record
        .complete_services_run(run, held, 1, definition(catalog), 2)
        .await
        .unwrap();
    let told = record
        .services_run_differences(run, &DifferenceFilter::default(), &Page::all())
        .await
        .unwrap()
        .rows;
    let told: Vec<_> = told
        .iter()
        .map(|difference| (difference.code.as_str(), difference.kind, difference.fields.len()))
        .collect();
    assert_eq!(
        told,
        [
            ("a", DifferenceKind::Discontinued, 0),
            ("b", DifferenceKind::Changed, 3),
            ("b", DifferenceKind::Revived, 0),
            ("c", DifferenceKind::New, 0),
        ]
    );
    let run = record.services_run(run).await.unwrap().unwrap();
    assert_eq!(run.state, RunState::CompletedWithErrors);
    assert_eq!(
        run.counts,
        RunCounts {
            new: 1,
            changed: 1,
            discontinued: 1,
            revived: 1,
            skipped: 2
        }
    );
}

#[tokio::test]
async fn a_definition_that_contradicts_itself_leaves_the_run_and_the_products_as_they_were() {
    let record = TestRecord::open().await;
    let esd = ready_instance(&record, "esd", None).await.id;
    let held = lease();
    let run = record
        .start_services_run(esd, Some(held), &actor())
        .await
        .unwrap();
    let twice = definition(vec![product("a", "Office"), product("a", "Office")]);
    let error = record
        .complete_services_run(run, held, 1, twice, 0)
        .await
        .unwrap_err();
    assert!(
        matches!(error, EndRunError::Apply(ApplyError::DuplicateProduct { .. })),
        "{error:?}"
    );
    assert_eq!(state(&record, run).await, (RunState::InProgress, None));
    assert!(record.product(esd, "a").await.unwrap().is_none());
    record.fail_services_run(run, held, &reason()).await.unwrap();
}

#[tokio::test]
async fn settings_that_were_saved_during_a_run_have_the_next_one_read_everything() {
    let record = TestRecord::open().await;
    let esd = ready_instance(&record, "esd", None).await;
    let held = lease();
    let run = record
        .start_services_run(esd.id, Some(held), &actor())
        .await
        .unwrap();
    let mut other = settings(None);
    other.values.insert("language".to_owned(), "el-GR".to_owned());
    record
        .save_settings(esd.id, esd.version, other, &actor())
        .await
        .unwrap();
    record
        .complete_services_run(run, held, esd.version, definition(vec![]), 0)
        .await
        .unwrap();
    assert_eq!(record.services_state(esd.id).await.unwrap(), "");
}

/// A step in the life of an instance, taken by its operator, its vendor or the host's process.
#[derive(Clone, Debug)]
enum Step {
    /// A catalog is read to its end, in a language: per code, how often it was renamed and its offer URI moved.
    Read(usize, BTreeMap<u8, (u8, u8)>),
    /// A catalog that is not read to its end.
    ReadInPart,
    /// The process dies.
    Die,
    /// A product is activated.
    Activate(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let catalog = prop::collection::btree_map(0_u8..6, (0_u8..2, 0_u8..2), 0..6);
    let step = prop_oneof![
        4 => (0_usize..3, catalog).prop_map(|(language, catalog)| Step::Read(language, catalog)),
        1 => Just(Step::ReadInPart),
        1 => Just(Step::Die),
        1 => any::<u8>().prop_map(|code| Step::Activate(code % 6)),
    ];
    prop::collection::vec(step, 1..10)
}

fn offered(language: usize, code: u8, renamed: u8, moved: u8) -> NewProduct {
    let name = ["Office", "Γραφείο", "Büro"][language];
    let mut offered = product(&format!("c{code}"), &format!("{name} {renamed}"));
    offered.attribute_values[0].key = format!("urn:offer:{code}:{moved}");
    offered
}

/// A model of what must be stored.
#[derive(Default)]
struct Model {
    products: BTreeMap<String, Product>,
    /// Every value that there ever was.
    values: BTreeSet<String>,
}

impl Model {
    fn read(&mut self, catalog: Vec<NewProduct>) {
        for known in self.products.values_mut() {
            known.discontinued = true;
        }
        for offered in catalog {
            self.values.insert(offered.attribute_values[0].key.clone());
            let active = self.products.get(&offered.code).is_some_and(|known| known.active);
            let product = Product {
                offered: offered.clone(),
                active,
                published: false,
                discontinued: false,
            };
            self.products.insert(offered.code, product);
        }
    }
}

async fn take_step(record: &Record, instance: Uuid, model: &mut Model, step: Step) {
    match step {
        Step::Read(language, catalog) => {
            let catalog: Vec<_> = catalog
                .into_iter()
                .map(|(code, (renamed, moved))| offered(language, code, renamed, moved))
                .collect();
            read(record, instance, catalog.clone()).await;
            model.read(catalog);
        }
        Step::ReadInPart => {
            let held = lease();
            let run = record
                .start_services_run(instance, Some(held), &actor())
                .await
                .unwrap();
            record.fail_services_run(run, held, &reason()).await.unwrap();
        }
        Step::Die => {
            record
                .start_services_run(instance, Some(dead_lease()), &actor())
                .await
                .unwrap();
        }
        Step::Activate(code) => {
            let code = format!("c{code}");
            let choice = Choice::Codes(vec![code.clone()]);
            let decided = record
                .decide_products(instance, Decision::Activate, &choice, &actor())
                .await;
            let known = model.products.get_mut(&code).filter(|known| !known.discontinued);
            assert_eq!(decided.is_ok(), known.is_some());
            if let Some(known) = known {
                known.active = true;
            }
        }
    }
}

async fn assert_is(record: &Record, instance: Uuid, model: &Model) {
    let stored = record
        .products(instance, &ProductFilter::default(), &Page::all())
        .await
        .unwrap()
        .rows;
    assert_eq!(stored, model.products.values().cloned().collect::<Vec<_>>());
    let former = record
        .former_attribute_values(instance, "microsoft-esd")
        .await
        .unwrap();
    let listed: BTreeSet<String> = stored
        .into_iter()
        .flat_map(|product| product.offered.attribute_values)
        .chain(former)
        .map(|value| value.key)
        .collect();
    assert_eq!(listed, model.values, "no value was ever removed");
}

#[tokio::test]
async fn a_worker_that_has_no_run_to_take_waits_for_no_writer() {
    let record = TestRecord::open().await;
    let id = ready_instance(&record, "esd", None).await.id;
    let run = record.start_services_run(id, Some(lease()), &actor()).await;
    run.unwrap();
    let writer = record.database().writing().await;
    assert_eq!(record.take_services_run(lease()).await.unwrap(), None);
    drop(writer);
}

#[test]
fn any_sequence_of_runs_and_decisions_leaves_what_the_model_says() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let record = runtime.block_on(TestRecord::open());
    let config = ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(steps in steps())| {
        runtime.block_on(async {
            let id = ready_instance(&record, &Uuid::new_v4().to_string(), None).await.id;
            // No run awaits acceptance.
            record.limit_discontinuations(id, 100, &actor()).await.unwrap();
            let mut model = Model::default();
            for step in steps {
                take_step(&record, id, &mut model, step).await;
                assert_is(&record, id, &model).await;
            }
        });
    });
}
