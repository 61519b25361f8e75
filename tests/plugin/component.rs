//! The component and the program under test, each built once per run.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use host_harness::{COMPILED_DIRECTORY, Plugin};
use tempfile::TempDir;

use crate::record_place;

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

/// The component, compiled once for all tests, and the folder with what it was compiled to.
static COMPILED: LazyLock<(TempDir, Plugin)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let plugin = Plugin::load(component(), folder.path()).expect("the component loads");
    (folder, plugin)
});

/// The component, compiled once for all tests.
pub(crate) fn plugin() -> Plugin {
    COMPILED.1.clone()
}

/// Puts the compiled component into a data directory, as a host does that has loaded it there, so that not every program of every
/// test compiles it for itself.
pub(crate) fn keep_compiled(data_dir: &Path) {
    let kept = data_dir.join(COMPILED_DIRECTORY);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&kept);
    made.expect("the directory of compiled plugins");
    for entry in fs::read_dir(COMPILED.0.path()).expect("the compiled component") {
        let entry = entry.expect("a file");
        fs::copy(entry.path(), kept.join(entry.file_name())).expect("a copy");
    }
}

/// The program `bss-host`.
pub(crate) fn bss_host() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        build(&["--bin", "bss-host"]);
        target_dir()
            .join("debug")
            .join(format!("bss-host{}", std::env::consts::EXE_SUFFIX))
    });
    &PROGRAM
}

/// Makes a data directory with a record, where there is none yet.
pub(crate) fn initialize(data_dir: &Path) {
    let mut init = Command::new(bss_host());
    init.args(["init", "--if-missing", "--data-dir"]).arg(data_dir);
    record_place::tell(&mut init, data_dir);
    let made = init.output().expect("the program runs");
    assert!(made.status.success(), "{made:?}");
    keep_compiled(data_dir);
}

/// The server of the example's vendor.
pub(crate) fn acme_vendor() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        build(&["--bin", "acme-keys-vendor"]);
        target_dir()
            .join("debug")
            .join(format!("acme-keys-vendor{}", std::env::consts::EXE_SUFFIX))
    });
    &PROGRAM
}

/// A program among the host's examples.
pub(crate) fn example(name: &str) -> PathBuf {
    build(&["--example", name]);
    target_dir()
        .join("debug/examples")
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// Builds a program with the dependencies of this test: chosen by its package, it would have some compiled with fewer features.
fn build(target: &[&str]) {
    cargo(&[&["build", "--workspace"], target].concat());
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
