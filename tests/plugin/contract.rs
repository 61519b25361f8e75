//! What the component imports and exports: the contract, WASI, and nothing else.

use crate::component::plugin;

#[test]
fn the_component_imports_the_contract_and_wasi_only() {
    let plugin = plugin();
    let ours: Vec<_> =
        plugin.imports().iter().filter(|name| !name.starts_with("wasi:")).map(String::as_str).collect();
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
fn the_component_can_not_ask_wasi_for_files_or_sockets_of_its_own() {
    // What std links is listed so that an addition is noticed. The host gives none of it anything to reach.
    let plugin = plugin();
    let wasi: Vec<_> = plugin
        .imports()
        .iter()
        .filter_map(|name| name.strip_prefix("wasi:"))
        .map(|name| name.split('@').next().unwrap_or(name))
        .collect();
    for name in &wasi {
        assert!(!name.starts_with("sockets/"), "{name}");
    }
    assert!(wasi.contains(&"http/outgoing-handler"), "{wasi:?}");
}

#[test]
fn the_component_exports_the_core_interface() {
    let plugin = plugin();
    assert!(plugin.exports().iter().any(|name| name == "bss:service-manager/service-manager@0.1.0"));
}

#[test]
fn no_function_of_an_import_can_return_a_private_key() {
    // The whole of what a plugin may ask of the certificate store, so that an addition is a decision.
    let wit = include_str!("../../wit/certificate-store.wit");
    let functions: Vec<_> =
        wit.lines().filter(|line| line.contains(": func(")).map(str::trim).collect();
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
