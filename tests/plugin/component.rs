//! The component and the program under test, each built once per run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use host_harness::Plugin;

/// The component's file: the one that `cargo xtask` has just built, or one built now.
pub(crate) fn component() -> &'static Path {
    static COMPONENT: LazyLock<PathBuf> =
        LazyLock::new(|| built("MICROSOFT_ESD_COMPONENT", "microsoft-esd", "microsoft_esd.wasm"));
    &COMPONENT
}

/// The file of the example's component, made in the same way.
pub(crate) fn acme_component() -> &'static Path {
    static COMPONENT: LazyLock<PathBuf> =
        LazyLock::new(|| built("ACME_KEYS_COMPONENT", "acme-keys", "acme_keys.wasm"));
    &COMPONENT
}

fn built(variable: &str, package: &str, file: &str) -> PathBuf {
    if let Some(built) = std::env::var_os(variable) {
        return built.into();
    }
    let target = ["--target", "wasm32-wasip2", "--profile", "plugin"];
    cargo(&[&["build", "-p", package, "--lib"][..], &target].concat());
    target_dir().join("wasm32-wasip2/plugin").join(file)
}

/// The component, compiled once for all tests.
pub(crate) fn plugin() -> Plugin {
    static PLUGIN: LazyLock<Plugin> = LazyLock::new(|| {
        Plugin::load(
            component(),
            tempfile::tempdir().expect("a temporary directory").path(),
        )
        .expect("the component loads")
    });
    PLUGIN.clone()
}

/// The program `bss-host`.
pub(crate) fn bss_host() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        cargo(&["build", "-p", "bss-host", "--bin", "bss-host"]);
        target_dir()
            .join("debug")
            .join(format!("bss-host{}", std::env::consts::EXE_SUFFIX))
    });
    &PROGRAM
}

/// Makes a data directory with a record, where there is none yet.
pub(crate) fn initialize(data_dir: &Path) {
    let made = Command::new(bss_host())
        .args(["init", "--if-missing", "--data-dir"])
        .arg(data_dir)
        .output()
        .expect("the program runs");
    assert!(made.status.success(), "{made:?}");
}

/// The server of the example's vendor.
pub(crate) fn acme_vendor() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        cargo(&["build", "-p", "acme-keys-vendor", "--bin", "acme-keys-vendor"]);
        target_dir()
            .join("debug")
            .join(format!("acme-keys-vendor{}", std::env::consts::EXE_SUFFIX))
    });
    &PROGRAM
}

/// A program among the host's examples.
pub(crate) fn example(name: &str) -> PathBuf {
    cargo(&["build", "-p", "host-harness", "--example", name]);
    target_dir()
        .join("debug/examples")
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

fn cargo(arguments: &[&str]) {
    let status = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--quiet", "--target-dir"])
        .arg(target_dir())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // Flags that a coverage run or a wrapper set for the host are not for wasm.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .expect("cargo starts");
    assert!(status.success(), "cargo {arguments:?} failed");
}

/// The target folder in which this test was built: its file is `TARGET/debug/deps/plugin-HASH`.
fn target_dir() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a file");
    test.ancestors()
        .nth(3)
        .expect("which lies in a target folder")
        .to_owned()
}
