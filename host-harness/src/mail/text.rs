//! Texts that stand in an e-mail's header.

/// A text that can't end the line that it is written into: no control characters, no other line ends, and blanks
/// one at a time.
pub(super) fn one_line(text: &str) -> String {
    let ends_line = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let words = text.split(|c: char| c.is_whitespace() || ends_line(c));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}
