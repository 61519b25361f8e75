//! The catalog of texts: all that the pages say, by key, in one file for each language.

use std::collections::BTreeMap;

const ENGLISH: &str = include_str!("../texts/en.toml");

/// The texts of a language.
#[derive(Debug)]
pub(crate) struct Texts(BTreeMap<String, String>);

impl Texts {
    /// The English texts.
    pub(crate) fn english() -> Self {
        // A test reads the file; without it, pages say keys.
        Self(read(ENGLISH).unwrap_or_default())
    }

    /// The text of a key, in which each `{name}` is replaced. `None`: there is none.
    pub(crate) fn text(&self, key: &str, values: &[(&str, String)]) -> Option<String> {
        self.filled(key, |name| {
            let value = values.iter().find(|(known, _)| *known == name);
            Some(value.map_or(name, |(_, value)| value).to_owned())
        })
    }

    /// The text of a key, in which each `{name}` is replaced by its value. `None`: there is no text, or a value that it needs.
    pub(crate) fn filled(&self, key: &str, value: impl Fn(&str) -> Option<String>) -> Option<String> {
        let mut rest = self.0.get(key)?.as_str();
        let mut text = String::with_capacity(rest.len());
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                text.push('{');
                rest = after;
                continue;
            };
            text.push_str(&value(name)?);
            rest = after;
        }
        text.push_str(rest);
        Some(text)
    }

    /// Whether a key has a text.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    #[cfg(test)]
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Reads a file of tables of texts: the key of a text is its table's name, a dot, and its own.
fn read(file: &str) -> Result<BTreeMap<String, String>, toml::de::Error> {
    let tables: BTreeMap<String, BTreeMap<String, String>> = toml::from_str(file)?;
    let texts = tables.into_iter().flat_map(|(table, texts)| {
        let texts = texts.into_iter();
        texts.map(move |(key, text)| (format!("{table}.{key}"), text))
    });
    Ok(texts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_its_values_where_their_names_stand() {
        let texts = Texts(read("[a]\nb = \"{count} of {all}, {other} {\"").unwrap());
        let values = [("count", "3".to_owned()), ("all", "<4>".to_owned())];
        assert_eq!(texts.text("a.b", &values).as_deref(), Some("3 of <4>, other {"));
        assert_eq!(texts.text("a.c", &[]), None);
        assert_eq!(texts.filled("a.b", |_| None), None);
    }

    #[test]
    fn the_english_texts_are_read() {
        assert!(!read(ENGLISH).unwrap().is_empty());
    }
}
