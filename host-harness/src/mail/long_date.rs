//! Days as the customers of the built-in languages write them.

const ENGLISH: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const GERMAN: [&str; 12] = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
];

/// The genitive, as in a date.
const GREEK: [&str; 12] = [
    "Ιανουαρίου",
    "Φεβρουαρίου",
    "Μαρτίου",
    "Απριλίου",
    "Μαΐου",
    "Ιουνίου",
    "Ιουλίου",
    "Αυγούστου",
    "Σεπτεμβρίου",
    "Οκτωβρίου",
    "Νοεμβρίου",
    "Δεκεμβρίου",
];

/// A day such as `2026-01-31` in words: `31 January 2026`. A text that is no day, and a day in a language whose months
/// are not known here, stay as they are.
pub(super) fn long_date(language: &str, day: &str) -> String {
    in_words(language, day).unwrap_or_else(|| day.to_owned())
}

fn in_words(language: &str, day: &str) -> Option<String> {
    let primary = language.split('-').next()?.to_ascii_lowercase();
    let (months, dot) = match primary.as_str() {
        "en" => (ENGLISH, ""),
        "de" => (GERMAN, "."),
        "el" => (GREEK, ""),
        _ => return None,
    };
    let mut parts = day.split('-');
    let (year, month, of_month) = (parts.next()?, parts.next()?, parts.next()?);
    let (month, of_month): (usize, u8) = (month.parse().ok()?, of_month.parse().ok()?);
    let month = months.get(month.checked_sub(1)?)?;
    Some(format!("{of_month}{dot} {month} {year}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_written_in_the_language_where_its_months_are_known() {
        for (language, day, written) in [
            ("en", "2026-01-31", "31 January 2026"),
            ("de-AT", "2026-03-02", "2. März 2026"),
            ("DE", "2026-12-24", "24. Dezember 2026"),
            ("el", "2026-05-01", "1 Μαΐου 2026"),
            ("fr", "2026-05-01", "2026-05-01"),
        ] {
            assert_eq!(long_date(language, day), written);
        }
    }

    #[test]
    fn what_is_no_day_stays_as_it_is() {
        for text in ["", "tomorrow", "2026-13-01", "2026-00-01", "2026-01"] {
            assert_eq!(long_date("en", text), text);
        }
    }
}
