//! Words of a plugin's: whether there are any, and how a message of the host's quotes them.

/// The most characters of a plugin's text in a message: enough to find it again, too few to drown the rest.
const QUOTED_CHARS: usize = 100;

/// A plugin's text as a message can hold it.
pub(crate) fn shortened(text: &str) -> String {
    text.chars()
        .take(QUOTED_CHARS)
        .flat_map(char::escape_debug)
        .collect()
}

/// Whether a text says nothing.
pub(crate) fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_and_one_that_steers_a_terminal_is_escaped() {
        assert_eq!(shortened(&"a".repeat(QUOTED_CHARS + 1)), "a".repeat(QUOTED_CHARS));
        assert_eq!(shortened("a\u{1b}[2J"), r"a\u{1b}[2J");
        assert_eq!(shortened("Kürzel"), "Kürzel");
    }
}
