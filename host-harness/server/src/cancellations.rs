//! Cancellations: a license goes back to the vendor, at once or once somebody has confirmed it.

use axum::Extension;
use axum::extract::Path;
use axum::response::Response;
use bss_model::{Cancellation, CancellationFilter, CancellationState, Requester, RequesterKind, Rows};
use host_harness::{Error, view};
use http::{StatusCode, Uri};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::Caller;
use crate::answer::with_status;
use crate::assets::named;
use crate::body::Json;
use crate::fields::{Fields, Problems};
use crate::lists;
use crate::problem::Problem;
use crate::read_id::read_id;

/// What the ids here are of.
const OF: &str = "a cancellation";

/// The cancellation of a license.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only described by it: `cancel` reads it with all of its problems"
)]
pub(crate) struct CancellationBody {
    /// The reason, in the words of whoever asked.
    comment: Option<String>,
    /// Who asks for it. Left out: the client, as an operator.
    requested_by: Option<RequesterBody>,
    /// Whether it is only asked for, and somebody has to confirm it. Left out: the license is returned at once.
    request_only: Option<bool>,
}

/// Who asks for a cancellation.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only described by it")]
pub(crate) struct RequesterBody {
    /// The role. Left out: `customer`.
    kind: Option<String>,
    /// The name.
    name: String,
}

/// A decision about a cancellation that was asked for.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only described by it: `decide` reads it with all of its problems"
)]
pub(crate) struct DecisionBody {
    /// The reason.
    comment: Option<String>,
}

/// A cancellation that is on record and can't be read at this moment: ask for it by its id.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UnreadCancellation {
    /// The id.
    id: Uuid,
    /// The asset.
    asset_id: Uuid,
    /// The cancellation's state.
    state: String,
}

/// The cancellations of an asset, the latest first.
pub(crate) async fn list(
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let page = lists::page_alone(&uri)?;
    let asset = named(&caller, &id).await?;
    let filter = CancellationFilter {
        asset: Some(asset.id().into()),
        ..CancellationFilter::default()
    };
    let cancellations = caller.host().record().cancellations(&filter, &page).await?;
    let rows = caller.host().cancellation_views(&cancellations.rows).await?;
    let next = cancellations.next;
    Ok(lists::answer(&uri, &Rows { rows, next }))
}

/// The cancellations of all licenses, the latest first.
pub(crate) async fn list_all(Extension(caller): Extension<Caller>, uri: Uri) -> Result<Response, Problem> {
    let mut problems = Problems::default();
    let mut query = Fields::of_query(uri.query(), &mut problems);
    let instance = query.text("instance", &mut problems);
    let state = query.word(
        "state",
        CancellationState::ALL,
        CancellationState::word,
        &mut problems,
    );
    let page = lists::page(&mut query, &mut problems);
    query.end(&mut problems);
    problems.check()?;
    let filter = CancellationFilter {
        instance: caller.listed(instance.as_deref()).await?,
        state,
        ..CancellationFilter::default()
    };
    let cancellations = caller.host().record().cancellations(&filter, &page).await?;
    let rows = caller.host().cancellation_views(&cancellations.rows).await?;
    let next = cancellations.next;
    Ok(lists::answer(&uri, &Rows { rows, next }))
}

/// Cancels an asset, or only asks for it: a worker returns the license, and only then is the asset cancelled and credited.
pub(crate) async fn cancel(
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Json(body): Json,
) -> Result<Response, Problem> {
    let mut problems = Problems::default();
    let mut fields = Fields::of_body(body_or_empty(body), &mut problems);
    let comment = fields.text("comment", &mut problems).unwrap_or_default();
    let is_request = fields.flag("requestOnly", &mut problems).unwrap_or_default();
    let requester = fields.object("requestedBy", &mut problems).map(|mut fields| {
        let name = fields.needed_text("name", &mut problems);
        let kind = fields.word("kind", RequesterKind::ALL, RequesterKind::word, &mut problems);
        fields.end(&mut problems);
        Requester {
            kind: kind.unwrap_or(RequesterKind::Customer),
            name,
        }
    });
    fields.end(&mut problems);
    problems.check()?;
    let actor = caller.actor();
    let requester = requester.unwrap_or_else(|| Requester {
        kind: RequesterKind::Operator,
        name: actor.name.clone(),
    });
    let asset = named(&caller, &id).await?;
    if is_request {
        let (record, asset) = (caller.host().record(), asset.id().into());
        let requested = record
            .request_cancellation(asset, &requester, &comment, &actor)
            .await;
        let requested = requested.map_err(Error::from)?;
        return Ok(written(&caller, StatusCode::CREATED, &requested).await);
    }
    let asset = asset.id().into();
    let cancelled = caller
        .host()
        .cancel_now(asset, &requester, &comment, &actor)
        .await;
    let cancelled = cancelled.map_err(Error::from)?;
    Ok(written(&caller, StatusCode::CREATED, &cancelled).await)
}

/// Answers with a cancellation.
pub(crate) async fn show(
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let cancellation = caller.cancellation(read_id(&id, OF)?).await?;
    shown(&caller, StatusCode::OK, &cancellation).await
}

/// What is decided about a cancellation that was asked for.
enum Verdict {
    Confirm,
    Decline,
    Withdraw,
}

/// Confirms a cancellation that was asked for: the license is returned.
pub(crate) async fn confirm(
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Json(body): Json,
) -> Result<Response, Problem> {
    decide(&caller, &id, body, Verdict::Confirm).await
}

/// Declines a cancellation that was asked for: the license stays.
pub(crate) async fn decline(
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Json(body): Json,
) -> Result<Response, Problem> {
    decide(&caller, &id, body, Verdict::Decline).await
}

/// Withdraws what was asked for.
pub(crate) async fn withdraw(
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Json(body): Json,
) -> Result<Response, Problem> {
    decide(&caller, &id, body, Verdict::Withdraw).await
}

/// Reads the comment, decides, and answers with the cancellation.
async fn decide(
    caller: &Caller,
    id: &str,
    body: Option<Value>,
    verdict: Verdict,
) -> Result<Response, Problem> {
    let mut problems = Problems::default();
    let mut fields = Fields::of_body(body_or_empty(body), &mut problems);
    let comment = fields.text("comment", &mut problems).unwrap_or_default();
    fields.end(&mut problems);
    problems.check()?;
    let cancellation = caller.cancellation(read_id(id, OF)?).await?.id;
    let (host, actor) = (caller.host(), caller.actor());
    let decided = match verdict {
        Verdict::Confirm => host
            .confirm_cancellation(cancellation, &comment, &actor)
            .await
            .map_err(Error::from),
        Verdict::Decline => host
            .record()
            .decline_cancellation(cancellation, &comment, &actor)
            .await
            .map_err(Error::from),
        Verdict::Withdraw => host
            .record()
            .withdraw_cancellation(cancellation, &comment, &actor)
            .await
            .map_err(Error::from),
    };
    Ok(written(caller, StatusCode::OK, &decided?).await)
}

/// A body that may be left out.
fn body_or_empty(body: Option<Value>) -> Value {
    body.unwrap_or_else(|| Value::Object(serde_json::Map::new()))
}

/// The answer about a cancellation that was just written. Where it can't be read, what is known of it: the act is done.
async fn written(caller: &Caller, status: StatusCode, cancellation: &Cancellation) -> Response {
    let shown = shown(caller, status, cancellation).await;
    shown.unwrap_or_else(|problem| {
        let causes = problem.causes();
        tracing::warn!(cancellation = %cancellation.id, causes, "a cancellation that was written can't be read");
        let known = UnreadCancellation {
            id: cancellation.id,
            asset_id: cancellation.asset_id,
            state: view::word(cancellation.state.word()),
        };
        with_status(status, &known)
    })
}

async fn shown(
    caller: &Caller,
    status: StatusCode,
    cancellation: &Cancellation,
) -> Result<Response, Problem> {
    let views = caller
        .host()
        .cancellation_views(std::slice::from_ref(cancellation))
        .await?;
    // A view for the one cancellation that was asked about.
    Ok(with_status(status, &views.first()))
}
