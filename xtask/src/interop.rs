//! The tests against software that is not ours: gets what a part needs, then runs its tests.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::component;
use crate::hint::Hint;
use crate::test_totals::TestTotals;
use crate::wasm_toolchain::WasmToolchain;
use crate::workspace::Workspace;
use crate::{process, toolchain};

mod packages;
mod part;
mod readers;
mod stock_wasmtime;

use part::Part;
pub(crate) use part::Variable;

/// The manifest of the workspace whose programs stand in for a host.
pub(crate) const STOCK_MANIFEST: &str = stock_wasmtime::MANIFEST;

const PARTS: [Part; 7] = [
    Part {
        name: "composition",
        about: "the plugin and an adapter as one component, which needs nothing of this project's host",
        programs: &[],
        prepare: stock_wasmtime::build_composer,
    },
    Part {
        name: "cli",
        about: "the component under the wasmtime CLI, as its authors publish it",
        programs: &[],
        prepare: stock_wasmtime::build,
    },
    Part {
        name: "tls",
        about: "TLS and HTTP with nginx, OpenSSL and curl",
        programs: &[("nginx", "nginx-light"), ("openssl", "openssl"), ("curl", "curl")],
        prepare: |_| Ok(Vec::new()),
    },
    Part {
        name: "resolver",
        about: "the system's resolver with a name server of this project, in network namespaces of their own",
        programs: &[("unshare", "util-linux"), ("ip", "iproute2")],
        prepare: |_| Ok(Vec::new()),
    },
    Part {
        name: "browser",
        about: "the e-mail to a customer in Chromium, as wide as a phone and as a desk",
        programs: &[("chromium", "chromium")],
        prepare: |_| Ok(Vec::new()),
    },
    Part {
        name: "console",
        about: "the console in Chromium: by keyboard, without script, with axe-core, at every page and for every role",
        programs: &[
            ("chromium", "chromium"),
            ("chromedriver", "chromium-driver"),
            ("python3", "python3-venv"),
        ],
        prepare: readers::install,
    },
    Part {
        name: "readers",
        about: "what this project writes, read by PyJWT, jsonschema, redocly, schemathesis, standardwebhooks, groff, systemd, zsh and fish; PFX files of Java",
        programs: &[
            ("python3", "python3-venv"),
            ("openssl", "openssl"),
            ("keytool", "default-jre-headless"),
            ("groff", "groff-base"),
            ("systemd-analyze", "systemd"),
            ("zsh", "zsh"),
            ("fish", "fish"),
        ],
        prepare: readers::install,
    },
];

/// The names of the parts, in the order in which they run.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PARTS.iter().map(|part| part.name)
}

/// The parts, one on each line, with their descriptions.
pub(crate) fn list() -> String {
    PARTS.iter().fold(String::new(), |mut list, part| {
        // Writing to a string can't fail.
        let _ = writeln!(list, "{:<11} {}", part.name, part.about);
        list
    })
}

/// Runs the parts named, or all, with more variables for their tests; stops at the first that fails.
///
/// # Errors
/// Something that a part needs can't be had, or one of its tests failed.
pub(crate) fn run(workspace: &Workspace, named: &[String], more: &[Variable]) -> Result<()> {
    toolchain::check()?;
    let component = component::build(workspace, &component::MICROSOFT_ESD, WasmToolchain::Auto)?;
    let mut times = String::new();
    for part in PARTS
        .iter()
        .filter(|part| named.is_empty() || named.iter().any(|name| name == part.name))
    {
        eprintln!("==> {}", part.name);
        let start = Instant::now();
        packages::install(part.programs)?;
        let variables = (part.prepare)(workspace).with_context(|| {
            format!(
                "the programs for the part `{}` could not be installed or built",
                part.name
            )
        })?;
        let prepared = start.elapsed();
        let filter = format!("{}::", part.name);
        let mut tests = workspace.cargo(["test", "--workspace", "--test", "interop", "--", &filter]);
        tests
            .env(component::MICROSOFT_ESD.variable, &component.path)
            .envs(variables)
            .envs(more.iter().cloned());
        let mut totals = TestTotals::default();
        process::run_observed(&mut tests, |line| totals.add(line))
            .with_context(|| format!("the part `{}` failed", part.name))
            .hint(format!("`cargo xtask interop {}` runs the part alone", part.name))?;
        if totals.passed == 0 {
            bail!("the part `{}` has no tests", part.name);
        }
        let (all, prepared) = (start.elapsed().as_secs_f64(), prepared.as_secs_f64());
        let _ = writeln!(
            times,
            "{:<11} {all:>8.1} s, {prepared:.1} s of them for preparation",
            part.name
        );
    }
    print!("\n{times}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_listed_with_what_it_is() {
        for (part, line) in PARTS.iter().zip(list().lines()) {
            assert!(
                line.starts_with(part.name) && line.ends_with(part.about),
                "{line}"
            );
        }
        assert_eq!(list().lines().count(), PARTS.len());
    }
}
