//! `bss-host instance` once an instance exists: its history, its connection, its certificate's successor.

use bss_model::{ErrorKind, SettingsVersion, SortOrder, Thumbprint};
use bss_sandbox::bindings::connection::{Step, StepResult};
use bss_sandbox::bindings::failures::Problem;
use host_harness::Host;
use host_harness::certificate_rotation::RotateError;
use host_harness::connection::failed_step;
use serde_json::{Value, json};

use super::commands::{Outcome, listener, operator};
use super::failure::Failure;
use super::{ExitStatus, pages, show};

/// Every save: who, when, and what it changed.
pub(super) async fn history(host: &Host, name: &str, json: bool) -> Outcome {
    let instance = host.named_instance(name).await?;
    let history = pages::all(SortOrder::Ascending, async |page| {
        host.record().instance_history(instance.id, page).await
    });
    let history = history.await?;
    if json {
        show::line(history.iter().map(version_json).collect::<Value>().to_string());
        return Ok(ExitStatus::Done);
    }
    let mut table = show::table(&["Version", "When", "Who", "Field", "Old", "New"]);
    for version in &history {
        let when = show::time(version.changed_at_ms);
        let row = |field: &str, old: &str, new: &str| {
            [
                &version.version.to_string(),
                &when,
                &version.changed_by.name,
                field,
                old,
                new,
            ]
            .map(str::to_owned)
        };
        if version.changes.is_empty() {
            table.add_row(row("(none)", "", ""));
        }
        for (field, change) in &version.changes {
            let value = |value: &Option<String>| value.clone().unwrap_or_default();
            table.add_row(row(field, &value(&change.old), &value(&change.new)));
        }
    }
    show::line(table.to_string());
    Ok(ExitStatus::Done)
}

fn version_json(version: &SettingsVersion) -> Value {
    json!({
        "version": version.version,
        "changedBy": version.changed_by.name,
        "changedAtMs": version.changed_at_ms,
        "state": show::standing(version.standing),
        "changes": version.changes,
    })
}

/// Each step on the way to the vendor.
pub(super) async fn check(host: &Host, name: &str, json: bool) -> Outcome {
    // Whatever keeps it from being run, nothing is known of the connection.
    let steps = host.check_connection(name, listener()).await;
    let steps = steps.map_err(|error| Failure::from(error).unsettled())?;
    if json {
        let passed = failed_step(&steps).is_none();
        let steps: Value = steps.iter().map(step_json).collect();
        show::line(json!({ "instance": name, "passed": passed, "steps": steps }).to_string());
    } else {
        show::line(step_table(&steps).to_string());
    }
    match step_failure(&steps, "the connection does not work") {
        None => Ok(ExitStatus::Done),
        Some(failure) => Err(failure),
    }
}

/// Has another certificate take over.
pub(super) async fn rotate_certificate(host: &Host, name: &str, to: Thumbprint, json: bool) -> Outcome {
    let rotation = host.rotate_certificate(name, to, &operator(), listener()).await;
    let rotation = rotation.map_err(|error| rotate_failure(&error, json))?;
    let former = rotation.former.map(|former| former.to_string());
    if json {
        let mut value = show::instance_json(&rotation.instance);
        value["formerCertificate"] = former.into();
        value["steps"] = rotation.steps.iter().map(step_json).collect();
        show::line(value.to_string());
    } else {
        show::line(step_table(&rotation.steps).to_string());
        show::line(format!(
            "instance `{name}`, version {}, now uses {to}\nthe former one, {}, stays installed until `certificate remove`",
            rotation.instance.version,
            former.unwrap_or_default()
        ));
    }
    Ok(ExitStatus::Done)
}

fn rotate_failure(error: &RotateError, json: bool) -> Failure {
    match error {
        RotateError::Refused { problems, .. } => Failure::of(error).reasons(problems),
        RotateError::CheckFailed { steps, .. } => {
            if json {
                let steps: Value = steps.iter().map(step_json).collect();
                show::line(json!({ "saved": false, "steps": steps }).to_string());
            } else {
                show::line(step_table(steps).to_string());
            }
            step_failure(steps, &error.to_string()).unwrap_or_else(|| Failure::of(error))
        }
        error => Failure::of(error),
    }
}

/// What a check failed of. None: all steps passed.
fn step_failure(steps: &[Step], what: &str) -> Option<Failure> {
    let step = failed_step(steps)?;
    let problems: &[Problem] = match &step.result {
        StepResult::Failed(problem) => std::slice::from_ref(problem),
        StepResult::Passed | StepResult::Skipped => &[],
    };
    let message = format!("{what}, at step `{}`", step.id);
    Some(Failure::new(ErrorKind::Refused, "check-failed", message).reasons(problems))
}

fn step_table(steps: &[Step]) -> comfy_table::Table {
    let mut table = show::table(&["Step", "Result", "Time"]);
    for step in steps {
        let (result, time) = match &step.result {
            StepResult::Passed => ("passed", format!("{} ms", step.took_ms)),
            StepResult::Failed(_) => ("failed", format!("{} ms", step.took_ms)),
            StepResult::Skipped => ("not tried", String::new()),
        };
        table.add_row([step.name.as_str(), result, &time]);
    }
    table
}

fn step_json(step: &Step) -> Value {
    let (result, problem) = match &step.result {
        StepResult::Passed => ("passed", Value::Null),
        StepResult::Failed(problem) => ("failed", show::problem_json(problem)),
        StepResult::Skipped => ("skipped", Value::Null),
    };
    json!({
        "id": step.id,
        "name": step.name,
        "result": result,
        "tookMs": step.took_ms,
        "problem": problem,
    })
}
