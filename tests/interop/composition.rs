//! The plugin put together with an adapter that answers as a host would: one component that needs no host of ours.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use bss_simulator::IssuedCertificate;
use tempfile::TempDir;
use wit_parser::WorldItem;
use wit_parser::decoding::{DecodedWasm, decode};

use crate::component::component;

/// A path that `cargo xtask interop` gives to the tests.
pub(crate) fn prepared(variable: &str) -> PathBuf {
    match std::env::var_os(variable) {
        Some(path) => path.into(),
        None => {
            panic!("{variable} is not set. Hint: `cargo xtask interop` builds what it names, and runs this")
        }
    }
}

/// A folder with the composition, and with the folder `identity` that `--dir` opens to it.
pub(crate) struct Stock {
    pub(crate) folder: TempDir,
}

impl Stock {
    pub(crate) fn composed() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let status = Command::new(prepared("STOCK_COMPOSE"))
            .arg(component())
            .arg(prepared("STOCK_ADAPTER"))
            .arg(folder.path().join("composed.wasm"))
            .status()
            .expect("the composer starts");
        assert!(status.success(), "the adapter fits the plugin");
        fs::create_dir(folder.path().join("identity")).expect("a folder");
        Self { folder }
    }

    pub(crate) fn component(&self) -> PathBuf {
        self.folder.path().join("composed.wasm")
    }

    pub(crate) fn identify(&self, issued: &IssuedCertificate) {
        let write = |name, text: &str| {
            fs::write(self.folder.path().join("identity").join(name), text).expect("it is written");
        };
        write("certificate.pem", &issued.certificate_pem);
        write("private-key.pem", &issued.private_key_pem);
    }
}

#[test]
fn the_plugin_is_within_the_composition_byte_by_byte() {
    let composed = fs::read(Stock::composed().component()).expect("the composition");
    let plugin = fs::read(component()).expect("the component");
    let found = composed
        .windows(plugin.len())
        .any(|part| part.starts_with(&plugin[..8]) && part == plugin);
    assert!(found, "the composition holds another plugin");
}

/// The imports of a component that are not WASI's.
fn imports_of_ours(component: &[u8]) -> Vec<String> {
    let Ok(DecodedWasm::Component(resolve, world)) = decode(component) else {
        panic!("it is a component")
    };
    let imports = resolve.worlds[world].imports.iter();
    let interfaces = imports.filter(|(_, item)| match item {
        // Types alone ask nothing of a host.
        WorldItem::Interface { id, .. } => !resolve.interfaces[*id].functions.is_empty(),
        _ => true,
    });
    let names = interfaces.map(|(key, _)| resolve.name_world_key(key));
    names.filter(|name| !name.starts_with("wasi:")).collect()
}

#[test]
fn nothing_of_the_contract_is_asked_of_who_runs_the_composition() {
    let plugin = fs::read(component()).expect("the component");
    assert_ne!(imports_of_ours(&plugin), Vec::<String>::new());
    let composed = fs::read(Stock::composed().component()).expect("the composition");
    assert_eq!(imports_of_ours(&composed), Vec::<String>::new());
}
