//! `init`: makes a new data directory, which no other command does.

use std::path::{Path, PathBuf};

use bss_model::Diagnose as _;
use clap::Args;
use host_harness::{HostKeySource, RECORD_FILE, Record, view};

use super::exit_status::ExitStatus;
use super::failure::Outcome;
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
pub(super) async fn run(
    data_dir: &Path,
    source: &HostKeySource,
    asked: &InitArguments,
    json: bool,
) -> Outcome {
    let key = source.file(data_dir);
    let had_key = key.as_ref().is_some_and(|key| key.exists());
    let (record, is_new) = match Record::create(data_dir, source).await {
        Ok(record) => (record, true),
        Err(error) if asked.if_missing && error.diagnosis().code == "record-is-there" => {
            (Record::open_with(data_dir, source).await?, false)
        }
        Err(error) => return Err(error.into()),
    };
    let view = view::MadeRecord {
        id: record.id().await?,
        is_new,
        file: absolute(&data_dir.join(RECORD_FILE)),
        host_key_file: key.as_deref().map(absolute),
    };
    match json {
        true => show::json(&view)?,
        false => show_made(&view, had_key),
    }
    Ok(ExitStatus::Done)
}

fn show_made(made: &view::MadeRecord, had_key: bool) {
    if !made.is_new {
        output::line(format!("the record is there already: {}", made.file.display()));
        return;
    }
    output::line(format!("made the record   {}", made.file.display()));
    match &made.host_key_file {
        Some(key) if had_key => output::line(format!("took the host key {}", key.display())),
        Some(key) => output::line(format!("made the host key {}", key.display())),
        None => output::line("the host key is the one that was given, and in no file here"),
    }
    output::note(
        "the record and the host key belong together: without the key, nobody can read a product key, a certificate or a secret of the \
         record. Keep a copy of each, in two places: `bss-host record backup FILE` writes the record's",
    );
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
