//! Lists read page after page, and how much of a list is shown.

use bss_model::{Cursor, Page, Rows, SortOrder};
use clap::Args;
use host_harness::RecordError;

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
        let rows = match limit {
            0 => ROWS,
            limit => limit,
        };
        let mut page = Page {
            after: self.after.clone().map(Cursor::new),
            ..Page::first(rows).in_order(SortOrder::Descending)
        };
        let mut all = Vec::new();
        loop {
            let rows = read(&page).await?;
            all.extend(rows.rows);
            match rows.next {
                None => return Ok(all),
                Some(next) if limit > 0 => {
                    output::note(format!("there are more; `--after {}` continues", next.as_str()));
                    return Ok(all);
                }
                Some(next) => page = page.after(next),
            }
        }
    }
}

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
