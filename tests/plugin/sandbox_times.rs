//! How long a call may take, whatever it does: in its own beginning, on the processor, waiting.

use std::time::{Duration, Instant};

use host_harness::{CallError, CallLimits, Plugin};

use crate::guests::Guest;
use crate::sandbox::{call, draft_in};

/// The host's timers, as a guest imports them.
const TIMERS: &str = r#"
    (import "wasi:clocks/monotonic-clock@0.2.2" "subscribe-duration" (func $timer (param i64) (result i32)))
    (import "wasi:io/poll@0.2.2" "[method]pollable.block" (func $block (param i32)))
    (import "wasi:io/poll@0.2.2" "poll" (func $poll (param i32 i32 i32)))"#;

/// Limits far below what a test waits for, and far above what a call takes that does nothing.
fn soon() -> CallLimits {
    CallLimits {
        wall_clock: Duration::from_millis(500),
        processor: Duration::from_millis(500),
        ..CallLimits::default()
    }
}

/// The limit of [`soon`] for the processor alone: on a busy machine, a call can wait longer for it than it has it.
fn patient() -> CallLimits {
    CallLimits {
        wall_clock: Duration::from_secs(60),
        ..soon()
    }
}

fn assert_late(error: &CallError) {
    assert!(matches!(error, CallError::Deadline(_)), "{error:?}");
    assert!(
        error.to_string().contains("did not answer within 500ms"),
        "{error}"
    );
}

fn assert_busy(error: &CallError) {
    assert!(matches!(error, CallError::Busy(_)), "{error:?}");
    assert!(error.to_string().contains("of processor time"), "{error}");
}

async fn first_call(plugin: &Plugin) -> Result<(), CallError> {
    call(plugin, draft_in("EUR")).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_waits_for_a_timer_without_end_is_stopped() {
    let guest = Guest {
        imports: TIMERS,
        configures: "
            (call $block (call $timer (select (i64.const -1) (i64.const 1000000) (global.get $wild))))",
        ..Guest::default()
    };
    let plugin = guest.plugin().with_limits(soon());
    let start = Instant::now();
    assert_late(&first_call(&plugin).await.expect_err("it never ends"));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    call(&plugin, draft_in("TAME"))
        .await
        .expect("a millisecond is waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_polls_timers_without_end_is_stopped() {
    let guest = Guest {
        imports: TIMERS,
        configures: "
            (i32.store (i32.const 3000)
                (call $timer (select (i64.const -1) (i64.const 1000000) (global.get $wild))))
            (i32.store (i32.const 3004) (call $timer (i64.const -1)))
            (call $poll (i32.const 3000) (i32.const 2) (i32.const 3008))",
        ..Guest::default()
    };
    let plugin = guest.plugin().with_limits(soon());
    assert_late(&first_call(&plugin).await.expect_err("it never ends"));
    call(&plugin, draft_in("TAME"))
        .await
        .expect("the first of the two is waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_polls_again_and_again_is_stopped() {
    // The guest waits no time at all, but never stops: the host has as much to do as the guest.
    let guest = Guest {
        imports: TIMERS,
        configures: "
            (i32.store (i32.const 3000) (call $timer (i64.const 0)))
            (loop $again
                (call $poll (i32.const 3000) (i32.const 1) (i32.const 3008))
                (br_if $again (global.get $wild)))",
        ..Guest::default()
    };
    let plugin = guest.plugin().with_limits(patient());
    assert_busy(&first_call(&plugin).await.expect_err("it never ends"));
    call(&plugin, draft_in("TAME")).await.expect("once is enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_is_busy_in_its_beginning_is_stopped() {
    let beginning = |items| Guest {
        items,
        ..Guest::default()
    };
    let plugin = beginning("(func $begin (loop $again (br $again))) (start $begin)").plugin();
    assert_busy(
        &first_call(&plugin.with_limits(patient()))
            .await
            .expect_err("it never begins"),
    );
    let plugin = beginning("(func $begin) (start $begin)").plugin();
    first_call(&plugin.with_limits(soon()))
        .await
        .expect("it has begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_waits_in_its_beginning_is_stopped() {
    let beginning = |items| Guest {
        imports: TIMERS,
        items,
        ..Guest::default()
    };
    for (forever, shortly) in [
        (
            "(func $begin (call $block (call $timer (i64.const -1)))) (start $begin)",
            "(func $begin (call $block (call $timer (i64.const 1000000)))) (start $begin)",
        ),
        (
            r#"(func (export "_initialize") (call $block (call $timer (i64.const -1))))"#,
            r#"(func (export "_initialize") (call $block (call $timer (i64.const 1000000))))"#,
        ),
    ] {
        let plugin = beginning(forever).plugin().with_limits(soon());
        assert_late(&first_call(&plugin).await.expect_err("it never begins"));
        let plugin = beginning(shortly).plugin().with_limits(soon());
        first_call(&plugin).await.expect("it has begun");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_gives_up_in_its_beginning_is_reported_as_a_defect_of_the_plugin() {
    for items in [
        "(func $begin (unreachable)) (start $begin)",
        r#"(func (export "_initialize") (unreachable))"#,
    ] {
        let guest = Guest {
            items,
            ..Guest::default()
        };
        let error = first_call(&guest.plugin()).await.expect_err("it gives up");
        assert!(matches!(error, CallError::Trap(_)), "{error:?}");
    }
}
