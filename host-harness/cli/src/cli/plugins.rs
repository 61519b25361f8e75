//! `bss-host plugin`: the plugins on record, and the file that is used where none is named.

use std::path::{Path, PathBuf};

use bss_model::PluginDigest;
use clap::Subcommand;
use host_harness::Host;
use host_harness::view::{Plugin, PluginFile, RemovedPlugin};

use super::csv_lines::{self, Column, CsvOption, Form};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome, parsed};
use super::input::operator;
use super::instances::show_instance;
use super::{output, show};

const COLUMNS: [Column; 10] = [
    Column::Of("id"),
    Column::Of("version"),
    Column::Of("vendor"),
    Column::Of("offering"),
    Column::Of("sha256"),
    Column::Of("path"),
    Column::Time("addedAtMs"),
    Column::Of("trustedBy"),
    Column::Time("trustedAtMs"),
    Column::Of("instances"),
];

#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// Show the plugins on record, who trusted each, and the instances that each works for
    List(CsvOption),
    /// Show a plugin's file: its SHA-256, and whether it may run; runs nothing of it
    Show {
        /// The file [default: the one of `--plugin`]
        file: Option<PathBuf>,
    },
    /// Put a plugin on record, and show who it says it is; it runs for no instance before it is trusted
    Add {
        /// The file, a WebAssembly component
        file: PathBuf,
    },
    /// Let a plugin run for instances; those that have another version keep it until they are upgraded
    Trust {
        /// The SHA-256 of a plugin on record, or a file, which is added first
        #[arg(value_name = "SHA256|FILE")]
        trusted: String,
    },
    /// Move an instance to another version of its plugin, if its settings fit that version
    Upgrade {
        /// The instance's name
        instance: String,
        /// The SHA-256 of the version [default: the trusted version that was added last]
        #[arg(long, value_name = "SHA256", value_parser = parsed::<PluginDigest>)]
        to: Option<PluginDigest>,
    },
    /// Take a plugin off the record that works for no instance
    Remove {
        /// The SHA-256 of the plugin
        #[arg(value_name = "SHA256", value_parser = parsed::<PluginDigest>)]
        removed: PluginDigest,
    },
}

/// Runs the commands about plugins.
pub(super) async fn run(host: &Host, command: PluginCommand, named: &Path, json: bool) -> Outcome {
    match command {
        PluginCommand::List(csv) => list(host, csv.form(json)).await,
        PluginCommand::Show { file } => show_file(host, file.as_deref().unwrap_or(named), json).await,
        PluginCommand::Add { file } => {
            let added = host.add_plugin(&file, &operator()).await?;
            let plugin = view_of(host, &added).await?;
            show_plugin(&plugin, json)?;
            if plugin.trusted_by.is_none() && !json {
                output::note(format!(
                    "nobody has trusted it yet. Compare its SHA-256 with the one that its maker tells, then: bss-host plugin \
                     trust {}",
                    plugin.sha256
                ));
            }
            Ok(ExitStatus::Done)
        }
        PluginCommand::Trust { trusted } => trust(host, &trusted, json).await,
        PluginCommand::Upgrade { instance, to } => upgrade(host, &instance, to, json).await,
        PluginCommand::Remove { removed } => {
            host.record().remove_plugin(&removed, &operator()).await?;
            match json {
                true => show::json(&RemovedPlugin {
                    sha256: removed.to_string(),
                })?,
                false => output::line(format!("plugin {removed} is removed")),
            }
            Ok(ExitStatus::Done)
        }
    }
}

async fn view_of(host: &Host, plugin: &bss_model::AddedPlugin) -> Result<Plugin, Failure> {
    let instances = host.instances().await?;
    Ok(Plugin::new(plugin, &instances))
}

async fn list(host: &Host, form: Form) -> Outcome {
    let instances = host.instances().await?;
    let plugins = host.record().plugins().await?;
    let views: Vec<_> = plugins
        .iter()
        .map(|plugin| Plugin::new(plugin, &instances))
        .collect();
    csv_lines::list(form, &views, &COLUMNS, |plugins| {
        let mut table = show::table(&["Plugin", "Version", "SHA-256", "Trusted by", "Instances"]);
        for plugin in plugins {
            table.add_row([
                &plugin.id,
                &plugin.version,
                &plugin.sha256,
                plugin.trusted_by.as_deref().unwrap_or("nobody"),
                &plugin.instances.join(", "),
            ]);
        }
        table
    })
}

async fn show_file(host: &Host, file: &Path, json: bool) -> Outcome {
    let digest = host_harness::plugin_digest(file).await?;
    let plugin = match host.record().plugin(&digest).await? {
        Some(plugin) => Some(view_of(host, &plugin).await?),
        None => None,
    };
    let file = PluginFile::new(file, &digest, plugin);
    if json {
        show::json(&file)?;
        return Ok(ExitStatus::Done);
    }
    output::line(&file.path);
    output::line(format!("  SHA-256 {}", file.sha256));
    output::line(match &file.plugin {
        None => "  is not on record".to_owned(),
        Some(plugin) => match &plugin.trusted_by {
            Some(by) => format!("  is {} {}, trusted by {by}", plugin.id, plugin.version),
            None => format!("  is {} {}, which nobody has trusted", plugin.id, plugin.version),
        },
    });
    Ok(ExitStatus::Done)
}

/// Trusts the plugin of a digest, or of a file, which is put on record first.
async fn trust(host: &Host, plugin: &str, json: bool) -> Outcome {
    let digest = match plugin.parse::<PluginDigest>() {
        Ok(digest) => digest,
        Err(_) => host.add_plugin(Path::new(plugin), &operator()).await?.digest,
    };
    let trusted = host.trust_plugin(digest, &operator()).await?;
    let plugin = view_of(host, &trusted).await?;
    show_plugin(&plugin, json)?;
    if !json {
        output::note(format!(
            "instances that have another version of `{}` keep it until `bss-host plugin upgrade INSTANCE`",
            plugin.id
        ));
    }
    Ok(ExitStatus::Done)
}

async fn upgrade(host: &Host, instance: &str, to: Option<PluginDigest>, json: bool) -> Outcome {
    let shown = host.instance(instance).await?.upgrade(to, &operator()).await?;
    show_instance(&shown, json)?;
    match shown.saved {
        true => Ok(ExitStatus::Done),
        false => Err(Failure::form(&shown.form)),
    }
}

fn show_plugin(plugin: &Plugin, json: bool) -> Result<(), Failure> {
    if json {
        return show::json(plugin);
    }
    output::line(format!(
        "{} {}: {} of {}",
        plugin.id, plugin.version, plugin.offering, plugin.vendor
    ));
    output::line(format!("  SHA-256 {}", plugin.sha256));
    if let Some(by) = &plugin.trusted_by {
        output::line(format!("  trusted by {by}"));
    }
    Ok(())
}

/// The plugin where no setting names one: the one beside the program, else where `cargo xtask build` puts it. It is never
/// looked for in the working directory, where anybody may have put another one.
pub(super) fn default_plugin() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    default_beside(&program, Path::exists)
}

fn default_beside(program: &Path, exists: impl Fn(&Path) -> bool) -> PathBuf {
    let folder = program.parent().unwrap_or(Path::new("/"));
    let beside = folder.join("microsoft_esd.wasm");
    let built = folder
        .parent()
        .map(|target| target.join("wasm32-wasip2/plugin/microsoft_esd.wasm"));
    match built {
        Some(built) if !exists(&beside) && exists(&built) => built,
        _ => beside,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugin_is_looked_for_beside_the_program_and_never_in_the_working_directory() {
        let program = Path::new("/programs/target/debug/bss-host");
        let beside = Path::new("/programs/target/debug/microsoft_esd.wasm");
        let built = Path::new("/programs/target/wasm32-wasip2/plugin/microsoft_esd.wasm");
        for (there, found) in [
            (&[beside, built][..], beside),
            (&[beside], beside),
            (&[built], built),
            (&[], beside),
        ] {
            assert_eq!(default_beside(program, |path| there.contains(&path)), found);
        }
        assert!(default_beside(Path::new(""), |_| true).is_absolute());
    }
}
