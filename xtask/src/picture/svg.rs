//! A terminal's lines as an SVG: a window, text in the viewer's own monospace font, no script, nothing fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;

use super::box_drawing::{Line, arms};
use super::terminal::{Cell, Color, Style};

/// A cell in pixels. The font size makes most monospace letters about as wide; `textLength` does the rest.
pub(super) const CELL_WIDTH: usize = 8;
pub(super) const CELL_HEIGHT: usize = 18;
const FONT_SIZE: &str = "13.3";
/// Pixels from the top of a cell to the line that letters stand on.
const BASELINE: usize = 13;

const PADDING: usize = 16;
const TITLE_BAR: usize = 34;
/// The fewest columns of the window: a narrower one looks broken.
const COLUMNS_MIN: usize = 40;

const BACKGROUND: &str = "#16191f";
const FOREGROUND: &str = "#d5dae2";
const TITLE: &str = "#8a93a3";

/// The sixteen named colors, chosen to be readable on the background.
const PALETTE: [&str; 16] = [
    "#5c6370", "#f07178", "#8bd49c", "#e6c07b", "#7aa2f7", "#c099ff", "#6cc7d9", "#d5dae2", "#8a93a3",
    "#ff8b92", "#a5e6b2", "#f5d696", "#98b8ff", "#d3b8ff", "#8ce0ef", "#ffffff",
];

/// Draws the window. The same lines always give the same bytes.
pub(super) fn draw(screen: &[Vec<Cell>], title: &str) -> String {
    let columns = screen.iter().map(Vec::len).max().unwrap_or(0).max(COLUMNS_MIN);
    let width = columns * CELL_WIDTH + 2 * PADDING;
    let height = screen.len() * CELL_HEIGHT + TITLE_BAR + PADDING;
    let title = escaped(title);
    let center = width / 2;
    let mut lines: Lines = BTreeMap::new();
    let mut text = String::new();
    for (row, line) in screen.iter().enumerate() {
        draw_line(line, top(row), &mut text, &mut lines);
    }
    let mut strokes = String::new();
    for ((color, is_dim, is_dashed), arms) in &lines {
        let path = path(arms);
        let opacity = if *is_dim { r#" stroke-opacity=".55""# } else { "" };
        let dashes = if *is_dashed {
            r#" stroke-dasharray="2 2""#
        } else {
            ""
        };
        push(
            &mut strokes,
            &format!("<path stroke=\"{color}\"{opacity}{dashes} d=\"{path}\"/>\n"),
        );
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\">\n\
         <title>{title}</title>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n\
         <circle cx=\"20\" cy=\"17\" r=\"5.5\" fill=\"#f07178\"/>\
         <circle cx=\"38\" cy=\"17\" r=\"5.5\" fill=\"#e6c07b\"/>\
         <circle cx=\"56\" cy=\"17\" r=\"5.5\" fill=\"#8bd49c\"/>\n\
         <g font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace\" \
         font-size=\"{FONT_SIZE}\" fill=\"{FOREGROUND}\">\n\
         <text x=\"{center}\" y=\"21\" fill=\"{TITLE}\" text-anchor=\"middle\">{title}</text>\n\
         {text}</g>\n\
         <g fill=\"none\" stroke-width=\"1\">\n{strokes}</g>\n\
         </svg>\n"
    )
}

/// The pixel at which a column of the terminal begins.
pub(super) fn left(column: usize) -> usize {
    PADDING + column * CELL_WIDTH
}

/// The pixel at which a row of the terminal begins.
pub(super) fn top(row: usize) -> usize {
    TITLE_BAR + row * CELL_HEIGHT
}

/// All box-drawing lines, by what they have in common: color, dim, dashed.
type Lines = BTreeMap<(String, bool, bool), BTreeSet<Stroke>>;

/// A straight line, in the order in which neighbors meet: down a column, or along a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stroke {
    is_vertical: bool,
    /// The column of pixels of a vertical line, the row of a horizontal one.
    across: usize,
    from: usize,
    to: usize,
}

/// Draws one line of the terminal: runs of equally styled text, and its boxes' lines.
fn draw_line(line: &[Cell], top: usize, text: &mut String, lines: &mut Lines) {
    let mut column = 0;
    for run in line.chunk_by(|one, next| kind(one) == kind(next)) {
        match run.first() {
            Some(first) if arms(first.character).is_some() => {
                for (index, cell) in run.iter().enumerate() {
                    draw_box(cell, left(column + index), top, lines);
                }
            }
            _ => draw_text(run, column, top, text),
        }
        column += run.len();
    }
}

/// Draws a run of text, a piece at a time.
fn draw_text(run: &[Cell], column: usize, top: usize, text: &mut String) {
    for piece in pieces(run) {
        let x = left(column + piece.start);
        let cells = run.get(piece).unwrap_or_default();
        push(text, &text_element(cells, x, top + BASELINE));
    }
}

/// Splits a run wherever two blanks or more follow each other. Renderers take several blanks for one unless told
/// otherwise, and disagree about how to be told: Chromium no longer obeys `xml:space`, and librsvg 2.54 does not obey
/// `white-space`.
fn pieces(run: &[Cell]) -> Vec<Range<usize>> {
    let mut pieces: Vec<Range<usize>> = Vec::new();
    for (index, cell) in run.iter().enumerate() {
        match pieces.last_mut() {
            _ if cell.character == ' ' => {}
            Some(piece) if index <= piece.end + 1 => piece.end = index + 1,
            _ => pieces.push(index..index + 1),
        }
    }
    pieces
}

/// The properties that all cells of a run have in common.
fn kind(cell: &Cell) -> (Style, bool) {
    (cell.style, arms(cell.character).is_some())
}

/// A piece of text. Its length is stated, so that columns stay in line whatever font the viewer has.
fn text_element(cells: &[Cell], x: usize, baseline: usize) -> String {
    let letters: String = cells.iter().map(|cell| cell.character).collect();
    let length = cells.len() * CELL_WIDTH;
    let look = cells.first().map(|cell| look(cell.style)).unwrap_or_default();
    format!(
        "<text x=\"{x}\" y=\"{baseline}\" textLength=\"{length}\" lengthAdjust=\"spacingAndGlyphs\"{look}>{}</text>\n",
        escaped(&letters)
    )
}

/// A style as attributes.
fn look(style: Style) -> String {
    let mut look = String::new();
    if style.foreground.is_some() {
        push(&mut look, &format!(" fill=\"{}\"", css(style.foreground)));
    }
    for (is_on, attribute) in [
        (style.bold, " font-weight=\"bold\""),
        (style.dim, " fill-opacity=\".6\""),
        (style.italic, " font-style=\"italic\""),
        (style.underlined, " text-decoration=\"underline\""),
    ] {
        if is_on {
            look.push_str(attribute);
        }
    }
    look
}

/// Adds a box-drawing character's arms to the path of its color.
fn draw_box(cell: &Cell, left: usize, top: usize, lines: &mut Lines) {
    let Some(arms) = arms(cell.character) else { return };
    let key = (css(cell.style.foreground), cell.style.dim, arms.is_dashed);
    let strokes = lines.entry(key).or_default();
    let (width, height) = (CELL_WIDTH, CELL_HEIGHT);
    let (middle, center) = (left + width / 2, top + height / 2);
    for (line, from, to) in [(arms.left, left, middle), (arms.right, middle, left + width)] {
        strokes.extend(offsets(line, center).map(|across| Stroke {
            is_vertical: false,
            across,
            from,
            to,
        }));
    }
    for (line, from, to) in [(arms.up, top, center), (arms.down, center, top + height)] {
        strokes.extend(offsets(line, middle).map(|across| Stroke {
            is_vertical: true,
            across,
            from,
            to,
        }));
    }
}

/// The strokes as a path, those that meet end to end as one.
fn path(strokes: &BTreeSet<Stroke>) -> String {
    let mut joined: Vec<Stroke> = Vec::new();
    for stroke in strokes {
        match joined.last_mut() {
            Some(last)
                if (last.is_vertical, last.across, last.to)
                    == (stroke.is_vertical, stroke.across, stroke.from) =>
            {
                last.to = stroke.to;
            }
            _ => joined.push(*stroke),
        }
    }
    let mut path = String::new();
    for Stroke {
        is_vertical,
        across,
        from,
        to,
    } in joined
    {
        // Half a pixel, so that a line of one pixel fills one row of pixels and not two by half.
        push(
            &mut path,
            &if is_vertical {
                format!("M{across}.5 {from}V{to}")
            } else {
                format!("M{from} {across}.5H{to}")
            },
        );
    }
    path
}

/// The places of an arm's strokes: one in the middle, or two around it.
fn offsets(line: Line, middle: usize) -> impl Iterator<Item = usize> {
    let (single, double) = match line {
        Line::None => (None, None),
        Line::Single => (Some(middle), None),
        Line::Double => (Some(middle - 1), Some(middle + 1)),
    };
    single.into_iter().chain(double)
}

fn css(color: Option<Color>) -> String {
    match color {
        None => FOREGROUND.to_owned(),
        Some(Color::Named(index)) => PALETTE
            .get(usize::from(index))
            .copied()
            .unwrap_or(FOREGROUND)
            .to_owned(),
        Some(Color::Exact(red, green, blue)) => format!("#{red:02x}{green:02x}{blue:02x}"),
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            plain => safe.push(plain),
        }
    }
    safe
}

fn push(to: &mut String, text: &str) {
    // Writing to a string can't fail.
    let _ = to.write_str(text);
}

#[cfg(test)]
mod tests {
    use super::super::terminal;
    use super::*;

    fn drawn(text: &str) -> String {
        draw(&terminal::read(text), "demo")
    }

    #[test]
    fn text_is_escaped() {
        let svg = drawn("<a href=\"x\"> & </a>");
        assert!(
            svg.contains("&lt;a href=&quot;x&quot;&gt; &amp; &lt;/a&gt;</text>"),
            "{svg}"
        );
        assert!(!svg.contains("<a "), "{svg}");
    }

    #[test]
    fn a_title_can_not_leave_its_attribute() {
        let svg = draw(&terminal::read("x"), "\"><script>");
        assert!(!svg.contains("<script"), "{svg}");
    }

    #[test]
    fn the_window_is_as_large_as_its_text() {
        let svg = drawn(&format!("{}\nsecond\n", "x".repeat(100)));
        let (width, height) = (
            100 * CELL_WIDTH + 2 * PADDING,
            2 * CELL_HEIGHT + TITLE_BAR + PADDING,
        );
        assert!(
            svg.contains(&format!("width=\"{width}\" height=\"{height}\"")),
            "{svg}"
        );
    }

    #[test]
    fn a_run_starts_at_its_column_and_says_its_length() {
        let svg = drawn("ab  \x1b[32mready\x1b[0m");
        let x = PADDING + 4 * CELL_WIDTH;
        let expected = format!(
            "<text x=\"{x}\" y=\"47\" textLength=\"40\" lengthAdjust=\"spacingAndGlyphs\" fill=\"{}\">ready</text>",
            PALETTE[2]
        );
        assert!(svg.contains(&expected), "{svg}");
    }

    #[test]
    fn a_text_has_no_blanks_that_a_browser_could_drop() {
        let svg = drawn("  Country   DE  Germany \x1b[1m  (needed)  \x1b[0m");
        let texts: Vec<_> = svg
            .lines()
            .filter_map(|line| line.strip_suffix("</text>")?.rsplit_once('>'))
            .map(|(_, text)| text)
            .collect();
        assert_eq!(texts, ["demo", "Country", "DE", "Germany", "(needed)"]);
        let x = PADDING + 16 * CELL_WIDTH;
        assert!(
            svg.contains(&format!("<text x=\"{x}\" y=\"47\" textLength=\"56\"")),
            "{svg}"
        );
        assert!(!svg.contains("space="), "{svg}");
    }

    #[test]
    fn single_blanks_stay_within_a_text() {
        let svg = drawn("Azure Active Directory Tenant");
        assert!(
            svg.contains("textLength=\"232\"") && svg.contains(">Azure Active Directory Tenant</text>"),
            "{svg}"
        );
    }

    #[test]
    fn weights_become_attributes() {
        let svg = drawn("\x1b[1mbold\x1b[0m \x1b[2mdim");
        assert!(svg.contains(" font-weight=\"bold\">bold<"), "{svg}");
        assert!(svg.contains(" fill-opacity=\".6\">dim<"), "{svg}");
    }

    #[test]
    fn boxes_are_lines_and_never_letters() {
        let svg = drawn("┌─┐\n│x│\n╞═╡\n└╌┘");
        assert!(!svg.chars().any(|character| arms(character).is_some()), "{svg}");
        assert!(
            svg.contains(">x</text>") && svg.contains("stroke-dasharray"),
            "{svg}"
        );
    }

    #[test]
    fn lines_that_meet_are_one_stroke() {
        let svg = drawn("┌──┐\n└──┘");
        let (left, top) = (PADDING + CELL_WIDTH / 2, TITLE_BAR + CELL_HEIGHT / 2);
        let (right, bottom) = (left + 3 * CELL_WIDTH, top + CELL_HEIGHT);
        let frame = format!(
            "M{left} {top}.5H{right}M{left} {bottom}.5H{right}M{left}.5 {top}V{bottom}M{right}.5 {top}V{bottom}"
        );
        assert!(svg.contains(&frame), "{svg}");
    }

    #[test]
    fn the_same_output_is_drawn_the_same() {
        let text = "\x1b[31m│\x1b[32m│\x1b[0m│ done\n";
        assert_eq!(drawn(text), drawn(text));
    }

    #[test]
    fn nothing_is_fetched_or_run() {
        let svg = drawn("x");
        assert_eq!(svg.matches("http").count(), 1, "only the namespace: {svg}");
        assert!(
            !svg.contains("<style") && !svg.contains("<image") && !svg.contains("href"),
            "{svg}"
        );
    }
}
