//! Lists, read page after page as far as they are shown.

use bss_model::{Cursor, Page, Rows, SortOrder};
use clap::Args;

use super::csv_lines::Form;
use super::output;

/// Rows per page: few enough that the record is not read for long at a time.
const ROWS: u32 = 1_000;

/// Rows that a table has without `--limit`: few enough to be read.
const ROWS_SHOWN: u32 = 50;

/// How much of a list is shown, the latest first.
#[derive(Debug, Args)]
pub(super) struct PageArguments {
    /// The most rows; 0 is no limit [default: 50, and with --json or --csv no limit]
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Continue a list that was cut off, after the place that it named
    #[arg(long, value_name = "PLACE")]
    after: Option<String>,
}

impl PageArguments {
    /// Reads the rows that are asked for, and says where the list goes on.
    pub(super) async fn read<T, E>(
        &self,
        form: Form,
        read: impl AsyncFn(&Page) -> Result<Rows<T>, E>,
    ) -> Result<Vec<T>, E> {
        let limit = self.limit.unwrap_or(match form {
            Form::Table => ROWS_SHOWN,
            Form::Json | Form::Csv => 0,
        });
        let page = |rows| Page {
            after: self.after.clone().map(Cursor::new),
            ..Page::first(rows).in_order(SortOrder::Descending)
        };
        if limit == 0 {
            return all_from(page(ROWS), read).await;
        }
        let shown = read(&page(limit)).await?;
        if let Some(next) = shown.next {
            output::note(format!("there are more; `--after {}` continues", next.as_str()));
        }
        Ok(shown.rows)
    }
}

/// Reads all rows of a list, page after page.
pub(super) async fn all<T, E>(
    order: SortOrder,
    read: impl AsyncFn(&Page) -> Result<Rows<T>, E>,
) -> Result<Vec<T>, E> {
    all_from(Page::first(ROWS).in_order(order), read).await
}

/// Reads a page, and all behind it.
async fn all_from<T, E>(
    mut page: Page,
    read: impl AsyncFn(&Page) -> Result<Rows<T>, E>,
) -> Result<Vec<T>, E> {
    let mut all = Vec::new();
    loop {
        let rows = read(&page).await?;
        all.extend(rows.rows);
        match rows.next {
            Some(next) => page = page.after(next),
            None => return Ok(all),
        }
    }
}
