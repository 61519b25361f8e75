//! Lists: pages by key, the latest first.

use axum::response::Response;
use bss_model::{Cursor, Page, Rows, SortOrder};
use http::header::LINK;
use http::{HeaderValue, Uri};
use serde::Serialize;

use crate::answer::ok;
use crate::fields::{Fields, Problems};
use crate::problem::Problem;

/// Rows of a page that names no number of them.
const ROWS: u32 = 50;

/// The most rows of a page.
const ROWS_MAX: u32 = 500;

/// Reads `limit` and `after`.
pub(crate) fn page(fields: &mut Fields, problems: &mut Problems) -> Page {
    let page = Page::first(limit(fields, problems)).in_order(SortOrder::Descending);
    match fields.text("after", problems) {
        Some(after) => page.after(Cursor::new(after)),
        None => page,
    }
}

/// Fails where there is a query.
pub(crate) fn check_no_query(uri: &Uri) -> Result<(), Problem> {
    let mut problems = Problems::default();
    Fields::of_query(uri.query(), &mut problems).end(&mut problems);
    problems.check()
}

/// The page that a query without filters asks for.
pub(crate) fn page_alone(uri: &Uri) -> Result<Page, Problem> {
    let mut problems = Problems::default();
    let mut query = Fields::of_query(uri.query(), &mut problems);
    let page = page(&mut query, &mut problems);
    query.end(&mut problems);
    problems.check()?;
    Ok(page)
}

/// Reads `limit`. A limit above the most is the most.
pub(crate) fn limit(fields: &mut Fields, problems: &mut Problems) -> u32 {
    let limit = fields.number("limit", problems).filter(|limit| *limit > 0);
    limit.unwrap_or(ROWS).min(ROWS_MAX)
}

/// The answer of a page. `next` is what `after` is for the next page; `null`: this is the last one.
pub(crate) fn answer<T: Serialize>(uri: &Uri, rows: &Rows<T>) -> Response {
    linked(ok(rows), uri, rows.next.as_ref().map(Cursor::as_str))
}

/// The answer of a page of rows that go by numbers, the least first. A page that is not full is the last one.
pub(crate) fn numbered<T: Serialize>(uri: &Uri, limit: u32, rows: Vec<T>, number: fn(&T) -> i64) -> Response {
    let is_full = u32::try_from(rows.len()).is_ok_and(|rows| rows >= limit);
    let last = rows.last().filter(|_| is_full).map(number);
    let next = last.map(|number| Cursor::new(number.to_string()));
    answer(uri, &Rows { rows, next })
}

/// An answer that names the next page in its header field `Link`, if there is one.
pub(crate) fn linked(mut response: Response, uri: &Uri, next: Option<&str>) -> Response {
    let link = next.and_then(|next| HeaderValue::from_str(&next_link(uri, next)).ok());
    if let Some(link) = link {
        response.headers_mut().insert(LINK, link);
    }
    response
}

/// The address of the next page (RFC 8288).
fn next_link(uri: &Uri, next: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let given = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    query.extend_pairs(given.filter(|(name, _)| name != "after"));
    query.append_pair("after", next);
    format!("<{}?{}>; rel=\"next\"", uri.path(), query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_has_the_filters_of_this_one() {
        let uri: Uri = "/v1/orders?customer=C%201&after=old&limit=2".parse().unwrap();
        assert_eq!(
            next_link(&uri, "new"),
            "</v1/orders?customer=C+1&limit=2&after=new>; rel=\"next\""
        );
    }

    #[test]
    fn a_page_has_fifty_rows_unless_more_or_fewer_are_asked_for_and_never_more_than_five_hundred() {
        for (query, rows) in [("", 50), ("limit=0", 50), ("limit=7", 7), ("limit=100000", 500)] {
            let mut problems = Problems::default();
            let page = page(&mut Fields::of_query(Some(query), &mut problems), &mut problems);
            assert_eq!(page.limit.map(u32::from), Some(rows), "{query}");
            assert!(problems.is_empty());
        }
    }
}
