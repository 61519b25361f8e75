//! The files of the data directory: this process's user owns them, and nobody else reads the database.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bss_keys::Foreign;

use crate::RecordError;

/// The name of the database file in the data directory.
pub const RECORD_FILE: &str = "record.db";

/// Locked, shared, by every program that has the record open, so that none is restored under it.
pub(crate) const USE_FILE: &str = "use.lock";

/// How long what needs the record for itself waits for a program that is ending.
const ENDING: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

/// What SQLite puts behind the database's name for the files beside it.
pub(crate) const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Checks that this process's user owns a directory or file.
pub(crate) fn check_owner(path: &Path) -> Result<(), RecordError> {
    let metadata = fs::metadata(path).map_err(failed(path))?;
    Foreign::check(&metadata).map_err(|foreign| RecordError::Foreign {
        path: path.to_owned(),
        foreign,
    })
}

/// Whether a file is missing or empty, as one is left by a program that ended before it wrote anything.
pub(crate) fn is_missing(path: &Path) -> Result<bool, RecordError> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        found => Ok(found.map_err(failed(path))?.len() == 0),
    }
}

/// Makes the database if it is missing, and it and the files beside it readable by their owner alone, whatever the umask
/// is. SQLite gives the files beside it the database's own mode.
pub(crate) fn make_private(database: &Path) -> Result<(), RecordError> {
    let mut options = OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(database) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(database)(error)),
    }
    let beside = BESIDE.into_iter().map(|ending| with_ending(database, ending));
    // The files are named and never opened: to close a file lets go of all locks that this process has on it, such as those of
    // the database's connections.
    for path in beside.chain([database.to_owned()]) {
        let mode = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            found => found.map_err(failed(&path))?.permissions().mode() & 0o777,
        };
        check_owner(&path)?;
        if mode != 0o600 {
            fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed(&path))?;
        }
    }
    Ok(())
}

/// A file's path with an ending behind its name.
pub(crate) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Writes the names in a file's directory to the disk.
pub(crate) fn sync_directory_of(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Opens a file that stands for a lock, and makes it if it is missing. Nothing is ever written to it.
pub(crate) fn lock_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    options.open(path)
}

fn failed(path: &Path) -> impl Fn(io::Error) -> RecordError {
    |source| RecordError::Directory {
        path: path.to_owned(),
        source,
    }
}

/// Whether nobody has the record open, and nobody can open it while the lock is held. `None`: somebody has, and has not ended
/// within a second either. A program that is ending has its files a little longer, and so has a program that it has just started.
pub(crate) async fn alone(data_dir: &Path) -> io::Result<Option<File>> {
    let file = lock_file(&data_dir.join(USE_FILE))?;
    let until = Instant::now() + ENDING;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) if Instant::now() < until => tokio::time::sleep(PAUSE).await,
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Removes a file, unless it is not there.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
