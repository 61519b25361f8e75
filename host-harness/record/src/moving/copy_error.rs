//! Why a record was not moved, or is not what it was.

use std::path::PathBuf;

use bss_model::{Diagnose, Diagnosis, ErrorKind};
use uuid::Uuid;

use crate::acts::chain::AuditError;
use crate::record_error::RecordError;

/// Why a record was not moved, not moved back, or not found to be sound on a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// A program has the record in the data directory open.
    #[error("a program has the record in `{}` open", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// Programs have the record on the server open.
    #[error("{sessions} connections of programs to {database} are open")]
    DatabaseInUse {
        /// The database.
        database: String,
        /// Their number.
        sessions: u64,
    },
    /// A worker may have something under way.
    #[error("worker {worker} lives, or ended less than 30 seconds ago")]
    WorkerAtWork {
        /// The worker.
        worker: Uuid,
    },
    /// A run of Get Services Definition is under way.
    #[error("run {run} of Get Services Definition is under way")]
    RunUnderWay {
        /// The run.
        run: Uuid,
    },
    /// The target has something.
    #[error("{database} is not empty: there are rows in {}", tables.join(", "))]
    NotEmpty {
        /// The database.
        database: String,
        /// The tables with rows.
        tables: Vec<String>,
    },
    /// A text that PostgreSQL can't keep.
    #[error(
        "table `{table}` has a NUL character in column `{column}` of row {row}, which PostgreSQL can't keep"
    )]
    Nul {
        /// The table.
        table: String,
        /// The values of the row's key.
        row: String,
        /// The column.
        column: String,
    },
    /// What was written is not what was read, or is not what was expected.
    #[error(
        "table `{table}` has {rows} rows with the digest {found}, and not {expected_rows} with {expected}"
    )]
    Differs {
        /// The table.
        table: String,
        /// The number of its rows.
        rows: u64,
        /// The digest of its rows.
        found: String,
        /// The number of rows that were expected.
        expected_rows: u64,
        /// The digest that was expected.
        expected: String,
    },
    /// Sealed values can't be opened.
    #[error("{values} sealed values can't be opened with the host key")]
    Unopened {
        /// Their number.
        values: u64,
    },
    /// Rows refer to rows that are missing.
    #[error("{rows} rows of table `{table}` refer to rows of `{to}` that are missing")]
    Dangling {
        /// The table.
        table: String,
        /// The table that they refer to.
        to: String,
        /// Their number.
        rows: u64,
    },
    /// A table would use numbers again.
    #[error("table `{table}` has numbers up to {highest}, and would go on after {last}")]
    NumbersUsed {
        /// The table.
        table: String,
        /// The highest number.
        highest: i64,
        /// The last one that was given, as the server has it.
        last: i64,
    },
    /// The record was not moved, so that nothing can be undone.
    #[error("the record in {place} was not moved")]
    NotMoved {
        /// The database or the data directory that it is in.
        place: String,
    },
    /// The target was written to since the record was moved there.
    #[error("{place} was written to since the record was moved there")]
    GoesOn {
        /// The target.
        place: String,
    },
    /// A database did not say whether it was written to.
    #[error("it is not known whether the move to or from {place} was completed")]
    Unsettled {
        /// The database or the data directory.
        place: String,
        /// The error of asking it.
        #[source]
        source: RecordError,
    },
    /// The acts are not what they were.
    #[error(transparent)]
    Acts(#[from] AuditError),
    /// A record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for CopyError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::InUse { .. } | Self::DatabaseInUse { .. } => {
                Diagnosis::new(ErrorKind::Conflict, "record-in-use")
                    .say("stop all workers and other programs that use it")
            }
            Self::WorkerAtWork { .. } => Diagnosis::new(ErrorKind::Conflict, "worker-at-work")
                .say("stop it; after one that has died, wait for half a minute"),
            Self::RunUnderWay { .. } => Diagnosis::new(ErrorKind::Conflict, "run-open")
                .say("wait until it has ended; after one whose process has died, until its lease is over"),
            Self::NotEmpty { .. } => Diagnosis::new(ErrorKind::Conflict, "database-not-empty")
                .say("make a new database, and its tables in it; nothing is merged or written over"),
            Self::Nul { .. } => Diagnosis::new(ErrorKind::Invalid, "text-with-nul")
                .say("the vendor's or plugin's text is damaged: change that row, and repeat the command"),
            Self::Differs { .. } => Diagnosis::new(ErrorKind::Damaged, "tables-differ").say(
                "where a record was being moved, it was not: repeat the command; where it was verified, somebody has written to it",
            ),
            Self::Unopened { .. } => Diagnosis::new(ErrorKind::Damaged, "values-unopened")
                .say("add the host key that they need, or restore them: with this key they are lost"),
            Self::Dangling { .. } => Diagnosis::new(ErrorKind::Damaged, "rows-missing")
                .say("restore a backup of the database"),
            Self::NumbersUsed { .. } => Diagnosis::new(ErrorKind::Damaged, "numbers-used")
                .say("set the table's sequence to the highest number before anything is written"),
            Self::NotMoved { .. } => Diagnosis::new(ErrorKind::Conflict, "record-not-moved")
                .say("open it where it is"),
            Self::GoesOn { .. } => Diagnosis::new(ErrorKind::Conflict, "record-goes-on")
                .say("open it there; to have it elsewhere, move it on from there"),
            Self::Unsettled { .. } => Diagnosis::new(ErrorKind::Unavailable, "move-unsettled")
                .say("repeat the same command once the server answers; until then, the record opens nowhere"),
            Self::Acts(error) => error.diagnosis(),
            Self::Record(error) => error.diagnosis(),
        }
    }
}
