//! The picture of the demo's terminal on the README's first screen.

mod box_drawing;
mod browser;
pub(crate) mod console;
mod layout;
mod svg;
mod terminal;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use browser::Chromium;
use terminal::Cell;

use crate::hint::Hint;
use crate::workspace::Workspace;
use crate::{demo, files, process};

/// The path at which the README expects the picture.
const PICTURE: &str = "docs/demo.svg";

/// The picture's first line: the command that the reader is to type.
const PROMPT: &str = "\x1b[1;32m$\x1b[0m \x1b[1mcargo xtask demo\x1b[0m\n";

/// The terminal's width: as wide as a README shows without scaling the letters down much.
const COLUMNS: &str = "100";

/// Draws `docs/demo.svg` from a fresh run of the demo, or from terminal output that was saved in a file. A picture that
/// Chromium does not show as the terminal did is not written.
///
/// # Errors
/// Chromium is missing or shows something else, the demo failed, or a file can't be read or written.
pub(crate) fn draw(workspace: &Workspace, from: Option<&Path>) -> Result<()> {
    let chromium = Chromium::find()?;
    let screen = terminal::read(&format!("{PROMPT}{}", output(workspace, from)?));
    if screen.len() < 2 {
        bail!("the terminal output to draw is empty");
    }
    let svg = svg::draw(&screen, "cargo xtask demo");
    check(&chromium, &svg, &screen, &workspace.target.join("picture"))
        .with_context(|| format!("`{PICTURE}` was not changed"))?;
    write(&workspace.root.join(PICTURE), &svg)
}

/// The terminal output to draw.
fn output(workspace: &Workspace, from: Option<&Path>) -> Result<String> {
    match from {
        Some(file) => {
            fs::read_to_string(file).with_context(|| format!("`{}` can't be read as text", file.display()))
        }
        None => process::stdout(
            // The demo's stdout is no terminal here; these variables say what a terminal would.
            demo::command(workspace)?
                .env("CLICOLOR_FORCE", "1")
                .env("COLUMNS", COLUMNS)
                .env_remove("NO_COLOR"),
        ),
    }
}

/// Has Chromium lay the picture out, and compares that with the terminal's lines.
fn check(chromium: &Chromium, svg: &str, screen: &[Vec<Cell>], folder: &Path) -> Result<()> {
    let letters = chromium.letters(svg, folder)?;
    layout::check(screen, &letters).hint(format!(
        "look at `{}` in Chromium; if every letter is too wide or too narrow, install a monospace font \
         (Debian: `fonts-dejavu-core`), otherwise correct `xtask/src/picture/svg.rs`",
        folder.join(browser::MEASURED).display()
    ))
}

fn write(path: &Path, svg: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        files::make_folder(folder)?;
    }
    files::write(path, svg)?;
    println!("{}", path.display());
    Ok(())
}
