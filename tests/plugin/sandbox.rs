//! The limits of a call, and what happens to one that wants more.

use std::process::{Command, Output};
use std::time::Duration;

use bss_sandbox::bindings::instance_settings::{Draft, Form};
use host_harness::{CallError, CallLimits, LoadError, Plugin};

use crate::component::{bss_host, component as component_file, plugin};
use crate::guests::{Guest, component, guest, module};
use crate::scenario::{INSTANCE, Scenario, nowhere};

/// An empty form of an instance that sells in a currency.
pub(crate) fn draft_in(currency: &str) -> Draft {
    Draft {
        values: Vec::new(),
        saved: Vec::new(),
        secrets: Vec::new(),
        has_licenses: false,
        currency: currency.into(),
        certificates: Vec::new(),
        other_instances: Vec::new(),
    }
}

/// Makes a call that can reach nobody.
pub(crate) async fn call(plugin: &Plugin, draft: Draft) -> Result<Form, CallError> {
    let answer = plugin.configure_instance(nowhere(), draft).await;
    answer.map_err(|failed| failed.error)
}

/// All causes of an error, one on each line.
pub(crate) fn cause(error: &CallError) -> String {
    let mut text = String::new();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text += &format!("{error}\n");
        source = error.source();
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_loops_is_stopped_and_the_next_call_works() {
    let endless = guest("(loop (br 0)) (unreachable)").with_limits(CallLimits {
        processor: Duration::from_millis(200),
        ..CallLimits::default()
    });
    let stopped = call(&endless, draft_in("EUR"))
        .await
        .expect_err("it never answers");
    assert!(matches!(stopped, CallError::Busy(_)), "{stopped:?}");
    assert!(stopped.to_string().contains("of processor time"), "{stopped}");
    call(&plugin(), draft_in("EUR"))
        .await
        .expect("the plugin answers as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_gives_up_is_reported_as_a_defect_of_the_plugin() {
    let trapped = call(&guest("(unreachable)"), draft_in("EUR"))
        .await
        .expect_err("it gives up");
    assert!(matches!(trapped, CallError::Trap(_)), "{trapped:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_answers_with_wild_pointers_is_stopped() {
    let wild = call(&guest("(i32.const -16)"), draft_in("EUR"))
        .await
        .expect_err("that is no answer");
    assert!(matches!(wild, CallError::Trap(_)), "{wild:?}");
}

#[test]
fn a_file_that_is_no_component_is_refused_by_name() {
    for bytes in [
        &b"not wasm at all"[..],
        &wat::parse_str("(module)").expect("a module"),
    ] {
        let Err(refused) = Plugin::from_bytes("some.wasm", bytes) else {
            panic!("it must not load")
        };
        assert!(matches!(refused, LoadError::NotAComponent { .. }), "{refused:?}");
        let said = bss_model::with_causes(&refused);
        assert!(said.contains("`some.wasm`") && !said.contains('\n'), "{said}");
    }
}

#[test]
fn a_component_that_wants_more_than_the_contract_is_refused_by_the_import_s_name() {
    let wanting = r#"(component
        (import "wasi:sockets-of-its-own/raw@0.1.0" (instance (export "open" (func)))))"#;
    let Err(refused) = Plugin::from_bytes("wanting.wasm", &wat::parse_str(wanting).expect("a component"))
    else {
        panic!("it must not load")
    };
    let text = format!("{:#}", anyhow::Error::new(refused));
    assert!(text.contains("wasi:sockets-of-its-own/raw@0.1.0"), "{text}");
}

#[test]
fn a_component_without_the_core_interface_is_refused() {
    let Err(refused) = Plugin::from_bytes("empty.wasm", &wat::parse_str("(component)").expect("a component"))
    else {
        panic!("it must not load")
    };
    assert!(
        matches!(refused, LoadError::NoServiceManager { .. }),
        "{refused:?}"
    );
}

#[test]
fn a_guest_of_the_right_shape_loads() {
    let bytes = component(&module("(unreachable)"));
    assert!(Plugin::from_bytes("right.wasm", &bytes).is_ok());
}

/// Runs a command in a process with so many kibibytes of addresses, or `unlimited`.
fn configured_within(scenario: &Scenario, addresses: &str) -> Output {
    let command = format!("ulimit -v {addresses} && exec \"$0\" \"$@\"");
    Command::new("sh")
        .args(["-c", &command])
        .arg(bss_host())
        .args([
            "instance",
            "configure",
            INSTANCE,
            "--set",
            "country=AT",
            "--data-dir",
        ])
        .arg(scenario.folder.path().join("bss"))
        .env("BSS_PLUGIN", component_file())
        .output()
        .expect("a shell starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn where_addresses_are_scarce_sandboxes_are_set_up_one_by_one() {
    let scenario = Scenario::ready().await;
    // Far less than the pool takes, and not even room for one memory as it is usually set up.
    let four_gibibytes = (4 * 1024 * 1024).to_string();
    for (addresses, is_scarce) in [("unlimited", false), (four_gibibytes.as_str(), true)] {
        let output = configured_within(&scenario, addresses);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{addresses}: {said}");
        assert_eq!(
            said.contains("the pool of sandboxes can't be reserved"),
            is_scarce,
            "{addresses}: {said}"
        );
    }
    let compiled = std::fs::read_dir(scenario.folder.path().join("bss/compiled")).expect("what was compiled");
    assert_eq!(compiled.count(), 2, "each kind of sandbox has code of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_says_is_in_the_log_with_its_instance_and_level() {
    let scenario = Scenario::ready().await;
    let speaking = Guest {
        imports: r#"
            (import "bss:service-manager/progress@0.1.0" "log" (func $log (param i32 i32 i32 i32 i32)))
            (import "wasi:cli/stdout@0.2.2" "get-stdout" (func $stdout (result i32)))
            (import "wasi:cli/stderr@0.2.2" "get-stderr" (func $stderr (result i32)))
            (import "wasi:io/streams@0.2.2" "[method]output-stream.blocking-write-and-flush"
                (func $write (param i32 i32 i32 i32)))"#,
        items: r#"
            (data (i32.const 3100) "an info line")
            (data (i32.const 3200) "out\1b[2J\0aWARN forged: paid")
            (data (i32.const 3300) "the last words")"#,
        configures: "
            (call $log (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 3100) (i32.const 12))
            (call $write (call $stdout) (i32.const 3200) (i32.const 26) (i32.const 3000))
            (call $write (call $stderr) (i32.const 3300) (i32.const 14) (i32.const 3000))
            (unreachable)",
        ..Guest::default()
    };
    let file = scenario.folder.path().join("speaking.wasm");
    std::fs::write(&file, speaking.component()).expect("the guest's file");
    scenario.trust(&file).await;
    let said = |verbose: &[&str]| {
        let output = Command::new(bss_host())
            .args(verbose)
            .args([
                "instance",
                "configure",
                INSTANCE,
                "--set",
                "country=AT",
                "--data-dir",
            ])
            .arg(scenario.folder.path().join("bss"))
            .env("NO_COLOR", "1")
            .output()
            .expect("it starts");
        assert!(!output.status.success(), "the guest gives up");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let id = scenario.host.named_instance(INSTANCE).await.expect("it").id;
    let verbose = said(&["-v"]);
    for (level, line) in [
        ("INFO", "an info line"),
        ("INFO", "out [2J"),
        ("INFO", "WARN forged: paid"),
        ("WARN", "the last words"),
    ] {
        let is_it = |said: &&str| {
            // The fields of the call stand between the two.
            said.contains(&format!(" {level} call{{call="))
                && said.contains(&format!(": plugin: {line}"))
                && said.contains(&id.to_string())
        };
        assert!(
            verbose.lines().any(|said| is_it(&said)),
            "{level} {line}: {verbose}"
        );
    }
    assert!(!verbose.contains('\u{1b}'), "{verbose}");
    let quiet = said(&[]);
    assert!(
        quiet.contains("the plugin crashed or broke a rule of the sandbox"),
        "{quiet}"
    );
    assert!(!quiet.contains("plugin: "), "{quiet}");
}
