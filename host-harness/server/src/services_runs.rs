//! Runs of Get Services Definition: started, listed and shown.

use axum::Extension;
use axum::extract::Path;
use axum::response::Response;
use bss_model::{DifferenceFilter, RunLogFilter, RunState, ServicesRun, SortOrder};
use host_harness::{Error, InstanceHandle, ProductError, product_type_collection, view};
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

/// What the ids here are of.
const OF: &str = "a run";

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
    let shown = runs.map(|run| view::ServicesRun::new(run, instance.name()));
    Ok(lists::answer(&uri, &shown))
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
    let runs = uri.path().trim_end_matches('/');
    Ok(answer_started(&caller, &instance, id, runs).await)
}

/// Accepts what a run would discontinue: another run, which a worker executes, reads the catalog again and may do so.
pub(crate) async fn accept(
    Extension(caller): Extension<Caller>,
    Path((name, id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response, Problem> {
    let id = read_id(&id, OF)?;
    let instance = caller.instance(&name).await?;
    found(&caller, &instance, id).await?;
    let started = caller
        .host()
        .start_accepting_run(instance.id(), id, &caller.actor())
        .await;
    let started = started.map_err(Error::from)?;
    let runs = uri.path().trim_end_matches('/').rsplitn(3, '/').nth(2);
    Ok(answer_started(&caller, &instance, started, runs.unwrap_or_default()).await)
}

/// The answer about a run that was started, with its address below that of the instance's runs.
async fn answer_started(caller: &Caller, instance: &InstanceHandle, id: Uuid, runs: &str) -> Response {
    let mut response = match read(caller, instance, id).await {
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
    let address = HeaderValue::from_str(&format!("{runs}/{id}"));
    response.headers_mut().extend(address.map(|at| (LOCATION, at)));
    response
}

/// The lines that a run wrote about what it could not take, or took with a correction, the oldest first.
pub(crate) async fn log(
    Extension(caller): Extension<Caller>,
    Path((name, id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response, Problem> {
    let page = lists::page_alone(&uri)?.in_order(SortOrder::Ascending);
    let id = read_id(&id, OF)?;
    let instance = caller.instance(&name).await?;
    let run = found(&caller, &instance, id).await?.id;
    let lines = caller
        .host()
        .record()
        .services_run_log(run, &RunLogFilter::default(), &page)
        .await?;
    Ok(lists::answer(&uri, &lines.map(view::ServicesRunLogLine::from)))
}

/// What a run did to products, by their codes.
pub(crate) async fn differences(
    Extension(caller): Extension<Caller>,
    Path((name, id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response, Problem> {
    let page = lists::page_alone(&uri)?.in_order(SortOrder::Ascending);
    let id = read_id(&id, OF)?;
    let instance = caller.instance(&name).await?;
    let run = found(&caller, &instance, id).await?.id;
    let record = caller.host().record();
    let differences = record
        .services_run_differences(run, &DifferenceFilter::default(), &page)
        .await?;
    Ok(lists::answer(&uri, &differences.map(view::RunDifference::from)))
}

/// The products of an instance as the platform's own contract has them (`ProductTypeCollection`).
pub(crate) async fn definition(
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let id = caller.instance(&name).await?.id().into();
    Ok(ok(&product_type_collection::of(caller.host().record(), id).await?))
}

/// Answers with a run.
pub(crate) async fn show(
    Extension(caller): Extension<Caller>,
    Path((name, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let id = read_id(&id, OF)?;
    let instance = caller.instance(&name).await?;
    Ok(ok(&read(&caller, &instance, id).await?))
}

/// A run of the instance, as it is shown.
async fn read(caller: &Caller, instance: &InstanceHandle, run: Uuid) -> Result<view::ServicesRun, Problem> {
    let found = found(caller, instance, run).await?;
    Ok(view::ServicesRun::new(&found, instance.name()))
}

/// A run of the instance.
async fn found(caller: &Caller, instance: &InstanceHandle, run: Uuid) -> Result<ServicesRun, Problem> {
    let found = caller.host().record().services_run(run).await?;
    found
        .filter(|found| found.instance_id == Uuid::from(instance.id()))
        .ok_or_else(|| Problem::of(&ProductError::NoRun { run }))
}
