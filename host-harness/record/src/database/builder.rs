//! Statements that are put together piece by piece.

use std::fmt::{Display, Write as _};

use super::value::{Bound, Value};

/// The text of a statement and its values, in the order in which they were appended.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    /// The text with `?` for each value, as SQLite has it. With `$n`, SQLite would look each of them up among all before: it
    /// takes 2.6 s to prepare a statement of 12,000.
    text: String,
    /// Where in the text each `?` stands that is a value's.
    places: Vec<usize>,
    values: Vec<Value>,
}

impl Builder {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// Appends a piece of the statement's own text. What comes from elsewhere is bound.
    pub(crate) fn push(&mut self, text: impl Display) -> &mut Self {
        // Writing to a string does not fail.
        let _ = write!(self.text, "{text}");
        self
    }

    /// Appends a value.
    pub(crate) fn push_bind(&mut self, value: impl Bound) -> &mut Self {
        self.places.push(self.text.len());
        self.text.push('?');
        self.values.push(value.value());
        self
    }

    /// A list, whose members are separated by this text.
    pub(crate) fn separated(&mut self, separator: &'static str) -> Separated<'_> {
        Separated {
            query: self,
            separator,
            is_begun: false,
        }
    }

    /// Appends `VALUES` with a row for each element.
    pub(crate) fn push_values<T>(
        &mut self,
        rows: impl IntoIterator<Item = T>,
        mut push: impl FnMut(&mut Separated<'_>, T),
    ) -> &mut Self {
        self.push("VALUES ");
        for (index, row) in rows.into_iter().enumerate() {
            self.push(if index == 0 { "(" } else { ", (" });
            push(&mut self.separated(", "), row);
            self.push(")");
        }
        self
    }

    /// The text so far, as SQLite takes it.
    #[cfg(test)]
    pub(crate) fn sql(&self) -> &str {
        &self.text
    }

    /// Takes the text, as SQLite has it, with the places of its values, and the values.
    pub(crate) fn take(&mut self) -> (String, Vec<usize>, Vec<Value>) {
        let Self { text, places, values } = std::mem::take(self);
        (text, places, values)
    }
}

/// Writes `$1`, `$2`, … where the text has its values, as PostgreSQL takes them.
pub(crate) fn numbered(text: &str, places: &[usize]) -> String {
    let mut numbered = String::with_capacity(text.len() + 4 * places.len());
    let mut from = 0;
    for (index, place) in places.iter().enumerate() {
        numbered.push_str(text.get(from..*place).unwrap_or_default());
        let _ = write!(numbered, "${}", index + 1);
        from = place + 1;
    }
    numbered.push_str(text.get(from..).unwrap_or_default());
    numbered
}

/// A list of which each member but the first comes after a separator.
pub(crate) struct Separated<'q> {
    query: &'q mut Builder,
    separator: &'static str,
    is_begun: bool,
}

impl Separated<'_> {
    /// Appends a member that is a value.
    pub(crate) fn push_bind(&mut self, value: impl Bound) -> &mut Self {
        self.separate();
        self.query.push_bind(value);
        self
    }

    /// Appends a value as it was read.
    pub(crate) fn push_value(&mut self, value: Value) {
        self.separate();
        self.query.places.push(self.query.text.len());
        self.query.text.push('?');
        self.query.values.push(value);
    }

    fn separate(&mut self) {
        if std::mem::replace(&mut self.is_begun, true) {
            self.query.push(self.separator);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_marked_as_each_engine_takes_them_and_a_question_mark_of_the_text_stays() {
        let mut query = Builder::new("SELECT '?', id FROM orders WHERE name = ");
        query.push_bind("a?b").push(" AND id IN (");
        let mut list = query.separated(", ");
        list.push_bind(1_i64).push_bind(2_i64);
        query.push(")");
        let (text, places, values) = query.take();
        assert_eq!(text, "SELECT '?', id FROM orders WHERE name = ? AND id IN (?, ?)");
        assert_eq!(
            numbered(&text, &places),
            "SELECT '?', id FROM orders WHERE name = $1 AND id IN ($2, $3)"
        );
        assert_eq!(
            values,
            ["a?b".value(), Value::Integer(Some(1)), Value::Integer(Some(2))]
        );
    }

    #[test]
    fn rows_of_values_are_in_brackets() {
        let mut query = Builder::new("INSERT INTO t (a, b) ");
        query.push_values([(1_i64, "x"), (2, "y")], |row, (a, b)| {
            row.push_bind(a).push_bind(b);
        });
        assert_eq!(query.sql(), "INSERT INTO t (a, b) VALUES (?, ?), (?, ?)");
    }
}
