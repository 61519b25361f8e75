//! The limits of what a call may use of the host: a guest that wants more is stopped with an error that says so, and
//! the next call of the same plugin is answered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bss_model::Diagnose as _;
use bss_sandbox::bindings::failures::ReadFailure;
use bss_sandbox::bindings::instance_settings::Instance;
use bss_sandbox::bindings::services_definition::Outcome;
use bss_sandbox::error::{HostLimit, PluginDefect};
use bss_sandbox::limits;
use host_harness::{CallContext, CallError, CallEvent, CallLimits, LoadError, LogLevel, Plugin};

use crate::guests::{Guest, World, with_modules};
use crate::sandbox::{call, cause, draft_in};
use crate::scenario::nowhere;

/// The error of a call that misbehaves; the same plugin answers another one before and after it.
async fn stopped(plugin: &Plugin) -> CallError {
    call(plugin, draft_in("TAME")).await.expect("it can behave");
    let error = call(plugin, draft_in("EUR")).await.expect_err("it misbehaves");
    call(plugin, draft_in("TAME"))
        .await
        .expect("the next call is answered");
    error
}

fn stopped_by(error: &CallError, limit: HostLimit) {
    assert!(matches!(error, CallError::Limit(it) if *it == limit), "{error:?}");
    assert!(error.to_string().contains(&limit.to_string()), "{error}");
    assert_eq!(error.diagnosis().code, "plugin-limit");
}

fn trapped_because(error: &CallError, because: &str) {
    assert!(matches!(error, CallError::Trap(_)), "{error:?}");
    assert!(
        error
            .to_string()
            .contains("the plugin crashed or broke a rule of the sandbox"),
        "{error}"
    );
    assert!(cause(error).contains(because), "{}", cause(error));
}

/// A plugin whose calls are stopped soon.
fn hasty(guest: &Guest) -> Plugin {
    guest.plugin().with_limits(CallLimits {
        processor: Duration::from_millis(300),
        wall_clock: Duration::from_secs(20),
        ..CallLimits::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_grows_its_memory_without_end_is_told_apart_from_a_defect() {
    let guest = Guest {
        configures: "
            (block $enough (loop $again
                (br_if $enough (i32.eqz (global.get $wild)))
                (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then (unreachable)))
                (br $again)))",
        ..Guest::default()
    };
    let error = stopped(&guest.plugin()).await;
    assert!(
        matches!(error, CallError::Memory(limits::MEMORY_BYTES)),
        "{error:?}"
    );
    assert!(error.to_string().contains("bytes of memory"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_grows_a_table_beyond_its_limit_is_stopped() {
    let guest = Guest {
        items: "(table $functions 1 funcref)",
        configures: "
            (loop $again
                (if (i32.eq (table.grow $functions (ref.null func) (i32.const 1000)) (i32.const -1))
                    (then (unreachable)))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u
                    (local.get $i)
                    (select (i32.const 30) (i32.const 15) (global.get $wild)))))",
        ..Guest::default()
    };
    trapped_because(&stopped(&guest.plugin()).await, "unreachable");
}

/// A guest that has so many core modules more.
fn with_more(guest: &Guest, module: &str, times: usize) -> Result<Plugin, LoadError> {
    Plugin::from_bytes("guest.wasm", &with_modules(&guest.component(), module, times))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memories_of_a_guest_are_limited_together() {
    // 40 MiB in a memory of its own; 30 MiB more in the first memory are too much, and 20 MiB are not.
    let guest = Guest {
        configures: "
            (if (i32.eq
                    (memory.grow (select (i32.const 480) (i32.const 320) (global.get $wild)))
                    (i32.const -1))
                (then (unreachable)))",
        ..Guest::default()
    };
    let plugin = with_more(&guest, "(module (memory 640))", 1).expect("it loads");
    let error = stopped(&plugin).await;
    assert!(matches!(error, CallError::Memory(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_that_a_guest_begins_with_counts_and_so_does_what_it_grows_before_it_is_called() {
    let begins_with = |module: &str| with_more(&Guest::default(), module, 1).expect("it loads");
    let growing = |pages| {
        format!("(module (memory 1) (func $grow (drop (memory.grow (i32.const {pages})))) (start $grow))")
    };
    // 64 MiB are 1,024 pages, of which the guest has one for itself.
    for tame in ["(module (memory 1023))".to_owned(), growing(1022)] {
        call(&begins_with(&tame), draft_in("EUR")).await.expect("it fits");
    }
    let error = call(&begins_with("(module (memory 1024))"), draft_in("EUR")).await;
    assert!(matches!(error, Err(CallError::Memory(_))), "{error:?}");
    let giving_up = "(module (memory 1)
        (func $grow (if (i32.eq (memory.grow (i32.const 1023)) (i32.const -1)) (then (unreachable))))
        (start $grow))";
    let error = call(&begins_with(giving_up), draft_in("EUR")).await;
    assert!(matches!(error, Err(CallError::Memory(_))), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_of_a_guest_are_limited_together() {
    let with_table = |elements: usize| {
        let module = format!("(module (table {elements} funcref))");
        with_more(&Guest::default(), &module, 2).expect("it loads")
    };
    let fits = limits::TABLE_ELEMENTS / 2 - 100;
    call(&with_table(fits), draft_in("EUR")).await.expect("it fits");
    let error = call(&with_table(fits + 200), draft_in("EUR"))
        .await
        .expect_err("too many");
    trapped_because(&error, "exceeds table limits");
}

#[test]
fn a_component_with_more_parts_than_a_call_may_have_is_refused_before_any_call() {
    let memories = |count| with_more(&Guest::default(), "(module (memory 1))", count);
    let tables = |count| with_more(&Guest::default(), "(module (table 1 funcref))", count);
    let instances = |count| with_more(&Guest::default(), "(module)", count);
    // The guest itself is one instance with one memory.
    let (most_memories, most_tables) = (limits::MEMORIES as usize - 1, limits::TABLES as usize);
    let most_instances = limits::CORE_INSTANCES as usize - 1;
    for fits in [
        memories(most_memories),
        tables(most_tables),
        instances(most_instances),
    ] {
        assert!(fits.is_ok(), "{:?}", fits.err());
    }
    let large = || with_more(&Guest::default(), "(module (memory 1025))", 1);
    for refused in [
        memories(most_memories + 1),
        tables(most_tables + 1),
        instances(most_instances + 1),
        large(),
    ] {
        let Err(refused) = refused else {
            panic!("it must not load")
        };
        assert!(matches!(refused, LoadError::TooLarge { .. }), "{refused:?}");
        assert_eq!(refused.diagnosis().code, "plugin-too-large");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_calls_itself_without_end_is_stopped() {
    let guest = Guest {
        items: "
            (func $descend (param $levels i32)
                (if (i32.eqz (local.get $levels)) (then (return)))
                (call $descend (i32.sub (local.get $levels) (i32.const 1))))",
        configures: "(call $descend (select (i32.const -1) (i32.const 10) (global.get $wild)))",
        ..Guest::default()
    };
    trapped_because(&stopped(&guest.plugin()).await, "call stack exhausted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_makes_thousands_of_resources_of_its_own_is_stopped() {
    let guest = Guest {
        world: World::Owner,
        imports: r#"(import "[export]test:guests/things" "[resource-new]thing" (func $new (param i32) (result i32)))"#,
        configures: "
            (loop $again
                (drop (call $new (i32.const 7)))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u
                    (local.get $i)
                    (select (i32.const 2000) (i32.const 900) (global.get $wild)))))",
        ..Guest::default()
    };
    trapped_because(&stopped(&guest.plugin()).await, "handle");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_makes_thousands_of_the_host_s_resources_is_stopped() {
    let guest = Guest {
        imports: r#"(import "wasi:clocks/monotonic-clock@0.2.2" "subscribe-duration" (func $timer (param i64) (result i32)))"#,
        configures: "
            (loop $again
                (drop (call $timer (i64.const 1)))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u
                    (local.get $i)
                    (select (i32.const 2000) (i32.const 400) (global.get $wild)))))",
        ..Guest::default()
    };
    trapped_because(&stopped(&guest.plugin()).await, "resource table has no free keys");
}

const ACCESS_TOKEN_CACHE: &str = r#"
    (import "bss:service-manager/access-token-cache@0.1.0" "get" (func $get (param i32 i32 i32)))
    (import "bss:service-manager/access-token-cache@0.1.0" "put" (func $put (param i32 i32 i32 i32 i64)))
    (import "bss:service-manager/access-token-cache@0.1.0" "drop-refused"
        (func $drop-refused (param i32 i32 i32 i32)))"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_asks_for_access_tokens_under_ever_new_names_is_stopped() {
    // The names are zeros, each one longer than the last; 16 of them are taken, and 17 are not.
    let guest = Guest {
        imports: ACCESS_TOKEN_CACHE,
        configures: "
            (loop $again
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (call $get (i32.const 4096) (local.get $i) (i32.const 3000))
                (br_if $again (i32.lt_u (local.get $i) (select (i32.const 17) (i32.const 16) (global.get $wild)))))",
        ..Guest::default()
    };
    stopped_by(&stopped(&guest.plugin()).await, HostLimit::AccessTokenNames);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_with_long_names_and_access_tokens_is_stopped_whatever_it_does_with_them() {
    let guest = |configures| Guest {
        imports: ACCESS_TOKEN_CACHE,
        items: "
            (func $name-bytes (result i32) (select (i32.const 4097) (i32.const 4096) (global.get $wild)))
            (func $token-bytes (result i32) (select (i32.const 65537) (i32.const 65536) (global.get $wild)))",
        configures,
        ..Guest::default()
    };
    for (configures, limit) in [
        (
            "(call $get (i32.const 4096) (call $name-bytes) (i32.const 3000))",
            HostLimit::AccessTokenName,
        ),
        (
            "(call $put (i32.const 4096) (call $name-bytes) (i32.const 4096) (i32.const 9) (i64.const 1))",
            HostLimit::AccessTokenName,
        ),
        (
            "(call $drop-refused (i32.const 4096) (call $name-bytes) (i32.const 4096) (i32.const 9))",
            HostLimit::AccessTokenName,
        ),
        (
            "(drop (memory.grow (i32.const 2)))
            (call $put (i32.const 4096) (i32.const 9) (i32.const 4096) (call $token-bytes) (i64.const 1))",
            HostLimit::AccessToken,
        ),
        (
            "(drop (memory.grow (i32.const 2)))
            (call $drop-refused (i32.const 4096) (i32.const 9) (i32.const 4096) (call $token-bytes))",
            HostLimit::AccessToken,
        ),
    ] {
        stopped_by(&stopped(&guest(configures).plugin()).await, limit);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_hands_over_more_text_than_the_host_takes_is_stopped() {
    // The guest hands the same 40 MiB over twice, and holds them only once.
    let guest = Guest {
        imports: r#"(import "bss:service-manager/progress@0.1.0" "log" (func $log (param i32 i32 i32 i32 i32)))"#,
        configures: "
            (local.set $i (select (i32.const 41943040) (i32.const 16) (global.get $wild)))
            (drop (memory.grow (i32.const 700)))
            (call $log (i32.const 1)
                (i32.const 4096) (local.get $i)
                (i32.const 4096) (local.get $i))",
        ..Guest::default()
    };
    trapped_because(&stopped(&guest.plugin()).await, "fuel");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_hands_over_records_that_share_their_text_is_stopped() {
    // A product takes 56 bytes of the guest's memory; the description of each is the same mebibyte.
    let guest = Guest {
        imports: r#"(import "bss:service-manager/services-sink@0.1.0" "put-products" (func $put (param i32 i32)))"#,
        fetches: "
            (drop (memory.grow (i32.const 40)))
            (loop $again
                (i32.store offset=1114140
                    (i32.mul (local.get $i) (i32.const 56))
                    (i32.const 1048576))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $i) (i32.const 100))))
            (call $put (i32.const 1114112) (select (i32.const 100) (i32.const 2) (global.get $wild)))",
        ..Guest::default()
    };
    let plugin = guest.plugin();
    let refused = plugin.fetch_services(nowhere(), &nobody(), "a tag").await;
    trapped_because(&refused.expect_err("too much").error, "fuel");
    let taken = plugin.fetch_services(nowhere(), &nobody(), "").await;
    let (_, products) = taken.expect("it answers").expect("it reads");
    assert_eq!(products.len(), 2);
}

/// A guest that hands over products in a wild reading and in a tame one; the products lie in its memory at 65,536.
fn handing_over(fetches: &'static str) -> Guest {
    Guest {
        imports: r#"(import "bss:service-manager/services-sink@0.1.0" "put-products" (func $put (param i32 i32)))"#,
        fetches,
        ..Guest::default()
    }
}

/// The end of a guest's wild reading, and the number of products that its tame one brought.
async fn readings(guest: &Guest) -> (CallError, usize) {
    let plugin = guest.plugin().with_limits(CallLimits {
        // A debug build takes seconds to hand over half a gigabyte.
        processor: Duration::from_secs(120),
        ..CallLimits::default()
    });
    let refused = plugin.fetch_services(nowhere(), &nobody(), "a tag").await;
    let taken = plugin.fetch_services(nowhere(), &nobody(), "").await;
    let (_, products) = taken.expect("it answers").expect("it reads");
    let Err(refused) = refused else {
        panic!("it handed over more than it may")
    };
    (refused.error, products.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_hands_over_a_product_with_more_values_than_one_may_have_is_stopped() {
    // A product's list of values is at the offsets 32 and 36; each value takes 24 bytes, all zeros.
    let guest = handing_over(
        "(drop (memory.grow (i32.const 1)))
        (i32.store (i32.const 65568) (i32.const 65600))
        (i32.store (i32.const 65572) (select (i32.const 101) (i32.const 100) (global.get $wild)))
        (call $put (i32.const 65536) (i32.const 1))",
    );
    let (refused, taken) = readings(&guest).await;
    stopped_by(&refused, HostLimit::ProductValues);
    assert_eq!(taken, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_hands_over_empty_values_without_end_is_stopped() {
    // Each product has the same 100 empty values; 1,000 products at once take about ten megabytes of the host.
    let guest = handing_over(
        "(drop (memory.grow (i32.const 2)))
        (loop $again
            (i32.store offset=65568 (i32.mul (local.get $i) (i32.const 56)) (i32.const 131072))
            (i32.store offset=65572 (i32.mul (local.get $i) (i32.const 56)) (i32.const 100))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (i32.const 1000))))
        (local.set $i (i32.const 0))
        (loop $again
            (call $put (i32.const 65536) (i32.const 1000))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (select (i32.const 100) (i32.const 2) (global.get $wild)))))",
    );
    let (refused, taken) = readings(&guest).await;
    stopped_by(&refused, HostLimit::ProductBytes);
    assert_eq!(taken, 2_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_gives_up_leaves_nothing_to_the_next_call() {
    // The guest gives up where it finds what an earlier call has left in its memory.
    let guest = Guest {
        configures: "
            (if (i32.load (i32.const 4000)) (then (unreachable)))
            (i32.store (i32.const 4000) (i32.const 1))
            (if (global.get $wild) (then (unreachable)))",
        ..Guest::default()
    };
    trapped_because(&stopped(&guest.plugin()).await, "unreachable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_calls_the_host_while_the_host_hands_it_an_argument_is_stopped() {
    let calls = |reallocates| Guest {
        imports: r#"(import "wasi:clocks/monotonic-clock@0.2.2" "now" (func $now (result i64)))"#,
        items: "(func $never (drop (call $now)))",
        reallocates,
        ..Guest::default()
    };
    let plugin = calls("(drop (call $now))").plugin();
    let error = call(&plugin, draft_in("EUR"))
        .await
        .expect_err("that is not allowed");
    trapped_because(&error, "cannot leave component instance");
    call(&calls("").plugin(), draft_in("EUR"))
        .await
        .expect("it is the call that was wrong");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_waits_is_not_taken_for_one_that_is_busy() {
    // 60 waits of 15 ms see more than 60 ticks of the clock, and take next to no time on the processor.
    let guest = Guest {
        imports: r#"
            (import "wasi:clocks/monotonic-clock@0.2.2" "subscribe-duration" (func $timer (param i64) (result i32)))
            (import "wasi:io/poll@0.2.2" "[method]pollable.block" (func $block (param i32)))
            (import "wasi:io/poll@0.2.2" "[resource-drop]pollable" (func $drop (param i32)))"#,
        configures: "
            (loop $again
                (local.set $handle (call $timer (i64.const 15000000)))
                (call $block (local.get $handle))
                (call $drop (local.get $handle))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $i) (i32.const 60))))
            (loop $busy (br_if $busy (global.get $wild)))",
        ..Guest::default()
    };
    let error = stopped(&hasty(&guest)).await;
    assert!(matches!(error, CallError::Busy(_)), "{error:?}");
}

/// The events and the log lines that a call sends.
#[derive(Default)]
struct Told {
    events: AtomicU64,
    lines: Mutex<Vec<(LogLevel, String)>>,
}

impl Told {
    fn lines(&self) -> Vec<(LogLevel, String)> {
        self.lines.lock().expect("no panic").clone()
    }
}

/// The context of a call that can reach nobody, and what the call will tell.
fn listened_call() -> (CallContext, Arc<Told>) {
    let told = Arc::new(Told::default());
    let hearing = told.clone();
    let context = CallContext {
        listener: Arc::new(move |event| {
            hearing.events.fetch_add(1, Ordering::Relaxed);
            if let CallEvent::Log { level, message, .. } = event {
                hearing.lines.lock().expect("no panic").push((level, message));
            }
        }),
        ..nowhere()
    };
    (context, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_logs_without_end_is_stopped_and_most_of_it_is_dropped() {
    let guest = Guest {
        imports: r#"(import "bss:service-manager/progress@0.1.0" "log" (func $log (param i32 i32 i32 i32 i32)))"#,
        items: r#"(data (i32.const 3000) "bought\nand paid")"#,
        configures: "
            (loop $again
                (call $log (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 3000) (i32.const 15))
                (br_if $again (global.get $wild)))",
        ..Guest::default()
    };
    let plugin = hasty(&guest);
    let (context, told) = listened_call();
    let error = plugin
        .configure_instance(context, draft_in("EUR"))
        .await
        .expect_err("it never ends")
        .error;
    assert!(matches!(error, CallError::Busy(_)), "{error:?}");
    let heard = told.lines();
    let at_once = limits::LOG_LINES_AT_ONCE as usize;
    // At most the whole wall-clock time refills the budget.
    let most = at_once + 20 * limits::LOG_LINES_PER_SECOND as usize;
    assert!((at_once..most).contains(&heard.len()), "{}", heard.len());
    // The last line may be one for which there was room again.
    let is_told = |(level, line): &(LogLevel, String)| {
        *level == LogLevel::Warning && line.contains("log lines were dropped")
    };
    assert!(heard.iter().any(is_told), "{:?}", heard.last());

    let (context, told) = listened_call();
    plugin
        .configure_instance(context, draft_in("TAME"))
        .await
        .expect("it is answered");
    assert_eq!(told.lines(), [(LogLevel::Info, "bought and paid".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_each_within_their_limit_log_no_more_than_their_instance_may() {
    let guest = Guest {
        imports: r#"(import "bss:service-manager/progress@0.1.0" "log" (func $log (param i32 i32 i32 i32 i32)))"#,
        items: r#"(data (i32.const 3000) "bought")"#,
        configures: "
            (loop $again
                (call $log (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 3000) (i32.const 6))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $i) (select (i32.const 2000) (i32.const 1) (global.get $wild)))))",
        ..Guest::default()
    };
    let plugin = guest.plugin();
    let begun = std::time::Instant::now();
    let mut calls = tokio::task::JoinSet::new();
    let (context, told) = listened_call();
    for _ in 0..8 {
        let (plugin, context) = (plugin.clone(), context.clone());
        calls.spawn(async move { plugin.configure_instance(context, draft_in("EUR")).await });
    }
    for answered in calls.join_all().await {
        answered.expect("what is too much is dropped, and no more");
    }
    let seconds = u32::try_from(begun.elapsed().as_secs()).expect("a short time") + 1;
    let most = limits::INSTANCE_LOG_LINES_AT_ONCE + seconds * limits::INSTANCE_LOG_LINES_PER_SECOND;
    let heard = told.lines();
    let bought = heard.iter().filter(|(_, line)| line == "bought").count();
    assert!(
        (limits::INSTANCE_LOG_LINES_AT_ONCE as usize..=most as usize).contains(&bought),
        "{bought}"
    );
    let is_told = |(level, line): &(LogLevel, String)| {
        *level == LogLevel::Warning && line.starts_with("the instance's calls log too much: ")
    };
    assert!(heard.iter().any(is_told), "{:?}", heard.last());

    let (mut context, told) = listened_call();
    let mut egress = (*context.egress).clone();
    egress.instance_id = "another".to_owned();
    context.egress = Arc::new(egress);
    plugin
        .configure_instance(context, draft_in("TAME"))
        .await
        .expect("it is answered");
    assert_eq!(told.lines(), [(LogLevel::Info, "bought".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_tells_its_progress_without_end_is_stopped_and_hardly_heard() {
    let guest = Guest {
        imports: r#"(import "bss:service-manager/progress@0.1.0" "report"
            (func $report (param i64 i32 i64 i32 i32)))"#,
        configures: "
            (loop $again
                (call $report (i64.const 1) (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0))
                (br_if $again (global.get $wild)))",
        ..Guest::default()
    };
    let (context, told) = listened_call();
    let error = hasty(&guest).configure_instance(context, draft_in("EUR")).await;
    let error = error.map_err(|failed| failed.error);
    assert!(matches!(error, Err(CallError::Busy(_))), "{error:?}");
    let most = u64::from(limits::LOG_LINES_AT_ONCE + 20 * limits::LOG_LINES_PER_SECOND);
    let events = told.events.load(Ordering::Relaxed);
    assert!(events < most, "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_writes_to_its_standard_output_without_end_is_stopped() {
    let guest = Guest {
        imports: r#"
            (import "wasi:cli/stdout@0.2.2" "get-stdout" (func $stdout (result i32)))
            (import "wasi:io/streams@0.2.2" "[method]output-stream.blocking-write-and-flush"
                (func $write (param i32 i32 i32 i32)))"#,
        configures: "
            (local.set $handle (call $stdout))
            (loop $again
                (call $write (local.get $handle) (i32.const 4096) (i32.const 4096) (i32.const 3000))
                (if (i32.load8_u (i32.const 3000)) (then (unreachable)))
                (br_if $again (global.get $wild)))",
        ..Guest::default()
    };
    let error = stopped(&hasty(&guest)).await;
    assert!(matches!(error, CallError::Busy(_)), "{error:?}");
}

/// An instance that nobody has.
fn nobody() -> Instance {
    Instance {
        id: "nobody".into(),
        values: Vec::new(),
        currency: "EUR".into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_texts_of_a_guest_s_failure_are_cut_and_what_fits_is_told_as_it_is() {
    // All four texts of the refusal at 2064 are the same: ten million letters, or a hundred.
    let guest = Guest {
        fetches: r#"
            (local.set $i (select (i32.const 10000000) (i32.const 100) (global.get $wild)))
            (drop (memory.grow (i32.const 160)))
            (memory.fill (i32.const 65536) (i32.const 97) (local.get $i))
            (if (global.get $wild) (then (i32.store8 (i32.const 65537) (i32.const 0))))
            (i32.store (i32.const 2048) (i32.const 1))
            (i32.store (i32.const 2064) (i32.const 65536)) (i32.store (i32.const 2068) (local.get $i))
            (i32.store (i32.const 2072) (i32.const 65536)) (i32.store (i32.const 2076) (local.get $i))
            (i32.store (i32.const 2080) (i32.const 65536)) (i32.store (i32.const 2084) (local.get $i))
            (i32.store (i32.const 2088) (i32.const 65536)) (i32.store (i32.const 2092) (local.get $i))"#,
        ..Guest::default()
    };
    let plugin = guest.plugin();
    for (tag, start, lengths) in [
        (
            "a tag",
            "a a",
            [
                limits::PROBLEM_CODE_CHARS,
                limits::SENTENCE_CHARS,
                limits::SENTENCE_CHARS,
                limits::NAME_CHARS,
            ],
        ),
        ("", "aaa", [100; 4]),
    ] {
        let answer = plugin.fetch_services(nowhere(), &nobody(), tag).await;
        let Ok(Err(ReadFailure::Refused(problem))) = answer else {
            panic!("it refuses")
        };
        let texts = [
            problem.code,
            problem.message,
            problem.advice,
            problem.correlation_id,
        ];
        assert!(texts.iter().all(|text| text.starts_with(start)));
        assert_eq!(texts.map(|text| text.chars().count()), lengths);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_with_a_form_that_nobody_could_fill_in_has_failed() {
    // The fields are all zeros.
    let guest = Guest {
        configures: "
            (drop (memory.grow (i32.const 1)))
            (i32.store (i32.const 2048) (i32.const 65536))
            (i32.store (i32.const 2052) (select (i32.const 65) (i32.const 64) (global.get $wild)))",
        ..Guest::default()
    };
    let error = stopped(&guest.plugin()).await;
    assert!(
        matches!(error, CallError::Defect(PluginDefect::LongList { .. })),
        "{error:?}"
    );
    assert_eq!(error.diagnosis().code, "plugin-defect");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_tag_that_is_too_long_fails_the_call_and_is_never_cut_to_another() {
    let guest = Guest {
        fetches: "
            (memory.fill (i32.const 4096) (i32.const 97) (i32.const 1001))
            (i32.store (i32.const 2080) (i32.const 4096))
            (i32.store (i32.const 2084) (select (i32.const 1001) (i32.const 1000) (global.get $wild)))",
        ..Guest::default()
    };
    let plugin = guest.plugin();
    let defect = plugin.fetch_services(nowhere(), &nobody(), "a tag").await;
    let defect = defect.map_err(|failed| failed.error);
    assert!(
        matches!(defect, Err(CallError::Defect(PluginDefect::LongName { .. }))),
        "{defect:?}"
    );
    let taken = plugin.fetch_services(nowhere(), &nobody(), "").await;
    let (Outcome::Complete(summary), _) = taken.expect("it answers").expect("it reads") else {
        panic!("it is complete")
    };
    assert_eq!(summary.entity_tag, "a".repeat(1_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_s_code_that_is_too_long_fails_the_reading() {
    // The code of the product at 65,536.
    let guest = handing_over(
        "(drop (memory.grow (i32.const 1)))
        (memory.fill (i32.const 4096) (i32.const 97) (i32.const 201))
        (i32.store (i32.const 65536) (i32.const 4096))
        (i32.store (i32.const 65540) (select (i32.const 201) (i32.const 200) (global.get $wild)))
        (call $put (i32.const 65536) (i32.const 1))",
    );
    let (refused, taken) = readings(&guest).await;
    assert!(
        matches!(refused, CallError::Defect(PluginDefect::LongName { .. })),
        "{refused:?}"
    );
    assert_eq!(taken, 1);
}
