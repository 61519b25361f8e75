//! E-mails as files, for a program that sends them another way: each written once, and complete.

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use super::letter::Letter;

/// The ending of a finished file; a file that is being written has another name.
const SUFFIX: &str = ".eml";

/// Writes an e-mail into a directory under its own name. A file that is there already was written before a crash, and
/// stays. No reader ever sees a part of it: the file gets its name when it is on the disk.
pub(super) fn deliver(directory: &Path, letter: &Letter) -> io::Result<()> {
    // Readable by its owner only.
    let mut file = tempfile::Builder::new()
        .prefix(".")
        .suffix(".part")
        .tempfile_in(directory)?;
    file.write_all(&letter.bytes)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(directory.join(format!("{}{SUFFIX}", letter.name))) {
        Ok(_) => {}
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.error),
    }
    File::open(directory)?.sync_all()
}

/// Makes the directory if there is none, for its owner only, and tries writing into it.
pub(super) fn prepare(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    tempfile::tempfile_in(directory).map(drop)
}
