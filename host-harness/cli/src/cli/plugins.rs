//! `bss-host plugin`: the plugin that may run, and the file that is used where none is named.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use host_harness::Host;
use host_harness::view::{PluginFile, TrustedPlugin};

use super::exit_status::ExitStatus;
use super::failure::Outcome;
use super::input::operator;
use super::{output, show};

#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// Show the plugins that were let run, the one that may run now at the bottom
    List,
    /// Show the plugin of `--plugin`: its SHA-256, and whether it may run; runs nothing of it
    Show,
    /// Let the plugin of a file run from now on, in place of the one before; runs nothing of it
    Trust {
        /// The file, a WebAssembly component
        file: PathBuf,
    },
}

/// Runs the commands about plugins.
pub(super) async fn run(host: &Host, command: PluginCommand, plugin: &Path, json: bool) -> Outcome {
    match command {
        PluginCommand::List => list(host, json).await,
        PluginCommand::Show => show_file(host, plugin, json).await,
        PluginCommand::Trust { file } => trust(host, &file, json).await,
    }
}

async fn list(host: &Host, json: bool) -> Outcome {
    let trusted = host.record().trusted_plugins().await?;
    let views: Vec<_> = trusted.iter().map(TrustedPlugin::from).collect();
    if json {
        show::json(&views)?;
        return Ok(ExitStatus::Done);
    }
    let mut table = show::table(&["SHA-256", "File", "Trusted by", "When"]);
    for plugin in views {
        let when = show::time(plugin.trusted_at_ms);
        table.add_row([plugin.sha256, plugin.path, plugin.trusted_by, when]);
    }
    output::table(&table);
    Ok(ExitStatus::Done)
}

async fn show_file(host: &Host, plugin: &Path, json: bool) -> Outcome {
    let digest = host.plugin_digest().await?;
    let trusted = host.record().trusted_plugin().await?;
    let file = PluginFile::new(plugin, &digest, trusted.as_ref());
    if json {
        show::json(&file)?;
        return Ok(ExitStatus::Done);
    }
    output::line(&file.path);
    output::line(format!("  SHA-256 {}", file.sha256));
    output::line(match (&file.trusted_plugin, file.trusted) {
        (None, _) => "  none has been trusted yet: the first one that is used will be".to_owned(),
        (Some(trusted), true) => format!("  may run: trusted by {}", trusted.trusted_by),
        (Some(trusted), false) => {
            format!(
                "  may not run: {} of `{}` is trusted",
                trusted.sha256, trusted.path
            )
        }
    });
    Ok(ExitStatus::Done)
}

async fn trust(host: &Host, file: &Path, json: bool) -> Outcome {
    let trusted = TrustedPlugin::from(&host.trust_plugin(file, &operator()).await?);
    if json {
        show::json(&trusted)?;
    } else {
        output::line(format!(
            "`{}` may run from now on, and no other plugin",
            trusted.path
        ));
        output::line(format!("  SHA-256 {}", trusted.sha256));
        output::note("workers that run have theirs until they are started again");
    }
    Ok(ExitStatus::Done)
}

/// The plugin where `--plugin` names none: beside the program, else where `cargo xtask build` puts it. It is never
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
