//! Clocks that step: what one process has under way, another takes over neither early nor twice, whatever time its clock
//! shows.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use bss_simulator::{Fault, Operation, Repeat};

use crate::scenario::{
    DONE, INSTANCE, NO_ANSWER, REFUSED, Scenario, actor, assert_ends, order_request, requester, silent,
};

/// Steps of the other processes' clocks, in milliseconds. With a small one, a process could do harm; with a large one, no
/// certificate is valid any more, and the vendor is not even asked.
const SMALL_STEPS_MS: [i64; 2] = [4 * 60 * 1_000, -4 * 60 * 1_000];
const LARGE_STEPS_MS: [i64; 2] = [YEAR_MS, -YEAR_MS];
const YEAR_MS: i64 = 365 * 24 * 60 * 60 * 1_000;

/// How long the vendor takes, so that the other processes come meanwhile.
const SLOW: Fault = Fault::DelayAnswer(Duration::from_secs(10));

/// A library that adds a step to the time of day of the processes into which it is preloaded.
struct SteppedClock {
    folder: tempfile::TempDir,
    library: PathBuf,
}

impl SteppedClock {
    fn compile() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let source = folder.path().join("stepped_clock.c");
        let library = folder.path().join("stepped_clock.so");
        let text = include_str!("../../host-harness/examples/crash_test/stepped_clock.c");
        std::fs::write(&source, text).expect("the source is written");
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let compiled = Command::new(compiler)
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .args([&library, &source])
            .status();
        assert!(compiled.expect("a C compiler").success());
        Self { folder, library }
    }

    /// Has a process told a time that is so much later.
    fn step(&self, mut command: Command, step_ms: i64) -> Command {
        let file = self.folder.path().join(step_ms.to_string());
        std::fs::write(&file, step_ms.to_ne_bytes()).expect("the step is written");
        command
            .env("LD_PRELOAD", &self.library)
            .env("STEPPED_CLOCK_FILE", file);
        command
    }

    /// Runs a command once for each step, all at once.
    fn run_each(&self, scenario: &Scenario, steps_ms: [i64; 2], arguments: &[&str]) -> Vec<Output> {
        let spawn = |step_ms| begin(self.step(scenario.command(arguments), step_ms));
        let running: Vec<Child> = steps_ms.into_iter().map(spawn).collect();
        running.into_iter().map(end).collect()
    }
}

fn begin(mut command: Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

fn end(process: Child) -> Output {
    process.wait_with_output().expect("it ends")
}

/// Begins a command whose request of that kind the vendor answers late, and waits until the request is there.
async fn begin_slow(scenario: &Scenario, operation: Operation, arguments: &[&str]) -> Child {
    let faults = scenario.microsoft.faults();
    faults.order(operation, SLOW, Repeat::Times(1));
    let before = faults.requests_seen(operation);
    let begun = begin(scenario.command(arguments));
    while faults.requests_seen(operation) == before {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    begun
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_steps_shows_its_process_another_time() {
    let scenario = Scenario::start().await;
    let clock = SteppedClock::compile();
    let created = |step_ms| {
        let name = format!("instance {step_ms}");
        let create = ["instance", "create", &name, "--currency", "EUR"];
        let made = end(begin(clock.step(scenario.command(&create), step_ms)));
        assert_ends(&made, DONE);
        let acts = scenario.json(&["audit", "list"]);
        acts.as_array().and_then(|acts| acts.last()).expect("an act")["doneAtMs"]
            .as_i64()
            .expect("a time")
    };
    let (now, later) = (created(0), created(YEAR_MS));
    assert!((later - now - YEAR_MS).abs() < YEAR_MS / 2, "{now} {later}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_under_way_is_taken_over_by_nobody_whatever_time_others_believe_it_is() {
    let scenario = Scenario::selling().await;
    let clock = SteppedClock::compile();
    let offers = scenario.offers().await;
    for (steps_ms, made) in [(SMALL_STEPS_MS, 1), (LARGE_STEPS_MS, 2)] {
        let request = order_request(&offers[0], 1);
        let order = scenario.host.place_order(INSTANCE, request, &actor()).await;
        let order = order.expect("the order is placed").into_order();
        let (asset, order) = (order.lines[0].asset_id, order.id.to_string());
        let buyer = begin_slow(&scenario, Operation::Purchase, &["order", "resume", &order]).await;
        for worker in clock.run_each(&scenario, steps_ms, &["run", "--once"]) {
            assert!(worker.status.code().is_some(), "{worker:?}");
        }
        assert_ends(&end(buyer), DONE);
        let faults = scenario.microsoft.faults();
        assert_eq!(faults.requests_seen(Operation::Purchase), made);
        assert_eq!(faults.requests_seen(Operation::LookUp), 0, "nobody was in doubt");
        let attempts = scenario.host.record().attempts(asset).await;
        assert_eq!(attempts.expect("the attempts").len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_under_way_is_taken_over_by_nobody_whatever_time_others_believe_it_is() {
    let scenario = Scenario::selling().await;
    let clock = SteppedClock::compile();
    let offers = scenario.offers().await;
    let record = scenario.host.record();
    for (steps_ms, made) in [(SMALL_STEPS_MS, 1), (LARGE_STEPS_MS, 2)] {
        let asset = scenario.order(&offers[0], 1).await.remove(0);
        let cancelled = record.cancel_now(asset.id, &requester(), "", &actor()).await;
        let cancellation = cancelled.expect("it is to be returned").id;
        let returner = begin_slow(&scenario, Operation::Return, &["run", "--once"]).await;
        for worker in clock.run_each(&scenario, steps_ms, &["run", "--once"]) {
            assert_ends(&worker, NO_ANSWER);
        }
        assert_ends(&end(returner), DONE);
        let faults = scenario.microsoft.faults();
        assert_eq!(faults.requests_seen(Operation::Return), made);
        let attempts = record.return_attempts(cancellation).await;
        assert_eq!(attempts.expect("the attempts").len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_is_read_by_one_process_whatever_time_others_believe_it_is() {
    let scenario = Scenario::ready().await;
    let clock = SteppedClock::compile();
    let fetch = ["services", "fetch", INSTANCE];
    let reader = begin_slow(&scenario, Operation::Catalog, &fetch).await;
    for steps_ms in [SMALL_STEPS_MS, LARGE_STEPS_MS] {
        for other in clock.run_each(&scenario, steps_ms, &fetch) {
            assert_ends(&other, REFUSED);
        }
    }
    assert_ends(&end(reader), DONE);
    let again = scenario.host.fetch_services(INSTANCE, &actor(), silent()).await;
    again.expect("the next one may");
}
