//! A table of a record, as moving it needs to know it.

use crate::moved::TableDigest;

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// The columns of its key, in their order.
    pub(super) key: Vec<String>,
    /// The column that refers to the key of the same table.
    pub(super) itself: Option<String>,
    pub(super) references: Vec<Reference>,
    /// What a new database has in it.
    pub(super) fresh: TableDigest,
}

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// What a column has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Integer,
    Text,
    Bytes,
}

/// Columns that name a row of a table.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    pub(super) to: String,
    /// Each column, and the one that it refers to.
    pub(super) columns: Vec<(String, String)>,
}

impl Table {
    /// A column of the table.
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}
