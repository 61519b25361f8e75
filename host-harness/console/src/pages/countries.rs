//! The countries that a customer can be in (ISO 3166-1).

use celes::Country;

/// The countries by their names: the code of each, and its name.
pub(super) fn all() -> Vec<(&'static str, &'static str)> {
    let all = Country::get_countries();
    let mut all: Vec<_> = all
        .iter()
        .map(|country| (country.alpha2, name(country)))
        .collect();
    all.sort_unstable_by_key(|(_, name)| *name);
    all
}

/// The code of the country that a text means: its code or its name, in capitals or not. `None`: there is no such country.
pub(super) fn code(text: &str) -> Option<&'static str> {
    let is_meant = |country: &&Country| {
        let names = [country.alpha2, name(country), country.long_name];
        names.iter().any(|name| name.eq_ignore_ascii_case(text))
    };
    let all = Country::get_countries();
    all.iter().find(is_meant).map(|country| country.alpha2)
}

/// The name as a list has it, in which nobody looks below `The`.
fn name(country: &Country) -> &'static str {
    let name = country.long_name;
    name.strip_prefix("The ").unwrap_or(name)
}

/// The language of e-mails to a country, where it is one of those that the host itself writes, and else English.
pub(super) fn language(country: &str) -> String {
    let language = match country {
        "AT" | "CH" | "DE" | "LI" => "de",
        "CY" | "GR" => "el",
        _ => return "en".to_owned(),
    };
    format!("{language}-{country}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_meant_by_its_code_or_its_name() {
        for text in ["DE", "de", "Germany", "germany"] {
            assert_eq!(code(text), Some("DE"), "{text}");
        }
        for text in ["", "XX", "Germani"] {
            assert_eq!(code(text), None, "{text}");
        }
        let all = all();
        assert!(all.is_sorted_by_key(|(_, name)| *name) && all.contains(&("DE", "Germany")));
        assert!(all.iter().all(|(_, name)| !name.starts_with("The ")));
    }

    #[test]
    fn the_language_of_a_country_is_one_that_the_host_writes() {
        let languages = ["DE", "GR", "FR"].map(language);
        assert_eq!(languages, ["de-DE", "el-GR", "en"]);
    }
}
