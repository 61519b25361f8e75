//! The component's imports and exports: the contract, WASI, and nothing else.

use crate::component::plugin;

#[test]
fn the_component_imports_the_contract_and_wasi_only() {
    let plugin = plugin();
    let ours: Vec<_> = plugin
        .imports()
        .iter()
        .filter(|name| !name.starts_with("wasi:"))
        .map(String::as_str)
        .collect();
    assert_eq!(
        sorted(ours),
        [
            "bss:service-manager/access-token-cache@0.1.0",
            "bss:service-manager/certificate-store@0.1.0",
            "bss:service-manager/failures@0.1.0",
            "bss:service-manager/instance-settings@0.1.0",
            "bss:service-manager/license-order@0.1.0",
            "bss:service-manager/progress@0.1.0",
            "bss:service-manager/services-definition@0.1.0",
            "bss:service-manager/services-sink@0.1.0",
        ]
    );
}

#[test]
fn the_component_imports_nothing_of_wasi_that_is_not_listed_here() {
    // The imports that the standard library links of its own accord depend on the C library that it was
    // built with: rustup's brings the terminals, Debian's the folders. The host gives neither anything to reach.
    const LISTED: [&str; 23] = [
        "cli/environment",
        "cli/exit",
        "cli/stderr",
        "cli/stdin",
        "cli/stdout",
        "cli/terminal-input",
        "cli/terminal-output",
        "cli/terminal-stderr",
        "cli/terminal-stdin",
        "cli/terminal-stdout",
        "clocks/monotonic-clock",
        "clocks/wall-clock",
        "config/store",
        "filesystem/preopens",
        "filesystem/types",
        "http/outgoing-handler",
        "http/types",
        "io/error",
        "io/poll",
        "io/streams",
        "random/insecure-seed",
        "random/insecure",
        "random/random",
    ];
    let plugin = plugin();
    let wasi: Vec<_> = plugin
        .imports()
        .iter()
        .filter_map(|name| name.strip_prefix("wasi:"))
        .map(|name| name.split('@').next().unwrap_or(name))
        .collect();
    for name in &wasi {
        assert!(LISTED.contains(name), "wasi:{name}");
    }
    for needed in [
        "http/outgoing-handler",
        "config/store",
        "clocks/wall-clock",
        "random/random",
    ] {
        assert!(wasi.contains(&needed), "{needed} in {wasi:?}");
    }
}

#[test]
fn the_component_exports_the_core_interface_and_both_optional_ones() {
    let plugin = plugin();
    let mut exports: Vec<_> = plugin.exports().iter().map(String::as_str).collect();
    exports.sort_unstable();
    assert_eq!(
        exports,
        [
            "bss:service-manager/connection@0.1.0",
            "bss:service-manager/license-lifecycle@0.1.0",
            "bss:service-manager/service-manager@0.1.0",
        ]
    );
}

#[test]
fn no_function_of_an_import_can_return_a_private_key() {
    // All that a plugin may ask of the certificate store is listed, so that an addition is a decision.
    let wit = include_str!("../../wit/certificate-store.wit");
    let functions: Vec<_> = wit
        .lines()
        .filter(|line| line.contains(": func("))
        .map(str::trim)
        .collect();
    assert_eq!(
        functions,
        [
            "certificate: func() -> option<list<u8>>;",
            "sign: func(algorithm: signature-algorithm, message: list<u8>) -> result<list<u8>, signing-failure>;",
        ]
    );
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}
