//! Pages of a list: how many rows, in which order, and after which row one begins.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// A page of a list to read. A page begins after the last row's key of the one before (keyset), not after a count of
/// rows: rows that are added meanwhile neither repeat nor hide others, and a late page costs no more than the first.
///
/// ```
/// use bss_model::{Page, SortOrder};
///
/// let newest = Page::first(50).in_order(SortOrder::Descending);
/// assert_eq!(newest.limit.map(u32::from), Some(50));
/// assert_eq!(Page::all().limit, None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The most rows. `None`: no limit.
    pub limit: Option<NonZeroU32>,
    /// The order of the rows.
    pub order: SortOrder,
    /// The [`Rows::next`] of the page before. `None`: the first page.
    pub after: Option<Cursor>,
}

/// The order of a list's rows: by the time at which they were made, or by their code in lists of products and of
/// differences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortOrder {
    /// The oldest, or the first code, first.
    #[default]
    Ascending,
    /// The newest, or the last code, first.
    Descending,
}

/// The place of a row in a list: its key, as an opaque text. A cursor is valid for the filter and order that it came
/// from; another list refuses it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

/// Rows of a list, and where the next page begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rows<T> {
    /// The rows, in the page's order.
    pub rows: Vec<T>,
    /// The cursor of the next page. `None`: this is the last one.
    pub next: Option<Cursor>,
}

impl<T> Rows<T> {
    /// The same page with something else made of each row.
    #[must_use]
    pub fn map<'a, U>(&'a self, make: impl FnMut(&'a T) -> U) -> Rows<U> {
        Rows {
            rows: self.rows.iter().map(make).collect(),
            next: self.next.clone(),
        }
    }
}

impl Page {
    /// All rows, in ascending order.
    pub fn all() -> Self {
        Self {
            limit: None,
            order: SortOrder::Ascending,
            after: None,
        }
    }

    /// The first page of at most `limit` rows, in ascending order. A limit of 0 is no limit.
    pub fn first(limit: u32) -> Self {
        Self {
            limit: NonZeroU32::new(limit),
            ..Self::all()
        }
    }

    /// Sets the order.
    #[must_use]
    pub fn in_order(self, order: SortOrder) -> Self {
        Self { order, ..self }
    }

    /// Begins the page after a row.
    #[must_use]
    pub fn after(self, cursor: Cursor) -> Self {
        Self {
            after: Some(cursor),
            ..self
        }
    }
}

impl Cursor {
    /// Wraps a cursor's text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, to be passed back for the next page.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
