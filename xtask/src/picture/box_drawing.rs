//! Box-drawing characters as lines: drawn as letters they would leave gaps between rows in most fonts.

/// The lines by which a box-drawing character leaves its cell, seen from the cell's middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arms {
    pub(super) up: Line,
    pub(super) right: Line,
    pub(super) down: Line,
    pub(super) left: Line,
    pub(super) is_dashed: bool,
}

/// An arm of a box-drawing character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    None,
    Single,
    Double,
}

/// The arms of a character, or nothing where it is not a box-drawing character that we draw.
pub(super) fn arms(character: char) -> Option<Arms> {
    let (spelled, is_dashed) = match character {
        '─' | '━' => (" - -", false),
        '│' | '┃' => ("- - ", false),
        '╌' | '┄' | '┈' => (" - -", true),
        '╎' | '┆' | '┊' => ("- - ", true),
        '┌' | '╭' | '┏' => (" -- ", false),
        '┐' | '╮' | '┓' => ("  --", false),
        '└' | '╰' | '┗' => ("--  ", false),
        '┘' | '╯' | '┛' => ("-  -", false),
        '├' | '┣' => ("--- ", false),
        '┤' | '┫' => ("- --", false),
        '┬' | '┳' => (" ---", false),
        '┴' | '┻' => ("-- -", false),
        '┼' | '╋' => ("----", false),
        '═' => (" = =", false),
        '║' => ("= = ", false),
        '╔' => (" == ", false),
        '╗' => ("  ==", false),
        '╚' => ("==  ", false),
        '╝' => ("=  =", false),
        '╠' => ("=== ", false),
        '╣' => ("= ==", false),
        '╦' => (" ===", false),
        '╩' => ("== =", false),
        '╬' => ("====", false),
        '╞' => ("-=- ", false),
        '╡' => ("- -=", false),
        '╪' => ("-=-=", false),
        '╤' => (" =-=", false),
        '╧' => ("-= =", false),
        '╴' => ("   -", false),
        '╵' => ("-   ", false),
        '╶' => (" -  ", false),
        '╷' => ("  - ", false),
        _ => return None,
    };
    let mut lines = spelled.chars().map(|arm| match arm {
        '-' => Line::Single,
        '=' => Line::Double,
        _ => Line::None,
    });
    Some(Arms {
        up: lines.next()?,
        right: lines.next()?,
        down: lines.next()?,
        left: lines.next()?,
        is_dashed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arms_are_spelled_clockwise_from_the_top() {
        let corner = arms('└').unwrap();
        assert_eq!((corner.up, corner.right), (Line::Single, Line::Single));
        assert_eq!((corner.down, corner.left), (Line::None, Line::None));
        let join = arms('╞').unwrap();
        assert_eq!(
            (join.up, join.right, join.down, join.left),
            (Line::Single, Line::Double, Line::Single, Line::None)
        );
    }

    #[test]
    fn neighbors_meet() {
        assert_eq!(arms('─').unwrap().right, arms('┐').unwrap().left);
        assert_eq!(arms('│').unwrap().down, arms('┴').unwrap().up);
        assert_eq!(arms('═').unwrap().right, arms('╪').unwrap().left);
    }

    #[test]
    fn other_characters_are_text() {
        assert_eq!(arms('-'), None);
        assert_eq!(arms('✓'), None);
    }
}
