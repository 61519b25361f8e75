//! `init`: makes a new data directory, which no other command does.

use std::path::{Path, PathBuf};

use bss_model::Diagnose as _;
use clap::Args;
use host_harness::{RECORD_FILE, view};

use super::database::Place;
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome};
use super::{output, show};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  bss-host --data-dir /var/lib/bss-host init\n  bss-host init --if-missing   # for scripts: leaves a record as it is"
)]
pub(super) struct InitArguments {
    /// Leave a record that is there as it is, and end with 0
    #[arg(long)]
    if_missing: bool,
}

/// Makes the record and the host key.
pub(super) async fn run(place: Place<'_>, asked: &InitArguments, json: bool) -> Outcome {
    let key = place.host_key.file(place.data_dir);
    let had_key = key.as_ref().is_some_and(|key| key.exists());
    let (record, is_new) = match place.create().await {
        Ok(record) => (record, true),
        Err(error) if asked.if_missing && error.diagnosis().code == "record-is-there" => {
            (place.open().await?, false)
        }
        Err(error) if place.database.is_some() && error.diagnosis().code == "host-key-missing" => {
            return Err(Failure::from(error).hint(
                "no key is made beside a database, which other hosts may have another one for: make one with `bss-host key new --out FILE`, \
                 name it with `--host-key-file FILE`, and give it to every host",
            ));
        }
        Err(error) => return Err(error.into()),
    };
    let view = view::MadeRecord {
        id: record.id().await?,
        is_new,
        file: match place.database {
            Some(_) => None,
            None => Some(absolute(&place.data_dir.join(RECORD_FILE))),
        },
        database: place.database.map(ToString::to_string),
        host_key_file: key.as_deref().map(absolute),
    };
    match json {
        true => show::json(&view)?,
        false => show_made(&view, had_key),
    }
    Ok(ExitStatus::Done)
}

fn show_made(made: &view::MadeRecord, had_key: bool) {
    let at = match (&made.file, &made.database) {
        (Some(file), _) => file.display().to_string(),
        (None, database) => database.clone().unwrap_or_default(),
    };
    if !made.is_new {
        output::line(format!("the record is there already: {at}"));
        return;
    }
    output::line(format!("made the record   {at}"));
    match &made.host_key_file {
        Some(key) if had_key => output::line(format!("took the host key {}", key.display())),
        Some(key) => output::line(format!("made the host key {}", key.display())),
        None => output::line("the host key is the one that was given, and in no file here"),
    }
    let backup = match made.database {
        Some(_) => "the server's operator backs the database up",
        None => "`bss-host record backup FILE` writes the record's",
    };
    output::note(format!(
        "the record and the host key belong together: without the key, nobody can read a product key, a certificate or a secret of the \
         record. Keep a copy of each, in two places: {backup}",
    ));
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
