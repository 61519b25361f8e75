//! A compiler for wasm from Debian's packages, for machines where rustup can download nothing.
//!
//! Debian's `rustc-web` knows wasm32-wasip2 and can be unpacked anywhere. The standard library for wasm is
//! not among the packages, but its source is: cargo builds it with `-Z build-std`. The linker for components is that of
//! the Rust that runs us; where that Rust is Debian's, which has none, the linker comes from crates.io. Nothing is
//! installed outside the target folder, and root is not needed.

mod apt;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::files;
use crate::hint::Hint;
use crate::process;
use crate::toolchain;
use crate::wasm_toolchain::{Built, TARGET, contains_file_starting_with};
use crate::workspace::Workspace;

/// The files of the C library that the linker asks for by name.
const SELF_CONTAINED: [&str; 3] = ["crt1-command.o", "crt1-reactor.o", "libc.a"];

/// The linker that makes a component of what the other linker made. Pinned, so that the next build links like this one.
const COMPONENT_LINKER: &str = "wasm-component-ld";
const COMPONENT_LINKER_VERSION: &str = "0.5.31";

/// Runs a build for wasm with Debian's compiler, unpacking that first where it is missing.
///
/// # Errors
/// A package or a tool is missing, or what is built does not compile.
pub(crate) fn build(workspace: &Workspace, arguments: &[&str]) -> Result<Built> {
    let compiler = Compiler::unpacked(workspace)?;
    let linkers = Linkers::locate(workspace, &compiler)?;
    let version = compiler.version()?;
    toolchain::check_version(&version).hint(format!(
        "remove `{}` to get the newest compiler from Debian",
        compiler.folder.display()
    ))?;
    eprintln!(
        "building with Debian's {version} from {}",
        compiler.folder.display()
    );
    // Another compiler in the same target folder would make cargo build everything again at each change of compiler.
    let target = home(workspace).join("build");
    let mut cargo = workspace.cargo(arguments.iter().copied());
    cargo
        .args(["-Z", "build-std=std,panic_abort", "--target-dir"])
        .arg(&target)
        .env("RUSTC", compiler.rustc())
        .env("RUSTC_BOOTSTRAP", "1")
        .env("LD_LIBRARY_PATH", &compiler.libraries)
        // `RUSTFLAGS` would take precedence over the flags that name the linker. So would `CARGO_ENCODED_RUSTFLAGS`,
        // which `process::cargo` removes.
        .env_remove("RUSTFLAGS")
        .env("CARGO_TARGET_WASM32_WASIP2_LINKER", &linkers.component)
        .env("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS", linkers.flags()?);
    process::run(&mut cargo)?;
    Ok(Built {
        target,
        compiler: format!("Debian's {version}"),
    })
}

/// Whether an earlier build has unpacked the compiler.
pub(crate) fn is_unpacked(workspace: &Workspace) -> bool {
    home(workspace).join("toolchain").is_dir()
}

/// The folder of everything that is downloaded, unpacked or built for Debian's compiler.
fn home(workspace: &Workspace) -> PathBuf {
    workspace.target.join("debian-wasm")
}

/// The two linkers: the one for components calls the other.
struct Linkers {
    component: PathBuf,
    wasm: PathBuf,
}

impl Linkers {
    fn locate(workspace: &Workspace, compiler: &Compiler) -> Result<Self> {
        let component = match component_linker_of_own_rust()? {
            Some(linker) => linker,
            None => installed_component_linker(workspace)?,
        };
        Ok(Self {
            component,
            wasm: compiler.wasm_linker()?,
        })
    }

    /// The flags that tell the linker for components which other linker to call. Cargo splits them at blanks.
    fn flags(&self) -> Result<String> {
        let path = self.wasm.display().to_string();
        if path.contains(char::is_whitespace) {
            bail!("the target folder's path has a blank, which cargo's flags can't express: `{path}`");
        }
        Ok(format!("-Clink-arg=--wasm-ld-path={path}"))
    }
}

/// The linker for components of the Rust that runs us. Every toolchain of rustup's has it; Debian's has not.
fn component_linker_of_own_rust() -> Result<Option<PathBuf>> {
    let sysroot = process::stdout(process::rustc().args(["--print", "sysroot"]))?;
    let host = process::stdout(process::rustc().args(["--print", "host-tuple"]))?;
    let linker = Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(host.trim())
        .join("bin")
        .join(COMPONENT_LINKER);
    Ok(linker.is_file().then_some(linker))
}

/// The linker for components from crates.io, the same program as in rustup's toolchains. Installs it below the target
/// folder where it is missing.
fn installed_component_linker(workspace: &Workspace) -> Result<PathBuf> {
    let folder = home(workspace).join(format!("{COMPONENT_LINKER}-{COMPONENT_LINKER_VERSION}"));
    let linker = folder.join("bin").join(COMPONENT_LINKER);
    if !linker.is_file() {
        eprintln!("installing {COMPONENT_LINKER} {COMPONENT_LINKER_VERSION} from crates.io");
        let mut cargo = workspace.cargo(["install", "--locked", COMPONENT_LINKER]);
        cargo
            .args(["--version", COMPONENT_LINKER_VERSION, "--root"])
            .arg(&folder)
            .arg("--target-dir")
            .arg(home(workspace).join("build"));
        process::run(&mut cargo)?;
    }
    Ok(linker)
}

/// Debian's compiler, unpacked.
struct Compiler {
    folder: PathBuf,
    /// The folder of the compiler's shared libraries.
    libraries: PathBuf,
}

impl Compiler {
    /// The compiler of this workspace; downloaded and unpacked where it is not there yet.
    fn unpacked(workspace: &Workspace) -> Result<Self> {
        let folder = home(workspace).join("toolchain");
        if !folder.is_dir() {
            unpack(&home(workspace), &folder)?;
        }
        Self::in_folder(folder)
    }

    fn in_folder(folder: PathBuf) -> Result<Self> {
        let libraries = folders_in(&folder.join("usr/lib"))?
            .into_iter()
            .find(|candidate| contains_file_starting_with(candidate, "librustc_driver-"))
            .with_context(|| {
                format!(
                    "the folder `{0}` has no compiler\nhint: remove `{0}` and build again",
                    folder.display()
                )
            })?;
        Ok(Self { folder, libraries })
    }

    fn rustc(&self) -> PathBuf {
        self.folder.join("usr/bin/rustc")
    }

    /// LLVM's linker for wasm; its folder is named after a release of LLVM.
    fn wasm_linker(&self) -> Result<PathBuf> {
        folders_in(&self.folder.join("usr/lib"))?
            .into_iter()
            .map(|folder| folder.join("bin/wasm-ld"))
            .find(|linker| linker.exists())
            .with_context(|| {
                format!(
                    "the folder `{0}` has no linker\nhint: remove `{0}` and build again",
                    self.folder.display()
                )
            })
    }

    fn version(&self) -> Result<String> {
        let mut command = Command::new(self.rustc());
        let version = process::stdout(command.env("LD_LIBRARY_PATH", &self.libraries).arg("--version"))
            .hint(format!("remove `{}` and build again", self.folder.display()))?;
        Ok(version.trim().to_owned())
    }
}

/// Downloads the packages and unpacks them; `folder` appears only when it is complete.
fn unpack(home: &Path, folder: &Path) -> Result<()> {
    let partial = home.join("toolchain.partial");
    files::remove_folder(&partial)?;
    let packages = apt::download(home)?;
    files::make_folder(&partial)?;
    for package in &packages {
        eprintln!(
            "unpacking {}",
            package.file_name().unwrap_or_default().to_string_lossy()
        );
        process::run(
            Command::new("dpkg-deb")
                .arg("--extract")
                .arg(package)
                .arg(&partial),
        )?;
    }
    install_c_library(&partial)?;
    drop_unneeded_sources(&partial)?;
    Compiler::in_folder(partial.clone())?.version()?;
    fs::rename(&partial, folder)
        .with_context(|| format!("`{}` could not be renamed to `toolchain`", partial.display()))?;
    // The downloads are 140 MB, and of no more use.
    files::remove_folder(&home.join("apt"))
}

/// Copies wasi-libc to where the compiler looks for a target's own start files.
fn install_c_library(partial: &Path) -> Result<()> {
    let from = partial.join("usr/lib").join(TARGET);
    let to = partial
        .join("usr/lib/rustlib")
        .join(TARGET)
        .join("lib/self-contained");
    files::make_folder(&to)?;
    for name in SELF_CONTAINED {
        fs::copy(from.join(name), to.join(name))
            .with_context(|| format!("`{TARGET}/{name}` of Debian's wasi-libc could not be copied"))
            .hint("Debian's backports have a newer wasi-libc")?;
    }
    Ok(())
}

/// Removes all sources but the standard library's, which are a sixth of the whole compiler's (440 MB).
fn drop_unneeded_sources(partial: &Path) -> Result<()> {
    for release in folders_in(&partial.join("usr/src"))? {
        for part in folders_in(&release)? {
            if !part.ends_with("library") {
                files::remove_folder(&part)?;
            }
        }
    }
    Ok(())
}

fn folders_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("the folder `{}` can't be read", folder.display());
    let entries = fs::read_dir(folder).with_context(unreadable)?;
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry.with_context(unreadable)?;
        if entry.file_type().with_context(unreadable)?.is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    Ok(folders)
}
