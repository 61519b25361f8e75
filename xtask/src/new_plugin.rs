//! Makes a plugin of the example: a crate of its own that is built and tested from the first minute.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::component::{self, ACME_KEYS};
use crate::files;
use crate::workspace::Workspace;

/// The example, which is compiled and tested with the workspace.
const TEMPLATE: &str = "examples/acme-keys";

/// What the example is called as a package, as an offering and as a vendor. What is only written in lower case, such as a header
/// field's name, stays: it is that of the example's server, which the new plugin buys from until it is taught another.
const PACKAGE: &str = ACME_KEYS.package;
const OFFERING: &str = "Acme Keys";
const VENDOR: &str = "Acme";

/// The packages that a plugin has besides ours.
const DEPENDENCIES: [&str; 2] = ["serde", "serde_json"];

/// The longest name: an id of the contract's.
const NAME_LENGTH_MAX: usize = 64;

/// Makes the plugin in a folder that is empty or not there: by default one of its name, where we were called.
///
/// # Errors
/// The name can't be one, the folder has something in it, or a file can't be written.
pub(crate) fn run(workspace: &Workspace, name: &str, folder: Option<&Path>) -> Result<PathBuf> {
    check_name(name)?;
    let folder = folder.unwrap_or_else(|| Path::new(name));
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!(
            "`{}` is not empty\nhint: `--path` names another folder",
            folder.display()
        );
    }
    let template = workspace.root.join(TEMPLATE).join("src");
    let source = folder.join("src");
    files::make_folder(&source)?;
    let entries = fs::read_dir(&template)
        .with_context(|| format!("the template `{}` can't be read", template.display()))?;
    for entry in entries {
        let entry = entry?;
        let text = fs::read_to_string(entry.path())
            .with_context(|| format!("the template's `{}` can't be read", entry.path().display()))?;
        files::write(&source.join(entry.file_name()), renamed(&text, name))?;
    }
    let root = fs::read_to_string(workspace.root.join("Cargo.toml"))?;
    let library = workspace.root.join("guest");
    files::write(&folder.join("Cargo.toml"), manifest(&root, name, &library)?)?;
    // The same versions as here, which have been compiled and audited together.
    fs::copy(workspace.root.join("Cargo.lock"), folder.join("Cargo.lock"))
        .context("`Cargo.lock` can't be copied")?;
    files::write(&folder.join(".gitignore"), "/target\n")?;
    folder
        .canonicalize()
        .with_context(|| format!("the folder `{}` was made and can't be found", folder.display()))
}

/// What to do next, for a terminal.
pub(crate) fn next_steps(workspace: &Workspace, name: &str, folder: &Path) -> String {
    let file = name.replace('-', "_");
    format!(
        "made the plugin `{name}`; in {}:\n\
         \x20 cargo test\n\
         \x20 cargo build --target {target} --profile plugin    # target/{target}/plugin/{file}.wasm\n\
         It buys from the server of the example until `src/vendor.rs` knows another; {}/docs/plugins.md goes on from here.",
        folder.display(),
        workspace.root.display(),
        target = crate::wasm_toolchain::TARGET,
    )
}

/// A name is a package's, a plugin's id, and a word of its texts.
fn check_name(name: &str) -> Result<()> {
    let is_word = |word: &str| {
        let mut bytes = word.bytes();
        !word.is_empty() && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let starts_well = name.starts_with(|first: char| first.is_ascii_lowercase());
    if !starts_well || !name.split('-').all(is_word) || name.len() > NAME_LENGTH_MAX {
        bail!(
            "`{name}` can't be a plugin's name\nhint: lower-case letters and digits, words joined by `-`, a letter first: `contoso-keys`"
        );
    }
    let taken = [component::MICROSOFT_ESD.package, PACKAGE, "bss-plugin"];
    if taken
        .iter()
        .chain(&DEPENDENCIES)
        .any(|known| *known == name.replace('-', "_") || *known == name)
    {
        bail!(
            "`{name}` is the name of another package\nhint: name the vendor and what it sells: `contoso-keys`"
        );
    }
    Ok(())
}

/// `contoso-keys` as people read it: `Contoso Keys`.
fn title(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        first.to_uppercase() + rest
    });
    words.collect::<Vec<_>>().join(" ")
}

fn renamed(text: &str, name: &str) -> String {
    let title = title(name);
    let text = text.replace(PACKAGE, name).replace(OFFERING, &title);
    text.replace(VENDOR, &title)
        .replace(": the example that plugin\n//! authors copy.", ".")
}

/// The manifest of the new crate, with the versions and the profile of the workspace's.
fn manifest(root: &str, name: &str, library: &Path) -> Result<String> {
    let line = |start: &str| {
        let mut lines = root.lines();
        lines
            .find(|line| line.starts_with(start))
            .with_context(|| format!("`Cargo.toml` has no line `{start}`"))
    };
    let dependencies = DEPENDENCIES.map(|package| line(&format!("{package} = ")));
    let [serde, serde_json] = dependencies;
    let profile = root.lines().skip_while(|line| *line != "[profile.plugin]");
    let profile: Vec<_> = profile
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with('#'))
        .collect();
    if profile.is_empty() {
        bail!("`Cargo.toml` has no section `[profile.plugin]`");
    }
    Ok(format!(
        "[package]\n\
         name = \"{name}\"\n\
         description = \"A service manager for {}\"\n\
         version = \"0.1.0\"\n\
         {}\n\
         {}\n\
         publish = false\n\
         \n\
         [lib]\n\
         crate-type = [\"cdylib\"]\n\
         \n\
         [dependencies]\n\
         bss-plugin = {{ path = {:?} }}\n\
         {}\n\
         {}\n\
         \n\
         {}\n\
         \n\
         # A workspace of its own, wherever it stands.\n\
         [workspace]\n",
        title(name),
        line("edition = ")?,
        line("rust-version = ")?,
        library,
        serde?,
        serde_json?,
        profile.join("\n"),
    ))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::process;
    use crate::wasm_toolchain::TARGET;

    #[test]
    fn a_new_plugin_is_built_and_passes_its_own_tests() {
        let workspace = Workspace::locate().unwrap();
        let folder = std::env::temp_dir().join(format!("new-plugin-{}", std::process::id()));
        files::remove_folder(&folder).unwrap();
        let made = run(&workspace, "contoso-keys", Some(&folder)).unwrap();
        let again = run(&workspace, "contoso-keys", Some(&folder)).unwrap_err();
        assert!(again.to_string().contains("is not empty"), "{again}");
        let lib = fs::read_to_string(made.join("src/lib.rs")).unwrap();
        assert!(lib.contains("\"contoso-keys\""), "{lib}");
        assert!(!lib.contains("Acme"), "{lib}");

        let cargo = |arguments: &[&str]| {
            let mut cargo: Command = process::cargo();
            cargo
                .args(arguments)
                .args(["--offline", "--target-dir"])
                .arg(&workspace.target)
                .current_dir(&made);
            process::run(&mut cargo)
        };
        cargo(&["test"]).unwrap();
        if component::is_target_installed() {
            cargo(&["build", "--target", TARGET, "--profile", "plugin"]).unwrap();
            let built = workspace.target.join(TARGET).join("plugin/contoso_keys.wasm");
            assert!(built.is_file(), "{}", built.display());
        }
        files::remove_folder(&folder).unwrap();
    }

    #[test]
    fn a_name_that_can_t_be_a_package_and_an_id_is_refused() {
        for name in [
            "",
            "Contoso",
            "9keys",
            "a--b",
            "-a",
            "a_b",
            "acme-keys",
            "serde",
            "serde-json",
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
        for name in ["contoso", "contoso-keys", "c3po-2"] {
            check_name(name).unwrap();
        }
    }

    #[test]
    fn the_name_is_written_as_people_read_it() {
        let text = "//! Acme Keys: the `acme-keys` of Acme's, and its x-acme-account.";
        assert_eq!(
            renamed(text, "contoso-keys"),
            "//! Contoso Keys: the `contoso-keys` of Contoso Keys's, and its x-acme-account."
        );
    }
}
