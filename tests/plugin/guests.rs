//! Components that misbehave, assembled from a few lines of WebAssembly text.

use std::path::Path;

use host_harness::Plugin;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A plugin whose three functions all have this body, which must leave an `i32` or never end.
pub(crate) fn guest(body: &str) -> Plugin {
    Plugin::from_bytes("guest.wasm", &component(&module(body))).expect("the guest loads")
}

/// The three exports of `service-manager` as the canonical ABI flattens them.
pub(crate) fn module(body: &str) -> String {
    let export = |name: &str, parameters: usize| {
        format!(
            r#"(func (export "bss:service-manager/service-manager@0.1.0#{name}") (param {}) (result i32)
                {body})"#,
            "i32 ".repeat(parameters)
        )
    };
    format!(
        r#"(module
            (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
            {}
            {}
            {})"#,
        export("configure-instance", 11),
        export("fetch-services", 8),
        export("create-license", 1),
    )
}

/// As [`module`], with the two exports of `license-lifecycle`, for the world `lifecycle-plugin`.
pub(crate) fn lifecycle_module(body: &str) -> String {
    let export = |name: &str, parameters: usize| {
        format!(
            r#"(func (export "bss:service-manager/license-lifecycle@0.1.0#{name}") (param {}) (result i32)
                {body})"#,
            "i32 ".repeat(parameters)
        )
    };
    let core = module(body);
    let open = core.strip_suffix(')').expect("a module ends so");
    format!(
        "{open} {} {})",
        export("get-license", 9),
        export("cancel-license", 12)
    )
}

/// Makes a component of the contract's world `plugin` from a core module.
pub(crate) fn component(module: &str) -> Vec<u8> {
    component_of("plugin", module)
}

/// Makes a component of a world of the contract from a core module.
pub(crate) fn component_of(world: &str, module: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("wit"))
        .expect("the contract parses");
    let world = resolve
        .select_world(&[package], Some(world))
        .expect("it has the world");
    let mut module = wat::parse_str(module).expect("the module is right");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("the world fits");
    ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.encode())
        .expect("the module fits the world")
}
