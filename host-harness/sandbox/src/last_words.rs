//! The last lines that a guest wrote in a call, for a call that got no answer: why, a guest says there and nowhere else.

use std::collections::VecDeque;
use std::fmt;

use crate::limits;

/// The end of a text that was shortened.
const SHORTENED: &str = "…";

/// The last lines of a call, without what steers a terminal and what looks like a secret, the oldest first.
///
/// Displayed, they are the end of the sentence that says how the call ended; nothing where the guest wrote nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastWords(VecDeque<String>);

impl LastWords {
    /// Adds a line that is filtered already, and forgets the oldest ones where they are too many.
    pub(crate) fn push(&mut self, line: String) {
        let line = match line.len() > limits::LAST_WORDS_LINE_BYTES {
            true => shortened(&line, limits::LAST_WORDS_LINE_BYTES),
            false => line,
        };
        self.0.push_back(line);
        while self.0.len() > limits::LAST_WORDS_LINES || self.bytes() > limits::LAST_WORDS_BYTES {
            self.0.pop_front();
        }
    }

    /// The lines, the oldest first.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether the guest wrote nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(String::len).sum()
    }

    /// The lines as one, with the newest whole where not all have room.
    pub(crate) fn sentence(&self) -> String {
        let mut lines = VecDeque::new();
        let mut bytes = 0;
        for line in self.0.iter().rev() {
            // A quotation mark would end the quotation, and the rest would read as if the host had said it.
            let line = shortened(&line.replace('"', "'"), limits::LAST_WORDS_SENTENCE_LINE_BYTES);
            bytes += line.len();
            if bytes > limits::LAST_WORDS_SENTENCE_BYTES {
                break;
            }
            lines.push_front(line);
        }
        Vec::from(lines).join(" / ")
    }
}

impl fmt::Display for LastWords {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_empty() {
            true => Ok(()),
            false => write!(formatter, "; its last words: \"{}\"", self.sentence()),
        }
    }
}

/// The beginning of a text, of so many bytes at most.
fn shortened(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes_max.saturating_sub(SHORTENED.len()));
    text[..end].to_owned() + SHORTENED
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<'a>(lines: impl IntoIterator<Item = &'a str>) -> LastWords {
        let mut words = LastWords::default();
        lines.into_iter().for_each(|line| words.push(line.to_owned()));
        words
    }

    #[test]
    fn where_nothing_was_written_nothing_is_added_to_the_sentence() {
        assert_eq!(words([]).to_string(), "");
        assert_eq!(words(["a", "b"]).to_string(), r#"; its last words: "a / b""#);
    }

    #[test]
    fn a_line_can_t_end_its_own_quotation() {
        let said = words([r#"x"; the host: all is well"#]).to_string();
        assert_eq!(said, r#"; its last words: "x'; the host: all is well""#);
    }

    #[test]
    fn the_last_lines_are_kept_and_the_older_ones_forgotten() {
        let many: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        let kept = words(many.iter().map(String::as_str));
        assert_eq!(kept.lines().len(), limits::LAST_WORDS_LINES);
        assert_eq!(kept.lines().last(), Some("99"));
        let long = "ß".repeat(limits::LOG_LINE_CHARS);
        let kept = words([long.as_str(); 100]);
        assert!(kept.bytes() <= limits::LAST_WORDS_BYTES);
        assert!(kept.lines().len() > 2, "{}", kept.lines().len());
    }

    #[test]
    fn a_panic_keeps_its_place_beside_a_message_of_any_length() {
        let message = "x".repeat(limits::LOG_LINE_CHARS);
        let said = words(["panicked at src/lib.rs:1:2:", &message, "note: run it again"]).to_string();
        assert!(said.contains("src/lib.rs:1:2"), "{said}");
        assert!(said.contains("x… / note: run it again"), "{said}");
        let most = limits::LAST_WORDS_SENTENCE_BYTES + 100;
        assert!(said.len() < most, "{}", said.len());
    }
}
