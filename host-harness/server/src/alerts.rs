//! `/v1/alerts`: what has ended badly or stands still, until it is over or somebody has acknowledged it.

use axum::Extension;
use axum::response::Response;
use bss_model::{AlertChoice, AlertFilter, AlertKind};
use host_harness::{Error, view};
use http::{StatusCode, Uri};
use utoipa::ToSchema;

use crate::access::Caller;
use crate::answer::ok;
use crate::body::Json;
use crate::fields::{Fields, Problems};
use crate::lists;
use crate::problem::Problem;

/// Alerts that somebody acknowledges. One of `numbers` and `upTo` says which.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only described by it: `acknowledge` reads it with all of its problems"
)]
pub(crate) struct AcknowledgementBody {
    /// The alerts' numbers. Where there is no alert of one of them, none is acknowledged.
    #[schema(max_items = 10_000)]
    numbers: Option<Vec<i64>>,
    /// The number of the last alert that was looked at: all open ones up to it.
    up_to: Option<i64>,
}

/// Alerts, the oldest first: the open ones, or all.
pub(crate) async fn list(Extension(caller): Extension<Caller>, uri: Uri) -> Result<Response, Problem> {
    let mut problems = Problems::default();
    let mut query = Fields::of_query(uri.query(), &mut problems);
    let instance = query.text("instance", &mut problems);
    let all = query.flag("all", &mut problems).unwrap_or_default();
    let limit = lists::limit(&mut query, &mut problems);
    let after = query.row_number("after", &mut problems).unwrap_or_default();
    query.end(&mut problems);
    problems.check()?;
    let instances = caller.told_of(instance.as_deref()).await?;
    let filter = AlertFilter {
        all,
        owner: None,
        instances: instances.map(|ids| ids.into_iter().map(Into::into).collect()),
        after,
    };
    let mut alerts = caller.host().alerts(&filter, limit).await?;
    alerts.iter_mut().for_each(without_paths);
    Ok(lists::numbered(&uri, limit, alerts, |alert| alert.number))
}

/// Leaves out what an alert says of this machine: why a plugin can't be used names its file.
fn without_paths(alert: &mut view::Alert) {
    if alert.kind == view::word(AlertKind::PluginUnusable.word())
        && let Some(problem) = &mut alert.problem
    {
        "the instance's plugin can't be used; whoever operates the host finds the causes"
            .clone_into(&mut problem.message);
        problem.advice.clear();
    }
}

/// Acknowledges alerts.
pub(crate) async fn acknowledge(
    Extension(caller): Extension<Caller>,
    Json(body): Json,
) -> Result<Response, Problem> {
    let mut problems = Problems::default();
    let mut fields = Fields::of_body(body.unwrap_or_default(), &mut problems);
    let numbers = fields.filled_numbers("numbers", &mut problems);
    let up_to = fields.row_number("upTo", &mut problems);
    let choices = [
        (
            "numbers",
            (!numbers.is_empty()).then_some(AlertChoice::Numbers(numbers)),
        ),
        ("upTo", up_to.map(AlertChoice::UpTo)),
    ];
    let choice = fields.only_one(choices, &mut problems);
    fields.end(&mut problems);
    let Some(choice) = choice else {
        return Err(problems.problem());
    };
    problems.check()?;
    let acknowledged = caller.host().acknowledge_alerts(&choice, &caller.actor()).await;
    let acknowledged = acknowledged.map_err(not_there)?;
    Ok(ok(&view::AcknowledgedAlerts { acknowledged }))
}

/// The problem of alerts that were not acknowledged. What is not there is named in the body.
fn not_there(error: Error) -> Problem {
    let problem = Problem::from(error);
    match problem.status() {
        StatusCode::NOT_FOUND => problem.in_field("numbers"),
        _ => problem,
    }
}
