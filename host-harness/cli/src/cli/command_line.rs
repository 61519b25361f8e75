//! The command line as a whole: the arguments with their environment variables, examples and headings.

use clap::{Command, CommandFactory as _};

use super::args::Arguments;
use super::settings;

/// The heading of the options that every command has.
const GLOBAL_HEADING: &str = "Options for all commands";

/// Examples of the commands that are used daily, each below the help of its command.
const EXAMPLES: &[(&[&str], &[&str])] = &[
    (
        &["run"],
        &[
            "bss-host run",
            "bss-host run --once",
            "bss-host -v run --at-once 16",
        ],
    ),
    (&["status"], &["bss-host status", "bss-host status --json"]),
    (
        &["alert", "list"],
        &["bss-host alert list", "bss-host alert list --json"],
    ),
    (
        &["asset", "list"],
        &[
            "bss-host asset list",
            "bss-host asset list --sync-status unsynchronised",
        ],
    ),
    (&["instance", "list"], &["bss-host instance list"]),
    (&["certificate", "list"], &["bss-host certificate list"]),
    (&["services", "fetch"], &["bss-host services fetch INSTANCE"]),
    (&["record", "backup"], &["bss-host record backup /backup/bss.db"]),
    (
        &["config", "show"],
        &["bss-host config show", "BSS_LOG=info bss-host config show --json"],
    ),
    (
        &["completions"],
        &["bss-host completions bash > /etc/bash_completion.d/bss-host"],
    ),
    (
        &["man"],
        &[
            "bss-host man | man -l -",
            "bss-host man --directory /usr/local/share/man/man1",
        ],
    ),
];

/// The whole command line.
pub(super) fn command() -> Command {
    let command = settings::with_variables(Arguments::command());
    let command = command.mut_args(|option| match option.is_global_set() {
        true => option.help_heading(GLOBAL_HEADING),
        false => option,
    });
    let before = command.get_after_help().map(ToString::to_string);
    let after = format!("{}\n\n{}", before.unwrap_or_default(), settings::variables_help());
    let command = command.after_help(plain(after));
    EXAMPLES.iter().fold(command, |command, (path, lines)| {
        let text = lines.iter().fold(String::from("Examples:"), |text, line| {
            format!("{text}\n  {line}")
        });
        at(command, path, &|command| command.after_help(plain(text.clone())))
    })
}

fn plain(text: String) -> clap::builder::StyledStr {
    clap::builder::StyledStr::from(text)
}

/// Changes a subcommand of a subcommand.
fn at(command: Command, path: &[&str], change: &dyn Fn(Command) -> Command) -> Command {
    match path.split_first() {
        None => change(command),
        Some((name, rest)) => command.mut_subcommand(name, |command| at(command, rest, change)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_example_is_understood_and_is_one_of_its_command() {
        for (path, lines) in EXAMPLES {
            for line in *lines {
                let words = line.split(['|', '>']).next().unwrap().split_whitespace();
                let words: Vec<_> = words.skip_while(|word| word.contains('=')).collect();
                let matches = command().try_get_matches_from(&words);
                let mut matches = &matches.unwrap_or_else(|error| panic!("{line}: {error}"));
                for name in *path {
                    let (found, below) = matches.subcommand().unwrap();
                    assert_eq!(found, *name, "{line}");
                    matches = below;
                }
            }
        }
    }

    #[test]
    fn an_option_of_all_commands_stands_under_a_heading_of_its_own() {
        let mut command = command();
        command.build();
        let help = command
            .find_subcommand_mut("run")
            .unwrap()
            .render_long_help()
            .to_string();
        let (own, global) = help.split_once(GLOBAL_HEADING).unwrap();
        assert!(own.contains("--at-once <N>") && !own.contains("--data-dir"), "{help}");
        assert!(
            global.contains("--data-dir") && !global.contains("--at-once <N>"),
            "{help}"
        );
        assert!(global.contains("Examples:"), "{help}");
    }
}
