//! `/v1/acts`: who did what, and whether that is as it was written.

use std::num::NonZeroU32;

use axum::Extension;
use axum::response::Response;
use bss_model::{Act, ActFilter, SubjectKind};
use host_harness::{AuditError, view};
use http::Uri;

use crate::access::Caller;
use crate::answer::ok;
use crate::fields::{Fields, Problems};
use crate::lists;
use crate::problem::Problem;

/// Acts, the oldest first.
pub(crate) async fn list(Extension(caller): Extension<Caller>, uri: Uri) -> Result<Response, Problem> {
    let mut problems = Problems::default();
    let mut query = Fields::of_query(uri.query(), &mut problems);
    let instance = query.text("instance", &mut problems);
    let filter = ActFilter {
        instance: None,
        owner: caller.host().owner().cloned(),
        subject: query.text("subject", &mut problems),
        subject_kind: query.word("kind", SubjectKind::ALL, SubjectKind::word, &mut problems),
        act: query.word("act", Act::ALL, Act::word, &mut problems),
        actor: query.text("actor", &mut problems),
        ..ActFilter::default()
    };
    let limit = lists::limit(&mut query, &mut problems);
    let after = query.row_number("after", &mut problems);
    query.end(&mut problems);
    problems.check()?;
    let filter = ActFilter {
        instance: caller.listed(instance.as_deref()).await?,
        after,
        ..filter
    };
    let rows = NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN);
    let acts = caller.host().record().acts(&filter, rows).await?;
    let views = caller.host().act_views(&acts).await?;
    Ok(lists::numbered(&uri, limit, views, |act| act.number))
}

/// Verifies that no act was altered or removed since it was written, and answers with the digest of all.
pub(crate) async fn verify(Extension(caller): Extension<Caller>, uri: Uri) -> Result<Response, Problem> {
    let mut problems = Problems::default();
    let mut query = Fields::of_query(uri.query(), &mut problems);
    let noted = query.sha256("noted", &mut problems);
    query.end(&mut problems);
    problems.check()?;
    let audited = caller.host().record().verify_acts(noted.as_deref()).await;
    let audited = audited.map_err(|error| match &error {
        AuditError::NotNoted { .. } => Problem::finding(&error).in_field("noted"),
        AuditError::Broken { .. } | AuditError::CutOff { .. } => Problem::finding(&error),
        error => Problem::of(error),
    })?;
    Ok(ok(&view::AuditedActs::from(&audited)))
}
