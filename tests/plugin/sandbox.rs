//! What a call may use, and what happens to one that wants more.

use host_harness::bindings::instance_settings::{Draft, Form};
use host_harness::{CallError, LoadError, Plugin, limits};

use crate::component::plugin;
use crate::guests::{component, guest, module};
use crate::scenario::nowhere;

fn draft() -> Draft {
    Draft {
        values: Vec::new(),
        saved: Vec::new(),
        has_licenses: false,
        currency: "EUR".into(),
        certificates: Vec::new(),
        other_instances: Vec::new(),
    }
}

async fn call(plugin: &Plugin) -> Result<Form, CallError> {
    plugin.configure_instance(nowhere(), draft()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_loops_is_stopped_and_the_next_call_works() {
    let endless = guest("(loop (br 0)) (unreachable)");
    let stopped = call(&endless).await.expect_err("it never answers");
    assert!(matches!(stopped, CallError::Busy(_)), "{stopped:?}");
    assert!(stopped.to_string().contains("loop without end"), "{stopped}");
    call(&plugin()).await.expect("the plugin answers as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_allocates_without_end_is_stopped_and_told_apart_from_a_defect() {
    let greedy = guest(
        "(loop
            (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then (unreachable)))
            (br 0))
         (unreachable)",
    );
    let stopped = call(&greedy).await.expect_err("it never has enough");
    assert!(
        matches!(stopped, CallError::Memory(limits::MEMORY_BYTES)),
        "{stopped:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_gives_up_is_reported_as_a_defect_of_the_plugin() {
    let trapped = call(&guest("(unreachable)")).await.expect_err("it gives up");
    assert!(matches!(trapped, CallError::Trap(_)), "{trapped:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_answers_with_wild_pointers_is_stopped() {
    let wild = call(&guest("(i32.const -16)"))
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
        assert!(refused.to_string().contains("`some.wasm`"), "{refused}");
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
    assert!(matches!(refused, LoadError::Contract { .. }), "{refused:?}");
}

#[test]
fn a_guest_of_the_right_shape_loads() {
    let bytes = component(&module("(unreachable)"));
    assert!(Plugin::from_bytes("right.wasm", &bytes).is_ok());
}
