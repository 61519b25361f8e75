//! Instances as who configures them sees them: created, renamed, disabled and removed, their history, and the check of their connection.

use std::sync::Arc;

use axum::Extension;
use axum::extract::Path;
use axum::response::Response;
use bss_model::{NewInstance, Thumbprint};
use host_harness::{
    ConfigureError, CreateError, CreateInstanceError, InstanceHandle, OfPlugin, PluginError, RotateError,
    view,
};
use http::{StatusCode, Uri};
use utoipa::ToSchema;

use crate::access::Caller;
use crate::answer::{ok, with_status};
use crate::body::Json;
use crate::fields::{Fields, Problems};
use crate::lists;
use crate::problem::{FieldProblem, Problem};

/// A new instance.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only described by it: `create` reads it with all of its problems"
)]
pub(crate) struct InstanceBody {
    /// The name, unique among the instances of the client's owner.
    name: String,
    /// The currency in which it sells, ISO 4217.
    currency: String,
    /// The name of its plugin, such as `microsoft-esd`. Left out: the only one that there is.
    plugin: Option<String>,
}

/// Another name for an instance.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only described by it: `rename` reads it with all of its problems"
)]
pub(crate) struct RenamingBody {
    /// The name from now on.
    name: String,
}

/// Another certificate for an instance.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only described by it: `rotate_certificate` reads it with all of its problems"
)]
pub(crate) struct RotationBody {
    /// The thumbprint of the certificate that takes over.
    to: String,
}

/// Creates an instance, whose form is filled in next.
pub(crate) async fn create(
    Extension(caller): Extension<Caller>,
    Json(body): Json,
) -> Result<Response, Problem> {
    let mut problems = Problems::default();
    let mut fields = Fields::of_body(body.unwrap_or_default(), &mut problems);
    let name = fields.needed_seen_text("name", &mut problems);
    let currency = fields.needed_text("currency", &mut problems);
    let plugin = fields.text("plugin", &mut problems);
    fields.end(&mut problems);
    problems.check()?;
    caller.check_unbound()?;
    let of = plugin.as_deref().map_or(OfPlugin::Only, OfPlugin::Id);
    let new = NewInstance::new(name, currency);
    let created = caller.host().create_instance(new, of, &caller.actor()).await;
    let created = created.map_err(|error| not_created(&error))?;
    Ok(with_status(StatusCode::CREATED, &view::Instance::from(&created)))
}

/// The problem of an instance that was not created, with the field that it is about.
fn not_created(error: &CreateInstanceError) -> Problem {
    let problem = Problem::of(error);
    match error {
        // Other problems with plugins name files of this machine.
        CreateInstanceError::Plugin(
            PluginError::NoPlugin { .. } | PluginError::Several { .. } | PluginError::NotNamed,
        ) => problem.in_field("plugin"),
        CreateInstanceError::Plugin(_) => problem.of_the_host(),
        CreateInstanceError::Create(CreateError::NoPlugin { .. }) => problem.in_field("plugin"),
        CreateInstanceError::Create(CreateError::InvalidCurrency { .. }) => problem.in_field("currency"),
        CreateInstanceError::Create(_) => problem.about("name"),
        _ => problem,
    }
}

/// Gives an instance another name.
pub(crate) async fn rename(
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json(body): Json,
) -> Result<Response, Problem> {
    let mut problems = Problems::default();
    let mut fields = Fields::of_body(body.unwrap_or_default(), &mut problems);
    let new = fields.needed_seen_text("name", &mut problems);
    fields.end(&mut problems);
    problems.check()?;
    let renamed = unbound(&caller, &name).await?.rename(&new, &caller.actor()).await;
    let renamed = renamed.map_err(|error| Problem::of(&error).about("name"));
    Ok(ok(&renamed?))
}

/// Has an instance take no orders and buy nothing.
pub(crate) async fn disable(
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let instance = unbound(&caller, &name).await?;
    Ok(ok(&instance.disable(&caller.actor()).await?))
}

/// Has an instance sell again.
pub(crate) async fn enable(
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let instance = unbound(&caller, &name).await?;
    Ok(ok(&instance.enable(&caller.actor()).await?))
}

/// Removes an instance on which nothing depends.
pub(crate) async fn remove(
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let instance = unbound(&caller, &name).await?;
    Ok(ok(&instance.remove(&caller.actor()).await?))
}

/// Every save of an instance's settings, the last one first.
pub(crate) async fn history(
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let page = lists::page_alone(&uri)?;
    let instance = unbound(&caller, &name).await?;
    let record = caller.host().record();
    let history = record.instance_history(instance.id().into(), &page).await?;
    Ok(lists::answer(&uri, &history.map(view::SettingsVersion::from)))
}

/// What an instance has sold today, and may.
pub(crate) async fn spending(
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let today = caller.instance(&name).await?.spending_today().await?;
    Ok(ok(&view::SpendingToday::from(&today)))
}

/// Checks each step on the way to the vendor. A step that did not pass is an answer, and no problem.
pub(crate) async fn check_connection(
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let mut check = caller.instance(&name).await?.check_connection().await?;
    if !caller.is_of_the_whole_host() {
        // The addresses and proxies of the host's own network are the operator's.
        check.connections.clear();
    }
    Ok(ok(&check))
}

/// Has another certificate take over, if the vendor takes it.
pub(crate) async fn rotate_certificate(
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json(body): Json,
) -> Result<Response, Problem> {
    let mut problems = Problems::default();
    let mut fields = Fields::of_body(body.unwrap_or_default(), &mut problems);
    let to = fields.needed_parsed::<Thumbprint>("to", &mut problems);
    fields.end(&mut problems);
    let (Some(to), true) = (to, problems.is_empty()) else {
        return Err(problems.problem());
    };
    let instance = unbound(&caller, &name).await?;
    let (host, unheard) = (caller.host(), Arc::new(|_| ()));
    let rotated = host
        .rotate_certificate(instance.id(), to, &caller.actor(), unheard)
        .await;
    let rotated = rotated.map_err(|error| not_rotated(&error))?;
    Ok(ok(&view::CertificateRotation::from(&rotated)))
}

/// The problem of a certificate that did not take over, with the reasons of the plugin or of the vendor.
fn not_rotated(error: &RotateError) -> Problem {
    let problem = Problem::of(error);
    let reasons = error.reasons();
    match error {
        RotateError::Refused { .. } => {
            let reasons = reasons
                .into_iter()
                .map(|reason| FieldProblem::of_reason("to", reason));
            problem.with_errors(reasons.collect())
        }
        RotateError::CheckFailed { .. } => {
            let steps: Vec<String> = reasons.into_iter().map(|reason| reason.message).collect();
            let detail = format!("{}: {}", problem.detail(), steps.join("; "));
            problem.saying(detail)
        }
        RotateError::AlreadyUsed { .. } => problem.in_field("to"),
        RotateError::Configure(ConfigureError::NoInstance(_)) => problem,
        // Anything else that is not there is what the body names.
        _ if problem.status() == StatusCode::NOT_FOUND => problem.in_field("to"),
        _ => problem,
    }
}

/// The instance of a name, for a client that is bound to none.
async fn unbound(caller: &Caller, name: &str) -> Result<InstanceHandle, Problem> {
    caller.check_unbound()?;
    caller.instance(name).await
}
