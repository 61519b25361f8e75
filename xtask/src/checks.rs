//! Every check that a change must pass, one step after the other.

use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::component::{self, ACME_KEYS, MICROSOFT_ESD};
use crate::hint::Hint;
use crate::test_totals::TestTotals;
use crate::wasm_toolchain::{TARGET, WasmToolchain};
use crate::workspace::Workspace;
use crate::{deny, features, interop, process, toolchain};

/// How many tests run at once. Many only wait for a lease, a deadline or a pause to end, so that more than one for each
/// processor keeps a small machine busy.
const TESTS_AT_ONCE: &str = "8";

struct Step {
    name: &'static str,
    run: fn(&Workspace) -> Result<Outcome>,
}

enum Outcome {
    Passed,
    Skipped(&'static str),
    Tested(TestTotals),
}

/// The steps in order: the cheap ones first; the tests last, so that their result stays on the screen.
const STEPS: [Step; 10] = [
    Step {
        name: "toolchain",
        run: |_| toolchain::check().map(passed),
    },
    Step {
        name: "format",
        run: format,
    },
    Step {
        name: "deny",
        run: deny,
    },
    Step {
        name: "wit",
        run: wit,
    },
    Step {
        name: "component",
        run: component,
    },
    Step {
        name: "clippy-wasm",
        run: clippy_wasm,
    },
    Step {
        name: "clippy",
        run: clippy,
    },
    Step {
        name: "features",
        run: features,
    },
    Step {
        name: "docs",
        run: docs,
    },
    Step {
        name: "tests",
        run: tests,
    },
];

/// The names of the steps, in the order in which they run.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    STEPS.iter().map(|step| step.name)
}

/// Runs all steps, or the one named; stops at the first that fails.
///
/// # Errors
/// A step failed; the message says which and how to run it alone.
pub(crate) fn run(workspace: &Workspace, only: Option<&str>) -> Result<()> {
    let mut times = Vec::new();
    let mut totals = None;
    for step in STEPS
        .iter()
        .filter(|step| only.is_none_or(|only| step.name == only))
    {
        eprintln!("==> {}", step.name);
        let start = Instant::now();
        let outcome = (step.run)(workspace)
            .with_context(|| format!("the step `{}` failed", step.name))
            .hint(format!(
                "`cargo xtask test --only {}` runs the step alone",
                step.name
            ))?;
        let seconds = start.elapsed();
        let note = match outcome {
            Outcome::Passed => "",
            Outcome::Skipped(reason) => reason,
            Outcome::Tested(tested) => {
                totals = Some(tested);
                ""
            }
        };
        eprintln!("    {} done in {:.1} s {note}", step.name, seconds.as_secs_f64());
        times.push((step.name, seconds, note));
    }
    println!("\n{}", table(&times));
    if let Some(totals) = totals {
        println!("{totals}");
    }
    Ok(())
}

fn passed((): ()) -> Outcome {
    Outcome::Passed
}

fn format(workspace: &Workspace) -> Result<Outcome> {
    toolchain::ensure_component("rustfmt")?;
    process::run(&mut workspace.cargo(["fmt", "--all", "--check"]))?;
    let stock = [
        "fmt",
        "--manifest-path",
        interop::STOCK_MANIFEST,
        "--all",
        "--check",
    ];
    process::run(&mut workspace.cargo(stock)).map(passed)
}

fn deny(workspace: &Workspace) -> Result<Outcome> {
    Ok(match deny::run_if_installed(workspace)? {
        true => Outcome::Passed,
        false => Outcome::Skipped("(skipped: cargo-deny is missing; `cargo xtask deny` installs it)"),
    })
}

fn wit(workspace: &Workspace) -> Result<Outcome> {
    let mut script = Command::new("bash");
    script
        .args(["scripts/vendor-wit", "--check"])
        .current_dir(&workspace.root);
    process::run(&mut script).map(passed)
}

fn component(workspace: &Workspace) -> Result<Outcome> {
    for plugin in [&MICROSOFT_ESD, &ACME_KEYS] {
        let component = component::build(workspace, plugin, WasmToolchain::Auto)?;
        eprintln!("{}", component.summary()?);
    }
    Ok(Outcome::Passed)
}

fn clippy_wasm(workspace: &Workspace) -> Result<Outcome> {
    if !component::is_target_installed() {
        return Ok(Outcome::Skipped(
            "(skipped: the component came from Debian's compiler, which has no clippy)",
        ));
    }
    toolchain::ensure_component("clippy")?;
    // The profile of the component, so that its procedural macros and build scripts are compiled once.
    let mut cargo = workspace.cargo([
        "clippy",
        "--package",
        MICROSOFT_ESD.package,
        "--package",
        ACME_KEYS.package,
        "--package",
        "bss-plugin",
        "--lib",
        "--target",
        TARGET,
    ]);
    process::run(cargo.args(["--profile", "plugin", "--", "--deny", "warnings"])).map(passed)
}

fn clippy(workspace: &Workspace) -> Result<Outcome> {
    toolchain::ensure_component("clippy")?;
    // Tests that `cargo test` leaves out are no target of `--all-targets`.
    for targets in [&["--all-targets"][..], &["--test", "interop"]] {
        let mut cargo = workspace.cargo(["clippy", "--workspace"]);
        process::run(cargo.args(targets).args(["--", "--deny", "warnings"]))?;
    }
    Ok(passed(()))
}

fn features(workspace: &Workspace) -> Result<Outcome> {
    toolchain::ensure_component("clippy")?;
    features::check(workspace).map(passed)
}

fn docs(workspace: &Workspace) -> Result<Outcome> {
    let mut cargo = workspace.cargo(["doc", "--workspace", "--no-deps", "--document-private-items"]);
    process::run(cargo.env("RUSTDOCFLAGS", "-Dwarnings")).map(passed)
}

/// Unit, integration and documentation tests.
fn tests(workspace: &Workspace) -> Result<Outcome> {
    let mut components = Vec::new();
    for plugin in [&MICROSOFT_ESD, &ACME_KEYS] {
        let component = component::build(workspace, plugin, WasmToolchain::Auto)?;
        components.push((plugin.variable, component.path));
    }
    let mut totals = TestTotals::default();
    let mut cargo = workspace.cargo(["test", "--workspace", "--no-fail-fast"]);
    cargo.envs(components).env("RUST_TEST_THREADS", TESTS_AT_ONCE);
    process::run_observed(&mut cargo, |line| totals.add(line))?;
    Ok(Outcome::Tested(totals))
}

fn table(times: &[(&str, Duration, &str)]) -> String {
    let mut table = String::from("step          seconds\n");
    let total: Duration = times.iter().map(|(_, seconds, _)| seconds).sum();
    for (name, seconds, note) in times.iter().copied().chain([("total", total, "")]) {
        let line = format!("{name:<12} {:>8.1} {note}", seconds.as_secs_f64());
        // Writing to a string can't fail.
        let _ = writeln!(table, "{}", line.trim_end());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_step_and_the_total() {
        let times = [
            ("format", Duration::from_millis(1200), ""),
            ("docs", Duration::from_secs(61), "(skipped)"),
        ];
        let expected = "step          seconds\n\
                        format            1.2\n\
                        docs             61.0 (skipped)\n\
                        total            62.2\n";
        assert_eq!(table(&times), expected);
    }

    #[test]
    fn every_step_has_a_name_of_its_own() {
        let mut all: Vec<_> = names().collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), STEPS.len());
    }
}
