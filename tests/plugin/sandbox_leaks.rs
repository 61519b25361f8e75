//! Calls that are stopped leave nothing behind: no memory, no files and connections, no tasks, no sandboxes.
//!
//! Each test counts in a process of its own, where nobody else opens files or allocates.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what was counted is of use too, with `--nocapture`"
)]

use std::future::Future;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bss_sandbox::bindings::instance_settings::{FieldValue, Instance};
use bss_sandbox::outbound_https::{Egress, PermittedAuthority};
use bss_sandbox::plugin::PoolUse;
use bss_simulator::{Fault, Operation, Repeat};
use host_harness::{CallContext, CallError, CallLimits, Plugin};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::guests::Guest;
use crate::sandbox::{call, draft_in};
use crate::scenario::{INSTANCE, Scenario, nowhere};

/// The environment variable that is set in the process that counts.
const ALONE: &str = "BSS_TEST_COUNTS_ALONE";

/// The resources that a process holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    resident_bytes: usize,
    files: usize,
    tasks: usize,
}

impl Held {
    fn now() -> Self {
        let memory = std::fs::read_to_string("/proc/self/smaps_rollup").expect("what is resident");
        let kibibytes = memory
            .lines()
            .find_map(|line| line.strip_prefix("Rss:")?.trim().strip_suffix(" kB"))
            .expect("a line of it");
        Self {
            resident_bytes: kibibytes.parse::<usize>().expect("a number") * 1024,
            files: std::fs::read_dir("/proc/self/fd").expect("open files").count(),
            tasks: Handle::current().metrics().num_alive_tasks(),
        }
    }

    /// Waits until no more files and tasks are held than before, or for ten seconds, and returns what is held then:
    /// connections are closed, and tasks ended, in the background.
    async fn settled(before: Self) -> Self {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let now = Self::now();
            if (now.files <= before.files && now.tasks <= before.tasks) || Instant::now() > until {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Runs a test in a process of its own: the test's first process starts a second one, and that one runs `counts`.
pub(crate) fn alone<F: Future<Output = ()>>(test: &str, counts: impl FnOnce() -> F) {
    if std::env::var_os(ALONE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        return runtime.expect("a runtime").block_on(counts());
    }
    let child = Command::new(std::env::current_exe().expect("a test has a file"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .output()
        .expect("it starts");
    let said = [child.stdout, child.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        child.status.success() && said.contains("1 passed"),
        "{}: {said}",
        child.status
    );
    for line in said.lines().filter(|line| line.contains("held before")) {
        eprintln!("{line}");
    }
}

/// Makes `number` calls, 32 at once.
async fn calls(plugin: &Plugin, number: usize, currency: &'static str) -> Vec<Result<(), CallError>> {
    let mut ends = Vec::new();
    let mut running = JoinSet::new();
    for _ in 0..number {
        if running.len() == 32 {
            ends.extend(running.join_next().await);
        }
        let plugin = plugin.clone();
        running.spawn(async move { call(&plugin, draft_in(currency)).await.map(drop) });
    }
    while let Some(end) = running.join_next().await {
        ends.push(end);
    }
    ends.into_iter().map(|end| end.expect("no panic")).collect()
}

#[test]
fn ten_thousand_calls_that_are_stopped_leave_nothing_behind() {
    alone(
        "sandbox_leaks::ten_thousand_calls_that_are_stopped_leave_nothing_behind",
        ten_thousand,
    );
}

async fn ten_thousand() {
    // Each call takes a mebibyte of memory and some handles first, so that a leak shows: it would be 10 GiB in all.
    let guest = Guest {
        imports: r#"
            (import "wasi:clocks/monotonic-clock@0.2.2" "subscribe-duration" (func $timer (param i64) (result i32)))
            (import "wasi:io/poll@0.2.2" "[method]pollable.block" (func $block (param i32)))"#,
        configures: "
            (drop (memory.grow (i32.const 16)))
            (memory.fill (i32.const 65536) (i32.const 7) (i32.const 1048576))
            (if (global.get $wild) (then
                (drop (call $timer (i64.const 3600000000000)))
                (drop (call $timer (i64.const 3600000000000)))
                (call $block (call $timer (i64.const -1)))))",
        ..Guest::default()
    };
    let plugin = guest.plugin();
    let hasty = plugin.clone().with_limits(CallLimits {
        wall_clock: Duration::from_millis(1),
        ..CallLimits::default()
    });
    // The pool keeps what it has once used.
    calls(&plugin, 100, "TAME").await;
    calls(&hasty, 1_000, "EUR").await;
    let before = Held::settled(Held::now()).await;
    let start = Instant::now();
    let ends = calls(&hasty, 10_000, "EUR").await;
    let took = start.elapsed();
    let after = Held::settled(before).await;
    println!("held before {before:?}, after {after:?}, 10,000 calls in {took:.1?}");

    let late = ends
        .iter()
        .filter(|end| matches!(end, Err(CallError::Deadline(_))));
    assert_eq!(late.count(), 10_000);
    assert_eq!(plugin.pool_use(), Some(PoolUse::default()));
    assert!(after.files <= before.files, "{before:?} {after:?}");
    assert!(after.tasks <= before.tasks, "{before:?} {after:?}");
    let grown = after.resident_bytes.saturating_sub(before.resident_bytes);
    assert!(grown < 32 * 1024 * 1024, "{grown} bytes more");
    let next = calls(&plugin, 1, "TAME").await;
    assert!(next[0].is_ok(), "{next:?}");
}

#[test]
fn calls_that_are_stopped_while_a_request_is_under_way_leave_nothing_behind() {
    alone(
        "sandbox_leaks::calls_that_are_stopped_while_a_request_is_under_way_leave_nothing_behind",
        requests_under_way,
    );
}

/// The context of a call of the ready instance. It is made here, because what the host records of a reading must not
/// be counted.
pub(crate) async fn ready_call(scenario: &Scenario) -> (CallContext, Instance) {
    let instance = scenario
        .host
        .named_instance(INSTANCE)
        .await
        .expect("the instance");
    let pem = instance
        .reach
        .trusted_authorities_pem
        .as_deref()
        .expect("an authority");
    let mut trust_roots = rustls::RootCertStore::empty();
    trust_roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem.as_bytes()).flatten());
    let certificates = scenario.host.record().certificates();
    let thumbprint = instance.thumbprint.as_ref().expect("a certificate");
    let authorities = instance.authorities.iter().map(|saved| PermittedAuthority {
        authority: saved.name.parse().expect("an authority"),
        client_certificate: saved.client_certificate,
        secret_headers: Vec::new(),
    });
    let context = CallContext {
        egress: Arc::new(Egress {
            instance_id: instance.id.to_string(),
            settings_version: instance.version,
            generation: 0,
            authorities: authorities.collect(),
            identity: Some(certificates.identity(thumbprint).await.expect("its key")),
            saved_values: instance.values.values().cloned().collect(),
            trust_roots: Arc::new(trust_roots),
            allowed_networks: instance.reach.allowed_networks.clone(),
            proxies: Default::default(),
        }),
        options: instance.options.clone(),
        ..nowhere()
    };
    let values = instance
        .values
        .into_iter()
        .map(|(id, value)| FieldValue { id, value });
    let instance = Instance {
        id: instance.id.to_string(),
        values: values.collect(),
        currency: instance.currency,
    };
    (context, instance)
}

/// Makes `number` readings of the catalog, eight at once, none of which gets an answer.
async fn late_readings(plugin: &Plugin, context: &CallContext, instance: &Instance, number: usize) {
    let mut running = JoinSet::new();
    for _ in 0..number {
        if running.len() == 8 {
            running.join_next().await.expect("one").expect("no panic");
        }
        let (plugin, context, instance) = (plugin.clone(), context.clone(), instance.clone());
        running.spawn(async move {
            let end = plugin.fetch_services(context, &instance, "").await;
            let error = end.map(drop).expect_err("it is too late").error;
            assert!(matches!(error, CallError::Deadline(_)), "{error:?}");
        });
    }
    running.join_all().await;
}

async fn requests_under_way() {
    const CALLS: usize = 300;
    let scenario = Scenario::ready().await;
    let (context, instance) = ready_call(&scenario).await;
    let plugin = scenario.host.plugin().await.expect("the plugin");
    // The first reading brings the access token.
    let read = || async {
        let outcome = plugin.fetch_services(context.clone(), &instance, "").await;
        outcome.expect("an answer").expect("the catalog")
    };
    read().await;
    let faults = scenario.microsoft.faults();
    let late = Fault::DelayAnswer(Duration::from_secs(600));
    faults.order(Operation::Catalog, late, Repeat::Always);
    let hasty = plugin.clone().with_limits(CallLimits {
        catalog_wall_clock: Duration::from_millis(250),
        ..CallLimits::default()
    });
    late_readings(&hasty, &context, &instance, 24).await;
    let before = Held::settled(Held::now()).await;
    let seen = faults.requests_seen(Operation::Catalog);
    let start = Instant::now();
    late_readings(&hasty, &context, &instance, CALLS).await;
    let took = start.elapsed();
    let after = Held::settled(before).await;
    let under_way = faults.requests_seen(Operation::Catalog) - seen;
    println!(
        "held before {before:?}, after {after:?}, {CALLS} calls, {under_way} requests under way, in {took:.1?}"
    );

    assert!(under_way > CALLS as u64 / 3, "{under_way} requests had left");
    assert_eq!(plugin.pool_use(), Some(PoolUse::default()));
    assert!(after.files <= before.files, "{before:?} {after:?}");
    assert!(after.tasks <= before.tasks, "{before:?} {after:?}");
    let grown = after.resident_bytes.saturating_sub(before.resident_bytes);
    assert!(grown < 32 * 1024 * 1024, "{grown} bytes more");
    faults.clear();
    read().await;
}
