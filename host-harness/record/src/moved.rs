//! The mark of a record that goes on elsewhere: where, since when, and what was moved there.

use serde::{Deserialize, Serialize};

use crate::record_error::RecordError;

/// The rows of a table, as they were copied or verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDigest {
    /// The table.
    pub table: String,
    /// The number of its rows.
    pub rows: u64,
    /// The SHA-256 digest of them all, as lower-case hexadecimal digits: the same on every engine.
    pub sha256: String,
}

/// What is left in the place of a record that was moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Mark {
    /// The database or the data directory that it goes on in, without any password.
    pub(crate) to: String,
    pub(crate) at_ms: i64,
    /// The number of dispatches that it had.
    pub(crate) sequence: i64,
    /// The number of acts that it had.
    pub(crate) acts: i64,
    /// The tables that it had.
    pub(crate) tables: Vec<TableDigest>,
}

impl Mark {
    /// Reads a mark as the database has it.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn read(text: &str) -> Result<Self, RecordError> {
        serde_json::from_str(text).map_err(|error| RecordError::Damaged {
            what: format!("the mark of a record that was moved: {error}"),
        })
    }

    /// The error of opening or writing what is marked.
    pub(crate) fn error(&self) -> RecordError {
        RecordError::Moved {
            to: self.to.clone(),
            at_ms: self.at_ms,
        }
    }
}
