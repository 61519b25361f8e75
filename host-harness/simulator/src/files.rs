//! The simulator's directory: files that only their owner can read.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A file of the simulator's directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Reading.
    #[error("`{}` can't be read", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Writing.
    #[error("`{}` can't be written", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A file that the simulator wrote was altered since. A simulator on an empty directory writes new files.
    #[error("`{}` is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The damage.
        problem: String,
    },
}

impl FileError {
    pub(super) fn damaged(path: &Path, problem: impl ToString) -> FileError {
        FileError::Damaged {
            path: path.to_owned(),
            problem: problem.to_string(),
        }
    }

    fn read(path: &Path) -> impl FnOnce(io::Error) -> FileError {
        |source| FileError::Read {
            path: path.to_owned(),
            source,
        }
    }

    fn write(path: &Path) -> impl FnOnce(io::Error) -> FileError {
        |source| FileError::Write {
            path: path.to_owned(),
            source,
        }
    }
}

/// Makes the directory and those above it, where they are missing, for their owner alone.
pub(super) fn make_directory(path: &Path) -> Result<(), FileError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(FileError::write(path))
}

/// Creates an empty file for its owner alone, where there is none.
pub(super) fn create(path: &Path) -> Result<(), FileError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(FileError::write(path))
}

/// The file's text. `None` when there is no file.
pub(super) fn read(path: &Path) -> Result<Option<String>, FileError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::read(path)(error)),
    }
}

/// All files of a directory with that extension, in the order of their names; empty where there is no directory.
pub(super) fn list(path: &Path, extension: &str) -> Result<Vec<PathBuf>, FileError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(FileError::read(path)(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.map_err(FileError::read(path))?.path();
        if file.extension().is_some_and(|found| found == extension) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// Writes the whole file or nothing of it, for its owner alone: a crash leaves the old file or the new one.
pub(super) fn write(path: &Path, text: &str) -> Result<(), FileError> {
    let unfinished = path.with_extension("unfinished");
    let written = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    written().map_err(FileError::write(path))
}
