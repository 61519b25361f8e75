//! The owner of a file or directory, who must be the user that this process acts as.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;

/// A file's owner who is another user than this process's. Such an owner can read, change and replace what this process
/// keeps there, whatever its mode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("user {owner} owns it, and this program runs as user {user}")]
pub struct Foreign {
    /// The owner's number.
    pub owner: u32,
    /// The number of the user that this process acts as.
    pub user: u32,
}

impl Foreign {
    /// The owner of a file, where it is not the effective user of this process. Root is no exception: what root makes in
    /// the directory of another user is root's, and that user's own programs fail on it.
    ///
    /// # Errors
    /// When it is another user.
    pub fn check(metadata: &Metadata) -> Result<(), Self> {
        Self::check_for(rustix::process::geteuid().as_raw(), metadata)
    }

    fn check_for(user: u32, metadata: &Metadata) -> Result<(), Self> {
        let owner = metadata.uid();
        match owner == user {
            true => Ok(()),
            false => Err(Self { owner, user }),
        }
    }
}

impl From<Foreign> for io::Error {
    fn from(foreign: Foreign) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, foreign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_foreign_to_every_user_but_its_owner() {
        let metadata = tempfile::tempfile().unwrap().metadata().unwrap();
        let owner = metadata.uid();
        assert_eq!(Foreign::check(&metadata), Ok(()));
        for user in [0, 1, 65_534].into_iter().filter(|user| *user != owner) {
            assert_eq!(Foreign::check_for(user, &metadata), Err(Foreign { owner, user }));
        }
    }
}
