//! The file system under a data directory. That of another machine is refused, because locks and shared memory do not hold there.

use std::path::Path;

use super::{Record, RecordError};

/// Fails if a directory is on a file system of another machine. Where that can't be known, it is taken for local.
pub(super) fn check_local(directory: &Path) -> Result<(), RecordError> {
    match kind(directory).and_then(network_kind) {
        None => Ok(()),
        Some(kind) => Err(RecordError::OnNetwork {
            path: directory.to_owned(),
            kind,
        }),
    }
}

impl Record {
    /// Bytes that are free on the disk of the data directory, for whoever may write there.
    ///
    /// # Errors
    /// When the file system does not say.
    pub fn disk_free_bytes(&self) -> Result<u64, RecordError> {
        let disk = rustix::fs::statvfs(&*self.data_dir).map_err(|error| RecordError::Directory {
            path: self.data_dir.to_path_buf(),
            source: error.into(),
        })?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

/// The number of a file system's kind (Linux, `statfs(2)`).
#[cfg(target_os = "linux")]
fn kind(directory: &Path) -> Option<u64> {
    let found = rustix::fs::statfs(directory).ok()?;
    // Numbers of 32 bits, which some machines widen with their sign.
    u64::try_from(found.f_type & 0xFFFF_FFFF).ok()
}

#[cfg(not(target_os = "linux"))]
fn kind(_: &Path) -> Option<u64> {
    None
}

/// The name of a network file system's kind, by its number (`statfs(2)`, `linux/magic.h`). `None`: it is local, or not known.
fn network_kind(number: u64) -> Option<&'static str> {
    match number {
        0x6969 => Some("NFS"),
        0x517B | 0xFF53_4D42 | 0xFE53_4D42 => Some("SMB"),
        0x00C3_6400 => Some("Ceph"),
        0x5346_414F | 0x6B41_4653 => Some("AFS"),
        0x0BD0_0BD0 => Some("Lustre"),
        0x0102_1997 => Some("9P"),
        0x0116_1970 => Some("GFS2"),
        0x7461_636F => Some("OCFS2"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_this_machine_is_taken_and_network_file_systems_are_known_by_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check_local(folder.path()).is_ok());
        for (number, name) in [(0x6969, "NFS"), (0xFE53_4D42, "SMB"), (0x0102_1997, "9P")] {
            assert_eq!(network_kind(number), Some(name));
        }
        // ext4, XFS, Btrfs, tmpfs, overlayfs, ZFS, and FUSE, which may be either.
        for local in [
            0xEF53,
            0x5846_5342,
            0x9123_683E,
            0x0102_1994,
            0x794C_7630,
            0x2FC1_2FC1,
            0x6573_5546,
        ] {
            assert_eq!(network_kind(local), None, "{local:x}");
        }
    }
}
