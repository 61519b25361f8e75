//! Lists read to their end, page after page.

use bss_model::{Page, Rows, SortOrder};
use host_harness::RecordError;

/// Rows per page: few enough that the record is not read for long at a time.
const ROWS: u32 = 1_000;

/// Reads all rows of a list, page after page.
pub(super) async fn all<T>(
    order: SortOrder,
    read: impl AsyncFn(&Page) -> Result<Rows<T>, RecordError>,
) -> Result<Vec<T>, RecordError> {
    let (mut all, mut page) = (Vec::new(), Page::first(ROWS).in_order(order));
    loop {
        let rows = read(&page).await?;
        all.extend(rows.rows);
        match rows.next {
            Some(next) => page = page.after(next),
            None => return Ok(all),
        }
    }
}
