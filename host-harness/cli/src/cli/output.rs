//! Lines of results on the standard output, and of what goes on beside them on the standard error.
//!
//! All text that a command prints goes through [`Text`], in which nothing from a plugin, a vendor or a customer steers the
//! terminal. The log has its own way there, `cli/log.rs`.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use bss_model::text::{visible, visible_json};
use comfy_table::{ColumnConstraint, Width};
use serde_json::Map;

use super::log;

/// Text as it may be printed: what would steer a terminal is visible in it, but for our own colors and line ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// Several lines, for one cell of a table.
    pub(super) fn lines<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> Self {
        let lines = lines.into_iter().map(|line| visible(line.as_ref()).into_owned());
        Self(lines.collect::<Vec<_>>().join("\n"))
    }

    /// JSON, whose values stay the same. It may have several lines.
    pub(super) fn json(json: &str) -> Self {
        Self(visible_json(json).into_owned())
    }

    /// Text in the color or weight of an SGR code (ECMA-48 section 8.3.117). Colors are on a terminal only, and where they
    /// are forced (<https://bixense.com/clicolors>); never with NO_COLOR.
    pub(super) fn painted(text: &str, code: u8) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
        let colors = !set("NO_COLOR") && (set("CLICOLOR_FORCE") || io::stdout().is_terminal());
        let text = Self::from(text);
        match colors {
            true => Self(format!("\u{1b}[{code}m{text}\u{1b}[0m")),
            false => text,
        }
    }

    /// Puts text behind it, after a blank.
    pub(super) fn and(self, other: impl Into<Self>) -> Self {
        Self(format!("{self} {}", other.into()))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(visible(text).into_owned())
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

/// The blanks around the content of a cell.
const CELL_PADDING: u16 = 2;
/// The length up to which a word is kept whole: ids, thumbprints, product keys, addresses and codes are copied from a table. A
/// longer word is a link or a mistake.
const WORD_CHARS_MAX: usize = 64;

/// The length of the longest word that is kept whole.
fn longest_word(cell: &str) -> u16 {
    let words = cell.split_whitespace().map(|word| word.chars().count());
    let longest = words.filter(|chars| *chars <= WORD_CHARS_MAX).max();
    longest
        .and_then(|chars| u16::try_from(chars).ok())
        .unwrap_or_default()
}

/// A table, each cell of which is [`Text`]. Where the terminal is narrow, no word is broken: the terminal itself wraps the
/// line then.
pub(super) struct Table(comfy_table::Table);

impl Table {
    /// Wraps a table without rows, whose header is ours.
    pub(super) fn new(table: comfy_table::Table) -> Self {
        let heading = |cell: &comfy_table::Cell| longest_word(&cell.content());
        let headings: Vec<u16> = table
            .header()
            .into_iter()
            .flat_map(|row| row.cell_iter())
            .map(heading)
            .collect();
        let mut table = Self(table);
        table.keep_whole(headings);
        table
    }

    pub(super) fn add_row<T: Into<Text>>(&mut self, row: impl IntoIterator<Item = T>) {
        let cells: Vec<String> = row.into_iter().map(|cell| cell.into().0).collect();
        let widths: Vec<u16> = cells.iter().map(|cell| longest_word(cell)).collect();
        self.0.add_row(cells);
        self.keep_whole(widths);
    }

    /// Makes columns as wide as their longest words, at least.
    fn keep_whole(&mut self, widths: Vec<u16>) {
        for (position, width) in widths.into_iter().enumerate() {
            if let Some(column) = self.0.column_mut(position).filter(|_| width > 0) {
                let at_least = width.saturating_add(CELL_PADDING);
                let known = match column.constraint() {
                    Some(ColumnConstraint::LowerBoundary(Width::Fixed(known))) => *known,
                    _ => 0,
                };
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(known.max(at_least))));
            }
        }
    }

    /// The table line by line.
    pub(super) fn lines(&self) -> impl Iterator<Item = Text> {
        self.0.lines().map(Text)
    }
}

/// Writes several lines that somebody else has put together, such as help, to the standard output or the standard error.
pub(super) fn page(text: &str, to_standard_error: bool) {
    let write = if to_standard_error { note } else { line };
    text.lines().for_each(write);
}

/// The first error in writing results. A program that does not learn what came of its order must not take it for done.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

/// Writes a line of results to the standard output.
pub(super) fn line(text: impl Into<Text>) {
    if let Err(error) = writeln!(io::stdout().lock(), "{}", text.into()) {
        keep(error);
    }
}

/// The error because of which results are lost, where there is one.
pub(super) fn lost() -> Option<io::Error> {
    if let Err(error) = io::stdout().lock().flush() {
        keep(error);
    }
    LOST.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn keep(error: io::Error) {
    // A reader that has had enough closes the pipe; that is no failure of this program.
    if error.kind() != io::ErrorKind::BrokenPipe {
        LOST.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
    }
}

/// Whether lines on the standard error are JSON objects, as those of the log.
static NOTES_AS_JSON: AtomicBool = AtomicBool::new(false);

/// Has lines on the standard error written as JSON objects.
pub(super) fn notes_as_json(is_json: bool) {
    NOTES_AS_JSON.store(is_json, Ordering::Relaxed);
}

/// Writes a line about what is going on to the standard error.
pub(super) fn note(text: impl Into<Text>) {
    note_at("INFO", text.into());
}

/// Writes a line about what has failed to the standard error.
pub(super) fn error(text: impl Into<Text>) {
    note_at("ERROR", text.into());
}

fn note_at(level: &str, text: Text) {
    let text = match NOTES_AS_JSON.load(Ordering::Relaxed) {
        true => Text(log::object(
            level,
            Map::from_iter([("message".to_owned(), text.0.into())]),
        )),
        false => text,
    };
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes a question to the standard error, to be answered on the same line.
pub(super) fn ask(question: &str) {
    let _ = write!(io::stderr().lock(), "{} ", Text::from(question));
}

/// Writes a table to the standard output.
pub(super) fn table(table: &Table) {
    table.lines().for_each(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_steers_no_terminal_and_makes_no_row() {
        let mut table = Table::new(comfy_table::Table::new());
        table.add_row(["a\u{1b}[2K\nb", "\u{202e}c"]);
        table.add_row([Text::lines(["one\u{7}", "two"]), Text::from("ok")]);
        let shown: Vec<_> = table.lines().map(|line| line.to_string()).collect();
        let shown = shown.join("\n");
        assert!(
            shown.contains(r"a\u{1b}[2K\nb") && shown.contains(r"\u{202e}c"),
            "{shown}"
        );
        assert!(shown.contains(r"one\u{7}"), "{shown}");
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{shown:?}");
    }

    #[test]
    fn an_id_is_whole_on_a_narrow_terminal_and_other_text_is_wrapped() {
        let mut narrow = comfy_table::Table::new();
        narrow
            .set_content_arrangement(comfy_table::ContentArrangement::Dynamic)
            .set_width(60);
        let mut table = Table::new(narrow);
        let ids = [
            "8c3f9548-d80b-4763-bb09-b0afca19957c",
            "ABCDE-FGHJK-MNPQR-TVWXY-23467",
        ];
        let long =
            "a sentence that is much longer than the terminal is wide, so that it stands on several lines";
        table.add_row([ids[0], ids[1], long]);
        let shown: Vec<_> = table.lines().map(|line| line.to_string()).collect();
        let shown = shown.join("\n");
        for id in ids {
            assert!(shown.contains(id), "{shown}");
        }
        assert!(!shown.contains(long), "{shown}");
    }

    #[test]
    fn only_our_own_colors_are_escape_sequences() {
        let text = Text::from("\u{1b}[31mred").and("Μιχαήλ");
        assert_eq!(text.to_string(), r"\u{1b}[31mred Μιχαήλ");
    }
}
