//! The countries and languages that can be chosen, from the data of maintained crates.

use celes::Country;
use lcid::LanguageId;

use super::Choice;

/// MS-LCID section 2.2: a language id is 10 bits of primary language and 6 bits of sublanguage. No
/// primary language of Microsoft's list is above 0x93, so 8 of the 10 bits hold all of them.
const PRIMARY_LANGUAGES: u32 = 0x100;
const SUBLANGUAGES: u32 = 0x40;

/// Alpha-2 codes and names, made while the plugin is compiled to keep it small: the crate's own list is 30 KB of code,
/// with more in it than is used here.
static COUNTRIES: [(&str, &str); 250] = {
    let all = Country::get_countries();
    let mut countries = [("", ""); 250];
    let mut index = 0;
    while index < all.len() {
        countries[index] = (all[index].alpha2, all[index].long_name);
        index += 1;
    }
    countries
};

fn usable(key: &str, label: &str) -> Choice {
    Choice {
        key: key.to_owned(),
        label: label.to_owned(),
        unusable_because: String::new(),
    }
}

/// The countries by their ISO 3166-1 alpha-2 codes, in the order of their names.
pub(super) fn countries() -> Vec<Choice> {
    let mut choices: Vec<Choice> = COUNTRIES
        .iter()
        .filter(|(alpha2, _)| is_assigned(alpha2))
        .map(|(alpha2, name)| usable(alpha2, name))
        .collect();
    choices.sort_unstable_by(|left, right| left.label.cmp(&right.label));
    choices
}

/// The alpha-2 code as ISO writes it; `None` when there is no such country.
pub(super) fn country_code(value: &str) -> Option<&'static str> {
    COUNTRIES
        .iter()
        .map(|(alpha2, _)| *alpha2)
        .find(|code| code.eq_ignore_ascii_case(value) && is_assigned(code))
}

/// Whether the value is an alpha-2 code, as ISO writes it.
pub(crate) fn is_country(value: &str) -> bool {
    country_code(value) == Some(value)
}

/// Whether ISO 3166-1 may assign the code: section 8.1.3 leaves `XA` to `XZ` to users; the crate has Kosovo as `XK`.
fn is_assigned(alpha2: &str) -> bool {
    !alpha2.starts_with('X')
}

/// The languages that Microsoft has a number for, by their BCP 47 tags, in the order of their names.
pub(super) fn languages() -> Vec<Choice> {
    let mut choices: Vec<Choice> = language_ids()
        .map(|language| usable(language.name, language.english_name))
        .collect();
    // A few languages have two numbers.
    choices.sort_unstable_by(|left, right| left.key.cmp(&right.key));
    choices.dedup_by(|left, right| left.key == right.key);
    choices.sort_unstable_by(|left, right| left.label.cmp(&right.label));
    choices
}

/// The tag as Microsoft writes it; `None` when there is no such language.
pub(super) fn language_tag(value: &str) -> Option<&'static str> {
    // A saved tag is written as Microsoft writes it, and every call of the plugin asks for one.
    numbered(value).or_else(|| {
        language_ids()
            .map(|language| language.name)
            .find(|tag| tag.eq_ignore_ascii_case(value))
    })
}

/// Finds a tag that is written as Microsoft writes it and has a number of its own, without going through the list.
fn numbered(tag: &str) -> Option<&'static str> {
    let language = <&LanguageId>::try_from(tag).ok()?;
    let same = <&LanguageId>::try_from(language.lcid).ok()?;
    (same.name == tag && is_real(tag)).then_some(same.name)
}

fn language_ids() -> impl Iterator<Item = &'static LanguageId> {
    (0..PRIMARY_LANGUAGES)
        .flat_map(|primary| (0..SUBLANGUAGES).map(move |sub| (sub << 10) | primary))
        .filter_map(|number| <&LanguageId>::try_from(number).ok())
        .filter(|language| is_real(language.name))
}

/// Whether the tag is one of a language: not empty, a sort order (`_`), private (`x-`) or a pseudo language (`qps-`).
fn is_real(tag: &str) -> bool {
    !tag.is_empty() && !tag.contains('_') && !tag.starts_with("x-") && !tag.starts_with("qps")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn label<'a>(choices: &'a [Choice], key: &str) -> Option<&'a str> {
        choices
            .iter()
            .find(|choice| choice.key == key)
            .map(|choice| choice.label.as_str())
    }

    #[test]
    fn the_countries_are_those_of_iso_3166_1() {
        let countries = countries();
        assert_eq!(countries.len(), 249);
        assert_eq!(label(&countries, "GR"), Some("Greece"));
        assert!(countries.iter().all(|choice| choice.key.len() == 2));
    }

    #[test]
    fn the_languages_are_tags_with_names() {
        let languages = languages();
        assert!(languages.len() > 200, "{}", languages.len());
        assert_eq!(label(&languages, "en-US"), Some("English (United States)"));
        assert_eq!(label(&languages, "el-GR"), Some("Greek (Greece)"));
        assert_eq!(label(&languages, "de-AT"), Some("German (Austria)"));
        let keys: HashSet<&str> = languages.iter().map(|choice| choice.key.as_str()).collect();
        assert_eq!(keys.len(), languages.len());
    }

    #[test]
    fn no_language_is_lost_to_the_limits() {
        let all = (0..=0xFFFF_u32)
            .filter_map(|number| <&LanguageId>::try_from(number).ok())
            .filter(|language| is_real(language.name))
            .count();
        assert_eq!(language_ids().count(), all);
    }

    #[test]
    fn every_choice_is_found_by_its_key_and_by_nothing_that_is_no_choice() {
        for choice in countries() {
            assert_eq!(country_code(&choice.key), Some(choice.key.as_str()));
        }
        for choice in languages() {
            assert_eq!(language_tag(&choice.key), Some(choice.key.as_str()));
        }
        for tag in ["de-DE", "el-GR", "en-US", "fr-FR", "zh-CN"] {
            assert_eq!(numbered(tag), Some(tag), "the short way");
        }
        for tag in ["qps-ploc", "x-IV-mathan", "de-DE_phoneb", "ar-AE-x", ""] {
            assert_eq!(language_tag(tag), None, "{tag}");
        }
    }

    #[test]
    fn codes_are_found_in_any_case() {
        assert_eq!(country_code("gr"), Some("GR"));
        assert_eq!(country_code("XK"), None);
        assert_eq!(language_tag("EN-us"), Some("en-US"));
        assert_eq!(language_tag("tlh"), None);
    }
}
