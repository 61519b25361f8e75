//! Why there is no host key, or why it did not seal or open something.

use std::io;
use std::path::PathBuf;

use bss_model::{Advice, Diagnose, Diagnosis, ErrorKind};

use crate::key_id::KeyId;
use crate::ownership::Foreign;

/// Why there is no host key, or why it did not seal or open something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostKeyError {
    /// The text is not one key or several, each the base64 form of 256 bits.
    #[error(
        "`{origin}` does not hold a host key, which is the base64 form of exactly 32 bytes; or several of them, one a line, {} at most",
        crate::host_key::KEYS_MAX
    )]
    NotAKey {
        /// The variable, the file or the command.
        origin: String,
    },
    /// Two of several keys have one id, so that a value would not say which of them opens it.
    #[error("`{origin}` holds two host keys with the id {id}")]
    SameId {
        /// The variable, the file or the command.
        origin: String,
        /// The id.
        id: KeyId,
    },
    /// The key can be read by others than its owner.
    #[error("host key file `{}` can be read by other users than its owner (mode {mode:o})", path.display())]
    ReadableByOthers {
        /// The file.
        path: PathBuf,
        /// The file's permission bits.
        mode: u32,
    },
    /// Another user than this process's owns the key, and may know or replace it.
    #[error("host key file `{}`: {foreign}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The owner and this process's user.
        foreign: Foreign,
    },
    /// The key that the record was made with is missing.
    #[error("host key file `{}` is missing, but the record needs the key", path.display())]
    Missing {
        /// The place where the key should be.
        path: PathBuf,
    },
    /// A file is there where a new key was to be written.
    #[error("file `{}` exists already, and a new host key overwrites nothing", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be read or written.
    #[error("host key file `{}` could not be read or created", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The operating system gives no random bytes.
    #[error("a new host key could not be made because the system provided no random bytes")]
    NotMade,
    /// The secret was sealed with a key that is not among the keys that are there.
    #[error("the encrypted {purpose} needs host key {id}, which is not there; or was altered")]
    KeyNotThere {
        /// The purpose of the secret.
        purpose: String,
        /// The id of the key.
        id: KeyId,
    },
    /// The secret was sealed with another key, for another purpose, or has been altered.
    #[error(
        "the encrypted {purpose} can't be decrypted: it was encrypted with another host key, or was altered"
    )]
    NotOpened {
        /// The purpose of the secret.
        purpose: String,
    },
    /// The cryptography library refused to seal.
    #[error("the {purpose} could not be encrypted")]
    NotSealed {
        /// The purpose of the secret.
        purpose: String,
    },
}

impl Diagnose for HostKeyError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NotAKey { .. } => {
                Diagnosis::new(ErrorKind::Damaged, "host-key-invalid").advise(Advice::RestoreHostKey)
            }
            Self::SameId { .. } => Diagnosis::new(ErrorKind::Damaged, "host-key-ambiguous")
                .say("leave out the one that is not needed yet, and make another new key in its place"),
            Self::ReadableByOthers { path, .. } => Diagnosis::new(ErrorKind::Unavailable, "host-key-exposed")
                .advise(Advice::MakePrivate {
                    path: path.clone(),
                    mode: 0o600,
                }),
            Self::Foreign { foreign, .. } => Diagnosis::new(ErrorKind::Unavailable, "host-key-foreign")
                .advise(Advice::RunAsOwner { uid: foreign.owner }),
            Self::Missing { .. } => {
                Diagnosis::new(ErrorKind::Damaged, "host-key-missing").advise(Advice::RestoreHostKey)
            }
            Self::Exists { .. } => {
                Diagnosis::new(ErrorKind::Conflict, "host-key-exists").say("name another file")
            }
            Self::File { .. } => Diagnosis::new(ErrorKind::Unavailable, "host-key-unreadable"),
            Self::KeyNotThere { id, .. } => Diagnosis::new(ErrorKind::Damaged, "host-key-not-there")
                .advise(Advice::AddHostKey { id: id.to_string() }),
            Self::NotOpened { .. } => {
                Diagnosis::new(ErrorKind::Damaged, "not-opened").advise(Advice::RestoreHostKey)
            }
            Self::NotMade => Diagnosis::new(ErrorKind::Unavailable, "host-key-not-made"),
            Self::NotSealed { .. } => Diagnosis::new(ErrorKind::Unavailable, "not-sealed"),
        }
    }
}
