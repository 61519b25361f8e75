//! Why there is no server.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a server could not be made, started or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// No PostgreSQL that is new enough is installed.
    #[error(
        "no PostgreSQL {oldest} or later on this machine, in PATH or /usr/lib/postgresql; Debian's package is `postgresql`"
    )]
    Missing {
        /// The oldest version that will do.
        oldest: u32,
    },
    /// We are root, as which no server runs, and there is nobody else.
    #[error("a server does not run as root, and this machine has neither a user `postgres` nor `nobody`")]
    NoAccount,
    /// The directory of the server is too deep for the name of a socket.
    #[error("`{}` is too long for the directory of a socket, which TMPDIR names", path.display())]
    DeepDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// A program could not be started.
    #[error("`{}` could not be started", program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// A program failed.
    #[error("`{}` failed: {said}", program.display())]
    Failed {
        /// The program.
        program: PathBuf,
        /// What it said.
        said: String,
    },
    /// The server ended, or was not ready in time.
    #[error("the server was not ready after {} ms: {log}", waited.as_millis())]
    NotReady {
        /// How long it was waited for.
        waited: Duration,
        /// The server's log.
        log: String,
    },
    /// A certificate could not be made.
    #[error("a certificate for a test could not be made")]
    Certificate(#[from] rcgen::Error),
    /// A file of the server could not be read or written.
    #[error("a file of the server could not be read or written")]
    Files(#[from] io::Error),
}
