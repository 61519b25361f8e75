//! The query of a request, and the shapes of what callers send.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::errors::Refusal;

/// A query's parameters. Those that an operation does not know are ignored.
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    pub(super) fn read(query: Option<&str>) -> Result<Query, Refusal> {
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if parameters.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(Refusal::invalid(&name, "the parameter is there more than once"));
            }
        }
        Ok(Query(parameters))
    }

    pub(super) fn optional(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.optional(name)
            .ok_or_else(|| Refusal::invalid(name, format!("the parameter `{name}` is missing")))
    }
}

/// Reads a UUID in its usual form, with hyphens.
pub(super) fn uuid(target: &str, text: &str) -> Result<Uuid, Refusal> {
    let usual = text.len() == uuid::fmt::Hyphenated::LENGTH;
    let parsed = Uuid::try_parse(text).ok().filter(|_| usual);
    parsed.ok_or_else(|| Refusal::invalid(target, format!("`{target}` is not a UUID")))
}

/// Checks that a text has 1 to `max` characters.
pub(super) fn text(target: &str, text: &str, max: usize) -> Result<(), Refusal> {
    if (1..=max).contains(&text.chars().count()) {
        return Ok(());
    }
    Err(Refusal::invalid(
        target,
        format!("`{target}` must have 1 to {max} characters"),
    ))
}

/// Checks that a text is exactly `count` upper-case letters: 2 for a country, 3 for a currency.
pub(super) fn letters(target: &str, text: &str, count: usize) -> Result<(), Refusal> {
    if text.len() == count && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(Refusal::invalid(
        target,
        format!("`{target}` must be {count} upper-case letters"),
    ))
}

/// Checks that a text is a language as catalogs have it: `ll`, `ll-CC`, `ll-Ssss` or `ll-Ssss-CC` of BCP 47.
pub(super) fn language(target: &str, text: &str) -> Result<(), Refusal> {
    let mut parts = text.split('-').peekable();
    let lower = |part: &str| part.bytes().all(|byte| byte.is_ascii_lowercase());
    let language = parts
        .next()
        .is_some_and(|part| (2..=3).contains(&part.len()) && lower(part));
    let is_script =
        |part: &&str| part.len() == 4 && part.starts_with(|first: char| first.is_ascii_uppercase());
    let script = parts.next_if(is_script).and_then(|script| script.get(1..));
    let script = script.is_none_or(lower);
    let is_region = |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_uppercase());
    let _region = parts.next_if(is_region);
    if language && script && parts.next().is_none() {
        return Ok(());
    }
    Err(Refusal::invalid(
        target,
        format!("`{target}` is not a language such as `en-US`"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_told_from_other_text() {
        for good in ["en-US", "de-DE", "el-GR", "en", "fil-PH", "sr-Latn-RS", "zh-Hans"] {
            assert!(language("language", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "e",
            "EN-us",
            "en_US",
            "en-",
            "en-USA",
            "sr-latn-RS",
            "sr-LATN",
            "en-US-x",
            "η-GR",
        ] {
            assert!(language("language", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_a_uuid_with_hyphens_is_one() {
        assert!(uuid("id", "67E55044-10B1-426F-9247-BB680E5FE0C8").is_ok());
        assert!(uuid("id", "67e5504410b1426f9247bb680e5fe0c8").is_err());
        assert!(uuid("id", "{67e55044-10b1-426f-9247-bb680e5fe0c8}").is_err());
    }

    #[test]
    fn a_repeated_parameter_is_refused() {
        assert!(Query::read(Some("country=DE&language=de-DE")).is_ok());
        assert!(Query::read(Some("country=DE&country=AT")).is_err());
    }
}
