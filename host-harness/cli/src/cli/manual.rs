//! `man`: manual pages, from the same source as the help.

use std::io;
use std::path::PathBuf;

use clap::{Args, Command};
use clap_mangen::Man;

use super::exit_status::ExitStatus;
use super::failure::{Outcome, machine_failure, unwritable};
use super::output;

#[derive(Debug, Args)]
pub(super) struct ManArguments {
    /// Write the pages of all commands into this directory, instead of the program's own to the standard output
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Writes manual pages: the program's to the standard output, or all of them into a directory.
pub(super) fn run(command: Command, arguments: &ManArguments) -> Outcome {
    let Some(directory) = &arguments.directory else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page).map_err(machine_failure)?;
        output::page(&ragged(&String::from_utf8_lossy(&page)), false);
        return Ok(ExitStatus::Done);
    };
    let failed = |error: io::Error| unwritable(directory, &error);
    // The pages are made in a directory of their own: the other one may have pages of other programs.
    let pages = tempfile::tempdir().map_err(machine_failure)?;
    clap_mangen::generate_to(command, &pages).map_err(machine_failure)?;
    std::fs::create_dir_all(directory).map_err(failed)?;
    for page in std::fs::read_dir(&pages).map_err(machine_failure)? {
        let page = page.map_err(machine_failure)?;
        let text = std::fs::read_to_string(page.path()).map_err(machine_failure)?;
        std::fs::write(directory.join(page.file_name()), ragged(&text)).map_err(failed)?;
    }
    output::note(format!("the manual pages are in `{}`", directory.display()));
    Ok(ExitStatus::Done)
}

/// A page whose lines are as long as their words make them: a synopsis has words that no line can be adjusted with.
fn ragged(page: &str) -> String {
    page.replacen(".SH NAME", ".ad l\n.SH NAME", 1)
}
