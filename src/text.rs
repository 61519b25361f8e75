//! Checks of text that comes from Microsoft, and the reading of times in it.

use bss_plugin::text::{forbidden_character, is_forbidden, one_line};

/// The first character that must not stand in a name that people read: as [`forbidden_character`], but a name may hold
/// those that some scripts need (U+200C and U+200D join letters or keep them apart; U+200E, U+200F and U+061C turn
/// nothing but themselves).
pub(crate) fn forbidden_in_name(text: &str) -> Option<char> {
    forbidden_character(text)?;
    let mut characters = text.chars();
    characters.find(|&character| {
        is_forbidden(character) && !matches!(character, '\u{200C}'..='\u{200F}' | '\u{061C}')
    })
}

/// The first character that must not stand in an id, by which something is found again: as [`forbidden_character`], and
/// those that take no place (Unicode's `Default_Ignorable_Code_Point`), so that two ids that look the same are the same.
pub(crate) fn forbidden_in_id(text: &str) -> Option<char> {
    let takes_no_place = |character: char| {
        matches!(character,
            '\u{034F}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}' | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FFA0}' | '\u{E0000}'..='\u{E0FFF}')
    };
    match text.is_ascii() {
        true => forbidden_character(text),
        false => text
            .chars()
            .find(|&character| is_forbidden(character) || takes_no_place(character)),
    }
}

/// Whether something that a browser would take for markup stands in the text.
pub(crate) fn has_markup(text: &str) -> bool {
    // Nearly no text has either character.
    if !text.bytes().any(|byte| matches!(byte, b'<' | b'&')) {
        return false;
    }
    text.as_bytes().windows(2).any(|pair| match pair {
        [b'<', next] => next.is_ascii_alphabetic() || matches!(next, b'/' | b'!' | b'?'),
        [b'&', next] => *next == b'#',
        _ => false,
    })
}

/// The subject of a log line: a name from outside as it is, so that it can be found, or made fit for a line.
pub(crate) fn subject(name: &str, length_max: usize) -> String {
    if name.chars().count() <= length_max && forbidden_character(name).is_none() {
        return name.to_owned();
    }
    one_line(name, length_max)
}

/// Milliseconds since 1970 of an RFC 3339 timestamp between the years 1970 and 9999; `None` for any other text.
pub(crate) fn timestamp_ms(text: &str) -> Option<i64> {
    let (date, time) = text.split_at_checked(10)?;
    let [b'0'..=b'9', .., b'0'..=b'9'] = date.as_bytes() else {
        return None;
    };
    let mut parts = date.splitn(3, '-');
    let year = number(parts.next()?, 4, 1970, 9999)?;
    let month = number(parts.next()?, 2, 1, 12)?;
    let day = number(parts.next()?, 2, 1, days_in_month(year, month))?;

    let time = time.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = time.split_at_checked(8)?;
    let mut parts = clock.splitn(3, ':');
    let hour = number(parts.next()?, 2, 0, 23)?;
    let minute = number(parts.next()?, 2, 0, 59)?;
    // 60: a leap second, which counts as the first of the next minute.
    let second = number(parts.next()?, 2, 0, 60)?;

    let (milliseconds, zone) = fraction_ms(rest)?;
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second
        - zone_seconds(zone)?;
    Some(seconds * 1_000 + milliseconds)
}

/// Milliseconds since 1970 of a timestamp that RFC 3339 does not allow, but whose meaning leaves no doubt: without a zone (UTC
/// then), with a zone of four digits, or a date alone. `None` for any other text.
pub(crate) fn lax_timestamp_ms(text: &str) -> Option<i64> {
    if text.len() == "2026-11-22".len() {
        return timestamp_ms(&format!("{text}T00:00:00Z"));
    }
    let (before, zone) = text.split_at_checked(text.len().checked_sub(5)?)?;
    if zone.starts_with(['+', '-'])
        && zone[1..].bytes().all(|digit| digit.is_ascii_digit())
        && before.contains(':')
    {
        let (hours, minutes) = zone.split_at(3);
        return timestamp_ms(&format!("{before}{hours}:{minutes}"));
    }
    timestamp_ms(&format!("{text}Z"))
}

/// Milliseconds since 1970 of a number of seconds or milliseconds since then, between the years 2000 and 9999. `None` for any
/// other number, such as a date of eight digits.
pub(crate) fn epoch_ms(number: f64) -> Option<i64> {
    /// In seconds the year 5138, in milliseconds 1973: no license was issued in either.
    const MILLISECONDS_FROM: f64 = 1e11;
    /// The end of the year 9999.
    const MS_MAX: f64 = 253_402_300_799_999.0;
    /// The beginning of the year 2000: no license is older.
    const MS_MIN: f64 = 946_684_800_000.0;
    let ms = if number < MILLISECONDS_FROM {
        number * 1_000.0
    } else {
        number
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range of the number is checked"
    )]
    (MS_MIN..=MS_MAX).contains(&ms).then_some(ms as i64)
}

fn number(digits: &str, length: usize, min: i64, max: i64) -> Option<i64> {
    if digits.len() != length || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|value| (min..=max).contains(value))
}

/// The milliseconds of `.123456Z`, cut not rounded, and what follows the fraction.
fn fraction_ms(rest: &str) -> Option<(i64, &str)> {
    let Some(fraction) = rest.strip_prefix('.') else {
        return Some((0, rest));
    };
    let length = fraction
        .bytes()
        .take_while(|digit| digit.is_ascii_digit())
        .count();
    let (digits, zone) = fraction.split_at_checked(length)?;
    if digits.is_empty() {
        return None;
    }
    let milliseconds = digits
        .bytes()
        .chain(*b"000")
        .take(3)
        .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    Some((milliseconds, zone))
}

fn zone_seconds(zone: &str) -> Option<i64> {
    if zone == "Z" || zone == "z" {
        return Some(0);
    }
    let (sign, offset) = match zone.split_at_checked(1)? {
        ("+", offset) => (1, offset),
        ("-", offset) => (-1, offset),
        _ => return None,
    };
    let (hours, minutes) = offset.split_once(':')?;
    Some(sign * (number(hours, 2, 0, 23)? * 3_600 + number(minutes, 2, 0, 59)? * 60))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01, with the year taken to begin in March so that the leap day is its last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (march_year, march_month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = march_year / 4 - march_year / 100 + march_year / 400;
    march_year * 365 + leap_days + (march_month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn timestamps_are_read_with_fractions_and_zones() {
        assert_eq!(timestamp_ms("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(timestamp_ms("2026-11-22T15:04:05.9876Z"), Some(1_795_359_845_987));
        assert_eq!(
            timestamp_ms("2026-11-22T17:04:05+02:00"),
            timestamp_ms("2026-11-22T15:04:05Z")
        );
        assert_eq!(timestamp_ms("2000-02-29T23:59:59Z"), Some(951_868_799_000));
    }

    #[test]
    fn what_is_no_timestamp_is_refused() {
        for text in [
            "",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-22",
            "2026-11-22T15:04:05",
            "2026-11-22T15:04:05.Z",
            "2026-11-22T24:00:00Z",
            "+026-11-22T15:04:05Z",
            "2026-11-22T15:04:05+2:00",
        ] {
            assert_eq!(timestamp_ms(text), None, "{text}");
        }
    }

    #[test]
    fn markup_is_found_and_plain_comparison_signs_are_not() {
        assert!(has_markup("Office <b>2024</b>"));
        assert!(has_markup("a<!--"));
        assert!(has_markup("&#60;script"));
        assert!(!has_markup("for < 5 users & more"));
    }

    #[test]
    fn an_id_holds_nothing_that_takes_no_place() {
        for hidden in ['\n', '\u{200D}', '\u{34F}', '\u{FE0F}', '\u{E012F}', '\u{3164}'] {
            assert_eq!(forbidden_in_id(&format!("EP2{hidden}")), Some(hidden));
        }
        for id in ["EP2-06798", "日本-1", "é"] {
            assert_eq!(forbidden_in_id(id), None, "{id}");
        }
    }

    #[test]
    fn a_name_may_hold_what_its_script_needs_and_nothing_that_hides_or_turns_others() {
        for name in [
            "نرم\u{200C}افزار",
            "क्\u{200D}ष",
            "אופיס\u{200F} 2024",
            "a\u{200E}b\u{061C}",
        ] {
            assert_eq!(forbidden_in_name(name), None, "{name:?}");
            assert!(forbidden_character(name).is_some(), "{name:?}");
        }
        for character in ['\n', '\u{200B}', '\u{202E}', '\u{2067}', '\u{FEFF}', '\u{AD}'] {
            let name = format!("נר\u{200F}{character}b");
            assert_eq!(forbidden_in_name(&name), Some(character));
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_readers(text in any::<String>()) {
            let _ = timestamp_ms(&text);
            let _ = has_markup(&text);
        }

        #[test]
        fn days_go_up_by_one_from_day_to_day(year in 1970_i64..9999, month in 1_i64..=12) {
            let last = days_since_1970(year, month, days_in_month(year, month));
            let next = if month == 12 { days_since_1970(year + 1, 1, 1) } else { days_since_1970(year, month + 1, 1) };
            prop_assert_eq!(next, last + 1);
        }
    }
}
