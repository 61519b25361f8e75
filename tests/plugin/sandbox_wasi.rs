//! The parts of WASI that the sandbox gives: time and a little randomness, and nothing that leads out.
//!
//! Each guest judges what it found. In a second call it expects the opposite and gives up, which shows that it judges.

use host_harness::{CallError, Plugin};

use crate::guests::Guest;
use crate::sandbox::{call, cause, draft_in};

/// A plugin that gives up unless the condition is 1; or, in a call for `EUR`, unless it is 0.
fn finding(imports: &'static str, condition: &'static str) -> Plugin {
    Guest {
        imports,
        configures: condition,
        items: "(func $found (param $is i32)
            (if (i32.eq (local.get $is) (global.get $wild)) (then (unreachable))))",
        ..Guest::default()
    }
    .plugin()
}

async fn finds(plugin: Plugin) {
    call(&plugin, draft_in("NONE"))
        .await
        .expect("it finds what it should");
    let opposite = call(&plugin, draft_in("EUR"))
        .await
        .expect_err("it does not find the opposite");
    assert!(matches!(opposite, CallError::Trap(_)), "{opposite:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_finds_no_environment() {
    assert!(
        std::env::vars_os().next().is_some(),
        "there is one that it could find"
    );
    finds(finding(
        r#"(import "wasi:cli/environment@0.2.2" "get-environment" (func $list (param i32)))"#,
        "(call $list (i32.const 3000)) (call $found (i32.eqz (i32.load (i32.const 3004))))",
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_finds_no_arguments() {
    assert!(
        std::env::args_os().next().is_some(),
        "there is one that it could find"
    );
    finds(finding(
        r#"(import "wasi:cli/environment@0.2.2" "get-arguments" (func $list (param i32)))"#,
        "(call $list (i32.const 3000)) (call $found (i32.eqz (i32.load (i32.const 3004))))",
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_finds_no_current_folder() {
    finds(finding(
        r#"(import "wasi:cli/environment@0.2.2" "initial-cwd" (func $folder (param i32)))"#,
        "(call $folder (i32.const 3000)) (call $found (i32.eqz (i32.load8_u (i32.const 3000))))",
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_finds_no_folders() {
    finds(finding(
        r#"(import "wasi:filesystem/preopens@0.2.2" "get-directories" (func $list (param i32)))"#,
        "(call $list (i32.const 3000)) (call $found (i32.eqz (i32.load (i32.const 3004))))",
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_finds_the_end_of_its_standard_input() {
    // The result's second case, and in it the stream error's second: closed.
    finds(finding(
        r#"(import "wasi:cli/stdin@0.2.2" "get-stdin" (func $stdin (result i32)))
           (import "wasi:io/streams@0.2.2" "[method]input-stream.blocking-read"
                (func $read (param i32 i64 i32)))"#,
        "(call $read (call $stdin) (i64.const 16) (i32.const 3000))
         (call $found (i32.and
            (i32.eq (i32.load8_u (i32.const 3000)) (i32.const 1))
            (i32.eq (i32.load8_u (i32.const 3004)) (i32.const 1))))",
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_denied_tcp_sockets() {
    // The result's second case, and in it the error code's second: access-denied.
    finds(finding(
        r#"(import "wasi:sockets/tcp-create-socket@0.2.2" "create-tcp-socket" (func $socket (param i32 i32)))"#,
        "(call $socket (i32.const 0) (i32.const 3000))
         (call $found (i32.and
            (i32.eq (i32.load8_u (i32.const 3000)) (i32.const 1))
            (i32.eq (i32.load8_u (i32.const 3004)) (i32.const 1))))",
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_denied_udp_sockets() {
    finds(finding(
        r#"(import "wasi:sockets/udp-create-socket@0.2.2" "create-udp-socket" (func $socket (param i32 i32)))"#,
        "(call $socket (i32.const 0) (i32.const 3000))
         (call $found (i32.and
            (i32.eq (i32.load8_u (i32.const 3000)) (i32.const 1))
            (i32.eq (i32.load8_u (i32.const 3004)) (i32.const 1))))",
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_denied_the_resolution_of_names() {
    // A name that every machine resolves. The error code's last case: permanent-resolver-failure.
    let plugin = Guest {
        imports: r#"
            (import "wasi:sockets/instance-network@0.2.2" "instance-network" (func $network (result i32)))
            (import "wasi:sockets/ip-name-lookup@0.2.2" "resolve-addresses"
                (func $resolve (param i32 i32 i32 i32)))"#,
        items: r#"
            (data (i32.const 3100) "localhost")
            (func $found (param $is i32)
                (if (i32.eq (local.get $is) (global.get $wild)) (then (unreachable))))"#,
        configures: "
            (call $resolve (call $network) (i32.const 3100) (i32.const 9) (i32.const 3000))
            (call $found (i32.and
                (i32.eq (i32.load8_u (i32.const 3000)) (i32.const 1))
                (i32.eq (i32.load8_u (i32.const 3004)) (i32.const 20))))",
        ..Guest::default()
    };
    finds(plugin.plugin()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_given_some_random_bytes_and_not_without_end() {
    for configures in [
        "(call $random (select (i64.const -1) (i64.const 16) (global.get $wild)) (i32.const 3000))",
        "(call $random (select (i64.const 65537) (i64.const 16) (global.get $wild)) (i32.const 3000))",
    ] {
        let plugin = Guest {
            imports: r#"(import "wasi:random/random@0.2.2" "get-random-bytes" (func $random (param i64 i32)))"#,
            configures,
            ..Guest::default()
        }
        .plugin();
        let refused = call(&plugin, draft_in("EUR")).await.expect_err("too many");
        assert!(
            cause(&refused).contains("exceeds limit 65536"),
            "{}",
            cause(&refused)
        );
        call(&plugin, draft_in("SOME")).await.expect("16 are given");
    }
}
