//! `bss-host instance …`: instances, their settings, and the check of their connection.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bss_model::{ErrorKind, NewInstance, Reach, SortOrder, Thumbprint};
use clap::{Args, Subcommand};
use host_harness::view::{
    self, CertificateRotation, ConnectionCheck, Problem, SettingsVersion, Step, StepResult,
};
use host_harness::{Host, RotateError};
use ipnet::IpNet;
use uuid::Uuid;

use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome, unreadable};
use super::input::{key_value, operator};
use super::output::{self, Table};
use super::progress::listener;
use super::{pages, show};

#[derive(Debug, Subcommand)]
pub(super) enum InstanceCommand {
    /// Create an instance; its form comes next
    Create(CreateInstance),
    /// Fill in the form: once with the credentials, then with certificate, country and language
    Configure {
        /// The instance
        name: String,
        /// A field and its value, as in `--set client-id=...`; may be repeated. None: show the form
        #[arg(long, value_name = "FIELD=VALUE", value_parser = key_value)]
        set: Vec<(String, String)>,
        /// Change nothing if somebody has saved since this version, which `instance show` tells
        #[arg(long, value_name = "VERSION", requires = "set")]
        based_on: Option<i64>,
    },
    /// Show one instance and its form
    Show {
        /// The instance
        name: String,
    },
    /// Show every save of an instance's settings: who, when, and what it changed
    History {
        /// The instance
        name: String,
    },
    /// Go the way to the vendor step by step; exits with 0 if all steps pass, 1 if one fails, 3 if it could not be run
    Check {
        /// The instance
        name: String,
    },
    /// Replace the certificate of an instance in use, once the connection has been checked with the new one
    RotateCertificate {
        /// The instance
        name: String,
        /// The thumbprint of the new certificate, which is installed already
        #[arg(long, value_name = "THUMBPRINT")]
        to: Thumbprint,
    },
    /// Show all instances
    List,
}

#[derive(Debug, Args)]
pub(super) struct CreateInstance {
    /// The name on this host
    name: String,
    /// The currency that it sells in, ISO 4217
    #[arg(long, value_name = "CODE")]
    currency: String,
    /// An option of the plugin beside its form, as in `--option login-authority=localhost:8443`
    #[arg(long, value_name = "NAME=VALUE", value_parser = key_value)]
    option: Vec<(String, String)>,
    /// Trust servers by the certificate authorities in this PEM file, instead of the system's
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// A network that may be reached although it is not public, as in `--allow-network 127.0.0.0/8`
    #[arg(long, value_name = "CIDR")]
    allow_network: Vec<IpNet>,
}

pub(super) async fn run(host: &Host, command: InstanceCommand, json: bool) -> Outcome {
    match command {
        InstanceCommand::Create(create) => create_instance(host, create, json).await,
        InstanceCommand::Configure { name, set, based_on } => {
            configure(host, &name, set, based_on, json).await
        }
        InstanceCommand::Show { name } => configure(host, &name, Vec::new(), None, json).await,
        InstanceCommand::History { name } => history(host, &name, json).await,
        InstanceCommand::Check { name } => check(host, &name, json).await,
        InstanceCommand::RotateCertificate { name, to } => rotate_certificate(host, &name, to, json).await,
        InstanceCommand::List => list(host, json).await,
    }
}

/// The id of the instance that a list is limited to. `None`: the list is not limited.
pub(super) async fn filter_id(host: &Host, name: Option<&str>) -> Result<Option<Uuid>, Failure> {
    match name {
        None => Ok(None),
        Some(name) => Ok(Some(host.named_instance(name).await?.id)),
    }
}

/// Shows every save of an instance's settings: who, when, and what it changed.
async fn history(host: &Host, name: &str, json: bool) -> Outcome {
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
    output::table(&table);
    Ok(ExitStatus::Done)
}

/// Checks each step on the way to the vendor. A step that did not pass is a failure.
async fn check(host: &Host, name: &str, json: bool) -> Outcome {
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
async fn rotate_certificate(host: &Host, name: &str, to: Thumbprint, json: bool) -> Outcome {
    let rotation = host.rotate_certificate(name, to, &operator(), listener()).await;
    let rotation = rotation.map_err(|error| rotate_failure(&error, json))?;
    let rotation = CertificateRotation::from(&rotation);
    if json {
        show::json(&rotation)?;
    } else {
        output::table(&step_table(&rotation.steps));
        output::line(format!(
            "instance `{name}`, version {}, now uses {to}",
            rotation.instance.version
        ));
        output::line(format!(
            "the former one, {}, stays installed until `certificate remove`",
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
    output::table(&step_table(&check.steps));
    Ok(())
}

fn step_table(steps: &[Step]) -> Table {
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

async fn create_instance(host: &Host, create: CreateInstance, json: bool) -> Outcome {
    let trusted_authorities_pem =
        match &create.trust {
            None => None,
            Some(path) => Some(std::fs::read_to_string(path).map_err(|error| {
                unreadable(&format!("`{}`", path.display()), &error).hint("give a PEM file")
            })?),
        };
    let instance = host
        .record()
        .create_instance(
            NewInstance {
                name: create.name,
                currency: create.currency,
                options: create.option.into_iter().collect(),
                reach: Reach {
                    trusted_authorities_pem,
                    allowed_networks: create.allow_network,
                },
            },
            &operator(),
        )
        .await?;
    if json {
        show::json(&view::Instance::from(&instance))?;
    } else {
        output::line(format!("instance `{}` is created", instance.name));
        output::line(format!(
            "next: bss-host instance configure {} --set FIELD=VALUE ...",
            instance.name
        ));
    }
    Ok(ExitStatus::Done)
}

async fn configure(
    host: &Host,
    name: &str,
    set: Vec<(String, String)>,
    based_on: Option<i64>,
    json: bool,
) -> Outcome {
    let typed: BTreeMap<String, String> = set.into_iter().collect();
    let changes = !typed.is_empty();
    let shown = match based_on {
        Some(version) => host.configure_version(name, version, &typed, &operator()).await,
        None if changes => host.configure(name, &typed, &operator()).await,
        None => host.form(name).await,
    };
    let shown = view::InstanceForm::from(&shown?);
    if json {
        show::json(&shown)?;
    } else {
        show_form(&shown);
    }
    if !changes || shown.saved {
        return Ok(ExitStatus::Done);
    }
    Err(Failure::form(&shown.form))
}

fn show_form(shown: &view::InstanceForm) {
    output::table(&show::form_table(&shown.form));
    output::line(format!(
        "instance `{}`, version {}: {}",
        shown.instance.name, shown.instance.version, shown.instance.state
    ));
    for authority in &shown.instance.authorities {
        let how = if authority.client_certificate {
            "with the certificate"
        } else {
            "without a certificate"
        };
        output::line(format!("  reaches {} {how}", authority.name));
    }
}

async fn list(host: &Host, json: bool) -> Outcome {
    let instances = host.record().instances().await?;
    let views: Vec<_> = instances.iter().map(view::Instance::from).collect();
    if json {
        show::json(&views)?;
        return Ok(ExitStatus::Done);
    }
    let mut table = show::table(&["Instance", "State", "Currency", "Certificate"]);
    for instance in &views {
        let thumbprint = instance.certificate_thumbprint.as_deref();
        table.add_row([
            instance.name.as_str(),
            &instance.state,
            &instance.currency,
            thumbprint.unwrap_or_default(),
        ]);
    }
    output::table(&table);
    Ok(ExitStatus::Done)
}
