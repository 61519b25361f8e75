//! `/v1/events`: what webhooks tell, for a client that was not reached for a while.

use axum::Extension;
use axum::response::Response;
use bss_model::OutcomeCursor;
use http::Uri;

use crate::access::Caller;
use crate::answer::ok;
use crate::fields::{Fields, Problems};
use crate::lists;
use crate::problem::Problem;

/// Events, the oldest first. `next` is there on an empty page, too: what comes later is after it.
pub(crate) async fn list(Extension(caller): Extension<Caller>, uri: Uri) -> Result<Response, Problem> {
    let mut problems = Problems::default();
    let mut query = Fields::of_query(uri.query(), &mut problems);
    let instance = query.text("instance", &mut problems);
    let limit = lists::limit(&mut query, &mut problems);
    let after = query.parsed("after", &mut problems);
    query.end(&mut problems);
    problems.check()?;
    let instances = caller.told_of(instance.as_deref()).await?;
    let after = after.unwrap_or(OutcomeCursor::START);
    let events = caller.host().events(after, limit, instances.as_deref()).await?;
    // A page that is not full is the last one for now. Who follows links would ask for empty pages for ever.
    let is_full = u32::try_from(events.rows.len()).is_ok_and(|rows| rows >= limit);
    let next = is_full.then(|| events.next.to_string());
    Ok(lists::linked(ok(&events), &uri, next.as_deref()))
}
