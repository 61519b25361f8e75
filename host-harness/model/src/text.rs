//! Text from plugins, vendors and customers, made safe for whoever reads it on a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character steers what shows it, or hides: control characters (which begin escape sequences), separators of
/// lines and paragraphs, what turns the direction of its neighbors, and what takes no place. The joiners and marks that
/// some scripts are written with count only where they stand alone; see [`visible`].
pub fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{AD}' | '\u{34F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180E}' | '\u{200B}' | '\u{3164}'
            | '\u{FEFF}' | '\u{FFA0}'
            | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E007F}')
}

/// Whether a character takes no place of its own (Unicode's `Default_Ignorable_Code_Point`): two texts that differ in such
/// characters alone look the same. Names in some scripts need some of them; what the host finds things by does not.
pub fn takes_no_place(character: char) -> bool {
    steers(character)
        || is_joiner(character)
        || matches!(character, '\u{180B}'..='\u{180F}' | '\u{FE00}'..='\u{FE0F}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Whether a character is one that joins or parts letters, or marks their direction: Persian, Hindi, Hebrew and emoji need
/// them, and elsewhere they only make two texts that look the same differ.
fn is_joiner(character: char) -> bool {
    matches!(character, '\u{200C}'..='\u{200F}' | '\u{061C}')
}

/// Whether joiners have a meaning behind a character: one of a script from Hebrew to Mongolian or Southeast Asia, an emoji,
/// or another joiner that had one.
fn takes_joiners(character: char) -> bool {
    matches!(character, '\u{0590}'..='\u{1CFF}' | '\u{A800}'..='\u{ABFF}' | '\u{FB1D}'..='\u{FDFF}'
        | '\u{FE0F}' | '\u{FE70}'..='\u{FEFC}' | '\u{10800}'..='\u{1FAFF}')
}

/// Each character of a text, and whether it has to be made visible.
fn judged(text: &str) -> impl Iterator<Item = (char, bool)> {
    let mut joins = false;
    text.chars().map(move |character| {
        let hidden = steers(character) || (is_joiner(character) && !joins);
        joins = takes_joiners(character) || (joins && is_joiner(character));
        (character, hidden)
    })
}

/// Whether nothing in a text needs a closer look, as in nearly all.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Makes a text one line in which nothing steers a terminal, turns the direction of what is read, or hides: such a
/// character is shown as in Rust, for example `\u{1b}` or `\n`. Letters, marks, and the joiners of Persian, Hindi and
/// Hebrew words stay as they are.
pub fn visible(text: &str) -> Cow<'_, str> {
    if is_plain(text) || !judged(text).any(|(_, hidden)| hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for (character, hidden) in judged(text) {
        match hidden {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

/// Makes a JSON text show what [`visible`] would, as `\uXXXX`: its values stay the same. Line ends between its members
/// stay.
pub fn visible_json(json: &str) -> Cow<'_, str> {
    // A control character in JSON is a line end or an indent between its members: within a string it is escaped.
    let hides = |(character, hidden): (char, bool)| hidden && !matches!(character, '\n' | '\t' | '\r');
    if is_plain(json) || !judged(json).any(hides) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len() + 16);
    for (character, hidden) in judged(json) {
        if !hides((character, hidden)) {
            shown.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string can't fail.
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    Cow::Owned(shown)
}

/// An address as it may be shown and logged: without a user, a password, a query or a fragment, which may hold secrets. It
/// takes any text, also one that is no URL.
pub fn without_secrets(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    // The last `@`, wherever it stands: a password may hold any character where somebody did not encode it.
    let rest = rest.rsplit('@').next().unwrap_or_default();
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    scheme + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What steers or hides, and how it is shown.
    const STEERING: [(&str, &str); 14] = [
        ("a\u{1b}]52;c;cm0gLXJm\u{7}b", r"a\u{1b}]52;c;cm0gLXJm\u{7}b"),
        ("\u{1b}[2K\rok", r"\u{1b}[2K\rok"),
        ("\u{9b}31m", r"\u{9b}31m"),
        ("a\u{7f}b\0", r"a\u{7f}b\u{0}"),
        ("one\ntwo\tthree", r"one\ntwo\tthree"),
        ("one\u{2028}two\u{2029}\u{85}", r"one\u{2028}two\u{2029}\u{85}"),
        ("\u{202e}txt.exe\u{202c}", r"\u{202e}txt.exe\u{202c}"),
        ("\u{2066}a\u{2069}", r"\u{2066}a\u{2069}"),
        ("pay\u{200b}pal", r"pay\u{200b}pal"),
        ("pay\u{200d}pal\u{200c}", r"pay\u{200d}pal\u{200c}"),
        ("\u{200f}149.00", r"\u{200f}149.00"),
        ("\u{feff}a\u{ad}\u{2060}", r"\u{feff}a\u{ad}\u{2060}"),
        ("a\u{e0041}\u{3164}", r"a\u{e0041}\u{3164}"),
        ("سلام\u{202e}1", r"سلام\u{202e}1"),
    ];

    #[test]
    fn what_steers_a_terminal_or_hides_is_shown() {
        for (text, shown) in STEERING {
            assert_eq!(visible(text), shown);
        }
    }

    #[test]
    fn what_takes_no_place_makes_two_texts_look_the_same() {
        for hidden in [
            '\u{200c}',
            '\u{200d}',
            '\u{61c}',
            '\u{34f}',
            '\u{fe00}',
            '\u{e0100}',
            '\u{180b}',
            '\u{17b4}',
            '\u{ad}',
        ] {
            assert!(takes_no_place(hidden), "{hidden:?}");
        }
        for shown in ['a', 'ü', '\u{301}', '中', ' '] {
            assert!(!takes_no_place(shown), "{shown:?}");
        }
    }

    #[test]
    fn names_stay_as_they_are_written() {
        for name in [
            "Beispiel GmbH & Söhne",
            "Μιχαήλ",
            "می\u{200c}خواهم",
            "क्\u{200d}ष राम",
            "בע\u{200f}\u{200e} \u{5d3}",
            "e\u{301}",
            "Nguyễn Văn Ký",
            "東京 株式会社",
            "👩\u{200d}💻 ❤\u{fe0f}\u{200d}🔥",
            r"C:\temp",
        ] {
            assert_eq!(visible(name), name);
        }
    }

    #[test]
    fn an_address_is_shown_without_what_may_be_secret() {
        for (url, shown) in [
            ("https://a.example:4318/path", "https://a.example:4318/path"),
            (
                "https://joe:geheim@a.example/path?token=geheim#geheim",
                "https://a.example/path",
            ),
            ("https://joe:gehe/im@?x@a.example", "https://a.example"),
            ("joe:geheim@a.example", "a.example"),
            ("smtp://a.example?password=geheim", "smtp://a.example"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
    }

    #[test]
    fn json_keeps_its_values_and_its_lines() {
        for (text, _) in STEERING {
            let pretty = serde_json::to_string_pretty(&[text]).unwrap();
            let shown = visible_json(&pretty);
            assert_eq!(serde_json::from_str::<[String; 1]>(&shown).unwrap(), [text]);
            assert!(!shown.chars().any(|c| steers(c) && c != '\n'), "{shown:?}");
            assert_eq!(shown.lines().count(), 3);
        }
        let plain = serde_json::to_string("می\u{200c}خواهم").unwrap();
        assert_eq!(visible_json(&plain), plain);
    }
}
