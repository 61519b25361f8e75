//! `config show`: every setting, its value and where that comes from.

use clap::Subcommand;
use serde::Serialize;

use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome};
use super::settings::{Origin, SETTINGS, Setting, Settings};
use super::{output, show};

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
    value: String,
    /// `command-line`, `environment`, `file` or `default`.
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    variable: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
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

/// Shows the settings. `given` is the command line's value of an option that all commands have.
pub(super) fn show(
    settings: &Settings,
    given: impl Fn(&'static str) -> Option<String>,
    json: bool,
) -> Outcome {
    let shown: Result<Vec<_>, Failure> = SETTINGS
        .iter()
        .map(|setting| shown(settings, setting, &given))
        .collect();
    let configuration = Configuration {
        file: settings.file().map(|file| file.display().to_string()),
        settings: shown?,
    };
    if json {
        show::json(&configuration)?;
        return Ok(ExitStatus::Done);
    }
    let mut table = show::table(&["Setting", "Value", "From"]);
    for shown in &configuration.settings {
        table.add_row([shown.setting, &shown.value, &source_words(shown)]);
    }
    output::table(&table);
    match &configuration.file {
        Some(file) => output::note(format!("the configuration file is `{file}`")),
        None => output::note("there is no configuration file"),
    }
    Ok(ExitStatus::Done)
}

fn shown(
    settings: &Settings,
    setting: &'static Setting,
    given: impl Fn(&'static str) -> Option<String>,
) -> Result<Shown, Failure> {
    let origin = settings.origin(setting)?;
    let given = match origin {
        Origin::CommandLine => setting.global_option().and_then(given),
        _ => None,
    };
    let (source, variable, line) = match origin {
        Origin::CommandLine => ("command-line", None, None),
        Origin::Environment(name) => ("environment", Some(name), None),
        Origin::File(_, line) => ("file", None, Some(line)),
        Origin::Default => ("default", None, None),
    };
    Ok(Shown {
        setting: setting.key,
        value: settings.shown(setting, given)?,
        source,
        variable,
        line,
    })
}

fn source_words(shown: &Shown) -> String {
    match (shown.variable, shown.line) {
        (Some(variable), _) => format!("environment ({variable})"),
        (None, Some(line)) => format!("file (line {line})"),
        (None, None) => shown.source.replace('-', " "),
    }
}
