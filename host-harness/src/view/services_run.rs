//! Runs of Get Services Definition as views show them.

use bss_model::{Difference, ProductDifference, RunLogLevel, Shrinkage};
use serde::Serialize;
use uuid::Uuid;

use super::{Problem, word};

/// A run of Get Services Definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ServicesRun {
    /// Stable and unique.
    pub id: Uuid,
    /// The instance whose catalog the run reads.
    pub instance_id: Uuid,
    /// The instance's name.
    pub instance: String,
    /// The run's state: `not-started`, `in-progress`, `completed`, `completed-with-errors`, `awaits-acceptance`,
    /// `failed`.
    pub state: String,
    /// When the run was asked for, in milliseconds.
    pub asked_at_ms: i64,
    /// When the run was begun, in milliseconds.
    pub started_at_ms: Option<i64>,
    /// When the run ended, in milliseconds.
    pub ended_at_ms: Option<i64>,
    /// The progress that the plugin last reported.
    pub progress: Option<Progress>,
    /// The number of products that were not stored before.
    pub new: u32,
    /// The number of products that changed.
    pub changed: u32,
    /// The number of products that the vendor has stopped selling.
    pub discontinued: u32,
    /// The number of products that the vendor sells again.
    pub revived: u32,
    /// The number of items that were left out because they could not be understood.
    pub skipped: u32,
    /// Whether the vendor said that nothing had changed since the run before.
    pub unchanged: bool,
    /// Why the run failed.
    pub problem: Option<Problem>,
    /// The run that awaited acceptance and that this one accepts.
    pub accepts: Option<Uuid>,
}

/// The progress that a plugin reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = RunProgress))]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units in all. `None`: not known.
    pub total: Option<u64>,
    /// The unit that is counted.
    pub unit: String,
}

/// What a run would change, if one was made now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicesPreview {
    /// The codes of products that are not stored yet.
    pub new: Vec<String>,
    /// The codes of products of which something changed.
    pub changed: Vec<String>,
    /// The codes of products that the vendor has stopped selling.
    pub discontinued: Vec<String>,
    /// The codes of products that the vendor sells again.
    pub revived: Vec<String>,
    /// The number of products on sale.
    pub on_sale: usize,
    /// The number of products on sale that would be discontinued.
    pub lost: usize,
}

impl ServicesPreview {
    /// The view of a difference that would be made.
    pub fn new(difference: &Difference, shrinkage: Shrinkage) -> Self {
        let changed = difference.changed.iter();
        Self {
            new: difference.new.clone(),
            changed: changed.map(|(code, _)| code.clone()).collect(),
            discontinued: difference.discontinued.clone(),
            revived: difference.revived.clone(),
            on_sale: shrinkage.on_sale,
            lost: shrinkage.lost,
        }
    }
}

/// The part of what is on sale that a run discontinues without being told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicesLimit {
    /// In percent.
    pub discontinue_percent: u8,
}

/// A line of a run's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ServicesRunLogLine {
    /// When the line was written, in milliseconds.
    pub at_ms: i64,
    /// The line's level: `debug`, `info`, `warning`, `error`.
    pub level: String,
    /// The product that the line is about. Empty: the run as a whole.
    pub product_code: String,
    /// The line's subject: `run`, `noted`, `skipped`, or the change of the product: `new`, `changed`, `discontinued`, `revived`.
    pub action: String,
    /// The message.
    pub message: String,
}

impl ServicesRun {
    /// The view of a run of an instance, by the instance's name.
    pub fn new(run: &bss_model::ServicesRun, instance: &str) -> Self {
        Self {
            id: run.id,
            instance_id: run.instance_id,
            instance: instance.to_owned(),
            state: word(run.state.word()),
            asked_at_ms: run.asked_at_ms,
            started_at_ms: run.started_at_ms,
            ended_at_ms: run.ended_at_ms,
            progress: run.progress.as_ref().map(Progress::from),
            new: run.counts.new,
            changed: run.counts.changed,
            discontinued: run.counts.discontinued,
            revived: run.counts.revived,
            skipped: run.counts.skipped,
            unchanged: run.unchanged,
            problem: run.reason.as_ref().map(Problem::from),
            accepts: run.accepts,
        }
    }
}

impl From<&bss_model::RunProgress> for Progress {
    fn from(progress: &bss_model::RunProgress) -> Self {
        Self {
            done: progress.done,
            total: progress.total,
            unit: progress.unit.clone(),
        }
    }
}

impl From<&bss_model::RunLogLine> for ServicesRunLogLine {
    fn from(line: &bss_model::RunLogLine) -> Self {
        Self {
            at_ms: line.at_ms,
            level: word(line.level.word()),
            product_code: line.offer.clone(),
            action: word(line.action.word()),
            message: line.message.clone(),
        }
    }
}

impl ServicesRunLogLine {
    /// The line about the difference that a run made to a product, at a time in milliseconds.
    pub fn of_difference(difference: &ProductDifference, at_ms: i64) -> Self {
        Self {
            at_ms,
            level: word(RunLogLevel::Info.word()),
            product_code: difference.code.clone(),
            action: word(difference.kind.word()),
            message: difference.field_names().join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use bss_model::{DifferenceKind, RunCounts, RunProgress, RunState};

    use super::super::examples::{assert_json, id};
    use super::*;

    #[test]
    fn a_run_that_is_read() {
        let run = bss_model::ServicesRun {
            id: id(8),
            instance_id: id(9),
            state: RunState::InProgress,
            lease_expires_at_ms: Some(31_000),
            asked_at_ms: 1_000,
            started_at_ms: Some(1_100),
            ended_at_ms: None,
            progress: Some(RunProgress {
                done: 100,
                total: None,
                unit: "offers".to_owned(),
            }),
            counts: RunCounts {
                new: 1,
                changed: 2,
                discontinued: 3,
                revived: 4,
                skipped: 5,
            },
            unchanged: false,
            reason: None,
            accepts: Some(id(7)),
        };
        assert_json(
            &ServicesRun::new(&run, "esd"),
            r#"
{
  "id": "00000000-0000-0000-0000-000000000008",
  "instanceId": "00000000-0000-0000-0000-000000000009",
  "instance": "esd",
  "state": "in-progress",
  "askedAtMs": 1000,
  "startedAtMs": 1100,
  "endedAtMs": null,
  "progress": {
    "done": 100,
    "total": null,
    "unit": "offers"
  },
  "new": 1,
  "changed": 2,
  "discontinued": 3,
  "revived": 4,
  "skipped": 5,
  "unchanged": false,
  "problem": null,
  "accepts": "00000000-0000-0000-0000-000000000007"
}"#,
        );
    }

    fn unkept(field: &str) -> bss_model::FieldChange {
        bss_model::FieldChange {
            field: field.to_owned(),
            values: None,
        }
    }

    #[test]
    fn a_line_of_a_run_s_log() {
        let difference = ProductDifference {
            code: "EP2-06798".to_owned(),
            kind: DifferenceKind::Changed,
            fields: ["name", "description"].map(unkept).into(),
        };
        assert_json(
            &ServicesRunLogLine::of_difference(&difference, 1_200),
            r#"
{
  "atMs": 1200,
  "level": "info",
  "productCode": "EP2-06798",
  "action": "changed",
  "message": "name, description"
}"#,
        );
    }
}
