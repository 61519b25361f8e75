//! `bss-host instance` once an instance exists: its history, its connection, its certificate's successor.

use bss_model::{ErrorKind, SortOrder, Thumbprint};
use host_harness::view::{CertificateRotation, ConnectionCheck, Problem, SettingsVersion, Step, StepResult};
use host_harness::{Host, RotateError};

use super::commands::{Outcome, listener, operator};
use super::failure::Failure;
use super::{ExitStatus, pages, show};

/// Shows every save of an instance's settings: who, when, and what it changed.
pub(super) async fn history(host: &Host, name: &str, json: bool) -> Outcome {
    let instance = host.named_instance(name).await?;
    let history = pages::all(SortOrder::Ascending, async |page| {
        host.record().instance_history(instance.id, page).await
    });
    let history = history.await?;
    if json {
        let versions: Vec<_> = history.iter().map(SettingsVersion::from).collect();
        show::json(&versions)?;
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

/// Checks each step on the way to the vendor. A step that did not pass is a failure.
pub(super) async fn check(host: &Host, name: &str, json: bool) -> Outcome {
    // An error that keeps the check from being run says nothing of the connection.
    let steps = host.check_connection(name, listener()).await;
    let steps = steps.map_err(|error| Failure::from(error).unsettled())?;
    let check = ConnectionCheck::new(name, &steps);
    show_check(&check, json)?;
    match step_failure(&check.steps, "the connection does not work") {
        None => Ok(ExitStatus::Done),
        Some(failure) => Err(failure),
    }
}

/// Replaces an instance's certificate by another installed one.
pub(super) async fn rotate_certificate(host: &Host, name: &str, to: Thumbprint, json: bool) -> Outcome {
    let rotation = host.rotate_certificate(name, to, &operator(), listener()).await;
    let rotation = rotation.map_err(|error| rotate_failure(&error, json))?;
    let rotation = CertificateRotation::from(&rotation);
    if json {
        show::json(&rotation)?;
    } else {
        show::line(step_table(&rotation.steps).to_string());
        show::line(format!(
            "instance `{name}`, version {}, now uses {to}\nthe former one, {}, stays installed until `certificate remove`",
            rotation.instance.version,
            rotation.former_certificate_thumbprint.unwrap_or_default()
        ));
    }
    Ok(ExitStatus::Done)
}

fn rotate_failure(error: &RotateError, json: bool) -> Failure {
    match error {
        RotateError::Refused { problems, .. } => {
            let problems: Vec<_> = problems.iter().map(Problem::from).collect();
            Failure::of(error).reasons(&problems)
        }
        RotateError::CheckFailed { name, steps, .. } => {
            let check = ConnectionCheck::new(name, steps);
            if let Err(failure) = show_check(&check, json) {
                return failure;
            }
            step_failure(&check.steps, &error.to_string()).unwrap_or_else(|| Failure::of(error))
        }
        error => Failure::of(error),
    }
}

/// The failure of a check, at its first step that did not pass. `None` when all steps passed.
fn step_failure(steps: &[Step], what: &str) -> Option<Failure> {
    let step = steps.iter().find(|step| step.result != StepResult::Passed)?;
    let message = format!("{what}, at step `{}`", step.id);
    Some(Failure::new(ErrorKind::Refused, "check-failed", message).reasons(step.problem.as_slice()))
}

fn show_check(check: &ConnectionCheck, json: bool) -> Result<(), Failure> {
    if json {
        return show::json(check);
    }
    show::line(step_table(&check.steps).to_string());
    Ok(())
}

fn step_table(steps: &[Step]) -> comfy_table::Table {
    let mut table = show::table(&["Step", "Result", "Time"]);
    for step in steps {
        let (result, time) = match &step.result {
            StepResult::Passed => ("passed", format!("{} ms", step.took_ms)),
            StepResult::Failed => ("failed", format!("{} ms", step.took_ms)),
            StepResult::Skipped => ("not tried", String::new()),
        };
        table.add_row([step.name.as_str(), result, &time]);
    }
    table
}
