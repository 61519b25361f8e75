//! The command line as a whole: the arguments, with the variables of options, a heading for those of all commands, and examples.

use clap::builder::StyledStr;
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
    (
        &["status"],
        &["bss-host status", "bss-host status --expect-worker --json"],
    ),
    (
        &["serve"],
        &[
            "bss-host serve",
            "bss-host serve --listen 0.0.0.0:8443 --certificate server.pem --key server.key",
            "bss-host serve --listen 127.0.0.1:8080 --plain-http --no-work",
        ],
    ),
    (
        &["api-client", "create"],
        &[
            "bss-host api-client create shop --scopes read,order,reveal",
            "bss-host api-client create shop --scopes read,order --instance INSTANCE > key.txt",
        ],
    ),
    (
        &["platform", "register"],
        &[
            "bss-host platform register bss --instance INSTANCE --base-url https://host.example",
            "bss-host platform register bss --instance INSTANCE --application-id b6708ca0-7cbe-4696-ad64-b465f3c878dc --api-key-file key.txt",
        ],
    ),
    (
        &["platform", "rotate-key"],
        &[
            "bss-host platform rotate-key bss --application-id b6708ca0-7cbe-4696-ad64-b465f3c878dc --api-key-file key.txt",
            "bss-host platform rotate-key bss --keep-former-hours 1 --api-key-file -",
        ],
    ),
    (&["alert", "list"], &["bss-host alert list"]),
    (&["asset", "list"], &["bss-host asset list --state open"]),
    (&["instance", "list"], &["bss-host instance list"]),
    (
        &["certificate", "import"],
        &["bss-host certificate import esd.pfx --code-file code.txt"],
    ),
    (&["services", "fetch"], &["bss-host services fetch INSTANCE"]),
    (
        &["record", "backup"],
        &["bss-host record backup /var/backups/bss-host/record.db"],
    ),
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
    EXAMPLES.iter().fold(command, |command, (path, lines)| {
        let text = format!("Examples:\n  {}", lines.join("\n  "));
        at(command, path, &|command| {
            command.after_help(StyledStr::from(text.clone()))
        })
    })
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
    use std::path::Path;

    use clap::error::{ContextKind, ContextValue, ErrorKind};

    use super::*;
    use crate::pages;

    /// What stands on pages where somebody has a value of their own.
    fn is_placeholder(word: &str) -> bool {
        let is_name = word
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "_…".contains(c));
        is_name && word.chars().any(char::is_alphabetic) || word.ends_with("...")
    }

    /// Values of every kind that an option takes, one of which is taken for a placeholder.
    const VALUES: [&str; 5] = [
        "7",
        "00000000-0000-4000-8000-000000000000",
        "0000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "a@b.example",
    ];

    /// Why a command of a page is not understood, whatever stands in the place of its placeholders, and of arguments that it leaves out.
    fn misunderstood(arguments: &[String]) -> Option<clap::Error> {
        let is_cut = arguments.iter().any(|word| word == "…");
        let mut words = vec!["bss-host".to_owned()];
        words.extend(arguments.iter().filter(|word| *word != "…").cloned());
        let understand = |words: &[String]| command().try_get_matches_from(words).err();
        let mut error = understand(&words)?;
        while let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue)
            && is_placeholder(value)
        {
            let value = value.clone();
            let with = |other: &str| -> Vec<String> {
                let replaced = words.iter().map(|word| match *word == value {
                    true => other.to_owned(),
                    false => word.clone(),
                });
                replaced.collect()
            };
            let is_taken = |words: &Vec<String>| {
                understand(words).is_none_or(|error| match error.get(ContextKind::InvalidValue) {
                    Some(ContextValue::String(refused)) => !VALUES.contains(&refused.as_str()),
                    _ => true,
                })
            };
            let Some(taken) = VALUES.into_iter().map(with).find(is_taken) else {
                return Some(error);
            };
            words = taken;
            error = understand(&words)?;
        }
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => None,
            ErrorKind::MissingRequiredArgument if is_cut => None,
            _ => Some(error),
        }
    }

    #[test]
    fn every_command_of_the_pages_is_understood() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let (mut count, mut wrong) = (0, Vec::new());
        for (page, text) in pages::pages(&root) {
            for command in pages::commands(&text) {
                let arguments = match pages::arguments(&command, "cargo") {
                    // The demo is given what stands behind it.
                    Some([xtask, arguments @ ..])
                        if xtask == "xtask" && arguments.first().is_some_and(|word| word == "demo") =>
                    {
                        arguments
                    }
                    _ => match pages::arguments(&command, "bss-host") {
                        Some(arguments) => arguments,
                        None => continue,
                    },
                };
                count += 1;
                let error = misunderstood(arguments);
                wrong
                    .extend(error.map(|error| format!("{}: {}: {error}", page.display(), command.join(" "))));
            }
        }
        // All of them are found, not only some.
        assert!(count > 150, "{count}");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn a_command_of_a_page_with_an_option_that_is_not_there_is_misunderstood() {
        let of = |line: &str| {
            let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
            misunderstood(&words).map(|error| error.kind())
        };
        assert_eq!(of("order place … --check-only"), None);
        assert_eq!(of("alert acknowledge NUMBER"), None);
        assert_eq!(of("order place … --chek-only"), Some(ErrorKind::UnknownArgument));
        assert_eq!(of("order plaec"), Some(ErrorKind::InvalidSubcommand));
        assert_eq!(of("alert acknowledge some"), Some(ErrorKind::ValueValidation));
        assert_eq!(of("order show"), Some(ErrorKind::MissingRequiredArgument));
    }

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
        let help = command.find_subcommand_mut("run").unwrap().render_long_help();
        let help = help.to_string();
        let (own, global) = help.split_once(GLOBAL_HEADING).unwrap();
        assert!(
            own.contains("--at-once <N>") && !own.contains("--data-dir"),
            "{help}"
        );
        assert!(
            global.contains("--data-dir") && !global.contains("--at-once <N>"),
            "{help}"
        );
        assert!(global.contains("Examples:"), "{help}");
    }

    #[test]
    fn each_setting_is_in_the_help_of_its_option_and_in_the_manual() {
        let manual = include_str!("../../../../docs/operator/settings.md");
        let help = |path: &[&str]| {
            let matches = command().try_get_matches_from([&["bss-host"], path, &["--help"]].concat());
            matches.unwrap_err().to_string()
        };
        let of_all = help(&[]);
        for setting in settings::SETTINGS {
            let (help, long) = match setting.key.split_once('.') {
                Some((command, long)) => (help(&[command]), long),
                None => (of_all.clone(), setting.key),
            };
            let is_proxy = setting.key.ends_with("proxy");
            assert_eq!(help.contains(&format!("--{long} ")), !is_proxy, "{help}");
            assert!(help.contains(setting.variables[0]), "{long}: {help}");
            let option = if is_proxy { "" } else { &format!("`--{long}`") };
            let variables = setting.variables.join("`, `");
            let row = format!("| `{}` | {option} | `{variables}` |", setting.key);
            assert!(manual.contains(&row), "the manual lacks this row:\n{row}");
        }
    }
}
