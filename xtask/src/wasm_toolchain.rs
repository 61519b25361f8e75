//! What every way to compile for wasm has in common: the target, the choice of a compiler, the result of a build.

use std::path::{Path, PathBuf};

/// The target that the component is compiled for.
pub(crate) const TARGET: &str = "wasm32-wasip2";

/// The compilers that can make the component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WasmToolchain {
    Auto,
    Rustup,
    Debian,
}

/// The result of a build for wasm.
#[derive(Debug)]
pub(crate) struct Built {
    /// The target folder.
    pub(crate) target: PathBuf,
    /// The compiler: `rustc 1.95.0 (59807616e 2026-04-14)`.
    pub(crate) compiler: String,
}

/// Whether a folder has a file whose name starts with `prefix`.
pub(crate) fn contains_file_starting_with(folder: &Path, prefix: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return false;
    };
    entries
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
}
