//! The files in which traces are kept: bounded in number, size and age, and written beside the calls.
//!
//! Traces are not part of the record: lines that can't be written are given up, and no call fails or waits because of
//! them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

use bss_keys::Foreign;
use bss_model::clock::now_ms;

/// The directory of the traces in the data directory; only its owner can enter it.
pub const TRACES_DIRECTORY: &str = "traces";

/// The file that is written to. Several programs may: each line is one write at the end of the file.
const CURRENT: &str = "current.jsonl";

/// The size at which a file is closed and the next one begun: a thousand purchases of about four kilobytes each.
const FILE_BYTES: u64 = 4 * 1024 * 1024;

/// The age at which a file is closed although it is not full, so that age is judged day by day.
const FILE_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Closed files that are kept: with the current one, 64 MiB or some 16,000 purchases, found in under a second.
const FILES: usize = 15;

/// How long a closed file is kept: what was not asked about in a month is an auditor's matter, and the record's.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Lines that may wait for the disk, about one megabyte. Further ones are dropped, so that no call waits.
const LINES_WAITING: usize = 4_096;

/// The size from which waiting lines are written, although more may follow.
const BATCH_BYTES: usize = 64 * 1024;

/// How long the end of a program waits for its last lines.
const FLUSH: Duration = Duration::from_secs(2);

enum Order {
    Line(String),
    /// Answers when everything before it is written.
    Flush(SyncSender<()>),
}

/// The queue of lines to be written. Cloning shares it.
#[derive(Clone)]
pub(super) struct Journal(SyncSender<Order>);

impl Journal {
    /// A journal in a directory, which is made when there is something to write.
    pub(super) fn new(directory: PathBuf) -> Self {
        let (sender, receiver) = sync_channel(LINES_WAITING);
        std::thread::spawn(move || Writer::new(directory).run(&receiver));
        Self(sender)
    }

    /// Queues a line to be written soon, or drops it when too many wait.
    pub(super) fn write(&self, line: String) {
        match self.0.try_send(Order::Line(line)) {
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }

    /// Waits until what was written is in the file.
    pub(super) fn flush(&self) {
        let (written, wait) = sync_channel(1);
        if self.0.send(Order::Flush(written)).is_ok() {
            let _ = wait.recv_timeout(FLUSH);
        }
    }
}

struct Writer {
    directory: PathBuf,
    current: Option<File>,
    has_failed: bool,
}

impl Writer {
    fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            current: None,
            has_failed: false,
        }
    }

    fn run(mut self, orders: &Receiver<Order>) {
        while let Ok(first) = orders.recv() {
            let mut batch = String::new();
            let mut next = Some(first);
            let mut flushed = None;
            while let Some(order) = next.take() {
                match order {
                    Order::Line(line) => {
                        // The line break comes first, so that the unfinished line of a killed program does not spoil
                        // this one.
                        batch.push('\n');
                        batch.push_str(&line);
                    }
                    Order::Flush(written) => flushed = Some(written),
                }
                if flushed.is_none() && batch.len() < BATCH_BYTES {
                    next = orders.try_recv().ok();
                }
            }
            if !batch.is_empty() {
                self.append(batch.as_bytes());
            }
            if let Some(written) = flushed {
                let _ = written.send(());
            }
        }
    }

    fn append(&mut self, batch: &[u8]) {
        let written = self.file().and_then(|mut file| file.write_all(batch));
        match written {
            Ok(()) => self.has_failed = false,
            Err(error) => {
                self.current = None;
                if !std::mem::replace(&mut self.has_failed, true) {
                    tracing::warn!(%error, directory = %self.directory.display(), "traces can't be written to files; calls are not affected");
                }
            }
        }
    }

    /// The file to write to: the one at hand unless it is full or old, or another program has closed it.
    fn file(&mut self) -> io::Result<&File> {
        let path = self.directory.join(CURRENT);
        if let Some(file) = &self.current {
            let (ours, there) = (file.metadata()?, fs::metadata(&path).ok());
            let is_there = there.is_some_and(|there| there.ino() == ours.ino());
            let is_old = age(&ours, SystemTime::now()) > FILE_AGE;
            if is_there && ours.len() < FILE_BYTES && !is_old {
                return self
                    .current
                    .as_ref()
                    .ok_or_else(|| io::ErrorKind::NotFound.into());
            }
            if is_there {
                let closed = format!("{:014}-{}.jsonl", now_ms(), std::process::id());
                fs::rename(&path, self.directory.join(closed))?;
            }
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)?;
        // The owner of the directory could read what is written there.
        Foreign::check(&fs::metadata(&self.directory)?)?;
        prune(&self.directory, SystemTime::now())?;
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)?;
        Ok(self.current.insert(file))
    }
}

/// The age of a file, as far as the file system knows it.
fn age(file: &fs::Metadata, now: SystemTime) -> Duration {
    let since = file.created().or_else(|_| file.modified()).unwrap_or(now);
    now.duration_since(since).unwrap_or_default()
}

/// All files, the oldest first and the current one last.
pub(super) fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut closed = closed_files(directory)?;
    let current = directory.join(CURRENT);
    if current.exists() {
        closed.push(current);
    }
    Ok(closed)
}

fn closed_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .filter(|path| path.file_name().is_some_and(|name| name != CURRENT))
        .collect();
    files.sort();
    Ok(files)
}

/// Deletes closed files that are too many or too old.
fn prune(directory: &Path, now: SystemTime) -> io::Result<()> {
    let files = closed_files(directory)?;
    let too_many = files.len().saturating_sub(FILES);
    for (number, path) in files.iter().enumerate() {
        let written = fs::metadata(path).and_then(|file| file.modified());
        let is_old = written
            .ok()
            .and_then(|written| now.duration_since(written).ok())
            .is_some_and(|age| age > KEPT);
        if number < too_many || is_old {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_the_owner_can_read_what_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("traces");
        let journal = Journal::new(directory.clone());
        journal.write("a line".to_owned());
        journal.flush();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        assert_eq!(mode(&directory.join(CURRENT)), 0o600);
        assert_eq!(fs::read_to_string(directory.join(CURRENT)).unwrap(), "\na line");
    }

    #[test]
    fn nothing_is_kept_in_the_directory_of_another_user() {
        let folder = tempfile::tempdir().unwrap();
        // Root alone can give a directory away.
        if std::os::unix::fs::chown(folder.path(), Some(65_534), None).is_err() {
            return;
        }
        let mut writer = Writer::new(folder.path().to_owned());
        writer.append(b"\na line");
        assert!(writer.has_failed);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_full_file_is_closed_once_and_two_programs_write_on_in_the_same_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().to_owned();
        let mut writers = [Writer::new(directory.clone()), Writer::new(directory.clone())];
        let full = vec![b'x'; usize::try_from(FILE_BYTES).unwrap()];
        writers[0].append(b"\nfirst");
        writers[1].append(&full);
        writers[0].append(b"\nsecond");
        writers[1].append(b"\nthird");
        assert_eq!(files(&directory).unwrap().len(), 2);
        let current = fs::read_to_string(directory.join(CURRENT)).unwrap();
        assert_eq!(current, "\nsecond\nthird");
    }

    #[test]
    fn files_beyond_the_newest_or_older_than_the_oldest_kept_are_deleted() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..FILES + 3 {
            fs::write(folder.path().join(format!("{number:014}-1.jsonl")), "").unwrap();
        }
        prune(folder.path(), SystemTime::now()).unwrap();
        let kept = files(folder.path()).unwrap();
        assert_eq!(kept.len(), FILES);
        assert!(kept[0].ends_with("00000000000003-1.jsonl"));
        prune(folder.path(), SystemTime::now() + KEPT + Duration::from_secs(60)).unwrap();
        assert!(files(folder.path()).unwrap().is_empty());
    }

    #[test]
    fn a_directory_that_can_not_be_written_stops_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a file");
        fs::write(&file, "").unwrap();
        let journal = Journal::new(file.join("traces"));
        journal.write("a line".to_owned());
        journal.flush();
        journal.write("another".to_owned());
        journal.flush();
    }
}
