//! Whether a component is made for this host, judged by the names of what it imports and exports, so that a refusal
//! says what the plugin wants and what the host has.

use semver::Version;

use crate::error::LoadError;

/// The contract that this host speaks: `wit/`'s package.
pub(crate) const CONTRACT: &str = "bss:service-manager@0.1.0";

/// The interface that every plugin exports. wasmtime finds compatible versions by this name too.
pub(super) const SERVICE_MANAGER: &str = "bss:service-manager/service-manager@0.1.0";

/// The interfaces that a plugin may lack.
pub(super) const CONNECTION: &str = "connection";
pub(super) const LIFECYCLE: &str = "license-lifecycle";

/// A package that plugins may import from.
struct Offered {
    package: &'static str,
    version: &'static str,
    interfaces: &'static [&'static str],
}

/// The functions of the contract that plugins may import, by interface.
const FUNCTIONS: [(&str, &[&str]); 4] = [
    ("access-token-cache", &["get", "put", "drop-refused"]),
    ("certificate-store", &["certificate", "sign"]),
    ("progress", &["report", "log"]),
    ("services-sink", &["put-products"]),
];

/// The contract first, then WASI as [`crate::call_state::add_to_linker`] links it.
const OFFERED: [Offered; 9] = [
    Offered {
        package: "bss:service-manager",
        version: "0.1.0",
        interfaces: &[
            "access-token-cache",
            "certificate-store",
            "failures",
            "instance-settings",
            "license-order",
            "progress",
            "services-definition",
            "services-sink",
        ],
    },
    wasi(
        "wasi:cli",
        &[
            "environment",
            "exit",
            "stderr",
            "stdin",
            "stdout",
            "terminal-input",
            "terminal-output",
            "terminal-stderr",
            "terminal-stdin",
            "terminal-stdout",
        ],
    ),
    wasi("wasi:clocks", &["monotonic-clock", "wall-clock"]),
    wasi("wasi:filesystem", &["preopens", "types"]),
    wasi("wasi:http", &["outgoing-handler", "types"]),
    wasi("wasi:io", &["error", "poll", "streams"]),
    wasi("wasi:random", &["insecure", "insecure-seed", "random"]),
    wasi(
        "wasi:sockets",
        &[
            "instance-network",
            "ip-name-lookup",
            "network",
            "tcp",
            "tcp-create-socket",
            "udp",
            "udp-create-socket",
        ],
    ),
    Offered {
        version: "0.2.0-rc.1",
        ..wasi("wasi:config", &["store"])
    },
];

const fn wasi(package: &'static str, interfaces: &'static [&'static str]) -> Offered {
    Offered {
        package,
        version: "0.2.0",
        interfaces,
    }
}

/// Checks the names; the linker checks the types behind them. `functions` are those that are imported, each with its
/// interface's name.
///
/// # Errors
/// When the plugin is made for another contract, imports what is not here, or is no service manager.
pub(super) fn check(
    path: &str,
    imports: &[String],
    functions: &[(String, String)],
    exports: &[String],
) -> Result<(), LoadError> {
    let both = || imports.iter().chain(exports);
    if let Some(wanted) = both().find_map(|name| other_contract(name)) {
        return Err(LoadError::OtherContract {
            path: path.to_owned(),
            wanted,
            offered: CONTRACT,
        });
    }
    if let Some(unknown) = imports.iter().find(|name| !is_offered(name)) {
        return Err(LoadError::UnknownImport {
            path: path.to_owned(),
            import: unknown.clone(),
            offered: offered(),
        });
    }
    if let Some((interface, function)) = functions.iter().find(|(interface, name)| !has(interface, name)) {
        return Err(LoadError::UnknownImport {
            path: path.to_owned(),
            import: format!("{interface}#{function}"),
            offered: format!("{CONTRACT} ({})", functions_offered()),
        });
    }
    if !offers(exports, "service-manager") {
        return Err(LoadError::NoServiceManager {
            path: path.to_owned(),
            export: SERVICE_MANAGER,
        });
    }
    Ok(())
}

/// Whether the exports have an interface of the contract, in any version: [`check`] refuses incompatible ones before.
pub(super) fn offers(exports: &[String], wanted: &str) -> bool {
    let of_contract = |package| OFFERED.first().is_some_and(|ours| package == ours.package);
    let mut exported = exports.iter().filter_map(|name| parts(name));
    exported.any(|(package, interface, _)| of_contract(package) && interface == wanted)
}

/// The contract that a name belongs to, such as `bss:service-manager@0.2.0`. `None` unless it is a version of this
/// host's contract that is not compatible with the host's own.
fn other_contract(name: &str) -> Option<String> {
    let (package, _, version) = parts(name)?;
    let ours = OFFERED.first()?;
    (package == ours.package && !is_compatible(version, ours.version)).then(|| format!("{package}@{version}"))
}

fn is_offered(name: &str) -> bool {
    let Some((package, interface, version)) = parts(name) else {
        return false;
    };
    OFFERED.iter().any(|offered| {
        offered.package == package
            && is_compatible(version, offered.version)
            && offered.interfaces.contains(&interface)
    })
}

/// Whether this host has a function of an offered interface. WASI's are not checked: the linker has all of a release.
fn has(interface: &str, function: &str) -> bool {
    let Some((package, interface, _)) = parts(interface) else {
        return true;
    };
    let of_contract = OFFERED.first().is_some_and(|ours| package == ours.package);
    let mut functions = FUNCTIONS.iter().filter(|(of, _)| *of == interface);
    !of_contract || functions.any(|(_, names)| names.contains(&function))
}

/// Package, interface and version of `wasi:http/types@0.2.2`.
fn parts(name: &str) -> Option<(&str, &str, &str)> {
    let (package, rest) = name.split_once('/')?;
    let (interface, version) = rest.split_once('@')?;
    Some((package, interface, version))
}

/// Whether two versions are compatible as the component model has it: the first number that is not zero is the same.
/// Pre-releases are compatible only if they are equal.
fn is_compatible(one: &str, other: &str) -> bool {
    let (Ok(one), Ok(other)) = (Version::parse(one), Version::parse(other)) else {
        return false;
    };
    let track = |version: &Version| match (version.major, version.minor, version.patch) {
        (0, 0, patch) => (0, 0, patch),
        (0, minor, _) => (0, minor, 0),
        (major, ..) => (major, 0, 0),
    };
    if one.pre.is_empty() && other.pre.is_empty() {
        track(&one) == track(&other)
    } else {
        one == other
    }
}

/// All that a plugin may import, as part of a sentence.
fn offered() -> String {
    let package = |offered: &Offered| {
        let interfaces = offered.interfaces.join(", ");
        format!("{}@{} ({interfaces})", offered.package, offered.version)
    };
    OFFERED.iter().map(package).collect::<Vec<_>>().join(", ")
}

/// The functions of the contract that a plugin may import.
fn functions_offered() -> String {
    let each = FUNCTIONS
        .iter()
        .flat_map(|(interface, names)| names.iter().map(move |name| format!("{interface}#{name}")));
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_is_the_one_in_wit() {
        let world = include_str!("../../wit/world.wit");
        assert!(world.contains(&format!("package {CONTRACT};")));
        let ours = &OFFERED[0];
        assert_eq!(CONTRACT, format!("{}@{}", ours.package, ours.version));
    }

    /// The names behind a keyword in a file of `wit/`.
    fn named(text: &str, name: impl Fn(&str) -> Option<&str>) -> Vec<&str> {
        let mut names: Vec<_> = text.lines().filter_map(|line| name(line.trim())).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn the_functions_are_those_of_the_interfaces_that_the_world_imports() {
        let files = concat!(env!("CARGO_MANIFEST_DIR"), "/wit");
        let world = include_str!("../../wit/world.wit");
        let imported = named(world, |line| {
            line.strip_prefix("import ")?
                .strip_suffix(';')
                .filter(|name| !name.contains(':'))
        });
        let ours: Vec<_> = FUNCTIONS.iter().map(|(interface, _)| *interface).collect();
        assert_eq!(ours, imported);
        for (interface, functions) in FUNCTIONS {
            let text = std::fs::read_to_string(format!("{files}/{interface}.wit")).unwrap();
            let mut functions = functions.to_vec();
            functions.sort_unstable();
            let declared = named(&text, |line| {
                line.split_once(": func(")
                    .map(|(name, _)| name)
                    .filter(|name| !name.starts_with('/'))
            });
            assert_eq!(functions, declared, "{interface}");
        }
    }

    #[test]
    fn every_interface_of_wasi_that_a_world_may_import_is_offered() {
        // The first two are what a plugin would export; `timezone` is not stable.
        let left_out = ["incoming-handler", "run", "timezone"];
        for offered in OFFERED
            .iter()
            .filter(|offered| offered.package.starts_with("wasi:"))
        {
            let package = offered.package.trim_start_matches("wasi:");
            let folder = format!("{}/wit/deps/{package}", env!("CARGO_MANIFEST_DIR"));
            let mut declared = Vec::new();
            for file in std::fs::read_dir(folder).unwrap() {
                let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
                let interfaces = text.lines().filter_map(|line| line.strip_prefix("interface "));
                declared.extend(interfaces.map(|name| name.trim_end_matches([' ', '{']).to_owned()));
            }
            declared.retain(|name| !left_out.contains(&name.as_str()));
            declared.sort_unstable();
            assert_eq!(offered.interfaces, declared, "{package}");
        }
    }

    #[test]
    fn patches_are_compatible_and_minor_versions_before_1_are_not() {
        assert!(is_compatible("0.1.0", "0.1.7"));
        assert!(is_compatible("0.2.12", "0.2.0"));
        assert!(is_compatible("1.4.0", "1.0.2"));
        assert!(!is_compatible("0.2.0", "0.1.0"));
        assert!(!is_compatible("1.0.0", "0.1.0"));
        assert!(!is_compatible("0.0.2", "0.0.1"));
        assert!(!is_compatible("0.2.0", "0.2.0-rc.1"));
        assert!(is_compatible("0.2.0-rc.1", "0.2.0-rc.1"));
        assert!(!is_compatible("newest", "0.1.0"));
    }

    #[test]
    fn every_import_of_the_contract_s_world_is_offered() {
        for name in [
            "bss:service-manager/progress@0.1.0",
            "wasi:http/outgoing-handler@0.2.2",
            "wasi:config/store@0.2.0-rc.1",
            "wasi:io/streams@0.2.12",
        ] {
            assert!(is_offered(name), "{name}");
        }
        for name in [
            "bss:service-manager/vault@0.1.0",
            "wasi:http/incoming-handler@0.2.2",
            "wasi:http/handler@0.3.0",
            "wasi:nn/tensor@0.2.0",
            "wasi:cli/clipboard@0.2.9",
            "print",
        ] {
            assert!(!is_offered(name), "{name}");
        }
    }
}
