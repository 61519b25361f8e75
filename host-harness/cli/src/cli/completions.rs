//! `completions`: what shells complete, from the same source as the help.

use clap::{Command, ValueEnum};
use clap_complete::{Shell, generate};

use super::exit_status::ExitStatus;
use super::failure::Outcome;
use super::output;

/// Shells that have completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ShellName {
    /// Bash
    Bash,
    /// Zsh
    Zsh,
    /// Fish
    Fish,
}

/// Writes the completions of a shell to the standard output.
pub(super) fn run(mut command: Command, shell: ShellName) -> Outcome {
    let shell = match shell {
        ShellName::Bash => Shell::Bash,
        ShellName::Zsh => Shell::Zsh,
        ShellName::Fish => Shell::Fish,
    };
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    generate(shell, &mut command, name, &mut text);
    output::page(&String::from_utf8_lossy(&text), false);
    Ok(ExitStatus::Done)
}
