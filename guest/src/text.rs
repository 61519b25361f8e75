//! Checks of text that comes from outside.

/// The first character that must not stand in one line of text: a control character, or one that is
/// invisible or turns the direction of what follows (Unicode general categories Cc, Cf, Zl and Zp), by
/// which two values could look the same and differ.
pub fn forbidden_character(text: &str) -> Option<char> {
    // The short way for nearly all of a catalog's tens of megabytes of text: ASCII and U+00C0 to U+05FF, by the bytes
    // of their UTF-8 (the first of two is 0xC3 to 0xD7).
    if text
        .bytes()
        .all(|byte| matches!(byte, b' '..=b'~' | 0x80..=0xBF | 0xC3..=0xD7))
    {
        return None;
    }
    text.chars().find(|&character| is_forbidden(character))
}

/// Whether a character must not stand in one line of text.
pub fn is_forbidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{00AD}' | '\u{061C}' | '\u{06DD}' | '\u{070F}' | '\u{08E2}' | '\u{180E}' | '\u{FEFF}'
            | '\u{0600}'..='\u{0605}' | '\u{0890}'..='\u{0891}' | '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FFF9}'..='\u{FFFB}'
            | '\u{110BD}' | '\u{110CD}' | '\u{13430}'..='\u{1343F}' | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E007F}')
}

/// Makes text from outside fit for one line of a message: forbidden characters are left out, and the text is
/// cut to `length_max` scalar values.
pub fn one_line(text: &str, length_max: usize) -> String {
    if text.len() <= length_max && forbidden_character(text).is_none() {
        return text.trim_end().to_owned();
    }
    let mut line: String = text
        .chars()
        .map(|character| match character {
            '\r' | '\n' | '\t' => ' ',
            other => other,
        })
        .filter(|&character| !is_forbidden(character))
        .take(length_max)
        .collect();
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn invisible_characters_are_forbidden_and_letters_of_any_script_are_not() {
        assert_eq!(forbidden_character("a\u{202E}b"), Some('\u{202E}'));
        assert_eq!(forbidden_character("a\u{200B}b"), Some('\u{200B}'));
        assert_eq!(forbidden_character("a\nb"), Some('\n'));
        assert_eq!(forbidden_character("Ελλάδα 日本 é"), None);
    }

    #[test]
    fn of_the_characters_that_need_no_look_at_the_list_none_is_forbidden() {
        for character in '\0'..='\u{05FF}' {
            let is_forbidden = character.is_control() || character == '\u{AD}';
            let text = format!("a{character}b");
            assert_eq!(
                forbidden_character(&text),
                is_forbidden.then_some(character),
                "{character:?}"
            );
        }
    }

    #[test]
    fn a_line_that_needs_no_change_only_loses_the_space_at_its_end() {
        assert_eq!(one_line(" a b  ", 6), " a b");
        assert_eq!(one_line(" a b  ", 2), " a");
        assert_eq!(one_line("a\tb\u{200B}\n", 10), "a b");
    }

    proptest! {
        #[test]
        fn no_text_breaks_a_line(text in any::<String>()) {
            let line = one_line(&text, 10);
            prop_assert!(line.chars().count() <= 10);
            prop_assert_eq!(forbidden_character(&line), None);
        }
    }
}
