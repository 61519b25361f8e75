//! Runs of Get Services Definition: started, listed and shown.

use axum::Extension;
use axum::extract::Path;
use axum::response::Response;
use bss_model::{Rows, RunState};
use host_harness::{Error, InstanceHandle, ProductError, view};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode, Uri};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::Caller;
use crate::answer::{ok, with_status};
use crate::lists;
use crate::problem::Problem;
use crate::read_id::read_id;

/// A run that is on record and can't be read at this moment: ask for it by its id.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UnreadRun {
    /// The id.
    id: Uuid,
    /// `not-started`: how far it is, is not known yet.
    state: String,
}

/// The runs of an instance, the latest first.
pub(crate) async fn list(
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let page = lists::page_alone(&uri)?;
    let instance = caller.instance(&name).await?;
    let record = caller.host().record();
    let runs = record.services_runs(instance.id().into(), &page).await?;
    let views = runs
        .rows
        .iter()
        .map(|run| view::ServicesRun::new(run, instance.name()));
    let rows = views.collect();
    let next = runs.next;
    Ok(lists::answer(&uri, &Rows { rows, next }))
}

/// Starts a run, which a worker executes.
pub(crate) async fn start(
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let instance = caller.instance(&name).await?;
    let started = caller
        .host()
        .start_services_run(instance.id(), &caller.actor())
        .await;
    let id = started.map_err(Error::from)?;
    let mut response = match read(&caller, &instance, id).await {
        Ok(run) => with_status(StatusCode::ACCEPTED, &run),
        // The run is on record, whatever can't be read of it.
        Err(problem) => {
            let causes = problem.causes();
            tracing::warn!(run = %id, causes, "a run that was started can't be read");
            let state = view::word(RunState::NotStarted.word());
            with_status(StatusCode::ACCEPTED, &UnreadRun { id, state })
        }
    };
    // The address as the client wrote it is plain, whatever the instance's name is.
    let address = HeaderValue::from_str(&format!("{}/{id}", uri.path().trim_end_matches('/')));
    response.headers_mut().extend(address.map(|at| (LOCATION, at)));
    Ok(response)
}

/// Answers with a run.
pub(crate) async fn show(
    Extension(caller): Extension<Caller>,
    Path((name, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let id = read_id(&id, "a run")?;
    let instance = caller.instance(&name).await?;
    Ok(ok(&read(&caller, &instance, id).await?))
}

/// A run of the instance.
async fn read(caller: &Caller, instance: &InstanceHandle, run: Uuid) -> Result<view::ServicesRun, Problem> {
    let found = caller.host().record().services_run(run).await?;
    let found = found.filter(|found| found.instance_id == Uuid::from(instance.id()));
    match found {
        Some(found) => Ok(view::ServicesRun::new(&found, instance.name())),
        None => Err(Problem::of(&ProductError::NoRun { run })),
    }
}
