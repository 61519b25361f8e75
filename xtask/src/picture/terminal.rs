//! Renders terminal output as a terminal would: text with ANSI escapes in, lines of styled characters out.

/// A color that the terminal has a name for, or any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Color {
    /// 0 to 7 as in `ESC [ 30 m` and after, 8 to 15 the bright ones.
    Named(u8),
    Exact(u8, u8, u8),
}

/// How a character looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) foreground: Option<Color>,
    pub(super) bold: bool,
    pub(super) dim: bool,
    pub(super) italic: bool,
    pub(super) underlined: bool,
}

/// A place on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) character: char,
    pub(super) style: Style,
}

/// Columns between two stops of the tabulator, as terminals have them.
const TAB: usize = 8;

const BLANK: Cell = Cell {
    character: ' ',
    style: Style {
        foreground: None,
        bold: false,
        dim: false,
        italic: false,
        underlined: false,
    },
};

/// Reads terminal output. Colors and weights are kept, a carriage return writes over its line, and every other
/// escape (cursor movements, links, titles) is dropped. Blank lines at the end and blanks at a line's end are cut off.
pub(super) fn read(text: &str) -> Vec<Vec<Cell>> {
    let mut screen = Screen::default();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\x1b' => screen.escape(&mut rest),
            '\n' => screen.new_line(),
            '\r' => screen.column = 0,
            '\t' => screen.column = (screen.column / TAB + 1) * TAB,
            control if control.is_control() => {}
            printable => screen.put(printable),
        }
    }
    screen.new_line();
    while screen.lines.last().is_some_and(Vec::is_empty) {
        screen.lines.pop();
    }
    screen.lines
}

#[derive(Default)]
struct Screen {
    lines: Vec<Vec<Cell>>,
    line: Vec<Cell>,
    column: usize,
    style: Style,
}

impl Screen {
    fn put(&mut self, character: char) {
        let cell = Cell {
            character,
            style: self.style,
        };
        if self.line.len() <= self.column {
            self.line.resize(self.column + 1, BLANK);
        }
        if let Some(place) = self.line.get_mut(self.column) {
            *place = cell;
        }
        self.column += 1;
    }

    fn new_line(&mut self) {
        while self.line.last().is_some_and(|cell| cell.character == ' ') {
            self.line.pop();
        }
        self.lines.push(std::mem::take(&mut self.line));
        self.column = 0;
    }

    /// Reads what follows an escape character.
    fn escape(&mut self, rest: &mut std::str::Chars<'_>) {
        match rest.next() {
            Some('[') => {
                let mut parameters = String::new();
                for character in rest.by_ref() {
                    match character {
                        '\x40'..='\x7e' => {
                            match character {
                                'm' => self.select(&parameters),
                                // "Erase the line", as progress displays do before they write it again.
                                'K' => self
                                    .line
                                    .truncate(if parameters == "2" { 0 } else { self.column }),
                                _ => {}
                            }
                            return;
                        }
                        parameter => parameters.push(parameter),
                    }
                }
            }
            // A link or a title: everything to the bell or to `ESC \`.
            Some(']') => {
                let mut is_escaped = false;
                for character in rest.by_ref() {
                    if character == '\x07' || (is_escaped && character == '\\') {
                        return;
                    }
                    is_escaped = character == '\x1b';
                }
            }
            _ => {}
        }
    }

    /// Applies a "Select Graphic Rendition", whose numbers stand before the `m`.
    fn select(&mut self, parameters: &str) {
        let mut codes = parameters
            .split([';', ':'])
            .map(|code| code.parse::<u8>().unwrap_or(0));
        while let Some(code) = codes.next() {
            let style = &mut self.style;
            match code {
                0 => *style = Style::default(),
                1 => style.bold = true,
                2 => style.dim = true,
                3 => style.italic = true,
                4 => style.underlined = true,
                22 => (style.bold, style.dim) = (false, false),
                23 => style.italic = false,
                24 => style.underlined = false,
                30..=37 => style.foreground = Some(Color::Named(code - 30)),
                38 => style.foreground = extended(&mut codes),
                39 => style.foreground = None,
                // Backgrounds aren't drawn, but their numbers must not be taken for something else.
                48 => _ = extended(&mut codes),
                90..=97 => style.foreground = Some(Color::Named(code - 90 + 8)),
                _ => {}
            }
        }
    }
}

/// Reads an extended color: `5;n` is one of 256, `2;r;g;b` any.
fn extended(codes: &mut impl Iterator<Item = u8>) -> Option<Color> {
    match codes.next()? {
        2 => Some(Color::Exact(codes.next()?, codes.next()?, codes.next()?)),
        5 => Some(match codes.next()? {
            named @ 0..=15 => Color::Named(named),
            // A cube of 6 x 6 x 6, then 24 grays.
            cube @ 16..=231 => {
                let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
                let index = cube - 16;
                Color::Exact(level(index / 36), level(index / 6 % 6), level(index % 6))
            }
            gray => {
                let level = 8 + 10 * (gray - 232);
                Color::Exact(level, level, level)
            }
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        read(text)
            .iter()
            .map(|line| line.iter().map(|cell| cell.character).collect())
            .collect()
    }

    fn style_of_first(text: &str) -> Style {
        read(text)[0][0].style
    }

    #[test]
    fn plain_text_is_cut_into_lines_without_trailing_blanks() {
        assert_eq!(shown("one  \n\ntwo\n\n\n"), ["one", "", "two"]);
        assert!(shown("").is_empty());
    }

    #[test]
    fn colors_and_weights_last_until_they_are_reset() {
        let line = &read("\x1b[1;31ma\x1b[22mb\x1b[0mc")[0];
        let red = Some(Color::Named(1));
        assert_eq!(
            line[0].style,
            Style {
                foreground: red,
                bold: true,
                ..Style::default()
            }
        );
        assert_eq!(
            line[1].style,
            Style {
                foreground: red,
                ..Style::default()
            }
        );
        assert_eq!(line[2].style, Style::default());
    }

    #[test]
    fn every_way_to_write_a_color_is_understood() {
        assert_eq!(style_of_first("\x1b[92mx").foreground, Some(Color::Named(10)));
        assert_eq!(
            style_of_first("\x1b[38;5;10mx").foreground,
            Some(Color::Named(10))
        );
        assert_eq!(
            style_of_first("\x1b[38;5;196mx").foreground,
            Some(Color::Exact(255, 0, 0))
        );
        assert_eq!(
            style_of_first("\x1b[38;5;255mx").foreground,
            Some(Color::Exact(238, 238, 238))
        );
        assert_eq!(
            style_of_first("\x1b[38;2;1;2;3mx").foreground,
            Some(Color::Exact(1, 2, 3))
        );
        assert_eq!(style_of_first("\x1b[31;39mx").foreground, None);
    }

    #[test]
    fn a_background_changes_nothing_else() {
        assert_eq!(style_of_first("\x1b[48;5;1mx"), Style::default());
        assert!(style_of_first("\x1b[48;2;1;2;3;4mx").underlined);
    }

    #[test]
    fn a_carriage_return_writes_over_the_line() {
        assert_eq!(shown("10 %\r99 %\n"), ["99 %"]);
        assert_eq!(shown("waiting...\r\x1b[2Kdone\r\n"), ["done"]);
    }

    #[test]
    fn links_titles_and_cursor_movements_leave_only_their_text() {
        assert_eq!(
            shown("\x1b]0;title\x07\x1b]8;;https://a.test\x1b\\link\x1b]8;;\x1b\\\x1b[?25l!"),
            ["link!"]
        );
    }

    #[test]
    fn tabs_go_to_the_next_stop() {
        assert_eq!(shown("a\tb"), ["a       b"]);
    }

    #[test]
    fn an_escape_that_is_cut_off_ends_the_text() {
        assert_eq!(shown("a\x1b[31"), ["a"]);
        assert_eq!(shown("a\x1b"), ["a"]);
        assert_eq!(shown("a\x1b[38;5mb"), ["ab"]);
    }
}
