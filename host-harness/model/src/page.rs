//! One page of a list: how many rows, in which order, and after which row it begins.

use std::num::NonZeroU32;

/// Which page of a list to read. Pages follow each other by the key of their last row (keyset), not by a count of rows, so that
/// rows which come in between neither repeat nor hide others, and a late page costs no more than the first.
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
    /// At most so many rows. `None`: all of them.
    pub limit: Option<NonZeroU32>,
    /// The order of the rows.
    pub order: SortOrder,
    /// The [`Rows::next`] of the page before. `None`: the first page.
    pub after: Option<Cursor>,
}

/// The order of a list's rows, by the time at which they were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortOrder {
    /// The oldest first.
    #[default]
    Ascending,
    /// The newest first.
    Descending,
}

/// The place of a row in a list: its key, as an opaque text. A cursor is good for the filter and order that it came from;
/// another list refuses it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor(String);

/// Rows of a list, and where the next page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows<T> {
    /// The rows, in the order that was asked for.
    pub rows: Vec<T>,
    /// Where the next page begins. `None`: this is the last one.
    pub next: Option<Cursor>,
}

impl Page {
    /// All rows, the oldest first.
    pub fn all() -> Self {
        Self {
            limit: None,
            order: SortOrder::Ascending,
            after: None,
        }
    }

    /// The first page of at most so many rows, the oldest first. A limit of 0 is no limit.
    pub fn first(limit: u32) -> Self {
        Self {
            limit: NonZeroU32::new(limit),
            ..Self::all()
        }
    }

    /// The same page in another order.
    #[must_use]
    pub fn in_order(self, order: SortOrder) -> Self {
        Self { order, ..self }
    }

    /// The page that begins after a row.
    #[must_use]
    pub fn after(self, cursor: Cursor) -> Self {
        Self {
            after: Some(cursor),
            ..self
        }
    }
}

impl Cursor {
    /// A cursor from its text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, to be handed back later.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
