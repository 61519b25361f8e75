//! Pages of a list, read in the order of the list's key and starting after the last row of the page before.

use bss_model::{Cursor, Page, Rows, SortOrder};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use super::stored::to_json;
use super::{Record, RecordError};
use crate::database::{Builder, Row};

/// A list of the record. For each common filter an index has the filter's columns, then those of the key in this
/// order.
pub(super) struct List {
    /// The name in cursors: a cursor of another list is refused.
    pub(super) name: &'static str,
    /// The columns that order the rows. Together they are unique.
    pub(super) key: &'static [KeyColumn],
}

/// A column of a key, which is never NULL.
pub(super) enum KeyColumn {
    /// A time or a number.
    Integer(&'static str),
    /// An id or a code.
    Text(&'static str),
}

/// A value of a key column in a cursor.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum KeyValue {
    Integer(i64),
    Text(String),
}

impl KeyColumn {
    fn name(&self) -> &'static str {
        match self {
            Self::Integer(name) | Self::Text(name) => name,
        }
    }

    fn value(&self, row: &Row) -> Result<KeyValue, RecordError> {
        Ok(match self {
            Self::Integer(name) => KeyValue::Integer(row.try_get(*name)?),
            Self::Text(name) => KeyValue::Text(row.try_get(*name)?),
        })
    }

    fn takes(&self, value: &KeyValue) -> bool {
        matches!(
            (self, value),
            (Self::Integer(_), KeyValue::Integer(_)) | (Self::Text(_), KeyValue::Text(_))
        )
    }
}

impl List {
    /// Restricts a query, which has a condition already, to a page. Reads one row more than the page has, to learn
    /// whether another page follows.
    pub(super) fn push(&self, query: &mut Builder, page: &Page) -> Result<(), RecordError> {
        let (comparison, direction) = match page.order {
            SortOrder::Ascending => (">", ""),
            SortOrder::Descending => ("<", " DESC"),
        };
        if let Some(cursor) = &page.after {
            query.push(format!(" AND ({}) {comparison} (", self.columns("")));
            let mut values = query.separated(", ");
            for value in self.values(cursor)? {
                match value {
                    KeyValue::Integer(number) => values.push_bind(number),
                    KeyValue::Text(text) => values.push_bind(text),
                };
            }
            query.push(")");
        }
        query.push(format!(" ORDER BY {}", self.columns(direction)));
        if let Some(limit) = page.limit {
            query.push(" LIMIT ").push_bind(i64::from(limit.get()) + 1);
        }
        Ok(())
    }

    /// The key's columns, each followed by `suffix`.
    fn columns(&self, suffix: &str) -> String {
        let columns = self.key.iter().map(|column| format!("{}{suffix}", column.name()));
        columns.collect::<Vec<_>>().join(", ")
    }

    /// Removes the extra row, and returns the cursor of the next page if there was one.
    fn next(&self, rows: &mut Vec<Row>, page: &Page) -> Result<Option<Cursor>, RecordError> {
        let Some(limit) = page.limit.map(|limit| limit.get() as usize) else {
            return Ok(None);
        };
        if rows.len() <= limit {
            return Ok(None);
        }
        rows.truncate(limit);
        rows.last().map(|row| self.cursor(row)).transpose()
    }

    fn cursor(&self, row: &Row) -> Result<Cursor, RecordError> {
        let values = self.key.iter().map(|column| column.value(row));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let text = to_json(&(self.name, values))?;
        Ok(Cursor::new(BASE64URL_NOPAD.encode(text.as_bytes())))
    }

    fn values(&self, cursor: &Cursor) -> Result<Vec<KeyValue>, RecordError> {
        let values = self.decoded(cursor);
        values.ok_or_else(|| RecordError::InvalidCursor {
            cursor: cursor.clone(),
        })
    }

    fn decoded(&self, cursor: &Cursor) -> Option<Vec<KeyValue>> {
        let text = BASE64URL_NOPAD.decode(cursor.as_str().as_bytes()).ok()?;
        let (name, values): (String, Vec<KeyValue>) = serde_json::from_slice(&text).ok()?;
        let fits = name == self.name
            && values.len() == self.key.len()
            && self
                .key
                .iter()
                .zip(&values)
                .all(|(column, value)| column.takes(value));
        fits.then_some(values)
    }
}

impl Record {
    /// Reads a page of a query's rows. The query has a condition already.
    pub(super) async fn page<T>(
        &self,
        list: &List,
        mut query: Builder,
        page: &Page,
        read: impl Fn(&Row) -> Result<T, RecordError>,
    ) -> Result<Rows<T>, RecordError> {
        list.push(&mut query, page)?;
        let mut rows = self.readers.build(&mut query).fetch_all().await?;
        let next = list.next(&mut rows, page)?;
        let rows = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Rows { rows, next })
    }
}

#[cfg(test)]
mod tests;
