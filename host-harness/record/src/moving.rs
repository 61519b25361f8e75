//! Moving a record between the file of a data directory and a database on a server.
//!
//! Everything is copied in one transaction of the target, and read again there before that ends. The source is marked before the
//! target's end, so that at no moment both can be opened; where the end of a step is not known, neither can, until the command is
//! repeated. Nothing is merged: a record goes into a place that has none.

mod catalog;
mod copy_error;
mod directory;
mod from_server;
mod marking;
mod rows;
mod sequences;
mod server;
mod stillness;
mod table;
mod target;
mod to_server;
mod undoing;
mod verification;

pub use copy_error::CopyError;
pub(crate) use marking::{is_moved, refuse_moved};
pub use verification::VerifiedServer;

use crate::moved::{Mark, TableDigest};

/// A record that was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// Where it goes on, without any password.
    pub to: String,
    /// When it was moved, in milliseconds since 1970.
    pub at_ms: i64,
    /// What it has, table by table.
    pub tables: Vec<TableDigest>,
}

impl From<Mark> for Copied {
    fn from(mark: Mark) -> Self {
        Self {
            to: mark.to,
            at_ms: mark.at_ms,
            tables: mark.tables,
        }
    }
}

#[cfg(test)]
mod tests;
