//! Settings of a machine: options whose values the environment or the configuration file may give.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use bss_model::text::without_secrets;
use bss_model::{ErrorKind, Proxy, ProxyRules};
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use toml::de::{DeTable, DeValue};

use super::failure::{Failure, unreadable};
use super::input;

/// The file of the whole machine.
const SYSTEM_FILE: &str = "/etc/bss-host/config.toml";
/// The file's place below the user's own configuration directory.
const USER_FILE: &str = "bss-host/config.toml";
/// The variable that names the file, where `--config` does not.
const FILE_VARIABLE: &str = "BSS_CONFIG";

/// Kinds of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Text that is taken as it is.
    Text,
    /// A path, which begins at the file's own folder where the file has it and it is relative.
    Path,
    /// An address that may hold a password.
    Address,
    /// A program and its arguments, of which the program alone is shown: an argument may say where a secret is, or be one.
    Command,
    /// A proxy's address. No option has it: others can read a command's arguments.
    Proxy,
    /// Several texts, joined by commas. No option has it.
    List,
}

/// A setting.
#[derive(Debug)]
pub(super) struct Setting {
    /// The name in the file, which is the option's, behind the name of the command whose option it is where not all have it.
    pub(super) key: &'static str,
    /// The environment variables, of which the first that is not empty counts.
    pub(super) variables: &'static [&'static str],
    kind: Kind,
}

const fn setting(key: &'static str, variables: &'static [&'static str], kind: Kind) -> Setting {
    Setting { key, variables, kind }
}

/// All settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    setting("data-dir", &["BSS_DATA_DIR"], Kind::Path),
    setting("database", &["BSS_DATABASE_URL"], Kind::Address),
    setting("database-file", &["BSS_DATABASE_URL_FILE"], Kind::Path),
    setting("host-key-file", &["BSS_HOST_KEY_FILE"], Kind::Path),
    setting("host-key-command", &["BSS_HOST_KEY_COMMAND"], Kind::Command),
    setting("plugin", &["BSS_PLUGIN"], Kind::Path),
    setting("log", &["BSS_LOG"], Kind::Text),
    setting("log-format", &["BSS_LOG_FORMAT"], Kind::Text),
    setting("otlp", &["OTEL_EXPORTER_OTLP_ENDPOINT"], Kind::Address),
    setting(
        "proxy",
        &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        Kind::Proxy,
    ),
    setting("no-proxy", &["no_proxy", "NO_PROXY"], Kind::List),
    setting("run.at-once", &["BSS_RUN_AT_ONCE"], Kind::Text),
    setting("run.alert-command", &["BSS_ALERT_COMMAND"], Kind::Path),
    setting("serve.listen", &["BSS_SERVE_LISTEN"], Kind::Text),
    setting("serve.certificate", &["BSS_SERVE_CERTIFICATE"], Kind::Path),
    setting("serve.key", &["BSS_SERVE_KEY"], Kind::Path),
    setting("serve.at-once", &["BSS_RUN_AT_ONCE"], Kind::Text),
    setting("serve.alert-command", &["BSS_ALERT_COMMAND"], Kind::Path),
];

/// The program of a command, with a mark for its arguments.
fn program_of(command: &str) -> String {
    let mut words = command.split_whitespace();
    let program = words.next().unwrap_or_default();
    match words.next() {
        Some(_) => format!("{program} …"),
        None => program.to_owned(),
    }
}

impl Setting {
    /// The option's long name, and the command whose option it is; without one, all commands have it.
    fn option(&self) -> Option<(&'static str, Option<&'static str>)> {
        match (self.kind, self.key.split_once('.')) {
            (Kind::Proxy | Kind::List, _) => None,
            (_, Some((command, long))) => Some((long, Some(command))),
            (_, None) => Some((self.key, None)),
        }
    }

    fn with_option(&self, command: Command, change: impl FnOnce(Arg) -> Arg) -> Command {
        match self.option() {
            None => command,
            Some((long, None)) => command.mut_arg(id(long), change),
            Some((long, Some(name))) => {
                command.mut_subcommand(name, |command| command.mut_arg(id(long), change))
            }
        }
    }

    /// The value of the option's own default.
    pub(super) fn default_of(&self, command: &Command) -> Option<OsString> {
        let (long, name) = self.option()?;
        let owner = match name {
            None => command,
            Some(name) => command.find_subcommand(name)?,
        };
        let option = owner
            .get_arguments()
            .find(|option| option.get_long() == Some(long))?;
        Some(option.get_default_values().first()?.to_os_string())
    }

    fn on_command_line(&self, matches: &ArgMatches) -> Option<OsString> {
        let (long, None) = self.option()? else { return None };
        match matches.value_source(&id(long)) {
            Some(ValueSource::CommandLine) => Some(matches.get_raw(&id(long))?.next()?.to_owned()),
            _ => None,
        }
    }

    fn in_environment(&self) -> Result<Option<(OsString, &'static str)>, Failure> {
        for name in self.variables {
            let value = match self.kind {
                Kind::Path => std::env::var_os(name),
                _ => input::variable(name)?.map(OsString::from),
            };
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                return Ok(Some((value, name)));
            }
        }
        Ok(None)
    }

    /// A value as it may be shown: passwords are left out.
    pub(super) fn shown(&self, value: &OsString) -> String {
        let text = value.to_string_lossy();
        match self.kind {
            Kind::Address => without_secrets(&text),
            Kind::Proxy => text.parse::<Proxy>().map_or_else(
                |_| "(not a proxy's address)".to_owned(),
                |proxy| proxy.to_string(),
            ),
            Kind::Command => program_of(&text),
            Kind::Text | Kind::Path | Kind::List => text.into_owned(),
        }
    }
}

/// The name by which the parser of the command line knows an option.
fn id(long: &str) -> String {
    long.replace('-', "_")
}

/// Where a setting's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    CommandLine,
    /// The environment variable of that name.
    Environment(&'static str),
    /// The line of the file.
    File(usize),
}

/// A setting that has been given.
#[derive(Debug)]
pub(super) struct Given {
    setting: &'static Setting,
    pub(super) value: OsString,
    pub(super) origin: Origin,
}

/// What the command line, the environment and the configuration file give.
#[derive(Debug, Default)]
pub(super) struct Settings {
    file: Option<PathBuf>,
    given: Vec<Given>,
}

impl Settings {
    /// Reads the file that the command line or the environment names, else the user's, else the machine's. The command line
    /// wins over the environment, and that over the file.
    pub(super) fn load(matches: &ArgMatches) -> Result<Self, Failure> {
        let named = matches.get_one::<PathBuf>("config").cloned();
        let variable = std::env::var_os(FILE_VARIABLE).filter(|file| !file.is_empty());
        let file = named.or(variable.map(PathBuf::from)).or_else(usual_file);
        let mut said = match &file {
            None => Vec::new(),
            Some(file) => read(file)?,
        };
        let mut given = Vec::new();
        for setting in SETTINGS {
            let of_file = said.iter().position(|said| said.setting.key == setting.key);
            let of_file = of_file.map(|position| said.swap_remove(position));
            given.extend(if let Some(value) = setting.on_command_line(matches) {
                let origin = Origin::CommandLine;
                Some(Given {
                    setting,
                    value,
                    origin,
                })
            } else if let Some((value, name)) = setting.in_environment()? {
                let origin = Origin::Environment(name);
                Some(Given {
                    setting,
                    value,
                    origin,
                })
            } else {
                of_file
            });
        }
        Ok(Self { file, given })
    }

    /// The file, where there is one.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What is given for a setting.
    pub(super) fn given(&self, key: &str) -> Option<&Given> {
        self.given.iter().find(|given| given.setting.key == key)
    }

    /// Whether the command line itself has an option.
    pub(super) fn is_on_command_line(&self, key: &str) -> bool {
        self.given(key)
            .is_some_and(|given| given.origin == Origin::CommandLine)
    }

    /// Has what the environment and the file give be the defaults of the options.
    pub(super) fn apply(&self, command: Command) -> Command {
        self.given.iter().fold(command, |command, given| {
            let value = given.value.clone();
            given
                .setting
                .with_option(command, |option| option.default_value(value))
        })
    }

    /// The failure of an option that does not take what the environment or the file gives. `None`: that is not why.
    pub(super) fn refused(&self, error: &clap::Error) -> Option<Failure> {
        let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
            return None;
        };
        let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) else {
            return None;
        };
        let long = option.strip_prefix("--")?.split(' ').next();
        // Commands may have options of one name, which have settings of their own, or none.
        let of_option = |given: &&Given| {
            given.setting.option().map(|(long, _)| long) == long
                && given.value.to_string_lossy() == value.as_str()
        };
        let given = self.given.iter().find(of_option)?;
        let cause = std::error::Error::source(error).map(ToString::to_string);
        let why =
            cause.unwrap_or_else(|| format!("`{}` is no value for it", given.setting.shown(&given.value)));
        match given.origin {
            Origin::CommandLine => None,
            Origin::Environment(name) => Some(Failure::usage(format!(
                "the environment variable `{name}`: {why}"
            ))),
            Origin::File(line) => Some(wrong(
                self.file()?,
                line,
                &format!("`{}`: {why}", given.setting.key),
            )),
        }
    }

    /// The proxies that the environment, or else the file, names for connections to vendors.
    pub(super) fn proxies(&self) -> Result<ProxyRules, Failure> {
        let rules = ProxyRules::from_environment(|name| {
            let given = self.given.iter().find(|given| match given.origin {
                Origin::CommandLine => false,
                Origin::Environment(variable) => variable == name,
                Origin::File(_) => given.setting.variables.first() == Some(&name),
            });
            Some(given?.value.to_string_lossy().into_owned())
        });
        rules.map_err(|error| Failure::of(&error))
    }
}

/// Says in the help of each option which variable it has.
pub(super) fn with_variables(command: Command) -> Command {
    SETTINGS.iter().fold(command, |command, setting| {
        setting.with_option(command, |option| {
            let help = option.get_help().map(ToString::to_string).unwrap_or_default();
            option.help(format!("{help} [env: {}]", setting.variables.join(", ")))
        })
    })
}

fn usual_file() -> Option<PathBuf> {
    // A relative path is ignored (XDG Base Directory Specification): what lies in the working directory may be somebody else's.
    let set = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|folder| folder.is_absolute())
    };
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    let of_user = folder.map(|folder| folder.join(USER_FILE));
    let of_system = PathBuf::from(SYSTEM_FILE);
    // A file that is there and can't be reached must not be passed over in silence.
    let is_there = of_system.try_exists().unwrap_or(true);
    of_user
        .filter(|file| file.try_exists().unwrap_or(true))
        .or(is_there.then_some(of_system))
}

fn wrong(file: &Path, line: usize, why: &str) -> Failure {
    let message = format!("configuration file `{}`, line {line}: {why}", file.display());
    Failure::new(ErrorKind::Invalid, "configuration-file", message)
}

fn read(file: &Path) -> Result<Vec<Given>, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| unreadable(&format!("configuration file `{}`", file.display()), &error))?;
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    settings_of(&text, folder).map_err(|(line, why)| wrong(file, line, &why))
}

/// The settings of a file's text; where there is a mistake, its line and what it is. Nothing of a value is repeated.
fn settings_of(text: &str, folder: &Path) -> Result<Vec<Given>, (usize, String)> {
    let line_at = |position| 1 + text.bytes().take(position).filter(|byte| *byte == b'\n').count();
    let table = DeTable::parse(text).map_err(|error| {
        let line = line_at(error.span().map_or(0, |span| span.start));
        (line, error.message().to_owned())
    })?;
    let mut values = Vec::new();
    for (name, value) in table.get_ref() {
        let key = name.get_ref();
        match value.get_ref() {
            DeValue::Table(of_command) => values.extend(of_command.iter().map(|(name, value)| {
                let key = format!("{key}.{}", name.get_ref());
                (key, line_at(name.span().start), value.get_ref())
            })),
            value => values.push((key.to_string(), line_at(name.span().start), value)),
        }
    }
    let given = values.into_iter().map(|(key, line, value)| {
        let setting = SETTINGS.iter().find(|setting| setting.key == key);
        let setting = setting.ok_or_else(|| (line, unknown(&key)))?;
        let value = value_of(setting.kind, value, folder).map_err(|why| (line, format!("`{key}`: {why}")))?;
        let origin = Origin::File(line);
        Ok(Given {
            setting,
            value,
            origin,
        })
    });
    given.collect()
}

fn unknown(key: &str) -> String {
    let keys: Vec<_> = SETTINGS.iter().map(|setting| setting.key).collect();
    format!("there is no setting `{key}`; there are `{}`", keys.join("`, `"))
}

fn value_of(kind: Kind, value: &DeValue<'_>, folder: &Path) -> Result<OsString, String> {
    let text = match (kind, value) {
        (_, DeValue::String(text)) => text.to_string(),
        (Kind::Text, DeValue::Integer(number)) => number.as_str().to_owned(),
        (Kind::List, DeValue::Array(values)) => {
            let texts = values.iter().map(|value| value.get_ref().as_str());
            let texts: Option<Vec<_>> = texts.collect();
            texts.ok_or("a list of texts is expected")?.join(",")
        }
        _ => return Err("text is expected".to_owned()),
    };
    match kind {
        Kind::Path => Ok(folder.join(text).into()),
        Kind::Proxy => match text.parse::<Proxy>() {
            Ok(_) => Ok(text.into()),
            Err(error) => Err(error.to_string()),
        },
        Kind::Text | Kind::Address | Kind::Command | Kind::List => Ok(text.into()),
    }
}
