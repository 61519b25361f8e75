//! Builds plugins' components for wasm32-wasip2, with a toolchain that can.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::debian;
use crate::process;
use crate::wasm_toolchain::{Built, TARGET, WasmToolchain, contains_file_starting_with};
use crate::workspace::Workspace;

/// A plugin of the workspace.
#[derive(Debug)]
pub(crate) struct Plugin {
    /// The package.
    pub(crate) package: &'static str,
    /// The component's file.
    file: &'static str,
    /// The environment variable that tells tests where the component is.
    pub(crate) variable: &'static str,
}

/// The plugin that is shipped.
pub(crate) const MICROSOFT_ESD: Plugin = Plugin {
    package: "microsoft-esd",
    file: "microsoft_esd.wasm",
    variable: "MICROSOFT_ESD_COMPONENT",
};

/// The plugin of the example.
pub(crate) const ACME_KEYS: Plugin = Plugin {
    package: "acme-keys",
    file: "acme_keys.wasm",
    variable: "ACME_KEYS_COMPONENT",
};

impl Plugin {
    /// Cargo's arguments that say what is built; those that choose the compiler come on top.
    fn build_arguments(&self, profile: &'static str) -> [&'static str; 8] {
        let Self { package, .. } = self;
        [
            "build",
            "--package",
            package,
            "--lib",
            "--target",
            TARGET,
            "--profile",
            profile,
        ]
    }
}

/// A component that was just built.
#[derive(Debug)]
pub(crate) struct Component {
    pub(crate) path: PathBuf,
    plugin: &'static Plugin,
    /// The compiler that made it: `rustc 1.95.0 (59807616e 2026-04-14)`.
    compiler: String,
}

impl Component {
    /// Finds the component that cargo left in `target`.
    ///
    /// # Errors
    /// There is no component.
    fn built_in(target: &Path, plugin: &'static Plugin, compiler: String) -> Result<Self> {
        let path = target.join(TARGET).join("plugin").join(plugin.file);
        if !path.is_file() {
            bail!(
                "the build succeeded, but there is no component at `{}`",
                path.display()
            );
        }
        Ok(Self {
            path,
            plugin,
            compiler,
        })
    }

    /// Copies the component to where `bss-host` looks for it, whichever compiler made it.
    fn put_into(self, target: &Path) -> Result<Self> {
        let folder = target.join(TARGET).join("plugin");
        let path = folder.join(self.plugin.file);
        // A file that is there may be a hard link to one of cargo's, which must not change; so it is replaced.
        let partial = folder.join(format!("{}.partial", self.plugin.file));
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::copy(&self.path, &partial))
            .and_then(|_| std::fs::rename(&partial, &path))
            .with_context(|| format!("`{}` could not be written", path.display()))?;
        Ok(Self { path, ..self })
    }

    /// A line for people: path, size and maker.
    ///
    /// # Errors
    /// The component can't be read any more.
    pub(crate) fn summary(&self) -> Result<String> {
        let bytes = std::fs::metadata(&self.path)
            .with_context(|| format!("the component `{}` can't be read", self.path.display()))?
            .len();
        Ok(format!(
            "component: {}, {bytes} bytes, made by {}",
            self.path.display(),
            self.compiler
        ))
    }
}

/// Builds the component of a plugin, getting the wasm target first where it is missing.
///
/// # Errors
/// The target could not be had, or the plugin does not compile.
pub(crate) fn build(
    workspace: &Workspace,
    plugin: &'static Plugin,
    choice: WasmToolchain,
) -> Result<Component> {
    let arguments = plugin.build_arguments("plugin");
    let Built { target, compiler } = build_for_wasm(workspace, choice, &arguments)?;
    let component = Component::built_in(&target, plugin, compiler)?;
    if target == workspace.target {
        return Ok(component);
    }
    component.put_into(&workspace.target)
}

/// Runs a build of cargo's for wasm, getting the target first where it is missing.
///
/// # Errors
/// The target could not be had, or what is built does not compile.
pub(crate) fn build_for_wasm(
    workspace: &Workspace,
    choice: WasmToolchain,
    arguments: &[&str],
) -> Result<Built> {
    match choice {
        WasmToolchain::Debian => debian::build(workspace, arguments),
        WasmToolchain::Rustup => {
            add_target()?;
            build_with_own_rustc(workspace, arguments)
        }
        WasmToolchain::Auto if is_target_installed() => build_with_own_rustc(workspace, arguments),
        // Debian's compiler was unpacked because rustup could download nothing; asking rustup again costs minutes of
        // time-outs.
        WasmToolchain::Auto if debian::is_unpacked(workspace) => debian::build(workspace, arguments),
        WasmToolchain::Auto if !process::succeeds(Command::new("rustup").arg("--version")) => {
            eprintln!("rustup is not installed, so the target {TARGET} comes from Debian's packages");
            debian::build(workspace, arguments)
        }
        WasmToolchain::Auto => match add_target() {
            Ok(()) => build_with_own_rustc(workspace, arguments),
            Err(no_rustup) => {
                eprintln!("{no_rustup:#}; the target {TARGET} comes from Debian's packages instead");
                debian::build(workspace, arguments)
                    .context(format!("neither rustup nor Debian's packages provide the target {TARGET}; rustup: {no_rustup:#}; Debian"))
            }
        },
    }
}

/// Builds the component beside the shipped one, with the names of its functions; answers with its path.
///
/// # Errors
/// Cargo's own compiler has no standard library for wasm, or the plugin does not compile.
pub(crate) fn build_with_names(workspace: &Workspace) -> Result<PathBuf> {
    const PROFILE: &str = "plugin-with-names";
    if !is_target_installed() {
        bail!(
            "the names of functions need the target {TARGET} of rustup, which is not installed\nhint: `rustup target add {TARGET}`"
        );
    }
    let mut cargo = workspace.cargo(MICROSOFT_ESD.build_arguments(PROFILE));
    for setting in ["inherits='plugin'", "strip=false"] {
        cargo.args(["--config", &format!("profile.{PROFILE}.{setting}")]);
    }
    process::run(&mut cargo)?;
    Ok(workspace
        .target
        .join(TARGET)
        .join(PROFILE)
        .join(MICROSOFT_ESD.file))
}

/// Whether cargo's own compiler has a standard library for wasm.
pub(crate) fn is_target_installed() -> bool {
    let folder = process::stdout(process::rustc().args(["--print", "target-libdir", "--target", TARGET]));
    folder.is_ok_and(|folder| contains_file_starting_with(Path::new(folder.trim()), "libstd-"))
}

fn add_target() -> Result<()> {
    if is_target_installed() {
        return Ok(());
    }
    eprintln!("adding the target {TARGET} with rustup");
    process::run(Command::new("rustup").args(["target", "add", TARGET]))
        .with_context(|| format!("rustup could not add the target {TARGET}"))?;
    if !is_target_installed() {
        bail!("rustup added {TARGET}, but not to the compiler that cargo uses");
    }
    Ok(())
}

fn build_with_own_rustc(workspace: &Workspace, arguments: &[&str]) -> Result<Built> {
    process::run(
        workspace
            .cargo(arguments.iter().copied())
            .arg("--target-dir")
            .arg(&workspace.target),
    )?;
    let compiler = process::stdout(process::rustc().arg("--version"))?;
    Ok(Built {
        target: workspace.target.clone(),
        compiler: compiler.trim().to_owned(),
    })
}
