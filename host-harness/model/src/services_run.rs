//! Runs of Get Services Definition: state, log and differences.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use uuid::Uuid;

use crate::problem::Problem;
use crate::product::FieldChange;
use crate::words::stored_enum;

/// The state of a run. The words are the platform's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// The run is waiting for a process to take it.
    NotStarted,
    /// A process is reading the catalog.
    InProgress,
    /// The products match the vendor's catalog.
    Completed,
    /// The products match the vendor's catalog, except for items that could not be understood.
    CompletedWithErrors,
    /// The run changed nothing, because it would discontinue much of what is on sale; an operator decides.
    AwaitsAcceptance,
    /// The run changed nothing.
    Failed,
}

stored_enum!(RunState {
    NotStarted = "not_started", "not started";
    InProgress = "in_progress", "in progress";
    Completed = "completed", "completed";
    CompletedWithErrors = "completed_with_errors", "completed with errors";
    AwaitsAcceptance = "awaits_acceptance", "awaits acceptance";
    Failed = "failed", "failed";
});

/// The severity of a line in a run's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunLogLevel {
    /// Details for troubleshooting.
    Debug,
    /// Information only.
    Info,
    /// Something was left out.
    Warning,
    /// The error that ended the run.
    Error,
}

stored_enum!(RunLogLevel {
    Debug = "debug", "debug";
    Info = "info", "info";
    Warning = "warning", "warning";
    Error = "error", "error";
});

/// The subject of a line in a run's log.
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
    /// The time, in milliseconds.
    pub at_ms: i64,
    /// The severity.
    pub level: RunLogLevel,
    /// The offer that it is about. Empty: the run as a whole.
    pub offer: String,
    /// The subject.
    pub action: RunAction,
    /// The message.
    pub message: String,
}

/// Filter of the lines of a run's log: those that match every given field.
#[derive(Clone, Debug, Default)]
pub struct RunLogFilter {
    /// Lines of this severity.
    pub level: Option<RunLogLevel>,
    /// Lines whose offer or message has this text, whether its letters of ASCII are large or small.
    pub text: Option<String>,
}

/// Filter of the differences of a run: those that match every given field.
#[derive(Clone, Debug, Default)]
pub struct DifferenceFilter {
    /// Differences of this kind.
    pub kind: Option<DifferenceKind>,
    /// Differences of the products with these codes.
    pub codes: Option<Vec<String>>,
}

/// The progress that a plugin reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunProgress {
    /// Units done.
    pub done: u64,
    /// Units in all. `None`: not known.
    pub total: Option<u64>,
    /// The unit that is counted.
    pub unit: String,
}

/// The kind of change that a run made to a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DifferenceKind {
    /// The product was not stored before.
    New,
    /// Some fields of the product changed.
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

/// The change that a run made to one product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductDifference {
    /// The product's code.
    pub code: String,
    /// The kind of change.
    pub kind: DifferenceKind,
    /// The fields that changed. Empty but for [`DifferenceKind::Changed`].
    pub fields: Vec<FieldChange>,
}

impl ProductDifference {
    /// The names of the fields that changed.
    pub fn field_names(&self) -> Vec<&str> {
        self.fields.iter().map(|change| change.field.as_str()).collect()
    }
}

/// The part of what is on sale that a catalog would discontinue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shrinkage {
    /// The products on sale that the catalog does not have any more.
    pub lost: usize,
    /// All products on sale: see [`Product::is_on_sale`](crate::Product::is_on_sale).
    pub on_sale: usize,
}

impl Shrinkage {
    /// Whether that is more than so many percent of what is on sale.
    pub fn is_beyond(self, percent: u8) -> bool {
        self.lost.saturating_mul(100) > self.on_sale.saturating_mul(percent.into())
    }
}

impl fmt::Display for Shrinkage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} of {} products on sale", self.lost, self.on_sale)
    }
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

/// A run of Get Services Definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicesRun {
    /// Stable and unique.
    pub id: Uuid,
    /// The instance whose catalog it reads.
    pub instance_id: Uuid,
    /// The state.
    pub state: RunState,
    /// When its process counts as dead unless the lease is renewed before, in milliseconds; the lease itself is told by a
    /// clock that nobody can set. `None`: no process has it.
    pub lease_expires_at_ms: Option<i64>,
    /// When it was asked for, in milliseconds.
    pub asked_at_ms: i64,
    /// When it was begun, in milliseconds.
    pub started_at_ms: Option<i64>,
    /// When it ended, in milliseconds.
    pub ended_at_ms: Option<i64>,
    /// The progress that the plugin last reported.
    pub progress: Option<RunProgress>,
    /// The numbers of its changes.
    pub counts: RunCounts,
    /// Whether the vendor said that nothing had changed since the run before.
    pub unchanged: bool,
    /// Why it failed. `None`: it has not.
    pub reason: Option<Problem>,
    /// The run that awaited acceptance and that it accepts. `None`: it accepts none.
    pub accepts: Option<Uuid>,
}

/// The holder of a run, and how long the lease lasts unless it is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunLease {
    /// Unique to this execution of the run.
    pub owner: Uuid,
    /// The length of the lease.
    pub length: Duration,
}

#[cfg(test)]
mod tests {
    use super::Shrinkage;

    #[test]
    fn a_catalog_shrinks_too_far_only_beyond_the_percentage_of_what_is_on_sale() {
        for (lost, on_sale, percent, is_beyond) in [
            (0, 0, 10, false),
            (1, 10, 10, false),
            (2, 10, 10, true),
            (1, 1, 10, true),
            (9_988, 10_000, 10, true),
            (9_988, 10_000, 100, false),
            (0, 10, 0, false),
            (1, 10, 0, true),
        ] {
            let shrinkage = Shrinkage { lost, on_sale };
            assert_eq!(
                shrinkage.is_beyond(percent),
                is_beyond,
                "{shrinkage}, {percent} %"
            );
        }
    }
}
