//! Checks what must be installed before anything is built: a Rust that is new enough, and a C compiler.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::hint::Hint;
use crate::process;

/// The oldest Rust that the workspace builds with: `rust-version` in `Cargo.toml`.
const RUST_VERSION: &str = env!("CARGO_PKG_RUST_VERSION");

/// A release of Rust: major, minor, patch.
type Version = (u32, u32, u32);

/// Checks what every build needs: Rust and a C compiler.
///
/// # Errors
/// Says what is missing or too old, and what brings it.
pub(crate) fn check() -> Result<()> {
    check_rustc()?;
    check_c_compiler()
}

/// Checks that cargo's compiler is new enough.
///
/// # Errors
/// The compiler can't be run or is older than `rust-version`.
pub(crate) fn check_rustc() -> Result<()> {
    let found = process::stdout(process::rustc().arg("--version"))?;
    check_version(&found)
        .hint("`rustup update stable` installs a newer Rust; Debian 12 has one in `cargo-web`")
}

/// Checks the answer of `rustc --version`.
///
/// # Errors
/// The answer is no version, or one older than `rust-version`.
pub(crate) fn check_version(found: &str) -> Result<()> {
    let found = found.trim();
    let Some(version) = rustc_version(found) else {
        bail!("`{found}` is not a version of rustc")
    };
    match parse_version(RUST_VERSION) {
        Some(needed) if version < needed => {
            bail!("`{found}` is too old: the workspace needs Rust {RUST_VERSION} or later")
        }
        _ => Ok(()),
    }
}

/// The version in `rustc 1.95.0 (59807616e 2026-04-14)`.
fn rustc_version(line: &str) -> Option<Version> {
    parse_version(line.strip_prefix("rustc ")?.split_whitespace().next()?)
}

/// Reads a version such as `1.95`, `1.95.0` or `1.96.0-nightly`.
fn parse_version(text: &str) -> Option<Version> {
    let release = text.split_once('-').map_or(text, |(release, _)| release);
    let mut numbers = release.split('.').map(str::parse::<u32>);
    let version = (
        numbers.next()?.ok()?,
        numbers.next()?.ok()?,
        numbers.next().unwrap_or(Ok(0)).ok()?,
    );
    numbers.next().is_none().then_some(version)
}

/// Compiles three words of C: a compiler without the C library's headers is not enough.
fn check_c_compiler() -> Result<()> {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut words = compiler.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("cc"));
    command.args(words).args(["-fsyntax-only", "-x", "c", "-"]);
    if c_is_compiled(&mut command) {
        return Ok(());
    }
    bail!(
        "the C compiler `{compiler}` is missing or can't compile a program; aws-lc and SQLite are built from C\n\
         hint: Debian and Ubuntu: `apt-get install gcc libc6-dev`; Fedora: `dnf install gcc`; \
         macOS: `xcode-select --install`"
    )
}

fn c_is_compiled(command: &mut Command) -> bool {
    let started = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut compiler) = started else { return false };
    if let Some(mut stdin) = compiler.stdin.take() {
        // Where the compiler ended early, its exit status says more than the broken pipe.
        let _ = stdin.write_all(b"#include <stdlib.h>\n");
    }
    compiler.wait().is_ok_and(|status| status.success())
}

/// Makes sure that a cargo subcommand of rustup's is there (a minimal toolchain has neither clippy nor rustfmt).
///
/// # Errors
/// The subcommand is missing and rustup could not add it.
pub(crate) fn ensure_component(component: &str) -> Result<()> {
    let subcommand = if component == "rustfmt" { "fmt" } else { component };
    if process::succeeds(process::cargo().args([subcommand, "--version"])) {
        return Ok(());
    }
    process::run(Command::new("rustup").args(["component", "add", component]))
        .with_context(|| format!("`cargo {subcommand}` is missing"))
        .hint(format!(
            "run `rustup component add {component}`, or install Debian 12's `rustfmt-web` and `rust-web-clippy`"
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_rustc_prints() {
        assert_eq!(
            rustc_version("rustc 1.95.0 (59807616e 2026-04-14)"),
            Some((1, 95, 0))
        );
        assert_eq!(
            rustc_version("rustc 1.96.0-nightly (abc 2026-03-01)"),
            Some((1, 96, 0))
        );
        assert_eq!(
            rustc_version("rustc 1.96.1 (x 2026-05-25) (built from a source tarball)"),
            Some((1, 96, 1))
        );
        assert_eq!(rustc_version("gcc 12.2.0"), None);
        assert_eq!(rustc_version("rustc unknown"), None);
    }

    #[test]
    fn versions_compare_by_number_not_by_text() {
        assert!(parse_version("1.100") > parse_version("1.95"));
        assert!(parse_version("1.95.1") > parse_version("1.95"));
        assert!(parse_version("2.0") > parse_version("1.100.9"));
        assert_eq!(parse_version("1.95.0.1"), None);
        assert_eq!(parse_version("1"), None);
    }

    #[test]
    fn a_new_enough_rustc_is_accepted() {
        check_version("rustc 9.0.0 (0 2030-01-01)\n").unwrap();
        check_version(&format!("rustc {RUST_VERSION}.0 (0 2026-01-01)")).unwrap();
    }

    #[test]
    fn an_old_rustc_is_refused_with_both_versions() {
        let error = check_version("rustc 1.63.0 (0 2022-01-01)")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("1.63.0") && error.contains(RUST_VERSION),
            "{error}"
        );
    }

    #[test]
    fn a_compiler_that_is_missing_or_fails_is_noticed() {
        assert!(!c_is_compiled(&mut Command::new("no-such-compiler")));
        assert!(!c_is_compiled(&mut Command::new("false")));
        assert!(c_is_compiled(&mut Command::new("true")));
    }
}
