//! Runs of Get Services Definition: state, log and differences.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use uuid::Uuid;

use crate::problem::Problem;
use crate::words::stored_enum;

/// How far a run is. The words are the platform's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Asked for; nobody has taken it yet.
    NotStarted,
    /// Somebody reads.
    InProgress,
    /// The products are those of the vendor.
    Completed,
    /// So they are, but for items that could not be understood.
    CompletedWithErrors,
    /// Nothing was changed.
    Failed,
}

stored_enum!(RunState {
    NotStarted = "not_started", "not started";
    InProgress = "in_progress", "in progress";
    Completed = "completed", "completed";
    CompletedWithErrors = "completed_with_errors", "completed with errors";
    Failed = "failed", "failed";
});

/// How grave a line of a run's log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunLogLevel {
    /// Of use to who looks for something.
    Debug,
    /// Good to know.
    Info,
    /// Something was left out.
    Warning,
    /// It ended the run.
    Error,
}

stored_enum!(RunLogLevel {
    Debug = "debug", "debug";
    Info = "info", "info";
    Warning = "warning", "warning";
    Error = "error", "error";
});

/// What a line of a run's log tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunAction {
    /// The run itself.
    Run,
    /// A remark of the plugin's.
    Noted,
    /// An item that was left out.
    Skipped,
}

stored_enum!(RunAction {
    Run = "run", "run";
    Noted = "noted", "noted";
    Skipped = "skipped", "skipped";
});

/// A line of a run's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunLogLine {
    /// When, in milliseconds.
    pub at_ms: i64,
    /// How grave it is.
    pub level: RunLogLevel,
    /// The offer it is about. Empty: the run as a whole.
    pub offer: String,
    /// What it tells of.
    pub action: RunAction,
    /// What happened.
    pub message: String,
}

/// How far a plugin says that it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunProgress {
    /// Units done.
    pub done: u64,
    /// Units in all. None: not known.
    pub total: Option<u64>,
    /// What is counted.
    pub unit: String,
}

/// What a run did to a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DifferenceKind {
    /// It was not stored before.
    New,
    /// Some of its fields are others now.
    Changed,
    /// The vendor has stopped selling it.
    Discontinued,
    /// The vendor sells it again.
    Revived,
}

stored_enum!(DifferenceKind {
    New = "new", "new";
    Changed = "changed", "changed";
    Discontinued = "discontinued", "discontinued";
    Revived = "revived", "revived";
});

/// What a run did to one product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductDifference {
    /// The product.
    pub code: String,
    /// What was done to it.
    pub kind: DifferenceKind,
    /// The fields that changed. Empty but for [`DifferenceKind::Changed`].
    pub fields: Vec<String>,
}

/// How many products a run changed, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunCounts {
    /// Products that were not stored before.
    pub new: u32,
    /// Products that changed.
    pub changed: u32,
    /// Products that the vendor has stopped selling.
    pub discontinued: u32,
    /// Products that the vendor sells again.
    pub revived: u32,
    /// Items that were left out.
    pub skipped: u32,
}

/// One run of Get Services Definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicesRun {
    /// Stable and unique.
    pub id: Uuid,
    /// Whose catalog it reads.
    pub instance_id: Uuid,
    /// How far it is.
    pub state: RunState,
    /// When it is taken for dead unless its process says otherwise before, in milliseconds. None: nobody has it.
    pub lease_expires_at_ms: Option<i64>,
    /// When it was asked for, in milliseconds.
    pub asked_at_ms: i64,
    /// When it was begun, in milliseconds.
    pub started_at_ms: Option<i64>,
    /// When it ended, in milliseconds.
    pub ended_at_ms: Option<i64>,
    /// How far the plugin last said that it was.
    pub progress: Option<RunProgress>,
    /// What it changed.
    pub counts: RunCounts,
    /// Whether the vendor said that nothing had changed since the run before.
    pub unchanged: bool,
    /// Why it failed.
    pub reason: Option<Problem>,
}

/// How long a lease of a run can be; a longer one counts as over.
pub const LONGEST_LEASE: Duration = Duration::from_secs(60 * 60);

/// Who works on a run, and how long that holds unless it is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunLease {
    /// Unique to this execution of the run.
    pub owner: Uuid,
    /// How long it holds.
    pub length: Duration,
}
