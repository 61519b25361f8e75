//! `config show`: every setting, its value and where that comes from.

use std::path::Path;

use bss_keys::HOST_KEY_FILE;
use clap::{Command, Subcommand};
use serde::Serialize;

use super::exit_status::ExitStatus;
use super::failure::Outcome;
use super::settings::{Origin, SETTINGS, Setting, Settings};
use super::{output, plugins, show};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Show each setting, its value and where that comes from: the command line, the environment, the configuration file or
    /// the default, the first of which counts
    Show,
}

/// A setting, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    setting: &'static str,
    value: Option<String>,
    /// `command-line`, `environment`, `file` or `default`.
    source: &'static str,
    variable: Option<&'static str>,
    line: Option<usize>,
}

/// All settings, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    /// The file, where there is one.
    file: Option<String>,
    settings: Vec<Shown>,
}

/// Shows the settings. `command` has the defaults.
pub(super) fn show(settings: &Settings, command: &Command, data_dir: &Path, json: bool) -> Outcome {
    let configuration = Configuration {
        file: settings.file().map(|file| file.display().to_string()),
        settings: SETTINGS
            .iter()
            .map(|setting| shown(settings, setting, command, data_dir))
            .collect(),
    };
    if json {
        show::json(&configuration)?;
        return Ok(ExitStatus::Done);
    }
    let mut table = show::table(&["Setting", "Value", "From"]);
    for shown in &configuration.settings {
        let value = shown.value.as_deref().unwrap_or_default();
        table.add_row([shown.setting, value, &source_words(shown)]);
    }
    output::table(&table);
    match &configuration.file {
        Some(file) => output::note(format!("the configuration file is `{file}`")),
        None => output::note("there is no configuration file"),
    }
    Ok(ExitStatus::Done)
}

fn shown(settings: &Settings, setting: &'static Setting, command: &Command, data_dir: &Path) -> Shown {
    let given = settings.given(setting.key);
    let (source, variable, line) = match given.map(|given| given.origin) {
        None => ("default", None, None),
        Some(Origin::CommandLine) => ("command-line", None, None),
        Some(Origin::Environment(name)) => ("environment", Some(name), None),
        Some(Origin::File(line)) => ("file", None, Some(line)),
    };
    let value = match given {
        Some(given) => Some(given.value.clone()),
        None => default(setting, command, data_dir),
    };
    Shown {
        setting: setting.key,
        value: value.map(|value| setting.shown(&value)),
        source,
        variable,
        line,
    }
}

fn default(setting: &Setting, command: &Command, data_dir: &Path) -> Option<std::ffi::OsString> {
    match setting.key {
        "host-key-file" => Some(data_dir.join(HOST_KEY_FILE).into()),
        "plugin" => Some(plugins::default_plugin().into()),
        _ => setting.default_of(command),
    }
}

fn source_words(shown: &Shown) -> String {
    match (shown.variable, shown.line) {
        (Some(variable), _) => format!("environment ({variable})"),
        (None, Some(line)) => format!("file (line {line})"),
        (None, None) => shown.source.replace('-', " "),
    }
}
