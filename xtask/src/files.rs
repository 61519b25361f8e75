//! Changes files and folders, with errors that name them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Writes a file, replacing one that is there.
///
/// # Errors
/// The file can't be written.
pub(crate) fn write(path: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    fs::write(path, contents).with_context(|| format!("`{}` could not be written", path.display()))
}

/// Makes a folder, with those that lead to it.
///
/// # Errors
/// The folder can't be made.
pub(crate) fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("the folder `{}` could not be made", folder.display()))
}

/// Removes a folder with everything in it, if it is there.
///
/// # Errors
/// The folder can't be removed.
pub(crate) fn remove_folder(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder)
        .with_context(|| format!("the folder `{}` could not be removed", folder.display()))
}
