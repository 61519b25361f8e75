//! `/v1/mails`: the e-mails to customers, without their texts; sent again, and made due.

use axum::Extension;
use axum::extract::Path;
use axum::response::Response;
use bss_model::{AssetId, Mail, MailFilter, MailKind, MailState, OrderId, Rows};
use host_harness::{Error, ResendMailError, view};
use http::{StatusCode, Uri};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::{Caller, no_mail};
use crate::answer::with_status;
use crate::body::Json;
use crate::fields::{Fields, Problems};
use crate::lists;
use crate::problem::Problem;
use crate::read_id::read_id;

/// A copy of an e-mail, which brings the same key.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only described by it: `resend` reads it with all of its problems"
)]
pub(crate) struct MailCopyBody {
    /// Another address. Left out: the one in the order.
    to: Option<String>,
}

/// An e-mail that is on record and can't be read at this moment: ask for it by its id.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UnreadMail {
    /// The id.
    id: Uuid,
    /// The e-mail's state.
    state: String,
}

/// E-mails, the latest first.
pub(crate) async fn list(Extension(caller): Extension<Caller>, uri: Uri) -> Result<Response, Problem> {
    let mut problems = Problems::default();
    let mut query = Fields::of_query(uri.query(), &mut problems);
    let instance = query.text("instance", &mut problems);
    let filter = MailFilter {
        instance: None,
        state: query.word("state", MailState::ALL, MailState::word, &mut problems),
        kind: query.word("kind", MailKind::ALL, MailKind::word, &mut problems),
        order: query.parsed::<OrderId>("order", &mut problems).map(Into::into),
        asset: query.parsed::<AssetId>("asset", &mut problems).map(Into::into),
        customer: query.text("customer", &mut problems),
    };
    let page = lists::page(&mut query, &mut problems);
    query.end(&mut problems);
    problems.check()?;
    let filter = MailFilter {
        instance: caller.listed(instance.as_deref()).await?,
        ..filter
    };
    let mails = caller.host().record().mails(&filter, &page).await?;
    let rows = caller.host().mail_views(&mails.rows).await?;
    let next = mails.next;
    Ok(lists::answer(&uri, &Rows { rows, next }))
}

/// Answers with an e-mail.
pub(crate) async fn show(
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let mail = caller.mail(mail_id(&id)?).await?;
    shown(&caller, StatusCode::OK, &mail).await
}

/// Has an e-mail sent once more, as a copy, to the contact of its order or to another address.
pub(crate) async fn resend(
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Json(body): Json,
) -> Result<Response, Problem> {
    let mut problems = Problems::default();
    let mut to = None;
    if let Some(body) = body {
        let mut fields = Fields::of_body(body, &mut problems);
        to = fields.text("to", &mut problems);
        fields.end(&mut problems);
    }
    problems.check()?;
    let mail = caller.mail(mail_id(&id)?).await?.id;
    let record = caller.host().record();
    let copies = record.resend_mails(&[mail], to.as_deref(), &caller.actor()).await;
    let copies = copies.map_err(|error| {
        let problem = Problem::of(&error);
        match error {
            ResendMailError::Address { .. } => problem.in_field("to"),
            _ => problem,
        }
    })?;
    match copies.first() {
        Some(copy) => Ok(written(&caller, StatusCode::CREATED, copy).await),
        None => Err(no_mail(mail)),
    }
}

/// Makes an e-mail due now that waits or was refused. What is held back is for whoever operates the host to release.
pub(crate) async fn retry(
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let mail = caller.mail(mail_id(&id)?).await?;
    let record = caller.host().record();
    let retried = record.retry_unheld_mail(mail.id, &caller.actor()).await;
    retried.map_err(Error::from)?;
    let due = caller.mail(mail.id).await.unwrap_or(mail);
    Ok(written(&caller, StatusCode::OK, &due).await)
}

fn mail_id(id: &str) -> Result<Uuid, Problem> {
    read_id(id, "an e-mail")
}

/// The answer about an e-mail that was just written. Where it can't be read, what is known of it: the act is done, and a client that
/// asked again would have a second copy sent.
async fn written(caller: &Caller, status: StatusCode, mail: &Mail) -> Response {
    let shown = shown(caller, status, mail).await;
    shown.unwrap_or_else(|problem| {
        let causes = problem.causes();
        tracing::warn!(mail = %mail.id, causes, "an e-mail that was written can't be read");
        let state = view::word(mail.state.word());
        with_status(status, &UnreadMail { id: mail.id, state })
    })
}

async fn shown(caller: &Caller, status: StatusCode, mail: &Mail) -> Result<Response, Problem> {
    let views = caller.host().mail_views(std::slice::from_ref(mail)).await?;
    // A view for the one e-mail that was asked about.
    Ok(with_status(status, &views.first()))
}
