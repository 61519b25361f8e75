//! `/v1/charges` and `/v1/credits`: what customers were charged, and credited.

use axum::Extension;
use axum::response::Response;
use bss_model::{ChargeFilter, OrderId, Page, Rows, SerialNumber};
use http::Uri;

use crate::access::Caller;
use crate::fields::{Fields, Problems};
use crate::lists;
use crate::problem::Problem;

/// Charges, the latest first, each with its credits.
pub(crate) async fn list(Extension(caller): Extension<Caller>, uri: Uri) -> Result<Response, Problem> {
    let (filter, page) = asked(&caller, &uri).await?;
    let charges = caller.host().record().charges(&filter, &page).await?;
    let rows = caller.host().credited_charge_views(&charges.rows).await?;
    let next = charges.next;
    Ok(lists::answer(&uri, &Rows { rows, next }))
}

/// Credits, the latest first.
pub(crate) async fn credits(Extension(caller): Extension<Caller>, uri: Uri) -> Result<Response, Problem> {
    let (filter, page) = asked(&caller, &uri).await?;
    let credits = caller.host().record().credits(&filter, &page).await?;
    let rows = caller.host().credit_views(&credits.rows).await?;
    let next = credits.next;
    Ok(lists::answer(&uri, &Rows { rows, next }))
}

async fn asked(caller: &Caller, uri: &Uri) -> Result<(ChargeFilter, Page), Problem> {
    let mut problems = Problems::default();
    let mut query = Fields::of_query(uri.query(), &mut problems);
    let instance = query.text("instance", &mut problems);
    let order = query.parsed::<OrderId>("order", &mut problems);
    let filter = ChargeFilter {
        order: order.map(Into::into),
        customer: query.text("customer", &mut problems),
        number: query.parsed::<SerialNumber>("number", &mut problems),
        since_ms: query.time_ms("sinceMs", &mut problems),
        until_ms: query.time_ms("untilMs", &mut problems),
        ..ChargeFilter::default()
    };
    let page = lists::page(&mut query, &mut problems);
    query.end(&mut problems);
    problems.check()?;
    let filter = ChargeFilter {
        instance: caller.listed(instance.as_deref()).await?,
        ..filter
    };
    Ok((filter, page))
}
