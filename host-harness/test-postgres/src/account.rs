//! The user that a server runs as.

use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use nix::unistd::User;

use crate::error::ServerError;

/// The users that a server may run as where we are root: Debian's own for it, or the one without rights.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// Who runs the server: PostgreSQL refuses to be run by root.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Account {
    /// The user of this program.
    Ours,
    /// Another one, because we are root.
    Other {
        /// The user's number.
        user: u32,
        /// The number of the user's group.
        group: u32,
    },
}

impl Account {
    /// The account that a server of this program runs in.
    pub(crate) fn of_server() -> Result<Self, ServerError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Ours);
        }
        let found = USERS.iter().find_map(|name| User::from_name(name).ok().flatten());
        let user = found.ok_or(ServerError::NoAccount)?;
        Ok(Self::Other {
            user: user.uid.as_raw(),
            group: user.gid.as_raw(),
        })
    }

    /// Has a program run in the account.
    pub(crate) fn run(self, command: &mut Command) {
        if let Self::Other { user, group } = self {
            command.uid(user).gid(group);
        }
    }

    /// Gives a file or directory to the account.
    pub(crate) fn give(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Ours => Ok(()),
            Self::Other { user, group } => chown(path, Some(user), Some(group)),
        }
    }
}
