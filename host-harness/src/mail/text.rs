//! Texts that stand in an e-mail's header.

use bss_model::text::steers;

/// A text that can't end the line that it is written into, nor turn its direction or hide in it: without control
/// characters and other characters that steer what shows them, and blanks one at a time.
pub(super) fn one_line(text: &str) -> String {
    let ends_line = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let words = text.split(|c: char| c.is_whitespace() || ends_line(c));
    let words = words.map(|word| word.replace(steers, ""));
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
