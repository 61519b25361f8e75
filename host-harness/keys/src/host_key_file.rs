//! Files that a host key is in.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use crate::host_key::{HostKey, KEYS_TEXT_BYTES_MAX};
use crate::host_key_error::HostKeyError;
use crate::ownership::Foreign;

/// Who keeps the file of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeper {
    /// The process's user alone.
    Own,
    /// The system, which lets this process read it: by a group, or an access list whose mask stands in the group's bits.
    SystemOrSelf,
}

impl Keeper {
    /// The permission bits that no such file may have.
    fn forbidden(self) -> u32 {
        match self {
            Self::Own => 0o077,
            Self::SystemOrSelf => 0o027,
        }
    }
}

impl HostKey {
    /// The key from a file that somebody else hands this process, such as a credential of systemd: its owner is root or this
    /// process's user, and a group may read it.
    ///
    /// # Errors
    /// When there is none, when it is no key, or when everybody may read it.
    pub fn from_credential(path: &Path) -> Result<Self, HostKeyError> {
        read_kept_by(path, Keeper::SystemOrSelf)
    }

    /// The key from a file of this process's user, which is made with a new key where it is missing and `may_create` is set.
    ///
    /// # Errors
    /// When there is none, when it is no key, or when others than its owner may read it.
    pub(crate) fn from_file(path: &Path, may_create: bool) -> Result<Self, HostKeyError> {
        match read_kept_by(path, Keeper::Own) {
            Err(HostKeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                if !may_create {
                    return Err(HostKeyError::Missing {
                        path: path.to_owned(),
                    });
                }
                // Another process may have been first: the file decides, not the key made here.
                match Self::generate()?.write_new(path) {
                    Ok(()) | Err(HostKeyError::Exists { .. }) => read_kept_by(path, Keeper::Own),
                    Err(error) => Err(error),
                }
            }
            other => other,
        }
    }

    /// Writes the key to a file that must not exist yet, for its owner alone. A reader sees all of it or nothing.
    ///
    /// # Errors
    /// When a file is there, or none can be written.
    pub fn write_new(&self, path: &Path) -> Result<(), HostKeyError> {
        self.link_new(path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => HostKeyError::Exists {
                path: path.to_owned(),
            },
            _ => HostKeyError::File {
                path: path.to_owned(),
                source,
            },
        })
    }

    fn link_new(&self, path: &Path) -> io::Result<()> {
        let mut suffix = [0; 8];
        aws_lc_rs::rand::fill(&mut suffix)
            .map_err(|_| io::Error::other("the system provided no random bytes"))?;
        let draft = path.with_extension(format!("key.{}", HEXLOWER.encode(&suffix)));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        // The line's end is written apart: a text that grows leaves a copy of the key behind.
        let written = file
            .write_all(self.to_base64().expose().as_bytes())
            .and_then(|()| file.write_all(b"\n"))
            .and_then(|()| file.sync_all());
        // A link never replaces a file, where a rename would.
        let linked = written.and_then(|()| fs::hard_link(&draft, path));
        fs::remove_file(&draft)?;
        linked?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

fn read_kept_by(path: &Path, keeper: Keeper) -> Result<HostKey, HostKeyError> {
    let failed = |source| HostKeyError::File {
        path: path.to_owned(),
        source,
    };
    let file = fs::File::open(path).map_err(failed)?;
    // The open file is asked, so that it can't be exchanged in between.
    let metadata = file.metadata().map_err(failed)?;
    let is_roots = keeper == Keeper::SystemOrSelf && metadata.uid() == 0;
    if !is_roots {
        Foreign::check(&metadata).map_err(|foreign| HostKeyError::Foreign {
            path: path.to_owned(),
            foreign,
        })?;
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & keeper.forbidden() != 0 {
        return Err(HostKeyError::ReadableByOthers {
            path: path.to_owned(),
            mode,
        });
    }
    let origin = path.display().to_string();
    let not_a_key = || HostKeyError::NotAKey {
        origin: origin.clone(),
    };
    let bytes_max = KEYS_TEXT_BYTES_MAX as u64;
    if !metadata.is_file() || metadata.size() > bytes_max {
        return Err(not_a_key());
    }
    let mut text = Zeroizing::new(Vec::with_capacity(KEYS_TEXT_BYTES_MAX));
    file.take(bytes_max).read_to_end(&mut text).map_err(failed)?;
    let text = std::str::from_utf8(&text).map_err(|_| not_a_key())?;
    HostKey::from_base64(text, &origin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host_key_source::HOST_KEY_FILE;

    #[test]
    fn the_first_start_makes_a_file_for_its_owner_only_and_the_second_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(HOST_KEY_FILE);
        let sealed = HostKey::from_file(&path, true)
            .unwrap()
            .seal("secret", b"text")
            .unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let again = HostKey::from_file(&path, false).unwrap();
        assert_eq!(again.open("secret", &sealed).unwrap().as_slice(), b"text");
    }

    #[test]
    fn starts_at_the_same_time_agree_on_one_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(HOST_KEY_FILE);
        let keys: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| HostKey::from_file(&path, true).unwrap()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| key.is_same(&keys[0])));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(HOST_KEY_FILE);
        HostKey::from_file(&path, true).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = HostKey::from_file(&path, true).unwrap_err();
        assert!(
            matches!(error, HostKeyError::ReadableByOthers { mode: 0o640, .. }),
            "{error}"
        );
    }

    #[test]
    fn a_missing_key_beside_a_record_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(HOST_KEY_FILE);
        let error = HostKey::from_file(&path, false).unwrap_err();
        assert!(matches!(error, HostKeyError::Missing { .. }), "{error}");
        assert!(!path.exists());
    }

    #[test]
    fn a_new_key_overwrites_nothing_and_leaves_no_draft_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let first = HostKey::generate().unwrap();
        first.write_new(&path).unwrap();
        let error = HostKey::generate().unwrap().write_new(&path).unwrap_err();
        assert!(matches!(error, HostKeyError::Exists { .. }), "{error}");
        assert!(HostKey::from_file(&path, false).unwrap().is_same(&first));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_too_long_or_no_text_is_no_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        HostKey::generate().unwrap().write_new(&path).unwrap();
        for content in [vec![b'\n'; KEYS_TEXT_BYTES_MAX + 1], vec![0xff; 44]] {
            fs::write(&path, content).unwrap();
            let error = HostKey::from_file(&path, false).unwrap_err();
            assert!(matches!(error, HostKeyError::NotAKey { .. }), "{error}");
        }
    }
}
