//! The picture of the demo's terminal on the README's first screen.

mod box_drawing;
mod svg;
mod terminal;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;
use crate::{demo, process};

/// The path at which the README expects the picture.
const PICTURE: &str = "docs/demo.svg";

/// The picture's first line: the command that the reader is to type.
const PROMPT: &str = "\x1b[1;32m$\x1b[0m \x1b[1mcargo xtask demo\x1b[0m\n";

/// The terminal's width: as wide as a README shows without scaling the letters down much.
const COLUMNS: &str = "100";

/// Draws `docs/demo.svg` from a fresh run of the demo, or from terminal output that was saved in a file.
///
/// # Errors
/// The demo failed, or a file can't be read or written.
pub(crate) fn draw(workspace: &Workspace, from: Option<&Path>) -> Result<()> {
    let output = match from {
        Some(file) => {
            fs::read_to_string(file).with_context(|| format!("`{}` can't be read as text", file.display()))?
        }
        None => process::stdout(
            // The demo's stdout is no terminal here; these variables say what a terminal would.
            demo::command(workspace)?
                .env("CLICOLOR_FORCE", "1")
                .env("COLUMNS", COLUMNS)
                .env_remove("NO_COLOR"),
        )?,
    };
    let screen = terminal::read(&format!("{PROMPT}{output}"));
    if screen.len() < 2 {
        bail!("there is no terminal output to draw");
    }
    let path = workspace.root.join(PICTURE);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&path, svg::draw(&screen, "cargo xtask demo"))
        .with_context(|| format!("`{}` could not be written", path.display()))?;
    println!("{}", path.display());
    Ok(())
}
