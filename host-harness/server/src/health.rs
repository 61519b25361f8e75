//! Health for whoever watches the process: whether it answers, and whether it can do its work.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::State as Shared;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::ok;
use crate::measures;
use crate::problem::Problem;
use crate::request_error::RequestError;
use crate::state::State;

/// The longest time that a worker which is well does not beat: a write of another process may take half a minute.
const PULSE_WITHIN: Duration = Duration::from_secs(45);

/// How a process is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `alive` or `ready`.
    status: &'static str,
}

/// Answers that the process is there, whatever else is wrong.
pub(crate) async fn alive() -> Response {
    ok(&Health { status: "alive" })
}

/// Answers whether requests can be carried out: the record can be read, and the worker of this process, where there is one, works.
pub(crate) async fn ready(Shared(state): Shared<State>) -> Result<Response, Problem> {
    if state.is_stopping.load(Ordering::Relaxed) {
        return Err(RequestError::Stopping.into());
    }
    state.host.record().open_returns().await?;
    if let Some(silent) = state.worker.as_ref().map(|pulse| pulse.silent_for())
        && silent > PULSE_WITHIN
    {
        return Err(RequestError::WorkerSilent { silent }.into());
    }
    Ok(ok(&Health { status: "ready" }))
}

/// All metrics, of all owners.
pub(crate) async fn metrics(Shared(state): Shared<State>) -> Result<Response, Problem> {
    let text = state.measures.text(&state.host).await?;
    let mut response = Response::new(text.into());
    let kind = HeaderValue::from_static(measures::CONTENT_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}
