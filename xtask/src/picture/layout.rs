//! Whether a browser draws the letters of a picture in the cells that the terminal has them in.

use anyhow::{Context, Result, bail};

use super::box_drawing::arms;
use super::svg::{CELL_HEIGHT, CELL_WIDTH, left, top};
use super::terminal::Cell;

/// How far an edge may be from its place, in pixels: less is not seen.
const TOLERANCE: f64 = 1.0;

/// A letter, or a blank, as a browser draws it, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Letter {
    pub(super) character: char,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) baseline: f64,
}

/// Compares what a browser drew with the terminal's lines. Blanks have their width if the letters after them are in
/// place.
///
/// # Errors
/// A line is drawn otherwise; the message says which, and what is wrong with it.
pub(super) fn check(screen: &[Vec<Cell>], drawn: &[Letter]) -> Result<()> {
    for (row, line) in screen.iter().enumerate() {
        check_line(line, &letters_of_row(drawn, row))
            .with_context(|| format!("line {} (`{}`)", row + 1, text(line).trim()))?;
    }
    Ok(())
}

fn check_line(line: &[Cell], drawn: &[Letter]) -> Result<()> {
    let expected: Vec<(char, usize)> = letters_of_line(line).collect();
    if drawn.len() != expected.len() {
        bail!(
            "Chromium draws {} letters instead of {}",
            drawn.len(),
            expected.len()
        );
    }
    for (letter, (character, from)) in drawn.iter().zip(expected) {
        let to = from + CELL_WIDTH;
        if !(letter.character == character && is_near(letter.left, from) && is_near(letter.right, to)) {
            bail!(
                "Chromium draws `{}` from pixel {:.1} to {:.1}, where it should draw `{character}` from {from} to {to}",
                letter.character,
                letter.left,
                letter.right,
            );
        }
    }
    Ok(())
}

fn is_near(edge: f64, place: usize) -> bool {
    (edge - place as f64).abs() <= TOLERANCE
}

/// The letters that are drawn at the height of a line, from left to right. The title bar has none of them.
fn letters_of_row(drawn: &[Letter], row: usize) -> Vec<Letter> {
    let (from, to) = (top(row) as f64, (top(row) + CELL_HEIGHT) as f64);
    let mut letters: Vec<Letter> = drawn
        .iter()
        .filter(|letter| letter.character != ' ' && (from..to).contains(&letter.baseline))
        .copied()
        .collect();
    letters.sort_by(|one, other| one.left.total_cmp(&other.left));
    letters
}

/// The letters of a line and the pixels at which their cells begin. Blanks and boxes are not drawn as letters.
fn letters_of_line(line: &[Cell]) -> impl Iterator<Item = (char, usize)> {
    line.iter()
        .enumerate()
        .filter(|(_, cell)| cell.character != ' ' && arms(cell.character).is_none())
        .map(|(column, cell)| (cell.character, left(column)))
}

fn text(line: &[Cell]) -> String {
    line.iter().map(|cell| cell.character).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{svg, terminal};
    use super::*;

    /// Part of a window's title and the line `DE  x`, as Chromium 156 draws them: `DE` and `x` are a text each.
    const IN_PLACE: [(char, f64, f64, f64); 4] = [
        ('t', 167.98, 176.0, 21.0),
        ('D', 16.0, 24.01, 47.0),
        ('E', 23.99, 32.0, 47.0),
        ('x', 48.0, 56.0, 47.0),
    ];

    /// The line `DE  x` as Chromium 156 draws it from one text with `xml:space="preserve"` and a stated length.
    const STRETCHED: [(char, f64, f64, f64); 4] = [
        ('D', 16.0, 26.01, 47.0),
        ('E', 25.99, 36.0, 47.0),
        (' ', 35.98, 46.01, 47.0),
        ('x', 45.99, 56.0, 47.0),
    ];

    fn letters(drawn: &[(char, f64, f64, f64)]) -> Vec<Letter> {
        drawn
            .iter()
            .map(|&(character, left, right, baseline)| Letter {
                character,
                left,
                right,
                baseline,
            })
            .collect()
    }

    fn fault(text: &str, drawn: &[Letter]) -> String {
        format!("{:#}", check(&terminal::read(text), drawn).unwrap_err())
    }

    #[test]
    fn letters_in_their_cells_are_right() {
        check(&terminal::read("DE  x"), &letters(&IN_PLACE)).unwrap();
    }

    #[test]
    fn letters_stretched_over_lost_blanks_are_a_fault_of_their_line() {
        assert_eq!(
            fault("DE  x", &letters(&STRETCHED)),
            "line 1 (`DE  x`): Chromium draws `D` from pixel 16.0 to 26.0, where it should draw `D` from 16 to 24"
        );
    }

    #[test]
    fn a_letter_that_moved_or_changed_is_a_fault() {
        for changed in [
            ('x', 46.0, 56.0, 47.0),
            ('x', 48.0, 58.0, 47.0),
            ('y', 48.0, 56.0, 47.0),
        ] {
            let mut drawn = IN_PLACE;
            drawn[3] = changed;
            let fault = fault("DE  x", &letters(&drawn));
            assert!(
                fault.ends_with("where it should draw `x` from 48 to 56"),
                "{fault}"
            );
        }
    }

    #[test]
    fn a_letter_too_few_or_too_many_is_a_fault() {
        assert!(fault("DE  x", &letters(&IN_PLACE[..3])).ends_with("Chromium draws 2 letters instead of 3"));
        assert!(fault("DE", &letters(&IN_PLACE)).ends_with("Chromium draws 3 letters instead of 2"));
        assert!(fault("DE  x", &[]).ends_with("Chromium draws 0 letters instead of 3"));
    }

    #[test]
    fn every_line_is_looked_at_and_the_faulty_one_named() {
        let second = (svg::top(1) + 13) as f64;
        let mut drawn = letters(&IN_PLACE);
        drawn.push(letters(&[('a', 16.0, 24.0, second)])[0]);
        check(&terminal::read("DE  x\na"), &drawn).unwrap();
        assert!(fault("DE  x\nb", &drawn).starts_with("line 2 (`b`): Chromium draws `a`"));
        assert!(
            fault("DE  x\n\na", &drawn).starts_with("line 2 (``): Chromium draws 1 letters instead of 0")
        );
    }

    #[test]
    fn boxes_are_no_letters() {
        let drawn = letters(&[('x', 32.0, 40.0, 47.0)]);
        check(&terminal::read("│ x │"), &drawn).unwrap();
        assert_eq!(
            fault("│ y │", &drawn),
            "line 1 (`│ y │`): Chromium draws `x` from pixel 32.0 to 40.0, where it should draw `y` from 32 to 40"
        );
    }
}
