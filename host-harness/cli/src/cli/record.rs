//! `record …`: backups of the record, restoring one, and what the record noticed of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bss_model::{Advice, purchase_rule};
use clap::Subcommand;
use host_harness::{BackupError, DatabaseAddress, Record, RecordError, Verified, verify_backup, view};

use super::audit::sha256;
use super::customers::again_note;
use super::database::Place;
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome, words};
use super::input::operator;
use super::{output, show};

/// The longest time of looking up only that can be set, a week: a longer one would look like a purchase that is forgotten.
const LOOK_UP_ONLY_MAX_SECONDS: u64 = 7 * 24 * 60 * 60;

#[derive(Debug, Subcommand)]
pub(super) enum RecordCommand {
    /// Write a backup of the whole record into one file, while workers go on; the host key is not in it
    Backup {
        /// The file, which must not exist
        file: PathBuf,
    },
    /// Put a backup in the place of the record; stop all workers before
    Restore {
        /// The backup
        file: PathBuf,
        /// The SHA-256 digest that the backup must have
        #[arg(long, value_name = "HEX", value_parser = sha256)]
        sha256: Option<String>,
        /// Keep the record that is there under another name, and put the backup in its place
        #[arg(long)]
        replace: bool,
    },
    /// Verify the record, or a backup of it
    Verify {
        /// The backup; without it, the record itself
        file: Option<PathBuf>,
        /// The SHA-256 digest that the backup must have
        #[arg(long, value_name = "HEX", requires = "file", value_parser = sha256)]
        sha256: Option<String>,
    },
    /// Move the record of the data directory into the database on a server that is named, which has to be empty; the one in the
    /// directory opens no more. Stop all workers before
    Copy {
        /// Move the record in the database into the data directory, which has none yet
        #[arg(long)]
        back: bool,
        /// Take the move back, as long as nothing was written where the record went
        #[arg(long)]
        undo: bool,
    },
    /// Bring the tables of a database on a server up to date; a record in a data directory is whenever it is opened
    Migrate,
    /// Say that the record was put back to an earlier moment, by a copy of its files or a snapshot: what is open is looked up before it is bought
    Restored,
    /// Say that no other copy of this record is in use, so that what is in doubt is bought once it has been looked up
    Adopt,
    /// Set how long a purchase or a return in doubt is only looked up before it is sent again
    Set {
        /// The time, for all workers of this record: longer than the vendor may take to carry a purchase out. At servers of other machines it is 60 seconds at least
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=LOOK_UP_ONLY_MAX_SECONDS))]
        look_up_only: u64,
    },
    /// Show when the record was restored, copied or moved, and what that put in doubt
    Show,
}

pub(super) async fn run(place: Place<'_>, command: RecordCommand, json: bool) -> Outcome {
    match command {
        RecordCommand::Backup { file } => backup(&place.open().await?, &file, json).await,
        RecordCommand::Restore {
            file,
            sha256,
            replace,
        } => {
            if place.database.is_some() {
                return Err(BackupError::OnServer.into());
            }
            restore(place, &file, sha256.as_deref(), replace, json).await
        }
        RecordCommand::Verify { file, sha256 } => {
            let verified = match (file, place.database) {
                (Some(file), _) => verify_backup(&file, sha256.as_deref()).await?,
                (None, None) => place.open().await?.verify().await?,
                (None, Some(database)) => return verify_database(place, database, json).await,
            };
            show_verified(&verified, json)
        }
        RecordCommand::Copy { back, undo } => copy(place, back, undo, json).await,
        RecordCommand::Migrate => migrate(place, json).await,
        RecordCommand::Restored => restored(&place.open().await?, json).await,
        RecordCommand::Adopt => adopt(&place.open().await?, json).await,
        RecordCommand::Set { look_up_only } => {
            set(&place.open().await?, Duration::from_secs(look_up_only), json).await
        }
        RecordCommand::Show => show_record(&place.open().await?, json).await,
    }
}

/// Moves the record between the data directory and a database, or takes a move back.
async fn copy(place: Place<'_>, back: bool, undo: bool, json: bool) -> Outcome {
    let database = place.database.ok_or_else(|| {
        Failure::usage("no database is named that the record is to be moved to, or from")
            .hint("name it with `--database-file FILE`, or with the variable `BSS_DATABASE_URL`")
    })?;
    let (data_dir, host_key) = (place.data_dir, place.host_key);
    let copied = match (back, undo) {
        (false, false) => {
            Record::migrate_database(database).await?;
            Record::copy_to_server(data_dir, host_key, database).await?
        }
        (true, false) => Record::copy_from_server(data_dir, host_key, database).await?,
        (false, true) => {
            Record::undo_copy_to_server(data_dir, host_key, database).await?;
            return undone(format!("`{}`", data_dir.display()), json);
        }
        (true, true) => {
            Record::undo_copy_from_server(data_dir, host_key, database).await?;
            return undone(database.to_string(), json);
        }
    };
    let view = view::MovedRecord::from(&copied);
    if json {
        show::json(&view)?;
        return Ok(ExitStatus::Done);
    }
    let rows = view.tables.iter().map(|table| table.rows).sum();
    output::line(format!(
        "moved {} in {} to {}; each table was read again there, and is the same",
        show::counted(rows, "row"),
        show::counted(view.tables.len() as u64, "table"),
        view.to
    ));
    output::note(match back {
        false => {
            "the record in the data directory opens no more; start all hosts with this database. `record copy --undo` takes it back as long as nothing was written"
        }
        true => {
            "the record in the database opens no more; stop all other hosts for good. `record copy --back --undo` takes it back as long as nothing was written"
        }
    });
    Ok(ExitStatus::Done)
}

fn undone(place: String, json: bool) -> Outcome {
    match json {
        true => show::json(&view::RecordPlace { place })?,
        false => output::line(format!("the move is taken back: the record goes on in {place}")),
    }
    Ok(ExitStatus::Done)
}

/// Verifies the record in a database: every row, sealed value, act and reference.
async fn verify_database(place: Place<'_>, database: &DatabaseAddress, json: bool) -> Outcome {
    let verified = Record::verify_server(place.data_dir, place.host_key, database, None).await?;
    let view = view::VerifiedDatabase::from(&verified);
    if json {
        show::json(&view)?;
        return Ok(ExitStatus::Done);
    }
    let rows = view.tables.iter().map(|table| table.rows).sum();
    output::line(format!(
        "the record {} is sound: {} in {}, {}",
        view.record_id,
        show::counted(rows, "row"),
        show::counted(view.tables.len() as u64, "table"),
        show::counted(view.sealed_values, "sealed value")
    ));
    Ok(ExitStatus::Done)
}

/// Brings the tables of a database up to date, which opening it does not do: other hosts have it open.
async fn migrate(place: Place<'_>, json: bool) -> Outcome {
    let Some(database) = place.database else {
        // Opening a record in a data directory does.
        let record = place.open().await?;
        return show_record(&record, json).await;
    };
    Record::migrate_database(database).await?;
    match json {
        true => show::json(&view::RecordPlace {
            place: database.to_string(),
        })?,
        false => output::line("the tables of the database are up to date"),
    }
    Ok(ExitStatus::Done)
}

async fn restored(record: &Record, json: bool) -> Outcome {
    record.say_restored(&operator()).await?;
    show_record(record, json).await
}

async fn backup(record: &Record, file: &Path, json: bool) -> Outcome {
    let backup = record.backup(file).await?;
    let view = view::Backup::from(&backup);
    if json {
        show::json(&view)?;
    } else {
        show_backup(&view);
        output::note(
            "the host key is not in the backup: keep `host.key`, or the value of `BSS_HOST_KEY`, in another place. Without \
             it, no product key and no certificate of the backup can be read",
        );
    }
    Ok(ExitStatus::Done)
}

async fn restore(place: Place<'_>, file: &Path, sha256: Option<&str>, replace: bool, json: bool) -> Outcome {
    let restored = Record::restore_with(place.data_dir, place.host_key, file, sha256, replace).await?;
    let view = view::RestoredRecord::from(&restored);
    if json {
        show::json(&view)?;
        return Ok(ExitStatus::Done);
    }
    show_backup(&view.backup);
    if let Some(replaced) = &view.replaced {
        output::line(format!("the former record is kept as {}", replaced.display()));
    }
    if let Some(restoration) = &view.restoration {
        output::line(in_doubt(restoration));
        copy_note(true);
        hold_note(restoration.mails);
    }
    again_note(customers_again(&place.open().await?).await?);
    output::note(
        "orders that were placed after the backup are not in it: have the platform place them again, with their keys",
    );
    Ok(ExitStatus::Done)
}

fn show_verified(verified: &Verified, json: bool) -> Outcome {
    let view = view::Backup::from(verified);
    match json {
        true => show::json(&view)?,
        false => show_backup(&view),
    }
    Ok(ExitStatus::Done)
}

async fn adopt(record: &Record, json: bool) -> Outcome {
    let adopted = record.adopt(&operator()).await?;
    if json {
        show::json(&view_of(record).await?)?;
    } else {
        output::line(match adopted {
            true => {
                "the record is adopted: what is in doubt is bought once it has been looked up for long enough"
            }
            false => "the record needs no adoption",
        });
    }
    Ok(ExitStatus::Done)
}

async fn set(record: &Record, look_up_only: Duration, json: bool) -> Outcome {
    record.set_look_up_only(look_up_only, &operator()).await?;
    match json {
        true => show::json(&view_of(record).await?)?,
        false => output::line(looked_up(look_up_only)),
    }
    if look_up_only < purchase_rule::LOOK_UP_ONLY {
        output::note(format!(
            "a purchase whose answer was lost is sent again sooner than after the usual {} seconds: make sure that the \
             vendor can't still be carrying it out then",
            purchase_rule::LOOK_UP_ONLY.as_secs()
        ));
    }
    Ok(ExitStatus::Done)
}

fn looked_up(look_up_only: Duration) -> String {
    format!(
        "what is in doubt is only looked up for {}",
        show::counted(look_up_only.as_secs(), "second")
    )
}

async fn show_record(record: &Record, json: bool) -> Outcome {
    let view = view_of(record).await?;
    if json {
        show::json(&view)?;
        return Ok(ExitStatus::Done);
    }
    output::line(format!("record {}", view.id));
    output::line(looked_up(Duration::from_secs(view.look_up_only_seconds)));
    let mut table = show::table(&[
        "Restoration",
        "Noticed",
        "Evidence",
        "Order lines",
        "Returns",
        "E-mails",
    ]);
    for restoration in &view.restorations {
        table.add_row([
            restoration.number.to_string(),
            show::time(restoration.noticed_at_ms),
            restoration.evidence.clone(),
            restoration.order_lines.to_string(),
            restoration.returns.to_string(),
            restoration.mails.to_string(),
        ]);
    }
    output::table(&table);
    copy_note(view.awaits_adoption);
    hold_note(view.held_mails);
    again_note(view.customers_to_erase_again);
    Ok(ExitStatus::Done)
}

async fn view_of(record: &Record) -> Result<view::Record, RecordError> {
    Ok(view::Record {
        id: record.id().await?,
        awaits_adoption: record.awaits_adoption().await?,
        look_up_only_seconds: record.look_up_only().await?.as_secs(),
        held_mails: record.held_mails().await?,
        customers_to_erase_again: customers_again(record).await?,
        restorations: record.restorations().await?.iter().map(Into::into).collect(),
    })
}

/// The number of erased customers that a restored record has again.
async fn customers_again(record: &Record) -> Result<u64, RecordError> {
    let erased = record.erased_customers().await?;
    Ok(erased.iter().filter(|erased| erased.orders_left > 0).count() as u64)
}

fn show_backup(backup: &view::Backup) {
    let made = backup
        .backup_at_ms
        .map_or_else(String::new, |at_ms| format!(", made {}", show::time(at_ms)));
    output::line(format!(
        "{} is sound: {} bytes{made}",
        backup.file.display(),
        backup.bytes
    ));
    output::line(format!("record {}", backup.record_id));
    if let Some(sha256) = &backup.sha256 {
        output::line(format!("SHA-256 {sha256}"));
    }
}

fn in_doubt(restoration: &view::Restoration) -> String {
    format!(
        "in doubt now: {} and {}, which are looked up first",
        show::counted(restoration.order_lines, "order line"),
        show::counted(restoration.returns, "return"),
    )
}

/// Says what another copy of the record would mean.
pub(super) fn copy_note(awaits_adoption: bool) {
    if awaits_adoption {
        output::note(
            "the record was restored, copied or moved: order lines from before are looked up, and not bought",
        );
        output::note(format!("hint: {}", words(&Advice::AdoptRecord)));
    }
}

/// Says how many e-mails are held back, and how they are released.
pub(super) fn hold_note(held: u64) {
    if held > 0 {
        output::note(format!(
            "held back, because somebody may have sent them already: {}",
            show::counted(held, "e-mail")
        ));
        output::note(format!("hint: {}", words(&Advice::ReleaseMails)));
    }
}
