//! Chromium, asked where it draws the letters of a picture.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::layout::Letter;
use crate::hint::Hint;
use crate::{files, process};

/// Chromium's names: Debian's, that of other distributions, and Google's own.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Flags for a browser that shows one local page, then ends, and asks no server for anything.
const FLAGS: [&str; 9] = [
    "--headless",
    // Root, as in a container, can't have the sandbox, and the page is our own.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--dump-dom",
];

/// The picture with the script that measures it, as a file for Chromium and for a person who looks for a fault.
pub(super) const MEASURED: &str = "measured.svg";

/// An installed Chromium.
#[derive(Debug)]
pub(super) struct Chromium {
    program: &'static str,
}

impl Chromium {
    /// Finds the browser.
    ///
    /// # Errors
    /// Chromium is not installed; the message names the package to install.
    pub(super) fn find() -> Result<Self> {
        Self::find_among(&NAMES)
    }

    fn find_among(names: &[&'static str]) -> Result<Self> {
        let program = names
            .iter()
            .find(|name| process::succeeds(Command::new(name).arg("--version")))
            .context("the picture can't be checked, because Chromium is not installed")
            .hint("install the package `chromium` (Debian: `apt-get install chromium`)")?;
        Ok(Self { program })
    }

    /// Has the browser lay out an SVG, and answers with its letters. `folder` is made anew for the browser's files.
    ///
    /// # Errors
    /// A file can't be written, the browser fails, or it can't read the SVG.
    pub(super) fn letters(&self, svg: &str, folder: &Path) -> Result<Vec<Letter>> {
        files::remove_folder(folder)?;
        files::make_folder(folder)?;
        files::write(&folder.join(MEASURED), with_script(svg)?)?;
        let mut command = Command::new(self.program);
        command
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", folder.join("profile").display()))
            .arg(MEASURED)
            .current_dir(folder);
        letters_in(&process::stdout(&mut command)?)
    }
}

/// The picture with the measuring script as its last element.
fn with_script(svg: &str) -> Result<String> {
    let (picture, _) = svg
        .rsplit_once("</svg>")
        .context("the picture has no `</svg>` at its end")?;
    let script = include_str!("measure.js");
    Ok(format!(
        "{picture}<script><![CDATA[\n{script}]]></script>\n</svg>\n"
    ))
}

/// Reads what the script wrote from the page as the browser prints it.
fn letters_in(page: &str) -> Result<Vec<Letter>> {
    let Some((_, rest)) = page.split_once("<metadata id=\"measured\">") else {
        bail!("Chromium could not read the picture: {}", parse_error(page));
    };
    let (lines, _) = rest.split_once("</metadata>").unwrap_or((rest, ""));
    lines
        .lines()
        .map(|line| {
            letter(line).with_context(|| {
                format!("Chromium measured `{line}`, which is not a letter with three positions")
            })
        })
        .collect()
}

/// Where Chromium says that an SVG is not well-formed.
fn parse_error(page: &str) -> &str {
    page.split(['<', '>'])
        .find(|text| text.starts_with("error on line"))
        .map_or("Chromium did not run the measuring script", str::trim)
}

/// A line of the script's: code point, left, right, baseline.
fn letter(line: &str) -> Option<Letter> {
    let mut words = line.split(' ');
    let character = char::from_u32(words.next()?.parse().ok()?)?;
    let mut pixel = || words.next()?.parse().ok();
    Some(Letter {
        character,
        left: pixel()?,
        right: pixel()?,
        baseline: pixel()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_browser_is_an_error_that_names_its_package() {
        let error = Chromium::find_among(&["no-such-browser-here"])
            .unwrap_err()
            .to_string();
        assert!(error.contains("`apt-get install chromium`"), "{error}");
    }

    #[test]
    fn the_script_is_the_last_element_and_leaves_the_picture_as_it_is() {
        let page = with_script("<svg><text>x</text></svg>\n").unwrap();
        assert!(
            page.starts_with("<svg><text>x</text><script><![CDATA[\n"),
            "{page}"
        );
        assert!(page.ends_with("]]></script>\n</svg>\n"), "{page}");
        assert!(!include_str!("measure.js").contains("]]>"));
        assert!(with_script("<svg>").is_err());
    }

    #[test]
    fn letters_are_read_from_the_page() {
        let page = "<svg><metadata id=\"measured\">36 16 24.015625 42.5\n10003 32 40 60</metadata></svg>";
        let letters = letters_in(page).unwrap();
        assert_eq!(letters.len(), 2);
        assert_eq!(
            (letters[0].character, letters[0].left, letters[0].right),
            ('$', 16.0, 24.015_625)
        );
        assert_eq!((letters[1].character, letters[1].baseline), ('✓', 60.0));
    }

    #[test]
    fn a_page_without_measures_is_no_page_without_letters() {
        let page = "<parsererror><div>error on line 66 at column 96: Unexpected token  </div></parsererror>";
        let error = letters_in(page).unwrap_err().to_string();
        assert!(
            error.ends_with("error on line 66 at column 96: Unexpected token"),
            "{error}"
        );
        let error = letters_in("<svg></svg>").unwrap_err().to_string();
        assert!(error.contains("did not run the measuring script"), "{error}");
    }

    #[test]
    fn a_line_that_is_no_letter_is_named() {
        for line in ["36 16 24", "36 16 NULL 42", "-1 16 24 42", ""] {
            let page = format!("<metadata id=\"measured\">{line}\n</metadata>");
            let error = letters_in(&page).unwrap_err().to_string();
            assert!(error.contains(&format!("`{line}`")), "{error}");
        }
    }
}
