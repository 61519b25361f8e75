//! `key …`: host keys: a new one, which ones the record needs, and the sealing of everything again under another.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use host_harness::{HostKey, view};
use serde::Serialize;

use super::database::Place;
use super::exit_status::ExitStatus;
use super::failure::Outcome;
use super::input::operator;
use super::output::Table;
use super::{output, show};

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a new host key, and print it or write it into a file; the record is not touched
    #[command(
        after_help = "Examples:\n  bss-host key new --out new.key\n  bss-host key new | vault kv put secret/bss-host-next key=-"
    )]
    New {
        /// The file, which must not exist and will be readable by its owner alone; without it, the key is printed
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Show the ids of the host keys, which one seals, and how many values on record need each
    List,
    /// Seal everything on record again under the first host key, so that no other is needed any more; may be stopped at any
    /// time, and repeated. All other programs that have the record open must have that key first, too
    Rotate,
}

/// A new host key, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewKey {
    id: String,
    /// `None`: the key is in the file.
    key: Option<String>,
    file: Option<PathBuf>,
}

/// Makes a new host key. No record is opened, and no other key read.
pub(super) fn make(out: Option<&Path>, json: bool) -> Outcome {
    let key = HostKey::generate()?;
    if let Some(file) = out {
        key.write_new(file)?;
    }
    let text = key.to_base64();
    if json {
        show::json(&NewKey {
            id: key.id().to_string(),
            key: out.is_none().then(|| text.expose().to_owned()),
            file: out.map(|file| std::path::absolute(file).unwrap_or_else(|_| file.to_owned())),
        })?;
        return Ok(ExitStatus::Done);
    }
    match out {
        Some(file) => output::line(format!("made host key {} in {}", key.id(), file.display())),
        // Alone on the standard output, so that it can be piped into a vault.
        None => {
            output::line(text.expose());
            output::note(format!("this is host key {}", key.id()));
        }
    }
    Ok(ExitStatus::Done)
}

/// Shows which keys the record needs.
pub(super) async fn list(place: Place<'_>, json: bool) -> Outcome {
    let record = place.open().await?;
    let keys = view::HostKeys::from(&record.host_key_uses().await?);
    if json {
        show::json(&keys)?;
        return Ok(ExitStatus::Done);
    }
    output::table(&table(&keys));
    if keys.unopened > 0 {
        output::note(format!(
            "none of these keys opens {}, which were altered or need another key",
            show::counted(keys.unopened, "value")
        ));
    }
    Ok(ExitStatus::Done)
}

fn table(keys: &view::HostKeys) -> Table {
    let mut table = show::table(&["Key", "State", "Values that need it"]);
    for key in &keys.keys {
        let state = match (key.is_there, key.seals) {
            (false, _) => "missing",
            (true, true) => "seals and opens",
            (true, false) => "opens",
        };
        table.add_row([key.id.clone(), state.to_owned(), key.values.to_string()]);
    }
    table
}

/// Seals everything again under the first key.
pub(super) async fn rotate(place: Place<'_>, json: bool) -> Outcome {
    let record = place.open().await?;
    let told = |values| tracing::info!(values, "sealed again");
    let rotation = record.rotate_host_key(&operator(), told).await?;
    let rotated = view::RotatedHostKey::from(&rotation);
    if json {
        show::json(&rotated)?;
        return Ok(ExitStatus::Done);
    }
    output::line(match rotated.values {
        0 => format!("everything is sealed with host key {} already", rotated.id),
        values => format!(
            "sealed {} again: everything is sealed with host key {} now",
            show::counted(values, "value"),
            rotated.id
        ),
    });
    output::note(
        "the record needs no other host key any more, but backups from before do: keep the former key with them, apart from the host",
    );
    Ok(ExitStatus::Done)
}
