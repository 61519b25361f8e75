//! The component's imports and exports: the contract, WASI, and nothing else.

use std::collections::BTreeSet;

use bss_sandbox::limits;

use crate::component::plugin;
use crate::failure_classes::table::{Class, ROWS};

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

#[test]
fn the_contract_names_every_limit_that_a_plugin_meets() {
    let world = words_of_the_world();
    let kib = |bytes: u64| format!("{} KiB", bytes >> 10);
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let number = |number: u64| {
        let digits = number.to_string();
        let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
        groups.collect::<Vec<_>>().join(",")
    };
    let (memory, body) = (limits::MEMORY_BYTES as u64, limits::RESPONSE_BODY_BYTES);
    let all = [
        format!("{} of memory", mib(memory)),
        format!("at most {} memories", limits::MEMORIES),
        format!("{} elements in tables", number(limits::TABLE_ELEMENTS as u64)),
        format!("{} handles", number(limits::HANDLES as u64)),
        format!("{} seconds on the processor", limits::PROCESSOR.as_secs()),
        format!("{} minutes in all", limits::CALL.as_secs() / 60),
        format!("{} for `fetch-services`", limits::CATALOG_CALL.as_secs() / 60),
        format!("{} of random bytes", kib(limits::RANDOM_BYTES)),
        format!("{} of path and query", kib(limits::REQUEST_TARGET_BYTES as u64)),
        format!("{} of header fields", kib(limits::HEADER_BYTES as u64)),
        format!("{} of body. An answer", mib(limits::REQUEST_BODY_BYTES as u64)),
        format!("{} of body. 64", mib(body)),
        format!("{} exchanges at once", limits::CONNECTIONS_PER_INSTANCE),
        format!("{} seconds to resolve", limits::RESOLVE.as_secs()),
        format!("{} to connect", limits::CONNECT.as_secs()),
        format!("{} for the TLS handshake", limits::TLS_HANDSHAKE.as_secs()),
        format!("{} for the first byte", limits::FIRST_BYTE.as_secs()),
        format!("{} between two pieces", limits::BETWEEN_BYTES.as_secs()),
        format!("{} log lines at once", number(limits::LOG_LINES_AT_ONCE.into())),
        format!("{} a second", limits::LOG_LINES_PER_SECOND),
        format!("of {} characters each", number(limits::LOG_LINE_CHARS as u64)),
        format!("{} with what is written", mib(limits::LOG_BYTES as u64)),
        format!("code: {} characters", limits::PROBLEM_CODE_CHARS),
        format!("help: {}", number(limits::SENTENCE_CHARS as u64)),
        format!("labels and names: {}", number(limits::LABEL_CHARS as u64)),
        format!("description: {}", number(limits::DESCRIPTION_CHARS as u64)),
        format!("ids and codes: {} characters", limits::NAME_CHARS),
        format!("fields and attributes: {}", number(limits::VALUE_CHARS as u64)),
        format!("entity tag: {}", number(limits::ENTITY_TAG_CHARS as u64)),
        format!("{} fields", limits::FIELDS),
        format!("{} choices", number(limits::CHOICES as u64)),
        format!("{} problems", limits::PROBLEMS),
        format!("{} steps", limits::STEPS),
        format!("{} product types", limits::PRODUCT_TYPES),
        format!("{} attributes each", limits::PRODUCT_VALUES),
        format!("{} products", number(limits::PRODUCTS as u64)),
        format!("products, {}", mib(limits::PRODUCT_BYTES as u64)),
        format!("{} skipped items", number(limits::SKIPPED as u64)),
        format!("{} names in each list", limits::DESCRIBED_NAMES),
    ];
    for limit in all {
        assert!(world.contains(&limit), "`{limit}` is not in wit/world.wit");
    }
    let secrets = format!("At most {}.", limits::SECRET_HEADERS);
    assert!(include_str!("../../wit/instance-settings.wit").contains(&secrets));
}

/// The documentation of the whole contract, as one line.
fn words_of_the_world() -> String {
    let world = include_str!("../../wit/world.wit");
    let lines = world.lines().filter_map(|line| line.strip_prefix("///"));
    lines
        .flat_map(str::split_whitespace)
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn the_contract_says_after_which_failures_nothing_was_carried_out() {
    let world = words_of_the_world();
    let (_, after) = world.split_once("certainly not carried out:").expect("a list");
    let (said, _) = after.split_once(", if they come").expect("its end");
    let said: BTreeSet<&str> = said
        .split(", ")
        .flat_map(|part| part.split(" and "))
        .map(str::trim)
        .collect();
    let code = |word: &'static str| word.split(' ').next().unwrap_or(word);
    let is_unknown = |class: Class| class == Class::Unknown;
    let not_sent: BTreeSet<String> = ROWS
        .iter()
        .filter(|(_, _, class)| !is_unknown(*class))
        .map(|(_, word, _)| format!("`{}`", code(word)))
        .collect();
    assert_eq!(said, not_sent.iter().map(String::as_str).collect());
    let unknown = ROWS.iter().filter(|(_, _, class)| is_unknown(*class));
    for (what, word, _) in unknown {
        assert!(!not_sent.contains(&format!("`{}`", code(word))), "{what}");
    }
}

#[test]
fn the_contract_stands_alone_with_its_wasi_packages() {
    let folder = tempfile::tempdir().expect("a folder");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/wit"))
        .arg(folder.path())
        .status();
    assert!(copied.expect("cp starts").success());
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve
        .push_dir(folder.path().join("wit"))
        .expect("it needs nothing else");
    for world in ["plugin", "lifecycle-plugin", "checking-plugin"] {
        resolve
            .select_world(&[package], Some(world))
            .expect("the world is there");
    }
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}
