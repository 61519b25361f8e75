//! The promises of the contract's version: plugins that were built for a release run in every later host of the same
//! major version, and a plugin of another major version is refused with both versions named.

use std::fs;
use std::path::{Path, PathBuf};

use host_harness::{CallError, LoadError, Plugin};
use wit_component::semver_check;
use wit_parser::{PackageId, Resolve};

use crate::component::{bss_host, component, initialize};
use crate::guests;
use crate::sandbox::{call, draft_in};

/// The contract's worlds; a plugin is built for one of them.
const WORLDS: [&str; 3] = ["plugin", "lifecycle-plugin", "checking-plugin"];

/// The contract as it was released: all files of `wit/` in one, `world.wit` first.
const RELEASED: &str = include_str!("../../wit/released/0.1.0.wit");

/// The name of the contract's package in [`RELEASED`], and its name here, where both contracts are looked at together.
const PACKAGE: &str = "package bss:service-manager@0.1.0;";
const RENAMED: &str = "package bss:service-manager@0.0.1;";

fn wit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("wit")
}

/// The contract of this checkout, and the released one with something about it changed.
fn both(change: impl Fn(&str) -> String) -> (Resolve, PackageId, PackageId) {
    let mut resolve = Resolve::default();
    let (now, _) = resolve.push_dir(wit()).expect("the contract parses");
    let released = change(&RELEASED.replace(PACKAGE, RENAMED));
    let released = resolve
        .push_str("released.wit", &released)
        .expect("the released contract parses");
    (resolve, released, now)
}

/// Whether plugins for all worlds of `old` run in hosts of `new`.
fn compatible(resolve: &Resolve, old: PackageId, new: PackageId) -> Result<(), String> {
    for world in WORLDS {
        let select = |package| {
            resolve
                .select_world(&[package], Some(world))
                .expect("it has the world")
        };
        semver_check(resolve.clone(), select(old), select(new))
            .map_err(|error| format!("world `{world}`: {error:#}"))?;
    }
    Ok(())
}

#[test]
fn plugins_built_for_the_last_release_run_in_this_host() {
    let (resolve, released, now) = both(str::to_owned);
    compatible(&resolve, released, now).unwrap_or_else(|why| {
        panic!(
            "{why}\nhint: plugins built for the release would no longer load. Put what is new into an interface of its own, \
             or raise the contract's major version (before 1.0.0 the second number)"
        )
    });
}

#[test]
fn what_is_new_comes_with_a_new_version() {
    // Without a new version, a plugin of this checkout would pass for one of the release, and not load in its hosts.
    let (resolve, released, now) = both(str::to_owned);
    let world = fs::read_to_string(wit().join("world.wit")).expect("the contract is there");
    if world.contains(PACKAGE) {
        compatible(&resolve, now, released)
            .unwrap_or_else(|why| panic!("{why}\nhint: raise the version in wit/world.wit"));
    }
}

/// Each change makes a host that demands more than the release's, or has less.
#[test]
fn a_change_that_old_plugins_can_t_follow_is_seen() {
    let changes = [
        // The host demands a function that old plugins don't export.
        (
            "fetch-services: func(",
            "renew: func();\n    fetch-services: func(",
        ),
        // A function that old plugins import is of another type, or gone.
        ("report: func(done: u64,", "report: func(done: u32,"),
        ("drop-refused: func(", "drop-denied: func("),
        // A record that old plugins answer with has a field more.
        ("record license {", "record license {\n        seats: u32,"),
        // A whole interface that old plugins import is gone.
        ("    import services-sink;\n", ""),
    ];
    for (from, to) in changes {
        let (resolve, changed, now) = both(|released| {
            assert!(released.contains(from), "`{from}` is in the contract");
            released.replacen(from, to, 1)
        });
        // The release's plugins are this checkout's; the host is the changed one.
        assert!(compatible(&resolve, now, changed).is_err(), "`{to}`");
    }
}

#[test]
fn an_import_more_is_compatible() {
    let (resolve, changed, now) = both(|released| {
        released.replacen(
            "    report: func(",
            "    tell: func(what: string);\n    report: func(",
            1,
        )
    });
    assert_eq!(compatible(&resolve, now, changed), Ok(()));
}

/// A service manager that does nothing, built for the contract with something about it changed.
fn built_for(change: impl Fn(&str) -> String) -> Vec<u8> {
    built_for_world("plugin", &guests::module("(unreachable)"), change)
}

/// A plugin for a world of the contract with something about it changed; `module` has the world's exports.
fn built_for_world(world: &str, module: &str, change: impl Fn(&str) -> String) -> Vec<u8> {
    let mut resolve = Resolve::default();
    resolve.push_dir(wit()).expect("the contract parses");
    let package = resolve
        .push_str("changed.wit", &change(RELEASED))
        .expect("the changed contract parses");
    guests::component_of_package(&resolve, package, world, &change(module))
}

fn refusal(name: &str, bytes: &[u8]) -> LoadError {
    match Plugin::from_bytes(name, bytes) {
        Ok(_) => panic!("`{name}` must not load"),
        Err(refused) => refused,
    }
}

#[tokio::test]
async fn a_plugin_for_a_later_patch_of_the_contract_loads_with_all_that_it_offers() {
    let traps = "(unreachable)";
    let worlds = [
        ("plugin", guests::module(traps), (false, false)),
        ("lifecycle-plugin", guests::lifecycle_module(traps), (true, false)),
        ("checking-plugin", guests::checking_module(traps), (false, true)),
    ];
    for (world, module, offers) in worlds {
        let bytes = built_for_world(world, &module, |text| text.replace("@0.1.0", "@0.1.1"));
        let plugin = Plugin::from_bytes("later.wasm", &bytes).unwrap_or_else(|why| panic!("{world}: {why}"));
        assert_eq!(
            (plugin.offers_lifecycle(), plugin.checks_connections()),
            offers,
            "{world}"
        );
        // The trap shows that the plugin's function was found and called.
        let called = call(&plugin, draft_in("EUR")).await;
        assert!(matches!(called, Err(CallError::Trap(_))), "{world}: {called:?}");
    }
}

#[test]
fn a_plugin_for_another_major_version_is_refused_with_both_versions() {
    for version in ["0.2.0", "1.0.0"] {
        let bytes = built_for(|text| text.replace("@0.1.0", &format!("@{version}")));
        let refused = refusal("newer.wasm", &bytes);
        assert!(matches!(refused, LoadError::OtherContract { .. }), "{refused:?}");
        let text = refused.to_string();
        for named in [
            "`newer.wasm`",
            &format!("bss:service-manager@{version}"),
            "bss:service-manager@0.1.0",
        ] {
            assert!(text.contains(named), "{named}: {text}");
        }
    }
}

#[test]
fn a_plugin_that_imports_an_interface_of_a_later_contract_is_refused_with_what_there_is() {
    let wanting = r#"(component
        (import "bss:service-manager/vault@0.1.0" (instance (export "open" (func)))))"#;
    let text = refusal("wanting.wasm", &wat::parse_str(wanting).expect("a component")).to_string();
    assert!(
        text.contains("`bss:service-manager/vault@0.1.0`") && text.contains("certificate-store"),
        "{text}"
    );
}

#[test]
fn a_plugin_that_imports_a_function_of_a_later_contract_is_refused_with_what_there_is() {
    let new = "    tell: func(what: string);\n    report: func(";
    let module = guests::module("(unreachable)").replacen(
        "(module",
        r#"(module (import "bss:service-manager/progress@0.1.0" "tell" (func (param i32 i32)))"#,
        1,
    );
    let bytes = built_for_world("plugin", &module, |text| {
        text.replacen("    report: func(", new, 1)
            .replace("@0.1.0", "@0.1.1")
    });
    let refused = refusal("wanting.wasm", &bytes);
    assert!(matches!(refused, LoadError::UnknownImport { .. }), "{refused:?}");
    let text = refused.to_string();
    for named in [
        "`bss:service-manager/progress@0.1.1#tell`",
        "bss:service-manager@0.1.0",
        "progress#report, progress#log",
    ] {
        assert!(text.contains(named), "{named}: {text}");
    }
}

#[test]
fn a_plugin_with_other_types_behind_the_contract_s_names_is_refused() {
    let module = guests::module("(unreachable)").replacen(
        "(module",
        r#"(module (import "bss:service-manager/progress@0.1.0" "report" (func (param i32 i32 i64 i32 i32)))"#,
        1,
    );
    let bytes = built_for_world("plugin", &module, |text| {
        text.replacen("report: func(done: u64,", "report: func(done: u32,", 1)
            .replace("@0.1.0", "@0.1.1")
    });
    let refused = refusal("odd.wasm", &bytes);
    let LoadError::Contract { source, .. } = &refused else {
        panic!("{refused:?}");
    };
    assert!(format!("{source:#}").contains("report"), "{source:#}");
}

#[test]
fn the_program_refuses_a_plugin_for_another_version_in_one_sentence() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let newer = folder.path().join("newer.wasm");
    fs::write(&newer, built_for(|text| text.replace("@0.1.0", "@0.2.0"))).expect("it is written");
    initialize(&folder.path().join("bss"));
    let run = |plugin: &Path, arguments: &[&str]| {
        std::process::Command::new(bss_host())
            .args(arguments)
            .arg("--data-dir")
            .arg(folder.path().join("bss"))
            .env("BSS_PLUGIN", plugin)
            .current_dir(folder.path())
            .output()
            .expect("bss-host starts")
    };
    let created = run(component(), &["instance", "create", "esd", "--currency", "EUR"]);
    assert!(created.status.success(), "{created:?}");
    let refused = run(&newer, &["plugin", "add", "newer.wasm"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "{said}");
    assert!(
        said.contains(
            "is built for bss:service-manager@0.2.0, but this host implements bss:service-manager@0.1.0"
        ),
        "{said}"
    );
    assert!(!said.contains("linker"), "{said}");
    assert!(run(component(), &["instance", "show", "esd"]).status.success());
}
