//! `/v1/instances`: where a client can order, and what.

use axum::Extension;
use axum::extract::Path;
use axum::response::Response;
use bss_model::{ProductFilter, Rows};
use host_harness::view;
use http::Uri;

use crate::access::Caller;
use crate::answer::ok;
use crate::fields::{Fields, Problems};
use crate::lists;
use crate::problem::Problem;

/// The instances that the client may use, by name, all on one page.
pub(crate) async fn list(Extension(caller): Extension<Caller>, uri: Uri) -> Result<Response, Problem> {
    lists::check_no_query(&uri)?;
    let instances = caller.instances().await?;
    let rows = instances.iter().map(view::Instance::from).collect();
    Ok(lists::answer(&uri, &Rows { rows, next: None }))
}

/// Answers with an instance, by its name.
pub(crate) async fn show(
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    Ok(ok(&caller.instance(&name).await?.read().await?))
}

/// The products of an instance, the last code first.
pub(crate) async fn products(
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut problems = Problems::default();
    let mut query = Fields::of_query(uri.query(), &mut problems);
    let filter = ProductFilter {
        active: query.flag("active", &mut problems),
        published: query.flag("published", &mut problems),
        discontinued: query.flag("discontinued", &mut problems),
    };
    let page = lists::page(&mut query, &mut problems);
    query.end(&mut problems);
    problems.check()?;
    let instance = caller.instance(&name).await?;
    Ok(lists::answer(&uri, &instance.products(&filter, &page).await?))
}
