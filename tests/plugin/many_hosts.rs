//! Many hosts in one process, and more calls than it has sandboxes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bss_model::AttemptResult::{Licensed, Unavailable};
use bss_model::{Diagnose as _, SyncStatus};
use bss_sandbox::limits;
use bss_sandbox::outbound_https::Egress;
use bss_simulator::Operation;
use host_harness::{COMPILED_DIRECTORY, CallContext, CallError, CallLimits, Host, Plugin, PluginError};
use tokio::task::JoinSet;

use crate::component::component;
use crate::guests::Guest;
use crate::sandbox::{call, draft_in};
use crate::sandbox_leaks::alone;
use crate::scenario::{INSTANCE, Scenario, actor, nowhere, order_request, silent};

/// As many calls as an instance may have under way.
const OF_ONE: usize = limits::CALLS_PER_INSTANCE as usize;

/// As many calls as a process may have under way.
const OF_ALL: usize = limits::CALLS_AT_ONCE as usize;

/// Addresses that are far fewer than those of one pool of sandboxes, and far more than threads and files need.
const FAR_FEWER_THAN_A_POOL: u64 = 4 * 1024 * 1024 * 1024 * limits::CALLS_AT_ONCE as u64 / 4;

/// Bytes of the addresses that this process has reserved.
fn reserved_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("what the process has");
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmSize:")?.trim().strip_suffix(" kB"))
        .expect("a line of it");
    kibibytes.parse::<u64>().expect("a number") * 1024
}

/// A host of its own data directory, whose plugin has answered a call.
async fn called_host(data_dir: &Path, file: &Path) -> Host {
    let host = Host::builder(data_dir)
        .plugin_file(file)
        .open_or_create()
        .await
        .expect("the host opens");
    let plugin = host.plugin().await.expect("the plugin");
    call(&plugin, draft_in("EUR")).await.expect("it answers");
    host
}

/// The file of a small plugin, in a folder.
fn written_guest(folder: &Path) -> PathBuf {
    let file = folder.join("guest.wasm");
    std::fs::write(&file, Guest::default().component()).expect("the guest is written");
    file
}

/// A context of a call for an instance that can reach nobody.
fn of_instance(instance: &str) -> CallContext {
    let nowhere = nowhere();
    CallContext {
        egress: Arc::new(Egress {
            instance_id: instance.to_owned(),
            ..(*nowhere.egress).clone()
        }),
        ..nowhere
    }
}

/// A plugin that runs code before it answers. `$wait` takes nanoseconds, and `$wild` is 1 in a currency of three letters.
fn slow(waits: &'static str) -> Plugin {
    let guest = Guest {
        imports: r#"
            (import "wasi:clocks/monotonic-clock@0.2.2" "subscribe-duration" (func $timer (param i64) (result i32)))
            (import "wasi:io/poll@0.2.2" "[method]pollable.block" (func $block (param i32)))"#,
        items: "(func $wait (param i64) (call $block (call $timer (local.get 0))))",
        configures: waits,
        ..Guest::default()
    };
    guest.plugin()
}

/// A plugin whose vendor never answers.
fn silent_vendor() -> Plugin {
    slow("(if (global.get $wild) (then (call $wait (i64.const -1))))")
}

/// Begins calls of an instance that wait for a vendor without end.
fn begin(running: &mut JoinSet<()>, plugin: &Plugin, instance: &'static str, calls: usize) {
    for _ in 0..calls {
        let plugin = plugin.clone();
        running.spawn(async move {
            let _ = plugin
                .configure_instance(of_instance(instance), draft_in("EUR"))
                .await;
        });
    }
}

/// Waits until calls hold so many sandboxes.
async fn until_held(plugin: &Plugin, sandboxes: usize) {
    while plugin.pool_use().expect("a pool").sandboxes < sandboxes as u64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_hundred_hosts_of_a_process_have_one_pool_of_sandboxes_and_compile_their_plugin_once() {
    alone(
        "many_hosts::a_hundred_hosts_of_a_process_have_one_pool_of_sandboxes_and_compile_their_plugin_once",
        a_hundred_hosts,
    );
}

async fn a_hundred_hosts() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let guest = written_guest(folder.path());
    let first = called_host(&folder.path().join("0"), &guest).await;
    assert!(folder.path().join("0").join(COMPILED_DIRECTORY).is_dir());
    let before = reserved_bytes();
    let mut hosts = vec![first];
    for number in 1..100 {
        let data_dir = folder.path().join(number.to_string());
        hosts.push(called_host(&data_dir, &guest).await);
        assert!(
            !data_dir.join(COMPILED_DIRECTORY).exists(),
            "host {number} compiled it again"
        );
    }
    let more = reserved_bytes().saturating_sub(before);
    assert!(more < FAR_FEWER_THAN_A_POOL, "{more} bytes more");
    for host in &hosts {
        let plugin = host.plugin().await.expect("the plugin");
        call(&plugin, draft_in("EUR")).await.expect("it answers again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_another_host_has_loaded_still_has_to_be_trusted() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    called_host(&folder.path().join("one"), component()).await;
    let guest = written_guest(folder.path());
    let data_dir = folder.path().join("another");
    let another = Host::builder(&data_dir)
        .plugin_file(&guest)
        .create()
        .await
        .expect("the host opens");
    another.plugin().await.expect("its first plugin is trusted");
    let another = Host::open(&data_dir, component()).await.expect("the host opens");
    let refused = another.plugin().await.err().expect("it is refused");
    assert!(matches!(refused, PluginError::NotTrusted { .. }), "{refused}");
}

/// Gives up where anything stands in the memory beyond the first page.
const FINDS_NOTHING: &str = "
    (drop (memory.grow (i32.const 16)))
    (local.set $i (i32.const 65536))
    (loop $again
        (if (i32.load (local.get $i)) (then (unreachable)))
        (local.set $i (i32.add (local.get $i) (i32.const 4)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 1114112))))";

#[tokio::test]
async fn a_plugin_finds_nothing_in_its_memory_of_what_another_has_written() {
    let writes = "
        (drop (memory.grow (i32.const 16)))
        (memory.fill (i32.const 65536) (i32.const 7) (i32.const 1048576))";
    let writes_and_finds = Box::leak(format!("{writes} {FINDS_NOTHING}").into_boxed_str());
    let [writer, finder, reader] = [writes, writes_and_finds, FINDS_NOTHING].map(slow);
    for _ in 0..100 {
        call(&writer, draft_in("EUR")).await.expect("it writes");
        call(&reader, draft_in("EUR")).await.expect("nothing is there");
    }
    let found = call(&finder, draft_in("EUR"))
        .await
        .expect_err("it has written itself");
    assert!(matches!(found, CallError::Trap(_)), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_calls_at_once_are_all_answered() {
    let plugin = slow("(call $wait (i64.const 100000000))");
    let mut running = JoinSet::new();
    for _ in 0..300 {
        let plugin = plugin.clone();
        running.spawn(async move { call(&plugin, draft_in("EUR")).await });
    }
    let failed: Vec<_> = running
        .join_all()
        .await
        .into_iter()
        .filter_map(Result::err)
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn an_instance_whose_vendor_is_silent_leaves_sandboxes_to_the_others() {
    alone(
        "many_hosts::an_instance_whose_vendor_is_silent_leaves_sandboxes_to_the_others",
        a_silent_vendor,
    );
}

async fn a_silent_vendor() {
    let plugin = silent_vendor();
    let mut running = JoinSet::new();
    begin(&mut running, &plugin, "silent", 10 * OF_ALL);
    until_held(&plugin, OF_ONE).await;
    for _ in 0..10 {
        let answered = plugin
            .configure_instance(of_instance("another"), draft_in("TAME"))
            .await;
        answered.expect("there is a sandbox for it");
    }
    assert_eq!(
        plugin.pool_use().expect("a pool").sandboxes,
        OF_ONE as u64,
        "all that is under way is of the silent one"
    );
}

/// On one thread, tasks begin in the order in which they were spawned.
#[test]
fn a_call_has_the_next_sandbox_before_thousands_of_an_instance_that_has_many() {
    alone(
        "many_hosts::a_call_has_the_next_sandbox_before_thousands_of_an_instance_that_has_many",
        a_modest_call,
    );
}

async fn a_modest_call() {
    let plugin = silent_vendor();
    let (mut running, mut ending) = (JoinSet::new(), JoinSet::new());
    begin(&mut running, &plugin, "silent", OF_ALL / 2);
    begin(&mut running, &plugin, "silent too", OF_ALL / 2 - 1);
    begin(&mut ending, &plugin, "ending", 1);
    until_held(&plugin, OF_ALL).await;
    begin(&mut running, &plugin, "silent", 2_000);
    let modest = plugin.clone();
    let modest = tokio::spawn(async move {
        let call = modest.configure_instance(of_instance("modest"), draft_in("TAME"));
        call.await.map(drop)
    });
    ending.abort_all();
    let answered = modest.await.expect("no panic");
    answered.expect("it had the next sandbox");
}

#[test]
fn a_purchase_that_found_no_sandbox_is_in_no_doubt_and_is_made_when_there_is_one() {
    alone(
        "many_hosts::a_purchase_that_found_no_sandbox_is_in_no_doubt_and_is_made_when_there_is_one",
        a_purchase_without_a_sandbox,
    );
}

async fn a_purchase_without_a_sandbox() {
    let scenario = Scenario::selling().await;
    // What is in doubt would only be looked up, for so long.
    scenario.look_up_only(Duration::from_secs(3_600)).await;
    let offers = scenario.offers().await;
    let faults = scenario.microsoft.faults();
    let order = scenario
        .host
        .place_order(INSTANCE, order_request(&offers[0], 1), &actor())
        .await
        .expect("the order is placed")
        .into_order();

    let plugin = silent_vendor();
    let mut running = JoinSet::new();
    begin(&mut running, &plugin, "silent", OF_ONE);
    begin(&mut running, &plugin, "silent too", OF_ALL - OF_ONE);
    until_held(&plugin, OF_ALL).await;
    let hasty = scenario.host.clone().with_call_limits(CallLimits {
        wall_clock: Duration::from_millis(200),
        ..CallLimits::default()
    });
    let assets = hasty.run_order(order.id, silent()).await.expect("it is run");
    assert_eq!(assets[0].sync_status, SyncStatus::Unsynchronised);
    let reason = assets[0].reason.as_ref().expect("a reason");
    assert_eq!(
        (reason.result, reason.problem.code.as_str()),
        (Unavailable, "no-sandbox")
    );
    assert_eq!(faults.requests_seen(Operation::Purchase), 0);

    running.shutdown().await;
    while scenario.assets().await[0].sync_status != SyncStatus::Synchronized {
        scenario
            .host
            .run_order(order.id, silent())
            .await
            .expect("it is run");
    }
    let attempts = scenario.host.record().attempts(assets[0].id).await;
    let results: Vec<_> = attempts
        .expect("attempts")
        .iter()
        .filter_map(|attempt| attempt.result)
        .collect();
    assert_eq!(results.last(), Some(&Licensed));
    let others = &results[..results.len() - 1];
    assert!(
        !others.is_empty() && others.iter().all(|result| *result == Unavailable),
        "{results:?}"
    );
    assert_eq!(faults.requests_seen(Operation::Purchase), 1);
    assert_eq!(scenario.issued().await.len(), 1);
}

#[test]
fn a_call_that_waited_for_too_long_was_not_entered_and_says_so() {
    alone(
        "many_hosts::a_call_that_waited_for_too_long_was_not_entered_and_says_so",
        a_call_that_waits,
    );
}

async fn a_call_that_waits() {
    let plugin = silent_vendor();
    let mut running = JoinSet::new();
    begin(&mut running, &plugin, "silent", OF_ONE);
    until_held(&plugin, OF_ONE).await;
    let hasty = plugin.clone().with_limits(CallLimits {
        wall_clock: Duration::from_millis(200),
        ..CallLimits::default()
    });
    let late = hasty
        .configure_instance(of_instance("silent"), draft_in("TAME"))
        .await
        .expect_err("its instance has all that it may have");
    assert!(
        matches!(late.error, CallError::NoSandbox(time) if time == Duration::from_millis(100)),
        "{late:?}"
    );
    assert!(late.error.is_not_entered());
    assert_eq!(late.diagnosis().code, "no-sandbox");
    running.shutdown().await;
    let answered = plugin
        .configure_instance(of_instance("silent"), draft_in("TAME"))
        .await;
    answered.expect("there is room again");
}
