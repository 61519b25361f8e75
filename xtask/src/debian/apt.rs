//! Debian's packages, downloaded by apt into a folder of our own: nothing on the machine changes.
//!
//! The mirror is the one that the machine already uses. It is also asked for the two suites that have the
//! packages: security (Debian's newest Rust) and backports (a C library that knows the target).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::files;
use crate::hint::Hint;
use crate::process;

/// The packages that are unpacked. Apt adds those of their dependencies that the machine does not have.
const PACKAGES: [&str; 4] = ["rustc-web", "libstd-rust-web-dev", "rust-web-src", "wasi-libc"];

/// The package whose version-numbered dependency holds the compiler itself, as a shared library. The compiler finds
/// the standard library relative to where it lies, so it must be in our folder even where Debian's is installed.
const DRIVER_OWNER: &str = "libstd-rust-web-dev";

/// Debian's own keys; apt's default set is used where neither is there.
const KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
];

/// Downloads the packages below `home` and answers with their files.
///
/// # Errors
/// The machine does not run Debian, or a package could not be found or downloaded.
pub(super) fn download(home: &Path) -> Result<Vec<PathBuf>> {
    let apt = Apt::prepare(&home.join("apt"))?;
    eprintln!("asking Debian's mirror for its package lists");
    process::run(&mut apt.get(&["-qq", "update"]))
        .hint("the machine's own apt must reach Debian's mirror; try `apt-get update`")?;
    let driver =
        driver_package(&process::stdout(&mut apt.cache(&["depends", DRIVER_OWNER]))?).with_context(|| {
            format!("the security suite of this Debian release has no package `{DRIVER_OWNER}` that depends on a compiler")
        })?;
    let linker =
        linker_package(&process::stdout(&mut apt.cache(&["depends", &driver]))?).with_context(|| {
            format!("Debian's package `{driver}` does not depend on LLVM, whose linker is needed")
        })?;
    let mut wanted = PACKAGES.to_vec();
    wanted.extend([driver.as_str(), linker.as_str()]);
    let mut arguments = vec!["--simulate", "--reinstall", "--no-install-recommends", "install"];
    arguments.extend(&wanted);
    let plan = planned(&process::stdout(&mut apt.get(&arguments))?, &wanted);
    for name in &wanted {
        if !plan.iter().any(|package| package.name == *name) {
            bail!(
                "apt would not install the package `{name}`\nhint: `apt-cache policy {name}` shows the versions that apt knows"
            );
        }
    }
    files::make_folder(&apt.archives)?;
    let exact: Vec<String> = plan.iter().map(Package::exact).collect();
    eprintln!("downloading {}", exact.join(", "));
    let mut arguments = vec!["-qq", "download"];
    arguments.extend(exact.iter().map(String::as_str));
    process::run(apt.get(&arguments).current_dir(&apt.archives))?;
    archives_in(&apt.archives, plan.len())
}

/// Apt with lists, caches and sources of its own.
struct Apt {
    configuration: PathBuf,
    archives: PathBuf,
}

impl Apt {
    fn prepare(folder: &Path) -> Result<Self> {
        let codename = codename()?;
        // An interrupted attempt may have left half a file.
        files::remove_folder(folder)?;
        for part in ["state/lists/partial", "cache/archives/partial"] {
            files::make_folder(&folder.join(part))?;
        }
        let configured = [
            "indextargets",
            "--format",
            "$(REPO_URI) $(RELEASE) $(CODENAME)",
            "Created-By: Packages",
        ];
        let configured = process::stdout(Command::new("apt-get").args(configured))?;
        let keyring = KEYRINGS.into_iter().find(|keyring| Path::new(keyring).is_file());
        files::write(
            &folder.join("sources.list"),
            sources_list(&configured, &codename, keyring)?,
        )?;
        files::write(&folder.join("preferences"), preferences_for(&codename))?;
        let configuration = folder.join("apt.conf");
        files::write(&configuration, configuration_for(folder))?;
        Ok(Self {
            configuration,
            archives: folder.join("packages"),
        })
    }

    fn get(&self, arguments: &[&str]) -> Command {
        self.command("apt-get", arguments)
    }

    fn cache(&self, arguments: &[&str]) -> Command {
        self.command("apt-cache", arguments)
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        // The machine's own configuration still counts: it knows the proxy. Apt's messages are read, so they
        // must be in one language.
        command
            .args(arguments)
            .env("APT_CONFIG", &self.configuration)
            .env("LC_ALL", "C");
        command
    }
}

/// Apt's configuration: everything that it writes, and what it takes for its sources, is in `folder`.
fn configuration_for(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "Dir::State \"{folder}/state\";\n\
         Dir::Cache \"{folder}/cache\";\n\
         Dir::Etc::sourcelist \"{folder}/sources.list\";\n\
         Dir::Etc::sourceparts \"/dev/null\";\n\
         Dir::Etc::preferences \"{folder}/preferences\";\n\
         Dir::Etc::preferencesparts \"/dev/null\";\n\
         // What is installed decides which shared libraries are missing.\n\
         Dir::State::status \"/var/lib/dpkg/status\";\n\
         // As root, apt would download as a user who can't write here.\n\
         APT::Sandbox::User \"\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
         Acquire::Retries \"3\";\n"
    )
}

/// The release that runs here, such as `bookworm`.
fn codename() -> Result<String> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    match (
        os_release(&release, "ID"),
        os_release(&release, "VERSION_CODENAME"),
    ) {
        (Some("debian"), Some(codename)) => Ok(codename.to_owned()),
        (name, _) => bail!(
            "Debian's packages need a stable release of Debian, but this machine runs `{}`\n\
             hint: run `rustup target add wasm32-wasip2` where a download is possible",
            name.unwrap_or("unknown")
        ),
    }
}

/// A value of `/etc/os-release`, which may be quoted.
fn os_release<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .map(|value| value.trim().trim_matches('"'))
}

/// The sources that we need, at the mirror that the machine uses. A line of `configured` is an address, the suite as
/// it was configured (`bookworm` or `oldstable`), and the codename where apt knows it already.
fn sources_list(configured: &str, codename: &str, keyring: Option<&str>) -> Result<String> {
    let mirror_of = |suite: &str| {
        configured.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            let address = words.next()?;
            words.any(|word| word == suite).then(|| address.to_owned())
        })
    };
    let Some(main) = mirror_of(codename) else {
        bail!(
            "apt's sources don't name the suite `{codename}`\nhint: add Debian's mirror to /etc/apt/sources.list"
        )
    };
    let security_suite = format!("{codename}-security");
    // Mirrors keep both archives side by side.
    let security =
        mirror_of(&security_suite).unwrap_or_else(|| format!("{}-security", main.trim_end_matches('/')));
    let options = keyring.map_or_else(String::new, |keyring| format!("[signed-by={keyring}] "));
    Ok(format!(
        "deb {options}{main} {codename} main\n\
         deb {options}{main} {codename}-backports main\n\
         deb {options}{security} {security_suite} main\n"
    ))
}

/// Prefers the C library of backports, which alone knows the target: backports count less than the release unless
/// asked for.
fn preferences_for(codename: &str) -> String {
    format!("Package: wasi-libc\nPin: release n={codename}-backports\nPin-Priority: 900\n")
}

/// The one dependency that is named after a release of Rust.
fn driver_package(depends: &str) -> Option<String> {
    depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| {
            name.starts_with("libstd-rust-web-") && name.ends_with(|last: char| last.is_ascii_digit())
        })
        .map(str::to_owned)
}

/// The linker of the LLVM that the compiler depends on: `lld-22` for `libllvm22`.
fn linker_package(depends: &str) -> Option<String> {
    depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: libllvm"))
        .find(|release| !release.is_empty() && release.bytes().all(|byte| byte.is_ascii_digit()))
        .map(|release| format!("lld-{release}"))
}

/// A package in the version that apt chose.
#[derive(Debug, PartialEq, Eq)]
struct Package {
    name: String,
    version: String,
}

impl Package {
    fn exact(&self) -> String {
        format!("{}={}", self.name, self.version)
    }
}

/// The packages of a simulated installation that we need: those wanted, and every library that the machine lacks.
/// Lines are `Inst libllvm22 (1:22.1.8-1~deb12u1 Debian-Security:12/oldstable-security [amd64])`, with the
/// version in brackets before the parenthesis where a package is already installed.
fn planned(simulation: &str, wanted: &[&str]) -> Vec<Package> {
    let mut packages = Vec::new();
    for line in simulation.lines() {
        let Some((name, rest)) = line.strip_prefix("Inst ").and_then(|line| line.split_once(' ')) else {
            continue;
        };
        let Some((before, after)) = rest.split_once('(') else {
            continue;
        };
        let Some(version) = after
            .split([' ', ')'])
            .next()
            .filter(|version| !version.is_empty())
        else {
            continue;
        };
        let is_missing_library =
            before.trim().is_empty() && name.starts_with("lib") && !name.ends_with("-dev");
        if wanted.contains(&name) || is_missing_library {
            packages.push(Package {
                name: name.to_owned(),
                version: version.to_owned(),
            });
        }
    }
    packages
}

/// The package files in a folder that holds nothing else.
fn archives_in(folder: &Path, expected: usize) -> Result<Vec<PathBuf>> {
    let mut archives = Vec::new();
    let unreadable = || format!("the folder `{}` can't be read", folder.display());
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            archives.push(path);
        }
    }
    if archives.len() != expected {
        bail!(
            "apt downloaded {} of {expected} packages to `{}`",
            archives.len(),
            folder.display()
        );
    }
    archives.sort();
    Ok(archives)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURED: &str = "http://mirror.test/debian/ oldstable bookworm\n\
                              http://mirror.test/debian/ bookworm-updates $(CODENAME)\n\
                              http://security.test/debian-security/ bookworm-security $(CODENAME)\n\
                              https://other.test/node nodistro $(CODENAME)\n";

    #[test]
    fn the_sources_are_those_of_the_machines_own_mirror() {
        let list = sources_list(CONFIGURED, "bookworm", Some("/keys.gpg")).unwrap();
        let expected = "deb [signed-by=/keys.gpg] http://mirror.test/debian/ bookworm main\n\
                        deb [signed-by=/keys.gpg] http://mirror.test/debian/ bookworm-backports main\n\
                        deb [signed-by=/keys.gpg] http://security.test/debian-security/ bookworm-security main\n";
        assert_eq!(list, expected);
    }

    #[test]
    fn the_security_archive_is_looked_for_beside_the_mirror_where_it_is_not_configured() {
        let list = sources_list("http://mirror.test/debian/ trixie\n", "trixie", None).unwrap();
        assert!(
            list.contains("deb http://mirror.test/debian-security trixie-security main\n"),
            "{list}"
        );
    }

    #[test]
    fn a_machine_without_debians_mirror_is_refused() {
        let error = sources_list("https://other.test/node nodistro\n", "bookworm", None).unwrap_err();
        assert!(error.to_string().contains("`bookworm`"), "{error}");
    }

    #[test]
    fn the_release_is_read_with_and_without_quotes() {
        let text = "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID_LIKE=\"x\"\n";
        assert_eq!(os_release(text, "ID"), Some("debian"));
        assert_eq!(os_release(text, "VERSION_ID"), Some("12"));
        assert_eq!(os_release(text, "VERSION_CODENAME"), Some("bookworm"));
        assert_eq!(os_release(text, "NAME"), None);
    }

    #[test]
    fn the_compilers_package_is_the_dependency_with_a_version() {
        let depends =
            "libstd-rust-web-dev\n  Depends: libc6\n  Depends: libstd-rust-web-1.96\n  Conflicts: <rustup>\n";
        assert_eq!(driver_package(depends).as_deref(), Some("libstd-rust-web-1.96"));
        assert_eq!(
            driver_package("libstd-rust-web-dev\n  Conflicts: <rustup>\n"),
            None
        );
    }

    #[test]
    fn the_linker_is_of_the_same_llvm_as_the_compiler() {
        let depends = "libstd-rust-web-1.96\n  Depends: libc6\n  Depends: libllvm22\n  Depends: zlib1g\n";
        assert_eq!(linker_package(depends).as_deref(), Some("lld-22"));
        assert_eq!(linker_package("libstd-rust-web-1.96\n  Depends: libc6\n"), None);
    }

    #[test]
    fn the_plan_has_what_is_wanted_and_the_libraries_that_are_missing() {
        let simulation = "NOTE: This is only a simulation!\n\
             Remv rustc [1.63.0]\n\
             Inst libllvm22 (1:22.1.8-1~deb12u1 Debian-Security:12/oldstable-security [amd64])\n\
             Inst rustc-web [1.96.0-1] (1.96.0-1 Debian-Security:12/oldstable-security [amd64])\n\
             Inst libc6 [2.36-9] (2.36-10 Debian:12/oldstable [amd64])\n\
             Inst libc6-dev (2.36-10 Debian:12/oldstable [amd64])\n\
             Inst gcc (4:12.2.0-3 Debian:12/oldstable [amd64])\n\
             Inst broken\n\
             Conf libllvm22 (1:22.1.8-1~deb12u1 Debian-Security:12/oldstable-security [amd64])\n";
        let plan = planned(simulation, &["rustc-web"]);
        let exact: Vec<String> = plan.iter().map(Package::exact).collect();
        assert_eq!(exact, ["libllvm22=1:22.1.8-1~deb12u1", "rustc-web=1.96.0-1"]);
    }
}
