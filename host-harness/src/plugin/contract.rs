//! Whether a component is made for this host, judged by the names of what it imports and exports, so that a refusal says
//! what the plugin wants and what the host has.

use semver::Version;

use crate::error::LoadError;

/// The contract that this host speaks: `wit/`'s package.
pub(crate) const CONTRACT: &str = "bss:service-manager@0.1.0";

/// What every plugin exports. wasmtime finds it by this name in compatible versions too.
pub(super) const SERVICE_MANAGER: &str = "bss:service-manager/service-manager@0.1.0";

/// The interfaces that a plugin may lack.
pub(super) const CONNECTION: &str = "connection";
pub(super) const LIFECYCLE: &str = "license-lifecycle";

/// A package that plugins may import from.
struct Offered {
    package: &'static str,
    version: &'static str,
    /// Which of its interfaces; none named: all.
    interfaces: &'static [&'static str],
}

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
    wasi("wasi:cli"),
    wasi("wasi:clocks"),
    wasi("wasi:filesystem"),
    Offered {
        interfaces: &["outgoing-handler", "types"],
        ..wasi("wasi:http")
    },
    wasi("wasi:io"),
    wasi("wasi:random"),
    wasi("wasi:sockets"),
    Offered {
        version: "0.2.0-rc.1",
        interfaces: &["store"],
        ..wasi("wasi:config")
    },
];

const fn wasi(package: &'static str) -> Offered {
    Offered {
        package,
        version: "0.2.0",
        interfaces: &[],
    }
}

/// Checks the names; whether the types behind them fit is for the linker to say.
///
/// # Errors
/// When the plugin is made for another contract, imports what is not here, or is no service manager.
pub(super) fn check(path: &str, imports: &[String], exports: &[String]) -> Result<(), LoadError> {
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
    if !offers(exports, "service-manager") {
        return Err(LoadError::NoServiceManager {
            path: path.to_owned(),
            export: SERVICE_MANAGER,
        });
    }
    Ok(())
}

/// Whether an interface of the contract is among the exports, of which other versions have been refused by then.
pub(super) fn offers(exports: &[String], wanted: &str) -> bool {
    let of_contract = |package| OFFERED.first().is_some_and(|ours| package == ours.package);
    let mut exported = exports.iter().filter_map(|name| parts(name));
    exported.any(|(package, interface, _)| of_contract(package) && interface == wanted)
}

/// `bss:service-manager@0.2.0`, where the name is one of that and this host speaks another.
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
            && (offered.interfaces.is_empty() || offered.interfaces.contains(&interface))
    })
}

/// Package, interface and version of `wasi:http/types@0.2.2`.
fn parts(name: &str) -> Option<(&str, &str, &str)> {
    let (package, rest) = name.split_once('/')?;
    let (interface, version) = rest.split_once('@')?;
    Some((package, interface, version))
}

/// As the component model has it: the first number that is not zero is the same. Before a release, all are.
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

/// All that a plugin may import, as one says it in a sentence.
fn offered() -> String {
    let packages: Vec<_> = OFFERED
        .iter()
        .map(
            |Offered {
                 package,
                 version,
                 interfaces,
             }| match interfaces {
                [] => format!("{package}@{version}"),
                _ => format!("{package}@{version} ({})", interfaces.join(", ")),
            },
        )
        .collect();
    packages.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_is_the_one_in_wit() {
        let world = include_str!("../../../wit/world.wit");
        assert!(world.contains(&format!("package {CONTRACT};")));
        let ours = &OFFERED[0];
        assert_eq!(CONTRACT, format!("{}@{}", ours.package, ours.version));
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
            "print",
        ] {
            assert!(!is_offered(name), "{name}");
        }
    }
}
