//! Settings that hold for all commands on a machine: one table, from which the command line, the environment, the
//! configuration file, the help and the manual have them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bss_model::text::without_secrets;
use bss_model::{ErrorKind, Proxy, ProxyRules};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::failure::{Failure, unreadable};
use super::input;

/// The file that holds for the whole machine.
const SYSTEM_FILE: &str = "/etc/bss-host/config.toml";
/// The file's place below the user's own configuration directory.
const USER_FILE: &str = "bss-host/config.toml";
/// The variable that names the file, where `--config` does not.
pub(super) const FILE_VARIABLE: &str = "BSS_CONFIG";

/// Kinds of values, as far as they are read differently from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Text that is taken as it is.
    Text,
    /// A path, which begins at the file's own folder where it is relative.
    Path,
    /// A proxy's address, whose user and password are never shown.
    Proxy,
    /// An address that may hold a password.
    Address,
}

/// A setting.
#[derive(Debug)]
pub(super) struct Setting {
    /// The name in the file, with a period behind its table.
    pub(super) key: &'static str,
    /// The environment variables, of which the first that is not empty counts.
    pub(super) variables: &'static [&'static str],
    /// The subcommand whose option it is, and the option's id. An empty name: all commands have it.
    option: Option<(&'static str, &'static str)>,
    /// Whether the option takes its default from here. What is looked at by some commands only is asked for by these.
    is_default_of_option: bool,
    kind: Kind,
    /// What holds where nothing is said, in words.
    pub(super) default: &'static str,
    /// What it is for, in words.
    pub(super) about: &'static str,
}

/// All settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "data-dir",
        variables: &["BSS_DATA_DIR"],
        option: Some(("", "data_dir")),
        is_default_of_option: true,
        kind: Kind::Path,
        default: "bss-data",
        about: "the directory of the record, the certificates and the host key",
    },
    Setting {
        key: "host-key-file",
        variables: &["BSS_HOST_KEY_FILE"],
        option: None,
        is_default_of_option: false,
        kind: Kind::Path,
        default: "host.key in the data directory",
        about: "a file that holds the host key, such as a credential of systemd",
    },
    Setting {
        key: "plugin",
        variables: &["BSS_PLUGIN"],
        option: Some(("", "plugin")),
        is_default_of_option: false,
        kind: Kind::Path,
        default: "the one beside the program",
        about: "the file of a new instance's plugin",
    },
    Setting {
        key: "log",
        variables: &["BSS_LOG"],
        option: None,
        is_default_of_option: false,
        kind: Kind::Text,
        default: "warn",
        about: "what is logged, as in `info` or `bss_sandbox=debug,host_harness=info`",
    },
    Setting {
        key: "otlp",
        variables: &["OTEL_EXPORTER_OTLP_ENDPOINT"],
        option: Some(("", "otlp")),
        is_default_of_option: true,
        kind: Kind::Address,
        default: "none",
        about: "the OpenTelemetry collector that traces are sent to",
    },
    Setting {
        key: "proxy",
        variables: &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        option: None,
        is_default_of_option: false,
        kind: Kind::Proxy,
        default: "none",
        about: "the HTTP proxy on the way to vendors",
    },
    Setting {
        key: "no-proxy",
        variables: &["no_proxy", "NO_PROXY"],
        option: None,
        is_default_of_option: false,
        kind: Kind::Text,
        default: "none",
        about: "servers that are reached without the proxy, joined by commas",
    },
    Setting {
        key: "run.at-once",
        variables: &["BSS_RUN_AT_ONCE"],
        option: Some(("run", "at_once")),
        is_default_of_option: true,
        kind: Kind::Text,
        default: "8",
        about: "how many licenses `run` buys at once",
    },
];

/// Variables that stand in no file, because they are secrets or name the file: each with what it is for.
pub(super) const VARIABLES_ONLY: &[(&str, &str)] = &[
    (FILE_VARIABLE, "the configuration file"),
    ("BSS_HOST_KEY", "the host key in base64; wins over its file"),
    (
        "BSS_PFX_CODE",
        "the code of a PFX file, where no `--code-file` is named",
    ),
    ("NO_COLOR", "no colors, even on a terminal"),
];

/// Where a setting's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    CommandLine,
    /// The environment variable of that name.
    Environment(&'static str),
    /// That line of the file.
    File(PathBuf, usize),
    Default,
}

/// A value of the file.
#[derive(Clone, Debug)]
struct Said {
    key: &'static str,
    text: String,
    line: usize,
}

/// Settings of the file, and the ones that the command line has.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    file: Option<PathBuf>,
    said: Vec<Said>,
    on_command_line: BTreeSet<&'static str>,
}

impl Settings {
    /// Reads the file that the command line or the environment names, else the user's, else the machine's.
    pub(super) fn load(named: Option<&Path>) -> Result<Self, Failure> {
        let variable = input::variable(FILE_VARIABLE)?.filter(|file| !file.is_empty());
        let named = named.map(Path::to_owned).or(variable.map(PathBuf::from));
        let Some(file) = named.or_else(usual_file) else {
            return Ok(Self::default());
        };
        let text = std::fs::read_to_string(&file)
            .map_err(|error| unreadable(&format!("configuration file `{}`", file.display()), &error))?;
        let file = std::path::absolute(&file).unwrap_or(file);
        let said = read(&text, &file)?;
        Ok(Self {
            file: Some(file),
            said,
            on_command_line: BTreeSet::new(),
        })
    }

    /// The file, where there is one.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Has the file's values be defaults of the options.
    pub(super) fn apply(&self, command: Command) -> Result<Command, Failure> {
        self.said.iter().try_fold(command, |command, said| {
            let setting = setting(said.key);
            let Some((subcommand, id)) = setting.option.filter(|_| setting.is_default_of_option) else {
                return Ok(command);
            };
            // The command line's parser keeps what lives as long as the program; this is done once.
            let value: &'static str = said.text.clone().leak();
            let changed = with_option(command, subcommand, id, |option| option.default_value(value));
            expect_taken(&changed, subcommand, id, value).map_err(|why| self.refused(said, &why))?;
            Ok(changed)
        })
    }

    /// Keeps in mind which settings the command line has.
    pub(super) fn note_command_line(&mut self, matches: &ArgMatches) {
        let given = SETTINGS.iter().filter(|setting| {
            setting.option.is_some_and(|(subcommand, id)| {
                subcommand.is_empty() && matches.value_source(id) == Some(ValueSource::CommandLine)
            })
        });
        self.on_command_line = given.map(|setting| setting.key).collect();
    }

    /// The value of a setting that no option has, from the environment or else the file.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, Failure> {
        for name in setting(key).variables {
            if let Some(text) = input::variable(name)?.filter(|text| !text.is_empty()) {
                return Ok(Some(text));
            }
        }
        Ok(self.in_file(key).map(|said| said.text.clone()))
    }

    /// The value of a setting in the file alone.
    pub(super) fn file_text(&self, key: &str) -> Option<&str> {
        self.in_file(key).map(|said| said.text.as_str())
    }

    /// The proxies that the environment, or else the file, names for connections to vendors.
    pub(super) fn proxies(&self) -> Result<ProxyRules, Failure> {
        let mut unreadable = None;
        let rules = ProxyRules::from_environment(|name| {
            let set = input::variable(name).unwrap_or_else(|failure| {
                unreadable = Some(failure);
                None
            });
            // The last names that are asked for have what the file says, where the environment has nothing.
            let key = match name {
                "ALL_PROXY" => "proxy",
                "NO_PROXY" => "no-proxy",
                _ => return set,
            };
            set.filter(|text| !text.is_empty())
                .or_else(|| self.file_text(key).map(ToOwned::to_owned))
        });
        // A connection must not go out directly because the name of its proxy can't be read.
        match unreadable {
            Some(failure) => Err(failure),
            None => rules.map_err(|error| Failure::of(&error)),
        }
    }

    /// Where a setting's value comes from.
    pub(super) fn origin(&self, setting: &Setting) -> Result<Origin, Failure> {
        if self.on_command_line.contains(setting.key) {
            return Ok(Origin::CommandLine);
        }
        for name in setting.variables {
            if input::variable(name)?.is_some_and(|text| !text.is_empty()) {
                return Ok(Origin::Environment(name));
            }
        }
        Ok(match (&self.file, self.in_file(setting.key)) {
            (Some(file), Some(said)) => Origin::File(file.clone(), said.line),
            _ => Origin::Default,
        })
    }

    /// A setting's value as it may be shown; `given` is the command line's. Passwords are left out.
    pub(super) fn shown(&self, setting: &Setting, given: Option<String>) -> Result<String, Failure> {
        let said = match given {
            Some(given) => Some(given),
            None => self.text(setting.key)?,
        };
        Ok(match said {
            None => setting.default.to_owned(),
            Some(text) => match setting.kind {
                Kind::Proxy => text.parse::<Proxy>().map_or_else(
                    |_| "(not a proxy's address)".to_owned(),
                    |proxy| proxy.to_string(),
                ),
                Kind::Address => without_secrets(&text),
                Kind::Text | Kind::Path => text,
            },
        })
    }

    fn in_file(&self, key: &str) -> Option<&Said> {
        self.said.iter().find(|said| said.key == key)
    }

    fn refused(&self, said: &Said, why: &str) -> Failure {
        let file = self.file.as_deref().unwrap_or(Path::new(SYSTEM_FILE));
        wrong(file, said.line, &format!("`{}`: {why}", said.key))
    }
}

impl Setting {
    /// The option's id, where all commands have it.
    pub(super) fn global_option(&self) -> Option<&'static str> {
        self.option
            .filter(|(subcommand, _)| subcommand.is_empty())
            .map(|(_, id)| id)
    }
}

/// Has the options take the environment variables of their settings.
pub(super) fn with_variables(command: Command) -> Command {
    SETTINGS
        .iter()
        .filter(|setting| setting.is_default_of_option)
        .fold(command, |command, setting| {
            match (setting.option, setting.variables.first()) {
                (Some((subcommand, id)), Some(variable)) => {
                    with_option(command, subcommand, id, |option| option.env(*variable))
                }
                _ => command,
            }
        })
}

/// The environment variables, one in a line, as the help of the program shows them.
pub(super) fn variables_help() -> String {
    let settings = SETTINGS.iter().flat_map(|setting| {
        let first = setting.variables.first();
        first.map(|name| (*name, setting.about))
    });
    let lines = settings.chain(VARIABLES_ONLY.iter().copied());
    lines.fold(String::from("Environment variables:"), |text, (name, about)| {
        format!("{text}\n  {name}\n          {about}")
    })
}

fn setting(key: &str) -> &'static Setting {
    let found = SETTINGS.iter().find(|setting| setting.key == key);
    // The names are constants of this program: a test looks each one up.
    found.unwrap_or(&SETTINGS[0])
}

fn with_option(
    command: Command,
    subcommand: &'static str,
    id: &'static str,
    change: impl FnOnce(clap::Arg) -> clap::Arg,
) -> Command {
    match subcommand {
        "" => command.mut_arg(id, change),
        _ => command.mut_subcommand(subcommand, |command| command.mut_arg(id, change)),
    }
}

/// Has the option's own parser read a value, which is thereby refused where the file has it and not where it is used.
fn expect_taken(command: &Command, subcommand: &str, id: &str, value: &str) -> Result<(), String> {
    let owner = match subcommand {
        "" => Some(command),
        _ => command.find_subcommand(subcommand),
    };
    let option = owner.and_then(|owner| owner.get_arguments().find(|option| option.get_id() == id));
    let Some(long) = option.and_then(clap::Arg::get_long) else {
        return Ok(());
    };
    let program = command.get_name().to_owned();
    let subcommand = if subcommand.is_empty() {
        "status"
    } else {
        subcommand
    };
    let line = [program, subcommand.to_owned(), format!("--{long}={value}")];
    match command.clone().try_get_matches_from(line) {
        Ok(_) => Ok(()),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            Err(cause.unwrap_or_else(|| format!("`{value}` is no value for it")))
        }
    }
}

fn usual_file() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|folder| !folder.is_empty())
            .map(PathBuf::from)
    };
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    let of_user = folder.map(|folder| folder.join(USER_FILE));
    let of_system = PathBuf::from(SYSTEM_FILE);
    // A file that is there and can't be reached must not be passed over in silence.
    let is_there = of_system.try_exists().unwrap_or(true);
    of_user
        .filter(|file| file.exists())
        .or(is_there.then_some(of_system))
}

fn wrong(file: &Path, line: usize, why: &str) -> Failure {
    let message = format!("configuration file `{}`, line {line}: {why}", file.display());
    Failure::new(ErrorKind::Invalid, "configuration-file", message)
}

fn line_of(text: &str, position: usize) -> usize {
    1 + text.bytes().take(position).filter(|byte| *byte == b'\n').count()
}

/// Reads the text of a file.
fn read(text: &str, file: &Path) -> Result<Vec<Said>, Failure> {
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        wrong(file, line, error.message())
    })?;
    let mut said = Vec::new();
    collect(text, file, "", table.get_ref(), &mut said)?;
    Ok(said)
}

fn collect(
    text: &str,
    file: &Path,
    within: &str,
    table: &DeTable<'_>,
    said: &mut Vec<Said>,
) -> Result<(), Failure> {
    for (name, value) in table {
        let (name, line) = (name.get_ref(), line_of(text, name.span().start));
        let key = match within {
            "" => name.to_string(),
            _ => format!("{within}.{name}"),
        };
        let is_table = SETTINGS.iter().any(|setting| {
            setting
                .key
                .strip_prefix(&*key)
                .is_some_and(|rest| rest.starts_with('.'))
        });
        if let (true, DeValue::Table(table)) = (is_table, value.get_ref()) {
            collect(text, file, &key, table, said)?;
            continue;
        }
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
            return Err(unknown(file, line, &key));
        };
        let text = value_text(value)
            .ok_or_else(|| wrong(file, line, &format!("`{key}`: text or a number is expected")))?;
        let text = match setting.kind {
            Kind::Path => file
                .parent()
                .unwrap_or(Path::new("/"))
                .join(text)
                .display()
                .to_string(),
            Kind::Proxy => match text.parse::<Proxy>() {
                Ok(_) => text,
                Err(error) => return Err(wrong(file, line, &format!("`{key}`: {error}"))),
            },
            Kind::Text | Kind::Address => text,
        };
        said.push(Said {
            key: setting.key,
            text,
            line,
        });
    }
    Ok(())
}

/// A value as an option takes it; a list is joined by commas.
fn value_text(value: &Spanned<DeValue<'_>>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Array(values) => {
            let texts: Option<Vec<_>> = values.iter().map(value_text).collect();
            texts.map(|texts| texts.join(","))
        }
        _ => None,
    }
}

/// How much alike names are at least, of 1, so that one is offered for the other.
const ALIKE_MIN: f64 = 0.7;

fn unknown(file: &Path, line: usize, key: &str) -> Failure {
    let failure = wrong(file, line, &format!("there is no setting `{key}`"));
    let alike = SETTINGS
        .iter()
        .map(|setting| (strsim::jaro_winkler(setting.key, key), setting.key))
        .filter(|(alike, _)| *alike >= ALIKE_MIN)
        .max_by(|one, other| one.0.total_cmp(&other.0));
    match alike {
        Some((_, nearest)) => failure.hint(format!("is `{nearest}` meant?")),
        None => failure.hint("`bss-host config show` lists the settings"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Result<Vec<(&'static str, String, usize)>, String> {
        let read = read(text, Path::new("/etc/bss-host/config.toml"));
        let read = read.map_err(|failure| format!("{failure:?}"))?;
        Ok(read
            .into_iter()
            .map(|said| (said.key, said.text, said.line))
            .collect())
    }

    #[test]
    fn values_have_their_line_and_paths_begin_at_the_files_folder() {
        let text =
            "# a comment\ndata-dir = \"data\"\nno-proxy = [\"a.test\", \"b.test\"]\n\n[run]\nat-once = 9\n";
        let mut read = said(text).unwrap();
        read.sort_by_key(|said| said.2);
        assert_eq!(
            read,
            [
                ("data-dir", "/etc/bss-host/data".to_owned(), 2),
                ("no-proxy", "a.test,b.test".to_owned(), 3),
                ("run.at-once", "9".to_owned(), 6),
            ]
        );
    }

    #[test]
    fn what_is_no_setting_is_refused_with_its_line_and_the_nearest_name() {
        for (text, expected) in [
            ("\ndata-dirr = \"x\"", ["line 2", "`data-dir` meant"]),
            ("[run]\nat-onc = 1", ["line 2", "`run.at-once` meant"]),
            ("zzz = 1", ["line 1", "config show"]),
            ("data-dir = true", ["line 1", "text or a number"]),
            ("run = 3", ["line 1", "no setting `run`"]),
            ("proxy = \"socks5://u:hidden@h\"", ["line 1", "`proxy`"]),
            ("log = \"a", ["line 1", "configuration-file"]),
        ] {
            let refused = said(text).unwrap_err();
            for part in expected {
                assert!(refused.contains(part), "{text}: {refused}");
            }
            assert!(!refused.contains("hidden"), "{refused}");
        }
    }

    #[test]
    fn each_setting_has_a_name_of_its_own_and_stands_in_the_manual() {
        let manual = include_str!("../../../../docs/operator.md");
        for wanted in SETTINGS {
            assert_eq!(setting(wanted.key).key, wanted.key);
            let option = wanted
                .option
                .map_or_else(String::new, |(_, id)| format!("`--{}`", id.replace('_', "-")));
            let variables: Vec<_> = wanted.variables.iter().map(|name| format!("`{name}`")).collect();
            let row = format!(
                "| `{}` | {option} | {} | {} | {} |",
                wanted.key,
                variables.join(", "),
                wanted.default,
                wanted.about
            );
            assert!(manual.contains(&row), "the manual lacks this row:\n{row}");
        }
        for (name, about) in VARIABLES_ONLY {
            let row = format!("| `{name}` | {about} |");
            assert!(manual.contains(&row), "the manual lacks this row:\n{row}");
        }
    }
}
